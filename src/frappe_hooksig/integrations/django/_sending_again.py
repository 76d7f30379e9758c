"""Sends deliveries once more that somebody has chosen in the admin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from frappe_hooksig.outbox._database import Connection, Database, among
from frappe_hooksig.outbox._history import AT_ONCE, send_again, send_as_new

#: What can be done with a delivery that has ended, by its name.
WAYS: Final = {"send_again": send_again, "send_as_new": send_as_new}

# One that is on its way meanwhile is sent anyway. One without its endpoint cannot be sent.
_CHOSEN: Final = """\
SELECT d.id FROM hooksig_deliveries d JOIN hooksig_endpoints e ON e.id = d.endpoint
WHERE d.state IN (3, 4, 5) AND d.id IN"""


def send_each(
    database: Database, ids: Sequence[int], change: Callable[[Connection, Sequence[int]], int]
) -> int:
    """Send deliveries once more, and return how many.

    Args:
        database: The database of the outbox.
        ids: The deliveries. Those that have not ended are left alone.
        change: One of the ways.
    """
    return sum(
        database.run(partial(_send, ids[start : start + AT_ONCE], change))
        for start in range(0, len(ids), AT_ONCE)
    )


def _send(
    ids: Sequence[int],
    change: Callable[[Connection, Sequence[int]], int],
    connection: Connection,
) -> int:
    names, values = among("id", ids)
    chosen = connection.rows(f"{_CHOSEN} {names} ORDER BY d.id", values)
    return change(connection, [delivery for (delivery,) in chosen])
