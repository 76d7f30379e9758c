"""The URL that a request was sent to, for schemes that sign it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import quote

from frappe_hooksig._headers import Header, Headers, indexed

#: The request target as the server received it: the protocol, and the raw path with its query.
RequestTarget: TypeAlias = tuple[str, str]

#: Returns the request target of a framework's request.
RequestTargetOf: TypeAlias = Callable[[Any], RequestTarget]

_HOST = Header("Host")
_FORWARDED_HOST = Header("X-Forwarded-Host")
_FORWARDED_PROTO = Header("X-Forwarded-Proto")

# Characters that end the host in a URL (RFC 3986 section 3.2).
_NOT_IN_HOSTS = frozenset("/?#")

# Characters that may stand unquoted in a path (RFC 3986 section 3.3). A WSGI server decodes the
# path (PEP 3333); quoting it again leaves these characters alone.
_IN_PATHS = "/:@!$&'()*+,;=~"


def url_of(target: RequestTarget, headers: Headers, *, trust_forwarded: bool) -> str:
    """Return the URL that a request was sent to.

    The sender controls this URL, so the caller must look it up among the registered URLs. Some
    servers accept a Host header that ends with part of a path. The result is "" for such a host,
    and for a target that is not a path.

    Args:
        target: The request target that the server received.
        headers: The request's headers.
        trust_forwarded: Whether to trust `X-Forwarded-Proto` and `X-Forwarded-Host`: a proxy in
            front sets them and removes those of the client.

    Raises:
        VerificationError: Host, or a trusted forwarding header, occurs twice.
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
    """Return the request target that a WSGI server received."""
    # The raw target: RAW_URI in gunicorn and Werkzeug, REQUEST_URI in uWSGI and Apache.
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if raw is None:
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        query = environ.get("QUERY_STRING", "")
        raw = quote(path.encode("latin-1", "replace"), _IN_PATHS) + f"?{query}" * bool(query)
    return environ["wsgi.url_scheme"], raw


def target_of_scope(scope: Mapping[str, Any]) -> RequestTarget:
    """Return the request target that an ASGI server received."""
    # Servers that do not know the raw path leave it out of the scope.
    raw: bytes = scope.get("raw_path") or quote(scope["path"], _IN_PATHS).encode()
    query: bytes | str = scope.get("query_string", b"")
    if isinstance(query, bytes):  # Django's AsyncClient has a str
        query = query.decode("latin-1")
    return scope.get("scheme", "http"), raw.decode("latin-1") + f"?{query}" * bool(query)
