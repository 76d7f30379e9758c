"""Whitelisted methods for senders: https://<site>/api/method/webhook_example.receivers.<name>.

Each method stores the event, once, and leaves the work to a background job: Frappe's own sender
waits 5 seconds and then sends the event again.
"""

from __future__ import annotations

import frappe

from frappe_hooksig import providers
from frappe_hooksig.integrations.frappe import (
    get_delivery,
    password,
    verify_frappe_webhook,
    verify_webhook,
)

SETTINGS = "Webhook Example Settings"


@frappe.whitelist(allow_guest=True, methods=["POST", "PUT", "DELETE"])
@verify_frappe_webhook
def frappe_site() -> dict[str, str]:
    """Accept an event from another Frappe site, whose Webhook document has `webhook_secret`."""
    return _keep("frappe")


@frappe.whitelist(allow_guest=True, methods=["POST"])
@verify_webhook(
    providers.GITHUB, secret=password(SETTINGS, ["github_secret", "previous_github_secret"])
)
def github() -> dict[str, str]:
    """Accept an event from GitHub. The previous secret stays valid during a rotation."""
    return _keep("github")


@frappe.whitelist(allow_guest=True, methods=["POST"])
@verify_webhook(providers.STRIPE, secret=password(SETTINGS, "stripe_secret"))
def stripe() -> dict[str, str]:
    """Accept an event from Stripe, signed within the last five minutes."""
    # Stripe signs a new timestamp for each attempt. The event's id is the same for all attempts.
    return _keep("stripe", get_delivery().json()["id"])


@frappe.whitelist(allow_guest=True, methods=["POST"])
@verify_webhook(providers.SHOPIFY, secret=password(SETTINGS, "shop_secret"))
def shop() -> dict[str, str]:
    """Accept an order from the shop."""
    return _keep("shop")


@frappe.whitelist(allow_guest=True, methods=["POST"])
@verify_webhook(providers.RAZORPAY, secret=password(SETTINGS, "payments_secret"))
def payments() -> dict[str, str]:
    """Accept a payment."""
    return _keep("payments")


def _keep(sender: str, event_id: str | None = None) -> dict[str, str]:
    """Store a verified event, and enqueue its work for when the transaction is committed."""
    delivery = get_delivery()
    payload = delivery.json()  # if it is not JSON: HTTP 400, and nothing is stored
    # The name is the primary key. If two attempts arrive at the same moment, the second insert
    # fails with HTTP 409. Its retry is then a duplicate.
    name = f"{sender}-{event_id or delivery.dedup_key}"
    if frappe.db.exists("Webhook Example Event", name):
        return {"status": "duplicate", "event": name}
    event = frappe.get_doc(
        {
            "doctype": "Webhook Example Event",
            "name": name,
            "sender": sender,
            "secret_id": delivery.secret_id or "",
            "payload": frappe.as_json(payload),
        }
    )
    event.insert(ignore_permissions=True)  # a webhook runs as Guest
    frappe.enqueue(handle, enqueue_after_commit=True, name=name)
    return {"status": "received", "event": name}


def handle(name: str) -> None:
    """Do the work, in the background."""
    frappe.db.set_value("Webhook Example Event", name, "status", "Handled")
