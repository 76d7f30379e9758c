"""Rotating the keys that encrypt secrets and headers in the tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from frappe_hooksig import ConfigurationError
from frappe_hooksig.outbox import Outbox, Worker
from frappe_hooksig.sending import AddressGuard
from frappe_hooksig.testing import FakeReceiver

OLD, NEW = Fernet.generate_key(), Fernet.generate_key()
SECRET = "whsec_4mF1qk0sLr9xT2bW7cYd8hJ3nV6pZ5aG"


@pytest.fixture
def outbox_with(tmp_path: Path) -> Iterator[Callable[..., Outbox]]:
    """A function that opens the outbox with some keys."""
    with ExitStack() as opened:

        def make(*keys: bytes) -> Outbox:
            guard = AddressGuard(["127.0.0.1"])
            made = opened.enter_context(closing(Outbox(tmp_path / "a.db", keys=keys, guard=guard)))
            made.migrate()
            return made

        yield make


def test_rotated(outbox_with: Callable[..., Outbox], tmp_path: Path) -> None:
    """All is encrypted with the new key; references stay, and the worker reads what it read."""
    with FakeReceiver() as receiver:
        one = outbox_with(OLD).add_endpoint(
            receiver.url, secret=SECRET, headers={"X-One": "one"}, headers_from={"X-Two": "env:TWO"}
        )
        other = outbox_with().add_endpoint(receiver.url, secret_from="env:OTHER", tenant="acme")

        assert outbox_with(NEW, OLD).rotate_keys() == 2

        outbox = outbox_with(NEW)
        assert outbox.endpoint(other.id) == other
        outbox.change_endpoint(one.id, headers={"X-One": "one"})
        with closing(sqlite3.connect(tmp_path / "a.db")) as connection, connection:
            outbox.publish(connection, "invoice.paid", {})
        Worker(outbox).run(once=True)
        assert receiver.requests[0].header("X-One") == "one"


@pytest.mark.parametrize("keys", [[NEW], []], ids=["another", "none"])
def test_without_the_old_key(outbox_with: Callable[..., Outbox], keys: list[bytes]) -> None:
    """Without the old key nothing is changed, and no error shows a value."""
    outbox_with(OLD).add_endpoint("https://partner.example/", secret=SECRET)

    with pytest.raises(ConfigurationError, match="keys=") as caught:
        outbox_with(*keys).rotate_keys()

    assert caught.value.__context__ is None
    assert outbox_with(NEW, OLD).rotate_keys() == 1


def test_of_another_endpoint(outbox_with: Callable[..., Outbox], tmp_path: Path) -> None:
    """What was copied from another endpoint is refused, not adopted."""
    outbox = outbox_with(OLD)
    outbox.add_endpoint("https://partner.example/", secret=SECRET)
    outbox.add_endpoint("https://partner.example/", secret=SECRET[:-4] + "0000")
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection, connection:
        connection.execute(
            "UPDATE hooksig_endpoints SET secrets = (SELECT max(secrets) FROM hooksig_endpoints)"
        )

    with pytest.raises(ConfigurationError, match="belongs to another endpoint"):
        outbox.rotate_keys()


def test_nothing_to_rotate(outbox_with: Callable[..., Outbox]) -> None:
    """Without any encrypted value, there is nothing to do, and no key is needed."""
    outbox_with().add_endpoint("https://partner.example/", secret_from="env:SECRET")

    assert outbox_with().rotate_keys() == 0
