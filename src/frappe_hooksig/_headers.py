"""Reading one header out of whatever a framework keeps headers in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

from frappe_hooksig.exceptions import Reason, VerificationError

# Beyond what servers let through on one line: gunicorn 8190 bytes, nginx 8 KiB.
MAX_HEADER = 8192

# How mappings that can hold a name twice hand over all its values: Werkzeug and Starlette;
# httpx and tornado; email.message (http.server, urllib); multidict (aiohttp).
_ALL_VALUES = ("getlist", "get_list", "get_all", "getall")


class HeaderMapping(Protocol):
    """What the headers of Flask, Django, Starlette, httpx and a plain dict have in common."""

    def get(self, name: str, /) -> object:
        """Return the value of a header, or None."""


#: Request headers: any mapping with `get`, or (name, value) pairs as ASGI servers list them.
Headers: TypeAlias = "HeaderMapping | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]"


class Header:
    """One header that a scheme reads.

    Attributes:
        name: As its documentation spells it; it is found in any other case too.
    """

    __slots__ = ("_others", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        # How plain dicts may spell it too: as ASGI, AWS and HTTP/1 servers do.
        self._others = tuple({name.lower(), name.upper(), name.title()} - {name})

    def find(self, headers: Headers) -> str | None:
        """Return the value, which may occur once, or None if it is absent. It can hold anything.

        It is not stripped: an outer space is part of it.

        Args:
            headers: The request's headers: a dict, or `indexed()`; a value of None counts as
                absent.

        Raises:
            VerificationError: It occurs twice.
        """
        text: object = None
        if type(headers) is dict:
            plain: dict[str, object] = headers  # pyright: ignore[reportUnknownVariableType]
            text = plain.get(self.name)
            for spelling in self._others:
                if spelling in plain and (value := plain[spelling]) is not None:
                    if text is not None:
                        raise self.doubled()
                    text = value
        if text is None:
            text = self._only(_values(headers, self.name))
            if text is None:
                return None
        if isinstance(text, str):
            return text
        # What is neither is no text at all: email.message makes an object of odd bytes.
        return text.decode("latin-1") if isinstance(text, bytes) else "\0"

    def _only(self, values: list[Any]) -> object:
        if len(values) > 1:
            raise self.doubled()
        return values[0] if values else None

    def missing(self) -> VerificationError:
        """Return the error that says that the header is absent."""
        return VerificationError(Reason.MISSING_HEADER, self.name)

    def unreadable(self, text: str) -> VerificationError:
        """Return the error that says why a text is none that a header of ours can have."""
        too_long = text.isascii() and text.isprintable()
        return self.malformed(
            f"it is longer than {MAX_HEADER} characters"
            if too_long
            else "it is not printable ASCII"
        )

    def malformed(self, detail: str) -> VerificationError:
        """Return the error that says that the header cannot be read, and why."""
        return VerificationError(Reason.MALFORMED_HEADER, self.name, detail)

    def doubled(self) -> VerificationError:
        """Return the error that says that the header occurs more than once."""
        return VerificationError(Reason.DUPLICATE_HEADER, self.name)


def is_readable(text: str) -> bool:
    """Whether a value can be a signature, a time or an id at all: printable ASCII, not too long."""
    return text.isascii() and text.isprintable() and len(text) <= MAX_HEADER


def indexed(headers: Headers, *, whole: bool = False) -> Headers:
    """Return headers that can be looked up again and again: pairs become a mapping of lists.

    Args:
        headers: As the framework has them.
        whole: Whether so many names will be looked up that a mapping is read as a whole too.

    Raises:
        TypeError: They are neither a mapping nor pairs: the caller's mistake.
    """
    if hasattr(headers, "get"):
        pairs = getattr(headers, "items", None) if whole else None
        return headers if pairs is None else Index(pairs())
    if isinstance(headers, str | bytes) or not isinstance(headers, Iterable):
        msg = f"headers are {type(headers).__name__}, not a mapping or (name, value) pairs"
        raise TypeError(msg)
    return Index(headers)


class Index:
    """All values of each header, by its name in lower case."""

    def __init__(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        self._values: dict[str, list[Any]] = {}
        for key, value in pairs:
            name: str = key.decode("latin-1") if isinstance(key, bytes) else key
            if name.isascii() and value is not None:  # lower() makes a k of the Kelvin sign
                self._values.setdefault(name.lower(), []).append(value)

    @property
    def names(self) -> Iterable[str]:
        """The names that occur."""
        return self._values

    def get(self, name: str, /) -> object:
        """Return the first value, or None."""
        return next(iter(self.getlist(name)), None)

    def getlist(self, name: str) -> list[Any]:
        """Return all values."""
        return self._values.get(name.lower(), [])


def _values(headers: Any, name: str) -> list[Any]:
    """Return all values of a header."""
    if isinstance(headers, Index):
        return headers.getlist(name)
    get_all = _get_all_of(headers.__class__) or next(
        (method for method in _ALL_VALUES if hasattr(headers, method)), None
    )
    # Over a WSGI environ (Werkzeug) the server has joined doubled headers with a comma already;
    # asking for all values would only walk the whole environ.
    if get_all is None or hasattr(headers, "environ"):
        first: object = headers.get(name)
        values = [] if first is None else [first]
    else:
        try:
            values = list(getattr(headers, get_all)(name) or ())
        except KeyError:  # multidict's and WebOb's way to say that there is none
            values = []
    if (not values and _is(headers, Mapping)) or (get_all is None and _is(headers, dict)):
        # It may know one spelling only; a subclass of dict may even hold several.
        return Index(headers.items()).getlist(name)
    return values


@lru_cache(maxsize=64)  # of the kinds that a program uses; to ask takes half as long as the HMAC
def _get_all_of(kind: type) -> str | None:
    """Return the method of a kind of headers that returns all values of one, if it has one."""
    return next((method for method in _ALL_VALUES if hasattr(kind, method)), None)


def _is(value: object, kind: type) -> bool:
    """Do what isinstance() does, without type checkers taking an Any for a Mapping[Unknown]."""
    return isinstance(value, kind)
