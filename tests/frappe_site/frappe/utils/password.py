"""Passwords of documents. Frappe encrypts them; here, the site's key only stands before them."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import frappe


def get_decrypted_password(
    doctype: str,
    name: str,
    fieldname: str = "password",
    raise_exception: bool = True,
) -> str | None:
    rows = frappe.db.sql(
        "select password from __Auth where doctype = %s and name = %s and fieldname = %s "
        "and encrypted = 1",
        (doctype, name, fieldname),
    )
    if rows and rows[0][0]:
        try:
            return decrypt(rows[0][0])
        except frappe.ValidationError:
            if raise_exception or frappe.VERSION != "16":
                raise
            return None
    if raise_exception:
        frappe.throw(f"{doctype} {name} has no {fieldname}", frappe.AuthenticationError)
    return None


def decrypt(encrypted: str) -> str:
    """Return a password that was encrypted with the site's present key."""
    key, _, password = encrypted.partition(":")
    if key != get_encryption_key():
        frappe.throw("Encryption key is invalid! Please check site_config.json")
    return password


def get_encryption_key() -> str:
    """Return the site's key; a site that has none makes one, and keeps it."""
    if "encryption_key" not in frappe.local.conf:
        frappe.local.conf.encryption_key = secrets.token_hex()
        file = Path(frappe.local.site_path, "site_config.json")
        config = json.loads(file.read_text("utf-8"))
        config["encryption_key"] = frappe.local.conf.encryption_key
        file.write_text(json.dumps(config), "utf-8")
    key: str = frappe.local.conf.encryption_key
    if key == "malformed":  # any that is no Fernet key
        msg = "Fernet key must be 32 url-safe base64-encoded bytes."
        raise ValueError(msg)
    return key
