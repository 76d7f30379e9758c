"""The service with its page: a server on loopback, its tenants, and people who visit it."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from argon2 import PasswordHasher
from cryptography.fernet import Fernet
from delivery_service.account import NewMessage
from delivery_service.migrating import migrate
from delivery_service.people import log_in
from delivery_service.settings import PREFIX, Settings
from delivery_service.state import State
from delivery_service.tables import Person, Tenant
from sqlalchemy import select

from frappe_hooksig.outbox import DeliveryRecord
from tests.loopback import ROOT, Server, free_port, uvicorn

PASSWORD = "correct horse battery"
SESSION = "delivery-service-session"
_PASSWORD_HASH = PasswordHasher().hash(PASSWORD)
_FOLDER = ROOT / "examples" / "delivery_service"
_APP = "delivery_service.app:create_app"


class Visitor(httpx.Client):
    """A browser without scripts: it keeps cookies, and fills in forms.

    Attributes:
        origin: What it says its pages come from.
    """

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url=base_url, timeout=30)
        self.origin = base_url

    def log_in(self, email: str, password: str = PASSWORD, **fields: str) -> httpx.Response:
        """Log in."""
        every = {"email": email, "password": password, **fields}
        return self.post("/login", data=every, headers={"Origin": self.origin})

    def token(self) -> str:
        """Return the CSRF token of the session."""
        return field_of(self.get("/endpoints").text, "csrf_token")

    def submit(self, path: str, **fields: str | list[str]) -> httpx.Response:
        """Send a form as a person does, with the hidden fields that are in every page."""
        hidden = {"csrf_token": self.token(), "form_id": os.urandom(8).hex()}
        return self.post(path, data={**hidden, **fields}, headers={"Origin": self.origin})


class Running:
    """A service that runs, and the same database as its operator sees it.

    Attributes:
        url: Where its page is.
        server: Its process.
        state: Its database, in the process of the tests.
    """

    def __init__(self, url: str, server: Server, state: State) -> None:
        self.url = url
        self.server = server
        self.state = state
        self._numbers = count(1)

    def tenant(self) -> str:
        """Add a tenant with a person, and return its id."""
        tenant = f"tenant-{next(self._numbers)}"
        with self.state.sessions.begin() as session:
            session.add(Tenant(id=tenant, name=f"The {tenant}", created_at=0))
            session.flush()
            person = Person(
                tenant_id=tenant,
                email=email_of(tenant),
                password_hash=_PASSWORD_HASH,
                created_at=0,
            )
            session.add(person)
        return tenant

    @contextmanager
    def visitor(self, tenant: str = "") -> Iterator[Visitor]:
        """Open a browser until the block ends, logged in if a tenant is given."""
        with Visitor(self.url) as visitor:
            if tenant:
                visitor.cookies.set(SESSION, self._session(tenant), domain="127.0.0.1")
            yield visitor

    def _session(self, tenant: str) -> str:
        # Each password takes a part of a second: `test_login` does that.
        with self.state.sessions.begin() as session:
            query = select(Person).where(Person.email == email_of(tenant))
            return log_in(session, session.scalars(query).one(), 1)

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


def email_of(tenant: str) -> str:
    """Return the email of the person of a tenant."""
    return f"{tenant}@people.example"


def field_of(text: str, name: str) -> str:
    """Return the value of a field in a page."""
    found = re.search(f'name="{name}" value="([^"]*)"', text)
    assert found, text
    return html.unescape(found[1])


def secret_of(text: str) -> str:
    """Return the secret that a page shows."""
    found = re.search('<textarea id="secret"[^>]*>([^<]*)</textarea>', text)
    assert found, text
    return html.unescape(found[1])


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Running]:
    """Run the service on a new database, until the block ends."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    chosen = {
        "database_url": f"sqlite:///{folder / 'service.db'}",
        "keys": Fernet.generate_key().decode(),
        "public_url": url,
        "allow_addresses": "127.0.0.0/8",
        "requests_per_minute": "100000",
        "timeout": "1",
        "installation": "tests",
        **settings,
    }
    environment = {f"{PREFIX}{name.upper()}": value for name, value in chosen.items()}
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(_FOLDER)]))
    state = State.of(Settings(**chosen))  # type: ignore[arg-type]  # as in the environment
    try:
        migrate(state.engine, state.outbox)
        with uvicorn(_APP, "--factory", f"--port={port}", PYTHONPATH=path, **environment) as server:
            yield Running(url, server, state)
    finally:
        state.close()
