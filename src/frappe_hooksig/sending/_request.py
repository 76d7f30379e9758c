"""The bytes of a signed request, and the headers that a caller adds to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from frappe_hooksig import __version__
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.sending._exchange import head_of
from frappe_hooksig.sending._target import Target
from frappe_hooksig.sign import SignedPayload

# What decides who gets a request, where it ends, or what happens to the connection.
_OURS: Final = {
    *("host", "content-length", "transfer-encoding", "connection", "keep-alive", "expect", "te"),
    *("trailer", "upgrade", "proxy-connection", "proxy-authorization"),
}
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")  # RFC 9110 section 5.6.2
_VALUE: Final = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")

# Without Accept-Encoding, a receiver may compress its answer in any way.
_DEFAULTS: Final = (
    ("User-Agent", f"frappe-hooksig/{__version__}"),
    ("Accept-Encoding", "identity"),
)

_JOINED = 65_536  # bytes of a body that is sent together with the headers


def is_header_value(value: object) -> bool:
    """Whether something can be the value of a header."""
    return isinstance(value, str) and _VALUE.fullmatch(value) is not None


def check_scheme(scheme: Scheme) -> None:
    """Refuse a scheme whose signature, timestamp or id would change what is sent, or to whom.

    Raises:
        ConfigurationError: It has such a header.
    """
    for name in scheme.header_names:
        if name.lower() in _OURS:
            msg = (
                f"scheme {scheme.name!r} has the header {name}, which the sender itself sets, "
                "or must not be sent"
            )
            raise ConfigurationError(msg)


class OwnHeaders:
    """Headers that a caller adds to each request. They may have passwords, so no repr shows them.

    Attributes:
        names: Their names in lower case.
        lines: Those headers and the defaults, as they are sent.
    """

    __slots__ = ("_pairs", "lines", "names")

    def __init__(self, pairs: list[tuple[str, str]], scheme: Scheme) -> None:
        self._pairs = pairs
        self.names = {name.lower() for name, _ in pairs}
        taken = self.names.union(map(str.lower, scheme.header_names))
        every = [*[pair for pair in _DEFAULTS if pair[0].lower() not in taken], *pairs]
        self.lines = "".join(f"{name}: {value}\r\n" for name, value in every).encode("latin-1")

    @classmethod
    def of(cls, headers: Mapping[Any, Any] | None, scheme: Scheme) -> OwnHeaders | str:
        """Return the headers, or what is wrong with them.

        It raises nothing, because a traceback would show the values.
        """
        if headers is None:
            return cls([], scheme)
        if not isinstance(headers, Mapping):
            return f"headers= must be a dict, not a {type(headers).__name__}"
        pairs = [*headers.items()]
        taken = {name.lower() for name in scheme.header_names} | _OURS
        for name, value in pairs:
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                return "headers= contains an invalid header name"
            if name.lower() in taken:
                return f"headers= has {name}, which the sender itself sets, or must not be sent"
            if not is_header_value(value):
                return f"headers= has a value of {name} with characters that no header can have"
            taken.add(name.lower())
        return cls([(name, value.strip(" \t")) for name, value in pairs], scheme)

    def replaced_by(self, others: OwnHeaders, scheme: Scheme) -> OwnHeaders:
        """Return these headers and others, which replace those of the same name."""
        kept = [pair for pair in self._pairs if pair[0].lower() not in others.names]
        return OwnHeaders([*kept, *others._pairs], scheme)

    def __repr__(self) -> str:
        return f"<headers {', '.join(sorted(self.names))}>"


class Request:
    """A signed request, of which no repr shows anything.

    Args:
        method: The method.
        target: Where to send it.
        signed: The body, and the headers that sign it.
        own: The headers of the caller.

    Attributes:
        pieces: Its bytes, to send one after the other.
    """

    __slots__ = ("pieces",)

    def __init__(self, method: str, target: Target, signed: SignedPayload, own: OwnHeaders) -> None:
        body = signed.body
        # The headers of the scheme are the last ones, and replace the Content-Type of JSON.
        last = {name.lower(): (name, value) for name, value in signed.headers.items()}
        pairs = [
            ("Host", target.authority),
            *[pair for name, pair in last.items() if name not in own.names],
            ("Content-Length", str(len(body))),
        ]
        head = b"%b%b\r\n" % (head_of(method, target.path, pairs), own.lines)
        pieces = [head + body] if len(body) < _JOINED else [head, body]
        self.pieces = [memoryview(piece) for piece in pieces]  # whose repr shows no bytes

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"
