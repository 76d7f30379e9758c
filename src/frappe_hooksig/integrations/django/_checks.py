"""The system checks for the secret of Frappe's webhooks. No message contains the secret."""

from __future__ import annotations

import warnings
from typing import Any

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004  # Django's own name

from frappe_hooksig._frappe import SECRET_SETTING
from frappe_hooksig._keys import PlainSecret, redacted
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.integrations.django._setting import setting
from frappe_hooksig.secret import Secret
from frappe_hooksig.verify import Verifier


def check_secret(app_configs: object = None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Check the default secret of `@verify_frappe_webhook`.

    Args:
        app_configs: The apps that Django checks. Not used: the secret belongs to no app.
        **kwargs: Other arguments of Django's system checks. Not used.
    """
    if setting() is None:
        return [
            Warning(
                f"{SECRET_SETTING} is not set.",
                hint=(
                    f"Set {SECRET_SETTING} in the settings or in the environment: without it, "
                    "@verify_frappe_webhook responds with HTTP 500. If all your decorators have "
                    "secret=, add frappe_hooksig.W001 to SILENCED_SYSTEM_CHECKS."
                ),
                id="frappe_hooksig.W001",
            )
        ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        several = redacted(setting())  # no variable may contain a plain secret
        try:
            Verifier(several)
        except ConfigurationError as error:
            return [
                Error(
                    f"{SECRET_SETTING} cannot be used: {error}.",
                    hint=(
                        "Set it to the Webhook Secret in Frappe, or to a list of secrets during a "
                        "rotation. Until then, @verify_frappe_webhook responds with HTTP 500."
                    ),
                    id="frappe_hooksig.E001",
                )
            ]
        # A Secret in the settings gave its warning when the settings were read: repeat it here.
        for each in several:
            if not isinstance(each, PlainSecret):
                Secret(each.reveal())
    return [
        Warning(
            f"{SECRET_SETTING}: {suspicion}.",
            hint=(
                "`frappe-hooksig secret` generates a strong secret. Type it into Frappe, and keep "
                "both secrets in a list here until Frappe signs with the new one."
            ),
            id="frappe_hooksig.W002",
        )
        for suspicion in dict.fromkeys(str(each.message) for each in caught)
    ]
