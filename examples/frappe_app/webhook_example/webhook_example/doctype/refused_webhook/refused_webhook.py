"""A request that a receiver refused."""

from frappe.model.document import Document


class RefusedWebhook(Document):
    """A request that a receiver refused."""
