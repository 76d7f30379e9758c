"""Passwords of documents. Frappe encrypts them; here the table holds them as they are."""

from __future__ import annotations

import frappe


def get_decrypted_password(
    doctype: str,
    name: str,
    fieldname: str = "password",
    raise_exception: bool = True,
) -> str | None:
    rows = frappe.db.sql(
        "select password from __Auth where doctype = %s and name = %s and fieldname = %s",
        (doctype, name, fieldname),
    )
    if rows and rows[0][0]:
        return str(rows[0][0])
    if raise_exception:
        frappe.throw(f"{doctype} {name} has no {fieldname}", frappe.AuthenticationError)
    return None
