"""A document that is submitted, as a Sales Invoice is."""

from frappe.model.document import Document


class WebhookExampleOrder(Document):
    """A document that is submitted, as a Sales Invoice is."""
