"""Send a webhook: one attempt done right, and when to try again."""

from __future__ import annotations

from frappe_hooksig.observe._attempt_event import Outcome
from frappe_hooksig.sending._attempt import Attempt
from frappe_hooksig.sending._guard import AddressGuard
from frappe_hooksig.sending._schedule import FRAPPE, QUICK, STANDARD_WEBHOOKS, RetrySchedule
from frappe_hooksig.sending._sender import Sender

__all__ = [
    "FRAPPE",
    "QUICK",
    "STANDARD_WEBHOOKS",
    "AddressGuard",
    "Attempt",
    "Outcome",
    "RetrySchedule",
    "Sender",
]
