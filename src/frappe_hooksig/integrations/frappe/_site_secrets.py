"""References to the secrets of a site. Each use looks the secret up again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import frappe
from frappe.utils.password import get_decrypted_password

from frappe_hooksig._keys import named
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.secret import Secrets

# A key that can be no secret: words of up to 15 letters, with up to 4 digits after them. A secret
# that is passed in place of its key must not show in logs.
_WORD = r"([a-z]{1,15}\d{0,4}|[A-Z]{1,15}\d{0,4}|\d{1,4})"
_KEY = re.compile(rf"{_WORD}([._-]{_WORD})*")
_LONGEST_KEY = 64  # characters


@dataclass(frozen=True, slots=True, repr=False)
class InSiteConfig:
    """A secret in site_config.json, from `site_config()`.

    Attributes:
        path: The key; dots separate the keys of nested objects.
    """

    path: str

    @property
    def origin(self) -> str:
        """The place of the secret, for messages."""
        return f"{self._shown()} in site_config.json"

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
            msg = f"set {self._shown()} in the site_config.json of {frappe.local.site}"
            raise ConfigurationError(msg)
        return cast("Secrets", found)

    def __repr__(self) -> str:
        return f"InSiteConfig({self._shown()})"

    def _shown(self) -> str:
        is_key = len(self.path) <= _LONGEST_KEY and _KEY.fullmatch(self.path)
        return self.path if is_key else "a key (it is not shown: is it the secret itself?)"


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
            ConfigurationError: All fields are empty, or cannot be decrypted.
        """
        name = self.name or self.doctype
        # Keep plain secrets out of variables: error reporters show those of every frame.
        secrets = named(
            [(field, _decrypted(self.doctype, name, field)) for field in self.fieldnames]
        )
        if not secrets:
            where = self.doctype if self.name is None else f"{self.doctype} {self.name}"
            encrypted = [f for f in self.fieldnames if _is_set(self.doctype, name, f)]
            msg = (
                f"{' and '.join(encrypted)} in {where} of {frappe.local.site}: a secret is there "
                "and cannot be decrypted: check encryption_key in site_config.json"
                if encrypted
                else f"set {' or '.join(self.fieldnames)} in {where} of {frappe.local.site}"
            )
            raise ConfigurationError(msg)
        return secrets


def _decrypted(doctype: str, name: str, fieldname: str) -> str | None:
    """Return what a Password field contains; None if it is empty, or cannot be decrypted."""
    messages = frappe.local.message_log
    before = len(messages)
    try:
        return get_decrypted_password(doctype, name, fieldname, raise_exception=False)
    # Frappe 16 returns None for a password of another encryption_key; 14 and 15 raise an error. All
    # of them raise a ValueError for an encryption_key that is none.
    except (frappe.ValidationError, ValueError):
        frappe.local.response.pop("exc_type", None)  # there, Frappe 14 names the error
        return None
    finally:
        del messages[before:]  # else they are in the response


def _is_set(doctype: str, name: str, fieldname: str) -> bool:
    """Whether a Password field is not empty, though it cannot be decrypted."""
    query = (
        "select 1 from `__Auth` where doctype = %s and name = %s and fieldname = %s "
        "and encrypted = 1 and password != ''"
    )
    return bool(frappe.db.sql(query, (doctype, name, fieldname)))


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
