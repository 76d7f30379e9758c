"""Receive ERPNext's Sales Orders, GitHub's pushes and Stripe's payments, in Flask.

    pip install "frappe-hooksig[flask]"
    export FRAPPE_WEBHOOK_SECRET=... GITHUB_WEBHOOK_SECRET=... STRIPE_WEBHOOK_SECRET=...
    flask --app receiver run

Frappe waits 5 seconds for a response and then sends the request again. So each view only accepts
the work, once for each delivery, and a thread does the work later. If work must survive a restart,
hand it to Celery or RQ, and store the keys of the deliveries in a table.
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
    """Accept a Sales Order. ERPNext's Webhook document selects the DocType and the event."""
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
    """Accept an event from GitHub. Its name is in a header, which GitHub does not sign."""
    event = get_delivery().json()
    log.info("GitHub: %s in %s", request.headers.get("X-GitHub-Event"), event.get("repository"))
    return {"status": "received"}


@app.post("/stripe")
@verify_webhook(providers.STRIPE, secret=os.environ["STRIPE_WEBHOOK_SECRET"])
def stripe() -> dict[str, str]:
    """Accept an event from Stripe."""
    event = get_delivery().json()
    # Stripe signs a new timestamp for each attempt, so dedup_key changes. The event's id does not.
    if not is_new(f"stripe {event['id']}"):
        return {"status": "duplicate"}
    log.info("Stripe: %s %s", event["type"], event["id"])
    return {"status": "received"}


def is_new(key: str) -> bool:
    """Whether this process sees a key for the first time, among the last REMEMBERED keys."""
    with lock:
        if key in seen:
            return False
        seen[key] = None
        if len(seen) > REMEMBERED:
            del seen[next(iter(seen))]  # the oldest
        return True


def report(work: Future[None]) -> None:
    """Log the error of failed work: nothing else reads the result."""
    if error := work.exception():
        log.error("not done", exc_info=error)


def book(order: dict[str, Any]) -> None:
    """Do the slow work."""
    total = sum(item["amount"] for item in order["items"])
    log.info("booked %s: %s %s", order["name"], total, order["currency"])
