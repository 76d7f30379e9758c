"""Send one request over HTTP, and read the response. Everything in it is hostile."""

from __future__ import annotations

import json
import re
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from html import unescape
from http.client import HTTPException, HTTPResponse
from io import BufferedReader, RawIOBase
from typing import Any, Final, cast
from urllib.parse import urlsplit

from frappe_hooksig._escaping import escaped
from frappe_hooksig.cli._outcome import WrongUse
from frappe_hooksig.testing._requests import SignedRequest

_MOST = 65536  # bytes of a response's body
_SHOWN = 600  # characters of a message
# Both parts are bounded, so that a hostile page takes no time.
_TITLE: Final = re.compile(r"<title(?:\s[^<>]{0,99})?>([^<]{1,999})", re.IGNORECASE)
_PIECES = 8  # of a body that is sent slowly

_SUCCESS: Final = range(200, 300)
_FAILURE: Final = range(400, 600)

_NO_HOST: Final = WrongUse("URL has no valid host and port")


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: The HTTP status; None if there was no whole response.
        reason: Our reason for a refusal, such as `signature-mismatch`; empty in other responses.
        message: Our message, the title of a page, the start of another body, or why there was no
            response. Escaped.
    """

    status: int | None = None
    reason: str = ""
    message: str = ""

    @property
    def is_accepted(self) -> bool:
        """Whether the sender counts the delivery as accepted."""
        return self.status in _SUCCESS

    @property
    def is_of_handler(self) -> bool:
        """Whether something else than this package refused the delivery, such as the handler."""
        return self.status in _FAILURE and not self.reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where requests are sent.

    Attributes:
        url: The URL as it was given.
        is_https: Whether the connection is encrypted.
        host: The name or the address of the host.
        port: The port.
        authority: The value of the Host header.
        path: The path and the query.
    """

    url: str
    is_https: bool
    host: str
    port: int
    authority: str
    path: str

    @classmethod
    def of(cls, url: str) -> Target:
        """Parse a URL.

        Raises:
            WrongUse: It is not an absolute HTTP URL, or it contains a password.
        """
        if not re.fullmatch(r"https?://[!-~]+", url):
            msg = "URL must be the receiver's whole URL: https://..., or http://... for tests"
            raise WrongUse(msg)
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _NO_HOST from None
        if not host:
            raise _NO_HOST
        if "@" in parts.netloc:
            msg = "URL contains a user or password: put an Authorization header into a file (-H)"
            raise WrongUse(msg)
        is_https = parts.scheme == "https"
        query = f"?{parts.query}" * bool(parts.query)
        return cls(
            url=url,
            is_https=is_https,
            host=host,
            port=(443 if is_https else 80) if port is None else port,
            authority=parts.netloc,
            path=f"{parts.path or '/'}{query}",
        )


def exchange(
    target: Target, request: SignedRequest, *, timeout: float, slowness: float = 0
) -> Answer:
    """Send a request, and return what came back. Redirects are not followed.

    Args:
        target: Where to send it.
        request: The request.
        timeout: How long connecting may take, and then the exchange in total, in seconds.
        slowness: How long sending the body takes, in seconds, besides.
    """
    try:
        with socket.create_connection((target.host, target.port), timeout) as plain:
            connected = _encrypted(plain, target) if target.is_https else plain
            with connected:
                connection = _Limited(connected, timeout + slowness)
                with suppress(BrokenPipeError, ConnectionResetError):  # refused before the body
                    _send(connection, target, request, slowness)
                return _received(connection, request.method)
    except (OSError, HTTPException, UnicodeError) as error:
        return Answer(message=escaped(_problem(error, timeout)))


class _Limited(RawIOBase):
    """A connection whose operations have one time limit together."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._end = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._in_time().recv_into(buffer)

    def sendall(self, data: bytes) -> None:
        self._in_time().sendall(data)

    def makefile(self, mode: str) -> BufferedReader:  # for http.client
        del mode
        return BufferedReader(self)

    def _in_time(self) -> socket.socket:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection


def _encrypted(plain: socket.socket, target: Target) -> socket.socket:
    return ssl.create_default_context().wrap_socket(plain, server_hostname=target.host)


def _send(connection: _Limited, target: Target, request: SignedRequest, slowness: float) -> None:
    headers = [
        ("Host", target.authority),
        *request.headers,
        ("Content-Length", str(len(request.body))),
    ]
    lines = [f"{request.method} {target.path} HTTP/1.1", *map(": ".join, headers), "", ""]
    head, body = "\r\n".join(lines).encode("latin-1"), request.body
    size = -(-len(body) // _PIECES) or 1
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    for chunk in [head, *pieces] if slowness else [head + body]:
        connection.sendall(chunk)
        time.sleep(slowness / (_PIECES + 1))


def _received(connection: _Limited, method: str) -> Answer:
    with HTTPResponse(cast("socket.socket", connection), method=method) as response:
        response.begin()
        body = response.read(_MOST)
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if isinstance(content, dict):
        known = cast("dict[str, object]", content)
        reason, message = known.get("reason"), known.get("message")
        if isinstance(reason, str) and isinstance(message, str):
            return Answer(
                status=response.status,
                reason=escaped(reason),
                message=escaped(message, _SHOWN),
            )
    text = body.decode("utf-8", "replace").strip()
    return Answer(status=response.status, message=escaped(_title(text) or text))


def _title(text: str) -> str:
    """Return the title of an HTML page, in one line; empty if there is none."""
    found = _TITLE.search(text) if text.startswith("<") else None
    return "" if found is None else " ".join(unescape(found[1]).split())


def _problem(error: Exception, timeout: float) -> str:
    """Return why there was no response, as a sentence."""
    match error:
        case TimeoutError():
            problem = f"no whole response within {timeout:g} s"
        case ssl.SSLCertVerificationError():
            problem = (
                f"the certificate is not trusted: {error.verify_message}. SSL_CERT_FILE names a "
                "file with the certificates to trust"
            )
        case ssl.SSLError():
            problem = "the receiver does not speak TLS: is its URL http://...?"
        case socket.gaierror() | UnicodeError():
            problem = "no host has this name"
        case ConnectionResetError() | BrokenPipeError():
            problem = "the connection was closed before the whole response"
        case OSError():
            problem = f"no connection: {error.strerror}"
        case _:
            problem = "the response is not valid HTTP"
    return problem
