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

__all__ = ["Digest", "Encoding", "Scheme", "Separator", "TimestampFormat"]

#: How a MAC is written as text. "plain" means that the secret itself is sent instead of a MAC.
Encoding: TypeAlias = Literal["hex", "base64", "plain"]

#: The hash function of the HMAC.
Digest: TypeAlias = Literal["sha1", "sha256", "sha512"]

#: Separates the entries of a header that contains several; empty if it contains one.
Separator: TypeAlias = Literal["", " ", ",", ";"]

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
_CHOICES = {
    "encoding": get_args(Encoding),
    "digest": get_args(Digest),
    "separator": get_args(Separator),
    "timestamp_format": get_args(TimestampFormat),
    "secret_format": get_args(SecretFormat),
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
        encoding: How the MAC is written. A signature in another encoding is refused. "plain" is for
            senders that sign nothing and send the secret itself. Anyone who sees one such request
            can forge others.
        digest: The hash function of the HMAC.
        prefix: Text before a signature, such as `sha256=`.
        separator: Text between the entries of a header that contains several. Entries that start
            with neither `prefix` nor `timestamp_prefix` are ignored.
        timestamp_header: Header that carries the timestamp, if it is not the signature header.
        timestamp_prefix: Prefix of the timestamp's entry in the signature header, such as `t=`.
        timestamp_format: How the timestamp is written.
        tolerance: How far the timestamp may be from now, in the past or future, in seconds.
        id_header: Header that carries the delivery's id.
        secret_format: How the sender writes its secrets.
        secret_prefix: Prefix that all secrets of the sender have. A secret without it causes a
            `SecretWarning`.
        rewritten_characters: Characters in a secret that the sender may store in another spelling.
            They cause a `SecretWarning`.
        max_signatures: Largest number of signatures in a request. A request with more is malformed.
        body_id: JSON Pointer (RFC 6901), through objects, to an id in the body that all attempts of
            a delivery share. Set it if the scheme signs each attempt anew, but signs no id.
        retry_delays: The pauses between the sender's first attempts, in seconds. Empty if it does
            not retry within seconds.
        retry_horizon: How long after its first attempt the sender may retry, in seconds.
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
    def capacity(self) -> int:
        """How many signatures one request can carry. More than one simplifies a rotation."""
        return self.max_signatures if self.separator else len(self.signature_headers)

    @property
    def header_names(self) -> list[str]:
        """Names of all headers that the scheme reads."""
        names = [*self.signature_headers, self.timestamp_header, self.id_header]
        return [name for name in names if name is not None]


_FIELDS = tuple(each.name for each in fields(Scheme) if each.init)


def _contradictions(scheme: Scheme) -> Iterator[str]:
    """Yield a message for each mistake in a scheme. Each message names the fields."""
    yield from _wrong_values(scheme)
    yield from _wrong_retries(scheme)
    if scheme.signs_body:
        yield from problems_of(scheme.signed, scheme.timestamp_format == "rfc3339")
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
    has_time = scheme.timestamp_prefix != "" or scheme.timestamp_header is not None
    if scheme.signs_timestamp != has_time:
        yield (
            "{timestamp} in signed needs timestamp_header or timestamp_prefix, "
            "and each of these needs {timestamp} in signed"
        )
    if scheme.timestamp_prefix and scheme.timestamp_header:
        yield "timestamp_header and timestamp_prefix cannot both be set"
    if ("{id}" in scheme.signed) != (scheme.id_header is not None):
        yield (
            "{id} in signed needs id_header, and id_header needs {id} in signed: "
            "an unsigned id proves nothing"
        )


def _wrong_entries(scheme: Scheme) -> Iterator[str]:
    if scheme.separator and not scheme.prefix:
        yield "separator needs a prefix, which marks the entries that are signatures"
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
