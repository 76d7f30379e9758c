"""Receive ERPNext's Sales Orders, GitHub's pushes and Stripe's payments, in Flask.

    pip install "frappe-hooksig[flask]"
    export FRAPPE_WEBHOOK_SECRET=... GITHUB_WEBHOOK_SECRET=... STRIPE_WEBHOOK_SECRET=...
    flask --app receiver run    # receives
    flask --app receiver work   # handles what was received; run it once, beside the other

In ERPNext, create a Webhook. DocType: Sales Order. Doc Event: on_submit. Request URL:
https://your.host/erpnext/sales-order. Request Method: POST. Request Structure: JSON.
Enable Security: checked. Webhook Secret: FRAPPE_WEBHOOK_SECRET. JSON Request Body:

    {
      "event": "on_submit",
      "doctype": {{ doc.doctype | tojson }},
      "name": {{ doc.name | tojson }},
      "modified": {{ doc.modified | string | tojson }},
      "data": {{ doc | json }}
    }

At GitHub, choose the content type application/json.

Frappe waits 5 seconds for a response and then sends the request again. So each view stores the
event in a table, once, and responds. A process that is killed after its response loses nothing:
the worker finds the event in the table. If the worker is killed, it handles that event again.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from typing import Any

from flask import Flask

from frappe_hooksig import MalformedPayload, providers
from frappe_hooksig.integrations.flask import get_delivery, verify_frappe_webhook, verify_webhook

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("receiver")
app = Flask(__name__)

FILE = os.environ.get("EVENTS", "events.sqlite")
TABLE = """create table if not exists events (
    id integer primary key,
    key text unique not null,
    sender text not null,
    payload blob not null,
    failures integer not null default 0,
    is_done integer not null default 0
)"""
MOST_FAILURES = 5


@app.post("/erpnext/sales-order")
@verify_frappe_webhook
def sales_order() -> dict[str, str]:
    """Accept a Sales Order."""
    match get_delivery().json():
        case {"name": str(), "data": {"currency": str(), "items": [*items]}} if all(
            map(has_amount, items)
        ):
            return keep("erpnext")
        case _:
            msg = (
                "expected name, and data with currency and items that have an amount: use the "
                "JSON Request Body of receiver.py"
            )
            raise MalformedPayload(msg)


def has_amount(item: object) -> bool:
    """Whether an item can be added up."""
    match item:
        case {"amount": int() | float()}:
            return True
        case _:
            return False


@app.post("/github")
@verify_webhook(providers.GITHUB, secret=os.environ["GITHUB_WEBHOOK_SECRET"])
def github() -> dict[str, str]:
    """Accept an event from GitHub. Its name is in a header only, which GitHub does not sign."""
    match get_delivery().json():
        case {"repository": {"full_name": str()}}:
            return keep("github")
        case _:
            msg = "expected an event of a repository"
            raise MalformedPayload(msg)


@app.post("/stripe")
@verify_webhook(providers.STRIPE, secret=os.environ["STRIPE_WEBHOOK_SECRET"])
def stripe() -> dict[str, str]:
    """Accept an event from Stripe."""
    match get_delivery().json():
        case {"id": str(), "type": str()}:
            return keep("stripe")
        case _:
            msg = "expected an event with id and type"
            raise MalformedPayload(msg)


@contextmanager
def database() -> Generator[sqlite3.Connection]:
    """Open the table of events, and commit at the end."""
    # Not longer than the sender waits. An error is answered with 500, and the sender retries.
    with closing(sqlite3.connect(FILE, timeout=3)) as connection, connection:
        connection.execute(TABLE)
        yield connection


def keep(sender: str) -> dict[str, str]:
    """Store the event of this request, once. It is on the disk before the response is sent."""
    delivery = get_delivery()
    # The key is the same for each attempt, and differs from that of any other event.
    row = f"{sender} {delivery.dedup_key}", sender, delivery.body
    with database() as connection:
        insert = "insert or ignore into events (key, sender, payload) values (?, ?, ?)"
        is_new = connection.execute(insert, row).rowcount == 1
    return {"status": "received" if is_new else "duplicate"}


@app.cli.command("work")
def work() -> None:
    """Handle one stored event after the other. After five failures, one is left for a person."""
    log.info("handles the events in %s", FILE)
    while True:
        with database() as connection:
            select = """select id, sender, payload from events
                where not is_done and failures < ? order by failures, id limit 1"""
            event = connection.execute(select, (MOST_FAILURES,)).fetchone()
        if event is None:
            time.sleep(0.5)
            continue
        number, sender, payload = event
        outcome = "is_done = 1"
        try:
            HANDLERS[sender](json.loads(payload))
        except Exception:
            log.exception("event %s of %s failed", number, sender)
            outcome = "failures = failures + 1"
        with database() as connection:
            connection.execute(f"update events set {outcome} where id = ?", (number,))  # noqa: S608


def book(order: dict[str, Any]) -> None:
    """Do the slow work. It can run twice for one event, so it must bear that."""
    total = sum(item["amount"] for item in order["data"]["items"])
    log.info("booked %s: %s %s", order["name"], total, order["data"]["currency"])


def deploy(push: dict[str, Any]) -> None:
    """Do the slow work."""
    log.info("GitHub: %s of %s", push.get("ref"), push["repository"]["full_name"])


def pay(event: dict[str, Any]) -> None:
    """Do the slow work."""
    log.info("Stripe: %s %s", event["type"], event["id"])


HANDLERS: dict[str, Callable[[Any], None]] = {"erpnext": book, "github": deploy, "stripe": pay}
