"""The whitelisted methods that others call: https://<site>/api/method/webhook_example.receivers.<name>.

Each keeps the event, once, and leaves the work to a background job: Frappe's own sender waits 5
seconds, and tries again.
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
    """Take in what another Frappe site sends: its Webhook document knows `webhook_secret`."""
    return _keep("frappe")


@frappe.whitelist(allow_guest=True, methods=["POST"])
@verify_webhook(
    providers.GITHUB, secret=password(SETTINGS, ["github_secret", "previous_github_secret"])
)
def github() -> dict[str, str]:
    """Take in an event of GitHub's, whose secret can be rotated."""
    return _keep("github")


@frappe.whitelist(allow_guest=True, methods=["POST"])
@verify_webhook(providers.STRIPE, secret=password(SETTINGS, "stripe_secret"))
def stripe() -> dict[str, str]:
    """Take in an event of Stripe's, signed within the last five minutes."""
    # Stripe signs each attempt anew; the event's id stays, and so does delivery.dedup_key.
    return _keep("stripe", get_delivery().json()["id"])


@frappe.whitelist(allow_guest=True, methods=["POST"])
@verify_webhook(providers.SHOPIFY, secret=password(SETTINGS, "shop_secret"))
def shop() -> dict[str, str]:
    """Take in an order of the shop's."""
    return _keep("shop")


@frappe.whitelist(allow_guest=True, methods=["POST"])
@verify_webhook(providers.RAZORPAY, secret=password(SETTINGS, "payments_secret"))
def payments() -> dict[str, str]:
    """Take in a payment."""
    return _keep("payments")


def _keep(sender: str, event_id: str | None = None) -> dict[str, str]:
    """Keep a verified event, and have it handled once it is committed."""
    delivery = get_delivery()
    payload = delivery.json()  # no JSON: answered with 400, and nothing is kept
    # Its name. Of two that come at the same moment, the second finds it taken when it inserts, is
    # answered with 409, and is a duplicate when it comes again.
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
    event.insert(ignore_permissions=True)  # a webhook comes in as Guest
    frappe.enqueue(handle, enqueue_after_commit=True, name=name)
    return {"status": "received", "event": name}


def handle(name: str) -> None:
    """Do the work, in the background."""
    frappe.db.set_value("Webhook Example Event", name, "status", "Handled")
