"""Where a site keeps its secrets: references to them, which are looked up at each use."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias, cast

import frappe
from frappe.utils.password import get_decrypted_password

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.secret import Secrets

#: Where a site keeps a secret: looked up at each use, so that a rotation needs no restart, and
#: pickled as the name of that place.
SecretReference: TypeAlias = "partial[Secrets]"


def site_config(path: str) -> SecretReference:
    """Return a reference to a secret in site_config.json.

    Args:
        path: The key; with dots, of an object in an object: `webhooks.github`. The value is a
            secret, or a list of them during a rotation, the newest first.
    """
    return partial(_from_site_config, path)


def password(
    doctype: str, fieldname: str | Sequence[str], name: str | None = None
) -> SecretReference:
    """Return a reference to a secret in a Password field.

    Args:
        doctype: The DocType.
        fieldname: The field; or several during a rotation, the one with the newest secret first.
            Of several, those that are empty are passed over.
        name: The document. By default the DocType is a Single.
    """
    fieldnames = (fieldname,) if isinstance(fieldname, str) else tuple(fieldname)
    return partial(_from_password, doctype, fieldnames, name)


def _from_site_config(path: str, _request: object) -> Secrets:
    found: Any = frappe.conf
    for key in path.split("."):
        # A site's configuration is a dict, and so are the objects in it.
        found = cast("dict[str, Any]", found).get(key) if isinstance(found, dict) else None
    if not found:
        msg = f"set {path} in the site_config.json of {frappe.local.site}"
        raise ConfigurationError(msg)
    return cast("Secrets", found)


def _from_password(
    doctype: str, fieldnames: tuple[str, ...], name: str | None, _request: object
) -> Secrets:
    several = [
        secret
        for fieldname in fieldnames
        if (
            secret := get_decrypted_password(
                doctype, name or doctype, fieldname, raise_exception=False
            )
        )
    ]
    if not several:
        where = doctype if name is None else f"{doctype} {name}"
        msg = f"set {' or '.join(fieldnames)} in {where} of {frappe.local.site}"
        raise ConfigurationError(msg)
    return several
