"""Receives and sends signed webhooks in a Frappe site."""

__version__ = "0.1.0"
