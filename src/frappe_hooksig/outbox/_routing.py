"""Routing: a message becomes a delivery for each endpoint that takes it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Final

from frappe_hooksig.outbox._database import Connection, among
from frappe_hooksig.outbox._endpoints import takes
from frappe_hooksig.outbox._lanes import join
from frappe_hooksig.outbox._states import DeliveryState

#: How many messages are routed in one transaction, unless they become too many deliveries.
AT_ONCE: Final = 100
_MOST: Final = 2000  # deliveries, after which the rest waits for the next transaction

# One process routes at a time: two would number the messages of a lane in the wrong order. The
# second one does not wait, because the first does the work.
_LOCK: Final = "SELECT id FROM hooksig_installation {skip_locked}"
# Rows are found by a flag. An id says nothing: a transaction with a lower one may commit later.
_UNROUTED: Final = """\
SELECT seq, id, tenant, event_type, lane, size FROM hooksig_messages
WHERE is_routed = 0 ORDER BY seq LIMIT :limit {skip_locked}"""
_INSERT: Final = """\
INSERT INTO hooksig_deliveries (
    message, endpoint, tenant, sent_as, state, due_at, set_at, size, attempts, tries, lost, lane,
    number, is_set_aside, created_at, reason, problem
) VALUES (
    :message, :endpoint, :tenant, :sent_as, :state, :now, :now, :size, 0, 0, 0, :lane, :number, 0,
    :now, '', ''
)"""

_NEW: Final = "SELECT seq, tenant, size FROM hooksig_messages WHERE id = :id"
_ITS_DELIVERY: Final = "SELECT id FROM hooksig_deliveries WHERE message = :message"


def is_unrouted(connection: Connection) -> bool:
    """Whether there are messages without deliveries."""
    return bool(connection.rows("SELECT 1 FROM hooksig_messages WHERE is_routed = 0 LIMIT 1"))


def route(connection: Connection, now: int) -> int | None:
    """Make the deliveries of some messages.

    Returns:
        The number of these messages; None if there are some, and another process has them.
    """
    if not is_unrouted(connection):
        return 0
    if not connection.rows(_LOCK):
        return None
    messages = connection.rows(_UNROUTED, {"limit": AT_ONCE})
    if not messages:
        return None
    endpoints = _endpoints(connection, {each[2] for each in messages})
    deliveries: list[dict[str, Any]] = []
    routed: list[int] = []
    for seq, message_id, tenant, event_type, lane, size in messages:
        if len(deliveries) >= _MOST:
            break
        routed.append(seq)
        for endpoint, event_types, is_ordered in endpoints.get(tenant, ()):
            if takes(event_types, event_type):
                deliveries.append(
                    {
                        "message": seq,
                        "endpoint": endpoint,
                        "tenant": tenant,
                        "sent_as": message_id,
                        "state": int(DeliveryState.DUE),
                        "now": now,
                        "size": size,
                        "lane": lane if is_ordered else None,
                        "number": 0,
                    }
                )
    _put_into_lanes(connection, deliveries)
    connection.change_each(_INSERT, deliveries)
    names, values = among("seq", routed)
    connection.change(f"UPDATE hooksig_messages SET is_routed = 1 WHERE seq IN {names}", values)  # noqa: S608
    return len(routed)


def route_to(connection: Connection, now: int, message_id: str, endpoint: str) -> int:
    """Make the delivery of a message that goes to one endpoint alone, and return its id.

    The message must be from this transaction: then nobody else can route it.
    """
    ((seq, tenant, size),) = connection.rows(_NEW, {"id": message_id})
    connection.change(
        _INSERT,
        {
            "message": seq,
            "endpoint": endpoint,
            "tenant": tenant,
            "sent_as": message_id,
            "state": int(DeliveryState.DUE),
            "now": now,
            "size": size,
            "lane": None,
            "number": 0,
        },
    )
    connection.change("UPDATE hooksig_messages SET is_routed = 1 WHERE seq = :seq", {"seq": seq})
    delivery: int = connection.rows(_ITS_DELIVERY, {"message": seq})[0][0]
    return delivery


def _endpoints(
    connection: Connection, tenants: set[str]
) -> dict[str, list[tuple[str, list[str], bool]]]:
    names, values = among("tenant", sorted(tenants))
    query = f"""\
SELECT tenant, id, event_types, is_ordered FROM hooksig_endpoints WHERE tenant IN {names}"""  # noqa: S608
    found: dict[str, list[tuple[str, list[str], bool]]] = {}
    for tenant, endpoint, event_types, is_ordered in connection.rows(query, values):
        found.setdefault(tenant, []).append((endpoint, json.loads(event_types), bool(is_ordered)))
    return found


def _put_into_lanes(connection: Connection, deliveries: list[dict[str, Any]]) -> None:
    """Number the deliveries that have a lane, and let all wait but the heads."""
    counts = Counter((each["endpoint"], each["lane"]) for each in deliveries if each["lane"])
    # Sorted, so that no two transactions wait for each other.
    first = {lane: join(connection, *lane, count) for lane, count in sorted(counts.items())}
    for each in deliveries:
        lane = (each["endpoint"], each["lane"])
        if lane in first:
            each["number"], is_head = first[lane]
            each["state"] = int(DeliveryState.DUE if is_head else DeliveryState.WAITING)
            first[lane] = (each["number"] + 1, False)
