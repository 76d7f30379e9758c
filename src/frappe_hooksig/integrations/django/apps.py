"""The app of `"frappe_hooksig.integrations.django"` in INSTALLED_APPS: checks, and a table."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import Tags, register

from frappe_hooksig.integrations.django._checks import check_secret


class HooksigConfig(AppConfig):
    """Registers the system checks, and has the table of `DjangoStore`."""

    name = "frappe_hooksig.integrations.django"
    label = "frappe_hooksig"
    verbose_name = "Webhook signatures"
    default_auto_field = "django.db.models.AutoField"  # of no use, and nobody is to be asked

    def ready(self) -> None:
        """Register them."""
        register(check_secret, Tags.security)
