"""Rotating the keys that encrypt secrets and headers in the tables."""

from __future__ import annotations

import sqlite3
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from frappe_hooksig import ConfigurationError
from frappe_hooksig.outbox import Outbox, Worker
from frappe_hooksig.sending import AddressGuard
from frappe_hooksig.testing import FakeReceiver
from tests.outbox.places import Place

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


def test_right_keys(place: Place) -> None:
    """All that is stored encrypted is decrypted, of however many endpoints, and nothing changes."""
    outbox = place.outbox(keys=[OLD])
    for number in range(501):
        outbox.add_endpoint(f"https://partner.example/{number}", secret=SECRET)
    outbox.add_endpoint(
        "https://partner.example/", secret_from="env:SECRET", headers={"X-One": "one"}
    )
    before = place.rows("SELECT id, secrets, headers, revision FROM hooksig_endpoints ORDER BY id")

    assert outbox.check_keys() == 502
    assert place.outbox(keys=[NEW, OLD]).check_keys() == 502

    after = place.rows("SELECT id, secrets, headers, revision FROM hooksig_endpoints ORDER BY id")
    assert after == before


@pytest.mark.parametrize("keys", [[NEW], []], ids=["another", "none"])
def test_wrong_keys(place: Place, keys: list[bytes]) -> None:
    """It is said which endpoint it is, how many values, and what to do; nothing is changed."""
    endpoint = place.outbox(keys=[OLD]).add_endpoint(
        "https://partner.example/", secret=SECRET, headers={"X-One": "one"}
    )
    outbox = place.outbox(keys=keys)

    with pytest.raises(ConfigurationError) as caught:
        outbox.check_keys()

    says = str(caught.value)
    assert says.startswith("2 of 2 stored secrets and headers cannot be decrypted")
    assert f"one of the endpoint {endpoint.id}: " in says
    assert "Give keys= the key that encrypted them" in says
    assert caught.value.__context__ is None
    assert outbox.endpoint(endpoint.id) == endpoint


def test_key_of_a_secret_that_has_ended(place: Place) -> None:
    """Its key can be gone: it signs nothing any more."""
    outbox = place.outbox(keys=[OLD])
    endpoint = outbox.add_endpoint("https://partner.example/", secret=SECRET)
    newer = place.outbox(keys=[NEW, OLD])
    newer.rotate_secret(endpoint.id, SECRET[:-4] + "0000", overlap=0.001)
    time.sleep(0.01)

    assert place.outbox(keys=[NEW]).check_keys() == 1


def test_check_of_a_moved_value(outbox_with: Callable[..., Outbox], tmp_path: Path) -> None:
    """What was copied from another endpoint is named, too."""
    outbox = outbox_with(OLD)
    outbox.add_endpoint("https://partner.example/", secret=SECRET)
    outbox.add_endpoint("https://partner.example/", secret=SECRET[:-4] + "0000")
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection, connection:
        connection.execute(
            "UPDATE hooksig_endpoints SET secrets = (SELECT max(secrets) FROM hooksig_endpoints)"
        )

    with pytest.raises(ConfigurationError, match=r"1 of 2 .* belongs to another endpoint"):
        outbox.check_keys()


def test_check_shows_no_secret(outbox_with: Callable[..., Outbox]) -> None:
    """No frame of the error has a value, encrypted or not."""
    outbox_with(OLD).add_endpoint("https://partner.example/", secret=SECRET)

    with pytest.raises(ConfigurationError) as caught:
        outbox_with(NEW).check_keys()

    frames = [*traceback.walk_tb(caught.value.__traceback__)]
    own = [each for each, _ in frames if "frappe_hooksig" in each.f_code.co_filename]
    assert own
    assert not [each for each in own if "gAAAA" in repr(each.f_locals)]
