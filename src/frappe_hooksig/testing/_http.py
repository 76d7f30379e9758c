"""Send a request to a receiver over HTTP, byte for byte."""

from __future__ import annotations

import socket
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlsplit

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.testing._requests import SignedRequest

_SECONDS = 15  # to connect, and between two pieces of an answer
_LONGEST_ANSWER = 65_536  # bytes of its body


def exchange(url: str, request: SignedRequest) -> tuple[int, bytes, str]:
    """Send a request to a URL and return the status, the body and the error, if any.

    Doubled headers stay doubled, and each character of a header is sent as one byte. The status is
    0 if nothing comes back, for example because the receiver closes the connection.

    Raises:
        ConfigurationError: The URL is not a whole one.
    """
    try:
        return (*_exchange(url, request), "")
    except (OSError, HTTPException) as error:
        return 0, b"", f"{type(error).__name__}: {error}"


def _exchange(url: str, request: SignedRequest) -> tuple[int, bytes]:
    parts = urlsplit(url)
    host = parts.hostname
    if not host or parts.scheme not in {"http", "https"}:
        msg = "URL must be the receiver's whole URL, such as http://127.0.0.1:8000/webhook"
        raise ConfigurationError(msg)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    lines += [f"Content-Length: {len(request.body)}", "Connection: close", "", ""]
    with socket.create_connection((host, port), timeout=_SECONDS) as plain:
        connection: socket.socket = plain
        if parts.scheme == "https":
            import ssl

            connection = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        # A receiver that refuses the headers may close before the body has been sent.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall("\r\n".join(lines).encode("latin-1") + request.body)
        response = HTTPResponse(connection, method=request.method)
        response.begin()
        return response.status, response.read(_LONGEST_ANSWER)
