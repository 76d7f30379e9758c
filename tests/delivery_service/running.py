"""A service on this machine: installed in a folder, and run, with its tenants and their people."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_hex
from threading import Thread
from typing import Any

import uvicorn
from argon2 import PasswordHasher
from cryptography.fernet import Fernet
from delivery_service.account import NewMessage
from delivery_service.api_keys import SCOPES, Scope, create_key
from delivery_service.app import create_app
from delivery_service.migrating import migrate
from delivery_service.people import log_in
from delivery_service.settings import PREFIX, Settings
from delivery_service.state import State
from delivery_service.tables import Person, Tenant
from sqlalchemy import create_engine, select, text

from frappe_hooksig.outbox import DeliveryRecord
from tests.databases import DatabaseServer, postgresql_server
from tests.delivery_service.calling import Caller, Documented
from tests.delivery_service.pages.visiting import PASSWORD, SESSION, Visitor, email_of
from tests.outbox.running import wait_until

TENANT = "acme"
# Verifying takes as much as the hash says: here, next to nothing.
_PASSWORD_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


@dataclass(frozen=True, kw_only=True)
class Installed:
    """A service that is installed: it has its settings and its tables.

    Attributes:
        environment: What its processes have.
        state: What it has, opened by the test.
        database: The server of its database, if there is one.
        headers: What the requests of the tenant `TENANT` to the API have.
    """

    environment: Mapping[str, str]
    state: State
    database: DatabaseServer | None
    headers: dict[str, str] = field(default_factory=dict)

    def tenant(self, tenant: str = "") -> str:
        """Return a tenant with a person: a new one, if none is named."""
        tenant = tenant or f"tenant-{token_hex(4)}"
        with self.state.sessions.begin() as session:
            if session.get(Tenant, tenant) is None:
                session.add(Tenant(id=tenant, name=f"The {tenant}", created_at=int(time.time())))
                session.flush()
                person = Person(tenant_id=tenant, email=email_of(tenant), created_at=0)
                person.password_hash = _PASSWORD_HASH
                session.add(person)
        return tenant

    def key(self, tenant: str, scopes: tuple[Scope, ...] = SCOPES) -> str:
        """Return a new API key of a tenant."""
        with self.state.sessions.begin() as session:
            return create_key(session, tenant, "tests", scopes)

    def endpoint(self, tenant: str, url: str = "https://hooks.example/", **options: Any) -> str:
        """Add an endpoint, and return its id."""
        added, _ = self.state.account(tenant).add_endpoint(url, **options)
        return added.endpoint.id

    def deliver(
        self, tenant: str, event_type: str = "invoice.paid", payload: object = None
    ) -> list[DeliveryRecord]:
        """Publish a message, send what is due, and return its deliveries."""
        account = self.state.account(tenant)
        (message,) = account.publish([NewMessage(event_type=event_type, payload=payload)])
        self.state.outbox.drain()
        return account.deliveries(message=message)

    def rows(self, statement: str, **values: Any) -> list[Any]:
        """Return what a query finds."""
        with self.state.engine.connect() as connection:
            return [*connection.execute(text(statement), values)]

    def has_nothing_left(self) -> bool:
        """Whether all that was published has ended."""
        outbox = self.state.outbox
        left = outbox.deliveries(states=("waiting", "due", "claimed"), limit=1)
        return not left and not outbox.numbers().unrouted


@dataclass(frozen=True, kw_only=True)
class Service(Installed):
    """A service that runs in this process, and listens.

    Attributes:
        port: Where it listens.
        documented: What it says of itself.
        log: What it has logged so far.
    """

    port: int
    documented: Documented
    log: list[str]

    @property
    def url(self) -> str:
        """Where its page is."""
        return f"http://127.0.0.1:{self.port}"

    def caller(self, tenant: str = "", scopes: tuple[Scope, ...] = SCOPES) -> Caller:
        """Return somebody with a new key of a tenant; of a new one, if none is named."""
        tenant = self.tenant(tenant)
        return Caller(tenant, self.port, self.key(tenant, scopes), self.documented)

    def stranger(self, key: str = "") -> Caller:
        """Return somebody whose key is none of this service."""
        return Caller("", self.port, key, self.documented)

    @contextmanager
    def visitor(self, tenant: str = "") -> Iterator[Visitor]:
        """Open a browser until the block ends, logged in if a tenant is given."""
        with Visitor(self.url, self.state.settings.public_url) as visitor:
            if tenant:
                visitor.cookies.set(SESSION, self._session(tenant), domain="127.0.0.1")
            yield visitor

    def _session(self, tenant: str) -> str:
        with self.state.sessions.begin() as session:
            query = select(Person).where(Person.email == email_of(tenant))
            return log_in(session, session.scalars(query).one(), 1)


def usual_settings(url: str) -> dict[str, str]:
    """Return what tests choose for a service with this database."""
    return {
        "database_url": url,
        "keys": Fernet.generate_key().decode(),
        "allow_addresses": "127.0.0.0/8",
        "requests_per_minute": "10000000",
        "timeout": "1",
        "installation": "tests",
    }


def environment_of(settings: Mapping[str, str]) -> dict[str, str]:
    """Return settings as variables of the environment."""
    return {f"{PREFIX}{name.upper()}": value for name, value in settings.items()}


@contextmanager
def in_sqlite(folder: Path, **settings: object) -> Iterator[Installed]:
    """Install a service with a SQLite file."""
    with _installed(f"sqlite:///{folder / 'service.db'}", None, settings) as installed:
        yield installed


@contextmanager
def in_postgresql(_folder: Path, **settings: object) -> Iterator[Installed]:
    """Install a service with a PostgreSQL of its own."""
    with (
        postgresql_server() as server,
        _installed(empty_database(server), server, settings) as installed,
    ):
        yield installed


def empty_database(server: DatabaseServer) -> str:
    """Make a database, and return its URL."""
    url = f"postgresql+psycopg://postgres@/{{}}?host={server.settings['HOST']}"
    name = f"service_{token_hex(4)}"
    engine = create_engine(url.format("postgres"), isolation_level="AUTOCOMMIT")
    with closing(engine.connect()) as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return url.format(name)


@contextmanager
def _installed(
    url: str, database: DatabaseServer | None, settings: Mapping[str, object]
) -> Iterator[Installed]:
    chosen = usual_settings(url) | {name: str(each) for name, each in settings.items()}
    with closing(State.of(Settings.read(**chosen))) as state:
        migrate(state.engine, state.outbox)
        installed = Installed(environment=environment_of(chosen), state=state, database=database)
        key = installed.key(installed.tenant(TENANT))
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        yield replace(installed, headers=headers)


Opens = Callable[..., AbstractContextManager[Installed]]


@contextmanager
def running(folder: Path, opens: Opens = in_sqlite, **settings: Any) -> Iterator[Service]:
    """Install a service and run it in a thread, until the block ends.

    Args:
        folder: Where its files are.
        opens: Installs it.
        settings: Settings in small letters, as in the environment.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with (
            opens(folder, **{"public_url": url, **settings}) as installed,
            serving(installed, listening) as service,
        ):
            yield service


@contextmanager
def serving(installed: Installed, listening: socket.socket) -> Iterator[Service]:
    """Run a service that is installed, until the block ends."""
    app = create_app(installed.state.settings)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, log_level="info"))
    thread = Thread(target=server.run, args=([listening],))
    with _logged() as log:
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive())
            assert server.started, log
            yield Service(
                **vars(installed),
                port=listening.getsockname()[1],
                documented=Documented(app.openapi()),
                log=log,
            )
        finally:
            server.should_exit = True
            thread.join()


# Of the service, and of what it stands on.
_LOGGERS = {"delivery_service", "frappe_hooksig", "sqlalchemy", "uvicorn"}


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextmanager
def _logged() -> Iterator[list[str]]:
    """Collect what the service logs, until the block ends: other tests log meanwhile, too."""
    handler = _Lines()
    handler.addFilter(lambda record: record.name.partition(".")[0] in _LOGGERS)
    logging.getLogger().addHandler(handler)
    try:
        yield handler.lines
    finally:
        logging.getLogger().removeHandler(handler)
