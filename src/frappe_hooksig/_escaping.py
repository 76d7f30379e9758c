"""Show text of a request in a log, without letting it write lines or control a terminal."""

from __future__ import annotations

_LONGEST = 200  # characters


def escaped(text: str, longest: int = _LONGEST) -> str:
    """Return a text in printable ASCII, cut off after 200 or another number of characters.

    All other characters, quotes and backslashes become escape sequences of Python.
    """
    shown = ascii(text[:longest] + "...") if len(text) > longest else ascii(text)
    return shown[1:-1]


def escaped_url(url: str) -> str:
    """Return a URL like `escaped()`, without its password and its query, which may have a token."""
    start, separator, query = url.partition("?")
    scheme, slashes, rest = start.partition("://")
    host, slash, path = rest.partition("/")
    shown = f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}"
    return escaped(shown) + separator + "..." * bool(query)
