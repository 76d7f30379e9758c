"""The Django app `"frappe_hooksig.integrations.django"`: system checks, tables and an admin."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import Tags, register

from frappe_hooksig.integrations.django._checks import check_outbox, check_secret


class HooksigConfig(AppConfig):
    """Registers the system checks, and contains the tables of `DjangoStore` and of an outbox."""

    name = "frappe_hooksig.integrations.django"
    label = "frappe_hooksig"
    verbose_name = "Webhook signatures"
    # Unused: the tables have their own primary keys. Set so that no project has to choose one.
    default_auto_field = "django.db.models.AutoField"

    def ready(self) -> None:
        """Register the system checks."""
        register(check_secret, Tags.security)
        register(check_outbox)
