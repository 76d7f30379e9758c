"""Django: decorators that verify a request before its view runs, and system checks.

The decorators work by themselves. As an app in INSTALLED_APPS, this package adds to
`manage.py check` what is wrong with `FRAPPE_WEBHOOK_SECRET`, and to `manage.py migrate` the
table of `frappe_hooksig.integrations.django.stores.DjangoStore`.
"""

from frappe_hooksig.integrations.django.decorators import (
    get_delivery,
    verify_frappe_webhook,
    verify_webhook,
)

__all__ = ["get_delivery", "verify_frappe_webhook", "verify_webhook"]
