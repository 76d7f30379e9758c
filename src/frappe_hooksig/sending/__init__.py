"""Send signed webhooks: one attempt done right."""

from __future__ import annotations

from frappe_hooksig.sending._attempt import Attempt, Outcome
from frappe_hooksig.sending._guard import AddressGuard
from frappe_hooksig.sending._sender import Sender

__all__ = ["AddressGuard", "Attempt", "Outcome", "Sender"]
