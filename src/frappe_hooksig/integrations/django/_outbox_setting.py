"""Reads the outbox of a project from the settings, for the admin and the worker."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.utils.module_loading import import_string

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.integrations.django._database import DjangoDatabase
from frappe_hooksig.outbox import Outbox

OUTBOX_SETTING: Final = "FRAPPE_HOOKSIG_OUTBOX"


def configured_outbox() -> tuple[Outbox, DjangoDatabase]:
    """Return the outbox that the settings name, and its database.

    Raises:
        ConfigurationError: They name none, or not an `Outbox` with a `DjangoDatabase`.
    """
    path: Any = getattr(settings, OUTBOX_SETTING, None)
    if not isinstance(path, str):
        msg = f'{OUTBOX_SETTING} must be the path of an Outbox, such as "shop.webhooks.outbox"'
        raise ConfigurationError(msg)
    try:
        found: object = import_string(path)
    except ImportError as error:
        msg = f"{OUTBOX_SETTING} cannot be imported: {error}"
        raise ConfigurationError(msg) from error
    if isinstance(found, Outbox):
        database = found._database  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        if isinstance(database, DjangoDatabase):
            return found, database
    msg = f"{OUTBOX_SETTING} must name an Outbox(DjangoDatabase()), and {path} is none"
    raise ConfigurationError(msg)


def is_configured() -> bool:
    """Whether the settings name an outbox."""
    return getattr(settings, OUTBOX_SETTING, None) is not None
