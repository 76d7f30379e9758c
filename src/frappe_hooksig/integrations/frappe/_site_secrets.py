"""References to the secrets of a site. Each use looks the secret up again."""

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
        path: The key; dots separate the keys of nested objects.
    """

    path: str

    def __call__(self, _request: object = None) -> Secrets:
        """Return the secret that the site_config.json of the current site contains now.

        Raises:
            ConfigurationError: It contains none.
        """
        # `bench set-config webhooks.github` writes one key that contains the dot.
        found: Any = frappe.conf.get(self.path) or frappe.conf
        for key in self.path.split(".") if found is frappe.conf else ():
            # The site's configuration is a dict, and so are nested objects.
            found = cast("dict[str, Any]", found).get(key) if isinstance(found, dict) else None
        if not found:
            msg = f"set {self.path} in the site_config.json of {frappe.local.site}"
            raise ConfigurationError(msg)
        return cast("Secrets", found)


@dataclass(frozen=True, slots=True)
class InPasswordFields:
    """A secret in Password fields of a document, from `password()`.

    The name of its field becomes the id of a secret.

    Attributes:
        doctype: The DocType.
        fieldnames: The fields, the one with the newest secret first.
        name: The document; None for a Single.
    """

    doctype: str
    fieldnames: tuple[str, ...]
    name: str | None

    def __call__(self, _request: object = None) -> Secrets:
        """Return the secrets that the fields contain now, in the current site.

        Raises:
            ConfigurationError: All fields are empty.
        """
        name = self.name or self.doctype
        # Keep plain secrets out of variables: error reporters show those of every frame.
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


#: A reference to a secret of a site. Each use looks the secret up, so that a rotation needs no
#: restart. The arguments of a job contain the reference, not the secret.
SecretReference: TypeAlias = InSiteConfig | InPasswordFields


def site_config(path: str) -> InSiteConfig:
    """Return a reference to a secret in site_config.json.

    A secret in common_site_config.json applies to all sites.

    Args:
        path: The key. Dots separate the keys of nested objects: `webhooks.github`. The value is a
            secret, or a list of secrets during a rotation, the newest first.
    """
    return InSiteConfig(path)


def password(
    doctype: str, fieldname: str | Sequence[str], name: str | None = None
) -> InPasswordFields:
    """Return a reference to a secret in a Password field.

    Args:
        doctype: The DocType.
        fieldname: The field; or several fields during a rotation, the one with the newest secret
            first. Empty fields are skipped.
        name: The name of the document. Leave it out for a Single.

    Raises:
        ConfigurationError: No field is named, or a name is empty.
    """
    fieldnames = (fieldname,) if isinstance(fieldname, str) else tuple(fieldname)
    if not all(fieldnames) or not fieldnames:
        msg = f"password({doctype!r}, ...) needs the name of a field"
        raise ConfigurationError(msg)
    return InPasswordFields(doctype, fieldnames, name)
