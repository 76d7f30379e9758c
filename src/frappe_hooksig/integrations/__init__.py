"""Adapters: one module for each framework, which imports that framework at its top."""

from frappe_hooksig.integrations._options import Options, SecretSource, Senders

__all__ = ["Options", "SecretSource", "Senders"]
