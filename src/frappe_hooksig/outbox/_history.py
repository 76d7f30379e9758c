"""Looking at messages, deliveries and attempts, and sending them once more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.outbox._bounds import number, whole
from frappe_hooksig.outbox._database import Connection, among, time_of
from frappe_hooksig.outbox._publishing import check_tenant, check_text, is_key, new_message_id
from frappe_hooksig.outbox._records import (
    AttemptRecord,
    DeliveryRecord,
    EndpointNumbers,
    Message,
    Numbers,
)
from frappe_hooksig.outbox._states import DeliveryState

#: How many rows are changed in one transaction.
AT_ONCE: Final = 500
#: How many rows a list has at most.
LONGEST_LIST: Final = 1000

_MESSAGES: Final = """\
SELECT id, event_type, tenant, lane, idempotency_key, payload, created_at, is_routed
FROM hooksig_messages"""
_DELIVERIES: Final = """\
SELECT d.id, m.id, d.sent_as, m.event_type, d.endpoint, m.tenant, m.lane, d.state, d.due_at,
    d.attempts, d.lost, d.is_set_aside, d.created_at, d.ended_at, d.status, d.reason, d.problem
FROM hooksig_deliveries d JOIN hooksig_messages m ON m.seq = d.message"""
_ATTEMPTS: Final = """\
SELECT number, started_at, took_ms, outcome, status, reason, problem, answer, address
FROM hooksig_attempts WHERE delivery = :delivery ORDER BY number"""
_AGAIN: Final = """\
UPDATE hooksig_deliveries
SET state = :due, due_at = :now, set_at = :now, tries = 0, lost = 0, ended_at = NULL, lane = NULL,
    hold_until = NULL, is_set_aside = 0, reason = '', problem = ''
WHERE id = :id AND state IN (3, 4, 5)"""
_AS_NEW: Final = """\
INSERT INTO hooksig_deliveries (
    message, endpoint, sent_as, state, due_at, set_at, size, attempts, tries, lost, lane, number,
    is_set_aside, created_at, reason, problem
)
SELECT message, endpoint, :sent_as, :due, :now, :now, size, 0, 0, 0, NULL, 0, 0, :now, '', ''
FROM hooksig_deliveries WHERE id = :id"""
_NUMBERS: Final = """\
SELECT e.id, e.state,
    (SELECT COUNT(*) FROM hooksig_deliveries d
        WHERE d.endpoint = e.id AND d.state = 1 AND d.state <> 3 AND d.due_at <= :now),
    (SELECT MIN(d.due_at) FROM hooksig_deliveries d
        WHERE d.endpoint = e.id AND d.state = 1 AND d.state <> 3),
    (SELECT COUNT(*) FROM hooksig_deliveries d
        WHERE d.endpoint = e.id AND d.state IN (0, 1) AND d.state <> 3
            AND (d.state = 0 OR d.due_at > :now)),
    (SELECT COUNT(*) FROM hooksig_deliveries d
        WHERE d.endpoint = e.id AND d.state = 4 AND d.state <> 3)
FROM hooksig_endpoints e ORDER BY e.created_at, e.id"""
_ATTEMPT_NUMBERS: Final = """\
SELECT endpoint, COUNT(*), SUM(CASE WHEN outcome = 'delivered' THEN 1 ELSE 0 END), AVG(took_ms),
    MAX(took_ms)
FROM hooksig_attempts WHERE started_at > :since GROUP BY endpoint"""
_UNROUTED: Final = "SELECT COUNT(*) FROM hooksig_messages WHERE is_routed = 0"
_LARGEST: Final = 2**63 - 1
_LATEST: Final = 1e11  # seconds
_HOUR: Final = 3_600_000  # milliseconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which deliveries are meant. What is None does not matter.

    Attributes:
        delivery: The id of one.
        message: The id of their message, or the id that receivers saw.
        endpoint: The id of their endpoint.
        tenant: Whose they are.
        states: Their states.
        since: When their messages were published at the earliest, in Unix seconds.
        until: When they were published at the latest, in Unix seconds.
    """

    delivery: int | None = None
    message: str | None = None
    endpoint: str | None = None
    tenant: str | None = None
    states: tuple[DeliveryState, ...] | None = None
    since: float | None = None
    until: float | None = None

    def __post_init__(self) -> None:
        """Refuse what a database could not compare.

        Raises:
            ConfigurationError: A number is out of bounds, or a text is none.
        """
        if self.delivery is not None:
            whole("delivery", self.delivery, 0, _LARGEST)
        check_text("message", self.message)
        check_text("endpoint", self.endpoint)
        if self.tenant is not None:
            check_tenant(self.tenant)
        for name, seconds in (("since", self.since), ("until", self.until)):
            if seconds is not None:
                number(name, seconds, 0, _LATEST)

    def condition(self) -> tuple[str, dict[str, Any]]:
        """Return the condition on `d` and `m`, and its values."""
        parts: list[str] = []
        values: dict[str, Any] = {}
        for value, part, name in (
            (self.delivery, "d.id = :delivery", "delivery"),
            (self.message, "(m.id = :message OR d.sent_as = :message)", "message"),
            (self.endpoint, "d.endpoint = :endpoint", "endpoint"),
            (self.tenant, "m.tenant = :tenant", "tenant"),
            (_ms(self.since), "m.created_at >= :since", "since"),
            (_ms(self.until), "m.created_at <= :until", "until"),
        ):
            if value is not None:
                parts.append(part)
                values[name] = value
        if self.states is not None:
            names, states = among("state", [int(each) for each in self.states])
            parts.append(f"d.state IN {names}")
            values |= states
        return " AND ".join(parts) or "1 = 1", values


def states_of(names: object) -> tuple[DeliveryState, ...]:
    """Return the states with some names.

    Raises:
        ConfigurationError: One is no state, or there are none.
    """
    several = (names,) if isinstance(names, str) else names
    known = {str(each): each for each in DeliveryState}
    chosen: set[object] = set()
    if isinstance(several, list | tuple | set | frozenset):
        chosen = {*cast("Iterable[object]", several)}
    if not chosen or not known.keys() >= chosen:
        msg = f"a state of a delivery is one of {', '.join(known)}"
        raise ConfigurationError(msg)
    return tuple(sorted(known[str(each)] for each in chosen))


def find_message(connection: Connection, message_id: str) -> Message:
    """Return a message.

    Raises:
        ConfigurationError: There is none with this id.
    """
    found = is_key(message_id) and connection.rows(
        f"{_MESSAGES} WHERE id = :id", {"id": message_id}
    )
    if not found:
        msg = f"there is no message {str(message_id)[:60]!r}"
        raise ConfigurationError(msg)
    (each,) = found
    return Message(
        id=each[0],
        event_type=each[1],
        tenant=each[2],
        key=each[3],
        idempotency_key=each[4],
        payload=bytes(each[5]),
        created_at=each[6] / 1000,
        is_routed=bool(each[7]),
    )


def list_deliveries(
    connection: Connection, selection: Selection, *, before: int | None, limit: int
) -> list[DeliveryRecord]:
    """Return deliveries, the newest first.

    Args:
        connection: A connection.
        selection: Which ones.
        before: The id of the last one of the page before; None for the first page.
        limit: How many.
    """
    condition, values = selection.condition()
    if before is not None:
        whole("before", before, 0, _LARGEST)
        condition += " AND d.id < :before"
        values["before"] = before
    query = f"{_DELIVERIES} WHERE {condition} ORDER BY d.id DESC LIMIT :limit"
    found = connection.rows(query, {**values, "limit": limit})
    return [_delivery(each) for each in found]


def list_attempts(connection: Connection, delivery: int) -> list[AttemptRecord]:
    """Return the attempts of a delivery, the first one first."""
    whole("delivery", delivery, 0, _LARGEST)
    return [
        AttemptRecord(
            number=each[0],
            started_at=each[1] / 1000,
            seconds=each[2] / 1000,
            outcome=each[3],
            status=each[4],
            reason=each[5],
            message=each[6],
            answer=bytes(each[7]),
            address=each[8],
        )
        for each in connection.rows(_ATTEMPTS, {"delivery": delivery})
    ]


def newest_delivery(connection: Connection) -> int:
    """Return the id of the newest delivery, or 0."""
    return int(connection.rows("SELECT COALESCE(MAX(id), 0) FROM hooksig_deliveries")[0][0])


def chosen_deliveries(
    connection: Connection, selection: Selection, after: int, last: int
) -> list[int]:
    """Return the ids of some deliveries after one, up to another one, in their order."""
    condition, values = selection.condition()
    query = (
        "SELECT d.id FROM hooksig_deliveries d JOIN hooksig_messages m ON m.seq = d.message "  # noqa: S608
        "JOIN hooksig_endpoints e ON e.id = d.endpoint "
        f"WHERE {condition} AND d.id > :after AND d.id <= :last ORDER BY d.id LIMIT :limit"
    )
    found = connection.rows(query, {**values, "after": after, "last": last, "limit": AT_ONCE})
    return [each for (each,) in found]


def send_again(connection: Connection, ids: Sequence[int]) -> int:
    """Make deliveries due that have ended, and return how many. They keep their id."""
    now = time_of(connection)
    values = {"now": now, "due": int(DeliveryState.DUE)}
    return sum(connection.change(_AGAIN, {**values, "id": each}) for each in ids)


def send_as_new(connection: Connection, ids: Sequence[int]) -> int:
    """Make new deliveries of the same messages, with new ids, and return how many."""
    now = time_of(connection)
    values = {"now": now, "due": int(DeliveryState.DUE)}
    connection.change_each(
        _AS_NEW, [{**values, "id": each, "sent_as": new_message_id()} for each in ids]
    )
    return len(ids)


def count_numbers(connection: Connection) -> Numbers:
    """Return how the outbox does."""
    now = time_of(connection)
    lately: Mapping[str, tuple[Any, ...]] = {
        endpoint: (count, delivered, mean, longest)
        for endpoint, count, delivered, mean, longest in connection.rows(
            _ATTEMPT_NUMBERS, {"since": now - _HOUR}
        )
    }
    endpoints: list[EndpointNumbers] = []
    active: list[EndpointNumbers] = []
    for endpoint, state, due, oldest, scheduled, dead in connection.rows(_NUMBERS, {"now": now}):
        count, delivered, mean, longest = lately.get(endpoint, (0, 0, None, None))
        each = EndpointNumbers(
            endpoint_id=endpoint,
            due=due,
            oldest_due=max(0, now - oldest) / 1000 if due else 0.0,
            scheduled=scheduled,
            dead=dead,
            attempts=count,
            delivered=int(delivered),
            mean_seconds=None if mean is None else float(mean) / 1000,
            longest_seconds=None if longest is None else longest / 1000,
        )
        endpoints.append(each)
        if state == "active":
            active.append(each)
    return Numbers(
        unrouted=connection.rows(_UNROUTED)[0][0],
        due=sum(each.due for each in active),
        oldest_due=max((each.oldest_due for each in active), default=0.0),
        endpoints=tuple(endpoints),
    )


def _delivery(columns: Sequence[Any]) -> DeliveryRecord:
    (
        delivery,
        message_id,
        sent_as,
        event_type,
        endpoint,
        tenant,
        lane,
        state,
        due_at,
        tried,
        lost,
        is_set_aside,
        created_at,
        ended_at,
        status,
        reason,
        problem,
    ) = columns
    return DeliveryRecord(
        id=delivery,
        message_id=message_id,
        sent_as=sent_as,
        event_type=event_type,
        endpoint_id=endpoint,
        tenant=tenant,
        key=lane,
        state=DeliveryState(state),
        due_at=due_at / 1000,
        attempts=tried,
        lost=lost,
        is_set_aside=bool(is_set_aside),
        created_at=created_at / 1000,
        ended_at=None if ended_at is None else ended_at / 1000,
        status=status,
        reason=reason,
        message=problem,
    )


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)
