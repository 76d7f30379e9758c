"""Taking over the subscriptions of a service that was made by a tutorial."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any

import pytest
from delivery_service.account import Described, NewMessage
from sqlalchemy import create_engine, text

from tests.delivery_service.operating import Operator

SECRET = "a-secret-that-both-sides-have-had-for-years"
URL = "https://shop.example/hooks"


def written(operator: Operator, *rows: object) -> str:
    """Write a file, and return its name."""
    path = operator.folder / "subscriptions.json"
    path.write_text(json.dumps([*rows]), "utf-8")
    return str(path)


def row(**changes: Any) -> dict[str, Any]:
    """Return a subscription as it stands in a file."""
    usual = {"id": "sub_1", "url": URL, "events": ["*"], "secret": SECRET, "active": True}
    return {**usual, **changes}


def endpoints(operator: Operator) -> list[Described]:
    """Return the endpoints that the tenant has."""
    with operator.state() as state:
        return state.account("acme").endpoints(limit=100)


@contextmanager
def tutorial_receiver(secret: str) -> Iterator[tuple[str, Queue[tuple[int, Any]]]]:
    """Run a receiver as such a tutorial has it; what it is there for is its URL and what came."""
    came: Queue[tuple[int, Any]] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
            sent = self.headers["X-Webhook-Signature"]
            is_right = hmac.compare_digest(f"sha256={expected}", sent)
            self.send_response(200 if is_right else 401)
            self.end_headers()
            event = (self.headers["X-Webhook-Event"], json.loads(body))
            came.put((200 if is_right else 401, event))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/webhook", came
        finally:
            server.shutdown()
            thread.join()


def test_receiver_needs_no_change(operator: Operator) -> None:
    """A receiver that verifies by hand goes on as before, with its secret and the events it had."""
    with tutorial_receiver(SECRET) as (url, came):
        source = written(operator, row(url=url, events=["order.*", "invoice.paid"]))
        operator.must("import-subscriptions", "acme", source)
        with operator.sending() as state:
            messages = [
                NewMessage(event_type=each, payload={"name": each})
                for each in ("invoice.voided", "order.created", "invoice.paid")
            ]
            state.account("acme").publish(messages)
            found = dict(came.get(timeout=30)[1] for _ in range(2))

    assert {name: event["data"]["object"] for name, event in found.items()} == {
        "order.created": {"name": "order.created"},
        "invoice.paid": {"name": "invoice.paid"},
    }
    assert found["invoice.paid"]["type"] == "invoice.paid"


def test_import(operator: Operator) -> None:
    """All that a subscription has is taken over; what is not active is paused."""
    source = written(
        operator,
        row(events=["b", "a"], description="The shop"),
        row(id=2, url=f"{URL}/2?token=t0ken", active=False),
    )

    printed = operator.must("import-subscriptions", "acme", source)

    assert printed.splitlines()[-1] == "2 added, 0 skipped"
    assert "paused" in printed
    assert SECRET not in printed
    assert "t0ken" not in printed
    first, second = endpoints(operator)
    assert (first.endpoint.url, first.endpoint.event_types) == (URL, ("a", "b"))
    assert (first.format, first.endpoint.scheme) == ("x-webhook", "webhook-sha256")
    assert (first.description, str(first.endpoint.state)) == ("The shop", "active")
    assert (second.endpoint.url, str(second.endpoint.state)) == (f"{URL}/2?token=t0ken", "paused")


def test_dry_run(operator: Operator) -> None:
    """It prints the same, and does nothing."""
    source = written(operator, row())

    printed = operator.must("import-subscriptions", "acme", source, "--dry-run")

    assert printed.splitlines()[1].split() == ["add", "sub_1", URL, "*"]
    assert printed.splitlines()[-1] == "1 would be added; nothing is done"
    assert endpoints(operator) == []
    real = operator.must("import-subscriptions", "acme", source)
    assert real.splitlines()[:-1] == printed.splitlines()[:-1]


def test_repeated(operator: Operator) -> None:
    """The same URL and events are not added twice, whatever their order."""
    operator.must("import-subscriptions", "acme", written(operator, row(events=["a", "b"])))
    source = written(
        operator, row(events=["b", "a"]), row(id=2, events=["a"]), row(id=3, events=["a"])
    )

    printed = operator.must("import-subscriptions", "acme", source)

    assert [each.split()[0] for each in printed.splitlines()[1:-1]] == ["skip", "add", "skip"]
    assert printed.splitlines()[-1] == "1 added, 2 skipped"
    assert len(endpoints(operator)) == 2


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"url": "ftp://shop.example/"}, "url cannot be used"),
        ({"url": None}, "url is missing"),
        ({"url": {"a": 1}}, "url is not a text"),
        ({"secret": ""}, "secret is empty"),
        ({"secret": 7}, "secret is not a text"),
        ({"secret": "*" * 12}, "asterisks"),
        ({"events": []}, "events is not a list of names"),
        ({"events": ["a", 1]}, "events is not a list of names"),
        ({"events": {"a": 1}}, "events is not a list of names"),
        ({"events": ["order*"]}, "an event type is"),
        ({"active": "perhaps"}, "active is neither true nor false"),
        ({"secret": SECRET + "2"}, "sub_1 has the same URL and events, and another secret"),
    ],
)
def test_unusable(operator: Operator, bad: dict[str, Any], says: str) -> None:
    """What cannot be taken is named, and then nothing is done; no secret is printed."""
    source = written(operator, row(), row(id="sub_2") | bad)

    ran = operator.run("import-subscriptions", "acme", source)

    assert ran.status == 2
    assert ran.errors == "1 cannot be taken: nothing is done\n"
    line = ran.output.splitlines()[2]
    assert line.split()[:2] == ["refuse", "sub_2"]
    assert says in line
    assert SECRET not in ran.output
    assert endpoints(operator) == []


def test_weak_secret(operator: Operator, caplog: pytest.LogCaptureFixture) -> None:
    """A secret that is too short is taken, because the receiver has it, and is pointed out once."""
    printed = operator.must("import-subscriptions", "acme", written(operator, row(secret="hook1")))

    assert printed.count("its secret is weak: rotate it") == 1
    assert "hook1" not in printed
    assert "secret" not in caplog.text


def test_too_many(operator: Operator) -> None:
    """If not all of them fit, none is added."""
    operator.variables["MAX_ENDPOINTS"] = "1"
    source = written(operator, row(), row(id=2, events=["a"]))

    ran = operator.run("import-subscriptions", "acme", source)

    assert ran.status == 2
    assert ran.errors == "a tenant has at most 1 endpoints\n"
    assert endpoints(operator) == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "SOURCE is not JSON"),
        (b"\xff", "SOURCE is not JSON"),
        (b"{}", "SOURCE is not a list of objects"),
        (b"[1]", "SOURCE is not a list of objects"),
    ],
    ids=["half", "no-text", "object", "numbers"],
)
def test_unusable_file(operator: Operator, content: bytes, says: str) -> None:
    """A file that is not a list of subscriptions is refused in one line."""
    path = operator.folder / "subscriptions.json"
    path.write_bytes(content)

    ran = operator.run("import-subscriptions", "acme", str(path))

    assert (ran.status, ran.output) == (2, "")
    assert ran.errors.startswith(says)


def test_no_file(operator: Operator) -> None:
    """A file that is not there is said to be so."""
    ran = operator.run("import-subscriptions", "acme", "no-such-file.json")

    assert ran.errors == "SOURCE cannot be read: No such file or directory\n"


@pytest.mark.parametrize("events", ['["a", "b.*"]', "a, b.*"], ids=["json", "commas"])
@pytest.mark.parametrize("active", ["active", "is_active"])
def test_table(operator: Operator, events: str, active: str) -> None:
    """Subscriptions are read from a table, with the names and types that such services have."""
    source = operator.url("old.db")
    engine = create_engine(source)
    with engine.begin() as connection:
        connection.execute(
            text(f"CREATE TABLE subs (id TEXT, url TEXT, events TEXT, secret TEXT, {active} BOOL)")
        )
        connection.execute(
            text("INSERT INTO subs VALUES (:id, :url, :events, :secret, :active)"),
            [
                {"id": "s1", "url": URL, "events": events, "secret": SECRET, "active": True},
                {"id": "s2", "url": URL, "events": "c", "secret": SECRET, "active": False},
            ],
        )
    engine.dispose()

    printed = operator.must("import-subscriptions", "acme", source, "--table", "subs")

    assert [each.split()[:2] for each in printed.splitlines()[1:-1]] == [
        ["add", "s1"],
        ["add", "s2"],
    ]
    assert [
        (each.endpoint.event_types, str(each.endpoint.state)) for each in endpoints(operator)
    ] == [
        (("a", "b.*"), "active"),
        (("c",), "paused"),
    ]


def test_no_table(operator: Operator) -> None:
    """Without the table, the option that names another one is pointed out."""
    (operator.folder / "old.db").touch()
    ran = operator.run("import-subscriptions", "acme", operator.url("old.db"))

    assert ran.status == 2
    assert ran.errors == ("SOURCE has no table webhook_subscriptions: name it with --table\n")
