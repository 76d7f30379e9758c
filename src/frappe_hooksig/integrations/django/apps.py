"""The app of `"frappe_hooksig.integrations.django"` in INSTALLED_APPS: it brings the checks."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import Tags, register

from frappe_hooksig.integrations.django.checks import check_secret


class HooksigConfig(AppConfig):
    """Registers the system checks. There are no models."""

    name = "frappe_hooksig.integrations.django"
    label = "frappe_hooksig"
    verbose_name = "Webhook signatures"

    def ready(self) -> None:
        """Register them."""
        register(check_secret, Tags.security)
