"""Look up a header in the headers of any framework."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

from frappe_hooksig.exceptions import Reason, VerificationError

# The longest accepted value, in characters. Servers accept no longer lines: gunicorn 8190 bytes,
# nginx 8 KiB.
MAX_HEADER = 8192

# Methods that return all values of a header. Werkzeug and Starlette have the first, httpx and
# tornado the second, email.message (http.server, urllib) the third, multidict (aiohttp) the fourth.
_ALL_VALUES = ("getlist", "get_list", "get_all", "getall")


class HeaderMapping(Protocol):
    """The method that headers of Flask, Django, Starlette, httpx and plain dicts have in common."""

    def get(self, name: str, /) -> object:
        """Return the value of a header, or None."""


#: Request headers: any mapping with `get`, or (name, value) pairs as ASGI servers list them.
Headers: TypeAlias = "HeaderMapping | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]"


class Header:
    """One header that a scheme reads.

    Attributes:
        name: The name as the sender's documentation spells it. The lookup ignores case.
        others: Other spellings that plain dicts use: those of ASGI, AWS and HTTP/1 servers.
        key: The header's key in a WSGI environ.
    """

    __slots__ = ("key", "name", "others")

    def __init__(self, name: str) -> None:
        self.name = name
        self.others = tuple({name.lower(), name.upper(), name.title()} - {name})
        self.key = _environ_key(name)

    def find(self, headers: Headers) -> str | None:
        """Return the header's value, or None if the header is absent.

        The value can contain any characters. Spaces around it are kept.

        Args:
            headers: The request's headers: a dict, or the result of `indexed()`. A value of None
                counts as absent.

        Raises:
            VerificationError: The header occurs more than once.
        """
        text: object = None
        if type(headers) is dict:
            plain: dict[str, object] = headers  # pyright: ignore[reportUnknownVariableType]
            text = plain.get(self.name)
            for spelling in self.others:
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
        # Neither str nor bytes: treat it as unreadable. email.message returns an object for bytes
        # that are not ASCII.
        return text.decode("latin-1") if isinstance(text, bytes) else "\0"

    def _only(self, values: list[Any]) -> object:
        if len(values) > 1:
            raise self.doubled()
        return values[0] if values else None

    def missing(self) -> VerificationError:
        """Return the error for an absent header."""
        return VerificationError(Reason.MISSING_HEADER, self.name)

    def unreadable(self, text: str) -> VerificationError:
        """Return the error for a value that is too long or not printable ASCII."""
        too_long = text.isascii() and text.isprintable()
        return self.malformed(
            f"it is longer than {MAX_HEADER} characters"
            if too_long
            else "it is not printable ASCII"
        )

    def malformed(self, detail: str) -> VerificationError:
        """Return the error for a header that cannot be read; `detail` says why."""
        return VerificationError(Reason.MALFORMED_HEADER, self.name, detail)

    def doubled(self) -> VerificationError:
        """Return the error for a header that occurs more than once."""
        return VerificationError(Reason.DUPLICATE_HEADER, self.name)


def is_readable(text: str) -> bool:
    """Whether a value can be a signature, timestamp or id: printable ASCII, and not too long."""
    return text.isascii() and text.isprintable() and len(text) <= MAX_HEADER


def indexed(headers: Headers, *, whole: bool = False) -> Headers:
    """Return headers that can be looked up repeatedly: pairs become an `Index`.

    Args:
        headers: The headers, as the framework provides them.
        whole: Whether to index a mapping too. This is faster when many names are looked up.

    Raises:
        TypeError: The headers are neither a mapping nor pairs. The caller made a mistake, not the
            sender.
    """
    if hasattr(headers, "get"):
        pairs = getattr(headers, "items", None) if whole else None
        return headers if pairs is None else Index(pairs())
    if isinstance(headers, str | bytes) or not isinstance(headers, Iterable):
        msg = f"headers are {type(headers).__name__}, not a mapping or (name, value) pairs"
        raise TypeError(msg)
    return Index(headers)


class Environ:
    """The headers in a WSGI environ, or in Django's META.

    The server has joined repeated headers with a comma, which `Wire.parse()` refuses.

    Args:
        environ: The environ, or META.
    """

    __slots__ = ("environ",)

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self.environ = environ

    def get(self, name: str, /) -> object:
        """Return the value of a header, or None."""
        return self.environ.get(_environ_key(name))


def reader_of(wanted: Sequence[Header], *, one_by_one: bool) -> Callable[[Any], list[Any] | None]:
    """Return a function that reads a few headers in one pass over what the server gave.

    For each header it returns the value, or None if it is absent. Instead of a list, it returns
    None if a header may occur twice, and for headers that are no dict, `Environ` or list of pairs.
    Then `Header.find()` reads them.

    Args:
        wanted: The headers.
        one_by_one: Whether all of them must be in a dict, so that looking them up is faster than
            walking the dict.
    """
    names = [header.name for header in wanted]
    others = [spelling for header in wanted for spelling in header.others]
    keys = [header.key for header in wanted]
    places: dict[object, int] = {}
    for place, name in enumerate(names):
        places[name.lower()] = places[name.lower().encode()] = place

    def look_up(headers: dict[str, Any]) -> list[Any] | None:
        for spelling in others:
            if spelling in headers:
                return None
        found: list[Any] = []
        for name in names:
            found.append(headers.get(name))  # noqa: PERF401  # slower before Python 3.12
        return found

    def read(headers: Any) -> list[Any] | None:
        kind = type(headers)  # pyright: ignore[reportUnknownVariableType]
        if kind is dict:
            return look_up(headers) if one_by_one else _walk(headers.items(), places, len(names))
        if kind is list:
            return _walk(headers, places, len(names))
        return [headers.environ.get(key) for key in keys] if kind is Environ else None

    return read


def _walk(
    pairs: Iterable[tuple[Any, Any]], places: Mapping[object, int], number: int
) -> list[Any] | None:
    """Return the values of so many headers; None if one of them occurs twice.

    Args:
        pairs: The (name, value) pairs of all headers.
        places: The place of each header in the result, by its name in lower case, as str and bytes.
        number: How many headers there are to find.
    """
    found: list[Any] = [None] * number
    for name, value in pairs:
        place = places.get(name.lower())
        # lower() turns the Kelvin sign into k.
        if place is not None and value is not None and name.isascii():
            if found[place] is not None:
                return None
            found[place] = value.decode("latin-1") if type(value) is bytes else value
    return found


class Index:
    """Maps the name of each header, in lower case, to all its values."""

    def __init__(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        self._values: dict[str, list[Any]] = {}
        for key, value in pairs:
            name: str = key.decode("latin-1") if isinstance(key, bytes) else key
            if name.isascii() and value is not None:  # lower() turns the Kelvin sign into k
                self._values.setdefault(name.lower(), []).append(value)

    @property
    def names(self) -> Iterable[str]:
        """The names of all headers, in lower case."""
        return self._values

    def get(self, name: str, /) -> object:
        """Return the first value of a header, or None."""
        return next(iter(self.getlist(name)), None)

    def getlist(self, name: str) -> list[Any]:
        """Return all values of a header, which may be none."""
        return self._values.get(name.lower(), [])


@lru_cache(maxsize=512)  # the names come from schemes, never from a request
def _environ_key(name: str) -> str:
    """Return the key of a header in a WSGI environ (PEP 3333)."""
    key = name.upper().replace("-", "_")
    return key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"


def _values(headers: Any, name: str) -> list[Any]:
    """Return all values of a header."""
    if isinstance(headers, Index):
        return headers.getlist(name)
    get_all = _get_all_of(headers.__class__) or next(
        (method for method in _ALL_VALUES if hasattr(headers, method)), None
    )
    # With a WSGI environ (Werkzeug), the server has already joined duplicate headers with a comma.
    # Asking for all values would only walk the whole environ.
    if get_all is None or hasattr(headers, "environ"):
        first: object = headers.get(name)
        values = [] if first is None else [first]
    else:
        try:
            values = list(getattr(headers, get_all)(name) or ())
        except KeyError:  # multidict and WebOb raise it for an absent header
            values = []
    if (not values and _is(headers, Mapping)) or (get_all is None and _is(headers, dict)):
        # A mapping may find the name in one spelling only. A subclass of dict may contain several.
        return Index(headers.items()).getlist(name)
    return values


@lru_cache(maxsize=64)  # without a cache, this takes half as long as the HMAC
def _get_all_of(kind: type) -> str | None:
    """Return the name of the method that returns all values of a header, if the type has one."""
    return next((method for method in _ALL_VALUES if hasattr(kind, method)), None)


def _is(value: object, kind: type) -> bool:
    """Call isinstance() so that type checkers do not narrow Any to Mapping[Unknown]."""
    return isinstance(value, kind)
