"""Rotating the secret of an endpoint, which is stored encrypted."""

from __future__ import annotations

import json
import math
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

import frappe_hooksig
from frappe_hooksig import ConfigurationError, Scheme, Secret, Verifier
from frappe_hooksig.exceptions import VerificationError
from frappe_hooksig.outbox._secrets import Vault, end_of
from frappe_hooksig.providers import GITHUB, STANDARD_WEBHOOKS
from frappe_hooksig.testing import FakeReceiver, ReceivedRequest
from tests.outbox.places import URL, Place
from tests.outbox.post import Post, Shifted

PACKAGE = str(Path(frappe_hooksig.__file__).parent)
KEY, OTHER_KEY = Fernet.generate_key(), Fernet.generate_key()
SECRETS = {
    "first": "whsec_UXYzcjBtWjh0WXA1TGsyWHc5QmM3TmQ0",
    "second": "whsec_S3o1UnRZYjNOYzZWZjFacTRIOTAxMjM0",
    "third": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}
HOUR = 3600.0


class Rotated:
    """An outbox with one endpoint that has a stored secret, and a clock that can be shifted.

    Args:
        place: The place.
        url: Where its endpoint is.
        options: For the endpoint.
    """

    def __init__(self, place: Place, url: str = URL, **options: Any) -> None:
        self.database = Shifted(place.database())
        self.post = Post(place, self.database, keys=[KEY])
        self.outbox = self.post.outbox
        self.id = self.post.endpoint(url, secret_from=(), secret=SECRETS["first"], **options)

    def rotate(self, name: str, **options: Any) -> float:
        """Rotate to a secret, and return in how many seconds the old one ends; inf without any."""
        endpoint = self.outbox.rotate_secret(self.id, SECRETS[name], **options)
        return (endpoint.old_secret_ends or math.inf) - self.now()

    def later(self, seconds: float) -> None:
        """Put the clock of the database forward."""
        self.database.offset += int(seconds * 1000)

    def now(self) -> float:
        """Return the time by the clock of the database, in Unix seconds."""
        return time.time() + self.database.offset / 1000

    def signers(self, receiver: FakeReceiver, scheme: Scheme = STANDARD_WEBHOOKS) -> list[str]:
        """Send a message, and return the names of the secrets that have signed it."""
        self.post.publish()
        assert self.post.send() == 1
        request: ReceivedRequest = receiver.requests[-1]
        found = []
        for name, secret in SECRETS.items():
            verifier = Verifier(secret, scheme=scheme, clock=self.now)
            with suppress(VerificationError):
                verifier.verify(request.body, dict(request.headers))
                found.append(name)
        return found

    @property
    def stored(self) -> int:
        """How many secrets the row has."""
        return len(self.outbox.endpoint(self.id).secret_from)


@pytest.fixture
def place(store: Place) -> Place:
    """Return each kind of database in turn."""
    return store


def test_both_sign_until_the_end(place: Place) -> None:
    """The old secret signs beside the new one, and not a moment longer; nobody has to act."""
    with FakeReceiver() as receiver:
        rotated = Rotated(place, receiver.url)

        left = rotated.rotate("second", overlap=HOUR)

        assert left == pytest.approx(HOUR, abs=10)
        assert rotated.outbox.endpoint(rotated.id).secret_from == ("encrypted",) * 2
        assert rotated.signers(receiver) == ["first", "second"]
        rotated.later(HOUR - 60)
        assert rotated.signers(receiver) == ["first", "second"]
        rotated.later(61)
        assert rotated.signers(receiver) == ["second"]
        assert rotated.stored == 2
        rotated.outbox.change_endpoint(rotated.id, concurrency=3)
        assert rotated.stored == 1
        assert rotated.outbox.endpoint(rotated.id).old_secret_ends is None
        assert rotated.signers(receiver) == ["second"]


def test_a_day_by_default(place: Place) -> None:
    """That is enough for a receiver whose owner changes it by hand."""
    assert Rotated(place).rotate("second") == pytest.approx(86_400, abs=10)


def test_at_once(sqlite: Place) -> None:
    """Without overlap, nothing that was there before signs any more."""
    with FakeReceiver() as receiver:
        rotated = Rotated(sqlite, receiver.url)
        rotated.rotate("second")

        assert rotated.rotate("third", overlap=0) == math.inf
        assert rotated.stored == 1
        assert rotated.signers(receiver) == ["third"]


def test_one_signature(sqlite: Place) -> None:
    """A scheme with room for one signature has that of the new secret at once."""
    with FakeReceiver() as receiver:
        rotated = Rotated(sqlite, receiver.url, scheme="github")

        assert rotated.rotate("second", overlap=HOUR) == math.inf
        assert rotated.signers(receiver, GITHUB) == ["second"]


def test_another_scheme(sqlite: Place) -> None:
    """If the endpoint gets a scheme with one signature meanwhile, the old secret goes."""
    rotated = Rotated(sqlite)
    rotated.rotate("second")

    rotated.outbox.change_endpoint(rotated.id, scheme="github")

    assert rotated.stored == 1


def test_twice(sqlite: Place) -> None:
    """A second rotation within the overlap keeps the end of the first, unless it is sooner."""
    with FakeReceiver() as receiver:
        rotated = Rotated(sqlite, receiver.url)
        rotated.rotate("second", overlap=HOUR)
        rotated.rotate("third", overlap=2 * HOUR)
        assert rotated.signers(receiver) == ["first", "second", "third"]

        rotated.later(HOUR + 1)

        assert rotated.signers(receiver) == ["second", "third"]
        left = rotated.rotate("first", overlap=60)
        assert left == pytest.approx(60, abs=10)
        assert rotated.stored == 3


def test_back(sqlite: Place) -> None:
    """A secret that was replaced by mistake can come back, and has no end then."""
    with FakeReceiver() as receiver:
        rotated = Rotated(sqlite, receiver.url)
        rotated.rotate("second", overlap=HOUR)

        rotated.rotate("first", overlap=HOUR)

        assert rotated.stored == 2
        rotated.later(HOUR + 1)
        assert rotated.signers(receiver) == ["first"]


def test_the_same_secret(sqlite: Place) -> None:
    """It is no rotation, so the caller has made a mistake."""
    rotated = Rotated(sqlite)

    with pytest.raises(ConfigurationError, match="is the secret of the endpoint already"):
        rotated.rotate("first")


def test_no_more_than_the_scheme_can_carry() -> None:
    """The oldest go."""
    vault = Vault([KEY], {})
    several = [vault.encrypted("ep_1", Secret(each)) for each in ("one " * 9, "two " * 9)]

    new = vault.replaced("ep_1", several, Secret("new " * 9), end=77, most=2)

    assert [vault.read("ep_1", each)[:3] for each in new] == ["new", "one"]
    assert [end_of(each) for each in new] == [None, 77]


def test_two_at_once(place: Place) -> None:
    """Neither is lost."""
    rotated = Rotated(place)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(rotated.rotate, ["second", "third"]))

    assert rotated.stored == 3


def test_keys_are_rotated(place: Place) -> None:
    """What is encrypted anew ends when it ended before; what has ended is not encrypted anew."""
    rotated = Rotated(place)
    rotated.rotate("second", overlap=HOUR)
    rotated.rotate("third", overlap=2 * HOUR)
    ends = rotated.outbox.endpoint(rotated.id).old_secret_ends
    newer = Post(place, rotated.database, keys=[OTHER_KEY, KEY]).outbox

    assert newer.rotate_keys() == 3
    assert newer.endpoint(rotated.id).old_secret_ends == ends
    rotated.later(HOUR + 1)
    assert newer.rotate_keys() == 2
    assert rotated.stored == 2


def test_a_key_that_was_lost(sqlite: Place) -> None:
    """Nobody can sign with the old secret any more, so the new one is alone."""
    rotated = Rotated(sqlite)
    newer = Post(sqlite, keys=[OTHER_KEY]).outbox

    endpoint = newer.rotate_secret(rotated.id, SECRETS["second"])

    assert endpoint.secret_from == ("encrypted",)


def test_references(sqlite: Place) -> None:
    """A secret that is somewhere else is rotated there."""
    rotated = Rotated(sqlite)
    rotated.outbox.change_endpoint(rotated.id, secret_from="env:SECRET")

    with pytest.raises(ConfigurationError, match=r"change_endpoint\(secret_from="):
        rotated.rotate("second")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"secret": "no base64, but " + SECRETS["second"][6:]}, "must be base64"),
        ({"endpoint_id": "ep_1"}, "there is no endpoint 'ep_1'"),
        ({"tenant": "other"}, "there is no endpoint 'ep_"),
        ({"overlap": -1}, "overlap= must be a number from 0 to"),
        ({"overlap": 31 * 86_400}, "overlap= must be a number from 0 to"),
        ({"secret": ""}, "the secret is empty"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_refused(sqlite: Place, arguments: dict[str, Any], message: str) -> None:
    """Nothing is changed, and neither the error nor a frame shows a secret."""
    rotated = Rotated(sqlite, tenant="acme")
    given = {"endpoint_id": rotated.id, "secret": SECRETS["second"], "tenant": "acme"}

    with pytest.raises(ConfigurationError, match=message) as caught:
        rotated.outbox.rotate_secret(**{**given, **arguments})

    stack = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    ours = [str(each.locals) for each in stack if each.filename.startswith(PACKAGE)]
    shown = f"{caught.value!r} {caught.value.__context__!r} {ours}"
    assert [each for each in SECRETS.values() if each[6:] in shown] == []
    assert rotated.stored == 1


def test_of_a_tenant(sqlite: Place) -> None:
    """Their own endpoint can be rotated, also to a `Secret`."""
    rotated = Rotated(sqlite, tenant="acme")

    rotated.outbox.rotate_secret(rotated.id, Secret(SECRETS["second"]), tenant="acme")

    assert rotated.stored == 2


def test_nothing_is_shown(sqlite: Place) -> None:
    """Neither the record nor the row has a secret."""
    rotated = Rotated(sqlite)
    rotated.rotate("second")

    ((row,),) = sqlite.rows("SELECT secrets FROM hooksig_endpoints")
    shown = f"{rotated.outbox.endpoint(rotated.id)!r} {row}"
    assert len(json.loads(row)) == 2
    assert [each for each in SECRETS.values() if each[6:] in shown] == []
