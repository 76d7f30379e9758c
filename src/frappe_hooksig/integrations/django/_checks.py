"""The system checks for the secret of Frappe's webhooks, which no message has, and the outbox."""

from __future__ import annotations

import warnings
from typing import Any

from django.conf import settings
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


def check_outbox(app_configs: object = None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Check the setting that names the outbox, if there is one.

    Args:
        app_configs: The apps that Django checks. Not used.
        **kwargs: Other arguments of Django's system checks. Not used.
    """
    if getattr(settings, "FRAPPE_HOOKSIG_OUTBOX", None) is None:
        return []
    # A receiver loads no sender.
    from frappe_hooksig.integrations.django._outbox_setting import configured_outbox

    try:
        configured_outbox()
    except ConfigurationError as error:
        return [
            Error(
                f"{error}.",
                hint="Until then, neither `manage.py hooksig_worker` nor the admin can use it.",
                id="frappe_hooksig.E002",
            )
        ]
    return []
