"""Read a row of Frappe's Webhook Request Log, as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

from frappe_hooksig.cli._captured_request import Pairs
from frappe_hooksig.cli._outcome import WrongUse
from frappe_hooksig.cli._output import complain


class LoggedRequest(NamedTuple):
    """A request that Frappe logged.

    Attributes:
        url: The URL, or None.
        headers: The headers.
        body: The body, as far as the log has it.
    """

    url: str | None
    headers: Pairs
    body: bytes


def split_row(raw: bytes) -> LoggedRequest:
    """Split a row into its request.

    The row is that of the REST API, in `data`, in `message`, or alone, or the only one of a list.
    The log has the payload with sorted keys and an indent, so its own bytes are lost.

    Raises:
        WrongUse: It is no row.
    """
    try:
        row = _row_in(json.loads(raw))
        url = row.get("url")
        headers = [(_bytes(name), _bytes(value)) for name, value in _object(row["headers"]).items()]
        body = _body(row["data"])
    except (ValueError, KeyError, TypeError, RecursionError):
        msg = (
            "--log: this is no row of the Webhook Request Log: it must be JSON with headers and "
            "data, such as from GET /api/resource/Webhook Request Log/NAME"
        )
        raise WrongUse(msg) from None
    return LoggedRequest(url if isinstance(url, str) else None, headers, body)


def _row_in(value: Any) -> dict[str, Any]:
    """Return the row in an answer of Frappe's.

    Raises:
        ValueError: It has none, or several.
        TypeError: It is no object.
    """
    if isinstance(value, list):
        (value,) = cast("Iterable[Any]", value)
    row = _object(value)
    for name in ("data", "message"):
        if "headers" not in row and name in row:
            return _row_in(row[name])
    return row


def _object(value: Any) -> dict[str, Any]:
    """Return an object that the log has as JSON in a text."""
    return dict(json.loads(value) if isinstance(value, str) else value)


def _bytes(value: Any) -> bytes:
    """Return the name or value of a header. The log has bytes as a list of numbers."""
    return value.encode() if isinstance(value, str) else bytes([*value])


def _body(value: Any) -> bytes:
    if not value:
        return b""
    text = value if isinstance(value, str) else json.dumps(value)
    payload = json.loads(text)
    if isinstance(payload, str):
        return payload.encode()
    body = json.dumps(payload)  # as Frappe sends it
    if body != text:
        complain("note: --log: the log sorts the keys of the payload; their own order is unknown")
    return body.encode()
