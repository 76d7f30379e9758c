"""Formats: what turns a message into the body and the further headers of its requests."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from typing import Any, Final, TypeAlias

from frappe_hooksig._payload import Payload, serialised
from frappe_hooksig._raw_body import MAX_BODY
from frappe_hooksig.exceptions import ConfigurationError, PayloadError
from frappe_hooksig.sending._request import is_header_value

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class OutgoingMessage:
    """A message that is about to be sent to an endpoint, as its format gets it.

    Attributes:
        id: The id that the receiver sees. It differs from that of the message for what is sent as
            new.
        event_type: Its event type.
        tenant: Whose it is; empty if there are no tenants.
        key: Messages with the same key have an order; None if it has none.
        payload: The bytes that were published.
        is_json: Whether they were published as a dict, list, number, bool or None.
        created_at: When it was published, in Unix seconds.
        attempt: The number of the attempt, from 1 on.
    """

    id: str
    event_type: str
    tenant: str
    key: str | None
    payload: bytes = field(repr=False)
    is_json: bool
    created_at: float
    attempt: int

    def json(self) -> Any:
        """Return the payload, parsed as JSON.

        Raises:
            PayloadError: The payload is not JSON.
        """
        try:
            return json.loads(self.payload)
        except (ValueError, RecursionError):
            pass  # the error would have the payload
        msg = "the payload is not JSON"
        raise PayloadError(msg)


@dataclass(frozen=True, slots=True)
class Formatted:
    """What a format makes of a message.

    Attributes:
        body: bytes as they are, str as UTF-8; a dict, list, number, bool or None as JSON.
        headers: Further headers of the request. A body that is serialised as JSON has its
            Content-Type without it, and so has the payload, if it is the body as it is.
    """

    body: Payload = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


#: A function that turns a message into what is sent to an endpoint.
Format: TypeAlias = Callable[[OutgoingMessage], Formatted]


@dataclass(frozen=True, slots=True)
class Content:
    """What a request to an endpoint has besides its signature.

    Attributes:
        body: The bytes to sign and send.
        is_json: Whether they are sent as JSON, unless a header says otherwise.
        headers: Further headers.
    """

    body: bytes = field(repr=False)
    is_json: bool
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


class FormatFailed(Exception):
    """A format has raised an error that is not about the payload, or has returned something else.

    The error is its cause.
    """


class Formats:
    """The formats that an outbox knows.

    Args:
        functions: A function for each name.

    Raises:
        ConfigurationError: It is no such dict, or a function is async.
    """

    def __init__(self, functions: Mapping[str, Format]) -> None:
        is_mapping = isinstance(functions, Mapping)
        for name, function in functions.items() if is_mapping else [("", None)]:
            if not isinstance(name, str) or not _NAME.fullmatch(name) or not callable(function):
                msg = (
                    "formats= must be a dict with a function for each name, such as "
                    '{"envelope": in_an_envelope}; a name has up to 64 letters, digits, _, - and .'
                )
                raise ConfigurationError(msg)
            if iscoroutinefunction(function):
                msg = f"formats= has an async function, {name}: it is called in a thread"
                raise ConfigurationError(msg)
        self._functions = {**functions}

    def check(self, name: object) -> None:
        """Refuse a name that none of the formats has. None is no format.

        Raises:
            ConfigurationError: There is no such format.
        """
        if name is not None and (not isinstance(name, str) or name not in self._functions):
            known = ", ".join(sorted(self._functions)) or "none"
            msg = f"format= must be the name of a format of the outbox, which has {known}; or None"
            raise ConfigurationError(msg)

    def apply(self, name: str | None, message: OutgoingMessage) -> Content:
        """Return what a request to an endpoint has.

        Args:
            name: The name of the format; None to send the payload as it is.
            message: The message.

        Raises:
            ConfigurationError: There is no such format.
            PayloadError: The message has no such form, or its body is too large.
            FormatFailed: The function has failed.
        """
        if name is None:
            return Content(message.payload, message.is_json)
        function = self._functions.get(name)
        if function is None:
            msg = f"this process knows no format {name!r} (formats= of the outbox)"
            raise ConfigurationError(msg)
        formatted = _formatted(name, function, message)
        body, content_type = serialised(formatted.body)
        if len(body) > MAX_BODY:
            msg = f"the format {name!r} makes a body of {len(body)} bytes, more than {MAX_BODY}"
            raise PayloadError(msg)
        for header, value in formatted.headers.items():
            # Such a value comes from the message, unlike a name, which the sender checks.
            if not is_header_value(value):
                msg = f"the format {name!r} makes a value of {header} that no header can have"
                raise PayloadError(msg)
        is_json = message.is_json if body == message.payload else bool(content_type)
        return Content(body, is_json, formatted.headers)


def _formatted(name: str, function: Format, message: OutgoingMessage) -> Formatted:
    try:
        formatted: object = function(message)
    except PayloadError:
        raise
    except Exception as error:
        msg = f"the format {name!r} has failed: {type(error).__name__}"
        raise FormatFailed(msg) from error
    if isinstance(formatted, Formatted) and isinstance(formatted.headers, Mapping):
        return formatted
    msg = f"the format {name!r} has returned no Formatted(body, headers)"
    raise FormatFailed(msg)
