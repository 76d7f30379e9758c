"""The processes that send: their heartbeats, and what becomes of those that have none any more.

A claim names its process. A process whose heartbeat is older than the lease has lost its claims:
whoever notices it deletes its row, and makes its deliveries due again. If it goes on after all, its
row is gone, so it writes nothing, and starts anew under another id.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from secrets import token_hex
from typing import Final

from frappe_hooksig.observe._outbox_event import OutboxEvent
from frappe_hooksig.outbox._claims import LOST_BEFORE_ALONE
from frappe_hooksig.outbox._database import Connection, time_of
from frappe_hooksig.outbox._lanes import leave
from frappe_hooksig.outbox._settling import dead_letter, set_aside
from frappe_hooksig.outbox._states import DeliveryState

#: How long a process may be without a heartbeat, in seconds.
LEASE: Final = 10.0

# How far two clocks may be apart by chance, in milliseconds.
_APART: Final = 3000

_JOIN: Final = """\
INSERT INTO hooksig_processes (id, name, started_at, beat_at) VALUES (:id, :name, :now, :now)"""
_BEAT: Final = "UPDATE hooksig_processes SET beat_at = :now WHERE id = :id"
_OTHERS: Final = "SELECT id, beat_at FROM hooksig_processes WHERE id <> :id"
_BRING_IN: Final = "UPDATE hooksig_processes SET beat_at = :now WHERE id = :id"
_EXPIRE: Final = "DELETE FROM hooksig_processes WHERE id = :id AND beat_at = :beat_at"
_LEAVE: Final = "DELETE FROM hooksig_processes WHERE id = :id"
_STILL_THERE: Final = "SELECT id FROM hooksig_processes WHERE id = :id {locked}"
_ORPHANS: Final = """\
SELECT d.id, d.endpoint, d.sent_as, d.lane, d.lost
FROM hooksig_deliveries d
WHERE d.endpoint IN (SELECT id FROM hooksig_endpoints) AND d.state = 2 AND d.state <> 3
    AND NOT EXISTS (SELECT 1 FROM hooksig_processes p WHERE p.id = d.process)
ORDER BY d.id"""
_RELEASE: Final = """\
UPDATE hooksig_deliveries
SET state = :state, process = NULL, lost = :lost, due_at = :now, set_at = :now, lane = :lane,
    ended_at = :ended_at, reason = 'worker-lost', problem = :problem
WHERE id = :id AND state = 2"""
_OWN: Final = """\
SELECT d.id
FROM hooksig_deliveries d
WHERE d.endpoint IN (SELECT id FROM hooksig_endpoints) AND d.state = 2 AND d.state <> 3
    AND d.process = :process"""
_RELEASE_OWN: Final = """\
UPDATE hooksig_deliveries SET state = :state, process = NULL, due_at = :now, set_at = :now
WHERE id = :id AND state = 2"""
# `set_at` is later than now only if the clock was put back.
_BRING_DUE_IN: Final = """\
UPDATE hooksig_deliveries
SET due_at = :now + (due_at - set_at), hold_until = :now + (hold_until - set_at), set_at = :now
WHERE endpoint IN (SELECT id FROM hooksig_endpoints) AND state = 1 AND state <> 3
    AND set_at > :latest"""
_HELD_TOO_LONG: Final = """\
SELECT d.id, d.endpoint, d.sent_as, d.lane
FROM hooksig_deliveries d
WHERE d.endpoint IN (
        SELECT id FROM hooksig_endpoints WHERE is_ordered = 1 AND state = 'active'
    )
    AND d.state = 1 AND d.state <> 3 AND d.lane IS NOT NULL AND d.hold_until <= :now
ORDER BY d.id"""
_SET_ASIDE: Final = """\
UPDATE hooksig_deliveries SET lane = NULL, is_set_aside = 1
WHERE id = :id AND state = 1 AND lane IS NOT NULL"""


class Heart:
    """The heartbeat of one process.

    Args:
        lease: How long a process may be without a heartbeat, in seconds.
        monotonic: A time in seconds that is never put back.

    Attributes:
        id: The id of the process; a new one whenever its row was lost.
    """

    def __init__(self, lease: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.id = ""
        self._lease = int(lease * 1000)
        self._monotonic = monotonic
        # The time of the database, and the monotonic one, of the last heartbeat.
        self._last: tuple[int, float] | None = None
        self._trusts_at = 0.0

    def join(self, connection: Connection) -> bool:
        """Register this process under a new id; return True."""
        self.id = f"{socket.gethostname()[:14]}-{token_hex(10)}"
        name = f"{socket.gethostname()[:100]} {os.getpid()}"
        now = time_of(connection)
        self._last = (now, self._monotonic())
        connection.change(_JOIN, {"id": self.id, "name": name, "now": now})
        bring_due_in(connection)
        return True

    def is_alive(self, connection: Connection) -> bool:
        """Whether nobody has given this process up; nobody can until the transaction ends."""
        return bool(connection.rows(_STILL_THERE, {"id": self.id}))

    def beat(self, connection: Connection) -> list[OutboxEvent]:
        """Show that this process lives, and take over what others have left behind."""
        now = time_of(connection)
        connection.change(_BEAT, {"id": self.id, "now": now})
        jump = self._jump(now)
        if abs(jump) > _APART:
            # The others' heartbeats have the old time. They get as long as a lease for new ones.
            self._trusts_at = self._monotonic() + self._lease / 1000
        if jump < -_APART:
            bring_due_in(connection)
        for process, beat_at in connection.rows(_OTHERS, {"id": self.id}):
            if beat_at > now + _APART:
                connection.change(_BRING_IN, {"id": process, "now": now})
            elif beat_at < now - self._lease and self._monotonic() >= self._trusts_at:
                connection.change(_EXPIRE, {"id": process, "beat_at": beat_at})
        return [*release_orphans(connection, now), *set_aside_late(connection, now)]

    def now(self) -> float | None:
        """Return the time of the database in Unix seconds, as of the last heartbeat and since."""
        if self._last is None:
            return None
        at, monotonic = self._last
        return at / 1000 + self._monotonic() - monotonic

    def _jump(self, now: int) -> float:
        """Return by how many milliseconds the clock of the database has jumped."""
        expected = self.now()
        self._last = (now, self._monotonic())
        return 0.0 if expected is None else now - expected * 1000

    def leave(self, connection: Connection) -> None:
        """Take this process off the list; its claims are released."""
        connection.change(_LEAVE, {"id": self.id})


def release_orphans(connection: Connection, now: int) -> list[OutboxEvent]:
    """Make due again what belongs to no process any more.

    A delivery that may have ended several processes is sent alone the next time, and is a dead
    letter after that.
    """
    events: list[OutboxEvent] = []
    count = 0
    for delivery, endpoint, sent_as, lane, lost in connection.rows(_ORPHANS):
        is_dead = lost >= LOST_BEFORE_ALONE
        problem = f"the process that sent it ended, {lost + 1} times"
        values = {
            "id": delivery,
            "now": now,
            "lost": lost + 1,
            "state": int(DeliveryState.DEAD if is_dead else DeliveryState.DUE),
            "lane": None if is_dead else lane,
            "ended_at": now if is_dead else None,
            "problem": problem,
        }
        if not connection.change(_RELEASE, values):
            continue  # another process was faster
        count += 1
        if is_dead:
            events.append(dead_letter(endpoint, sent_as, "worker-lost", problem))
            if lane is not None:
                leave(connection, endpoint, lane, now)
    if count:
        message = f"a process ended while it was sending {count} deliveries: they are sent again"
        events.append(OutboxEvent(kind="lost", reason="worker-lost", message=message))
    return events


def bring_due_in(connection: Connection) -> None:
    """Bring in what was put off by a clock that was put back since."""
    now = time_of(connection)
    connection.change(_BRING_DUE_IN, {"now": now, "latest": now + _APART})


def set_aside_late(connection: Connection, now: int) -> list[OutboxEvent]:
    """Let lanes go on whose heads have failed for too long."""
    events: list[OutboxEvent] = []
    for delivery, endpoint, sent_as, lane in connection.rows(_HELD_TOO_LONG, {"now": now}):
        if connection.change(_SET_ASIDE, {"id": delivery}):
            leave(connection, endpoint, lane, now)
            events.append(set_aside(endpoint, sent_as))
    return events


def release_own(connection: Connection, now: int, process: str, known: set[int]) -> None:
    """Release what a process has claimed without knowing it, because a commit was in doubt."""
    for (delivery,) in connection.rows(_OWN, {"process": process}):
        if delivery not in known:
            values = {"id": delivery, "now": now, "state": int(DeliveryState.DUE)}
            connection.change(_RELEASE_OWN, values)
