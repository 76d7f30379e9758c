"""How other languages write JSON, by the rules of their own serialisers."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeAlias

#: Turns a JSON value into the text that a language's serialiser gives.
Writer: TypeAlias = Callable[[Any], str]

_HTML = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
_LINE_ENDS = {"\u2028": "\\u2028", "\u2029": "\\u2029"}


def javascript_number(number: float) -> str:
    """Write a number as ECMAScript's Number::toString; Go agrees."""
    if isinstance(number, int):
        return str(number)
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    digits, _, exponent = f"{abs(number)!r}".partition("e")
    whole, _, fraction = digits.partition(".")
    fraction = "" if fraction == "0" else fraction
    figures = (whole + fraction).lstrip("0")
    point = len(figures) - len(fraction) + int(exponent or 0)  # its place among the figures
    figures = figures.rstrip("0")
    if 0 < point <= 21:
        text = figures.ljust(point, "0")
        return sign + text[:point] + (f".{text[point:]}" if text[point:] else "")
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{figures}"
    tail = f".{figures[1:]}" if figures[1:] else ""
    return f"{sign}{figures[0]}{tail}e{point - 1:+d}"


def php_number(number: float) -> str:
    """Write a number as PHP with serialize_precision=-1: small ones have an exponent earlier."""
    if isinstance(number, int) or number == 0 or abs(number) >= 1e-4:
        return javascript_number(number)
    digits, exponent = f"{number!r}".split("e")
    return f"{digits if '.' in digits else digits + '.0'}e{int(exponent)}"


def write(
    value: Any,
    string: Callable[[str], str],
    *,
    number: Callable[[float], str] = javascript_number,
    indent: str = "",
    is_sorted: bool = False,
    end: str = "",
) -> str:
    """Write a value without spaces; or with an indent, one line for each member.

    Args:
        value: The JSON value.
        string: Writes a string.
        number: Writes a number.
        indent: What each level is indented by.
        is_sorted: Whether the names of objects are sorted.
        end: The line end and the indent of the level that the value is in.
    """
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return string(value)
    if isinstance(value, int | float):
        return number(value)
    outer = (end or "\n") if indent else ""
    inner, colon = outer + indent, ": " if indent else ":"
    inside = partial(
        write, string=string, number=number, indent=indent, is_sorted=is_sorted, end=inner
    )
    if isinstance(value, dict):
        pairs = sorted(value.items()) if is_sorted else value.items()
        members = [string(name) + colon + inside(each) for name, each in pairs]
    else:
        members = [inside(each) for each in value]
    left, right = "{}" if isinstance(value, dict) else "[]"
    return left + ",".join(inner + each for each in members) + outer * bool(members) + right


def javascript_string(text: str) -> str:
    """JSON.stringify() escapes only what JSON demands."""
    return json.dumps(text, ensure_ascii=False)


def php_string(text: str, *, keeps_slashes: bool = False, keeps_unicode: bool = False) -> str:
    """json_encode() escapes slashes and all but ASCII. Flags keep them, but never line ends."""
    written = json.dumps(text, ensure_ascii=not keeps_unicode)
    written = _replaced(written, _LINE_ENDS)
    return written if keeps_slashes else written.replace("/", "\\/")


def html_safe_string(text: str) -> str:
    """Go's json.Marshal() and Rails' to_json() write < > & and two line ends as escapes."""
    return _replaced(json.dumps(text, ensure_ascii=False), _HTML | _LINE_ENDS)


def _replaced(text: str, table: dict[str, str]) -> str:
    for character, escape in table.items():
        text = text.replace(character, escape)
    return text


_php = partial(write, number=php_number)
_php_raw_string = partial(php_string, keeps_slashes=True, keeps_unicode=True)

#: The serialisers, by name. Each is called with its usual options.
WRITERS: Final[dict[str, Writer]] = {
    "python": json.dumps,
    "python-compact": partial(json.dumps, separators=(",", ":")),
    "python-sorted": partial(json.dumps, sort_keys=True),
    "python-sorted-compact": partial(json.dumps, sort_keys=True, separators=(",", ":")),
    "python-indent-2": partial(json.dumps, indent=2),
    "python-indent-4-sorted": partial(json.dumps, indent=4, sort_keys=True),
    "python-unicode": partial(json.dumps, ensure_ascii=False),
    "frappe-as-json": partial(json.dumps, indent=1, sort_keys=True, separators=(",", ": ")),
    "javascript": partial(write, string=javascript_string),
    "javascript-indent-2": partial(write, string=javascript_string, indent="  "),
    "javascript-indent-tab": partial(write, string=javascript_string, indent="\t"),
    "php": partial(_php, string=php_string),
    "php-pretty": partial(_php, string=php_string, indent="    "),
    "php-unescaped-slashes": partial(_php, string=partial(php_string, keeps_slashes=True)),
    "php-unescaped-unicode": partial(_php, string=partial(php_string, keeps_unicode=True)),
    "php-pretty-unescaped": partial(_php, string=_php_raw_string, indent="    "),
    "go": partial(write, string=html_safe_string, is_sorted=True),
    "go-struct": partial(write, string=html_safe_string),
    "go-indent": partial(write, string=html_safe_string, indent="  ", is_sorted=True),
}
