"""Reads the secret of Frappe's webhooks from the settings or the environment."""

from __future__ import annotations

import os

from django.conf import settings

from frappe_hooksig._frappe import SECRET_SETTING
from frappe_hooksig.secret import Secrets


def setting() -> Secrets | None:
    """Return the current secret in the settings, else in the environment, else None."""
    secret: Secrets | None = getattr(settings, SECRET_SETTING, None)
    return os.environ.get(SECRET_SETTING) if secret is None else secret
