"""What is genuine, from the definitions alone: hashlib, hmac, and none of the package's code.

Of the package it sees a `Scheme`'s public fields, which are data.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import product
from typing import NamedTuple, cast

from frappe_hooksig import Scheme

#: A request's headers, one after the other; a value can be anything.
Pairs = Sequence[tuple[str, object]]

_DIGITS = frozenset("0123456789")
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_EPOCH = 719_162  # days from 0001-01-01 to 1970-01-01


class Message(NamedTuple):
    """What was signed: of a sender that sends its secret itself, nothing."""

    body: bytes = b""
    time: str | None = None
    id: str | None = None
    method: str | None = None
    url: str | None = None


@lru_cache(maxsize=4096)
def template(scheme: Scheme) -> tuple[str, ...]:
    """Return fixed texts and names of parts in turn, beginning and ending with a text."""
    return tuple(re.split(r"{(\w+)}", scheme.signed))


def content(scheme: Scheme, message: Message) -> bytes:
    """Return the bytes that the MAC covers."""
    pieces: list[bytes] = []
    for index, piece in enumerate(template(scheme)):
        if index % 2 == 0:
            pieces.append(piece.encode())
        elif piece == "body":
            pieces.append(message.body)
        else:
            part = message.time if piece == "timestamp" else getattr(message, piece)
            pieces.append((part or "").encode("utf-8", "surrogatepass"))
    return b"".join(pieces)


def mac(scheme: Scheme, key: bytes, message: Message) -> bytes:
    """Return the MAC, or the secret where that is what is sent."""
    if scheme.encoding == "plain":
        return key
    if scheme.algorithm == "hash":
        return hashlib.new(scheme.digest, key + content(scheme, message)).digest()
    return hmac.digest(key, content(scheme, message), scheme.digest)


def is_text(signed: bytes) -> bool:
    """Whether some content is UTF-8 without NULs, as a hash without HMAC signs it."""
    try:
        return "\0" not in signed.decode()
    except UnicodeDecodeError:
        return False


def written(scheme: Scheme, code: bytes) -> str:
    """Return a MAC as the scheme writes it, without prefix."""
    if scheme.encoding == "plain":
        return code.decode("latin-1")
    if scheme.encoding == "base64url":
        return base64.urlsafe_b64encode(code).decode().rstrip("=")
    return code.hex() if scheme.encoding == "hex" else base64.b64encode(code).decode()


def signed_headers(scheme: Scheme, codes: Sequence[bytes], message: Message) -> dict[str, str]:
    """Return the headers that carry some MACs."""
    entries = [scheme.prefix + written(scheme, code) for code in codes]
    if scheme.timestamp_prefix or scheme.timestamp_is_first:
        entries.insert(0, f"{scheme.timestamp_prefix}{message.time}")
    if scheme.separator:
        entries = [scheme.separator.join(entries)]
    names = scheme.signature_header
    several = (names,) if isinstance(names, str) else names
    headers = dict(zip(several, entries, strict=False))
    if scheme.timestamp_header is not None:
        headers[scheme.timestamp_header] = str(message.time)
    if scheme.id_header is not None:
        headers[scheme.id_header] = str(message.id)
    return headers


def deciding(scheme: Scheme) -> list[str]:
    """Return the names of the headers that a scheme reads."""
    names = scheme.signature_header
    several: list[str | None] = [names] if isinstance(names, str) else [*names]
    coding = "Content-Encoding" if scheme.signs_decoded_body else None
    return [name for name in (*several, scheme.timestamp_header, scheme.id_header, coding) if name]


def values(pairs: Pairs, name: str | None) -> list[str]:
    """Return the texts of a header; bytes are Latin-1, None is absent, all else is no text.

    A list has several values.
    """
    wanted = _folded(name or "")
    found = [value for each, value in listed(pairs) if _folded(each) == wanted]
    return [
        value.decode("latin-1") if isinstance(value, bytes) else value if type(value) is str else ""
        for value in found
    ]


def listed(pairs: Pairs) -> list[tuple[str, object]]:
    """Return the pairs with each value of a list by itself, and without None."""
    found: list[tuple[str, object]] = []
    for name, value in pairs:
        several = cast("list[object]", value) if isinstance(value, list) else [value]
        found += [(name, each) for each in several if each is not None]
    return found


def _folded(name: str) -> str:
    """Return a text in lower case, unless it is not ASCII: the Kelvin sign is no k to HTTP."""
    return name.lower() if name.isascii() else name


def decoded(scheme: Scheme, pairs: Pairs, body: bytes) -> list[bytes]:
    """Return what a body may have been before it was compressed."""
    if not scheme.signs_decoded_body:
        return [body]
    codings = values(pairs, "Content-Encoding")
    found = [] if codings else [body]
    for coding in codings:
        if coding.lower() == "gzip":
            with suppress(OSError, EOFError, zlib.error):
                found.append(gzip.decompress(body))
    return found


class Reading(NamedTuple):
    """One way to read a request under which it is genuine."""

    secret_id: str | None
    message: Message
    seconds: float | None


def readings(
    scheme: Scheme,
    keys: Iterable[tuple[str | None, bytes]],
    pairs: Pairs,
    body: bytes,
    method: str | None = None,
    url: str | None = None,
) -> Iterator[Reading]:
    """Yield every way in which some headers and a body are what a key has signed."""
    names = scheme.signature_header
    several = (names,) if isinstance(names, str) else names
    texts = [text for name in several for text in values(pairs, name)]
    split = [text.split(scheme.separator) if scheme.separator else [text] for text in texts]
    skipped = int(scheme.timestamp_is_first)
    entries = [entry.lstrip(" ") for each in split for entry in each[skipped:]]
    candidates = [
        entry[len(scheme.prefix) :] for entry in entries if entry.startswith(scheme.prefix)
    ]
    times: list[str | None] = [None]
    if scheme.timestamp_header is not None:
        times = [*values(pairs, scheme.timestamp_header)]
    elif scheme.timestamp_prefix:
        start = scheme.timestamp_prefix
        times = [entry[len(start) :] for entry in entries if entry.startswith(start)]
    elif scheme.timestamp_is_first:
        times = [each[0].lstrip(" ") for each in split]
    ids: list[str | None] = [None]
    if scheme.id_header is not None:
        ids = [*values(pairs, scheme.id_header)]
    used = {name: f"{{{name}}}" in scheme.signed for name in ("body", "method", "url")}
    bodies = decoded(scheme, pairs, body)
    for (secret_id, key), time, delivery_id, content_of in product(keys, times, ids, bodies):
        message = Message(
            content_of if used["body"] else b"",
            time,
            delivery_id,
            method if used["method"] else None,
            url if used["url"] else None,
        )
        if scheme.algorithm == "hash" and not is_text(content(scheme, message)):
            continue
        right = written(scheme, mac(scheme, key, message))
        for candidate in candidates:
            given = _folded(candidate) if scheme.encoding == "hex" else candidate
            if given == right:
                seconds = None if time is None else read_seconds(time, scheme.timestamp_format)
                yield Reading(secret_id, message, seconds)


def read_seconds(text: str, spelling: str) -> float | None:
    """Return the Unix seconds that a text stands for; None if it is not spelled as it must be."""
    if spelling == "rfc3339":
        return _rfc3339(text)
    digits, unit = (10, 1) if spelling == "unix" else (13, 1000)
    return int(text) / unit if len(text) == digits and _DIGITS.issuperset(text) else None


# RFC 3339 section 5.6, with capital letters: its shape, then what its numbers may be.
_FRACTIONS = tuple(f".{'9' * digits}" if digits else "" for digits in range(10))
_SHAPES = frozenset(
    f"9999-99-99T99:99:99{fraction}{offset}"
    for fraction in _FRACTIONS
    for offset in ("Z", "+99:99", "-99:99")
)


def _rfc3339(text: str) -> float | None:
    """Read a time without a leap second and with no more than nanoseconds."""
    if "".join("9" if each in _DIGITS else each for each in text) not in _SHAPES:
        return None
    year, month, day = int(text[:4]), int(text[5:7]), int(text[8:10])
    hour, minute, second = int(text[11:13]), int(text[14:16]), int(text[17:19])
    fraction, offset = text[19:].rstrip("Z"), 0
    if not text.endswith("Z"):
        fraction, away = text[19:-6], text[-6:]
        hours, minutes = int(away[1:3]), int(away[4:])
        if hours > 23 or minutes > 59:
            return None
        offset = (hours * 60 + minutes) * (-60 if away[0] == "-" else 60)
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if year < 1 or not 1 <= month <= 12:
        return None
    if not 1 <= day <= _DAYS[month - 1] + (leap and month == 2):
        return None
    if hour > 23 or minute > 59 or second > 59:
        return None
    past = year - 1
    days = past * 365 + past // 4 - past // 100 + past // 400 + sum(_DAYS[: month - 1]) + day - 1
    days += leap and month > 2
    whole = (days - _EPOCH) * 86_400 + hour * 3600 + minute * 60 + second - offset
    return whole + (int(fraction[1:]) / 10 ** len(fraction[1:]) if fraction else 0.0)
