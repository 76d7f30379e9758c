"""The rows of endpoints: adding, changing, pausing and deleting them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Final, TypedDict, cast

from frappe_hooksig.exceptions import ConfigurationError, UnknownRecord
from frappe_hooksig.outbox._bounds import number, whole
from frappe_hooksig.outbox._database import Connection, among, time_of
from frappe_hooksig.outbox._publishing import check_event_type, check_tenant, is_key, owned
from frappe_hooksig.outbox._records import Endpoint, Order
from frappe_hooksig.outbox._secrets import end_of, is_encrypted, not_ended
from frappe_hooksig.outbox._states import DeliveryState
from frappe_hooksig.providers import get
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.sending._schedule import RetrySchedule
from frappe_hooksig.sending._target import Target

#: How many attempts run at once for one endpoint, unless it says otherwise.
CONCURRENCY: Final = 8
_MOST: Final = 1000
#: Waits until no other transaction makes deliveries or deletes an endpoint, and lets none do so.
LOCK_ROUTING: Final = "SELECT id FROM hooksig_installation {locked}"
_LEAST_RATE: Final = 0.001
_LONGEST_HOLD: Final = 30 * 86_400  # seconds

_COLUMNS: Final = (
    "id, tenant, url, method, scheme, format, secrets, headers, event_types, is_ordered, hold_ms, "
    "concurrency, rate, schedule, state, reason, message, created_at, failing_since, failures, "
    "revision"
)
_INSERT: Final = """\
INSERT INTO hooksig_endpoints (
    id, tenant, url, method, scheme, format, secrets, headers, event_types, is_ordered, hold_ms,
    concurrency, rate, schedule, state, reason, message, created_at, revision, failures,
    open_until, ramp, rate_at
) VALUES (
    :id, :tenant, :url, :method, :scheme, :format, :secrets, :headers, :event_types, :is_ordered,
    :hold_ms, :concurrency, :rate, :schedule, 'active', '', '', {now}, 1, 0, 0, :ramp, 0
)"""

_CREATED: Final = "SELECT created_at FROM hooksig_endpoints WHERE id = :id"
_LOCK: Final = "SELECT id FROM hooksig_endpoints WHERE id = :id {locked}"
_REFERENCES: Final = "SELECT id, secrets, headers FROM hooksig_endpoints ORDER BY id {locked}"
_SOME_REFERENCES: Final = """\
SELECT id, secrets, headers FROM hooksig_endpoints WHERE id > :after ORDER BY id LIMIT :limit"""


@dataclass(frozen=True, slots=True)
class Row:
    """An endpoint with what its public record does not show.

    Attributes:
        endpoint: The public record.
        secrets: The references of its secrets.
        headers: The references of its further headers, by their names.
        revision: Changes whenever the row does.
    """

    endpoint: Endpoint
    secrets: tuple[str, ...]
    headers: Mapping[str, str]
    revision: int


class Changes(TypedDict, total=False):
    """What can be changed of an endpoint, besides its secrets and headers; see `add_endpoint()`."""

    url: str
    event_types: Sequence[str]
    scheme: Scheme | str
    format: str | None
    method: str
    order: Order
    hold: float
    concurrency: int
    rate: float | None
    schedule: RetrySchedule


def new_endpoint_id() -> str:
    """Return the id of a new endpoint."""
    return f"ep_{token_hex(12)}"


def insert_endpoint(connection: Connection, values: Mapping[str, Any]) -> None:
    """Insert an endpoint, with columns from `columns_of()` and its id, secrets and headers."""
    connection.change(_INSERT, {"ramp": values["concurrency"], **values})


def columns_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns for what a caller gives, checked.

    Raises:
        ConfigurationError: One of the values cannot be used.
    """
    return {
        column: value
        for name, each in given.items()
        for column, value in _CHECKS[name](each).items()
    }


def endpoint_rows(
    connection: Connection,
    where: str = "",
    values: Mapping[str, Any] | None = None,
    limit: int | None = None,
) -> list[Row]:
    """Return the endpoints that a condition selects, in the order of their creation."""
    query = f"SELECT {_COLUMNS} FROM hooksig_endpoints {where} ORDER BY created_at, id"  # noqa: S608
    own = {**(values or {})}
    if limit is not None:
        query += " LIMIT :limit"
        own["limit"] = limit
    return [_row(each) for each in connection.rows(query, own)]


def endpoint_row(connection: Connection, endpoint: str, tenant: str | None = None) -> Row:
    """Return an endpoint.

    Args:
        connection: A connection.
        endpoint: Its id.
        tenant: Only if it is that tenant's; None for whatever tenant.

    Raises:
        ConfigurationError: `tenant` cannot be one.
        UnknownRecord: There is none with this id, or it is another tenant's.
    """
    condition, values = owned(tenant)
    if is_key(endpoint):
        where = f"WHERE id = :id{condition}"
        for each in endpoint_rows(connection, where, {"id": endpoint, **values}):
            return each
    raise no_endpoint(endpoint)


def locked_endpoint_row(connection: Connection, endpoint: str, tenant: str | None = None) -> Row:
    """Return an endpoint that no other transaction can change until this one ends.

    Raises:
        ConfigurationError: `tenant` cannot be one.
        UnknownRecord: There is none with this id, or it is another tenant's.
    """
    endpoint_row(connection, endpoint, tenant)
    connection.rows(_LOCK, {"id": endpoint})
    return endpoint_row(connection, endpoint)


def no_endpoint(endpoint: object) -> UnknownRecord:
    """Return the error for an id that no endpoint has."""
    return UnknownRecord("endpoint", endpoint)


def list_endpoints(
    connection: Connection, tenant: str | None, after: str | None, limit: int | None
) -> list[Endpoint]:
    """Return endpoints, in the order in which they were added.

    Args:
        connection: A connection.
        tenant: Only those of one tenant.
        after: The id of the last one of the page before; None for the first page.
        limit: How many; None for all.

    Raises:
        ConfigurationError: `tenant` cannot be one.
        UnknownRecord: `after` is no endpoint, or another tenant's.
    """
    condition, values = owned(tenant)
    if after is not None:
        last = is_key(after) and connection.rows(f"{_CREATED}{condition}", {"id": after, **values})
        if not last:
            raise no_endpoint(after)
        condition += " AND created_at >= :created_at AND (created_at > :created_at OR id > :after)"
        values |= {"created_at": last[0][0], "after": after}
    where = f"WHERE 1 = 1{condition}"
    return [each.endpoint for each in endpoint_rows(connection, where, values, limit)]


def alter_endpoint(connection: Connection, endpoint: str, columns: Mapping[str, Any]) -> None:
    """Change columns of an endpoint.

    Raises:
        UnknownRecord: There is none with this id.
    """
    sets = "".join(f", {name} = :{name}" for name in columns)
    statement = f"UPDATE hooksig_endpoints SET revision = revision + 1{sets} WHERE id = :id"  # noqa: S608
    if not connection.change(statement, {**columns, "id": endpoint}):
        raise no_endpoint(endpoint)


def replace_references(connection: Connection, replace: Callable[[str, str], str]) -> int:
    """Replace the references of all secrets and headers; return how many are others now.

    Those of secrets that have ended are dropped.

    Args:
        connection: A connection in a transaction.
        replace: Gets the id of an endpoint and a reference, and returns the new reference.
    """
    count = 0
    now = time_of(connection)
    for endpoint, secrets, headers in connection.rows(_REFERENCES):
        stored: list[str] = json.loads(secrets)
        old = not_ended(stored, now)
        old_headers: dict[str, str] = json.loads(headers)
        new = [replace(endpoint, each) for each in old]
        new_headers = {name: replace(endpoint, each) for name, each in old_headers.items()}
        before, after = [*old, *old_headers.values()], [*new, *new_headers.values()]
        changed = sum(one != other for one, other in zip(before, after, strict=True))
        if changed or len(old) < len(stored):
            columns = {"secrets": json.dumps(new), "headers": json.dumps(new_headers)}
            alter_endpoint(connection, endpoint, columns)
        count += changed
    return count


def list_references(connection: Connection, after: str, limit: int) -> list[tuple[str, list[str]]]:
    """Return each endpoint's id, with the references of its secrets and headers.

    Those of secrets that have ended are left out.

    Args:
        connection: A connection.
        after: The id of the last one of the page before; empty for the first page.
        limit: How many endpoints.
    """
    now = time_of(connection)
    rows = connection.rows(_SOME_REFERENCES, {"after": after, "limit": limit})
    return [
        (endpoint, [*not_ended(json.loads(secrets), now), *json.loads(headers).values()])
        for endpoint, secrets, headers in rows
    ]


def stop_endpoint(
    connection: Connection, endpoint: str, state: str, reason: str, message: str
) -> bool:
    """Pause or disable an endpoint, and tell whether it was active."""
    statement = """\
UPDATE hooksig_endpoints
SET state = :state, reason = :reason, message = :message, stopped_at = {now},
    revision = revision + 1
WHERE id = :id AND state = 'active'"""
    values = {"id": endpoint, "state": state, "reason": reason, "message": message}
    return bool(connection.change(statement, values))


def resume_endpoint(connection: Connection, endpoint: str, tenant: str | None = None) -> bool:
    """Let an endpoint get deliveries again, and tell whether it was stopped.

    The time in which it was stopped does not count: neither for how long it is failing, nor for
    how long a delivery may hold its lane. One that was disabled may fail as long as before. It
    begins with few attempts at once.

    Raises:
        ConfigurationError: `tenant` cannot be one.
        UnknownRecord: There is no such endpoint, or it is another tenant's.
    """
    condition, values = owned(tenant)
    found = is_key(endpoint) and connection.rows(
        "SELECT state, stopped_at, failing_since FROM hooksig_endpoints "  # noqa: S608
        f"WHERE id = :id{condition} {{locked}}",
        {"id": endpoint, **values},
    )
    if not found:
        raise no_endpoint(endpoint)
    ((state, stopped_at, failing_since),) = found
    if state == "active":
        return False
    now = time_of(connection)
    pause = max(0, now - (stopped_at or now))
    if failing_since is not None:
        failing_since = now if state == "disabled" else failing_since + pause
    alter_endpoint(
        connection,
        endpoint,
        {
            "state": "active",
            "reason": "",
            "message": "",
            "stopped_at": None,
            "open_until": 0,
            "ramp": 1,
            "rate_at": 0,
            "failing_since": failing_since,
        },
    )
    connection.change(
        """\
UPDATE hooksig_deliveries SET hold_until = hold_until + :pause
WHERE endpoint = :id AND state = 1 AND state <> 3 AND hold_until IS NOT NULL""",
        {"id": endpoint, "pause": pause},
    )
    return True


def remove_endpoint(connection: Connection, endpoint: str, tenant: str | None = None) -> None:
    """Delete an endpoint, and cancel what is on its way to it.

    Raises:
        ConfigurationError: `tenant` cannot be one.
        UnknownRecord: There is none with this id, or it is another tenant's.
    """
    condition, values = owned(tenant)
    # Otherwise, a transaction that routes could make a delivery for it that nobody ever ends.
    connection.rows(LOCK_ROUTING)
    statement = f"DELETE FROM hooksig_endpoints WHERE id = :id{condition}"  # noqa: S608
    if not is_key(endpoint) or not connection.change(statement, {"id": endpoint, **values}):
        raise no_endpoint(endpoint)
    open_states, states = among("state", [int(each) for each in DeliveryState if not each.is_final])
    connection.change(
        f"""\
UPDATE hooksig_deliveries
SET state = :cancelled, ended_at = {{now}}, process = NULL, lane = NULL,
    reason = 'endpoint-deleted', problem = 'the endpoint was deleted'
WHERE endpoint = :id AND state IN {open_states} AND state <> 3""",  # noqa: S608
        {"id": endpoint, "cancelled": int(DeliveryState.CANCELLED), **states},
    )
    connection.change("DELETE FROM hooksig_lanes WHERE endpoint = :id", {"id": endpoint})


def schedule_of(text: str) -> RetrySchedule:
    """Return the schedule in a row."""
    delays, jitter = json.loads(text)
    return RetrySchedule(tuple(delays), jitter)


def is_elsewhere(url: str, other: str) -> bool:
    """Whether two URLs lead to different receivers: another scheme, host or port."""
    one, two = Target.of(url), Target.of(other)
    return (one.is_https, one.host, one.port) != (two.is_https, two.host, two.port)


def takes(event_types: Sequence[str], event_type: str) -> bool:
    """Whether an endpoint that lists some event types gets a message of one.

    >>> takes(["invoice.*"], "invoice.paid"), takes(["invoice.*"], "invoices")
    (True, False)
    """
    return any(
        each in {"*", event_type} or (each.endswith(".*") and event_type.startswith(each[:-1]))
        for each in event_types
    )


def _row(columns: tuple[Any, ...]) -> Row:
    (
        endpoint,
        tenant,
        url,
        method,
        scheme,
        format_name,
        secrets,
        headers,
        event_types,
        is_ordered,
        hold_ms,
        concurrency,
        rate,
        schedule,
        state,
        reason,
        message,
        created_at,
        failing_since,
        failures,
        revision,
    ) = columns
    references = tuple(json.loads(secrets))
    ends = [end for each in references if (end := end_of(each)) is not None]
    named = json.loads(headers)
    return Row(
        Endpoint(
            id=endpoint,
            url=url,
            tenant=tenant,
            event_types=tuple(json.loads(event_types)),
            method=method,
            scheme=scheme,
            format=format_name,
            secret_from=tuple(_shown(each) for each in references),
            old_secret_ends=None if not ends else max(ends) / 1000,
            header_names=tuple(named),
            order="key" if is_ordered else "none",
            hold=hold_ms / 1000,
            concurrency=concurrency,
            rate=rate,
            schedule=schedule_of(schedule),
            state=state,
            reason=reason,
            message=message,
            created_at=created_at / 1000,
            failing_since=None if failing_since is None else failing_since / 1000,
            failures=failures,
        ),
        references,
        named,
        revision,
    )


def _shown(reference: str) -> str:
    return "encrypted" if is_encrypted(reference) else reference


def _url(url: object) -> dict[str, Any]:
    try:
        Target.of(str(url))
    except ValueError as error:
        del url  # it may have a token
        msg = f"url= cannot be used: {error}"
        raise ConfigurationError(msg) from None
    return {"url": str(url)}


def _tenant(tenant: object) -> dict[str, Any]:
    check_tenant(tenant)
    return {"tenant": tenant}


def _method(method: object) -> dict[str, Any]:
    if method not in ("POST", "PUT"):
        msg = "method= must be POST or PUT"
        raise ConfigurationError(msg)
    return {"method": method}


def _scheme(scheme: object) -> dict[str, Any]:
    name = scheme if isinstance(scheme, str) else getattr(scheme, "name", "")
    known = get(str(name))
    if not isinstance(scheme, str) and known != scheme:
        msg = (
            "scheme= must be one of frappe_hooksig.providers, because a row has only its name: "
            "see `frappe-hooksig providers`"
        )
        raise ConfigurationError(msg)
    return {"scheme": known.name}


def _format(name: object) -> dict[str, Any]:
    return {"format": name}  # the outbox has checked that there is one


def _event_types(event_types: object) -> dict[str, Any]:
    if not isinstance(event_types, list | tuple | set | frozenset) or not event_types:
        msg = 'event_types= must be a list, such as ["invoice.paid"] or ["*"] for all'
        raise ConfigurationError(msg)
    several = sorted({str(each) for each in cast("Iterable[object]", event_types)})
    for each in several:
        if each != "*":
            check_event_type(each.removesuffix(".*"))
    return {"event_types": json.dumps(several)}


def _order(order: object) -> dict[str, Any]:
    if order not in ("none", "key"):
        msg = 'order= must be "key" for the order of messages with the same key, or "none"'
        raise ConfigurationError(msg)
    return {"is_ordered": int(order == "key")}


def _hold(hold: object) -> dict[str, Any]:
    return {"hold_ms": int(number("hold", hold, 0, _LONGEST_HOLD) * 1000)}


def _concurrency(concurrency: object) -> dict[str, Any]:
    return {"concurrency": whole("concurrency", concurrency, 1, _MOST)}


def _rate(rate: object) -> dict[str, Any]:
    return {"rate": None if rate is None else number("rate", rate, _LEAST_RATE, _MOST)}


def _schedule(schedule: object) -> dict[str, Any]:
    if not isinstance(schedule, RetrySchedule):
        msg = "schedule= must be a RetrySchedule, such as sending.STANDARD_WEBHOOKS"
        raise ConfigurationError(msg)
    return {"schedule": json.dumps([schedule.delays, schedule.jitter])}


_CHECKS: Final[Mapping[str, Any]] = {
    "url": _url,
    "tenant": _tenant,
    "method": _method,
    "scheme": _scheme,
    "format": _format,
    "event_types": _event_types,
    "order": _order,
    "hold": _hold,
    "concurrency": _concurrency,
    "rate": _rate,
    "schedule": _schedule,
}
#: What can be changed of an endpoint, besides its secrets and headers.
CHANGEABLE: Final = _CHECKS.keys() - {"tenant"}
