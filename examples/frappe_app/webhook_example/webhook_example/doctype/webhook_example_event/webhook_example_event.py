"""A verified webhook that the site received."""

from frappe.model.document import Document


class WebhookExampleEvent(Document):
    """A verified webhook that the site received."""
