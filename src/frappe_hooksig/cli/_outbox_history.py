"""`frappe-hooksig outbox list` and `show`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final

from frappe_hooksig.cli._excerpt import excerpt, plain
from frappe_hooksig.cli._options import add_json
from frappe_hooksig.cli._outbox_chosen import add_chosen, any_id, chosen
from frappe_hooksig.cli._outbox_place import Refused, add_place, opened
from frappe_hooksig.cli._outcome import DONE
from frappe_hooksig.cli._output import complain
from frappe_hooksig.exceptions import UnknownRecord

if TYPE_CHECKING:
    from frappe_hooksig.outbox import AttemptRecord, DeliveryRecord, Endpoint, Message, Outbox

_STATES: Final = ("waiting", "due", "claimed", "delivered", "dead", "cancelled")
_LIMIT: Final = 100


def add_list(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `list`."""
    parser.description = "List deliveries, the newest first."
    add_chosen(parser, _STATES, "all")
    parser.add_argument("--tenant", metavar="NAME", help="only those of a tenant")
    parser.add_argument(
        "--event-type",
        metavar="TYPE",
        help="only those of messages of an event type, or invoice.* for all that begin so",
    )
    parser.add_argument(
        "--limit", metavar="N", type=int, default=_LIMIT, help="how many (default: %(default)s)"
    )
    add_json(parser)
    add_place(parser)
    parser.set_defaults(act=_list)


def add_show(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `show`."""
    parser.add_argument(
        "id",
        metavar="ID",
        type=any_id,
        help="the number of a delivery, or the id of a message (msg_...) or an endpoint (ep_...)",
    )
    add_json(parser)
    add_place(parser)
    parser.set_defaults(act=_show)


def _list(options: argparse.Namespace) -> tuple[int, str]:
    with opened(options) as outbox:
        deliveries = outbox.deliveries(
            **chosen(options),
            tenant=options.tenant,
            event_types=options.event_type,
            limit=options.limit,
        )
    from frappe_hooksig.cli._outbox_shown import deliveries_table, described

    if len(deliveries) == options.limit:
        complain(f"note: these are the newest {options.limit}: see --limit and --until")
    if options.json:
        import json

        return DONE, json.dumps([described(each) for each in deliveries])
    return DONE, deliveries_table(deliveries) if deliveries else "no deliveries"


def _show(options: argparse.Namespace) -> tuple[int, str]:
    wanted: str | int = options.id
    with opened(options) as outbox:
        if isinstance(wanted, int):
            delivery = _delivery(outbox, wanted)
            message = outbox.message(delivery.message_id)
            payload = outbox.payload(message.id)
            attempts = outbox.attempts(delivery.id)
            shown, values = _of_delivery(delivery, message, payload, attempts)
        elif wanted.startswith("ep_"):
            shown, values = _of_endpoint(_endpoint(outbox, wanted))
        else:
            message = _message(outbox, wanted)
            payload = outbox.payload(message.id)
            deliveries = outbox.deliveries(message=message.id, limit=1000)
            shown, values = _of_message(message, payload, deliveries)
    if options.json:
        import json

        return DONE, json.dumps(values)
    return DONE, "\n".join(shown)


def _delivery(outbox: Outbox, number: int) -> DeliveryRecord:
    try:
        return outbox.delivery(number)
    except UnknownRecord:
        msg = "there is no delivery with this number"
        raise Refused(msg) from None


def _endpoint(outbox: Outbox, endpoint: str) -> Endpoint:
    try:
        return outbox.endpoint(endpoint)
    except UnknownRecord:
        msg = "there is no endpoint with this id"
        raise Refused(msg) from None


def _message(outbox: Outbox, message: str) -> Message:
    """Return a message by its id, or by the id that a receiver saw."""
    seen = outbox.deliveries(message=message, limit=1)
    try:
        return outbox.message(seen[0].message_id if seen else message)
    except UnknownRecord:
        msg = "there is no message with this id"
        raise Refused(msg) from None


def _of_delivery(
    delivery: DeliveryRecord, message: Message, payload: bytes, attempts: list[AttemptRecord]
) -> tuple[list[str], dict[str, Any]]:
    from frappe_hooksig.cli._outbox_shown import (
        described,
        described_message,
        last_of,
        lines,
        time_of,
    )

    ended = delivery.ended_at
    is_other = delivery.sent_as != delivery.message_id
    shown = lines(
        [
            ("delivery", delivery.id),
            ("state", str(delivery.state)),
            ("last", last_of(delivery)),
            ("why", plain(delivery.message)),
            ("endpoint", delivery.endpoint_id),
            ("sent as", delivery.sent_as if is_other else None),
            ("attempts", delivery.attempts),
            ("lost", delivery.lost or None),
            ("set aside", "yes, those after it are sent before it" * delivery.is_set_aside),
            ("made", time_of(delivery.created_at)),
            ("due", time_of(delivery.due_at) if ended is None else None),
            ("ended", time_of(ended) if ended is not None else None),
        ]
    )
    shown += _message_lines(message, payload)
    for each in attempts:
        shown += _attempt_lines(each)
    return shown, {
        "delivery": described(delivery),
        "message": described_message(message, payload),
        "attempts": [described(each) for each in attempts],
    }


def _attempt_lines(attempt: AttemptRecord) -> list[str]:
    from frappe_hooksig.cli._outbox_shown import duration_of, lines, time_of

    code = " ".join(filter(None, [str(attempt.status or ""), plain(attempt.reason)]))
    to = "" if attempt.address is None else f" at {plain(attempt.address)}"
    return lines(
        [
            (
                f"attempt {attempt.number}",
                f"{time_of(attempt.started_at)} {attempt.outcome}{f' ({code})' * bool(code)}"
                f" after {duration_of(attempt.seconds)}{to}",
            ),
            ("  message", plain(attempt.message)),
            # Of a reason that the receiver gave, the message says it all.
            ("  answer", "" if attempt.reason else excerpt(attempt.answer)),
        ]
    )


def _message_lines(message: Message, payload: bytes) -> list[str]:
    from frappe_hooksig.cli._outbox_shown import lines, preview, time_of

    return lines(
        [
            ("message", message.id),
            ("event type", plain(message.event_type)),
            ("tenant", plain(message.tenant)),
            ("key", None if message.key is None else plain(message.key)),
            (
                "idempotency key",
                None if message.idempotency_key is None else plain(message.idempotency_key),
            ),
            ("published", time_of(message.created_at)),
            (f"payload, {len(payload)} bytes", preview(payload)),
        ]
    )


def _of_message(
    message: Message, payload: bytes, deliveries: list[DeliveryRecord]
) -> tuple[list[str], dict[str, Any]]:
    from frappe_hooksig.cli._outbox_shown import deliveries_table, described, described_message

    shown = _message_lines(message, payload)
    if deliveries:
        shown.append(deliveries_table(deliveries))
    else:
        no_endpoint = "no deliveries: no endpoint takes it"
        shown.append(no_endpoint if message.is_routed else "no deliveries yet: a worker makes them")
    return shown, {
        "message": described_message(message, payload),
        "deliveries": [described(each) for each in deliveries],
    }


def _of_endpoint(endpoint: Endpoint) -> tuple[list[str], dict[str, Any]]:
    from frappe_hooksig._escaping import escaped_url
    from frappe_hooksig.cli._outbox_shown import described, duration_of, lines, time_of

    delays = endpoint.schedule.delays
    failing, old_ends = endpoint.failing_since, endpoint.old_secret_ends
    shown = lines(
        [
            ("endpoint", endpoint.id),
            ("state", endpoint.state),
            ("reason", plain(endpoint.reason)),
            ("why", plain(endpoint.message)),
            ("url", escaped_url(endpoint.url)),
            ("tenant", plain(endpoint.tenant)),
            ("event types", plain(" ".join(endpoint.event_types))),
            ("method", endpoint.method),
            ("scheme", endpoint.scheme),
            ("format", endpoint.format),
            ("secret from", plain(" ".join(endpoint.secret_from))),
            ("old secret until", time_of(old_ends) if old_ends is not None else None),
            ("headers", plain(" ".join(endpoint.header_names))),
            ("order", endpoint.order),
            ("hold", duration_of(endpoint.hold) if endpoint.order == "key" else None),
            ("concurrency", endpoint.concurrency),
            ("rate", endpoint.rate),
            ("attempts", f"{len(delays) + 1} within {duration_of(sum(delays))}"),
            ("added", time_of(endpoint.created_at)),
            ("failing since", time_of(failing) if failing is not None else None),
            ("failures", endpoint.failures or None),
        ]
    )
    return shown, described(endpoint)
