"""Retention: what was delivered long ago is forgotten."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from frappe_hooksig.outbox._database import Connection, among, time_of

#: How long messages are kept after the last of their deliveries has ended, in seconds.
RETENTION: Final = 30 * 86_400
#: How many messages are looked at in one transaction.
AT_ONCE: Final = 200

_EVERY: Final = 600  # seconds

_OLDEST: Final = """\
SELECT seq, created_at, is_routed FROM hooksig_messages WHERE seq > :after ORDER BY seq
LIMIT :limit"""


class Pruning:
    """Tells when a process is to prune, and remembers how far it is.

    Args:
        retention: How long what has ended is kept, in seconds.
        monotonic: A time in seconds that is never put back.
    """

    def __init__(self, retention: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._retention = int(retention * 1000)
        self._monotonic = monotonic
        self._next = monotonic()
        self._after = 0

    def is_due(self) -> bool:
        """Whether there may be something to prune."""
        return self._monotonic() >= self._next

    def step(self, connection: Connection) -> int | None:
        """Prune some; return what `note()` gets after the commit."""
        before = time_of(connection) - self._retention
        return prune(connection, before, self._after)[1]

    def note(self, after: int | None) -> None:
        """Note where the next step begins; after None, not for ten minutes."""
        self._after = after or 0
        if after is None:
            self._next = self._monotonic() + _EVERY


def prune(connection: Connection, before: int, after: int) -> tuple[int, int | None]:
    """Delete some messages whose deliveries have all ended before a time, with their attempts.

    Args:
        connection: A connection in a transaction.
        before: The time, in milliseconds.
        after: The number of the last message that was looked at, at first 0.

    Returns:
        How many were deleted, and the `after` for the next call; None if there is nothing left to
        look at.
    """
    found = connection.rows(_OLDEST, {"after": after, "limit": AT_ONCE})
    old = [seq for seq, created_at, is_routed in found if created_at < before and is_routed]
    if not old:
        return 0, None
    names, values = among("seq", old)
    needed = {
        seq
        for (seq,) in connection.rows(
            "SELECT DISTINCT message FROM hooksig_deliveries "  # noqa: S608
            f"WHERE message IN {names} AND (state < 3 OR ended_at >= :before)",
            {"before": before, **values},
        )
    }
    gone = [seq for seq in old if seq not in needed]
    if gone:
        names, values = among("seq", gone)
        for statement in (
            "DELETE FROM hooksig_attempts WHERE delivery IN "  # noqa: S608
            f"(SELECT id FROM hooksig_deliveries WHERE message IN {names})",
            f"DELETE FROM hooksig_deliveries WHERE message IN {names}",  # noqa: S608
            f"DELETE FROM hooksig_messages WHERE seq IN {names}",  # noqa: S608
        ):
            connection.change(statement, values)
    return len(gone), old[-1] if len(old) == AT_ONCE else None
