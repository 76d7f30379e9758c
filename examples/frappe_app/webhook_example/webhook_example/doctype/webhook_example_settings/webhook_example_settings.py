"""The secrets of the senders, and the receiver of this site's webhooks."""

from frappe.model.document import Document


class WebhookExampleSettings(Document):
    """The secrets of the senders, and the receiver of this site's webhooks."""
