"""Bodies that were rendered twice: a date or time in them is moved to its neighbours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from frappe_hooksig.explain._request import Request

_SECONDS = (1, -1, 2, -2, 3, -3, 4, -4, 5, -5)
# How far apart the two renderings of a fast site are.
_MICROSECONDS = 10_000
_MILLISECONDS = 2_000
_RARE = 10  # of so many times that are tried before the one in the body, one is tried after it
_DAY = 86_400  # seconds
_MOST = 64  # times in a body
_LOOKED_AT = 1024 * 1024  # bytes: a time is looked for in so many, for a hint

# A pattern for bytes, and the format of `datetime` for what it finds.
_FORMATS: Final = (
    (rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", "%Y-%m-%dT%H:%M:%S"),
    (rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "%Y-%m-%d %H:%M:%S"),
    (rb"\d\d-\d\d-\d{4} \d\d:\d\d:\d\d", "%d-%m-%Y %H:%M:%S"),
    (rb"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d", "%d/%m/%Y %H:%M:%S"),
    (rb"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d", "%m/%d/%Y %H:%M:%S"),
    (rb"\d\d\.\d\d\.\d{4} \d\d:\d\d:\d\d", "%d.%m.%Y %H:%M:%S"),
    (rb"\d{4}-\d\d-\d\d \d\d:\d\d(?![\d:])", "%Y-%m-%d %H:%M"),
    (rb"\d{4}-\d\d-\d\dT\d\d:\d\d(?![\d:])", "%Y-%m-%dT%H:%M"),
    (rb"\d\d-\d\d-\d{4} \d\d:\d\d(?![\d:])", "%d-%m-%Y %H:%M"),
    (rb"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d", "%a, %d %b %Y %H:%M:%S"),
    (rb"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}", "%a %b %d %H:%M:%S %Y"),
    (rb"(?<![\d:])\d\d:\d\d:\d\d(?![\d:])", "%H:%M:%S"),
    (rb"(?<![\d:])\d\d:\d\d(?![\d:])", "%H:%M"),
    (rb"(?<!\d)\d{4}-\d\d-\d\d(?!\d)", "%Y-%m-%d"),
    (rb"(?<!\d)\d\d-\d\d-\d{4}(?!\d)", "%d-%m-%Y"),
    (rb"(?<!\d)\d\d/\d\d/\d{4}(?!\d)", "%d/%m/%Y"),
    (rb"(?<!\d)\d\d/\d\d/\d{4}(?!\d)", "%m/%d/%Y"),
    (rb"(?<!\d)\d\d\.\d\d\.\d{4}(?!\d)", "%d.%m.%Y"),
    (rb"(?<!\d)\d{14}(?!\d)", "%Y%m%d%H%M%S"),
)
_UNIX = re.compile(rb"(?<![\d.])\d{10}(?![\d])")
_UNIX_MS = re.compile(rb"(?<![\d.])\d{13}(?![\d.])")
# Frappe's stored times are the same in both renderings.
_STORED = rb"".join(
    rb"(?<!\"%s\":%s\")" % (k, s) for k in (b"modified", b"creation") for s in (b"", b" ")
)
_PRECISE = re.compile(_STORED + rb"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\.\d{6}")
_CLOCK = re.compile(
    rb"(?<![\d:T ])\d\d:\d\d:\d\d|" + _STORED + rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d"
)
_THOUSANDTHS = re.compile(rb"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\.)(\d{3})(?!\d)")


def rendered_twice(request: Request) -> Iterator[tuple[bytes, str]]:
    """Yield bodies in which a time is some seconds earlier or later, or a date a day."""
    body = request.body
    for pattern, spelling in _FORMATS:
        found = re.findall(pattern, body)[:_MOST]
        for text in {found[-1], found[0], *found} if found else ():
            for seconds in _away(spelling):
                moved = _moved(text, spelling, seconds)
                if moved is not None:
                    yield body.replace(text, moved), _moved_by(seconds)
        for seconds in _away(spelling) if len({*found}) > 1 and len(found) < _MOST else ():
            yield _all_moved(body, pattern, spelling, seconds), _moved_by(seconds)
    for text in {*_UNIX.findall(body)[:_MOST]}:
        for seconds in _SECONDS:
            yield body.replace(text, b"%d" % (int(text) + seconds)), _moved_by(seconds)


def precisely_rendered_twice(body: bytes) -> Iterator[tuple[bytes, Iterator[tuple[bytes, str]]]]:
    """Yield the start of a body, and all rests in which the latest time is a little away.

    Frappe renders the signed payload after or before the body that it sends, within milliseconds.
    These are very many bodies, and a hash has to read their common start only once.
    """
    for text in sorted({*_UNIX_MS.findall(body)[:_MOST]})[-1:]:
        times = ((b"%d" % (int(text) + away), away) for away in _near(_MILLISECONDS))
        yield _split(body, text, times, "ms")
    for text in sorted({start + end for start, end in _THOUSANDTHS.findall(body)[:_MOST]})[-1:]:
        times = ((moved[:-3], ms) for moved, ms in _finely_moved(text, 1000, _MILLISECONDS))
        yield _split(body, text, times, "ms")
    for text in sorted({*_PRECISE.findall(body)[:_MOST]})[-1:]:
        yield _split(body, text, _finely_moved(text, 1, _MICROSECONDS), "µs")


def has_times(body: bytes) -> bool:
    """Whether a body has something that looks like a time, and is not stored."""
    return bool(_CLOCK.search(body[:_LOOKED_AT]))


def _away(spelling: str) -> tuple[int, ...]:
    if "%H" not in spelling:
        return (_DAY, -_DAY)
    return _SECONDS if "%S" in spelling else (60, -60)


def _moved(text: bytes, spelling: str, seconds: int) -> bytes | None:
    """Return a time that is some seconds later; None if it is no time."""
    with suppress(ValueError, OverflowError):
        moment = datetime.strptime(text.decode(), spelling)  # noqa: DTZ007  # as it is written
        return (moment + timedelta(seconds=seconds)).strftime(spelling).encode()
    return None


def _all_moved(body: bytes, pattern: bytes, spelling: str, seconds: int) -> bytes:
    def moved(found: re.Match[bytes]) -> bytes:
        return _moved(found[0], spelling, seconds) or found[0]

    return re.sub(pattern, moved, body)


def _near(most: int) -> Iterator[int]:
    """Yield -1, 1, -2, 2, and so on. Frappe signs first: a tenth as many are positive."""
    for away in range(1, most):
        yield -away
        if away * _RARE <= most:
            yield away


def _finely_moved(text: bytes, unit: int, most: int) -> Iterator[tuple[bytes, int]]:
    """Yield a time that is some units of microseconds away; nothing if it is no time."""
    with suppress(ValueError, OverflowError):
        moment = datetime.fromisoformat(text.decode())
        for away in _near(most):
            moved = moment + timedelta(microseconds=away * unit)
            yield moved.isoformat(chr(text[10]), "microseconds").encode(), away


def _split(
    body: bytes, text: bytes, times: Iterator[tuple[bytes, int]], unit: str
) -> tuple[bytes, Iterator[tuple[bytes, str]]]:
    """Return a body before a time, and what follows with each other time."""
    start, *rest = body.split(text)
    others = (b"", *rest)
    return start, ((time.join(others), _evidence(f"{abs(n)} {unit}", n)) for time, n in times)


def _moved_by(seconds: int) -> str:
    size = abs(seconds)
    return _evidence("1 day" if size == _DAY else f"{size} s", seconds)


def _evidence(shown: str, away: int) -> str:
    side = "later" if away > 0 else "earlier"
    return f"a time in the body was {shown} {side} when it was signed"
