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
from dataclasses import dataclass
from secrets import token_hex
from typing import Final

from frappe_hooksig.observe._outbox_event import OutboxEvent
from frappe_hooksig.outbox._claims import LOST_BEFORE_ALONE
from frappe_hooksig.outbox._database import Connection, Database, time_of
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
_EXPIRE: Final = "DELETE FROM hooksig_processes WHERE id = :id AND beat_at = :beat_at"
_LEAVE: Final = "DELETE FROM hooksig_processes WHERE id = :id"
_STILL_THERE: Final = "SELECT id FROM hooksig_processes WHERE id = :id {locked}"
_ORPHANS: Final = """\
SELECT d.id, d.endpoint, d.sent_as, d.lane, d.lost, d.process
FROM hooksig_deliveries d
WHERE d.endpoint IN (SELECT id FROM hooksig_endpoints) AND d.state = 2 AND d.state <> 3
    AND NOT EXISTS (SELECT 1 FROM hooksig_processes p WHERE p.id = d.process)
ORDER BY d.id"""
_RELEASE: Final = """\
UPDATE hooksig_deliveries
SET state = :state, process = NULL, lost = :lost, due_at = :now, set_at = :now, lane = :lane,
    ended_at = :ended_at, reason = 'worker-lost', problem = :problem
WHERE id = :id AND state = 2 AND process = :process"""
_OWN: Final = """\
SELECT d.id
FROM hooksig_deliveries d
WHERE d.endpoint IN (SELECT id FROM hooksig_endpoints) AND d.state = 2 AND d.state <> 3
    AND d.process = :process"""
_RELEASE_OWN: Final = """\
UPDATE hooksig_deliveries SET state = :state, process = NULL, due_at = :now, set_at = :now
WHERE id = :id AND state = 2 AND process = :process"""
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
        next_lapse: When the next of those that have missed two heartbeats loses its claims, by the
            clock of the database; None if there is none.
    """

    def __init__(self, lease: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.id = ""
        self.next_lapse: int | None = None
        self._lease = int(lease * 1000)
        self._monotonic = monotonic
        self._last: _Reading | None = None
        self._trusts_at = 0.0

    def join(self, database: Database) -> bool:
        """Register this process under a new id; return True."""
        self.id = f"{socket.gethostname()[:14]}-{token_hex(10)}"
        self._note(database.run(self._join))
        return True

    def _join(self, connection: Connection) -> _Reading:
        reading = self._read(connection)
        name = f"{socket.gethostname()[:100]} {os.getpid()}"
        connection.change(_JOIN, {"id": self.id, "name": name, "now": reading.now})
        bring_due_in(connection)
        return reading

    def is_alive(self, connection: Connection) -> bool:
        """Whether nobody has given this process up; nobody can until the transaction ends."""
        return bool(connection.rows(_STILL_THERE, {"id": self.id}))

    def beat(self, database: Database) -> list[OutboxEvent]:
        """Show that this process lives, and take over what others have left behind."""
        reading, events, self.next_lapse = database.run(self._beat)
        self._note(reading)
        return events

    def _beat(self, connection: Connection) -> tuple[_Reading, list[OutboxEvent], int | None]:
        # It may run more than once until it is committed, so it changes nothing here.
        reading = self._read(connection)
        now = reading.now
        connection.change(_BEAT, {"id": self.id, "now": now})
        if reading.jump < -_APART or reading.moment < self._trusts_at:
            # For a while: a transaction may have read the clock before it was put back, and be
            # committed only now.
            bring_due_in(connection)
        is_trusting = self._is_steady(reading) and reading.moment >= self._trusts_at
        silent: list[int] = []
        for process, beat_at in connection.rows(_OTHERS, {"id": self.id}):
            if beat_at > now + _APART:
                connection.change(_BEAT, {"id": process, "now": now})  # the clock was put back
            elif beat_at < now - self._lease and is_trusting:
                connection.change(_EXPIRE, {"id": process, "beat_at": beat_at})
            elif beat_at < now - self._lease * 2 // 5:
                silent.append(beat_at + self._lease)
        events = [*release_orphans(connection, now), *set_aside_late(connection, now)]
        return reading, events, min(silent, default=None)

    def now(self) -> float | None:
        """Return the time of the database in Unix seconds, as of the last heartbeat and since."""
        if self._last is None:
            return None
        return self._last.now / 1000 + self._monotonic() - self._last.moment

    def _read(self, connection: Connection) -> _Reading:
        now, moment = time_of(connection), self._monotonic()
        if self._last is None:
            return _Reading(now, moment, 0.0, 0.0)
        gap = (moment - self._last.moment) * 1000
        return _Reading(now, moment, now - self._last.now - gap, gap)

    def _is_steady(self, reading: _Reading) -> bool:
        """Whether the others could keep their heartbeats since the last one of this process.

        They could not if the clock has jumped, or if the database could not be reached.
        """
        return abs(reading.jump) <= _APART and reading.gap <= self._lease / 2

    def _note(self, reading: _Reading) -> None:
        if not self._is_steady(reading):
            # The others' heartbeats are old. They get as long as a lease for new ones.
            self._trusts_at = reading.moment + self._lease / 1000
        self._last = reading

    def leave(self, database: Database) -> None:
        """Take this process off the list; its claims are released."""
        database.run(lambda each: each.change(_LEAVE, {"id": self.id}))


@dataclass(frozen=True, slots=True)
class _Reading:
    """The clock of the database at a moment.

    Attributes:
        now: Its time, in milliseconds.
        moment: The monotonic time of the moment, in seconds.
        jump: By how much it is more than expected, in milliseconds.
        gap: How long ago the last reading was, in milliseconds.
    """

    now: int
    moment: float
    jump: float
    gap: float


def release_orphans(connection: Connection, now: int) -> list[OutboxEvent]:
    """Make due again what belongs to no process any more.

    A delivery that may have ended several processes is sent alone the next time, and is a dead
    letter after that.
    """
    events: list[OutboxEvent] = []
    count = 0
    for delivery, endpoint, sent_as, lane, lost, process in connection.rows(_ORPHANS):
        is_dead = lost >= LOST_BEFORE_ALONE
        problem = f"the process that sent it ended, {lost + 1} times"
        values = {
            "id": delivery,
            "process": process,
            "now": now,
            "lost": lost + 1,
            "state": int(DeliveryState.DEAD if is_dead else DeliveryState.DUE),
            "lane": None if is_dead else lane,
            "ended_at": now if is_dead else None,
            "problem": problem,
        }
        if not connection.change(_RELEASE, values):
            continue  # another process was faster
        if not is_dead:
            count += 1
            continue
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
            values = {"id": delivery, "process": process, "now": now}
            connection.change(_RELEASE_OWN, {**values, "state": int(DeliveryState.DUE)})
