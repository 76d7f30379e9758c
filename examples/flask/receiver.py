"""Receive ERPNext's Sales Orders, GitHub's pushes and Stripe's payments, in Flask.

    pip install "frappe-hooksig[flask]"
    export FRAPPE_WEBHOOK_SECRET=... GITHUB_WEBHOOK_SECRET=... STRIPE_WEBHOOK_SECRET=...
    flask --app receiver run

Frappe waits 5 seconds for an answer and then sends the request again, so each view only takes the
work in, once, and a thread does it. Where work must survive a restart, hand it to Celery or RQ, and
keep in a table what was taken in.
"""

from __future__ import annotations

import logging
import os
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

from flask import Flask, request

from frappe_hooksig import providers
from frappe_hooksig.integrations.flask import get_delivery, verify_frappe_webhook, verify_webhook

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("receiver")
workers = ThreadPoolExecutor(max_workers=4)
app = Flask(__name__)
lock = Lock()
seen: dict[str, None] = {}
REMEMBERED = 10_000


@app.post("/erpnext/sales-order")
@verify_frappe_webhook
def sales_order() -> dict[str, str]:
    """Take in a Sales Order. ERPNext's Webhook document has DocType and event in its setting."""
    delivery = get_delivery()
    order = delivery.json()
    if not is_new(delivery.dedup_key):
        return {"status": "duplicate"}
    log.info("Sales Order %s", order["name"])
    workers.submit(book, order).add_done_callback(report)
    return {"status": "received"}


@app.post("/github")
@verify_webhook(providers.GITHUB, secret=os.environ["GITHUB_WEBHOOK_SECRET"])
def github() -> dict[str, str]:
    """Take in GitHub's events; the event's name is a header, which is not signed."""
    event = get_delivery().json()
    log.info("GitHub: %s in %s", request.headers.get("X-GitHub-Event"), event.get("repository"))
    return {"status": "received"}


@app.post("/stripe")
@verify_webhook(providers.STRIPE, secret=os.environ["STRIPE_WEBHOOK_SECRET"])
def stripe() -> dict[str, str]:
    """Take in Stripe's events."""
    event = get_delivery().json()
    # Stripe signs each attempt with its own time, so the key differs; the event's id does not.
    if not is_new(f"stripe {event['id']}"):
        return {"status": "duplicate"}
    log.info("Stripe: %s %s", event["type"], event["id"])
    return {"status": "received"}


def is_new(key: str) -> bool:
    """Tell whether a delivery comes for the first time, as far as this process remembers."""
    with lock:
        if key in seen:
            return False
        seen[key] = None
        if len(seen) > REMEMBERED:
            del seen[next(iter(seen))]  # the oldest
        return True


def report(work: Future[None]) -> None:
    """Log why work failed: nobody else looks."""
    if error := work.exception():
        log.error("not done", exc_info=error)


def book(order: dict[str, Any]) -> None:
    """Do what takes long."""
    total = sum(item["amount"] for item in order["items"])
    log.info("booked %s: %s %s", order["name"], total, order["currency"])
