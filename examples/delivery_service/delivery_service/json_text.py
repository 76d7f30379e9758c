"""Reading JSON so that nothing in it is lost, or can be understood in two ways."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NoReturn

from delivery_service.problems import Problem

_DEEPEST: Final = 64  # arrays and objects inside of one another
_TOO_DEEP: Final = f"more than {_DEEPEST} arrays and objects inside of one another"
_LONGEST_NUMBER: Final = 100  # characters
_ALWAYS_KEPT: Final = 15  # decimal digits: a double has room for any that many

_TEXTS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_PAIRS: Final = bytes.maketrans(b"{}", b"[]")
_OTHER_BYTES: Final = bytes({*range(256)} - {*b"[]{}"})


class _Unfit(ValueError):
    """A part of a JSON text that receivers would not get as it was written."""


def parsed(text: bytes, what: str) -> Any:
    """Return the value of a JSON text.

    Args:
        text: The bytes that somebody sent.
        what: What they are, for the sentence of the refusal, such as `the body`.

    Raises:
        Problem: It is not JSON, or a part of it would be lost or changed on its way to receivers.
    """
    sentence = f"{what} is not JSON in UTF-8"
    try:
        characters = text.decode()
        value = json.loads(
            characters,
            parse_int=_whole,
            parse_float=_fraction,
            parse_constant=_constant,
            object_pairs_hook=_object,
        )
        _check_depth(text)
        if "\\ud" in characters.lower():
            _check_characters(value)
    except _Unfit as unfit:
        sentence = f"{what} has {unfit}"
    except json.JSONDecodeError as error:
        sentence += f": look at line {error.lineno}, column {error.colno}"
    except RecursionError:
        sentence = f"{what} has {_TOO_DEEP}"
    except ValueError:  # it is not UTF-8
        pass
    else:
        return value
    # Not above: the cause would have the text, which may contain a secret.
    raise Problem(400, "malformed-json", sentence)


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


def _check_depth(text: bytes) -> None:
    """Refuse a JSON text that is too deep for some readers."""
    brackets = _TEXTS.sub(b"", text).translate(_PAIRS, delete=_OTHER_BYTES)
    for _ in range(_DEEPEST):
        brackets = brackets.replace(b"[]", b"")  # the innermost ones
    if brackets:
        raise _Unfit(_TOO_DEEP)


def _check_characters(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        pass
    else:
        return
    msg = "half of a character (a lone surrogate)"
    raise _Unfit(msg)
