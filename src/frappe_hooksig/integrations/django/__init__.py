"""Django: decorators that verify a request before its view runs, and an outbox for what it sends.

The decorators work without any setup. Add this package to INSTALLED_APPS to let `manage.py check`
examine `FRAPPE_WEBHOOK_SECRET`, and `manage.py migrate` create the tables of `DjangoStore` and of
an outbox.
"""

from typing import TYPE_CHECKING

from frappe_hooksig.integrations import _extras

try:
    from frappe_hooksig.integrations.django._decorators import (
        get_claim,
        get_delivery,
        verify_frappe_webhook,
        verify_webhook,
    )
    from frappe_hooksig.integrations.django._store import DjangoStore
except ModuleNotFoundError as error:
    raise _extras.not_installed(error, "django") from None

if TYPE_CHECKING:
    from frappe_hooksig.integrations.django._database import DjangoDatabase

__all__ = [
    "DjangoDatabase",
    "DjangoStore",
    "get_claim",
    "get_delivery",
    "verify_frappe_webhook",
    "verify_webhook",
]


def __getattr__(name: str) -> object:
    """Import the outbox's database on first use: a receiver loads no sender."""
    if name == "DjangoDatabase":
        from frappe_hooksig.integrations.django._database import DjangoDatabase

        return DjangoDatabase
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
