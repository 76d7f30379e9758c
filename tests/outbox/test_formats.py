"""Formats: what an endpoint gets in the place of a payload, and what becomes of mistakes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from frappe_hooksig import PayloadError, Verifier, providers
from frappe_hooksig._raw_body import MAX_BODY
from frappe_hooksig.outbox import Formatted, OutgoingMessage
from frappe_hooksig.testing import FakeReceiver
from tests.outbox.places import Place
from tests.outbox.post import SECRET, Post

SCHEME = providers.STANDARD_WEBHOOKS


@pytest.fixture
def place(store: Place) -> Place:
    """Return each kind of database in turn."""
    return store


def sent(
    place: Place,
    function: Callable[[OutgoingMessage], Any],
    *,
    payload: Any = None,
    headers_from: Mapping[str, str] | None = None,
    **options: Any,
) -> tuple[Post, Any]:
    """Send a message in a format; return the outbox, and the request if there was one."""
    post = Post(place, formats={"odd": function})
    post.secrets["header"] = "of-the-endpoint"
    with FakeReceiver() as receiver:
        post.endpoint(receiver.url, format="odd", headers_from=headers_from)
        post.publish(payload=payload, **options)
        post.send()
        requests: list[Any] = [*receiver.requests, None]
    return post, requests[0]


def test_what_a_format_gets(place: Place) -> None:
    """The message with its id, type, payload and time, and the number of the attempt."""
    got: list[OutgoingMessage] = []

    def keep(message: OutgoingMessage) -> Formatted:
        got.append(message)
        return Formatted({"data": message.json()})

    post = Post(place, formats={"keep": keep})
    with FakeReceiver([503, 200, 200]) as receiver:
        endpoint = post.endpoint(receiver.url, format="keep", tenant="acme")
        before = post.now()
        (message_id,) = post.publish(payload={"a": 1}, key="A-1", tenant="acme")
        post.send()
        post.place.change("UPDATE hooksig_deliveries SET due_at = 0")
        post.send()
        post.outbox.send_as_new(endpoint=endpoint, states=["delivered"])
        post.send()

    first, second, third = got
    assert first == OutgoingMessage(
        id=message_id,
        event_type="order.paid",
        tenant="acme",
        key="A-1",
        payload=b'{"a": 1}',
        is_json=True,
        created_at=first.created_at,
        attempt=1,
    )
    assert before <= first.created_at * 1000 <= post.now()
    assert (second.id, second.attempt, second.created_at) == (message_id, 2, first.created_at)
    assert third.id != message_id
    assert [each.header("webhook-id") for each in receiver.requests] == [each.id for each in got]
    assert "{" not in repr(first)


@pytest.mark.parametrize(
    ("body", "as_sent"),
    [
        ({"b": [1.5, None, True]}, b'{"b": [1.5, null, true]}'),
        ([], b"[]"),
        (None, b"null"),
        (b"\x00\xff", b"\x00\xff"),
        (bytearray(b"a"), b"a"),
        ("caf\xe9", b"caf\xc3\xa9"),
    ],
    ids=["object", "array", "null", "bytes", "bytearray", "text"],
)
def test_body(sqlite: Place, body: Any, as_sent: bytes) -> None:
    """It is signed as it is sent: JSON is serialised once, and only that says so."""
    _, request = sent(sqlite, lambda _: Formatted(body, {"X-A": "1"}), payload="text")

    assert request.body == as_sent
    assert request.header("X-A") == "1"
    is_json = not isinstance(body, bytes | bytearray | str)
    assert request.header("Content-Type") == ("application/json" if is_json else None)
    Verifier(SECRET, scheme=SCHEME).verify(request.body, request.headers)


@pytest.mark.parametrize(
    ("payload", "kind"), [({"a": 1}, "application/json"), (b"\x00", None)], ids=["JSON", "bytes"]
)
def test_payload_as_it_is(sqlite: Place, payload: Any, kind: str | None) -> None:
    """A format that only adds headers leaves the Content-Type to the payload."""
    _, request = sent(sqlite, lambda each: Formatted(each.payload, {"X-A": "1"}), payload=payload)

    assert (request.header("X-A"), request.header("Content-Type")) == ("1", kind)


def test_content_type_of_the_format(sqlite: Place) -> None:
    """It replaces that of JSON, however it is spelled."""
    _, request = sent(sqlite, lambda _: Formatted({}, {"content-TYPE": "application/x+json"}))

    kinds = [value for name, value in request.headers if name.lower() == "content-type"]
    assert kinds == ["application/x+json"]


def test_headers_of_the_endpoint(sqlite: Place) -> None:
    """They replace those of the format."""
    own = {"x-a": "test:header", "Content-type": "test:header"}

    _, request = sent(
        sqlite,
        lambda _: Formatted({}, {"X-A": "format", "X-B": "format", "CONTENT-TYPE": "a/b"}),
        headers_from=own,
    )

    found = {name.lower(): value for name, value in request.headers}
    assert len(found) == len(request.headers)
    assert [found[name] for name in ("x-a", "x-b", "content-type")] == [
        *("of-the-endpoint", "format", "of-the-endpoint")
    ]


def test_endpoints_with_and_without_a_format(place: Place) -> None:
    """One message may go out in several forms."""
    post = Post(place, formats={"one": lambda each: Formatted({"one": each.json()})})
    with FakeReceiver() as receiver:
        post.endpoint(f"{receiver.url}plain")
        changed = post.endpoint(f"{receiver.url}one")
        post.outbox.change_endpoint(changed, format="one")
        post.publish(payload={"a": 1})
        post.send()
        bodies = {each.path: each.json() for each in receiver.requests}

    assert bodies == {"/plain": {"a": 1}, "/one": {"one": {"a": 1}}}


def test_unknown_name(place: Place) -> None:
    """A worker that does not know the format pauses the endpoint, and nothing is lost."""
    post = Post(place, formats={"new": lambda each: Formatted({"new": each.json()})})
    older = Post(place)
    with FakeReceiver() as receiver:
        endpoint = post.endpoint(receiver.url, format="new")
        post.publish(2)
        older.send()
        paused = older.outbox.endpoint(endpoint)
        assert receiver.requests == []
        assert (paused.state, paused.reason, paused.format) == ("paused", "misconfigured", "new")
        assert paused.message == "this process knows no format 'new' (formats= of the outbox)"

        older.outbox.change_endpoint(endpoint, rate=None)
        post.outbox.resume(endpoint)
        post.send()

    assert post.states() == ["delivered", "delivered"]


def not_json(message: OutgoingMessage) -> Formatted:
    """Expect JSON."""
    return Formatted(message.json())


def too_large(_: OutgoingMessage) -> Formatted:
    """Return more than a request may have."""
    return Formatted(b"x" * (MAX_BODY + 1))


def refuses(_: OutgoingMessage) -> Formatted:
    """Raise the error about a payload."""
    msg = "there is no such form"
    raise PayloadError(msg)


BAD = [
    (not_json, "the payload is not JSON"),
    (too_large, f"the format 'odd' makes a body of {MAX_BODY + 1} bytes, more than {MAX_BODY}"),
    (refuses, "there is no such form"),
    (lambda _: Formatted({1, 2}), "a payload cannot be of type set: pass a dict, list, str or"),  # type: ignore[arg-type]
    (lambda _: Formatted("\ud800"), "the payload is a str with a lone surrogate"),
    (
        lambda each: Formatted(b"", {"X-Key": str(each.key)}),
        "the format 'odd' makes a value of X-Key that no header can have",
    ),
    (
        lambda _: Formatted(b"", {"X-Key": 7}),  # type: ignore[dict-item]
        "the format 'odd' makes a value of X-Key that no header can have",
    ),
]


@pytest.mark.parametrize(
    ("function", "message"),
    BAD,
    ids=["no JSON", "too large", "refused", "no payload", "surrogate", "header", "no text"],
)
def test_message_that_does_not_fit(
    sqlite: Place, function: Callable[[OutgoingMessage], Formatted], message: str
) -> None:
    """It is a dead letter, and the endpoint goes on."""
    post, request = sent(sqlite, function, payload=b"{", key="ключ")

    (delivery,) = post.outbox.deliveries()
    assert request is None
    assert (str(delivery.state), delivery.reason) == ("dead", "bad-payload")
    assert delivery.message.startswith(message)
    assert post.outbox.endpoints()[0].state == "active"


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"Webhook-Id": "1"}, "headers= has Webhook-Id, which the sender itself sets"),
        ({"Content-Length": "1"}, "headers= has Content-Length, which the sender itself sets"),
        ({"X A": "1"}, "headers= contains an invalid header name"),
        ({7: "1"}, "headers= contains an invalid header name"),
        ({"X-A": "1", "x-a": "2"}, "headers= has x-a"),
    ],
    ids=["of the scheme", "of the sender", "name", "no text", "twice"],
)
def test_header_that_no_request_can_have(sqlite: Place, headers: Any, message: str) -> None:
    """It is a mistake of the app: the endpoint is paused, and nothing is lost."""
    post, request = sent(sqlite, lambda _: Formatted({}, headers))

    (endpoint,) = post.outbox.endpoints()
    assert request is None
    assert (endpoint.state, endpoint.reason) == ("paused", "misconfigured")
    assert endpoint.message.startswith(message)
    assert post.states() == ["due"]


def fails(message: OutgoingMessage) -> Formatted:
    """Raise an error that has the payload."""
    raise ValueError(message.payload)


FAILING: list[tuple[Callable[[OutgoingMessage], Any], str]] = [
    (fails, "the format 'odd' has failed: ValueError"),
    (lambda _: {"body": b""}, "the format 'odd' has returned no Formatted(body, headers)"),
    (lambda _: Formatted({}, None), "the format 'odd' has returned no Formatted(body, headers)"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(
    ("function", "message"), FAILING, ids=["raises", "returns a dict", "headers are none"]
)
def test_format_that_fails(
    sqlite: Place,
    function: Callable[[OutgoingMessage], Any],
    message: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is tried again, as after any failure. The log has a line without the payload."""
    with caplog.at_level(logging.DEBUG):
        post, request = sent(sqlite, function, payload="of-the-customer")

    (delivery,) = post.outbox.deliveries()
    (attempt,) = post.outbox.attempts(delivery.id)
    assert request is None
    assert (str(delivery.state), delivery.attempts) == ("due", 1)
    assert (attempt.outcome, attempt.reason) == ("unreachable", "format-failed")
    assert attempt.message == message
    assert [each.getMessage() for each in caplog.records] == [f"outbox: {message}"]
    assert caplog.records[0].exc_info is None
    assert "of-the-customer" not in caplog.text


def test_format_that_works_again(place: Place) -> None:
    """A mended format sends what the broken one could not."""
    works: list[bool] = []

    def sometimes(message: OutgoingMessage) -> Formatted:
        return Formatted({"number": message.json()["number" if works else "no_such"]})

    post = Post(place, formats={"sometimes": sometimes})
    with FakeReceiver() as receiver:
        post.endpoint(receiver.url, format="sometimes", order="key")
        post.publish(3, key="A")
        post.send()
        works.append(True)
        post.place.change("UPDATE hooksig_deliveries SET due_at = 0 WHERE state = 1")
        post.send()

    assert [json.loads(each.body)["number"] for each in receiver.requests] == [0, 1, 2]
    assert post.states() == ["delivered"] * 3


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff", b"[" * 100_000], ids=lambda each: each[:2])
def test_json_of_other_payloads(payload: bytes) -> None:
    """The error says what is wrong, and has nothing of the payload."""
    message = OutgoingMessage(
        id="msg_1",
        event_type="a",
        tenant="",
        key=None,
        payload=payload,
        is_json=False,
        created_at=0.0,
        attempt=1,
    )

    with pytest.raises(PayloadError, match="the payload is not JSON") as caught:
        message.json()

    assert caught.value.__context__ is None
