"""Reading the JSON of a request so that nothing in it is lost or can be understood in two ways."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any, Final, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from delivery_service.api.authentication import caller_of
from delivery_service.problems import Problem

_SMALL: Final = 16 * 1024  # bytes, which are parsed faster than a thread begins
_DEEPEST: Final = 64  # arrays and objects inside of one another
_LONGEST_NUMBER: Final = 100  # characters
_ALWAYS_KEPT: Final = 15  # decimal digits: a double has room for any that many

_TEXTS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_PAIRS: Final = bytes.maketrans(b"{}", b"[]")
_OTHER_BYTES: Final = bytes({*range(256)} - {*b"[]{}"})


class JSONRoute(APIRoute):
    """A route whose body is JSON (RFC 8259), in which FastAPI would accept more."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the function that answers a request."""
        answer = super().get_route_handler()

        async def answer_json(request: Request) -> Response:
            if self.body_field is not None:
                await run_in_threadpool(caller_of, request)  # strangers make no work
            if self.body_field is not None and not _has_json(request):
                detail = "send the body as JSON, with Content-Type: application/json"
                raise Problem(415, "unsupported-media-type", detail)
            return await answer(_JSONRequest(request.scope, request.receive))

        return answer_json


class _JSONRequest(Request):
    async def json(self) -> Any:
        """Return the value of the body."""
        body = await self.body()
        if len(body) <= _SMALL:
            return parsed(body)
        return await run_in_threadpool(parsed, body)  # it would keep others waiting


class _Unfit(ValueError):
    """A part of a JSON text that receivers would not get as it was written."""


def parsed(body: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        Problem: It is none, or a part of it would be lost or changed on its way to receivers.
    """
    sentence = "the body is not JSON in UTF-8"
    try:
        text = body.decode()
        value = json.loads(
            text,
            parse_int=_whole,
            parse_float=_fraction,
            parse_constant=_constant,
            object_pairs_hook=_object,
        )
        _check_depth(body)
        if "\\ud" in text.lower():
            _check_characters(value)
    except _Unfit as unfit:
        sentence = f"the body has {unfit}"
    except (ValueError, RecursionError):
        pass
    else:
        return value
    # Not above: the cause would have the body, which may contain a secret.
    raise Problem(400, "malformed-json", sentence)


def _has_json(request: Request) -> bool:
    message = Message()
    message["Content-Type"] = request.headers.get("content-type", "")
    return message.get_content_type() == "application/json"


def _whole(text: str) -> int:
    _check_length(text)
    return int(text)


def _fraction(text: str) -> float:
    """Return a number with a fraction or an exponent, if a double holds all of its digits."""
    _check_length(text)
    value = float(text)
    digits = _digits(text)
    if math.isinf(value) or (value == 0 and digits):
        msg = "a number that is out of the range of a double: send it as a string"
        raise _Unfit(msg)
    # Encoders write the shortest digits that lead to the double, or its own ones, rounded.
    if len(digits) > _ALWAYS_KEPT and digits not in {
        _digits(repr(value)),
        _digits(f"{value:.{len(digits) - 1}e}"),
    }:
        msg = "a number with more digits than a double has: send it as a string"
        raise _Unfit(msg)
    return value


def _digits(number: str) -> str:
    """Return the digits of a number, without sign, point, exponent, and zeros at both ends."""
    return number.lower().partition("e")[0].replace(".", "").strip("-0")


def _check_length(text: str) -> None:
    if len(text) > _LONGEST_NUMBER:
        msg = f"a number of more than {_LONGEST_NUMBER} characters: send it as a string"
        raise _Unfit(msg)


def _constant(name: str) -> NoReturn:
    msg = f"{name}, which is not JSON"
    raise _Unfit(msg)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        msg = "an object that has a name twice"
        raise _Unfit(msg)
    return found


def _check_depth(body: bytes) -> None:
    """Refuse a JSON text that is too deep for some readers."""
    brackets = _TEXTS.sub(b"", body).translate(_PAIRS, delete=_OTHER_BYTES)
    for _ in range(_DEEPEST):
        brackets = brackets.replace(b"[]", b"")  # the innermost ones
    if brackets:
        msg = f"more than {_DEEPEST} arrays and objects inside of one another"
        raise _Unfit(msg)


def _check_characters(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        pass
    else:
        return
    msg = "half of a character (a lone surrogate)"
    raise _Unfit(msg)
