"""The URL that a request was sent to, for schemes that sign it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import quote

from frappe_hooksig._headers import Header, Headers, indexed

#: How a server saw a request: the protocol, and the path with the query as they were sent.
RequestTarget: TypeAlias = tuple[str, str]

#: Finds that in a framework's request.
RequestTargetOf: TypeAlias = Callable[[Any], RequestTarget]

_HOST = Header("Host")
_FORWARDED_HOST = Header("X-Forwarded-Host")
_FORWARDED_PROTO = Header("X-Forwarded-Proto")

# What ends the host in a URL (RFC 3986 section 3.2).
_NOT_IN_HOSTS = frozenset("/?#")

# What PEP 3333 decodes, and RFC 3986 (section 3.3) allows in a path as it is.
_IN_PATHS = "/:@!$&'()*+,;=~"


def url_of(target: RequestTarget, headers: Headers, *, trust_forwarded: bool) -> str:
    """Return the URL that a request was sent to. It can hold anything: it has to be looked up.

    Its path is the one that the server saw, or it is empty: servers let a host through that ends in
    a part of a path.

    Args:
        target: How the server saw it.
        headers: The request's headers.
        trust_forwarded: Whether a proxy in front sets `X-Forwarded-Proto` and `X-Forwarded-Host`,
            and lets nobody else do so.

    Raises:
        VerificationError: One of those headers occurs twice.
    """
    known = indexed(headers)
    proto, path = target
    host = _HOST.find(known) or ""
    if trust_forwarded:
        proto = _FORWARDED_PROTO.find(known) or proto
        host = _FORWARDED_HOST.find(known) or host
    if not path.startswith("/") or not _NOT_IN_HOSTS.isdisjoint(host):
        return ""
    return f"{proto}://{host}{path}"


def target_of_environ(environ: Mapping[str, Any]) -> RequestTarget:
    """Return how a WSGI server saw a request."""
    # As it was sent: gunicorn and Werkzeug, uWSGI and Apache.
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if raw is None:
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        query = environ.get("QUERY_STRING", "")
        raw = quote(path.encode("latin-1"), _IN_PATHS) + f"?{query}" * bool(query)
    return environ["wsgi.url_scheme"], raw


def target_of_scope(scope: Mapping[str, Any]) -> RequestTarget:
    """Return how an ASGI server saw a request."""
    # A server that does not know it leaves it out.
    raw: bytes = scope.get("raw_path") or quote(scope["path"], _IN_PATHS).encode()
    query: bytes = scope["query_string"]
    return scope["scheme"], (raw + (b"?" + query) * bool(query)).decode("latin-1")
