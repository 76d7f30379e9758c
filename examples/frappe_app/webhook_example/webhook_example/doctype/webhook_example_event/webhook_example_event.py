"""A verified webhook that came in."""

from frappe.model.document import Document


class WebhookExampleEvent(Document):
    """A verified webhook that came in."""
