"""What the programs of these tests share: the outbox at an address."""

from __future__ import annotations

import os
from typing import Any

from frappe_hooksig.outbox import Outbox
from frappe_hooksig.sending import AddressGuard

#: The variable with the secret, for senders and for the receiver.
SECRET = "HOOK_SECRET"


def outbox_at(address: str, **options: Any) -> Outbox:
    """Return an outbox that may send to loopback addresses.

    Args:
        address: The path of a SQLite file, or a URL of SQLAlchemy.
        options: What else the outbox is to have.
    """
    database: Any = address
    if "://" in address:
        from frappe_hooksig.integrations.sqlalchemy import SQLAlchemyDatabase

        database = SQLAlchemyDatabase(address)
    return Outbox(database, guard=AddressGuard(["127.0.0.1"]), **options)


def options_given() -> dict[str, float]:
    """Return the options that a test gives a program."""
    return {
        "lease": float(os.environ.get("LEASE", "10")),
        "timeout": float(os.environ.get("TIMEOUT", "15")),
    }
