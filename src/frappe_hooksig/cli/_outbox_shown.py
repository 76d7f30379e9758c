"""Show records of an outbox: as lines and tables for people, and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timezone
from typing import Any, Final

from frappe_hooksig._escaping import escaped, escaped_url
from frappe_hooksig.cli._excerpt import excerpt, plain
from frappe_hooksig.outbox import (
    AttemptRecord,
    DeliveryRecord,
    DeliveryState,
    Endpoint,
    EndpointNumbers,
    Message,
)
from frappe_hooksig.sending._schedule import RetrySchedule

_TIMES: Final = {
    *("created_at", "due_at", "ended_at", "started_at", "failing_since", "old_secret_ends"),
}
_PREVIEW: Final = 2000  # bytes of a payload, of which the first 200 characters are shown
_SECONDS: Final = {"d": 86_400, "h": 3600, "min": 60}


def time_of(seconds: float, precision: str = "seconds") -> str:
    """Return a time in Unix seconds as ISO 8601 in UTC.

    >>> time_of(1700000000.25)
    '2023-11-14T22:13:20Z'
    """
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")


def duration_of(seconds: float | None) -> str:
    """Return a duration in the largest unit that it has twice; `-` for None.

    >>> duration_of(0.0125), duration_of(90), duration_of(9000)
    ('0.013 s', '90 s', '2.5 h')
    """
    if seconds is None:
        return "-"
    for unit, size in _SECONDS.items():
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.3g} s"


def table(rows: Sequence[Sequence[object]]) -> str:
    """Return rows as aligned columns, the first row being their heads."""
    texts = [[_printable(each) or "-" for each in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in texts)


def lines(values: Sequence[tuple[str, object]]) -> list[str]:
    """Return a line for each value that is neither None nor empty."""
    return [
        f"{name}: {_printable(value)}"
        for name, value in values
        if value is not None and value != ""
    ]


def _printable(value: object) -> str:
    """Return a value without what would control the terminal, whoever has written the row."""
    text = str(value)
    return text if text.isprintable() else escaped(text)


def preview(payload: bytes) -> str:
    """Return the start of a payload."""
    return plain(payload[:_PREVIEW].decode("utf-8", "replace"))


def described(
    record: AttemptRecord | DeliveryRecord | Endpoint | EndpointNumbers | Message,
) -> dict[str, Any]:
    """Return a record as JSON: times in ISO 8601, and texts of strangers escaped and bounded."""
    values: dict[str, Any] = {}
    for name in (each.name for each in fields(record)):
        value: Any = getattr(record, name)
        if name in _TIMES:
            value = value and time_of(value, "milliseconds")
        elif isinstance(value, DeliveryState):
            value = str(value)
        elif isinstance(value, RetrySchedule):
            value = {"delays": value.delays, "jitter": value.jitter}
        elif name == "url":
            value = escaped_url(value)
        elif name == "answer":
            value = excerpt(value)
        values[name] = value
    return values


def described_message(message: Message, payload: bytes) -> dict[str, Any]:
    """Return a message as JSON, with the start of its payload."""
    values = described(message)
    return {**values, "payload": preview(payload), "bytes": values.pop("length")}


def deliveries_table(deliveries: Sequence[DeliveryRecord]) -> str:
    """Return a table of deliveries."""
    heads = ("DELIVERY", "STATE", "TRIED", "LAST", "DUE OR ENDED", "EVENT TYPE", "ENDPOINT")
    rows: list[Sequence[object]] = [(*heads, "MESSAGE")]
    rows += [
        (
            each.id,
            each.state,
            each.attempts,
            last_of(each, 30),
            time_of(each.due_at if each.ended_at is None else each.ended_at),
            escaped(each.event_type, 32),
            each.endpoint_id,
            each.message_id,
        )
        for each in deliveries
    ]
    return table(rows)


def last_of(delivery: DeliveryRecord, longest: int = 200) -> str:
    """Return the status and the reason of the last attempt; empty if there was none."""
    status = "" if delivery.status is None else str(delivery.status)
    return escaped(f"{status} {delivery.reason}".strip(), longest)
