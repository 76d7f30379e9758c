"""A FastAPI app that receives ERPNext's, GitHub's and Stripe's webhooks, as it could be yours.

export FRAPPE_WEBHOOK_SECRET=... GITHUB_WEBHOOK_SECRET=... STRIPE_WEBHOOK_SECRET=whsec_...
uvicorn webhooks:app
"""

from __future__ import annotations

import logging
import os
from datetime import datetime
from typing import Annotated, Any

from fastapi import BackgroundTasks, Depends, FastAPI, Header
from pydantic import BaseModel

from frappe_hooksig import Delivery, providers
from frappe_hooksig.integrations.fastapi import FrappeWebhook, Webhook

logging.basicConfig(level=logging.INFO)  # shows why a request was refused, too
log = logging.getLogger("webhooks")

frappe = FrappeWebhook()  # the secret from FRAPPE_WEBHOOK_SECRET
github = Webhook(providers.GITHUB, secret=os.environ["GITHUB_WEBHOOK_SECRET"])
stripe = Webhook(providers.STRIPE, secret=os.environ["STRIPE_WEBHOOK_SECRET"])

app = FastAPI(title="Webhooks")


class Item(BaseModel):
    """A line of an order."""

    item_code: str
    qty: float


class SalesOrder(BaseModel):
    """What the Webhook document in ERPNext sends: the fields that were chosen there."""

    name: str
    customer: str
    grand_total: float
    modified: datetime
    items: list[Item] = []


def fulfil(order: SalesOrder) -> None:
    """Do the work, which may take longer than the 5 seconds that Frappe waits for an answer."""
    log.info("fulfilling %s: %d items for %s", order.name, len(order.items), order.customer)


@app.post("/erpnext/sales-order", responses=frappe.responses)
async def sales_order(
    order: Annotated[SalesOrder, Depends(frappe.payload(SalesOrder))],
    delivery: Annotated[Delivery, Depends(frappe)],
    tasks: BackgroundTasks,
) -> dict[str, str]:
    """Answer first, work later; a repeat of the same event has the same key."""
    log.info("received %s, modified %s, key %s", order.name, order.modified, delivery.key)
    tasks.add_task(fulfil, order)
    return {"status": "received"}


@app.post("/github", responses=github.responses)
async def github_event(
    delivery: Annotated[Delivery, Depends(github)], x_github_event: Annotated[str, Header()]
) -> dict[str, str]:
    """GitHub names the event in a header, which it does not sign."""
    repository: dict[str, Any] = delivery.json().get("repository", {})
    log.info("GitHub: %s in %s", x_github_event, repository.get("full_name"))
    return {"status": "received"}


class StripeEvent(BaseModel):
    """What all of Stripe's events have."""

    id: str
    type: str
    data: dict[str, Any]


@app.post("/stripe", responses=stripe.responses)
def stripe_event(
    event: Annotated[StripeEvent, Depends(stripe.payload(StripeEvent))],
) -> dict[str, str]:
    """Stripe signs the time: an old request is refused."""
    log.info("Stripe: %s %s", event.type, event.id)
    return {"status": "received"}
