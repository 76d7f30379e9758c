"""Lanes: the messages of one key for one endpoint, one after the other.

Only the head of a lane is due; the others wait. Whoever ends a head makes the next one due. The row
of the lane is locked before, so that nobody adds to it meanwhile.
"""

from __future__ import annotations

from typing import Final

from frappe_hooksig.outbox._database import Connection

_ADD: Final = """\
INSERT INTO hooksig_lanes (endpoint, lane, pending, last_number)
VALUES (:endpoint, :lane, :count, :count)
{or_update_lane} pending = hooksig_lanes.pending + :count,
    last_number = hooksig_lanes.last_number + :count"""
_LOOK: Final = """\
SELECT pending, last_number FROM hooksig_lanes WHERE endpoint = :endpoint AND lane = :lane"""
_LEAVE: Final = """\
UPDATE hooksig_lanes SET pending = pending - 1 WHERE endpoint = :endpoint AND lane = :lane"""
# Otherwise, each key that was ever used would have a row for ever.
_END: Final = """\
DELETE FROM hooksig_lanes WHERE endpoint = :endpoint AND lane = :lane AND pending <= 0"""
_NEXT: Final = """\
SELECT id FROM hooksig_deliveries
WHERE endpoint = :endpoint AND lane = :lane AND state = 0 ORDER BY number LIMIT 1"""
_MAKE_DUE: Final = """\
UPDATE hooksig_deliveries SET state = 1, due_at = :now, set_at = :now WHERE id = :id"""


def join(connection: Connection, endpoint: str, lane: str, count: int) -> tuple[int, bool]:
    """Add deliveries to the end of a lane.

    Returns:
        The number of the first of them, and whether it is the head, which need not wait.
    """
    same = {"endpoint": endpoint, "lane": lane}
    connection.change(_ADD, {**same, "count": count})
    ((pending, last_number),) = connection.rows(_LOOK, same)
    return last_number - count + 1, pending == count


def leave(connection: Connection, endpoint: str, lane: str, now: int) -> None:
    """Take the head out of its lane, and make the next one due. An empty lane is deleted."""
    same = {"endpoint": endpoint, "lane": lane}
    connection.change(_LEAVE, same)
    following = connection.rows(_NEXT, same)
    for (delivery,) in following:
        connection.change(_MAKE_DUE, {"id": delivery, "now": now})
    if not following:
        connection.change(_END, same)
