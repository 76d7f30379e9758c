"""What a refused request shows about its mistake. Nothing is hashed for that.

The texts may be sent to a stranger: they have names of headers and schemes from our own tables, and
lengths, but nothing that the request contains or that the receiver has configured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from frappe_hooksig._escaping import escaped_url
from frappe_hooksig._headers import MAX_HEADER, Environ, Header, Headers, Index, indexed
from frappe_hooksig.exceptions import Reason, VerificationError

if TYPE_CHECKING:
    from frappe_hooksig.scheme import Scheme

# Digests in bytes, to recognise a signature by its length.
_SIZES = {"MD5": 16, "SHA-1": 20, "SHA-256": 32, "SHA-384": 48, "SHA-512": 64}

# What other schemes and habits put before a signature.
_BEGINNINGS = (
    *("sha256=", "sha256 ", "sha256:", "sha1=", "sha1 ", "sha512=", "v0=", "v1=", "v1,", "t="),
    *("hmac ", "hmac-sha256 ", "bearer ", "basic ", "signature "),
)

# What an encoded MAC consists of.
_DIGITS = {
    "hex": "hex digits",
    "base64": "characters of base64",
    "base64url": "characters of URL-safe base64",
}

# What a scheme may sign, in the order of a message.
_PARTS = {
    "{body}": "the body",
    "{timestamp}": "the timestamp",
    "{id}": "the id",
    "{url}": "the URL",
    "{method}": "the method",
}

_CONTENT_ENCODING = Header("Content-Encoding")
_TRANSFER_ENCODING = Header("Transfer-Encoding")

_HEX = frozenset("0123456789abcdefABCDEF")
_MOST_ENTRIES = 64  # more are not split
_MOST_NAMES = 4  # signature headers of other senders: more are not looked at


def missing(scheme: Scheme, name: str, headers: Headers) -> VerificationError:
    """Return the error for an absent header; name the signature header of another sender."""
    cause = "the request is unsigned" if name in scheme.signature_headers else "it was not sent"
    cause = (
        _part_of_environ(name, headers)
        or _other_sender(scheme, headers)
        or f"{cause}, or a proxy dropped it"
    )
    detail = f", which scheme {scheme.name!r} needs: {cause}"
    return VerificationError(Reason.MISSING_HEADER, name, detail)


def _part_of_environ(name: str, headers: Any) -> str:
    """Return what to pass instead of a part of a WSGI environ.

    Only a whole environ is read as one, because a stranger may name a header HTTP_X_...
    """
    key = Header(name).key
    if headers.__class__ is not dict or key not in headers:
        return ""
    return f"{key} is there, so pass the whole WSGI environ, or the framework's headers"


def without_prefix(scheme: Scheme, name: str, text: str) -> str:
    """Return what is wrong with a signature header in which nothing has the scheme's prefix.

    Args:
        scheme: The scheme.
        name: The name of the header.
        text: Its value.
    """
    prefix = repr(scheme.prefix) if " " in scheme.prefix else scheme.prefix
    problem = f"it has no signature that starts with {prefix}"
    others = [each for each in _readers_of(name) if each != scheme and _fits(each, text)]
    if others:
        return f"{problem}, but one that {_named(others)}"
    if len(text) == _length(scheme):
        return f"{problem}: it has one without that prefix"
    starts_well = bool(scheme.timestamp_prefix) and text.startswith(scheme.timestamp_prefix)
    return problem if starts_well else problem + _beginning(text)


def wrong_length(scheme: Scheme, signature: str, length: int) -> str:
    """Return what is wrong with a signature that has the length of no MAC of the scheme.

    Args:
        scheme: The scheme.
        signature: The signature without its prefix.
        length: The length of an encoded MAC, in characters.
    """
    expected = f"expected {length} {_DIGITS.get(scheme.encoding, 'characters')}"
    problem = f"{expected}, got {len(signature)} character{'s' * (len(signature) != 1)}"
    if signature.strip() != signature or " " in signature.strip():
        return f"{problem} with a space among them{_beginning(signature)}"
    return problem + (_beginning(signature) or _kind(signature))


def mismatch(
    scheme: Scheme, headers: Headers, size: int, url: str | None, private: str = ""
) -> VerificationError:
    """Return the error for a signature that no secret gives.

    Args:
        scheme: The scheme.
        headers: The headers of the request.
        size: The length of the body, in bytes.
        url: The URL that was verified, if the scheme signs it.
        private: What else only the log may show.
    """
    parts = [part for sign, part in _PARTS.items() if sign in scheme.signed] or ["the secret"]
    subject = " and ".join(filter(None, [", ".join(parts[1:]), parts[0]]))
    cause = _cause(scheme, indexed(headers), size)
    detail = f"does not match {subject} (scheme {scheme.name!r}): {cause}"
    of_url = f"the URL was {escaped_url(url)}" if scheme.signs_url and url is not None else ""
    return VerificationError(
        Reason.SIGNATURE_MISMATCH,
        scheme.signature_headers[0],
        detail,
        "; ".join(filter(None, [private, of_url])),
    )


def _cause(scheme: Scheme, headers: Headers, size: int) -> str:
    if not scheme.signs_body:
        return "the sender sent another one"
    if not size and _is_set(_TRANSFER_ENCODING, headers):
        return (
            "no body came, because this server or framework reads none without Content-Length (the "
            "request has Transfer-Encoding): let the proxy in front of it buffer requests"
        )
    if not size:
        return "no body came (a redirect drops it), or another secret was used"
    if _is_set(_CONTENT_ENCODING, headers) and not scheme.signs_decoded_body:
        return (
            "the body came compressed (Content-Encoding): it was signed before that, a proxy "
            "changed it, or another secret was used"
        )
    url = "url= is not the URL that the sender has, " if scheme.signs_url else ""
    return f"another secret was used, {url}or the body was changed or serialised anew after signing"


def _is_set(header: Header, headers: Headers) -> bool:
    """Whether the headers have a header that says something about the body."""
    try:
        return (header.find(headers) or "identity").strip().lower() != "identity"
    except VerificationError:  # it occurs twice
        return True


def _other_sender(scheme: Scheme, headers: Headers) -> str:
    """Return a clause that names the signature header of another scheme, if there is one."""
    known = index_of(headers)
    names = known.names
    own = {each.lower() for each in scheme.header_names}
    found: list[tuple[bool, bool, bool, str, Sequence[Scheme]]] = []
    for present in islice(filter(by_header().__contains__, names), _MOST_NAMES):
        readers = [each for each in _readers_of(present) if each != scheme]
        text = _text_of(present, known)
        fitting = [each for each in readers if _fits(each, text)]
        complete = [each for each in fitting if _has_others(each, names)]
        chosen: Sequence[Scheme] = complete or (() if present in own else fitting or readers)
        if chosen:
            is_old = chosen[0].digest == "sha1"
            found.append((not complete, not fitting, is_old, present, chosen))
    if not found:
        return ""
    _, _, _, name, schemes = min(found, key=lambda each: each[:3])
    shown = next(each for each in schemes[0].signature_headers if each.lower() == name)
    return f"the request has {shown}, which {_named(schemes)}"


def _named(schemes: Sequence[Scheme]) -> str:
    *first, last = [repr(each.name) for each in schemes]
    return f"the schemes {', '.join(first)} and {last} read" if first else f"scheme {last} reads"


def _has_others(scheme: Scheme, names: Iterable[str]) -> bool:
    others = (scheme.timestamp_header, scheme.id_header)
    return all(each is None or each.lower() in names for each in others)


def _fits(scheme: Scheme, text: str) -> bool:
    """Whether a header has the form of a scheme's signature header."""
    if len(text) > MAX_HEADER or (
        scheme.separator and text.count(scheme.separator) > _MOST_ENTRIES
    ):
        return False
    entries = text.split(scheme.separator) if scheme.separator else [text]
    stripped = [entry.strip() for entry in entries]
    length, prefix = _length(scheme), scheme.prefix
    return any(
        entry.startswith(prefix) and (length is None or len(entry) == len(prefix) + length)
        for entry in stripped
    )


def _length(scheme: Scheme) -> int | None:
    """Return the length of an encoded MAC, in characters; None if it may vary."""
    size = hashlib.new(scheme.digest).digest_size
    lengths = {"hex": 2 * size, "base64": -(-size // 3) * 4, "base64url": -(-size * 4 // 3)}
    return lengths.get(scheme.encoding)


def _beginning(text: str) -> str:
    folded = text.lstrip().lower()
    found = next((each for each in _BEGINNINGS if folded.startswith(each)), None)
    return f"; it begins with {found!r}" if found else ""


def _kind(signature: str) -> str:
    """Return a clause that names a hash whose MACs are as long as a signature."""
    for name, size in _SIZES.items():
        if len(signature) == 2 * size and _HEX.issuperset(signature):
            return f", as long as {name} in hex"
        if len(signature.rstrip("=")) == -(-size * 4 // 3):
            return f", as long as {name} in base64"
    return ""


def index_of(headers: Headers) -> Index:
    """Return all headers by their names in lower case, as far as a mapping lists them."""
    if isinstance(headers, Environ):
        keys = [key for key in headers.environ if key.startswith("HTTP_")]
        return Index((key[5:].replace("_", "-"), headers.environ[key]) for key in keys)
    known = indexed(headers, whole=True)
    return known if isinstance(known, Index) else Index(())


def _text_of(name: str, headers: Index) -> str:
    """Return the value of a header; empty if it occurs twice."""
    values = headers.getlist(name)
    value = values[0] if len(values) == 1 else ""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _readers_of(name: str) -> Iterable[Scheme]:
    """Return the providers that read a signature header."""
    return by_header().get(name.lower(), ())


@lru_cache(maxsize=1)
def by_header() -> dict[str, list[Scheme]]:
    from frappe_hooksig.providers import get, names  # fifty schemes, which few programs need

    found: dict[str, list[Scheme]] = {}
    for scheme in map(get, names()):
        for header in scheme.signature_headers:
            found.setdefault(header.lower(), []).append(scheme)
    return found
