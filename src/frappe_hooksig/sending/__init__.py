"""Send a webhook: one attempt done right, and when to try again."""

from __future__ import annotations

from frappe_hooksig.sending._guard import AddressGuard

__all__ = ["AddressGuard"]
