"""Tests: messages for one endpoint alone, on the way of all others."""

from __future__ import annotations

import pickle
import traceback
from pathlib import Path
from typing import Any

import pytest

import frappe_hooksig
from frappe_hooksig import ConfigurationError, EndpointNotActive, PayloadError
from frappe_hooksig.testing import CapturedOutbox, FakeReceiver
from tests.outbox.places import Place
from tests.outbox.post import Post, wait_until

PACKAGE = str(Path(frappe_hooksig.__file__).parent)
TOKEN = "Kz5RtYb3Nc6Vf1Zq"


@pytest.fixture
def post(store: Place) -> Post:
    """Return an outbox in each kind of place."""
    return Post(store)


def test_one_endpoint_alone(post: Post) -> None:
    """It gets the test whatever its event types are, and nobody else does."""
    with FakeReceiver() as receiver:
        chosen = post.endpoint(receiver.url, event_types=["invoice.paid"], order="key")
        post.endpoint(receiver.url)

        delivery = post.outbox.send_test(chosen)

        assert post.route() == 0
        assert post.send() == 1
        (request,) = receiver.requests
    (record,) = post.outbox.deliveries()
    message = post.outbox.message(record.message_id)
    assert (record.id, record.endpoint_id, str(record.state)) == (delivery, chosen, "delivered")
    assert request.header("webhook-id") == message.id == record.sent_as
    assert (message.event_type, message.key, message.is_routed) == ("test", None, True)
    assert request.json() == {"test": True}
    assert [each.status for each in post.outbox.attempts(delivery)] == [200]


def test_what_is_sent(post: Post) -> None:
    """Event type and payload are the caller's, and the tenant is that of the endpoint."""
    chosen = post.endpoint(tenant="acme")

    delivery = post.outbox.send_test(
        chosen, event_type="invoice.paid", payload=b"\x00", tenant="acme"
    )

    (record,) = post.outbox.deliveries(tenant="acme")
    payload = post.outbox.payload(record.message_id)
    assert (record.id, record.event_type, payload) == (delivery, "invoice.paid", b"\x00")


def test_a_worker_hears_of_it(sqlite: Place) -> None:
    """The bell of an engine rings, as after a commit."""
    rung: list[str] = []
    post = Post(sqlite, bell=lambda: rung.append("ring"))
    endpoint = post.endpoint()

    post.outbox.send_test(endpoint)

    wait_until(lambda: rung == ["ring"])


@pytest.mark.parametrize("state", ["paused", "disabled"])
def test_not_active(sqlite: Place, state: str) -> None:
    """It would not be sent, so the caller is told what to do before."""
    post = Post(sqlite)
    endpoint = post.endpoint()
    sqlite.change(f"UPDATE hooksig_endpoints SET state = '{state}'")

    with pytest.raises(EndpointNotActive, match=f"is {state}: resume it first") as caught:
        post.outbox.send_test(endpoint)

    assert (caught.value.endpoint_id, caught.value.state) == (endpoint, state)
    assert isinstance(caught.value, ConfigurationError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert sqlite.rows("SELECT COUNT(*) FROM hooksig_messages") == [(0,)]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"endpoint_id": "ep_1"}, ConfigurationError, "there is no endpoint 'ep_1'"),
        ({"tenant": "other"}, ConfigurationError, "there is no endpoint 'ep_"),
        ({"tenant": " "}, ConfigurationError, "tenant= must be a str of up to 64"),
        ({"event_type": "a b"}, ConfigurationError, "an event type is up to 128"),
        ({"payload": {TOKEN: 1, (1, 2): 3}}, PayloadError, "cannot be serialised"),
        ({"payload": TOKEN * 70_000}, PayloadError, "max_payload="),
    ],
    ids=["unknown", "other tenant", "no tenant", "event type", "payload", "size"],
)
def test_refused(
    sqlite: Place, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    """Nothing is inserted, and no frame shows the payload."""
    post = Post(sqlite)
    given = {"endpoint_id": post.endpoint(tenant="acme"), "payload": {"token": TOKEN}}

    with pytest.raises(error, match=message) as caught:
        post.outbox.send_test(**{**given, **arguments})

    stack = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    ours = [str(each.locals) for each in stack if each.filename.startswith(PACKAGE)]
    assert TOKEN not in f"{caught.value!r} {caught.value.__context__!r} {ours}"
    assert sqlite.rows("SELECT COUNT(*) FROM hooksig_messages") == [(0,)]


def test_captured(sqlite: Place) -> None:
    """A test of an app sees that one endpoint gets it."""
    post = Post(sqlite)
    chosen, other = post.endpoint(), post.endpoint()

    with CapturedOutbox(post.outbox) as captured:
        post.outbox.send_test(other)
        post.publish()
        test, message = captured.messages

    assert [each.id for each in test.endpoints] == [other]
    assert {each.id for each in message.endpoints} == {chosen, other}
