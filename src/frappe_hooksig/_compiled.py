"""Compile a scheme into two closures that accept usual requests quickly.

They refuse nothing, and raise nothing for what a stranger sends. What they do not accept is judged
by `Wire.parse_any()` and `Matcher.judge()`, which also find the reason. Names and limits are local
to the closures, because looking up attributes takes a third of the time that is left beside HMAC.
"""

from __future__ import annotations

from binascii import b2a_base64, hexlify
from collections.abc import Callable, Sequence
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, TypeAlias

from frappe_hooksig._compression import CONTENT_ENCODING, GzipHeaders, is_gzip
from frappe_hooksig._headers import MAX_HEADER, Environ, Header, reader_of
from frappe_hooksig._template import is_method
from frappe_hooksig._timestamp import TIME_READERS

if TYPE_CHECKING:
    from frappe_hooksig._envelope import Envelope
    from frappe_hooksig._keys import Hash, Key
    from frappe_hooksig.delivery import Delivery
    from frappe_hooksig.scheme import Encoding, Scheme

_Parsed: TypeAlias = "tuple[Sequence[bytes], Envelope]"  # ParsedHeaders

# Reads the signatures, and a timestamp beside them, in the values of a scheme's headers. Returns
# None for what it does not accept.
_SignaturesIn: TypeAlias = "Callable[[Sequence[Any]], tuple[Sequence[bytes], str | None] | None]"

#: Parses headers like `Wire.parse()`. Returns None for what it does not accept.
Parse: TypeAlias = "Callable[[Any, str | None, str | None], _Parsed | None]"
#: Matches a body with its parsed headers. Returns the MAC of each key if it does not accept.
Match: TypeAlias = "Callable[[bytes, _Parsed], Delivery | list[Hash]]"

# Functions that encode a MAC. A function of our own would have the MAC in a variable.
_ENCODERS: dict[Encoding, Callable[[bytes], bytes]] = {
    "hex": hexlify,
    "base64": b2a_base64,
    "base64url": b2a_base64,
    "plain": bytes,
}
# Exchanges the alphabets of base64 and base64url, so that no text of one is accepted for the other.
_OTHER_ALPHABET = bytes.maketrans(b"+/-_", b"-_+/")
# These tables turn usual characters into letters and digits, which isalnum() then finds several
# times faster than isprintable(): those of hex and base64, and those of headers with entries.
_AS_ALNUM = bytes.maketrans(b"+/=-_", b"00000")
_ENTRIES_AS_ALNUM = bytes.maketrans(b"+/=-_,;& ", b"000000000")


def compiled_parse(
    scheme: Scheme,
    length: int | None,
    *,
    is_loose: bool,
    is_id: Callable[[str], bool],
    around: Callable[[str | None, str | None, str | None, str | None], tuple[bytes, bytes]],
) -> Parse:
    """Return a function that parses the headers of a scheme.

    Args:
        scheme: The scheme.
        length: The length of an encoded MAC, in characters; None for a secret that is sent itself.
        is_loose: Whether to leave the characters of a single signature to the comparison, which
            finds wrong ones too, but not before the body is read.
        is_id: Whether a text can be an id.
        around: Returns the signed bytes before and after the body.
    """
    several = len(scheme.signature_headers)
    wanted = [*map(Header, scheme.header_names)]
    if length is not None and scheme.signed == "{body}" and several == 1 and not scheme.separator:
        return _parse_of_one(wanted[0], scheme, length, is_loose=is_loose)
    read = reader_of(wanted, one_by_one=several == 1)
    signatures_in = _signatures_in(scheme, length, is_loose=is_loose)
    has_time_header, has_id = scheme.timestamp_header is not None, scheme.id_header is not None
    signs_time, read_time = scheme.signs_timestamp, TIME_READERS[scheme.timestamp_format]
    signs_method = "{method}" in scheme.signed

    def parse(headers: Any, method: str | None, url: str | None) -> _Parsed | None:
        found = read(headers)
        signed = None if found is None else signatures_in(found)
        if found is None or signed is None:
            return None
        signatures, timestamp = signed
        if has_time_header:
            timestamp = found[several]
        time: float | None = None
        if signs_time:
            time = read_time(timestamp) if type(timestamp) is str else None
            if time is None:
                return None
        delivery_id = found[-1] if has_id else None
        if has_id and not (type(delivery_id) is str and is_id(delivery_id)):
            return None
        if signs_method and not (type(method) is str and is_method(method)):
            return None
        before, after = around(timestamp, delivery_id, method, url)
        return signatures, (scheme, time, delivery_id, before, after)

    return parse


def parse_of_decoded(parse: Parse, *, is_loose: bool) -> Parse:
    """Return `parse()` for a scheme that signs decoded bodies.

    Args:
        parse: Parses the other headers, from `compiled_parse()`.
        is_loose: Whether to leave compressed bodies to `Matcher.verify()`.
    """
    # In one pass: looked up one by one, an unusual spelling in a dict would count as absent.
    read = reader_of([Header(CONTENT_ENCODING)], one_by_one=False)

    def parse_all(headers: Any, method: str | None, url: str | None) -> _Parsed | None:
        found = read(headers)
        parsed = None if found is None else parse(headers, method, url)
        if found is None or parsed is None or found[0] is None:
            return parsed
        is_compressed = type(found[0]) is str and is_gzip(found[0])
        return GzipHeaders(parsed) if is_compressed and not is_loose else None

    return parse_all


def _signatures_in(scheme: Scheme, length: int | None, *, is_loose: bool) -> _SignaturesIn:
    """Return the function that reads the signatures of a scheme."""
    if scheme.timestamp_is_first and length is not None:
        return _nameless_in(scheme, length)
    if scheme.separator and length is not None:
        one_in = _one_in(scheme.prefix, length, is_loose=is_loose)
        return _entries_in(scheme, length, one_in)
    several = len(scheme.signature_headers)
    if several == 1:
        return _one_in(scheme.prefix, length, is_loose=is_loose)
    return _numbered_in(several, _one_in(scheme.prefix, length, is_loose=False))


def _one_in(prefix: str, length: int | None, *, is_loose: bool) -> _SignaturesIn:
    """Return a function that reads the signature in the first header."""
    start = len(prefix)
    shortest, longest = start + (length or 1), start + length if length else MAX_HEADER

    def signatures_in(found: Sequence[Any]) -> tuple[Sequence[bytes], None] | None:
        text = found[0]
        if type(text) is not str or not shortest <= len(text) <= longest or not text.isascii():
            return None
        if prefix:
            if not text.startswith(prefix):
                return None
            text = text[start:]
        signature = text.encode()
        if is_loose:
            return (signature,), None
        if length is None:
            is_clean = text.isprintable() and "," not in text
        else:
            is_clean = signature.translate(_AS_ALNUM).isalnum()
        return ((signature,), None) if is_clean else None

    return signatures_in


def _numbered_in(several: int, one_in: _SignaturesIn) -> _SignaturesIn:
    """Return a function that reads the signatures in several headers, some of them absent."""

    def signatures_in(found: Sequence[Any]) -> tuple[Sequence[bytes], None] | None:
        signatures: list[bytes] = []
        for text in found[:several]:
            if text is not None:
                one = one_in((text,))
                if one is None:
                    return None
                signatures += one[0]
        return (signatures, None) if signatures else None

    return signatures_in


def _entries_in(  # noqa: C901  # one pass over the entries
    scheme: Scheme, length: int, one_in: _SignaturesIn
) -> _SignaturesIn:
    """Return a function that reads the signatures and the timestamp in a header of entries.

    Args:
        scheme: The scheme.
        length: The length of an encoded MAC, in characters.
        one_in: Reads a header with a single entry, the signature.
    """
    separator, prefix = scheme.separator.encode(), scheme.prefix.encode()
    between = scheme.separator
    timestamp_prefix = scheme.timestamp_prefix.encode()
    start, commas, most = len(prefix), prefix.count(b","), scheme.max_signatures
    size = start + length
    # Beside its signatures, a usual header has a timestamp and an entry of another version.
    most_entries = most + 2

    def signatures_in(found: Sequence[Any]) -> tuple[Sequence[bytes], str | None] | None:
        text = found[0]
        if type(text) is not str or len(text) > MAX_HEADER or not text.isascii():
            return None
        if not timestamp_prefix and between not in text:
            return one_in(found)
        raw = text.encode()
        entries = raw.split(separator, most_entries)
        if len(entries) > most_entries or not raw.translate(_ENTRIES_AS_ALNUM).isalnum():
            return None
        signatures: list[bytes] = []
        timestamps: list[bytes] = []
        if b" " in raw:
            entries = [entry.lstrip(b" ") for entry in entries]
        for entry in entries:
            if entry.startswith(prefix):
                if len(entry) != size:
                    return None
                signatures.append(entry[start:])
            elif timestamp_prefix and entry.startswith(timestamp_prefix):
                timestamps.append(entry.removeprefix(timestamp_prefix))
        if (
            not 0 < len(signatures) <= most
            or len(timestamps) != bool(timestamp_prefix)
            # A comma that is no separator shows that a server joined two headers.
            or (separator != b"," and raw.count(b",") != commas * len(signatures))
        ):
            return None
        return signatures, timestamps[0].decode() if timestamps else None

    return signatures_in


def _nameless_in(scheme: Scheme, length: int) -> _SignaturesIn:
    """Return a function that reads a header of a timestamp, and signatures without prefixes.

    Args:
        scheme: The scheme.
        length: The length of an encoded MAC, in characters.
    """
    separator, most, lengths = scheme.separator.encode(), scheme.max_signatures, {length}

    def signatures_in(found: Sequence[Any]) -> tuple[Sequence[bytes], str] | None:
        text = found[0]
        if type(text) is not str or len(text) > MAX_HEADER or not text.isascii():
            return None
        raw = text.encode()
        entries = raw.split(separator, most + 1)
        timestamp, *signatures = [entry.lstrip(b" ") for entry in entries]
        if (
            {*map(len, signatures)} != lengths
            or len(signatures) > most
            or not raw.translate(_ENTRIES_AS_ALNUM).isalnum()
            # A comma that is no separator shows that a server joined two headers.
            or (separator != b"," and b"," in raw)
        ):
            return None
        return signatures, timestamp.decode()

    return signatures_in


def _parse_of_one(header: Header, scheme: Scheme, length: int, *, is_loose: bool) -> Parse:
    """Return `parse()` for a single MAC of the body, which is what most senders send."""
    name, others, key, prefix = header.name, header.others, header.key, scheme.prefix
    size = len(prefix) + length
    envelope: Envelope = (scheme, None, None, b"", b"")
    read = reader_of([header], one_by_one=True)

    def parse(headers: Any, _method: str | None, _url: str | None) -> _Parsed | None:
        kind = type(headers)  # pyright: ignore[reportUnknownVariableType]
        if kind is dict:
            for spelling in others:
                if spelling in headers:
                    return None
            text = headers.get(name)
        elif kind is Environ:
            text = headers.environ.get(key)
        else:
            (text,) = read(headers) or (None,)
        if type(text) is not str or len(text) != size or not text.isascii():
            return None
        if prefix:
            text = text.removeprefix(prefix)
            if len(text) != length:
                return None
        signature = text.encode()
        if is_loose or signature.translate(_AS_ALNUM).isalnum():
            return (signature,), envelope
        return None

    return parse


def compiled_match(
    key: Key,
    encoding: Encoding,
    kind: type[Delivery],
    *,
    tolerance: float | None,
    clock: Callable[[], float],
) -> Match:
    """Return a function that matches bodies with a single key that is always valid.

    Args:
        key: The key.
        encoding: How the MAC is written.
        kind: `Delivery`, which this module cannot import: a sender does not need it.
        tolerance: How far a timestamp may be from now, in seconds; None if there is none to check.
        clock: Returns the current time, in Unix seconds.
    """
    start, end, secret_id, new = key.start, key.end, key.secret_id, object.__new__
    is_hex, is_url_safe, encode = encoding == "hex", encoding == "base64url", _ENCODERS[encoding]
    # What the encoder writes behind the text that the header has.
    padding = b"=" * (-len(start().digest()) % 3) if is_url_safe else b""
    ending = padding + b"\n" if encode is b2a_base64 else b""

    def match(body: bytes, parsed: _Parsed) -> Delivery | list[Hash]:
        signatures, envelope = parsed
        _, timestamp, _, before, after = envelope
        inner = mac = start()
        if before:
            inner.update(before)
        inner.update(body)
        if after:
            inner.update(after)
        if end is not None:
            mac = end()
            mac.update(inner.digest())
        is_signed = False
        for signature in signatures:
            # The expected MAC is in no variable: a signal handler may raise an error in here, and
            # error reporters show the local variables of every frame.
            given = signature.lower() if is_hex else signature + ending
            if is_url_safe:
                given = given.translate(_OTHER_ALPHABET)
            if compare_digest(encode(mac.digest()), given):
                is_signed = True
        if is_signed and (
            tolerance is None
            or (timestamp is not None and -tolerance <= clock() - timestamp <= tolerance)
        ):
            delivery = new(kind)  # kind(body, secret_id, envelope) would take twice as long
            delivery._body, delivery._secret_id, delivery._envelope = body, secret_id, envelope  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            return delivery
        return [mac]

    return match
