"""Looking at messages, deliveries and attempts, and sending them once more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from frappe_hooksig.exceptions import ConfigurationError, UnknownRecord
from frappe_hooksig.outbox._bounds import number, whole
from frappe_hooksig.outbox._database import Connection, among, time_of
from frappe_hooksig.outbox._publishing import (
    check_event_type,
    check_tenant,
    check_text,
    is_key,
    new_message_id,
    owned,
)
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
SELECT m.id, m.event_type, m.tenant, m.lane, m.idempotency_key, m.size, m.created_at, m.is_routed
FROM hooksig_messages m"""
_DELIVERIES: Final = """\
SELECT d.id, m.id, d.sent_as, m.event_type, d.endpoint, d.tenant, m.lane, d.state, d.due_at,
    d.attempts, d.lost, d.is_set_aside, d.created_at, d.ended_at, d.status, d.reason, d.problem
FROM hooksig_deliveries d JOIN hooksig_messages m ON m.seq = d.message"""
_ATTEMPTS: Final = """\
SELECT number, started_at, took_ms, outcome, status, reason, problem, answer, address
FROM hooksig_attempts WHERE delivery = :delivery"""
_AGAIN: Final = """\
UPDATE hooksig_deliveries
SET state = :due, due_at = :now, set_at = :now, tries = 0, lost = 0, ended_at = NULL, lane = NULL,
    hold_until = NULL, is_set_aside = 0, reason = '', problem = ''
WHERE id = :id AND state IN (3, 4, 5)"""
_AS_NEW: Final = """\
INSERT INTO hooksig_deliveries (
    message, endpoint, tenant, sent_as, new_id, state, due_at, set_at, size, attempts, tries, lost,
    lane, number, is_set_aside, created_at, reason, problem
)
SELECT message, endpoint, tenant, :sent_as, :sent_as, :due, :now, :now, size, 0, 0, 0, NULL, 0, 0,
    :now, '', ''
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
FROM hooksig_endpoints e WHERE {condition} ORDER BY e.created_at, e.id"""
_ATTEMPT_NUMBERS: Final = """\
SELECT endpoint, COUNT(*), SUM(CASE WHEN outcome = 'delivered' THEN 1 ELSE 0 END), AVG(took_ms),
    MAX(took_ms)
FROM hooksig_attempts WHERE started_at > :since AND endpoint IN {endpoints} GROUP BY endpoint"""
_UNROUTED: Final = "SELECT COUNT(*) FROM hooksig_messages WHERE is_routed = 0"
_MOST_TYPES: Final = 100  # that a list may be narrowed to
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
        event_types: The event types of their messages, `invoice.*` for all that begin so.
        states: Their states.
        since: When their messages were published at the earliest, in Unix seconds.
        until: When they were published at the latest, in Unix seconds.
    """

    delivery: int | None = None
    message: str | None = None
    endpoint: str | None = None
    tenant: str | None = None
    event_types: tuple[str, ...] = ()
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
        _check_times(self.since, self.until)

    def condition(self, connection: Connection) -> tuple[str, dict[str, Any]]:
        """Return the condition on `d` and `m`, and its values."""
        part, values = _within(self.since, self.until, self.event_types)
        parts = [part]
        for value, part, name in (
            (self.delivery, "d.id = :delivery", "delivery"),
            (self.endpoint, "d.endpoint = :endpoint", "endpoint"),
            (self.tenant, "d.tenant = :tenant", "tenant"),
        ):
            if value is not None:
                parts.append(part)
                values[name] = value
        if self.tenant:
            parts.append("d.tenant <> ''")  # so that SQLite uses the index, which has no others
        if self.message is not None:
            part, values["message"] = _of_message(connection, self.message)
            parts.append(part)
        if self.states is not None:
            parts.append(f"d.state IN ({', '.join(str(int(each)) for each in self.states)})")
        return " AND ".join(parts), values


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


def types_of(names: object) -> tuple[str, ...]:
    """Return event types that may end with `.*`; none if all are meant.

    Raises:
        ConfigurationError: One is no event type, or there are none, or too many.
    """
    several = (names,) if isinstance(names, str) else names
    chosen: set[str] = set()
    if isinstance(several, list | tuple | set | frozenset):
        chosen = {str(each) for each in cast("Iterable[object]", several)}
    if not 0 < len(chosen) <= _MOST_TYPES:
        msg = (
            "event_types= must be an event type such as invoice.paid, or invoice.* for all that "
            f"begin so, or a list of up to {_MOST_TYPES} of them"
        )
        raise ConfigurationError(msg)
    if "*" in chosen:
        return ()
    for each in chosen:
        check_event_type(each.removesuffix(".*"))
    return tuple(sorted(chosen))


def find_message(connection: Connection, message_id: str, tenant: str | None = None) -> Message:
    """Return a message.

    Raises:
        ConfigurationError: `tenant` cannot be one.
        UnknownRecord: There is none with this id, or it is another tenant's.
    """
    return _message(_row(connection, f"{_MESSAGES} WHERE id = :id", message_id, tenant))


def find_payload(connection: Connection, message_id: str, tenant: str | None = None) -> bytes:
    """Return the payload of a message.

    Raises:
        ConfigurationError: `tenant` cannot be one.
        UnknownRecord: There is no message with this id, or it is another tenant's.
    """
    query = "SELECT payload FROM hooksig_messages WHERE id = :id"
    return bytes(_row(connection, query, message_id, tenant)[0])


def list_messages(
    connection: Connection,
    *,
    tenant: str | None,
    event_types: tuple[str, ...],
    since: float | None,
    until: float | None,
    before: str | None,
    limit: int,
) -> list[Message]:
    """Return messages, the newest first.

    Args:
        connection: A connection.
        tenant: Only those of one tenant.
        event_types: Only those of these event types; all if there are none.
        since: When they were published at the earliest, in Unix seconds.
        until: When they were published at the latest, in Unix seconds.
        before: The id of the last one of the page before; None for the first page.
        limit: How many.

    Raises:
        ConfigurationError: `tenant`, `since` or `until` cannot be used.
        UnknownRecord: `before` is no message, or another tenant's.
    """
    _check_times(since, until)
    of_tenant, owner = owned(tenant)
    condition, values = _within(since, until, event_types)
    condition += of_tenant
    if before is not None:
        query = "SELECT seq FROM hooksig_messages WHERE id = :id"
        (values["before"],) = _row(connection, query, before, tenant)
        condition += " AND m.seq < :before"
    query = f"{_MESSAGES} WHERE {condition} ORDER BY m.seq DESC LIMIT :limit"
    found = connection.rows(query, {**values, **owner, "limit": limit})
    return [_message(each) for each in found]


def find_delivery(
    connection: Connection, delivery: int, tenant: str | None = None
) -> DeliveryRecord:
    """Return a delivery.

    Raises:
        ConfigurationError: `tenant` cannot be one.
        UnknownRecord: There is none with this id, or it is another tenant's.
    """
    selection = Selection(tenant=tenant)
    is_number = isinstance(delivery, int) and not isinstance(delivery, bool)
    if is_number and 0 <= delivery <= _LARGEST:
        chosen = replace(selection, delivery=delivery)
        for each in list_deliveries(connection, chosen, before=None, limit=1):
            return each
    raise UnknownRecord(kind="delivery", id=delivery)


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
    condition, values = selection.condition(connection)
    if before is not None:
        whole("before", before, 0, _LARGEST)
        condition += " AND d.id < :before"
        values["before"] = before
    query = f"{_DELIVERIES} WHERE {condition} ORDER BY d.id DESC LIMIT :limit"
    found = connection.rows(query, {**values, "limit": limit})
    return [_delivery(each) for each in found]


def list_attempts(
    connection: Connection, delivery: int, tenant: str | None = None
) -> list[AttemptRecord]:
    """Return the attempts of a delivery, the first one first; none of another tenant's."""
    whole("delivery", delivery, 0, _LARGEST)
    condition, values = owned(tenant)
    query = _ATTEMPTS
    if condition:
        query += f" AND EXISTS (SELECT 1 FROM hooksig_deliveries WHERE id = :delivery{condition})"  # noqa: S608
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
        for each in connection.rows(f"{query} ORDER BY number", {"delivery": delivery, **values})
    ]


def newest_delivery(connection: Connection) -> int:
    """Return the id of the newest delivery, or 0."""
    return int(connection.rows("SELECT COALESCE(MAX(id), 0) FROM hooksig_deliveries")[0][0])


def chosen_deliveries(
    connection: Connection, selection: Selection, after: int, last: int
) -> list[int]:
    """Return the ids of some deliveries after one, up to another one, in their order."""
    condition, values = selection.condition(connection)
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


def count_numbers(
    connection: Connection, tenant: str | None = None, endpoint: str | None = None
) -> Numbers:
    """Return how the outbox does.

    Args:
        connection: A connection.
        tenant: Only the numbers of this tenant.
        endpoint: Only those of this endpoint, which is the tenant's.

    Raises:
        ConfigurationError: `tenant` cannot be one.
    """
    now = time_of(connection)
    condition, values = owned(tenant)
    unrouted = connection.rows(f"{_UNROUTED}{condition}", values)[0][0]
    if endpoint is not None:
        condition += " AND id = :endpoint"
        values["endpoint"] = endpoint
    query = _NUMBERS.format(condition=f"1 = 1{condition}")
    rows = connection.rows(query, {**values, "now": now})
    lately = _attempts_of(connection, [each[0] for each in rows], now - _HOUR)
    endpoints: list[EndpointNumbers] = []
    active: list[EndpointNumbers] = []
    for endpoint_id, state, due, oldest, scheduled, dead in rows:
        count, delivered, mean, longest = lately.get(endpoint_id, (0, 0, None, None))
        each = EndpointNumbers(
            endpoint_id=endpoint_id,
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
        unrouted=unrouted,
        due=sum(each.due for each in active),
        oldest_due=max((each.oldest_due for each in active), default=0.0),
        endpoints=tuple(endpoints),
    )


def _attempts_of(
    connection: Connection, endpoints: Sequence[str], since: int
) -> dict[str, tuple[Any, ...]]:
    """Return what the attempts of some endpoints since then come to, by the endpoints' ids."""
    found: dict[str, tuple[Any, ...]] = {}
    for start in range(0, len(endpoints), AT_ONCE):
        # A list, and no join: MariaDB would look at all attempts that these endpoints ever had.
        names, values = among("endpoint", endpoints[start : start + AT_ONCE])
        query = _ATTEMPT_NUMBERS.format(endpoints=names)
        for endpoint, *numbers in connection.rows(query, {**values, "since": since}):
            found[endpoint] = tuple(numbers)
    return found


def _row(
    connection: Connection, query: str, message_id: str, tenant: str | None
) -> tuple[Any, ...]:
    """Return what a query finds of a message, if it is the tenant's.

    Raises:
        ConfigurationError: `tenant` cannot be one.
        UnknownRecord: There is none.
    """
    condition, values = owned(tenant)
    if is_key(message_id):
        for each in connection.rows(f"{query}{condition}", {"id": message_id, **values}):
            return each
    raise UnknownRecord(kind="message", id=message_id)


def _check_times(since: float | None, until: float | None) -> None:
    for name, seconds in (("since", since), ("until", until)):
        if seconds is not None:
            number(name, seconds, 0, _LATEST)


def _within(
    since: float | None, until: float | None, event_types: Sequence[str]
) -> tuple[str, dict[str, Any]]:
    """Return the condition on `m` for a time and event types, and its values."""
    parts: list[str] = []
    values: dict[str, Any] = {}
    if since is not None:
        parts.append("m.created_at >= :since")
        values["since"] = int(since * 1000)
    if until is not None:
        parts.append("m.created_at <= :until")
        values["until"] = int(until * 1000)
    types: list[str] = []
    for index, each in enumerate(event_types):
        start = each.removesuffix("*")
        # LIKE would need escapes, and would not know a small letter from a capital in SQLite.
        part = f"SUBSTR(m.event_type, 1, {len(start)})" if start != each else "m.event_type"
        types.append(f"{part} = :type{index}")
        values[f"type{index}"] = start
    if types:
        parts.append(f"({' OR '.join(types)})")
    return " AND ".join(parts) or "1 = 1", values


def _of_message(connection: Connection, message_id: str) -> tuple[str, int]:
    """Return the condition on `d` for the id of a message, or an id as new, and its value."""
    by_id = {"id": message_id}
    for (seq,) in connection.rows("SELECT seq FROM hooksig_messages WHERE id = :id", by_id):
        return "d.message = :message", seq
    query = "SELECT COALESCE(MAX(id), 0) FROM hooksig_deliveries WHERE new_id = :id"
    ((delivery,),) = connection.rows(query, by_id)
    return "d.id = :message", delivery


def _message(columns: Sequence[Any]) -> Message:
    message_id, event_type, tenant, lane, idempotency_key, size, created_at, is_routed = columns
    return Message(
        id=message_id,
        event_type=event_type,
        tenant=tenant,
        key=lane,
        idempotency_key=idempotency_key,
        length=size,
        created_at=created_at / 1000,
        is_routed=bool(is_routed),
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
