"""What is written to a database that was moved away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from delivery_service.account import Account, NewMessage
from delivery_service.migrating import migrate
from delivery_service.moves import mark, place_of
from delivery_service.people import add_person
from delivery_service.problems import Problem
from delivery_service.settings import Settings
from delivery_service.state import State
from delivery_service.tables import Tenant

from frappe_hooksig.outbox import Worker
from frappe_hooksig.testing import FakeReceiver

KEY = Fernet.generate_key().decode()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """A service with a tenant."""
    url = f"sqlite:///{tmp_path / 'service.db'}"
    settings = Settings.read(database_url=url, keys=KEY, allow_addresses="127.0.0.1")
    with closing(State.of(settings)) as state:
        migrate(state.engine, state.outbox)
        with state.sessions.begin() as session:
            session.add(Tenant(id="acme", name="Acme", created_at=0))
        yield state


@pytest.mark.parametrize(
    "write",
    [
        lambda account, _, __: account.publish([NewMessage(event_type="a", payload=1)]),
        lambda account, endpoint, _: account.send_test(endpoint),
        lambda account, _, delivery: account.send_one(delivery, as_new=False),
        lambda account, _, delivery: account.send_one(delivery, as_new=True),
        lambda account, endpoint, _: account.send_several(
            endpoint, as_new=False, states=["delivered"]
        ),
        lambda account, _, __: account.add_endpoint("https://shop.example/"),
        lambda account, endpoint, _: account.change_endpoint(endpoint, url="https://b.example/"),
        lambda account, endpoint, _: account.change_endpoint(endpoint, description="a"),
        lambda account, endpoint, _: account.rotate_secret(endpoint, overlap=0),
        lambda account, endpoint, _: account.pause(endpoint),
        lambda account, endpoint, _: account.resume(endpoint),
        lambda account, endpoint, _: account.delete_endpoint(endpoint),
    ],
    ids=[
        *("publish", "test", "again", "as new", "several", "add", "change", "describe", "rotate"),
        *("pause", "resume", "delete"),
    ],
)
def test_late_writers(state: State, write: Callable[[Account, str, int], Any]) -> None:
    """A request that was let in before the move, and writes after it, is refused."""
    account = state.account("acme")
    with FakeReceiver() as receiver:
        endpoint = account.add_endpoint(receiver.url)[0].endpoint.id
        account.publish([NewMessage(event_type="a", payload=1)])
        Worker(state.outbox).run(once=True)
    (delivery,) = account.deliveries()
    with state.engine.begin() as connection:
        mark(connection, state.settings, int(time.time()))

    with pytest.raises(Problem) as raised:
        write(account, endpoint, delivery.id)

    assert (raised.value.status_code, raised.value.code) == (503, "moved")


def test_own_tables(state: State) -> None:
    """What a session has added is not committed."""
    with state.engine.begin() as connection:
        mark(connection, state.settings, int(time.time()))

    session = state.sessions()
    add_person(session, "acme", "anna@acme.example", "correct horse battery")
    with pytest.raises(Problem, match="another database"):
        session.commit()
    session.close()


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("sqlite:////var/lib/hooks.db", "sqlite /var/lib/hooks.db"),
        ("postgresql+psycopg://a:s3cret@db/hooks?password=s3cret", "postgresql hooks at db"),
        (
            "postgresql+psycopg://a@/hooks?host=/run/postgresql",
            "postgresql hooks at /run/postgresql",
        ),
        ("postgresql+psycopg:///hooks", "postgresql hooks"),
    ],
    ids=["file", "password", "socket", "no host"],
)
def test_place(url: str, place: str) -> None:
    """Where a database is has no user and no password."""
    assert place_of(Settings.read(database_url=url, keys=KEY)) == place
