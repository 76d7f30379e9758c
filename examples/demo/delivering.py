"""The third part of the demo: an event that must arrive, at a receiver that is down at first."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory

from flask import Flask
from serving import serving

from frappe_hooksig import generate_secret
from frappe_hooksig.integrations.flask import get_delivery, verify_webhook
from frappe_hooksig.outbox import Outbox
from frappe_hooksig.providers import STANDARD_WEBHOOKS
from frappe_hooksig.replay import MemoryStore
from frappe_hooksig.sending import RetrySchedule

PATIENCE = 30  # seconds


@dataclass(frozen=True)
class Step:
    """What is so after a step.

    Attributes:
        title: The step.
        state: The state of the delivery.
        answer: What the receiver has answered, or why it has not.
        handled: How often the receiver has handled the event so far.
        right: Whether these are the expected ones.
    """

    title: str
    state: str
    answer: str
    handled: int
    right: bool


def delivering() -> Iterator[Step]:
    """Publish an event, start a worker, and the receiver only after that; yield each step."""
    secret = generate_secret("whsec")
    handled = Counter[str]()
    with TemporaryDirectory() as folder, socket() as listener:
        path = Path(folder) / "shop.db"
        listener.bind(("127.0.0.1", 0))  # without listen(), connections are refused
        with closing(Outbox(path)) as outbox:
            outbox.migrate()
            outbox.add_endpoint(
                f"http://127.0.0.1:{listener.getsockname()[1]}/events",
                secret_from="env:PARTNER_SECRET",
                schedule=RetrySchedule((0.5,) * 50, 0),
            )
            publish(outbox, path, "INV-00001")
            publish(outbox, path, "INV-00002", is_valid=False)
            step = partial(waited_for, outbox, handled)
            with worker(path, secret):
                yield step("published; the receiver is down", ("due", "connection", 0))
                listener.listen()
                with serving(receiver(secret, handled), listener):
                    yield step("tried again; the receiver is up", ("delivered", "received", 1))
                    (delivery,) = outbox.deliveries()
                    outbox.send_again(delivery=delivery.id)
                    yield step("sent again: it is a duplicate", ("delivered", "duplicate", 1))


def publish(outbox: Outbox, path: Path, invoice: str, *, is_valid: bool = True) -> None:
    """Publish an event in the transaction that causes it; roll that back if it is not valid."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS invoices (name TEXT)")
        connection.execute("INSERT INTO invoices VALUES (?)", [invoice])
        outbox.publish(connection, "invoice.paid", {"name": invoice})
        if is_valid:
            connection.commit()
        else:
            connection.rollback()


@contextmanager
def worker(path: Path, secret: str) -> Generator[None]:
    """Run a worker in a process of its own; at the end, let it finish what is in flight."""
    script = Path(__file__).with_name("worker.py")
    environment = os.environ | {"PARTNER_SECRET": secret}
    command = [sys.executable, str(script), str(path)]
    with subprocess.Popen(command, env=environment) as process:  # noqa: S603  # our own script
        try:
            yield
        finally:
            process.terminate()


def receiver(secret: str, handled: Counter[str]) -> Flask:
    """Return the app of the partner."""
    app = Flask(__name__)

    @app.post("/events")
    @verify_webhook(STANDARD_WEBHOOKS, secret=secret, store=MemoryStore())
    def events() -> dict[str, str]:
        handled[get_delivery().json()["name"]] += 1
        return {"status": "received"}

    return app


def waited_for(
    outbox: Outbox, handled: Counter[str], title: str, expected: tuple[str, str, int]
) -> Step:
    """Wait until a step has happened, but not for ever."""
    ends = time.monotonic() + PATIENCE
    found = seen(outbox, handled)
    while found != expected and time.monotonic() < ends:
        time.sleep(0.02)
        found = seen(outbox, handled)
    return Step(title, *found, right=found == expected and not handled["INV-00002"])


def seen(outbox: Outbox, handled: Counter[str]) -> tuple[str, str, int]:
    """Return the state of the only delivery, what its last attempt has led to, and the count."""
    for delivery in outbox.deliveries():
        for attempt in outbox.attempts(delivery.id)[-1:]:
            answer = json.loads(attempt.answer)["status"] if attempt.answer else attempt.reason
            return str(delivery.state), answer, handled["INV-00001"]
    return "", "", 0
