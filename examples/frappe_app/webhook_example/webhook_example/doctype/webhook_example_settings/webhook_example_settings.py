"""The secrets of those who send, and where this site sends to."""

from frappe.model.document import Document


class WebhookExampleSettings(Document):
    """The secrets of those who send, and where this site sends to."""
