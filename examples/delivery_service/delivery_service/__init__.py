"""A webhook delivery service on the outbox of frappe_hooksig."""
