"""A delivery service that is installed: its settings, its tables, a tenant and an API key."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from delivery_service.api_keys import SCOPES, create_key
from delivery_service.migrating import migrate
from delivery_service.settings import PREFIX, Settings
from delivery_service.state import State
from delivery_service.tables import Tenant
from sqlalchemy import text

from tests.databases import DatabaseServer, postgresql_server
from tests.loopback import ROOT

TENANT = "acme"


@dataclass(frozen=True, kw_only=True)
class Installed:
    """A service that is installed.

    Attributes:
        environment: What its processes have.
        state: What it has, opened by the test.
        server: The server of its database, if there is one.
        api_key: A key with all scopes.
    """

    environment: Mapping[str, str]
    state: State
    server: DatabaseServer | None
    api_key: str

    @property
    def headers(self) -> dict[str, str]:
        """What each request to the API has."""
        return {"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"}

    def rows(self, statement: str, **values: Any) -> list[Any]:
        """Return what a query finds."""
        with self.state.engine.connect() as connection:
            return [*connection.execute(text(statement), values)]

    def has_nothing_left(self) -> bool:
        """Whether all that was published has ended."""
        outbox = self.state.outbox
        left = outbox.deliveries(states=("waiting", "due", "claimed"), limit=1)
        return not left and not outbox.numbers().unrouted


@contextmanager
def in_sqlite(folder: Path, **settings: str) -> Iterator[Installed]:
    """Install a service with a SQLite file."""
    yield from _installed(f"sqlite:///{folder / 'service.sqlite3'}", None, settings)


@contextmanager
def in_postgresql(_folder: Path, **settings: str) -> Iterator[Installed]:
    """Install a service with a PostgreSQL of its own."""
    with postgresql_server() as server:
        url = f"postgresql+psycopg://postgres@/postgres?host={server.settings['HOST']}"
        yield from _installed(url, server, settings)


def _installed(
    url: str, server: DatabaseServer | None, settings: Mapping[str, str]
) -> Iterator[Installed]:
    chosen = {
        "database_url": url,
        "keys": Fernet.generate_key().decode(),
        "allow_addresses": "127.0.0.0/8",
        "requests_per_minute": "10000000",
        **settings,
    }
    path = [str(ROOT / "examples/delivery_service"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {f"{PREFIX}{name.upper()}": value for name, value in chosen.items()}
    given: dict[str, Any] = chosen
    state = State.of(Settings(**given))
    try:
        migrate(state.engine, state.outbox)
        with state.sessions.begin() as session:
            session.add(Tenant(id=TENANT, name="Acme", created_at=0))
            session.flush()
            api_key = create_key(session, TENANT, "tests", SCOPES)
        yield Installed(
            environment={**environment, "PYTHONPATH": os.pathsep.join(path)},
            state=state,
            server=server,
            api_key=api_key,
        )
    finally:
        state.close()
