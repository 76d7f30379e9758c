"""Sends webhooks from this site. `doc_events` in hooks.py calls these functions."""

from __future__ import annotations

import frappe
from frappe.model.document import Document

from frappe_hooksig.integrations.frappe import enqueue_webhook, password

SETTINGS = "Webhook Example Settings"


def order_created(doc: Document, method: str | None = None) -> None:  # noqa: ARG001  # Frappe's
    """Send a webhook about a new order."""
    _send("order.created", doc)


def order_submitted(doc: Document, method: str | None = None) -> None:  # noqa: ARG001  # Frappe's
    """Send a webhook about a submitted order."""
    _send("order.submitted", doc)


def _send(event: str, doc: Document) -> None:
    url: str | None = frappe.db.get_single_value(SETTINGS, "send_to")
    if not url:
        return
    payload = {
        "event": event,
        "name": doc.name,
        "modified": str(doc.modified),
        "customer": doc.customer,
        "amount": doc.amount,
    }
    enqueue_webhook(url, payload, password(SETTINGS, "sending_secret"))
