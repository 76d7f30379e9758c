"""Adapters, one module for each framework. Each module imports its framework at the top."""

from frappe_hooksig.integrations._options import Options, SecretSource, Senders

__all__ = ["Options", "SecretSource", "Senders"]
