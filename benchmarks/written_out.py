"""What a person would write for a scheme: its source, from the scheme's fields."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Iterator
from datetime import datetime

from benchmarks.by_hand import Refused
from benchmarks.comparison import Check
from benchmarks.traffic import METHOD, URL
from frappe_hooksig import Scheme

_RFC3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"
_IS_TIME = {
    "unix": "len(timestamp) == 10 and timestamp.isascii() and timestamp.isdigit()",
    "unix-ms": "len(timestamp) == 13 and timestamp.isascii() and timestamp.isdigit()",
    "rfc3339": "RFC3339.fullmatch(timestamp)",
}
_SECONDS = {
    "unix": "int(timestamp)",
    "unix-ms": "int(timestamp) / 1000",
    "rfc3339": 'datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp()',
}
_ENCODED = {
    "hex": "mac.hexdigest()",
    "base64": "base64.b64encode(mac.digest()).decode()",
    "base64url": "base64.urlsafe_b64encode(mac.digest()).decode().rstrip('=')",
}


def by_hand(scheme: Scheme, secret: str) -> Check:
    """Return the function whose source `source_of()` returns."""
    key = secret.encode()
    if scheme.secret_formats[0] == "hex":
        key = bytes.fromhex(secret)
    elif scheme.secret_formats[0] != "text":
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
        "RFC3339": re.compile(_RFC3339, re.ASCII),
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
    if others:
        names = repr(scheme.signature_headers)
        yield f"several = [headers[name] for name in {names} if name in headers]"
        needed.append("several")
    if needed:
        yield f"if not {' or not '.join(needed)}:"
        yield "    raise Refused('unsigned')"
    if scheme.encoding == "plain":
        yield "if not hmac.compare_digest(SECRET, given):"
        yield "    raise Refused('wrong secret')"
        return
    yield f"if not {'all(map(str.isascii, several))' if others else 'given.isascii()'}:"
    yield "    raise Refused('malformed signature')"
    if scheme.separator:
        yield from _entries(scheme)
    yield from _checks_of_parts(scheme)
    content = _content(scheme.signed)
    if scheme.algorithm == "hmac":
        yield f"mac = hmac.new(KEY, {content}, hashlib.{scheme.digest})"
    else:
        yield f"mac = hashlib.{scheme.digest}(KEY + {content})"
    yield f"expected = {_ENCODED[scheme.encoding]}"
    if others or scheme.separator:
        yield "if not any([hmac.compare_digest(expected, each) for each in several]):"
    else:
        start = f"{scheme.prefix!r} + " if scheme.prefix else ""
        yield f"if not hmac.compare_digest({start}expected, given):"
    yield "    raise Refused('wrong signature')"


def _checks_of_parts(scheme: Scheme) -> Iterator[str]:
    """Yield what checks an id and a time."""
    if scheme.id_header:
        yield "if not (0 < len(message_id) <= 256 and message_id.isascii()):"
        yield "    raise Refused('malformed id')"
        yield "if not message_id.isprintable() or any([each in message_id for each in '., ']):"
        yield "    raise Refused('malformed id')"
    if scheme.signs_timestamp:
        yield f"if not ({_IS_TIME[scheme.timestamp_format]}):"
        yield "    raise Refused('malformed time')"
        seconds = _SECONDS[scheme.timestamp_format]
        yield f"if abs(time.time() - {seconds}) > {scheme.tolerance}:"
        yield "    raise Refused('too old')"


def _entries(scheme: Scheme) -> Iterator[str]:
    """Yield what takes a header with several entries apart."""
    if scheme.timestamp_is_first:
        yield f"timestamp, *several = given.split({scheme.separator!r})"
        yield f"if len(several) > {scheme.max_signatures}:"
        yield "    raise Refused('too many signatures')"
        return
    mark = scheme.prefix[-1]
    yield "times, several = [], []" if scheme.timestamp_prefix else "several = []"
    yield f"for entry in given.split({scheme.separator!r}):"
    yield f"    name, _, value = entry.partition({mark!r})"
    yield f"    if name == {scheme.prefix[:-1]!r}:"
    yield "        several.append(value)"
    if scheme.timestamp_prefix:
        yield f"    elif name == {scheme.timestamp_prefix[:-1]!r}:"
        yield "        times.append(value)"
        yield "if len(times) != 1:"
        yield "    raise Refused('no time, or several')"
        yield "timestamp = times[0]"
    yield f"if len(several) > {scheme.max_signatures}:"
    yield "    raise Refused('too many signatures')"


def _content(signed: str) -> str:
    """Return the expression for what is signed."""
    spelled = signed.replace("{id}", "{message_id}")
    spelled = spelled.replace("{method}", "{METHOD}").replace("{url}", "{URL}")
    before, after = spelled.split("{body}")
    pieces = [f"f{text!r}.encode()" if text else "" for text in (before, after)]
    return " + ".join(piece for piece in (pieces[0], "body", pieces[1]) if piece)
