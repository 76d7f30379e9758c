"""Where a site keeps its secrets: references to them, which are looked up at each use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import frappe
from frappe.utils.password import get_decrypted_password

from frappe_hooksig._keys import named
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.secret import Secrets


@dataclass(frozen=True, slots=True)
class InSiteConfig:
    """A secret in site_config.json, from `site_config()`.

    Attributes:
        path: The key.
    """

    path: str

    def __call__(self, _request: object = None) -> Secrets:
        """Return what is there now, in the site that is being served.

        Raises:
            ConfigurationError: Nothing is.
        """
        # `bench set-config webhooks.github` makes one key of it, dot and all.
        found: Any = frappe.conf.get(self.path) or frappe.conf
        for key in self.path.split(".") if found is frappe.conf else ():
            # A site's configuration is a dict, and so are the objects in it.
            found = cast("dict[str, Any]", found).get(key) if isinstance(found, dict) else None
        if not found:
            msg = f"set {self.path} in the site_config.json of {frappe.local.site}"
            raise ConfigurationError(msg)
        return cast("Secrets", found)


@dataclass(frozen=True, slots=True)
class InPasswordFields:
    """A secret in Password fields of a document, from `password()`. Its id is the field's name.

    Attributes:
        doctype: The DocType.
        fieldnames: The fields, the one with the newest secret first.
        name: The document; None for a Single.
    """

    doctype: str
    fieldnames: tuple[str, ...]
    name: str | None

    def __call__(self, _request: object = None) -> Secrets:
        """Return what is there now, in the site that is being served.

        Raises:
            ConfigurationError: Nothing is.
        """
        name = self.name or self.doctype
        # The plain ones in no variable, as error reporters show those of every frame.
        secrets = named(
            [
                (field, get_decrypted_password(self.doctype, name, field, raise_exception=False))
                for field in self.fieldnames
            ]
        )
        if not secrets:
            where = self.doctype if self.name is None else f"{self.doctype} {self.name}"
            msg = f"set {' or '.join(self.fieldnames)} in {where} of {frappe.local.site}"
            raise ConfigurationError(msg)
        return secrets


#: Where a site keeps a secret: looked up at each use, so that a rotation needs no restart. In a
#: job's arguments it is the name of that place.
SecretReference: TypeAlias = InSiteConfig | InPasswordFields


def site_config(path: str) -> InSiteConfig:
    """Return a reference to a secret in site_config.json.

    What common_site_config.json has, all sites have.

    Args:
        path: The key; with dots, of an object in an object: `webhooks.github`. The value is a
            secret, or a list of them during a rotation, the newest first.
    """
    return InSiteConfig(path)


def password(
    doctype: str, fieldname: str | Sequence[str], name: str | None = None
) -> InPasswordFields:
    """Return a reference to a secret in a Password field.

    Args:
        doctype: The DocType.
        fieldname: The field; or several during a rotation, the one with the newest secret first.
            Of several, those that are empty are passed over.
        name: The document. By default the DocType is a Single.

    Raises:
        ConfigurationError: No field is named.
    """
    fieldnames = (fieldname,) if isinstance(fieldname, str) else tuple(fieldname)
    if not all(fieldnames) or not fieldnames:
        msg = f"password({doctype!r}, ...) needs the name of a field"
        raise ConfigurationError(msg)
    return InPasswordFields(doctype, fieldnames, name)
