"""How other languages and libraries write the same JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import lru_cache, partial
from math import inf, isfinite
from typing import Any, Final, NamedTuple, cast

# How JSON is laid out: the name of each layout, and the arguments for `json.dumps()`.
_LAYOUTS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("with spaces, as Python's json.dumps() writes it", {}),
    ("without spaces, as JavaScript's JSON.stringify() writes it", {"separators": (",", ":")}),
    ("with spaces behind commas only", {"separators": (", ", ":")}),
    ("with spaces behind colons only", {"separators": (",", ": ")}),
    ("with indent 1, as frappe.as_json() writes it", {"indent": 1}),
)
# More indents, which are made from indent 1.
_INDENTS: Final = (
    ("with indent 2", "  "),
    ("with indent 4", "    "),
    ("with tabs", "\t"),
    ("with indent 3", "   "),
    ("with line ends and without indent", ""),
)

# Escapes that json.dumps() does not write: the name of each set, and the characters with what is
# written for them.
_ESCAPES: Final[tuple[tuple[str, tuple[tuple[str, str], ...]], ...]] = (
    ("", ()),
    ("PHP's escape of /", (("/", "\\/"),)),
    ("Go's escapes of <, > and &", (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"))),
    (
        "Gson's escapes",
        (
            ("<", "\\u003c"),
            (">", "\\u003e"),
            ("&", "\\u0026"),
            ("=", "\\u003d"),
            ("'", "\\u0027"),
        ),
    ),
    (
        ".NET's escapes",
        (
            ('\\"', "\\u0022"),
            ("<", "\\u003C"),
            (">", "\\u003E"),
            ("&", "\\u0026"),
            ("'", "\\u0027"),
            ("+", "\\u002B"),
            ("`", "\\u0060"),
        ),
    ),
    (
        "PHP's escapes of <, >, & and '",
        (
            ("/", "\\/"),
            ("<", "\\u003C"),
            (">", "\\u003E"),
            ("&", "\\u0026"),
            ("'", "\\u0027"),
        ),
    ),
)
_NOT_ASCII = re.compile("[^\\0-\x7e]")
_LINES: Final = (("\u2028", "\\u2028"), ("\u2029", "\\u2029"))  # Go and PHP escape them always
_UPPER_CASE = "\\u in upper case"
_EXACT = 2**53  # JavaScript's integers are exact up to here
_LARGEST = 10**308  # about the largest float
_LARGEST_AS_WRITTEN = 256 * 1024  # bytes: bodies whose numbers are also tried as they came
_LONGEST_INDEX = 9  # digits of a key that JavaScript sorts as an integer
# Different numbers of one body: for more, only the most usual styles are tried, or none.
_MOST_NUMBERS = 1000
_MOST_USUAL_NUMBERS = 20_000
# What marks a number that `json.dumps()` writes as a string. Unicode has no such characters.
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"


class _Style(NamedTuple):
    """How a language writes numbers. All of them write the shortest digits that mean a float.

    The point of a float is the number of its digits before the decimal point. For 0.05, it is -1.

    Attributes:
        name: Its name.
        least: The least point that is written without an exponent.
        most: The greatest such point.
        letter: What stands before an exponent.
        plus: The sign of a positive exponent.
        width: The least number of digits of an exponent.
        mantissa: What follows a single digit before an exponent.
        whole: What follows a whole number without an exponent.
        exact: The largest integer; larger ones become floats.
        is_usual: Whether it is tried together with other causes, and for any number of numbers.
        is_javascript: Whether 0 has no sign, NaN is null, and keys that are integers come first.
        has_arrays: Whether objects without keys, or with the keys 0, 1, 2, ..., become arrays.
    """

    name: str
    least: int
    most: int
    letter: str
    plus: str
    width: int = 1
    mantissa: str = ""
    whole: str = ""
    exact: float = inf
    is_usual: bool = False
    is_javascript: bool = False
    has_arrays: bool = False


_PHP = _Style("PHP's numbers", -3, 17, "e", "+", 1, ".0", "", 2**63 - 1, is_usual=True)
_STYLES: Final = (
    _Style(
        "JavaScript's numbers",
        *(-5, 21, "e", "+", 1, "", "", _EXACT),
        is_usual=True,
        is_javascript=True,
    ),
    _PHP,
    _PHP._replace(name="PHP's numbers and arrays", is_usual=False, has_arrays=True),
    _Style(".NET's numbers", -3, 15, "E", "+", 2),
    _Style("Java's numbers", -2, 7, "E", "", 1, ".0", ".0"),
    _Style("Ruby's numbers", -3, 16, "e", "+", 2, ".0", ".0"),
    _Style("Rust's numbers", -4, 16, "e", "", 1, "", ".0"),
)


class _Written(float):
    """A float that Python writes in another way than the JSON that it came from.

    Attributes:
        text: How the JSON has it.
    """

    __slots__ = ("text",)
    text: str


def parsed(body: bytes) -> Any:
    """Return the JSON in a body.

    Raises:
        ValueError: It is no JSON, or has a number with too many digits.
        RecursionError: It is nested too deeply.
    """
    # Calls for each float are slow.
    read = _float if len(body) <= _LARGEST_AS_WRITTEN else None
    return json.loads(body.decode("utf-8-sig"), parse_float=read)


def _float(text: str) -> float:
    plain = float(text)
    if repr(plain) == text:
        return plain
    written = _Written(plain)
    written.text = text
    return written


def usual_serialisations(value: Any) -> Iterator[tuple[bytes, str]]:
    """Yield a value in the styles of Python, JavaScript, Frappe, PHP and Go."""
    for text, how in json_texts(value, is_usual=True):
        if "only" not in how:
            raw = text.encode("utf-8", "surrogatepass")
            yield raw, how
            if "spaces" in how or "indent 4" in how:
                yield raw.replace(b"/", b"\\/"), f"{how}, with PHP's escape of /"
            if "without spaces" in how:
                yield raw + b"\n", f"{how}, and a line end"
                for mark in b"<>&":
                    raw = raw.replace(bytes([mark]), b"\\u00%02x" % mark)
                yield raw, f"{how}, with Go's escapes of <, > and &"
                yield raw + b"\n", f"{how}, with Go's escapes of <, > and &, and a line end"


def json_texts(value: Any, *, is_usual: bool = False) -> Iterator[tuple[str, str]]:
    """Yield a value as JSON in each layout, order, character set and spelling of numbers.

    Args:
        value: The value.
        is_usual: Whether to leave out the less usual spellings of numbers.
    """
    yield from _laid_out(value, "")
    for changed, how in _renumbered(value, is_usual=is_usual):
        yield from _laid_out(changed, f", with {how}")


def _renumbered(value: Any, *, is_usual: bool) -> Iterator[tuple[Any, str]]:
    """Yield a value with its numbers spelled in another way, and the name of the spelling."""
    oddities = _oddities(value)
    numbers = oddities.numbers
    as_they_came = {key: key for key, number in numbers.items() if isinstance(number, _Written)}
    seen: list[dict[str, str]] = [{}]
    if as_they_came:
        seen.append(as_they_came)
        yield _changed(value, as_they_came), "numbers as they came"
    for style in _STYLES:
        most = _MOST_USUAL_NUMBERS if style.is_usual else _MOST_NUMBERS
        if len(numbers) > most or (is_usual and not style.is_usual):
            continue
        spelled = {key: _spelled(number, style) for key, number in numbers.items()}
        texts = {key: text for key, text in spelled.items() if text != repr(numbers[key])}
        if (style.is_javascript and oddities.has_integers) or (
            style.has_arrays and oddities.has_arrays
        ):
            yield _changed(value, texts, style), style.name
        elif texts not in seen:
            seen.append(texts)
            yield _changed(value, texts), style.name


class _Oddities(NamedTuple):
    """What some language may write in another way than Python.

    Attributes:
        numbers: Numbers, by how they are written.
        has_integers: Whether keys of objects are integers.
        has_arrays: Whether objects may become arrays.
    """

    numbers: dict[str, float]
    has_integers: bool
    has_arrays: bool


def _oddities(value: Any) -> _Oddities:
    numbers: dict[str, float] = {}
    has_integers = has_arrays = False
    stack = [value]
    while stack:
        each = stack.pop()
        if isinstance(each, dict):
            members = cast("dict[str, Any]", each)
            has_integers = has_integers or any(map(str.isdigit, members))
            has_arrays = has_arrays or not members or "0" in members
            stack.extend(members.values())
        elif isinstance(each, list):
            stack.extend(cast("Iterable[Any]", each))
        elif _is_odd(each):
            numbers[_text(each)] = each
    return _Oddities(numbers, has_integers, has_arrays)


def _is_odd(value: Any) -> bool:
    """Whether a value is a number that some language may write in another way than Python."""
    return isinstance(value, float) or (type(value) is int and abs(value) > _EXACT)


def _text(number: float) -> str:
    return number.text if isinstance(number, _Written) else repr(number)


def _spelled(number: float, style: _Style) -> str:
    if isinstance(number, int):
        if abs(number) <= style.exact:
            return repr(number)
        number = float(number) if abs(number) < _LARGEST else inf
    if not isfinite(number):
        return "null" if style.is_javascript else json.dumps(number)
    is_negative, figures, exponent = Decimal(repr(number)).as_tuple()
    digits = "".join(map(str, figures))
    point = len(digits) + cast("int", exponent) if number else 1
    digits = digits.rstrip("0") or "0"
    sign = "-" if is_negative and (number or not style.is_javascript) else ""
    if style.least <= point <= style.most:
        digits, point = "0" * (1 - point) + digits, max(point, 1)
        whole, fraction = digits[:point].ljust(point, "0"), digits[point:]
        return sign + whole + (f".{fraction}" if fraction else style.whole)
    mantissa = digits[0] + (f".{digits[1:]}" if digits[1:] else style.mantissa)
    direction = style.plus if point > 0 else "-"
    return f"{sign}{mantissa}{style.letter}{direction}{abs(point - 1):0{style.width}}"


def _changed(value: Any, texts: dict[str, str], style: _Style | None = None) -> Any:
    """Return a value with marked strings for some numbers, and with the objects of a style."""
    if isinstance(value, dict):
        pairs = [*cast("dict[str, Any]", value).items()]
        if style and style.is_javascript:
            pairs.sort(key=_integer_first)
        items = [(key, _changed(each, texts, style)) for key, each in pairs]
        if style and style.has_arrays and all(key == str(at) for at, (key, _) in enumerate(items)):
            return [each for _, each in items]
        return dict(items)
    if isinstance(value, list):
        return [_changed(each, texts, style) for each in cast("Iterable[Any]", value)]
    text = texts.get(_text(value)) if _is_odd(value) else None
    return value if text is None else f"{_OPEN}{text}{_CLOSE}"


def _laid_out(value: Any, numbers: str) -> Iterator[tuple[str, str]]:
    for is_sorted in (False, True):
        how = f"{', with sorted keys' * is_sorted}{numbers}"
        for name, layout in _LAYOUTS:
            text = json.dumps(value, sort_keys=is_sorted, ensure_ascii=False, **layout)
            text = text.replace(f'"{_OPEN}', "").replace(f'{_CLOSE}"', "")
            for written, charset in _in_charsets(text):
                yield written, f"the JSON {name}{how}{charset}"
                for wider, unit in _INDENTS if layout.get("indent") else ():
                    # The strings in JSON have no line ends, so that each is a line of the layout.
                    wide = re.sub("(?m)^ +", partial(_indented, unit), written)
                    yield wide, f"the JSON {wider}{how}{charset}"


def _indented(unit: str, found: re.Match[str]) -> str:
    return unit * len(found[0])


def _in_charsets(text: str) -> Iterator[tuple[str, str]]:
    """Yield a text in ASCII, as Python's `ensure_ascii` writes it, and as it is."""
    if _NOT_ASCII.search(text):
        yield _NOT_ASCII.sub(lambda found: in_ascii(found[0]), text), ", in ASCII"
    yield text, ""


@lru_cache(maxsize=1024)
def in_ascii(character: str) -> str:
    """Return the escape of a character in JSON, in lower case."""
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def respelled(text: str) -> Iterator[tuple[str, str]]:
    """Yield JSON with escapes that Python does not write, and the name of each spelling."""
    for name, replacements in _ESCAPES:
        changed = text
        for plain, escape in replacements:
            changed = changed.replace(plain, escape)
        if changed != text:
            yield name, changed
        lines = changed
        for plain, escape in _LINES:
            lines = lines.replace(plain, escape)
        if lines != changed:
            yield f"{name} and escapes of U+2028", lines
        if "\\u" in changed:
            upper = re.sub(r"\\u[0-9a-f]{4}", lambda found: "\\u" + found[0][2:].upper(), changed)
            yield f"{name} and {_UPPER_CASE}" if name else _UPPER_CASE, upper


def _integer_first(pair: tuple[str, Any]) -> tuple[bool, int]:
    """Sort keys that are integers before all others, which keep their order."""
    key, _ = pair
    is_integer = key.isascii() and key.isdigit() and key == (key.lstrip("0") or "0")
    is_index = is_integer and len(key) <= _LONGEST_INDEX
    return not is_index, int(key) if is_index else 0


def object_in(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body; an empty one if it is another value.

    Raises:
        ValueError: As for `parsed()`.
        RecursionError: As for `parsed()`.
    """
    value = parsed(body)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
