"""What a person would write for a scheme: its source, from the scheme's fields."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Iterator
from datetime import datetime

from benchmarks.by_hand import Refused
from benchmarks.comparison import Check
from benchmarks.traffic import METHOD, URL
from frappe_hooksig import Scheme

_SECONDS = {
    "unix": "int(timestamp)",
    "unix-ms": "int(timestamp) / 1000",
    "rfc3339": 'datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp()',
}


def by_hand(scheme: Scheme, secret: str) -> Check:
    """Return the function whose source `source_of()` returns."""
    key = secret.encode()
    if scheme.secret_format == "hex":
        key = bytes.fromhex(secret)
    elif scheme.secret_format == "whsec":
        key = base64.b64decode(secret.removeprefix("whsec_"))
    names = {
        "base64": base64,
        "datetime": datetime,
        "hashlib": hashlib,
        "hmac": hmac,
        "time": time,
        "Refused": Refused,
        "KEY": key,
        "SECRET": secret,
        "METHOD": METHOD,
        "URL": URL,
    }
    made: dict[str, Check] = {}
    exec(source_of(scheme), names, made)
    return made["verify"]


def source_of(scheme: Scheme) -> str:
    """Return the source of a function of body and headers.

    Args:
        scheme: What the request is signed by.
    """
    return "\n    ".join(["def verify(body, headers):", *_lines(scheme)])


def _lines(scheme: Scheme) -> Iterator[str]:
    first, *others = scheme.signature_headers
    needed = ["given"]
    if not others:
        yield f"given = headers.get({first!r})"
    if scheme.timestamp_header:
        yield f"timestamp = headers.get({scheme.timestamp_header!r})"
        needed.append("timestamp")
    if scheme.id_header:
        yield f"message_id = headers.get({scheme.id_header!r})"
        needed.append("message_id")
    needed = needed[1:] if others else needed
    if needed:
        yield f"if not {' or not '.join(needed)}:"
        yield "    raise Refused('unsigned')"
    if scheme.encoding == "plain":
        yield "if not hmac.compare_digest(SECRET, given):"
        yield "    raise Refused('wrong secret')"
        return
    if scheme.separator:
        yield from _entries(scheme)
    if scheme.signs_timestamp:
        seconds = _SECONDS[scheme.timestamp_format]
        yield f"if abs(time.time() - {seconds}) > {scheme.tolerance}:"
        yield "    raise Refused('too old')"
    yield f"mac = hmac.new(KEY, {_content(scheme.signed)}, hashlib.{scheme.digest})"
    is_hex = scheme.encoding == "hex"
    yield f"expected = {'mac.hexdigest()' if is_hex else 'base64.b64encode(mac.digest()).decode()'}"
    if others:
        yield f"for name in {scheme.signature_headers!r}:"
        yield "    given = headers.get(name)"
        yield "    if given and hmac.compare_digest(expected, given):"
        yield "        return"
        yield "raise Refused('wrong signature')"
        return
    if scheme.separator:
        yield "if not any(hmac.compare_digest(expected, each) for each in several):"
    else:
        start = f"{scheme.prefix!r} + " if scheme.prefix else ""
        yield f"if not hmac.compare_digest({start}expected, given):"
    yield "    raise Refused('wrong signature')"


def _entries(scheme: Scheme) -> Iterator[str]:
    """Yield what takes a header with several entries apart."""
    mark = scheme.prefix[-1]
    yield "timestamp, several = '', []" if scheme.timestamp_prefix else "several = []"
    yield f"for entry in given.split({scheme.separator!r}):"
    yield f"    name, _, value = entry.partition({mark!r})"
    yield f"    if name == {scheme.prefix[:-1]!r}:"
    yield "        several.append(value)"
    if scheme.timestamp_prefix:
        yield f"    elif name == {scheme.timestamp_prefix[:-1]!r}:"
        yield "        timestamp = value"
        yield "if not timestamp:"
        yield "    raise Refused('no time')"


def _content(signed: str) -> str:
    """Return the expression for what is signed."""
    spelled = signed.replace("{id}", "{message_id}")
    spelled = spelled.replace("{method}", "{METHOD}").replace("{url}", "{URL}")
    before, after = spelled.split("{body}")
    pieces = [f"f{text!r}.encode()" if text else "" for text in (before, after)]
    return " + ".join(piece for piece in (pieces[0], "body", pieces[1]) if piece)
