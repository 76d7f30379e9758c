"""Turn a payload into the bytes of a body."""

from __future__ import annotations

import json
from contextlib import suppress
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
    # Each error is raised after its cause is handled: the cause would have the payload, and so
    # would the frames of the JSON encoder.
    if isinstance(payload, str):
        with suppress(UnicodeEncodeError):
            return payload.encode(), {}
        problem = "the payload is a str with a lone surrogate, which has no UTF-8 form"
    elif payload is not None and not isinstance(payload, dict | list | int | float):
        kind = type(payload).__name__
        problem = f"a payload cannot be of type {kind}: pass a dict, list, str or bytes"
    else:
        try:
            # The same call as in Frappe's own sender: webhook.py, enqueue_webhook().
            text = json.dumps(payload, default=str)
            return text.encode(), {"Content-Type": "application/json"}
        except Exception as error:  # noqa: BLE001  # default=str calls any __str__
            problem = f"the payload cannot be serialised as JSON: {type(error).__name__}"
    del payload  # error reporters show the local variables of every frame
    raise PayloadError(problem)
