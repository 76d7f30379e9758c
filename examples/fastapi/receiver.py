"""Receive ERPNext's Sales Orders, GitHub's pushes and Stripe's payments, in FastAPI.

    pip install "frappe-hooksig[fastapi]" uvicorn
    export FRAPPE_WEBHOOK_SECRET=... GITHUB_WEBHOOK_SECRET=... STRIPE_WEBHOOK_SECRET=...
    uvicorn receiver:app

Frappe waits 5 seconds for a response and then sends the request again. So the function only
accepts the work, once for each delivery, and a background task does it after the response. If work
must survive a restart, hand it to Celery or RQ, and store the keys of the deliveries in a table.
"""

from __future__ import annotations

import logging
import os
from typing import Annotated, Any

from fastapi import BackgroundTasks, Depends, FastAPI, Header
from pydantic import BaseModel

from frappe_hooksig import Delivery, providers
from frappe_hooksig.integrations.fastapi import FrappeWebhook, Webhook

logging.basicConfig(level=logging.INFO)  # also logs why a request was refused
log = logging.getLogger("receiver")

frappe = FrappeWebhook()  # the secret from FRAPPE_WEBHOOK_SECRET
github = Webhook(providers.GITHUB, secret=os.environ["GITHUB_WEBHOOK_SECRET"])
stripe = Webhook(providers.STRIPE, secret=os.environ["STRIPE_WEBHOOK_SECRET"])

app = FastAPI(title="Webhooks")
seen: dict[str, None] = {}
REMEMBERED = 10_000


class Item(BaseModel):
    """A line of an order."""

    item_code: str
    amount: float


class SalesOrder(BaseModel):
    """The fields that ERPNext's Webhook document sends."""

    name: str
    currency: str
    items: list[Item]


class GitHubEvent(BaseModel):
    """A field that most events from GitHub have."""

    repository: Any = None


class StripeEvent(BaseModel):
    """The fields that all events from Stripe have."""

    id: str
    type: str


@app.post("/erpnext/sales-order", responses=frappe.responses)
async def sales_order(
    order: Annotated[SalesOrder, Depends(frappe.payload(SalesOrder))],
    delivery: Annotated[Delivery, Depends(frappe)],
    tasks: BackgroundTasks,
) -> dict[str, str]:
    """Accept a Sales Order. ERPNext's Webhook document selects the DocType and the event."""
    if not is_new(delivery.dedup_key):
        return {"status": "duplicate"}
    log.info("Sales Order %r, signed with secret %r", order.name, delivery.secret_id)
    tasks.add_task(book, order)
    return {"status": "received"}


@app.post("/github", responses=github.responses)
async def github_event(
    event: Annotated[GitHubEvent, Depends(github.payload(GitHubEvent))],
    x_github_event: Annotated[str, Header()],
) -> dict[str, str]:
    """Accept an event from GitHub. Its name is in a header, which GitHub does not sign."""
    log.info("GitHub: %s in %s", x_github_event, event.repository)
    return {"status": "received"}


@app.post("/stripe", responses=stripe.responses)
async def stripe_event(
    event: Annotated[StripeEvent, Depends(stripe.payload(StripeEvent))],
) -> dict[str, str]:
    """Accept an event from Stripe."""
    # Stripe signs a new timestamp for each attempt, so dedup_key changes. The event's id does not.
    if not is_new(f"stripe {event.id}"):
        return {"status": "duplicate"}
    log.info("Stripe: %s %s", event.type, event.id)
    return {"status": "received"}


def is_new(key: str) -> bool:
    """Whether this process sees a key for the first time, among the last REMEMBERED keys."""
    if key in seen:
        return False
    seen[key] = None
    if len(seen) > REMEMBERED:
        del seen[next(iter(seen))]  # the oldest
    return True


def book(order: SalesOrder) -> None:
    """Do the slow work."""
    total = sum(item.amount for item in order.items)
    log.info("booked %s: %s %s", order.name, total, order.currency)
