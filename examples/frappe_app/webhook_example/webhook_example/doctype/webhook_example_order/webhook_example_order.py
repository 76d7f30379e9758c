"""A document that is submitted, like a Sales Invoice."""

from frappe.model.document import Document


class WebhookExampleOrder(Document):
    """A document that is submitted, like a Sales Invoice."""
