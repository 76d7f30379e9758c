"""A connection to SQLite that closes itself."""

from __future__ import annotations

import sqlite3
from contextlib import suppress


class SelfClosingConnection(sqlite3.Connection):
    """A connection that is closed, by any thread, when it is garbage-collected."""

    def __del__(self) -> None:
        with suppress(sqlite3.ProgrammingError):  # it was never opened
            self.close()
