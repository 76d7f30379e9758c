"""Look up a header in the headers of any framework."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, Protocol, TypeAlias

from frappe_hooksig.exceptions import ConfigurationError, Reason, VerificationError

# The longest accepted value, in characters. Servers accept no longer lines: gunicorn 8190 bytes,
# nginx 8 KiB.
MAX_HEADER = 8192

# Methods that return all values of a header. Werkzeug and Starlette have the first, httpx and
# tornado the second, email.message (http.server, urllib) the third, multidict (aiohttp, Litestar)
# the fourth.
_ALL_VALUES = ("getlist", "get_list", "get_all", "getall")


# Keys of an AWS event, or of an ASGI scope, whose values are dicts.
_IN_EVENTS = ("headers", "multiValueHeaders", "asgi")

_WHOLE_EVENT = "a whole event or scope"
_NO_PAIRS = "no pairs of a name and a value"


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
        spellings: The name, and the others.
        key: The header's key in a WSGI environ.
    """

    __slots__ = ("key", "name", "others", "spellings")

    def __init__(self, name: str) -> None:
        self.name = name
        self.others = tuple({name.lower(), name.upper(), name.title()} - {name})
        self.spellings = (name, *self.others)
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
            for spelling in self.spellings:
                value = plain.get(spelling)
                if value is None or value == []:
                    continue
                if text is not None:
                    raise self.doubled()
                text = value
            if text.__class__ is list:
                text = None  # all its spellings count, as in a dict of lists
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
    """Return headers that can be looked up repeatedly.

    (name, value) pairs become an `Index`, and a WSGI environ or Django's META an `Environ`.

    Args:
        headers: The headers, as the framework or the server provides them.
        whole: Whether to index a mapping too. This is faster when many names are looked up.

    Raises:
        ConfigurationError: These are no headers. The caller made a mistake, not the sender.
    """
    given: Any = headers
    if given.__class__ is dict:
        # A stranger can send headers with these names, but their values are text, or texts.
        if isinstance(given.get("wsgi.multithread"), int):
            return Environ(given)
        kinds: set[type] = {*map(type, given.values())}
        if dict in kinds and any(given.get(name).__class__ is dict for name in _IN_EVENTS):
            raise _no_headers(_WHOLE_EVENT)
        return Index(given.items()) if whole or kinds == {list} else headers
    kind = _kind_of(given.__class__)
    if kind == "request":
        raise _no_headers(type(given).__name__)
    if hasattr(given, "get"):
        pairs = getattr(given, "items", None) if whole or kind == "items" else None
        return headers if pairs is None else Index(pairs())
    if _is(given, str) or _is(given, bytes) or not _is(given, Iterable):
        raise _no_headers(type(given).__name__)
    return Index(given)


def _no_headers(what: str) -> ConfigurationError:
    msg = (
        f"headers are {what}: pass the request's headers, as the framework has them, as a dict, a "
        "WSGI environ or (name, value) pairs"
    )
    return ConfigurationError(msg)


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
    Then `Header.find()` reads them, after `indexed()` has checked what they are.

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
    """Return the values of so many headers; None if one occurs twice, or if these are no pairs.

    Args:
        pairs: The (name, value) pairs of all headers.
        places: The place of each header in the result, by its name in lower case, as str and bytes.
        number: How many headers there are to find.
    """
    found: list[Any] = [None] * number
    try:
        for name, value in pairs:
            place = places.get(name.lower())
            # lower() turns the Kelvin sign into k.
            if place is not None and value is not None and name.isascii():
                if found[place] is not None:
                    return None
                found[place] = value.decode("latin-1") if type(value) is bytes else value
    except (AttributeError, TypeError, ValueError):
        return None
    return found


class Index:
    """Maps the name of each header, in lower case, to all its values.

    Args:
        pairs: The names and values. A value may be a list of values, as in AWS's
            `multiValueHeaders`.
    """

    def __init__(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        self._values: dict[str, list[Any]] = {}
        try:
            for key, value in pairs:
                name: str = key.decode("latin-1") if isinstance(key, bytes) else key
                if name.isascii() and value is not None:  # lower() turns the Kelvin sign into k
                    several = self._values.setdefault(name.lower(), [])
                    if value.__class__ is list:
                        several += value
                    else:
                        several.append(value)
        except (AttributeError, TypeError, ValueError):
            raise _no_headers(_NO_PAIRS) from None

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


def pairs_of(headers: Any) -> list[tuple[str, str]]:
    """Return the names and values of all headers that an adapter has, as text.

    Args:
        headers: An `Environ`, which has no original spelling of the names, or (name, value) pairs.
    """
    if isinstance(headers, Environ):
        known = {"CONTENT_TYPE": "Content-Type", "CONTENT_LENGTH": "Content-Length"}
        named = (
            (known.get(key) or key[5:].replace("_", "-").title(), value)
            for key, value in headers.environ.items()
            if key.startswith("HTTP_") or (key in known and value)
        )
        return [(name, str(value)) for name, value in named]
    return [(_text(name), _text(value)) for name, value in headers]


def _text(given: str | bytes) -> str:
    return given.decode("latin-1") if isinstance(given, bytes) else given


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
    if get_all is None or _is(getattr(headers, "environ", None), dict):
        first: Any = headers.get(name)
        values: list[Any] = []
        if first is not None:
            values = first if first.__class__ is list else [first]
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


@lru_cache(maxsize=64)
def _kind_of(kind: Any) -> Literal["request", "items", "headers"]:
    """Return what the objects of a type are: a request, items with names and values, or headers.

    Items are read if the type is no Mapping, and has no method for all values of a header: the
    get() of BlackSheep's headers takes bytes.
    """
    if hasattr(kind, "headers"):
        return "request"
    has_items = hasattr(kind, "items")
    return "headers" if not has_items or issubclass(kind, Mapping) or _get_all_of(kind) else "items"


def _is(value: object, kind: Any) -> bool:
    """Call isinstance() so that type checkers do not narrow Any to Mapping[Unknown]."""
    return isinstance(value, kind)
