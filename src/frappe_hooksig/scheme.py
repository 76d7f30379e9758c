"""How a sender lays out its signature, as data, and the strict reading and writing of it."""

from __future__ import annotations

import re
from binascii import b2a_base64, hexlify
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from string import Formatter
from types import NoneType
from typing import Literal, TypeAlias, get_args

from frappe_hooksig.exceptions import ConfigurationError, Reason, VerificationError
from frappe_hooksig.headers import MAX_HEADER, Header, Headers, Index, indexed, is_readable
from frappe_hooksig.secret import Digest, Hash, Key, Secret, SecretFormat, make_keys
from frappe_hooksig.timestamp import (
    NEARLY_RFC3339,
    SPELLINGS,
    TimestampFormat,
    is_tolerance,
    read_time,
)

#: How a MAC is written as text; or "plain", where there is none and the secret itself is sent.
Encoding: TypeAlias = Literal["hex", "base64", "plain"]

#: What stands between the entries of a header that holds several; nothing if it holds one.
Separator: TypeAlias = Literal["", " ", ",", ";"]

# No regular expressions here: to compile one takes as long as to make twenty schemes.
_IN_NAMES = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
# RFC 9110 section 5.6.2.
_IN_HEADERS = _IN_NAMES | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ!#$%&'*+-.^_`|~")
_LONGEST_ID = 256  # characters
_FEW_HEADERS = 4
_LONGEST_METHOD = 20
_LONGEST_PREFIX = 64
# Perhaps an id, perhaps a time, then the body: what nearly everybody signs.
_USUAL = {("body",), ("id", "body"), ("timestamp", "body"), ("id", "timestamp", "body")}
_URL_SAFE = bytes.maketrans(b"+/", b"-_")

_TEXTS = (
    "name",
    "signed",
    "prefix",
    "separator",
    "timestamp_prefix",
    "secret_prefix",
    "rewritten_characters",
    "title",
    "definition",
)
_PARTS = {"body", "timestamp", "id", "method", "url"}
_CHOICES = {
    "encoding": get_args(Encoding),
    "digest": get_args(Digest),
    "separator": get_args(Separator),
    "timestamp_format": get_args(TimestampFormat),
    "secret_format": get_args(SecretFormat),
}

# How many characters a MAC has: two for a byte, or four for each three bytes that are begun.
_LENGTHS = {
    ("hex", "sha1"): 40,
    ("hex", "sha256"): 64,
    ("hex", "sha512"): 128,
    ("base64", "sha1"): 28,
    ("base64", "sha256"): 44,
    ("base64", "sha512"): 88,
}

# What may stand side by side in the signed content with nothing between: a time has a fixed form,
# a method is upper-case letters, and a URL is one that the receiver knows. Bytes could be moved
# across any other seam without changing the MAC.
_SEAMS = {
    ("timestamp", "body"),
    ("body", "timestamp"),
    ("method", "url"),
    ("url", "body"),
    ("body", "url"),
}
# An RFC 3339 time shows where it begins and ends, as long as the id does not look like one.
_SEAMS_OF_RFC3339 = {("id", "timestamp"), ("timestamp", "id")}


#: What the headers of one request claim, well-formed but not verified: the scheme that they were
#: read with, the candidate signatures as the ASCII text that stood behind the prefix, the time in
#: Unix seconds or None, the delivery's id or None, and what is signed before and after the body.
#: A bare tuple, unpacked in this order, because an object takes a twentieth of a whole verify().
Presented: TypeAlias = tuple["Scheme", Sequence[bytes], "float | None", "str | None", bytes, bytes]


class _Layout:
    """What is worked out once of a scheme's fields, for every request to be read by.

    Attributes:
        signature: The headers with a signature.
        has_many: Whether there are several of them.
        by_name: Those by their names in lower case, if there are so many that it is quicker to
            look through the request's headers for them; else nothing.
        timestamp: The header with the time, if it has one of its own.
        id: The header with the id.
        commas: How many commas there are in a prefix.
        length: How many characters a signature has; None for a secret that is sent as it is.
        has_entries: Whether a signature header may hold several.
        is_bare: Whether nothing is signed beside the body.
        needs: Which of the method and the URL is signed.
        ends: What is signed before and after the body, as templates.
        seams: What stands before the id, between it and the time, and between that and the body,
            if nothing else is signed, and in this order: what nearly everybody does.
        not_in_ids: What an id cannot contain.
    """

    __slots__ = (
        "by_name",
        "commas",
        "ends",
        "has_entries",
        "has_many",
        "id",
        "is_bare",
        "length",
        "needs",
        "not_in_ids",
        "seams",
        "signature",
        "timestamp",
    )

    def __init__(self, scheme: Scheme) -> None:
        self.signature = tuple(map(Header, scheme.signature_headers))
        self.has_many = len(self.signature) > 1
        self.by_name: dict[str, Header] = {}
        if len(self.signature) > _FEW_HEADERS:
            self.by_name = {header.name.lower(): header for header in self.signature}
        self.timestamp = _header(scheme.timestamp_header)
        self.id = _header(scheme.id_header)
        self.commas = scheme.prefix.count(",")
        self.length = _LENGTHS.get((scheme.encoding, scheme.digest))
        self.has_entries = bool(scheme.separator)
        self.is_bare = scheme.signed in {"{body}", ""}
        self.needs = [name for name in ("method", "url") if f"{{{name}}}" in scheme.signed]
        self.ends = scheme.signed.split("{body}")
        self.seams = _seams_of(scheme.signed or "{body}")
        self.not_in_ids = tuple({*" ,", *_around_id(scheme.signed)})


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheme:
    """How one kind of sender signs its webhooks. Immutable; refused if it contradicts itself.

    Attributes:
        name: Short name in lower case, with hyphens.
        signature_header: Header that carries the signature; several names if the sender has one
            header for each of its secrets.
        signed: What the MAC covers: `{body}` and any of `{timestamp}`, `{id}`, `{method}` and
            `{url}`, each once, with fixed text between them; empty if `encoding` is "plain".
        encoding: How the MAC is written. The other alphabet does not verify. "plain" is for senders
            that sign nothing and send the secret itself: who has seen one request can make any.
        digest: The hash beneath the HMAC.
        prefix: What stands before a signature, such as `sha256=`.
        separator: What stands between the entries of a header that holds several. Entries that
            start with neither `prefix` nor `timestamp_prefix` are passed over.
        timestamp_header: Header that carries the time, if it has one of its own.
        timestamp_prefix: What marks the entry of the signature header that is the time.
        timestamp_format: How the time is written.
        tolerance: How far the time may be from now, either way, in seconds.
        id_header: Header that carries the delivery's id.
        secret_format: How the sender writes its secrets.
        secret_prefix: What its secrets start with, if they all do; others are warned of.
        rewritten_characters: Characters in a secret that the sender may store in another spelling.
        max_signatures: The most signatures in one request; one with more is malformed.
        body_id: Where in a JSON body an id stands that all attempts of one delivery share, if the
            scheme signs each attempt anew and no id: a JSON Pointer (RFC 6901) through objects.
        retry_delays: How long the sender waits between its attempts, in seconds, if that is a
            matter of seconds; the first of them.
        retry_horizon: For how long after the first attempt another may come, in seconds.
        title: The sender's name, as it writes it.
        definition: URL of the page that says all this.
        signature_headers: `signature_header` as a tuple. Not an argument.

    Raises:
        ConfigurationError: Fields contradict each other; the message names them.
    """

    name: str
    signature_header: str | tuple[str, ...]
    signed: str = "{body}"
    encoding: Encoding
    digest: Digest = "sha256"
    prefix: str = ""
    separator: Separator = ""
    timestamp_header: str | None = None
    timestamp_prefix: str = ""
    timestamp_format: TimestampFormat = "unix"
    tolerance: float = 300
    id_header: str | None = None
    secret_format: SecretFormat = "text"
    secret_prefix: str = ""
    rewritten_characters: str = ""
    max_signatures: int = 16
    body_id: str | None = None
    retry_delays: tuple[float, ...] = ()
    retry_horizon: float = 60
    title: str = ""
    definition: str = ""

    signature_headers: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _layout: _Layout = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names: tuple[str, ...] = ()
        problems = list(_wrong_types(self))
        if not problems:
            if isinstance(self.signature_header, str):
                names = (self.signature_header,)
            else:
                names = tuple(self.signature_header)
                object.__setattr__(self, "signature_header", names)  # a list has no hash
            object.__setattr__(self, "signature_headers", names)
            problems = list(_contradictions(self))
        if problems:
            msg = f"Scheme {self.name!r}: {'; '.join(problems)}"
            raise ConfigurationError(msg)
        object.__setattr__(self, "_layout", _Layout(self))

    @property
    def signs_timestamp(self) -> bool:
        """Whether the time is signed, so that an old request can be told from a new one."""
        return "{timestamp}" in self.signed

    @property
    def signs_body(self) -> bool:
        """Whether the body is signed. Else the header only shows that the sender has the secret."""
        return self.encoding != "plain"

    @property
    def capacity(self) -> int:
        """How many signatures one request can carry: more than one eases a rotation."""
        return self.max_signatures if self.separator else len(self.signature_headers)

    @property
    def has_many_headers(self) -> bool:
        """Whether it has so many that a request's are rather read as a whole."""
        return bool(self._layout.by_name)

    @property
    def header_names(self) -> list[str]:
        """Names of all headers that it reads."""
        names = [*self.signature_headers, self.timestamp_header, self.id_header]
        return [name for name in names if name is not None]

    @property
    def timestamp_place(self) -> str | None:
        """Name of the header that the time stands in."""
        return self.signature_headers[0] if self.timestamp_prefix else self.timestamp_header

    @property
    def pieces(self) -> list[tuple[str, str | None]]:
        """`signed` in pieces: fixed text and None, or nothing and the name of a part."""
        alone = [[(text, None), ("", part)] for text, part in _pieces(self.signed)]
        return [(text, part) for each in alone for text, part in each if text or part]

    def keys(self, several: Sequence[Secret]) -> list[Key]:
        """Return a key for each secret, in their order; see `make_keys()`.

        Raises:
            ConfigurationError: There is no secret, or one of them cannot be used.
        """
        return make_keys(
            several,
            self.secret_format,
            self.digest,
            rewritten_characters=self.rewritten_characters,
            prefix=self.secret_prefix,
            is_sent=not self.signs_body,
        )

    def parse(  # noqa: C901  # one pass; to cut it up takes a tenth more time
        self, headers: Headers, method: str | None = None, url: str | None = None
    ) -> Presented:
        """Read what a request claims, before its body is read. Nothing of it is verified.

        Args:
            headers: The request's headers.
            method: The HTTP method; needed if the scheme signs it.
            url: The URL as registered with the sender; needed if the scheme signs it.

        Raises:
            VerificationError: A header is missing, doubled or malformed, or the method is not
                made of upper-case letters.
            ConfigurationError: The scheme signs the method or the URL, and it was not given.
        """
        layout = self._layout
        known: Headers = headers
        if layout.by_name or type(headers) is not dict:
            known = indexed(known, whole=bool(layout.by_name))
        timestamp: str | None = None
        header = layout.signature[0]
        if layout.has_many:
            signatures: Sequence[bytes] = self._read_numbered(known)
        else:
            text = header.find(known)
            if text is None:
                raise header.missing()
            if layout.has_entries and (
                self.timestamp_prefix or self.separator in text or text.startswith(" ")
            ):
                signatures, timestamp = self._read_entries(header, text)
            else:
                signatures = (self._read_signature(header, text),)
        if layout.is_bare:
            return self, signatures, None, None, b"", b""
        if layout.timestamp is not None:
            timestamp = layout.timestamp.find(known)
            if timestamp is None:
                raise layout.timestamp.missing()
        time: float | None = None
        if timestamp is not None:
            time = read_time(timestamp, self.timestamp_format)
            if time is None:
                raise self._no_time(timestamp)
        delivery_id = None if layout.id is None else self._read_id(known, layout.id)
        before, after = self.around(timestamp, delivery_id, method, url)
        if method is not None and "method" in layout.needs and not is_method(method):
            raise VerificationError(Reason.SIGNATURE_MISMATCH, self.signature_headers[0])
        return self, signatures, time, delivery_id, before, after

    def signatures_in(self, headers: Headers) -> bool:
        """Whether a signature header of it is among some headers.

        Raises:
            VerificationError: One occurs twice.
        """
        return any(header.find(headers) is not None for header in self._layout.signature)

    def is_in(self, headers: Headers) -> bool:
        """Whether all headers that it needs are among some headers.

        Raises:
            VerificationError: One occurs twice.
        """
        others = (self._layout.timestamp, self._layout.id)
        return self.signatures_in(headers) and all(
            header is None or header.find(headers) is not None for header in others
        )

    def fits(self, headers: Headers) -> bool:
        """Whether the signature among some headers is prefixed and as long as it has to be.

        And whether the time stands beside it, if it has to.

        A secret that is sent as it is may have any length.

        Raises:
            VerificationError: It occurs twice.
        """
        text = self._layout.signature[0].find(headers) or ""
        padded = text.split(self.separator) if self.separator else [text]
        entries = [entry.lstrip(" ") for entry in padded]
        return any(
            entry.startswith(self.prefix)
            and self._layout.length in {None, len(entry) - len(self.prefix)}
            for entry in entries
        ) and any(entry.startswith(self.timestamp_prefix) for entry in entries)

    def around(
        self,
        timestamp: str | None,
        id: str | None,  # noqa: A002
        method: str | None,
        url: str | None,
    ) -> tuple[bytes, bytes]:
        """Return what is signed before and after the body.

        Raises:
            ConfigurationError: The scheme signs the method or the URL, and it was not given.
        """
        layout = self._layout
        if layout.seams is not None:
            start, between, end = layout.seams
            return f"{start}{id or ''}{between}{timestamp or ''}{end}".encode(), b""
        parts = {"timestamp": timestamp, "id": id, "method": method, "url": url}
        for name in layout.needs:
            if not isinstance(parts[name], str):
                msg = f"scheme {self.name!r} signs the request's {name}: pass {name}= as a str"
                raise ConfigurationError(msg)
        before, after = layout.ends
        # A hostile URL may hold surrogates: it must end in a mismatch, not in UnicodeEncodeError.
        return (
            before.format_map(parts).encode("utf-8", "surrogatepass") if before else b"",
            after.format_map(parts).encode("utf-8", "surrogatepass") if after else b"",
        )

    def format(
        self,
        signatures: Sequence[bytes],
        *,
        timestamp: str | None,
        id: str | None,  # noqa: A002
    ) -> dict[str, str]:
        """Return the headers that `parse()` reads."""
        entries = [self.prefix + signature.decode() for signature in signatures]
        if self.timestamp_prefix:
            entries.insert(0, f"{self.timestamp_prefix}{timestamp}")
        if self.separator:
            entries = [self.separator.join(entries)]
        headers = dict(zip(self.signature_headers, entries, strict=False))
        if self.timestamp_header and timestamp:
            headers[self.timestamp_header] = timestamp
        if self.id_header and id:
            headers[self.id_header] = id
        return headers

    def encode(self, mac: Hash) -> bytes:
        """Return a MAC as the header holds it, without prefix."""
        if self.encoding == "hex":
            return mac.hexdigest().encode()
        return b2a_base64(mac.digest(), newline=False)

    def encode_wrongly(self, mac: bytes) -> list[tuple[bytes, str]]:
        """Return how a MAC is written by mistake, and the name of each mistake."""
        base64 = b2a_base64(mac, newline=False)
        url_safe = base64.translate(_URL_SAFE)
        spellings = [
            (hexlify(mac), "hex"),
            (hexlify(mac).upper(), "hex"),
            (base64, "base64"),
            (base64.rstrip(b"="), "base64 without padding"),
            (url_safe, "URL-safe base64"),
            (url_safe.rstrip(b"="), "URL-safe base64 without padding"),
        ]
        return [(text, name) for text, name in spellings if name != self.encoding]

    def is_id(self, text: str) -> bool:
        """Whether a text can be an id: printable, and clear of what stands beside it.

        Free of the characters that the scheme joins it with, of a comma, which would be read as
        two headers that a server has joined, and of a time where it touches one.
        """
        if not (0 < len(text) <= _LONGEST_ID and text.isascii() and text.isprintable()):
            return False
        for character in self._layout.not_in_ids:  # any() would take twice as long
            if character in text:
                return False
        is_beside_time = ":" in text and self.timestamp_format == "rfc3339"
        return not (is_beside_time and re.search(NEARLY_RFC3339, text))

    def _read_numbered(self, headers: Headers) -> list[bytes]:
        """Return the signatures of several headers, of which some may be absent."""
        layout = self._layout
        present: Iterable[Header] = layout.signature
        if layout.by_name and isinstance(headers, Index):
            present = [layout.by_name[name] for name in headers.names if name in layout.by_name]
        signatures: list[bytes] = []
        for header in present:
            text = header.find(headers)
            if text is not None:
                signatures.append(self._read_signature(header, text))
        if not signatures:
            raise self._layout.signature[0].missing()
        return signatures

    def _read_signature(self, header: Header, entry: str) -> bytes:
        """Return the signature behind its prefix."""
        # is_readable(), here and below, without the time that a call takes.
        if not (entry.isascii() and entry.isprintable() and len(entry) <= MAX_HEADER):
            raise header.unreadable(entry)
        # Neither alphabet has a comma: a server has joined two headers (RFC 9110 section 5.3).
        if "," in entry and entry.count(",") > self._layout.commas:
            raise header.doubled()
        signature = entry.removeprefix(self.prefix)
        if not signature or (signature == entry and self.prefix):
            raise self._none(header)
        return signature.encode()

    def _read_entries(self, header: Header, text: str) -> tuple[list[bytes], str | None]:
        """Return the signatures of several entries, and the timestamp if it stands beside them."""
        if not (text.isascii() and text.isprintable() and len(text) <= MAX_HEADER):
            raise header.unreadable(text)
        prefix, timestamp_prefix, commas = self.prefix, self.timestamp_prefix, self._layout.commas
        signatures: list[bytes] = []
        timestamps: list[str] = []
        for padded in text.split(self.separator):
            entry = padded.lstrip(" ")  # as in `t=1, v1=abc`
            # Joined headers, as above; where commas stand between the entries, it cannot be seen.
            if "," in entry and entry.count(",") > commas:
                raise header.doubled()
            if entry.startswith(prefix) and entry != prefix:
                signatures.append(entry.removeprefix(prefix).encode())
            elif timestamp_prefix and entry.startswith(timestamp_prefix):
                timestamps.append(entry.removeprefix(timestamp_prefix))
        if not signatures:
            raise self._none(header)
        if len(signatures) > self.max_signatures:
            detail = f"it holds more than {self.max_signatures} signatures"
            raise header.malformed(detail)
        if not timestamp_prefix:
            return signatures, None
        if len(timestamps) != 1:
            detail = f"it has not exactly one time that starts with {timestamp_prefix}"
            raise header.malformed(detail)
        return signatures, timestamps[0]

    def _none(self, header: Header) -> VerificationError:
        start = f"no signature that starts with {self.prefix}" if self.prefix else "it is empty"
        return header.malformed(start)

    def _no_time(self, text: str) -> VerificationError:
        """Return the error that says why a text is no time."""
        header = self._layout.timestamp
        if header is not None and not is_readable(text):
            return header.unreadable(text)
        if header is not None and "," in text:
            return header.doubled()
        detail = SPELLINGS[self.timestamp_format]
        return VerificationError(Reason.MALFORMED_TIMESTAMP, self.timestamp_place, detail)

    def _read_id(self, headers: Headers, header: Header) -> str:
        text = header.find(headers)
        if text is None:
            raise header.missing()
        if self.is_id(text):
            return text
        if not is_readable(text):
            raise header.unreadable(text)
        if "," in text:
            raise header.doubled()
        detail = "an id is printable ASCII without what the scheme joins parts with"
        raise header.malformed(detail)


def require_scheme(scheme: object) -> None:
    """Refuse what is no scheme, such as the name of a provider.

    Raises:
        ConfigurationError: It is something else.
    """
    if not isinstance(scheme, Scheme):
        msg = f"scheme= is {type(scheme).__name__}, no Scheme: such as providers.GITHUB"
        raise ConfigurationError(msg)


def _header(name: str | None) -> Header | None:
    return None if name is None else Header(name)


# Most senders sign one of a few things, and what is worked out of that is worked out once: there
# are fifty schemes to be made and checked before the package is there.
@lru_cache(maxsize=64)
def _seams_of(signed: str) -> tuple[str, str, str] | None:
    """Return what stands before the id, behind it and behind the time, if they are in order."""
    pieces = _pieces(signed)
    if tuple(part for _, part in pieces) not in _USUAL:
        return None
    behind = {left: text for (_, left), (text, _) in pairwise(pieces)}
    return pieces[0][0], behind.get("id", ""), behind.get("timestamp", "")


def _around_id(signed: str) -> str:
    """Return the characters that stand right before and right behind the id."""
    pieces = [*_pieces(signed), ("", None)]
    around = [
        before[-1:] + after[:1] for (before, part), (after, _) in pairwise(pieces) if part == "id"
    ]
    return "".join(around)


def _pieces(signed: str) -> list[tuple[str, str | None]]:
    """Return the parts of what is signed, each with the text before it; None behind the last.

    Raises:
        ValueError: It has unbalanced braces.
    """
    return [(text, part) for text, part, _, _ in Formatter().parse(signed)]


def is_method(text: str) -> bool:
    """Whether a text is an HTTP method as it can be signed: so that it shows where it ends."""
    is_upper = text.isascii() and text.isalpha() and text.isupper()
    return is_upper and len(text) <= _LONGEST_METHOD


def _contradictions(scheme: Scheme) -> Iterator[str]:
    """Yield what is wrong with a scheme, naming the fields."""
    yield from _wrong_values(scheme)
    yield from _wrong_retries(scheme)
    if scheme.signs_body:
        yield from _problems_of(scheme.signed, scheme.timestamp_format == "rfc3339")
    else:
        yield from _wrong_without_signature(scheme)
    yield from _wrong_places(scheme)
    yield from _wrong_entries(scheme)


def _wrong_without_signature(scheme: Scheme) -> Iterator[str]:
    if scheme.signed or scheme.separator:
        yield 'with encoding "plain" nothing is signed: signed and separator must be empty'
    if scheme.secret_format != "text":
        yield 'with encoding "plain" the secret is sent as it is: secret_format must be "text"'


def _wrong_places(scheme: Scheme) -> Iterator[str]:
    if ("{timestamp}" in scheme.signed) != (scheme.timestamp_place is not None):
        yield "{timestamp} in signed needs timestamp_header or timestamp_prefix, and they need it"
    if scheme.timestamp_prefix and scheme.timestamp_header:
        yield "the time is either at timestamp_header or at timestamp_prefix"
    if ("{id}" in scheme.signed) != (scheme.id_header is not None):
        yield "{id} in signed needs id_header, and it needs {id}: an unsigned id proves nothing"


def _wrong_entries(scheme: Scheme) -> Iterator[str]:
    if scheme.separator and not scheme.prefix:
        yield "separator needs a prefix, by which the signatures among the entries are known"
    if scheme.separator and isinstance(scheme.signature_header, tuple):
        yield "separator is for one signature_header: of several, each holds one signature"
    if scheme.separator and scheme.separator in scheme.prefix + scheme.timestamp_prefix:
        yield "prefix and timestamp_prefix cannot contain the separator"
    if scheme.timestamp_prefix:
        if not scheme.separator:
            yield "timestamp_prefix needs a separator"
        prefixes = (scheme.prefix, scheme.timestamp_prefix)
        if prefixes[0].startswith(prefixes[1]) or prefixes[1].startswith(prefixes[0]):
            yield "prefix and timestamp_prefix cannot be told apart"


def _wrong_types(scheme: Scheme) -> Iterator[str]:
    for name in _TEXTS:
        if not isinstance(getattr(scheme, name), str):
            yield f"{name} must be a str"
    for name in ("timestamp_header", "id_header"):
        if not isinstance(getattr(scheme, name), (str, NoneType)):
            yield f"{name} must be a str or None"
    names = scheme.signature_header
    several = names if isinstance(names, (tuple, list)) else (names,)
    if not several or not all(isinstance(name, str) for name in several):
        yield "signature_header must be a str or a tuple of them"
    if not is_tolerance(scheme.tolerance):
        yield "tolerance must be a positive number of seconds"
    if type(scheme.max_signatures) is not int:
        yield "max_signatures must be an int"


def _wrong_retries(scheme: Scheme) -> Iterator[str]:
    if not is_tolerance(scheme.retry_horizon):
        yield "retry_horizon must be a positive number of seconds"
    delays = scheme.retry_delays
    if not isinstance(delays, tuple) or not all(map(is_tolerance, delays)):
        yield "retry_delays must be a tuple of positive numbers of seconds"
    pointer = scheme.body_id
    if pointer is not None and not (isinstance(pointer, str) and pointer.startswith("/")):
        yield "body_id must be a JSON Pointer, such as /id"


def _wrong_values(scheme: Scheme) -> Iterator[str]:
    for name, allowed in _CHOICES.items():
        if getattr(scheme, name) not in allowed:
            yield f"{name} must be one of {allowed}"
    words = scheme.name.split("-")
    if not all(words) or not _IN_NAMES.issuperset("".join(words)):
        yield "name must be lower case letters and digits, joined with hyphens"
    headers = scheme.header_names
    if not all(headers) or not all(map(_IN_HEADERS.issuperset, headers)):
        yield "signature_header, timestamp_header and id_header must be names of headers"
    if len(set(map(str.lower, headers))) < len(headers):
        yield "signature_header, timestamp_header and id_header must be different headers"
    for name in ("prefix", "timestamp_prefix"):
        text = getattr(scheme, name)
        if not (is_readable(text) and " " not in text and len(text) <= _LONGEST_PREFIX):
            yield f"{name} must be printable ASCII without spaces, at most 64 characters"
    if "," in scheme.timestamp_prefix:
        yield "timestamp_prefix cannot contain a comma"
    if scheme.max_signatures < len(scheme.signature_headers):
        yield "max_signatures is less than the number of signature headers"


@lru_cache(maxsize=64)
def _problems_of(signed: str, is_rfc3339: bool) -> tuple[str, ...]:  # noqa: FBT001
    return tuple(_wrong_template(signed, is_rfc3339=is_rfc3339))


def _wrong_template(signed: str, *, is_rfc3339: bool) -> Iterator[str]:
    try:
        pieces = _pieces(signed)
    except ValueError:
        yield "signed has unbalanced braces"
        return
    if any("\ud800" <= character <= "\udfff" for character in signed):
        yield "signed has a lone surrogate, which has no UTF-8 form"
    parts = [part for _, part in pieces if part is not None]
    plain = "".join(text if part is None else f"{text}{{{part}}}" for text, part in pieces)
    if not set(parts) <= _PARTS or plain != signed:
        yield f"signed knows only {', '.join(sorted(_PARTS))} in braces, and no other braces"
    if len(set(parts)) < len(parts) or "body" not in parts:
        yield "signed must contain {body}, and nothing twice"
    before, method, behind = signed.partition("{method}")
    if method and any("A" <= each <= "Z" for each in before[-1:] + behind[:1]):
        yield "in signed, {method} cannot stand beside an upper-case letter"
    seams = _SEAMS | _SEAMS_OF_RFC3339 if is_rfc3339 else _SEAMS
    for (_, left), (between, right) in pairwise(pieces):
        if left and right and not between and (left, right) not in seams:
            yield f"in signed, {{{left}}} and {{{right}}} need fixed text between them"
