"""Turn a payload into the bytes of a body."""

from __future__ import annotations

import json
from secrets import token_hex
from typing import Any, TypeAlias

from frappe_hooksig.exceptions import PayloadError

#: Payloads that can be signed: bytes and str as they are, everything else as JSON.
Payload: TypeAlias = (
    bytes | bytearray | memoryview | str | dict[Any, Any] | list[Any] | float | bool | None
)


def new_id() -> str:
    """Return a new id for a delivery. All attempts of the delivery share it."""
    return f"msg_{token_hex(16)}"


def serialised(payload: Payload) -> tuple[bytes, dict[str, str]]:
    """Return the body, and a Content-Type header if the payload became JSON.

    Raises:
        PayloadError: The payload cannot be turned into bytes.
    """
    if isinstance(payload, bytes | bytearray | memoryview):
        return bytes(payload), {}
    if isinstance(payload, str):
        try:
            return payload.encode(), {}
        except UnicodeEncodeError:
            msg = "the payload is a str with a lone surrogate, which has no UTF-8 form"
            raise PayloadError(msg) from None
    if payload is not None and not isinstance(payload, dict | list | int | float):
        msg = (
            f"a payload cannot be of type {type(payload).__name__}: pass a dict, list, str or bytes"
        )
        raise PayloadError(msg)
    try:
        # The same call as in Frappe's own sender: webhook.py, enqueue_webhook().
        text = json.dumps(payload, default=str)
    except Exception as error:  # default=str calls any __str__, which may raise anything
        msg = f"the payload cannot be serialised as JSON: {type(error).__name__}"
        raise PayloadError(msg) from error
    return text.encode(), {"Content-Type": "application/json"}
