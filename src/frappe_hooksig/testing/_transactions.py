"""Tell whether a test runs inside a transaction of Django, for which other threads wait."""

from __future__ import annotations

import sys


def in_django_transaction() -> bool:
    """Whether a database connection of this thread is inside a transaction of Django.

    Other threads have connections of their own: they do not see its rows, and wait for its locks.
    """
    db, conf = sys.modules.get("django.db"), sys.modules.get("django.conf")
    if db is None or conf is None or not conf.settings.configured:
        return False
    return any(connection.in_atomic_block for connection in db.connections.all())
