"""The bodies that are signed: random, the same for the same seed, and of the kinds that bite."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, Literal, TypeAlias, get_args

#: What a body is to a library that takes text.
Kind: TypeAlias = Literal["text", "empty", "not UTF-8", "byte order mark"]

KINDS: tuple[Kind, ...] = get_args(Kind)

_BOM = b"\xef\xbb\xbf"

# Fixed ones, each for a way in which a body was once taken for something else.
_TEXTS = (
    "$&", "$`", "$'", "$$", "$1 $2", "$<name>", r"\1 \g<0> \\", "%s %d {} {0} {body} ${body}",
    "\r\n", "one\r\ntwo\r\n", "\n", "\r", " ", "\t{} ", "{}\n", "\0", "a\0b", "'", '"', "`",
    '{"a": "\\u0000"}', "\u2028 and \u2029", "\u0085", "\u00a0", "\x7f\x1b[31m", "e\u0301 \u00e9",
    "\U0001f600", "\U00010348\U0010ffff", "\ufffd", "\ufffe\uffff", "a\ufeffb", "null", "0", "[]",
    "a=1&b=%20+", "v1,abc v1,def", "1800000000.{}", "</script>&amp;&lt;", "\u200f\u202e",
    '{"amount": 1.0, "amount": 1e400}', '{"b":1,"a":"\\u00e9\u00e9"}',
)  # fmt: skip
_TEXTS_DRAWN = 170
_BYTES_DRAWN = 26
_NOT_UTF8 = (b"\xff", b"\xc3", b"a\xc0\x80b", b"\xed\xa0\x80", b"\xfe\xff\0{\0}", b"{}\x80")

_LETTERS = (
    "abcdefghijklmnopqrstuvwxyz0123456789 ",
    "{}[]:,\"'\\/.&$%<>=+-_#\t\r\n\0\x1b\x7f",
    "äéßñłżабвгд日本語한국어עבריתالعربية",
    "\U0001f600\U0001f468\u200d\U0001f469\U00010348\U0002070e",
)


def bodies(dice: Random, envelope: Mapping[str, Any] | None = None) -> list[bytes]:
    """Return the bodies; one of them has 1 MiB.

    Args:
        dice: Decides about the random ones.
        envelope: What stands beside the text in a JSON object, for a library that takes nothing
            else.
    """
    raw = [*_raw(dice)]
    return raw if envelope is None else [enveloped(envelope, body) for body in raw]


def enveloped(envelope: Mapping[str, Any], body: bytes) -> bytes:
    """Return the JSON object with a body in it, as `JSON.stringify()` writes it."""
    text = body.decode("utf-8", "replace")
    document = {**envelope, "text": text}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def kind(body: bytes) -> Kind:
    """Return of which kind a body is."""
    if not body:
        return "empty"
    try:
        body.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
    return "byte order mark" if body.startswith(_BOM) else "text"


def _raw(dice: Random) -> Iterator[bytes]:
    yield b""
    yield from (text.encode() for text in _TEXTS)
    for _ in range(_TEXTS_DRAWN):
        yield _text(dice, dice.randrange(1, 400)).encode()
    yield json.dumps({"items": [_text(dice, 30) for _ in range(500)]}).encode()
    yield (_text(dice, 1 << 10) * (1 << 10)).encode()[: 1 << 20].decode("utf-8", "ignore").encode()
    yield _BOM
    yield _BOM + b"{}"
    yield _BOM + _BOM + _text(dice, 40).encode()
    yield from _NOT_UTF8
    for _ in range(_BYTES_DRAWN):
        yield dice.randbytes(dice.randrange(1, 300)) + b"\xff"


def _text(dice: Random, length: int) -> str:
    letters = "".join(dice.sample(_LETTERS, dice.randrange(1, len(_LETTERS) + 1)))
    return "".join(dice.choices(letters, k=length))
