"""`Scheme`: how a sender signs its webhooks, as data that is checked when it is created."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from types import NoneType
from typing import Literal, TypeAlias, get_args

from frappe_hooksig._headers import is_readable
from frappe_hooksig._secret_checks import SecretFormat
from frappe_hooksig._template import problems_of
from frappe_hooksig._timestamp import TimestampFormat, is_tolerance
from frappe_hooksig.exceptions import ConfigurationError

__all__ = ["Algorithm", "Digest", "Encoding", "Scheme", "Separator", "TimestampFormat"]

#: How a MAC is written as text. "base64url" is the URL-safe base64 of RFC 4648 section 5, without
#: padding. "plain" means that the secret itself is sent instead of a MAC.
Encoding: TypeAlias = Literal["hex", "base64", "base64url", "plain"]

#: How the MAC is computed. "hash" is a bare hash of the secret, followed by the signed content.
Algorithm: TypeAlias = Literal["hmac", "hash"]

#: The hash function of the MAC.
Digest: TypeAlias = Literal["sha1", "sha256", "sha512"]

#: Separates the entries of a header that contains several; empty if it contains one.
Separator: TypeAlias = Literal["", " ", ",", ";", "&"]

# No regular expressions here: compiling one takes as long as creating twenty schemes.
_IN_NAMES = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
# The characters of a header's name: RFC 9110 section 5.6.2.
_IN_HEADERS = _IN_NAMES | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ!#$%&'*+-.^_`|~")
_LONGEST_PREFIX = 64  # characters

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
_TYPES: tuple[tuple[tuple[str, ...], type | tuple[type, ...], str], ...] = (
    (_TEXTS, str, "a str"),
    (("timestamp_header", "id_header", "event_header"), (str, NoneType), "a str or None"),
    (
        ("timestamp_is_first", "signs_decoded_body", "retries_differ", "empty_responses"),
        bool,
        "a bool",
    ),
)
_CHOICES = {
    "encoding": get_args(Encoding),
    "algorithm": get_args(Algorithm),
    "digest": get_args(Digest),
    "separator": get_args(Separator),
    "timestamp_format": get_args(TimestampFormat),
}


# repr, == and hash are written by hand below. Generating them would take as long as importing a
# quarter of this package.
@dataclass(frozen=True, kw_only=True, slots=True, repr=False, eq=False)
class Scheme:
    """How a sender signs its webhooks. Immutable, and checked when it is created.

    Attributes:
        name: Short name in lower case, with hyphens.
        signature_header: Header that carries the signature; several names if the sender has one
            header for each of its secrets.
        signed: Template of the signed content: `{body}` and any of `{timestamp}`, `{id}`,
            `{method}` and `{url}`, each once, with fixed text between them. Empty if `encoding` is
            "plain".
        encoding: How the MAC is written. A signature in another encoding is refused. "base64url"
            is URL-safe base64 without padding. "plain" is for senders that sign nothing and send
            the secret itself. Anyone who sees one such request can forge others.
        algorithm: How the MAC is computed. "hash" is for senders that hash their secret and the
            signed content, without HMAC. Then only UTF-8 without NUL bytes verifies: whoever sees a
            bare hash can extend what was signed, but never to such text.
        digest: The hash function of the MAC.
        prefix: Text before a signature, such as `sha256=`, or "HMAC " with its space.
        separator: Text between the entries of a header that contains several. Entries that start
            with neither `prefix` nor `timestamp_prefix` are ignored.
        timestamp_header: Header that carries the timestamp, if it is not the signature header.
        timestamp_prefix: Prefix of the timestamp's entry in the signature header, such as `t=`.
        timestamp_is_first: Whether the entries of the signature header have no prefixes. The first
            one is the timestamp, all others are signatures.
        timestamp_format: How the timestamp is written.
        tolerance: How far the timestamp may be from now, in the past or future, in seconds.
        id_header: Header that carries the delivery's id.
        secret_format: How the sender writes its secrets. Several formats if it does not tell them
            apart: a secret then stands for one key in each format that it can be read in, and the
            first of them signs.
        secret_prefix: Prefix that all secrets of the sender have. A secret without it causes a
            `SecretWarning`.
        rewritten_characters: Characters in a secret that the sender may store in another spelling.
            They cause a `SecretWarning`.
        signs_decoded_body: Whether the sender signs its body before it compresses it. A body whose
            Content-Encoding is gzip is then decompressed before it is verified, and
            `Delivery.body` is the decompressed body.
        max_signatures: Largest number of signatures in a request. A request with more is malformed.
        event_header: Header that names the event, if nothing else tells two events with the same
            body apart. It is not signed. With a store, a verifier then needs `unsigned_events`.
        body_id: JSON Pointer (RFC 6901), through objects, to an id in the body that all attempts of
            a delivery share. Set it if the scheme signs each attempt anew, but signs no id.
        retries_differ: Whether the body differs between the attempts of a delivery, such as by a
            counter or a mark.
        retry_delays: The pauses between the sender's first attempts, in seconds. Empty if it does
            not retry within seconds.
        retry_horizon: How long after its first attempt the sender may retry, in seconds.
        response_timeout: How long the sender waits for a response, in seconds. None if that is not
            documented.
        empty_responses: Whether the sender accepts only responses without a body.
        title: The sender's name, as the sender spells it.
        definition: URL of the page that documents the scheme.
        signature_headers: `signature_header` as a tuple. Not an argument.

    Raises:
        ConfigurationError: Fields contradict each other; the message names them.
    """

    name: str
    signature_header: str | tuple[str, ...]
    signed: str = "{body}"
    encoding: Encoding
    algorithm: Algorithm = "hmac"
    digest: Digest = "sha256"
    prefix: str = ""
    separator: Separator = ""
    timestamp_header: str | None = None
    timestamp_prefix: str = ""
    timestamp_is_first: bool = False
    timestamp_format: TimestampFormat = "unix"
    tolerance: float = 300
    id_header: str | None = None
    secret_format: SecretFormat | tuple[SecretFormat, ...] = "text"
    secret_prefix: str = ""
    rewritten_characters: str = ""
    signs_decoded_body: bool = False
    max_signatures: int = 16
    event_header: str | None = None
    body_id: str | None = None
    retries_differ: bool = False
    retry_delays: tuple[float, ...] = ()
    retry_horizon: float = 60
    response_timeout: float | None = None
    empty_responses: bool = False
    title: str = ""
    definition: str = ""

    signature_headers: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names: tuple[str, ...] = ()
        problems = list(_wrong_types(self))
        if not problems:
            if isinstance(self.signature_header, str):
                names = (self.signature_header,)
            else:
                names = tuple(self.signature_header)
                object.__setattr__(self, "signature_header", names)  # a list is not hashable
            object.__setattr__(self, "signature_headers", names)
            problems = list(_contradictions(self))
        if problems:
            msg = f"Scheme {self.name!r}: {'; '.join(problems)}"
            raise ConfigurationError(msg)

    def __repr__(self) -> str:
        shown = [
            f"{each.name}={getattr(self, each.name)!r}"
            for each in fields(self)
            if each.init and getattr(self, each.name) != each.default
        ]
        return f"Scheme({', '.join(shown)})"

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _FIELDS)

    def __hash__(self) -> int:
        return hash((self.name, self.signature_header, self.signed))

    @property
    def signs_timestamp(self) -> bool:
        """Whether a timestamp is signed, so that old requests can be refused."""
        return "{timestamp}" in self.signed

    @property
    def signs_url(self) -> bool:
        """Whether the URL is signed, so that a receiver must know the registered URL."""
        return "{url}" in self.signed

    @property
    def signs_body(self) -> bool:
        """Whether the body is signed. If not, a request only proves knowledge of the secret."""
        return self.encoding != "plain"

    @property
    def secret_formats(self) -> tuple[SecretFormat, ...]:
        """`secret_format` as a tuple."""
        formats = self.secret_format
        return formats if isinstance(formats, tuple) else (formats,)

    @property
    def dedup_by(self) -> Literal["id", "body-id", "content"] | None:
        """What identifies a delivery, in all of its attempts.

        "id" is the signed id, "body-id" the id at `body_id`, and "content" all that is signed. None
        means that no retry can be recognised, because each attempt is signed with a new timestamp,
        or has another body (`retries_differ`). A store then recognises only copies of an attempt.
        """
        if self.id_header is not None:
            return "id"
        if self.body_id is not None:
            return "body-id"
        return None if self.signs_timestamp or self.retries_differ else "content"

    @property
    def capacity(self) -> int:
        """How many signatures one request can carry. More than one simplifies a rotation."""
        return self.max_signatures if self.separator else len(self.signature_headers)

    @property
    def header_names(self) -> list[str]:
        """Names of the headers that carry the signatures, the timestamp and the id."""
        names = [*self.signature_headers, self.timestamp_header, self.id_header]
        return [name for name in names if name is not None]


_FIELDS = tuple(each.name for each in fields(Scheme) if each.init)


def _contradictions(scheme: Scheme) -> Iterator[str]:
    """Yield a message for each mistake in a scheme. Each message names the fields."""
    yield from _wrong_values(scheme)
    yield from _wrong_formats(scheme)
    yield from _wrong_retries(scheme)
    if scheme.signs_body:
        yield from problems_of(scheme.signed, scheme.timestamp_format == "rfc3339")
    else:
        yield from _wrong_without_signature(scheme)
    yield from _wrong_places(scheme)
    yield from _wrong_entries(scheme)


def _wrong_formats(scheme: Scheme) -> Iterator[str]:
    formats, known = scheme.secret_formats, get_args(SecretFormat)
    if not formats or any(each not in known for each in formats):
        yield f"secret_format must be one of {known}, or a tuple of them"
    elif len(set(formats)) < len(formats):
        yield "secret_format contains a format twice"


def _wrong_without_signature(scheme: Scheme) -> Iterator[str]:
    if scheme.signed or scheme.separator:
        yield 'with encoding "plain" nothing is signed: signed and separator must be empty'
    if scheme.algorithm != "hmac":
        yield 'with encoding "plain" there is no MAC: algorithm has no use'
    if scheme.signs_decoded_body:
        yield 'with encoding "plain" no body is signed: signs_decoded_body has no use'
    if scheme.secret_formats != ("text",):
        yield 'with encoding "plain" the secret is sent as it is: secret_format must be "text"'


def _wrong_places(scheme: Scheme) -> Iterator[str]:
    places = (scheme.timestamp_header is not None, scheme.timestamp_prefix != "")
    number = sum((*places, scheme.timestamp_is_first))
    if scheme.signs_timestamp != (number > 0):
        yield (
            "{timestamp} in signed needs timestamp_header or timestamp_prefix or "
            "timestamp_is_first, and each of these needs {timestamp} in signed"
        )
    if number > 1:
        yield "only one of timestamp_header, timestamp_prefix and timestamp_is_first can be set"
    if scheme.event_header is not None and (scheme.id_header or scheme.body_id) is not None:
        yield "event_header has no use with id_header or body_id: the id tells events apart"
    if ("{id}" in scheme.signed) != (scheme.id_header is not None):
        yield (
            "{id} in signed needs id_header, and id_header needs {id} in signed: "
            "an unsigned id proves nothing"
        )


def _wrong_entries(scheme: Scheme) -> Iterator[str]:
    if scheme.separator and not scheme.prefix and not scheme.timestamp_is_first:
        yield "separator needs a prefix, which marks the entries that are signatures"
    if scheme.timestamp_is_first and not (scheme.separator and not scheme.prefix):
        yield "timestamp_is_first needs a separator, and entries without a prefix"
    if scheme.separator and isinstance(scheme.signature_header, tuple):
        yield "separator needs a single signature_header: each of several has one signature"
    if scheme.separator and scheme.separator in scheme.prefix + scheme.timestamp_prefix:
        yield "prefix and timestamp_prefix cannot contain the separator"
    if scheme.timestamp_prefix:
        if not scheme.separator:
            yield "timestamp_prefix needs a separator"
        prefixes = (scheme.prefix, scheme.timestamp_prefix)
        if prefixes[0].startswith(prefixes[1]) or prefixes[1].startswith(prefixes[0]):
            yield "prefix and timestamp_prefix cannot be told apart"


def _wrong_types(scheme: Scheme) -> Iterator[str]:
    for names, kinds, words in _TYPES:
        for name in names:
            if not isinstance(getattr(scheme, name), kinds):
                yield f"{name} must be {words}"
    headers = scheme.signature_header
    several = headers if isinstance(headers, (tuple, list)) else (headers,)
    if not several or not all(isinstance(name, str) for name in several):
        yield "signature_header must be a str or a tuple of them"
    if not is_tolerance(scheme.tolerance):
        yield "tolerance must be a positive number of seconds"
    if type(scheme.max_signatures) is not int:
        yield "max_signatures must be an int"


def _wrong_retries(scheme: Scheme) -> Iterator[str]:
    if not is_tolerance(scheme.retry_horizon):
        yield "retry_horizon must be a positive number of seconds"
    if not (scheme.response_timeout is None or is_tolerance(scheme.response_timeout)):
        yield "response_timeout must be a positive number of seconds, or None"
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
    headers = [
        *scheme.header_names,
        *([] if scheme.event_header is None else [scheme.event_header]),
    ]
    all_of_them = "signature_header, timestamp_header, id_header and event_header"
    if not all(headers) or not all(map(_IN_HEADERS.issuperset, headers)):
        yield f"{all_of_them} must be names of headers"
    if len(set(map(str.lower, headers))) < len(headers):
        yield f"{all_of_them} must be different headers"
    for name in ("prefix", "timestamp_prefix"):
        text = getattr(scheme, name)
        # Servers remove white space around a header's value, and parsers around an entry.
        if not is_readable(text) or text.startswith(" ") or len(text) > _LONGEST_PREFIX:
            yield (
                f"{name} must be printable ASCII that does not start with a space, "
                "at most 64 characters"
            )
    if "," in scheme.timestamp_prefix:
        yield "timestamp_prefix cannot contain a comma"
    if scheme.max_signatures < len(scheme.signature_headers):
        yield "max_signatures is less than the number of signature headers"
