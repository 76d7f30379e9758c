"""`CapturedOutbox`: what an outbox would send, read from its rows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from frappe_hooksig import ConfigurationError, PayloadError, providers, verify_payload
from frappe_hooksig.integrations.sqlalchemy import SQLAlchemyDatabase
from frappe_hooksig.outbox import Formatted, Outbox, OutgoingMessage, Worker
from frappe_hooksig.sending import AddressGuard
from frappe_hooksig.testing import CapturedOutbox, Clock, FakeReceiver, override

SECRET = "whsec_4mF1qk0sLr9xT2bW7cYd8hJ3nV6pZ5aG"
PAID = {"name": "INV-00001"}
URL = "https://partner.example/hook?a=1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of an outbox."""
    return tmp_path / "outbox.db"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    """An outbox with tables; `vault:` reads the one secret."""
    made = Outbox(
        path, references={"vault": {"partner": SECRET}.get}, guard=AddressGuard(["127.0.0.1"])
    )
    made.migrate()
    yield made
    made.close()


def publish(path: Path, outbox: Outbox, *args: Any, **options: Any) -> str:
    """Publish in a transaction of its own."""
    with closing(sqlite3.connect(path)) as connection, connection:
        return outbox.publish(connection, *args, **options)


def test_messages(outbox: Outbox, path: Path) -> None:
    """A message has what was published since the block began, and the endpoints that get it."""
    publish(path, outbox, "invoice.paid", {"name": "before"})
    one = outbox.add_endpoint(URL, secret_from="vault:partner", event_types=["invoice.*"])
    outbox.add_endpoint(URL, secret_from="vault:partner", event_types=["order.*"])
    other = outbox.add_endpoint(URL, secret_from="vault:partner")
    outbox.add_endpoint(URL, secret_from="vault:partner", tenant="globex")
    outbox.pause(other.id)

    with CapturedOutbox(outbox) as captured:
        assert (captured.messages, captured.requests) == ([], [])
        paid = publish(path, outbox, "invoice.paid", PAID, key="INV-00001", idempotency_key="1")
        publish(path, outbox, "user.made", b"\x00", tenant="acme")

        first, second = captured.messages

    assert (first.id, first.event_type, first.key) == (paid, "invoice.paid", "INV-00001")
    assert (first.json(), first.is_json, first.idempotency_key) == (PAID, True, "1")
    assert {each.id: each.state for each in first.endpoints} == {
        one.id: "active",
        other.id: "paused",
    }
    assert (second.tenant, second.payload, second.is_json) == ("acme", b"\x00", False)
    assert second.endpoints == ()
    assert "INV-00001" not in repr(captured.messages).replace("key='INV-00001'", "")
    assert repr(captured) == f"<CapturedOutbox of {outbox!r}>"


def in_an_envelope(message: OutgoingMessage) -> Formatted:
    """Put a payload into an envelope."""
    envelope = {"id": message.id, "at": message.created_at, "data": message.json()}
    return Formatted(envelope, {"X-Attempt": str(message.attempt), "X-Key": str(message.key)})


def test_requests_in_a_format(path: Path) -> None:
    """A request has the body and the headers that its format makes."""
    outbox = Outbox(
        path,
        references={"vault": {"partner": SECRET}.get},
        formats={"envelope": in_an_envelope},
    )
    outbox.migrate()
    outbox.add_endpoint(URL, secret_from="vault:partner", format="envelope")
    with CapturedOutbox(outbox) as captured:
        message_id = publish(path, outbox, "invoice.paid", PAID, key="INV-00001")
        (message,) = captured.messages
        (request,) = captured.requests
        publish(path, outbox, "invoice.paid", b"no JSON")

        with pytest.raises(PayloadError, match="the payload is not JSON"):
            _ = captured.requests

    envelope = {"id": message_id, "at": message.created_at, "data": PAID}
    assert json.loads(request.body) == envelope
    assert (message.payload, message.json()) == (b'{"name": "INV-00001"}', PAID)
    headers = {name.lower(): value for name, value in request.headers}
    assert (headers["x-attempt"], headers["x-key"]) == ("1", "INV-00001")
    assert headers["content-type"] == "application/json"
    scheme = providers.STANDARD_WEBHOOKS
    assert verify_payload(request.body, headers, SECRET, scheme=scheme).id == message_id
    outbox.close()


def test_requests_in_a_format_that_fails(path: Path) -> None:
    """The test sees the error of the app's own code."""
    outbox = Outbox(
        path,
        references={"vault": {"partner": SECRET}.get},
        formats={"broken": lambda each: Formatted(each.json()["no_such"])},
    )
    outbox.migrate()
    outbox.add_endpoint(URL, secret_from="vault:partner", format="broken")
    with CapturedOutbox(outbox) as captured:
        publish(path, outbox, "invoice.paid", PAID)
        with pytest.raises(RuntimeError, match="'broken' has failed: KeyError") as caught:
            _ = captured.requests

    assert repr(caught.value.__cause__) == "KeyError('no_such')"
    outbox.close()


def test_requests(outbox: Outbox, path: Path) -> None:
    """A request is what a receiver gets: it verifies, has the id, and the endpoint's headers."""
    at = Clock(1_800_000_000)
    endpoint = outbox.add_endpoint(
        URL,
        secret_from="vault:partner",
        method="PUT",
        headers_from={"Authorization": "vault:partner"},
    )
    with CapturedOutbox(outbox) as captured:
        message_id = publish(path, outbox, "invoice.paid", PAID)
        with override(clock=at):
            (request,) = captured.requests

    verified = verify_payload(
        request.body, request.headers, SECRET, scheme=providers.STANDARD_WEBHOOKS, clock=at
    )
    assert (verified.id, verified.timestamp) == (message_id, at.now)
    assert verified.json() == PAID
    assert (request.method, request.url) == ("PUT", URL)
    assert request.endpoint == endpoint
    assert request.message.id == message_id
    headers = dict(request.headers)
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == SECRET
    assert {"Host", "Content-Length"}.isdisjoint(headers)


def test_request_is_the_one_that_is_sent(outbox: Outbox, path: Path) -> None:
    """A worker sends the same body and the same headers, but for what each attempt signs anew."""
    with FakeReceiver() as receiver:
        outbox.add_endpoint(receiver.url, secret_from="vault:partner")
        with CapturedOutbox(outbox) as captured:
            publish(path, outbox, "invoice.paid", "a text")
            (expected,) = captured.requests
        assert Worker(outbox).run(once=True) == 1
        (sent,) = receiver.requests

    assert sent.body == expected.body
    assert [name for name, _ in sent.headers if name not in {"Host", "Content-Length"}] == [
        name for name, _ in expected.headers
    ]
    assert sent.header("webhook-id") == dict(expected.headers)["webhook-id"]


def test_rolled_back(outbox: Outbox, path: Path) -> None:
    """What is rolled back is not there."""
    with CapturedOutbox(outbox) as captured, closing(sqlite3.connect(path)) as connection:
        outbox.publish(connection, "invoice.paid", PAID)
        connection.rollback()

        assert captured.messages == []


def test_own_connection(tmp_path: Path) -> None:
    """In a test that rolls back everything, what is published in its transaction is there."""
    url = f"sqlite:///{tmp_path / 'outbox.db'}"
    outbox = Outbox(SQLAlchemyDatabase(url))
    outbox.migrate()
    engine = create_engine(url)
    with Session(engine) as session:
        outbox.publish(session, "invoice.drafted", PAID)
        with CapturedOutbox(outbox, session) as captured:
            outbox.publish(session, "invoice.paid", PAID)
            assert [each.event_type for each in captured.messages] == ["invoice.paid"]
            session.rollback()
            assert captured.messages == []
            # SQLite gives this row the number of the one before the block.
            outbox.publish(session, "invoice.voided", PAID)
            assert [each.event_type for each in captured.messages] == ["invoice.voided"]
    engine.dispose()
    outbox.close()


def test_many(outbox: Outbox, path: Path) -> None:
    """All are there, however many they are."""
    with CapturedOutbox(outbox) as captured, closing(sqlite3.connect(path)) as connection:
        ids = [outbox.publish(connection, "invoice.paid", number) for number in range(1001)]
        connection.commit()

        assert [each.id for each in captured.messages] == ids


def test_running_worker(outbox: Outbox, path: Path) -> None:
    """A worker of the outbox sends nothing while the block runs, and goes on after it."""
    with FakeReceiver() as receiver, Worker(outbox):
        outbox.add_endpoint(receiver.url, secret_from="vault:partner")
        with CapturedOutbox(outbox) as captured:
            publish(path, outbox, "invoice.paid", PAID)
            assert outbox.drain() is False
            assert Worker(outbox).run(once=True) == 0
            assert len(captured.requests) == 1
            assert receiver.requests == []
            assert outbox.numbers().unrouted == 1
        receiver.wait_for(1, timeout=30)


def test_missing_secret(outbox: Outbox, path: Path) -> None:
    """The error names where the secret should be; the message is there all the same."""
    outbox.add_endpoint(URL, secret_from="vault:other")
    with CapturedOutbox(outbox) as captured:
        publish(path, outbox, "invoice.paid", PAID)

        assert len(captured.messages[0].endpoints) == 1
        with pytest.raises(ConfigurationError, match="vault:other is not there, or is empty"):
            _ = captured.requests


def test_open_transaction(outbox: Outbox, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a transaction writes to the same file, the error says what to do."""
    monkeypatch.setattr("frappe_hooksig.outbox._sqlite._TIMEOUT", 0.1)
    outbox.close()
    with CapturedOutbox(outbox) as captured, closing(sqlite3.connect(path)) as connection:
        outbox.publish(connection, "invoice.paid", PAID)

        with pytest.raises(RuntimeError, match=r"OperationalError.* commit it first"):
            _ = captured.messages


def test_before_the_block(outbox: Outbox) -> None:
    """Without a block, nothing can be told apart."""
    with pytest.raises(RuntimeError, match="use it as `with CapturedOutbox"):
        _ = CapturedOutbox(outbox).messages


@pytest.mark.parametrize(
    ("given", "connection", "expected"),
    [("outbox.db", None, "takes the app's Outbox, not a str"), (None, "x", "sqlite3.Connection")],
    ids=["no outbox", "no connection"],
)
def test_refused(outbox: Outbox, given: Any, connection: object, expected: str) -> None:
    """An argument that cannot be used is refused at once."""
    with pytest.raises(ConfigurationError, match=expected):
        CapturedOutbox(given or outbox, connection)


def test_without_tables(path: Path) -> None:
    """Without tables, the error says how to make them."""
    outbox = Outbox(path)
    with pytest.raises(ConfigurationError, match="frappe-hooksig outbox init"):
        CapturedOutbox(outbox).__enter__()
    assert outbox._holds == 0  # noqa: SLF001
    outbox.close()
