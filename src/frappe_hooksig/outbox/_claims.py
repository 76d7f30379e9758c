"""Claiming: which deliveries a process sends next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from frappe_hooksig.outbox._database import Connection, among
from frappe_hooksig.outbox._dialect import SQLITE
from frappe_hooksig.outbox._health import Health, next_rate_at, within_rate
from frappe_hooksig.outbox._states import DeliveryState

#: What a process expects of an attempt at an endpoint: an answer within a moment or not; or it has
#: no attempt behind it, and knows nothing.
Pace: TypeAlias = Literal["quick", "slow", "new"]

#: How many times a delivery may be lost, with the process that sends it, before it is sent alone.
LOST_BEFORE_ALONE: Final = 3

# One look at the ends of an index for each endpoint, however much is due. The index has nothing of
# what was delivered, and SQLite uses it only for a query that says so, too (`state <> 3`).
_LOOK: Final = """\
SELECT e.id, e.revision, e.concurrency, e.failures, e.failing_since, e.open_until, e.ramp, e.rate,
    e.rate_at,
    (SELECT COUNT(*) FROM hooksig_deliveries d
        WHERE d.endpoint = e.id AND d.state = 2 AND d.state <> 3),
    (SELECT MIN(d.due_at) FROM hooksig_deliveries d
        WHERE d.endpoint = e.id AND d.state = 1 AND d.state <> 3)
FROM hooksig_endpoints e WHERE e.state = 'active'"""
_LOCK: Final = "SELECT id FROM hooksig_endpoints WHERE id IN"
_SOON: Final = 1000  # milliseconds
_TAKE: Final = """\
SELECT id, message, sent_as, size, attempts, tries, lost, lane, hold_until,
    is_set_aside
FROM hooksig_deliveries
WHERE endpoint = :endpoint AND state = 1 AND state <> 3 AND due_at <= :now
ORDER BY due_at, id LIMIT :limit
{skip_locked}"""
_SET_RATE: Final = "UPDATE hooksig_endpoints SET rate_at = :rate_at WHERE id = :id"
_MESSAGES: Final = """\
SELECT seq, event_type, tenant, lane, payload, is_json, created_at FROM hooksig_messages
WHERE seq IN"""


@dataclass(slots=True)
class Claimed:
    """A delivery that this process sends.

    Attributes:
        id: The id of the delivery.
        message: The number of its message.
        sent_as: The id that the receiver sees.
        endpoint: The id of the endpoint.
        revision: The revision of the endpoint when it was claimed.
        process: The process that has claimed it.
        size: The length of the payload, in bytes.
        attempts: How many attempts there were.
        tries: How many of them count for the schedule.
        lost: How many times a process ended while it was sending it.
        lane: Its lane, or None.
        hold_until: Until when it holds its lane, or None.
        is_set_aside: Whether those after it in its lane were sent before it.
        was_good: Whether the endpoint had no failures lately.
        pace: What is expected of the attempt.
        event_type: The event type of the message.
        tenant: Whose it is.
        message_key: The key of the message, or None. `lane` is None too if the endpoint asks for no
            order.
        payload: The bytes that were published.
        is_json: Whether they are JSON.
        published_at: When they were published, in milliseconds since 1970.
    """

    id: int
    message: int
    sent_as: str
    endpoint: str
    revision: int
    process: str
    size: int
    attempts: int
    tries: int
    lost: int
    lane: str | None
    hold_until: int | None
    is_set_aside: int
    was_good: bool
    pace: Pace
    event_type: str = ""
    tenant: str = ""
    message_key: str | None = None
    payload: bytes = field(default=b"", repr=False)
    is_json: bool = False
    published_at: int = 0

    @property
    def key(self) -> tuple[str, int]:
        """The process and the delivery: a process that starts anew may claim the same one."""
        return self.process, self.id


@dataclass(frozen=True, slots=True)
class Room:
    """What a process can begin now.

    Attributes:
        process: Its id.
        quick: How many attempts that are not expected to be slow.
        new: How many of these at endpoints that this process does not know yet.
        slow: How many attempts at endpoints that are slow.
        pace_of: Returns what this process knows of an endpoint.
        trying: The endpoints whose first attempt of this process is in flight. They get no other.
        size: How many bytes of payloads.
        is_idle: Whether nothing is in flight, so that a delivery can be sent alone.
    """

    process: str
    quick: int
    new: int
    slow: int
    pace_of: Callable[[str], Pace]
    trying: frozenset[str]
    size: int
    is_idle: bool


@dataclass(slots=True)
class Claims:
    """What was claimed.

    Attributes:
        claimed: The deliveries.
        wake_at: When there may be more, by the clock of the database; None if that is unknown.
        waits_to_be_alone: Whether a delivery is due that is to be sent alone. Nothing else may
            begin before.
        is_contended: Whether another process was claiming at the same moment.
        waits_for_rate: Whether something is due that only the rate of its endpoint holds back, and
            not for long.
    """

    claimed: list[Claimed] = field(default_factory=list[Claimed])
    wake_at: int | None = None
    waits_to_be_alone: bool = False
    is_contended: bool = False
    waits_for_rate: bool = False


@dataclass(slots=True)
class _Candidate:
    """An endpoint that has something due."""

    id: str
    revision: int
    health: Health
    rate: float | None
    rate_start: int
    in_flight: int
    next_due: int
    room: int
    pace: Pace
    chosen: int = 0


def claim(connection: Connection, now: int, room: Room) -> Claims:
    """Claim what is due and has room.

    The endpoints get equal shares: those with the fewest attempts in flight come first.
    """
    claims = Claims()
    if room.quick <= 0 and room.slow <= 0:
        return claims
    candidates = _chosen(_look(connection, now, room.pace_of, claims), room)
    if candidates and connection.dialect is not SQLITE:
        # Others may have claimed meanwhile. So lock the endpoints, and look again.
        names, values = among("id", [each.id for each in candidates])
        locked = {each for (each,) in connection.rows(f"{_LOCK} {names} {{skip_locked}}", values)}
        claims.is_contended = len(locked) < len(candidates)
        if not locked:
            return claims
        names, values = among("id", sorted(locked))
        candidates = _chosen(
            _look(connection, now, room.pace_of, claims, among_these=(names, values)), room
        )
    _take(connection, now, room, candidates, claims)
    _load(connection, claims.claimed)
    return claims


def next_moment(connection: Connection, now: int) -> int | None:
    """Return when a delivery can be claimed next, at the earliest now; None if none waits."""
    claims = Claims()
    return now if _look(connection, now, lambda _: "quick", claims) else claims.wake_at


def _look(
    connection: Connection,
    now: int,
    pace_of: Callable[[str], Pace],
    claims: Claims,
    *,
    among_these: tuple[str, dict[str, Any]] | None = None,
) -> list[_Candidate]:
    """Return the endpoints that may get something now; note when others may."""
    condition = ""
    values: dict[str, Any] = {}
    if among_these is not None:
        names, values = among_these
        condition = f" AND e.id IN {names}"
    candidates: list[_Candidate] = []
    wakes: list[int] = [] if claims.wake_at is None else [claims.wake_at]
    for (
        endpoint,
        revision,
        concurrency,
        failures,
        failing_since,
        open_until,
        ramp,
        rate,
        rate_at,
        in_flight,
        next_due,
    ) in connection.rows(_LOOK + condition, values):
        if next_due is None:
            continue
        pace = pace_of(endpoint)
        health = Health(concurrency, failures, failing_since, open_until, ramp)
        allowance = within_rate(rate, rate_at, now)
        left = min(health.room(in_flight), allowance.count)
        opens_at = max(next_due, health.opens_at(now))
        moment = max(opens_at, allowance.more_at)
        if opens_at <= now < moment <= now + _SOON:
            claims.waits_for_rate = True
        if moment > now or not left:
            # What is held back by attempts of other processes is looked at again soon.
            wakes.append(moment if moment > now else now + _SOON)
            continue
        candidates.append(
            _Candidate(
                endpoint,
                revision,
                health,
                rate,
                allowance.start,
                in_flight,
                next_due,
                left,
                # Failures that others have seen may have been a receiver that hangs.
                "slow" if failures and pace == "new" else pace,
            )
        )
    claims.wake_at = min(wakes, default=None)
    return candidates


def _chosen(candidates: list[_Candidate], room: Room) -> list[_Candidate]:
    """Choose how many deliveries each endpoint gets: in turns, those with least in flight first."""
    quick, new, slow = room.quick, room.new, room.slow
    candidates = [each for each in candidates if each.id not in room.trying]
    candidates.sort(key=lambda each: (each.in_flight, each.next_due))
    waiting = candidates
    while waiting:
        left: list[_Candidate] = []
        for each in waiting:
            if each.pace == "slow":
                # The next one that turns out to be slow must find room, too.
                if slow <= 0 or each.chosen >= max(1, room.slow // 2):
                    continue
                slow -= 1
            elif each.pace == "new":
                # It may hang. So it gets one attempt, until that has shown what it is.
                if min(quick, new) <= 0 or each.chosen:
                    continue
                quick -= 1
                new -= 1
            else:
                if quick <= 0:
                    continue
                quick -= 1
            each.chosen += 1
            if each.chosen < each.room:
                left.append(each)
        waiting = left
    return [each for each in candidates if each.chosen]


def _take(
    connection: Connection,
    now: int,
    room: Room,
    candidates: Sequence[_Candidate],
    claims: Claims,
) -> None:
    """Claim what the endpoints were chosen for."""
    size = room.size
    for each in candidates:
        for claimed in _due(connection, now, room.process, each):
            if claimed.lost >= LOST_BEFORE_ALONE:
                claims.waits_to_be_alone = True
                if room.is_idle:
                    # Whatever was chosen before is due still, and comes afterwards.
                    claims.claimed = [claimed]
                    break
            elif claimed.size <= size or (room.is_idle and not claims.claimed):
                size -= claimed.size
                claims.claimed.append(claimed)
            # Else it has its turn when others are done.
        if claims.waits_to_be_alone:
            break
    if claims.waits_to_be_alone and not room.is_idle:
        claims.claimed = []
    counts = Counter(each.endpoint for each in claims.claimed)
    for each in candidates:
        if each.rate is not None and counts[each.id]:
            rate_at = next_rate_at(each.rate, each.rate_start, counts[each.id])
            connection.change(_SET_RATE, {"id": each.id, "rate_at": rate_at})


def _due(connection: Connection, now: int, process: str, candidate: _Candidate) -> list[Claimed]:
    """Return the deliveries of an endpoint that are due the longest."""
    values = {"endpoint": candidate.id, "now": now, "limit": candidate.chosen}
    return [
        Claimed(
            id=delivery,
            message=message,
            sent_as=sent_as,
            endpoint=candidate.id,
            revision=candidate.revision,
            process=process,
            size=size,
            attempts=attempts,
            tries=tries,
            lost=lost,
            lane=lane,
            hold_until=hold_until,
            is_set_aside=is_set_aside,
            was_good=candidate.health.is_good,
            pace=candidate.pace,
        )
        for (
            delivery,
            message,
            sent_as,
            size,
            attempts,
            tries,
            lost,
            lane,
            hold_until,
            is_set_aside,
        ) in connection.rows(_TAKE, values)
    ]


def _load(connection: Connection, claimed: Sequence[Claimed]) -> None:
    """Mark deliveries as claimed, and get their messages."""
    if not claimed:
        return
    names, values = among("id", [each.id for each in claimed])
    connection.change(
        f"UPDATE hooksig_deliveries SET state = :state, process = :process WHERE id IN {names}",  # noqa: S608
        {"state": int(DeliveryState.CLAIMED), "process": claimed[0].process, **values},
    )
    names, values = among("seq", sorted({each.message for each in claimed}))
    messages = {seq: columns for seq, *columns in connection.rows(f"{_MESSAGES} {names}", values)}
    for each in claimed:
        (
            each.event_type,
            each.tenant,
            each.message_key,
            payload,
            is_json,
            each.published_at,
        ) = messages[each.message]
        each.payload, each.is_json = bytes(payload), bool(is_json)
