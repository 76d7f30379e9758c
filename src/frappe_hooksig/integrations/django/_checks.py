"""What `manage.py check` says about the secret of Frappe's webhooks, without ever showing it."""

from __future__ import annotations

import warnings
from typing import Any

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004  # Django's own name

from frappe_hooksig._frappe import SECRET_SETTING
from frappe_hooksig._keys import redacted
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.integrations.django._setting import setting
from frappe_hooksig.secret import Secret
from frappe_hooksig.verify import Verifier


def check_secret(app_configs: object = None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Look at the secret that `@verify_frappe_webhook` uses if it gets no other.

    Args:
        app_configs: The apps that are checked; the secret belongs to none of them.
        **kwargs: What else Django hands over.
    """
    if setting() is None:
        return [
            Warning(
                f"{SECRET_SETTING} is not set.",
                hint=(
                    f"Set {SECRET_SETTING} in the settings or in the environment: without it, "
                    "@verify_frappe_webhook answers HTTP 500. If all of yours have secret=, put "
                    "frappe_hooksig.W001 into SILENCED_SYSTEM_CHECKS."
                ),
                id="frappe_hooksig.W001",
            )
        ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        several = redacted(setting())  # the plain ones in no variable
        try:
            Verifier(several)
        except ConfigurationError as error:
            return [
                Error(
                    f"{SECRET_SETTING} cannot be used: {error}.",
                    hint=(
                        "Until it is right, @verify_frappe_webhook answers HTTP 500. It is the "
                        "Webhook Secret that was typed into Frappe, or a list during a rotation."
                    ),
                    id="frappe_hooksig.E001",
                )
            ]
        for each in several:  # a Secret has warned before, where the settings were read
            Secret(each.reveal())
    return [
        Warning(
            f"{SECRET_SETTING}: {suspicion}.",
            hint=(
                "`frappe-hooksig secret` makes a good one. Type it into Frappe, and keep "
                "both in a list here until Frappe signs with the new one."
            ),
            id="frappe_hooksig.W002",
        )
        for suspicion in dict.fromkeys(str(each.message) for each in caught)
    ]
