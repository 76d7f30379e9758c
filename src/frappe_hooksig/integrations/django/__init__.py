"""Django: decorators that verify a request before its view runs, and system checks.

The decorators work by themselves. As an app in INSTALLED_APPS, this package adds to
`manage.py check` what is wrong with `FRAPPE_WEBHOOK_SECRET`, and to `manage.py migrate` the
table of `DjangoStore`.
"""

from frappe_hooksig.integrations.django._decorators import (
    get_delivery,
    verify_frappe_webhook,
    verify_webhook,
)
from frappe_hooksig.integrations.django._store import DjangoStore

__all__ = ["DjangoStore", "get_delivery", "verify_frappe_webhook", "verify_webhook"]
