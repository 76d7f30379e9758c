"""What a tenant does with the API, from the first subscription on, with a worker and receivers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from frappe_hooksig import Secret, providers, verify_payload
from frappe_hooksig.outbox import Worker
from frappe_hooksig.testing import Answer, FakeReceiver
from tests.delivery_service.calling import Caller, until
from tests.delivery_service.running import Service


@pytest.fixture(scope="module", autouse=True)
def worker(service: Service) -> Iterator[None]:
    """Send what is published."""
    with Worker(service.state.outbox):
        yield


def test_from_publishing_to_the_receiver(acme: Caller) -> None:
    """An endpoint gets what is published after it was added, signed with its secret."""
    with FakeReceiver() as receiver:
        endpoint = acme.add(receiver.url, event_types=["order.*"], description="The shop")
        acme.publish({"ignored": True}, "invoice.paid")
        message_id = acme.publish({"order": 7, "naïve": "é"}, "order.paid")
        (request,) = receiver.wait_for(1, 30)
        delivery = acme.delivery(message_id, "delivered")

    verified = verify_payload(
        request.body,
        dict(request.headers),
        endpoint["secret"],
        scheme=providers.STANDARD_WEBHOOKS,
    )
    assert verified.id == message_id
    assert request.header("content-type") == "application/json"
    assert request.body == '{"order":7,"naïve":"é"}'.encode()
    assert (delivery["status"], delivery["attempts"]) == (200, 1)
    acme.must("DELETE", f"/endpoints/{endpoint['id']}", status=204)


def test_older_receivers_get_an_envelope(acme: Caller) -> None:
    """The format x-webhook has the event in an envelope, under a signature of the body alone."""
    with FakeReceiver() as receiver:
        endpoint = acme.add(receiver.url, format="x-webhook", event_types=["order.new"])
        message_id = acme.publish("a text", "order.new")
        (request,) = receiver.wait_for(1, 30)

    verify_payload(
        request.body, dict(request.headers), endpoint["secret"], scheme=providers.WEBHOOK_SHA256
    )
    assert request.json()["data"] == {"object": "a text"}
    assert (request.json()["id"], request.json()["type"]) == (message_id, "order.new")
    assert request.header("x-webhook-event") == "order.new"
    acme.must("DELETE", f"/endpoints/{endpoint['id']}", status=204)


def test_a_failure_and_what_helps(acme: Caller) -> None:
    """What failed shows its attempts; once it has ended, it is sent again or as new."""
    page = b"<script>alert(1)</script>\0\xff"
    with FakeReceiver([410, Answer(500, page), 200, 200]) as receiver:
        endpoint = acme.add(receiver.url, event_types=["stock.low"])
        path = f"/endpoints/{endpoint['id']}"
        message_id = acme.publish({}, "stock.low")
        until(lambda: acme.must("GET", path), lambda found: found["reason"] == "gone")
        acme.must("POST", f"{path}/resume")
        failed = until(
            lambda: acme.must("GET", f"/deliveries?message_id={message_id}")["items"][0],
            lambda found: found["attempts"] == 2,
        )
        history = acme.must("GET", f"/deliveries/{failed['id']}")["history"]

        assert acme.problem("POST", f"/deliveries/{failed['id']}/send-again") == (
            409,
            "not-sendable",
        )
        assert acme.must("GET", path)["last_hour"] == {"attempts": 2, "delivered": 0, "rate": 0}

    assert [each["status"] for each in history] == [410, 500]
    assert [each["outcome"] for each in history] == ["gone", "refused"]
    assert history[1]["answer"] == "<script>alert(1)</script>\0\ufffd"
    acme.must("DELETE", path, status=204)
    cancelled = acme.delivery(message_id, "cancelled")
    assert acme.problem("POST", f"/deliveries/{cancelled['id']}/send-as-new") == (
        409,
        "not-sendable",
    )


def test_once_more(acme: Caller) -> None:
    """Sent again, a message keeps its id; as new, it gets another one."""
    with FakeReceiver() as receiver:
        endpoint = acme.add(receiver.url, event_types=["stock.high"])
        message_id = acme.publish([1, 2.5, None], "stock.high")
        delivery = acme.delivery(message_id, "delivered")
        path = f"/deliveries/{delivery['id']}"
        assert acme.must("POST", f"{path}/send-again", status=202) == {"count": 1}
        receiver.wait_for(2, 30)
        until(lambda: acme.must("GET", path)["attempts"], lambda count: count == 2)
        assert acme.must("POST", f"{path}/send-as-new", status=202) == {"count": 1}
        requests = receiver.wait_for(3, 30)
        acme.delivery(message_id, "delivered", 2)
        several = {"endpoint_id": endpoint["id"], "states": ["delivered"]}
        assert acme.must("POST", "/deliveries/send-again", several, status=202) == {"count": 2}
        receiver.wait_for(5, 30)
        acme.delivery(message_id, "delivered", 2)
        none = {**several, "until": "2020-01-01T00:00:00+02:00"}
        assert acme.must("POST", "/deliveries/send-as-new", none, status=202) == {"count": 0}

    ids = [each.header("webhook-id") for each in requests]
    assert ids[:2] == [message_id, message_id]
    assert ids[2] != message_id
    assert {each.body for each in requests} == {b"[1,2.5,null]"}
    acme.must("DELETE", f"/endpoints/{endpoint['id']}", status=204)


def test_a_pause(acme: Caller) -> None:
    """A paused endpoint collects what is published for it, and gets no test."""
    with FakeReceiver() as receiver:
        endpoint = acme.add(receiver.url, event_types=["pause.test"])
        path = f"/endpoints/{endpoint['id']}"
        paused = acme.must("POST", f"{path}/pause", {"message": "moving <b>house</b>"})
        message_id = acme.publish({}, "pause.test")
        assert acme.problem("POST", f"{path}/test") == (409, "not-active")
        acme.delivery(message_id, "due")
        resumed = acme.must("POST", f"{path}/resume")
        acme.delivery(message_id, "delivered")

    assert (paused["state"], paused["reason"]) == ("paused", "operator")
    assert paused["message"] == "moving <b>house</b>"
    assert (resumed["state"], resumed["message"]) == ("active", "")
    acme.must("DELETE", path, status=204)


def test_a_test(acme: Caller) -> None:
    """A test goes to one endpoint, whatever its event types are, and its delivery tells of it."""
    with FakeReceiver() as receiver, FakeReceiver() as other:
        others = acme.add(other.url)
        endpoint = acme.add(receiver.url, event_types=["nothing"])
        tested = acme.must("POST", f"/endpoints/{endpoint['id']}/test", status=202)
        acme.delivery(tested["message_id"], "delivered")

    assert tested["event_type"] == "test"
    assert tested["endpoint_id"] == endpoint["id"]
    assert receiver.requests[0].json()["test"] is True
    assert other.requests == []
    for each in (others, endpoint):
        acme.must("DELETE", f"/endpoints/{each['id']}", status=204)


def test_a_rotation(acme: Caller) -> None:
    """After a rotation, both secrets sign for a while; without an overlap, the new one alone."""
    scheme = providers.STANDARD_WEBHOOKS
    with FakeReceiver() as receiver:
        endpoint = acme.add(receiver.url, event_types=["rotation"])
        path = f"/endpoints/{endpoint['id']}"
        rotated = acme.must("POST", f"{path}/rotate-secret", {"overlap": 3600})
        second = rotated["secret"]
        acme.delivery(acme.publish({}, "rotation"), "delivered")
        shown = acme.must("GET", path)
        last = acme.must("POST", f"{path}/rotate-secret", {"overlap": 0})
        third = last["secret"]
        acme.delivery(acme.publish({}, "rotation"), "delivered")
        both, one = receiver.requests

    for secret in (endpoint["secret"], second):
        verify_payload(both.body, dict(both.headers), secret, scheme=scheme)
    assert shown["old_secret_ends"] == rotated["old_secret_ends"] is not None
    assert last["old_secret_ends"] is None
    assert not {endpoint["secret"], second} & {*json.dumps(shown).split('"')}
    verify_payload(one.body, dict(one.headers), third, scheme=scheme)
    assert len(str(one.header("webhook-signature")).split()) == 1
    acme.must("DELETE", path, status=204)


def test_an_own_secret_and_headers(acme: Caller) -> None:
    """A receiver gets the secret and the headers that it has already, which no answer shows."""
    secret = "whsec_" + "c2VjcmV0" * 4
    password = "Bearer of-the-receiver"
    with FakeReceiver() as receiver:
        endpoint = acme.add(
            receiver.url,
            event_types=["own.secret"],
            secret=secret,
            headers={"Authorization": password},
        )
        path = f"/endpoints/{endpoint['id']}"
        acme.delivery(acme.publish({}, "own.secret"), "delivered")
        shown = acme.must("GET", path)
        (request,) = receiver.requests
        other = {"url": "https://elsewhere.example/"}
        assert acme.problem("PATCH", path, other) == (409, "headers-needed")
        changed = acme.must("PATCH", path, {**other, "headers": {}, "rate": None})

    verify_payload(
        request.body, dict(request.headers), Secret(secret), scheme=providers.STANDARD_WEBHOOKS
    )
    assert request.header("authorization") == password
    assert shown["header_names"] == ["Authorization"]
    assert password not in json.dumps(shown)
    assert (changed["url"], changed["header_names"]) == (other["url"], [])
    assert changed["event_types"] == ["own.secret"]
    acme.must("DELETE", path, status=204)


def test_in_order(acme: Caller) -> None:
    """Messages of one key arrive in their order at an endpoint that asks for it."""
    with FakeReceiver() as receiver:
        endpoint = acme.add(receiver.url, event_types=["ordered"], order="key")
        new = [{"event_type": "ordered", "payload": each, "key": "k"} for each in range(20)]
        answer = acme.must("POST", "/messages/bulk", {"messages": new}, status=202)
        requests = receiver.wait_for(20, 30)

    assert [each.json() for each in requests] == [*range(20)]
    assert [each.header("webhook-id") for each in requests] == [
        each["id"] for each in answer["messages"]
    ]
    acme.must("DELETE", f"/endpoints/{endpoint['id']}", status=204)


def test_published_once(acme: Caller) -> None:
    """An idempotency key publishes one message, and is refused for another one."""
    first = acme.publish({"a": 1}, idempotency_key="once-1")
    again = acme.publish({"a": 1}, idempotency_key="once-1")
    body = {"event_type": "invoice.paid", "payload": {"a": 2}, "idempotency_key": "once-1"}

    assert first == again
    assert acme.problem("POST", "/messages", body) == (409, "idempotency-conflict")
    fresh = {"event_type": "bulk.atomic", "payload": 1}
    bulk = {"messages": [fresh, body]}
    assert acme.problem("POST", "/messages/bulk", bulk) == (409, "idempotency-conflict")
    assert acme.must("GET", "/messages?event_type=bulk.atomic")["items"] == []
    header = {"Idempotency-Key": "once-1"}
    assert acme.problem("POST", "/messages", fresh, headers=header) == (
        400,
        "idempotency-key-header",
    )


def test_a_payload_is_no_page(acme: Caller) -> None:
    """The preview has the bytes that are sent, and no browser takes it for HTML."""
    message_id = acme.publish("<script>alert(1)</script>")
    answer = acme.call("GET", f"/messages/{message_id}/payload")

    assert answer.body == b'"<script>alert(1)</script>"'
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"] == f'attachment; filename="{message_id}.json"'
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
