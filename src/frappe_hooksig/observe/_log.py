"""`log`: a line for each request that is refused, each attempt that failed, and for outboxes."""

from __future__ import annotations

import logging

from frappe_hooksig.observe._attempt_event import AttemptEvent
from frappe_hooksig.observe._event import Event
from frappe_hooksig.observe._outbox_event import OutboxEvent

_log = logging.getLogger("frappe_hooksig")

# Refusals are warnings, which Python shows if nobody has configured logging, and of which nobody is
# notified. Django's own lines about responses of 400 and above are warnings too. What is not here
# has no line: the framework logs what a handler does, and the store logs a lost lease.
LEVELS: dict[str, int] = {
    "refused": logging.WARNING,
    "ignored": logging.WARNING,
    "duplicate": logging.INFO,
    "in-flight": logging.INFO,
    "store-error": logging.ERROR,
}

# Of an outbox, what somebody has to do something about is an error.
_LEVELS_OF_OUTBOXES: dict[str, int] = {
    "paused": logging.ERROR,
    "disabled": logging.ERROR,
    "failing": logging.WARNING,
    "recovered": logging.INFO,
    "dead-letter": logging.ERROR,
    "set-aside": logging.WARNING,
    "lost": logging.WARNING,
    "unconfirmed": logging.ERROR,
}

_FIELDS = (
    "kind",
    "reason",
    "method",
    "path",
    "scheme",
    "header",
    "body_length",
    "status",
    "message",
    "endpoint",
    "seconds",
)


_FIELDS_OF_ATTEMPTS = (
    *("kind", "reason", "method", "scheme", "body_length", "status", "message", "endpoint"),
    *("seconds", "id"),
)


_FIELDS_OF_OUTBOXES = ("kind", "endpoint_id", "message_id", "reason", "message")


def log(event: Event | AttemptEvent | OutboxEvent) -> None:
    """Write a line to the logger `frappe_hooksig`. It is the default of `observe=`.

    Each fact is also an attribute of the log record, after `webhook_`: `webhook_reason`.

    Args:
        event: What became of a request or of an attempt to deliver, or what has happened in an
            outbox. A request that reaches its handler has no line, and nor has a message that was
            delivered.
    """
    if isinstance(event, OutboxEvent):
        extra = {f"webhook_{name}": getattr(event, name) for name in _FIELDS_OF_OUTBOXES}
        _log.log(_LEVELS_OF_OUTBOXES[event.kind], "%s", line_of_outbox(event), extra=extra)
        return
    if isinstance(event, AttemptEvent):
        if event.kind != "delivered":
            extra = {f"webhook_{name}": getattr(event, name) for name in _FIELDS_OF_ATTEMPTS}
            _log.warning("%s", line_of_attempt(event), extra=extra)
        return
    level = LEVELS.get(event.kind)
    if level is not None:
        extra = {f"webhook_{name}": getattr(event, name) for name in _FIELDS}
        _log.log(level, "%s", line_of(event), extra=extra)


def line_of(event: Event) -> str:
    """Return the line about an event. It names the part of the documentation on its reason."""
    is_refused = event.kind == "refused"
    outcome = f"refused: {event.reason}" if is_refused else event.kind
    body = "not read" if event.body_length is None else f"{event.body_length} bytes"
    see = f" (see docs/reasons.md#{event.reason})" if is_refused else ""
    return (
        f"webhook {outcome} at {event.method} {event.path} "
        f"(scheme {event.scheme}, header {event.header or 'none'}, body {body}): "
        f"{event.message}{see}"
    )


def line_of_attempt(event: AttemptEvent) -> str:
    """Return the line about an attempt that did not deliver its message."""
    answer = "" if event.status is None else f", HTTP {event.status}"
    reason = f", {event.reason}" if event.reason else ""
    return (
        f"webhook {event.kind}{answer}{reason}: {event.method} to {event.endpoint or 'no URL'} "
        f"(id {event.id}, scheme {event.scheme}, body {event.body_length} bytes): {event.message}"
    )


def line_of_outbox(event: OutboxEvent) -> str:
    """Return the line about an outbox."""
    whose = [
        f"{name} {value}"
        for name, value in (("endpoint", event.endpoint_id), ("id", event.message_id))
        if value
    ]
    about = f" ({', '.join(whose)})" if whose else ""
    return f"outbox {event.kind}, {event.reason}{about}: {event.message}"
