"""Django: decorators that verify a request before its view runs, and system checks.

The decorators work without any setup. Add this package to INSTALLED_APPS to let `manage.py check`
examine `FRAPPE_WEBHOOK_SECRET`, and `manage.py migrate` create the table of `DjangoStore`.
"""

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

__all__ = [
    "DjangoStore",
    "get_claim",
    "get_delivery",
    "verify_frappe_webhook",
    "verify_webhook",
]
