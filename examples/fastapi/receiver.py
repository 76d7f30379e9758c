"""Receive ERPNext's Sales Orders, GitHub's pushes and Stripe's payments, in FastAPI.

    pip install "frappe-hooksig[fastapi]" uvicorn
    export FRAPPE_WEBHOOK_SECRET=... GITHUB_WEBHOOK_SECRET=... STRIPE_WEBHOOK_SECRET=...
    uvicorn receiver:app    # receives
    python receiver.py      # handles what was received; run it once, beside the other

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

Frappe waits 5 seconds for a response and then sends the request again. So each function stores the
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
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from pydantic import BaseModel

from frappe_hooksig import Delivery, providers
from frappe_hooksig.integrations.fastapi import FrappeWebhook, Webhook

logging.basicConfig(level=logging.INFO)  # also logs why a request was refused
log = logging.getLogger("receiver")

frappe = FrappeWebhook()  # the secret from FRAPPE_WEBHOOK_SECRET
github = Webhook(providers.GITHUB, secret=os.environ["GITHUB_WEBHOOK_SECRET"])
stripe = Webhook(providers.STRIPE, secret=os.environ["STRIPE_WEBHOOK_SECRET"])

app = FastAPI(title="Webhooks")

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


class Item(BaseModel):
    """A line of an order."""

    item_code: str
    amount: float


class Order(BaseModel):
    """The fields of a Sales Order that are used here. ERPNext sends all of them."""

    currency: str
    items: list[Item]


class SalesOrder(BaseModel):
    """What the JSON Request Body of the Webhook makes."""

    event: str
    name: str
    modified: str
    data: Order


class Repository(BaseModel):
    """A field of a repository."""

    full_name: str


class GitHubEvent(BaseModel):
    """Fields of GitHub's events. The event's name is in a header only, which is not signed."""

    repository: Repository
    ref: str | None = None


class StripeEvent(BaseModel):
    """The fields that all events from Stripe have."""

    id: str
    type: str


# These functions are `def`, because they write to a file: FastAPI runs them in threads.


@app.post("/erpnext/sales-order", responses=frappe.responses)
def sales_order(
    _order: Annotated[SalesOrder, Depends(frappe.payload(SalesOrder))],
    delivery: Annotated[Delivery, Depends(frappe)],
) -> dict[str, str]:
    """Accept a Sales Order."""
    return keep("erpnext", delivery)


@app.post("/github", responses=github.responses)
def github_event(
    _event: Annotated[GitHubEvent, Depends(github.payload(GitHubEvent))],
    delivery: Annotated[Delivery, Depends(github)],
) -> dict[str, str]:
    """Accept an event from GitHub."""
    return keep("github", delivery)


@app.post("/stripe", responses=stripe.responses)
def stripe_event(
    _event: Annotated[StripeEvent, Depends(stripe.payload(StripeEvent))],
    delivery: Annotated[Delivery, Depends(stripe)],
) -> dict[str, str]:
    """Accept an event from Stripe."""
    return keep("stripe", delivery)


@contextmanager
def database() -> Generator[sqlite3.Connection]:
    """Open the table of events, and commit at the end."""
    # Not longer than the sender waits. An error is answered with 500, and the sender retries.
    with closing(sqlite3.connect(FILE, timeout=3)) as connection, connection:
        connection.execute(TABLE)
        yield connection


def keep(sender: str, delivery: Delivery) -> dict[str, str]:
    """Store the event of a delivery, once. It is on the disk before the response is sent."""
    # The key is the same for each attempt, and differs from that of any other event.
    row = f"{sender} {delivery.dedup_key}", sender, delivery.body
    with database() as connection:
        insert = "insert or ignore into events (key, sender, payload) values (?, ?, ?)"
        is_new = connection.execute(insert, row).rowcount == 1
    return {"status": "received" if is_new else "duplicate"}


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


def book(payload: Any) -> None:
    """Do the slow work. It can run twice for one event, so it must bear that."""
    order = SalesOrder.model_validate(payload)
    total = sum(item.amount for item in order.data.items)
    log.info("booked %s: %s %s", order.name, total, order.data.currency)


def deploy(payload: Any) -> None:
    """Do the slow work."""
    event = GitHubEvent.model_validate(payload)
    log.info("GitHub: %s of %s", event.ref, event.repository.full_name)


def pay(payload: Any) -> None:
    """Do the slow work."""
    event = StripeEvent.model_validate(payload)
    log.info("Stripe: %s %s", event.type, event.id)


HANDLERS: dict[str, Callable[[Any], None]] = {"erpnext": book, "github": deploy, "stripe": pay}

if __name__ == "__main__":
    work()
