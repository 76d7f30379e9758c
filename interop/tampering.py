"""Requests that nobody may accept: genuine ones with one part changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

from frappe_hooksig import Scheme
from frappe_hooksig._timestamp import spell_time
from interop.library import Facts
from interop.requests import Message, Request

#: Half of a day is more than anybody's tolerance.
STALE = 12 * 3600

_HEX = "0123456789abcdef"
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def tampered(
    dice: Random, scheme: Scheme, facts: Facts, message: Message, genuine: Request, *, other: str
) -> Iterator[tuple[str, Request]]:
    """Yield the requests, each with the part that was changed.

    Args:
        dice: Decides where.
        scheme: How the request is signed.
        facts: About the library that is to refuse them too.
        message: What was signed.
        genuine: The request that it became.
        other: Another secret.
    """
    yield "body", replace(genuine, body=_other_body(dice, facts, genuine.body))
    header = scheme.signature_headers[0]
    signature = _other_signature(dice, scheme, genuine.headers[header])
    yield "signature", _with(genuine, header, signature)
    yield "secret", replace(genuine, secret=other)
    if scheme.timestamp_header:
        time = spell_time(message.time - 1, scheme.timestamp_format)
        yield "time", _with(genuine, scheme.timestamp_header, time)
    if scheme.timestamp_prefix:
        time = f"{scheme.timestamp_prefix}{message.time}"
        moved = genuine.headers[header].replace(
            time, f"{scheme.timestamp_prefix}{message.time - 1}"
        )
        yield "time", _with(genuine, header, moved)
    if scheme.id_header:
        yield "id", _with(genuine, scheme.id_header, f"{message.id}0")
    if "{url}" in scheme.signed:
        yield "url", replace(genuine, url=f"{genuine.url}0")


def _with(request: Request, header: str, value: str) -> Request:
    return replace(request, headers={**request.headers, header: value})


def _other_body(dice: Random, facts: Facts, body: bytes) -> bytes:
    """Return a body with one bit flipped, or with one byte if it has none."""
    if not body:
        return b" "
    while True:
        position = dice.randrange(len(body))
        flipped = bytearray(body)
        flipped[position] ^= 1 << dice.randrange(8)
        # A library that takes JSON only may sign it as it would write it: \u000b is \u000B then.
        if facts.envelope is None or _parsed(bytes(flipped)) != _parsed(body):
            return bytes(flipped)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _other_signature(dice: Random, scheme: Scheme, header: str) -> str:
    """Return the header with one letter of its first signature changed."""
    start = header.index(scheme.prefix) + len(scheme.prefix)
    letters = _HEX if scheme.encoding == "hex" else _BASE64
    # Not the last letters, which need not mean anything in base64.
    position = start + dice.randrange(24)
    others = letters.replace(header[position], "")
    return header[:position] + dice.choice(others) + header[position + 1 :]
