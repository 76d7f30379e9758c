"""The senders of a process: one for each endpoint, with the secrets that are valid now."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

import frappe_hooksig
from frappe_hooksig import ConfigurationError, Secret
from frappe_hooksig.outbox._claims import Claimed
from frappe_hooksig.outbox._endpoints import Row
from frappe_hooksig.outbox._formats import Formats
from frappe_hooksig.outbox._secrets import Unavailable, Vault
from frappe_hooksig.outbox._senders import Senders
from frappe_hooksig.outbox._settling import Fault
from frappe_hooksig.sending import STANDARD_WEBHOOKS, Sender
from frappe_hooksig.testing import FakeReceiver
from tests.outbox.places import LOOPBACK, URL

PACKAGE = str(Path(frappe_hooksig.__file__).parent)
TOKEN = "Kz5RtYb3Nc6Vf1Zq"
OLD = "whsec_UXYzcjBtWjh0WXA1TGsyWHc5QmM3TmQ0"
NEW = "whsec_S3o1UnRZYjNOYzZWZjFacTRIOTAxMjM0"


class Kept:
    """Where the values are, and senders that are made of them."""

    def __init__(self) -> None:
        self.values = {"secret": OLD, "old": OLD, "new": NEW, "token": TOKEN, "bad": "****"}
        self.values["text"] = f"{TOKEN}, but no base64"
        self.made: list[Sender] = []
        self.key = Fernet.generate_key()
        self.vault = Vault([self.key], {"own": self.values.get})
        self.now: float | None = None  # by default, that of this machine
        self.senders = Senders(self.vault, self.make, Formats({}), self.clock)

    def clock(self) -> float:
        """Return the time of the senders."""
        return time.time() if self.now is None else self.now

    def make(self, secret: Any, **options: Any) -> Sender:
        """Make a sender, and remember it."""
        sender = Sender(secret, guard=LOOPBACK, observe=(), clock=self.clock, **options)
        self.made.append(sender)
        return sender


@pytest.fixture
def kept() -> Iterator[Kept]:
    """Return senders, which are closed at the end."""
    kept = Kept()
    yield kept
    kept.senders.close()


def row(
    endpoint: str = "ep_1",
    secrets: tuple[str, ...] = ("own:secret",),
    headers: dict[str, str] | None = None,
    **options: Any,
) -> Row:
    """Return the row of an endpoint."""
    facts: dict[str, Any] = {
        "id": endpoint,
        "url": URL,
        "tenant": "",
        "event_types": ("*",),
        "method": "POST",
        "scheme": "standard-webhooks",
        "format": None,
        "secret_from": secrets,
        "old_secret_ends": None,
        "header_names": tuple(headers or {}),
        "order": "none",
        "hold": 0.0,
        "concurrency": 8,
        "rate": None,
        "schedule": STANDARD_WEBHOOKS,
        "state": "active",
        "reason": "",
        "message": "",
        "created_at": 0.0,
        "failing_since": None,
        "failures": 0,
    }
    record = frappe_hooksig.outbox.Endpoint(**{**facts, **options})
    return Row(record, secrets, headers or {}, 1)


def claimed() -> Claimed:
    """Return a delivery that is to be sent."""
    return Claimed(
        id=1,
        message=1,
        sent_as="msg_1",
        endpoint="ep_1",
        revision=1,
        process="p",
        size=2,
        attempts=0,
        tries=0,
        lost=0,
        lane=None,
        hold_until=None,
        is_set_aside=0,
        was_good=True,
        pace="new",
        payload=b"{}",
    )


def wait_until_stale() -> None:
    """Wait until a secret is read again."""
    time.sleep(1.05)


def test_one_sender_for_an_endpoint(kept: Kept) -> None:
    """It is kept, with its connections; one for JSON and one for other bytes."""
    first = kept.senders.of(row(), is_json=True)

    assert kept.senders.of(row(), is_json=True) is first
    assert kept.senders.of(row(), is_json=False) is not first
    assert kept.senders.of(row("ep_2"), is_json=True) is not first
    assert len(kept.made) == 3


def test_another_revision(kept: Kept) -> None:
    """A change of the endpoint counts at once."""
    first = kept.senders.of(row(), is_json=True)

    changed = kept.senders.of(replace(row(method="PUT"), revision=2), is_json=True)

    assert changed is not first
    assert kept.senders.of(replace(row(method="PUT"), revision=2), is_json=True) is changed


def test_a_secret_that_has_changed(kept: Kept) -> None:
    """It is read again after a second; if nothing has changed, the sender stays."""
    first = kept.senders.of(row(), is_json=True)
    kept.values["secret"] = NEW
    assert kept.senders.of(row(), is_json=True) is first
    wait_until_stale()

    second = kept.senders.of(row(), is_json=True)
    wait_until_stale()

    assert second is not first
    assert kept.senders.of(row(), is_json=True) is second
    assert kept.senders.of(row(), is_json=True) is second


def test_a_secret_that_has_ended(kept: Kept) -> None:
    """It signs until then, with whatever sender, and is not even read after that."""
    token = kept.vault.encrypted("ep_1", Secret(OLD)).partition(":")[2]
    both = row(secrets=("own:secret", f"encrypted:2000000009000:{token}"))
    unreadable = row(secrets=("own:secret", "encrypted:2000000009000:lost"))
    kept.now = 2_000_000_008.9

    with FakeReceiver() as receiver:
        sender = kept.senders.of(both, is_json=True)
        sender.send(receiver.url, b"{}")
        kept.now = 2_000_000_009.0
        sender.send(receiver.url, b"{}")
        kept.senders.of(replace(unreadable, revision=2), is_json=True).send(receiver.url, b"{}")
        counts = [len(str(each.header("webhook-signature")).split()) for each in receiver.requests]

    assert counts == [2, 1, 1]


def test_a_secret_that_is_gone(kept: Kept) -> None:
    """Nothing is sent with one that was taken away."""
    kept.senders.of(row(), is_json=True)
    del kept.values["secret"]
    wait_until_stale()

    with pytest.raises(Unavailable, match="own:secret is not there"):
        kept.senders.of(row(), is_json=True)


def test_what_is_sent(kept: Kept) -> None:
    """The newest secret and those before it sign; the headers of the endpoint are there."""
    headers = {"Authorization": "own:token", "X-Env": kept.vault.sealed("ep_1", "prod")}
    encrypted = kept.vault.encrypted("ep_1", Secret(NEW))
    both = row(secrets=(encrypted, "own:old"), headers=headers)

    with FakeReceiver() as receiver:
        for is_json in (True, False):
            sender = kept.senders.of(both, is_json=is_json)
            assert sender.send(receiver.url, b"{}", id="msg_1").is_delivered
        first, second = receiver.requests

    for request, kind in ((first, "application/json"), (second, "application/octet-stream")):
        found = {name.lower(): value for name, value in request.headers}
        assert len(found["webhook-signature"].split()) == 2
        assert (found["authorization"], found["x-env"]) == (TOKEN, "prod")
        assert found.get("content-type", "application/octet-stream") == kind
        for secret in (OLD, NEW):
            verified = frappe_hooksig.verify_payload(
                request.body,
                dict(request.headers),
                secret,
                scheme=frappe_hooksig.providers.STANDARD_WEBHOOKS,
            )
            assert verified.id == "msg_1"


def test_own_content_type(kept: Kept) -> None:
    """The type that an endpoint asks for is sent, also for JSON."""
    own = row(headers={"content-TYPE": kept.vault.sealed("ep_1", "application/cloudevents+json")})

    with FakeReceiver() as receiver:
        kept.senders.of(own, is_json=True).send(receiver.url, b"{}")
        (request,) = receiver.requests

    kinds = [value for name, value in request.headers if name.lower() == "content-type"]
    assert kinds == ["application/cloudevents+json"]


def test_a_secret_of_any_bytes(kept: Kept) -> None:
    """A stored secret signs with its bytes, whether they are text or not."""
    secret = Secret(bytes(range(255, 200, -1)))
    reference = kept.vault.encrypted("ep_1", secret)
    github = row(secrets=(reference,), scheme="github")

    with FakeReceiver() as receiver:
        kept.senders.of(github, is_json=True).send(receiver.url, b"{}")
        (request,) = receiver.requests

    scheme = frappe_hooksig.providers.GITHUB
    assert frappe_hooksig.verify_payload(request.body, dict(request.headers), secret, scheme=scheme)


@pytest.mark.parametrize(
    ("secrets", "headers", "message"),
    [
        (("own:secret", "own:bad"), {}, "asterisks"),
        (("own:text",), {}, "must be base64"),
        (("own:secret",), {"A B": "own:token"}, "invalid header name"),
        (("own:secret",), {"webhook-id": "own:token"}, "headers= has webhook-id"),
    ],
    ids=["masked", "format", "name", "signature"],
)
def test_what_the_scheme_does_not_take(
    kept: Kept, secrets: tuple[str, ...], headers: dict[str, str], message: str
) -> None:
    """The error says what is wrong, and neither it nor a frame of ours shows a value."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        kept.senders.of(row(secrets=secrets, headers=headers), is_json=True)

    stack = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    ours = [str(each.locals) for each in stack if each.filename.startswith(PACKAGE)]
    shown = f"{caught.value!r} {caught.value.__context__!r} {ours}"
    assert ours
    assert [each for each in (OLD, OLD[6:], TOKEN) if each in shown] == []


@pytest.mark.parametrize(
    "reference", ["own:\ud800", "own:\0", "own:\nforged", "\x1b[31m:a"], ids=ascii
)
def test_a_row_that_somebody_else_has_written(kept: Kept, reference: str) -> None:
    """A fault is a text that databases store and logs show, whatever the row refers to."""
    fault = kept.senders.attempt(row(secrets=(reference,)), claimed())

    assert isinstance(fault, Fault)
    assert fault.reason == "secret-missing"
    assert fault.message.isascii()
    assert fault.message.isprintable()


def test_as_many_as_are_kept(kept: Kept) -> None:
    """The one that was not used for the longest time goes."""
    first = kept.senders.of(row("ep_0"), is_json=True)
    second = kept.senders.of(row("ep_1"), is_json=True)
    for number in range(2, 1000):
        kept.senders.of(row(f"ep_{number}"), is_json=True)
    assert kept.senders.of(row("ep_0"), is_json=True) is first

    kept.senders.of(row("ep_1000"), is_json=True)

    assert kept.senders.of(row("ep_0"), is_json=True) is first
    assert kept.senders.of(row("ep_1"), is_json=True) is not second


def test_close(kept: Kept) -> None:
    """After that, new ones are made."""
    first = kept.senders.of(row(), is_json=True)

    kept.senders.close()

    assert kept.senders.of(row(), is_json=True) is not first


def test_repr_of_what_is_kept(kept: Kept) -> None:
    """Nothing that a debugger shows of it has a secret."""
    kept.senders.of(row(headers={"Authorization": "own:token"}), is_json=True)

    shown = repr(vars(kept.senders)["_kept"])

    assert "<kept sender>" in shown
    assert [each for each in (OLD, OLD[6:], TOKEN) if each in shown] == []
