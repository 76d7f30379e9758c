"""Frappe's webhooks at a receiver: its retries, for seconds or for a day, and workflows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from werkzeug.test import run_wsgi_app

from frappe_hooksig import Verifier
from frappe_hooksig.freshness import body_time
from frappe_hooksig.integrations.flask import get_delivery, verify_webhook
from frappe_hooksig.replay import Deduplicator, MemoryStore
from tests.frappe_sender import (
    LATER,
    ORDER,
    QUICK,
    SCHEDULER_EVERY,
    Request,
    apply_workflow,
    deliver,
    rendered,
)
from tests.frappe_sender import template_of_docs as docs
from tests.loopback import Answer, send_to

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
SITE = "Asia/Kolkata"
ALL = 1 + len(QUICK) + len(LATER)


class Clock:
    """The time of the sender, the receiver and the store."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now

    def let_pass(self, seconds: float) -> None:
        self.now += seconds

    def written(self) -> str:
        """What Frappe writes, in the site's time zone."""
        moment = datetime.fromtimestamp(self.now, timezone.utc).astimezone(ZoneInfo(SITE))
        return str(moment.replace(tzinfo=None))


class Quiet(WSGIRequestHandler):
    def log_message(self, *_args: object) -> None:
        """Say nothing."""


class Receiver:
    """A server on loopback, whose clock a test sets.

    Attributes:
        statuses: What the next requests are answered with, whatever was done; then the truth is
            told.
        handled: The names of the documents that were handled.
    """

    def __init__(self, clock: Clock, **options: Any) -> None:
        self.clock = clock
        self.statuses: list[int] = []
        self.is_away = False
        self.handled: list[str] = []
        self._app = Flask(__name__)
        keep = options.pop("keep", None)
        store: Any = MemoryStore(clock=clock)
        store = store if keep is None else Deduplicator(store, retention=keep)

        @self._app.post("/")
        @verify_webhook(Verifier(SECRET, clock=clock, **options), store=store)
        def view() -> dict[str, str]:
            self.handled.append(get_delivery().json()["name"])
            return {"status": "handled"}

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Answer a request; or stand for a proxy that cannot reach the app, or loses its answer."""
        if self.is_away:
            start_response("502 Bad Gateway", [])
            return [b""]
        if not self.statuses:
            return self._app(environ, start_response)
        run_wsgi_app(self._app, environ)
        start_response(f"{self.statuses.pop(0)} Lost", [])
        return [b""]

    @contextmanager
    def listening(self) -> Iterator[Callable[[Request], Answer]]:
        """Serve until the block ends; what it is there for sends a request."""
        with make_server("127.0.0.1", 0, self, handler_class=Quiet) as server:
            Thread(target=server.serve_forever, daemon=True).start()
            yield lambda request: send_to(server.server_port, "/", request.body, request.headers)
            server.shutdown()


@pytest.fixture
def clock() -> Clock:
    """Now, until a test lets time pass."""
    return Clock()


def order(clock: Clock, template: str = docs(), **changes: Any) -> Request:
    """Return a webhook about an order that was saved just now."""
    return rendered(template, ORDER | {"modified": clock.written()} | changes, SECRET)


@pytest.mark.parametrize(("retries_later", "attempts"), [(False, 3), (True, ALL)])
def test_receiver_that_is_away(clock: Clock, *, retries_later: bool, attempts: int) -> None:
    """Up to 16.4 the event is lost after 5 s; later, the last retry of a day is accepted too."""
    receiver = Receiver(clock, timestamp_from=body_time("modified", time_zone=SITE))
    receiver.is_away = True
    began = clock.now
    request = order(clock)
    outcomes: list[int] = []

    def send() -> int:
        receiver.is_away = len(outcomes) < ALL - 1
        outcomes.append(deliver_one(request).status)
        return outcomes[-1]

    with receiver.listening() as deliver_one:
        deliver(send, clock.let_pass, retries_later=retries_later)

    assert outcomes == ([502] * 3 if attempts == 3 else [502] * (ALL - 1) + [200])
    assert receiver.handled == ([ORDER["name"]] if retries_later else [])
    assert clock.now - began == pytest.approx(
        sum(QUICK) + (sum(LATER) + len(LATER) * SCHEDULER_EVERY if retries_later else 0)
    )


@pytest.mark.parametrize("lost", range(ALL))
def test_answers_that_are_lost(clock: Clock, lost: int) -> None:
    """With a time in the body, no retry of a day is handled again."""
    receiver = Receiver(clock, timestamp_from=body_time("modified", time_zone=SITE))
    receiver.statuses = [504] * lost
    request = order(clock)
    with receiver.listening() as send:
        statuses = deliver(lambda: send(request).status, clock.let_pass, retries_later=True)

    assert statuses == [504] * lost + [200]
    assert receiver.handled == [ORDER["name"]]


def test_without_a_time(clock: Clock) -> None:
    """Without one, equal events of another minute are two events; so is a late retry."""
    receiver = Receiver(clock)
    template = '{"name": {{ doc.name | tojson }}}'
    with receiver.listening() as send:
        for _ in range(2):  # the same is said of the document twice, a minute apart
            request = order(clock, template)
            deliver(lambda: send(request).status, clock.let_pass, retries_later=True)  # noqa: B023
            clock.let_pass(61)
        assert len(receiver.handled) == 2

        receiver.statuses = [504] * 3
        deliver(lambda: send(request).status, clock.let_pass, retries_later=True)

    assert len(receiver.handled) == 4  # once more for the event, and again for its late retry


def test_own_retention(clock: Clock) -> None:
    """With `modified` in the body, whoever needs no time limit can remember as long by hand."""
    receiver = Receiver(clock, keep=30 * 3600)
    receiver.statuses = [504] * (ALL - 1)
    request = order(clock)
    with receiver.listening() as send:
        deliver(lambda: send(request).status, clock.let_pass, retries_later=True)
        clock.let_pass(60)
        later = order(clock)
        deliver(lambda: send(later).status, clock.let_pass, retries_later=True)

    assert receiver.handled == [ORDER["name"]] * 2


def test_replay(clock: Clock) -> None:
    """What is older than all retries is refused, and until then it is known."""
    receiver = Receiver(clock, timestamp_from=body_time("modified", time_zone=SITE))
    request = order(clock)
    with receiver.listening() as send:
        assert send(request).json() == {"status": "handled"}
        clock.let_pass(36 * 3600 - 1)
        assert send(request).json()["status"] == "duplicate"
        clock.let_pass(2)
        assert send(request).outcome == (401, "timestamp-too-old")

    assert receiver.handled == [ORDER["name"]]


class TestWorkflow:
    """A Webhook for `workflow_transition`, about a document that was last saved 3 days ago."""

    def approve(self, clock: Clock, template: str, **options: Any) -> tuple[bool, list[int]]:
        """Have an order approved; return whether it was, and the answers."""
        doc = ORDER | {"modified": clock.written(), "workflow_state": "Draft"}
        clock.let_pass(3 * 24 * 3600)
        answers: list[int] = []
        with Receiver(clock, **options).listening() as send:

            def send_now(moved: dict[str, Any]) -> list[int]:
                request = rendered(template, moved, SECRET)
                once = lambda: send(request).status  # noqa: E731
                answers.extend(deliver(once, clock.let_pass, retries_later=False))
                return answers

            is_done = apply_workflow(doc, "Approved", send_now, clock.written())
        assert doc["workflow_state"] == ("Approved" if is_done else "Draft")
        return is_done, answers

    def test_template(self, clock: Clock) -> None:
        """With the template of the docs, and no time to check, the transition happens."""
        assert self.approve(clock, docs("WORKFLOW_TEMPLATE")) == (True, [200])

    @pytest.mark.parametrize(
        ("template", "status"), [("TEMPLATE", 401), ("WORKFLOW_TEMPLATE", 400)]
    )
    def test_time_that_is_checked(self, clock: Clock, template: str, status: int) -> None:
        """With `timestamp_from=`, the user waits for three attempts, and nothing happens."""
        timestamp_from = body_time("modified", time_zone=SITE)

        outcome = self.approve(clock, docs(template), timestamp_from=timestamp_from)

        assert outcome == (False, [status] * 3)

    def test_what_it_says(self, clock: Clock) -> None:
        """It tells each transition of a document from the others, and what it leads to."""
        bodies: set[bytes] = set()
        for state in ("Approved", "Draft", "Approved"):
            clock.let_pass(1)
            doc = ORDER | {"workflow_state": state, "modified": clock.written()}
            bodies.add(rendered(docs("WORKFLOW_TEMPLATE"), doc, SECRET).body)

        assert len(bodies) == 3
        assert all(b'"event": "workflow_transition"' in body for body in bodies)
