"""Whitelisted methods for senders: https://<site>/api/method/webhook_example.receivers.<name>.

Each method stores the event, once, and leaves the work to a background job: Frappe's own sender
waits 5 seconds and then sends the event again. If the job is lost, with the queue or with a worker
that is killed, the scheduler finds the event in the table.
"""

from __future__ import annotations

import frappe

from frappe_hooksig import MalformedPayload, providers
from frappe_hooksig.integrations.frappe import (
    get_delivery,
    password,
    verify_frappe_webhook,
    verify_webhook,
)
from frappe_hooksig.observe import log
from webhook_example.refusals import keep_refused

SETTINGS = "Webhook Example Settings"
EVENT = "Webhook Example Event"
OBSERVERS = [log, keep_refused]


@frappe.whitelist(allow_guest=True, methods=["POST", "PUT", "DELETE"])
@verify_frappe_webhook(observe=OBSERVERS)
def frappe_site() -> dict[str, str]:
    """Accept an event from another Frappe site, whose Webhook document has `webhook_secret`."""
    return _keep("frappe")


@frappe.whitelist(allow_guest=True, methods=["POST"])
@verify_webhook(
    providers.GITHUB,
    secret=password(SETTINGS, ["github_secret", "previous_github_secret"]),
    observe=OBSERVERS,
)
def github() -> dict[str, str]:
    """Accept an event from GitHub. The previous secret stays valid during a rotation."""
    return _keep("github")


@frappe.whitelist(allow_guest=True, methods=["POST"])
@verify_webhook(providers.STRIPE, secret=password(SETTINGS, "stripe_secret"), observe=OBSERVERS)
def stripe() -> dict[str, str]:
    """Accept an event from Stripe, signed within the last five minutes."""
    return _keep("stripe")


@frappe.whitelist(allow_guest=True, methods=["POST"])
@verify_webhook(providers.SHOPIFY, secret=password(SETTINGS, "shop_secret"), observe=OBSERVERS)
def shop() -> dict[str, str]:
    """Accept an order from the shop."""
    return _keep("shop")


@frappe.whitelist(allow_guest=True, methods=["POST"])
@verify_webhook(providers.RAZORPAY, secret=password(SETTINGS, "payments_secret"), observe=OBSERVERS)
def payments() -> dict[str, str]:
    """Accept a payment."""
    return _keep("payments")


def _keep(sender: str) -> dict[str, str]:
    """Store a verified event, and enqueue its work for when the transaction is committed."""
    delivery = get_delivery()
    payload = delivery.json()  # if it is not JSON: HTTP 400, and nothing is stored
    if not isinstance(payload, dict):
        msg = "expected a JSON object: in Frappe, use the JSON Request Body of the README"
        raise MalformedPayload(msg)
    # The name is the primary key. If two attempts arrive at the same moment, the second insert
    # fails with HTTP 409. Its retry is then a duplicate.
    name = f"{sender}-{delivery.dedup_key}"
    if frappe.db.exists(EVENT, name):
        return {"status": "duplicate", "event": name}
    event = frappe.get_doc(
        {
            "doctype": EVENT,
            "name": name,
            "sender": sender,
            "status": "Received",
            "secret_id": delivery.secret_id or "",
            "payload": frappe.as_json(payload),
        }
    )
    event.insert(ignore_permissions=True)  # a webhook runs as Guest
    frappe.enqueue(handle, enqueue_after_commit=True, name=name)
    return {"status": "received", "event": name}


def handle(name: str) -> None:
    """Do the work, in the background. It can run twice for one event, so it must bear that."""
    frappe.db.set_value(EVENT, name, "status", "Handled")


def handle_waiting() -> None:
    """Enqueue the work of events that still wait. The scheduler calls it: see hooks.py."""
    for name in frappe.get_all(EVENT, filters={"status": "Received"}, pluck="name"):
        frappe.enqueue(handle, name=name)
