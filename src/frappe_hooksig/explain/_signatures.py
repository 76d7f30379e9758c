"""The signatures in a request, in whatever header and spelling, as raw bytes."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple
from urllib.parse import unquote

from frappe_hooksig._clues import by_header
from frappe_hooksig._escaping import escaped
from frappe_hooksig.explain._findings import Step
from frappe_hooksig.explain._request import Request
from frappe_hooksig.scheme import Scheme

#: A match counts only from 128 bits on. With less, somebody who sees the output could find a
#: signature piece by piece.
LEAST = 16  # bytes

_TRIPLE = 3  # bytes that base64 writes as four characters
_MOST = 64  # signatures of one request
_MOST_NAMED = 3  # schemes with the same header
_RUN = re.compile(r"[A-Za-z0-9+/_-]{22,128}={0,2}")  # 22 characters of base64 are 128 bits
_HEX = re.compile(r"[0-9a-fA-F]+")
_HEX_LENGTHS = {32, 40, 64, 96, 128}  # of all usual hashes
_LIKELY = re.compile(r"sign|hmac|hash|digest|token|secret|auth|verif")
# What senders write around signatures, in lower case.
_HARMLESS = {
    *("sha256=", "sha1=", "sha512=", "md5=", "sha256 ", "sha256:", "hmac ", "hmac-sha256 "),
    *("v0=", "v1=", "v1,", "h1=", "s=", "bearer ", "signature ", " ", '"', "'", "<", ">"),
}
_TO_STANDARD = str.maketrans("-_", "+/")


class Signature(NamedTuple):
    """A text in a header that may be a signature.

    Attributes:
        header: The name of the header, in lower case.
        before: The text before it in the header.
        text: The text.
        after: The text behind it.
        spelling: How it is written.
        raw: What it means.
        is_one_of_two: Whether the header occurs more than once.
    """

    header: str
    before: str
    text: str
    after: str
    spelling: str
    raw: bytes
    is_one_of_two: bool


class Presented:
    """All signatures of a request.

    Attributes:
        sizes: Their lengths, in bytes.
        starts: The first 128 bits of each. A look-up is by hash, so that its time shows no shorter
            beginning.
    """

    __slots__ = ("_by_start", "sizes", "starts")

    def __init__(self, request: Request, own: Scheme, known: frozenset[str]) -> None:
        names = [name.lower() for name in own.signature_headers]
        names += [
            name
            for name in request.names()
            if name not in names and (name in known or _LIKELY.search(name))
        ]
        several = (each for name in names for each in _in_header(request, name))
        found = [*islice(several, _MOST)]
        self._by_start: dict[bytes, list[Signature]] = {}
        for each in found:
            self._by_start.setdefault(each.raw[:LEAST], []).append(each)
        self.starts = self._by_start.keys()
        self.sizes = frozenset(len(each.raw) for each in found if each.spelling != "plain")

    def find(self, mac: bytes, headers: tuple[str, ...], *, is_plain: bool) -> Signature | None:
        """Return the signature that is a MAC, or at least its first 128 bits.

        The secret of a scheme that signs nothing must be there as a whole.
        """
        alike = [
            each
            for each in self._by_start[mac[:LEAST]]
            if (
                each.spelling == "plain" and mac == each.raw
                if is_plain
                else each.spelling != "plain" and mac.startswith(each.raw)
            )
        ]
        own = [each for each in alike if each.header in headers]
        return next(iter(own or alike), None)


def steps_to(found: Signature, scheme: Scheme, size: int) -> Iterator[Step]:
    """Yield how a signature differs from what the scheme demands.

    Args:
        found: The signature, which is a MAC or its beginning.
        scheme: The scheme.
        size: The length of the MAC, in bytes.
    """
    name = escaped(found.header)
    if found.header not in map(str.lower, scheme.signature_headers):
        owners = [each.name for each in by_header().get(found.header, ())][:_MOST_NAMED]
        known = f", which is that of scheme {' or '.join(map(repr, owners))}" if owners else ""
        yield Step("scheme-other", f"the signature is in the header {name}{known}")
        return
    before, after = found.before, found.after
    is_one_of_two = found.is_one_of_two
    if scheme.separator:
        before = before.rpartition(scheme.separator)[2].lstrip(" ")
        after = after.partition(scheme.separator)[0]
    elif "," in before + after:  # a server joined two headers (RFC 9110 section 5.3)
        before, after = before.rpartition(",")[2].lstrip(" "), after.partition(",")[0]
        is_one_of_two = True
    if is_one_of_two:
        yield Step("header-doubled", f"one of the values of {name} is the right signature")
    if found.spelling != "plain":
        yield from _respelled(found, scheme, size)
    if before != scheme.prefix or after:
        shown = f"{_shown(before)} before it"
        shown += f" and {_shown(after)} behind it" if after else ""
        yield Step("signature-prefix", f"{name} has {shown}, expected '{scheme.prefix}'")


def _shown(text: str) -> str:
    """Return a text of a header for the evidence. Most texts may be a secret, and are not shown."""
    if not text:
        return "nothing"
    return f"'{text}'" if text.lower() in _HARMLESS else f"other text ({len(text)} characters)"


def _respelled(found: Signature, scheme: Scheme, size: int) -> Iterator[Step]:
    name = escaped(found.header)
    if len(found.raw) < size:
        evidence = f"{name} has the first {len(found.raw)} bytes of the {size} of the signature"
        yield Step("signature-truncated", evidence)
    whole = len(found.raw) if scheme.encoding == "hex" or len(found.raw) == size else _TRIPLE
    right = _spelled(found.raw[: len(found.raw) // whole * whole], scheme.encoding)
    text = found.text.lower() if scheme.encoding == "hex" else found.text
    # A text that was cut off may end within a byte.
    is_right = text.startswith(right) if len(found.raw) < size else text == right
    if not is_right:
        evidence = f"{name} has it as {found.spelling}, not as {scheme.encoding}"
        yield Step("signature-encoding", evidence)


def _in_header(request: Request, name: str) -> Iterator[Signature]:
    values = request.texts(name)
    for value in values:
        yield from _in_value(name, value, is_one_of_two=len(values) > 1)


def _in_value(name: str, value: str, *, is_one_of_two: bool) -> Iterator[Signature]:
    shown = value.strip()
    for text in dict.fromkeys([shown, shown.rpartition(" ")[2]]):
        raw = text.encode("utf-8", "surrogatepass")
        if len(raw) >= LEAST:
            before, _, after = value.partition(text)
            yield Signature(name, before, text, after, "plain", raw, is_one_of_two)
    readings = {
        value.replace(" ", "+"): "broken ",
        unquote(value): "percent-encoded ",
        value: "",
    }
    for text, how in reversed(readings.items()):
        for match in _RUN.finditer(text):
            run = match[0]
            for spelling, decoded in _decoded(run):
                yield Signature(
                    name,
                    text[: match.start()],
                    run if not how else "",
                    text[match.end() :],
                    how + spelling,
                    decoded,
                    is_one_of_two,
                )


def _decoded(text: str) -> Iterator[tuple[str, bytes]]:
    """Yield what a text can mean, with the name of its encoding."""
    for spelling, raw in _decoded_once(text):
        if len(raw) >= LEAST:
            yield spelling, raw
        inner = raw.decode("latin-1").strip()
        if _RUN.fullmatch(inner):  # somebody encoded a hex digest as base64
            for within, twice in _decoded_once(inner):
                if len(twice) >= LEAST:
                    yield f"{spelling} of {within}", twice


def _decoded_once(text: str) -> Iterator[tuple[str, bytes]]:
    if len(text) % 2 == 0 and _HEX.fullmatch(text):
        yield "hex", bytes.fromhex(text)
        if len(text) in _HEX_LENGTHS:
            return
    elif len(text) > 2 * LEAST and _HEX.fullmatch(text):
        yield "hex", bytes.fromhex(text[:-1])  # a text that was cut off within a byte
    bare = text.rstrip("=")
    standard = bare.translate(_TO_STANDARD)
    if len(standard) % 4 == 1:  # cut off: six bits are not even one byte
        standard = standard[:-1]
    raw = b64decode(standard + "=" * (-len(standard) % 4))
    url_safe = "URL-safe " if standard != bare else ""
    padding = "" if text == bare + "=" * (-len(bare) % 4) else " without padding"
    yield f"{url_safe}base64{padding}", raw


def _spelled(raw: bytes, encoding: str) -> str:
    if encoding == "hex":
        return raw.hex()
    if encoding == "base64url":
        return urlsafe_b64encode(raw).rstrip(b"=").decode()
    return b64encode(raw).decode()
