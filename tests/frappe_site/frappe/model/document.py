"""A document of any DocType, without fields that are declared or checked."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import frappe


class Document:
    """Kept as JSON, in one table for all DocTypes."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.doctype: str = fields["doctype"]
        self.name: str = fields["name"]
        self.fields = fields

    def insert(self, ignore_permissions: bool = False) -> Document:
        if frappe.session.user == "Guest" and not ignore_permissions:
            frappe.throw(f"Guest may not make a {self.doctype}", frappe.PermissionError)
        try:
            values = (self.doctype, self.name, json.dumps(self.fields, default=str))
            frappe.db.sql("insert into documents values (%s, %s, %s)", values)
        except sqlite3.IntegrityError:
            raise frappe.DuplicateEntryError(self.doctype, self.name) from None
        return self

    def __getattr__(self, fieldname: str) -> Any:
        return self.fields.get(fieldname)
