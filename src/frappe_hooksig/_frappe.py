"""The name under which frameworks and the environment hold the secret of Frappe's webhooks."""

from __future__ import annotations

from typing import Final

SECRET_SETTING: Final = "FRAPPE_WEBHOOK_SECRET"
