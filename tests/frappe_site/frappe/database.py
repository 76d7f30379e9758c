"""The database of a site: a SQLite file that takes the SQL of handlers written for MariaDB."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from typing import Any

import frappe


class Callbacks:
    """What is put off until a transaction ends."""

    def __init__(self) -> None:
        self._functions: list[Callable[[], object]] = []

    def add(self, func: Callable[[], object]) -> None:
        self._functions.append(func)

    def reset(self) -> None:
        self._functions = []

    def run(self) -> None:
        while self._functions:
            self._functions.pop(0)()


class Database:
    """A connection, and what is put off until its transaction ends."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, timeout=30)
        self._jobs = Callbacks()
        if frappe.VERSION != "14":  # which has such for jobs only
            self.after_commit = self._jobs
            self.after_rollback = Callbacks()

    def sql(self, query: str, values: Any = (), *, as_dict: bool = False) -> Any:
        """Return the rows: tuples, or dicts that are read like objects."""
        query = re.sub(r"%\((\w+)\)s", r":\1", query).replace("%s", "?").replace("%%", "%")
        if not isinstance(values, (dict, list, tuple)):
            values = (values,)
        cursor = self._connection.execute(query, values)
        rows = cursor.fetchall()
        if not as_dict:
            return tuple(rows)
        names = [column[0] for column in cursor.description]
        return [frappe._dict(zip(names, row, strict=True)) for row in rows]

    def exists(self, dt: str, dn: str) -> str | None:
        found = self.sql("select name from documents where doctype = %s and name = %s", (dt, dn))
        return str(found[0][0]) if found else None

    def get_single_value(self, doctype: str, fieldname: str) -> Any:
        query = "select json_extract(fields, %s) from documents where doctype = %s and name = %s"
        found = self.sql(query, (f"$.{fieldname}", doctype, doctype))
        return found[0][0] if found else None

    def set_value(self, dt: str, dn: str, field: str, val: Any) -> None:
        query = "update documents set fields = json_set(fields, %s, %s)"
        self.sql(f"{query} where doctype = %s and name = %s", (f"$.{field}", val, dt, dn))

    def delete(self, doctype: str, filters: dict[str, tuple[str, list[str]]]) -> None:
        """Delete the documents that a filter names: `{"name": ("in", [...])}`."""
        for name in filters["name"][1]:
            query = "delete from documents where doctype = %s and name = %s"
            self.sql(query, (doctype, name))

    def call_after_commit(self, function: Callable[[], object]) -> None:
        self._jobs.add(function)

    def commit(self) -> None:
        self._connection.commit()
        if frappe.VERSION != "14":
            self.after_rollback.reset()
        self._jobs.run()

    def rollback(self) -> None:
        self._jobs.reset()
        self._connection.rollback()
        if frappe.VERSION != "14":
            self.after_rollback.run()

    def close(self) -> None:
        self._connection.close()
