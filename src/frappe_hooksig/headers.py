"""Reading one header out of whatever a framework keeps headers in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Protocol, TypeAlias, cast

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


def header_text(headers: Headers, name: str) -> str | None:
    """Return the text of a header that may occur once, or None if it is absent.

    Names match in any case. The text is not stripped: an outer space is part of it.

    Args:
        headers: The request's headers; a value of None counts as absent.
        name: The header's name.

    Raises:
        VerificationError: It occurs twice, is not printable ASCII, or is longer than 8 KiB.
        TypeError: `headers` are no headers: the caller's mistake.
    """
    values = _values(headers, name)
    if not values:
        return None
    if len(values) > 1:
        raise VerificationError(Reason.DUPLICATE_HEADER, name)
    text = values[0]
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    if not isinstance(text, str):  # such as the object that email.message makes of odd bytes
        detail = f"its value is {type(text).__name__}, not text"
        raise VerificationError(Reason.MALFORMED_HEADER, name, detail)
    if not (text.isascii() and text.isprintable()):
        raise VerificationError(Reason.MALFORMED_HEADER, name, "it is not printable ASCII")
    if len(text) > MAX_HEADER:
        raise VerificationError(
            Reason.MALFORMED_HEADER, name, f"it is longer than {MAX_HEADER} characters"
        )
    return text


def _values(headers: object, name: str) -> list[Any]:
    """Return all values of a header."""
    if isinstance(headers, dict):
        plain = cast("Mapping[Any, Any]", headers)
        usual = [plain[spelling] for spelling in _spellings(name) if spelling in plain]
        return _present(usual or _matching(plain.items(), name))
    get = getattr(headers, "get", None)
    if get is None:
        if isinstance(headers, str | bytes) or not isinstance(headers, Iterable):
            msg = f"headers are {type(headers).__name__}, not a mapping or (name, value) pairs"
            raise TypeError(msg)
        return _present(_matching(cast("Iterable[tuple[Any, Any]]", headers), name))
    first = get(name)
    if first is None:
        if not isinstance(headers, Mapping):
            return []
        # It may know one spelling only, as a read-only view of a dict does.
        return _present(_matching(cast("Mapping[str, Any]", headers).items(), name))
    # Over a WSGI environ (Werkzeug) the server has joined doubled headers with a comma already;
    # asking for all values would only walk the whole environ.
    if not hasattr(headers, "environ"):
        for get_all in _ALL_VALUES:
            if hasattr(headers, get_all):
                return _present(getattr(headers, get_all)(name))
    return [first]


@lru_cache(maxsize=256)
def _spellings(name: str) -> tuple[str, ...]:
    """Return how plain dicts usually spell a header: as documented, as ASGI, WSGI or AWS do."""
    return tuple({name, name.lower(), name.upper(), name.title()})


def _matching(pairs: Iterable[tuple[Any, Any]], name: str) -> list[Any]:
    lower = name.lower()
    either = (lower, lower.encode("ascii"))
    return [value for key, value in pairs if key.lower() in either]


def _present(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if value is not None]
