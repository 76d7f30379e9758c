"""One HTTP exchange over a connection: send a request, and read a hostile answer."""

from __future__ import annotations

import socket
import ssl
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.client import BadStatusLine, HTTPException, HTTPMessage, HTTPResponse, IncompleteRead
from typing import Final, cast

from frappe_hooksig.sending._connection import GONE, MOST_HEAD, Connection, ProxyRefused, TooMuch

#: What the steps of an exchange raise because of a receiver or its name.
PROBLEMS: Final = (OSError, HTTPException, UnicodeError)

_MOST_INTERIM = 100  # answers before the final one, such as 103 Early Hints
_DRAIN = 16_384  # bytes that are read and dropped, so that the connection can be used again

_SWITCHING_PROTOCOLS = 101
_FINAL = 200  # the first status that is not interim


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """A whole answer, as far as anybody reads it.

    Attributes:
        status: The HTTP status.
        headers: The headers.
        body: The start of the body, decompressed.
        is_last: Whether the connection cannot be used again.
    """

    status: int
    headers: HTTPMessage = field(repr=False)
    body: bytes = field(repr=False)
    is_last: bool


def head_of(method: str, path: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return the start of a request, to which an empty line is still to be added.

    Each character of a header is sent as one byte.
    """
    lines = [f"{method} {path} HTTP/1.1", *map(": ".join, headers), ""]
    return "\r\n".join(lines).encode("latin-1")


def exchange(
    connection: Connection, request: Iterable[bytes], *, method: str, longest: int
) -> Response:
    """Send a request, and read its answer. Redirects are not followed.

    Args:
        connection: The connection, whose deadline is running.
        request: The request in one piece, or in several to send one after the other.
        method: Its method.
        longest: How many bytes of the answer's body to return.

    Raises:
        OSError: The connection broke, or the deadline has passed.
        HTTPException: The answer is not valid HTTP, or larger than anybody reads.
    """
    is_sent = all(connection.send(memoryview(piece)) for piece in request)
    response = _begun(connection, method)
    body, is_whole = _body_of(response, connection, longest)
    return Response(
        status=response.status,
        headers=response.headers,
        body=decompressed(body, response.headers.get_all("Content-Encoding"), longest),
        is_last=not (is_sent and is_whole and _is_clear(response) and connection.is_drained),
    )


def _begun(connection: Connection, method: str) -> HTTPResponse:
    """Return the final answer, whose headers are read. Interim ones may precede it."""
    for _ in range(_MOST_INTERIM):
        response = HTTPResponse(cast("socket.socket", connection), method=method)
        response.begin()  # skips `100 Continue`, until there is no room for more
        if response.status >= _FINAL:
            return response
        if response.status == _SWITCHING_PROTOCOLS:  # nobody asked for that
            raise BadStatusLine("")
    raise TooMuch


def _body_of(response: HTTPResponse, connection: Connection, longest: int) -> tuple[bytes, bool]:
    """Return the start of the body, and whether there is no more of it."""
    pieces: list[bytes] = []
    left = longest + _DRAIN
    connection.limit(left + MOST_HEAD)  # the sizes of chunks need room too
    try:
        while left > 0 and response.length != 0:
            piece = response.read1(left)
            if not piece:
                break
            pieces.append(piece)
            left -= len(piece)
    except TooMuch:
        left = 0
    if left > 0 and response.length and not response.chunked:
        raise IncompleteRead(b"")
    return b"".join(pieces), left > 0


def _is_clear(response: HTTPResponse) -> bool:
    """Whether the end of an answer is beyond doubt, so that another one can follow it."""
    lengths = response.headers.get_all("Content-Length") or []
    codings = response.headers.get_all("Transfer-Encoding") or []
    has_length = len(lengths) == 1 and lengths[0].isdecimal() and not codings
    return not response.will_close and (has_length or (bool(response.chunked) and not lengths))


def decompressed(body: bytes, codings: list[str] | None, longest: int) -> bytes:
    """Return the start of a body, decompressed. It is empty if the body cannot be decompressed."""
    if not codings:
        return body[:longest]
    coding = ",".join(codings).strip().lower()
    # RFC 9110 section 8.4.1.2: what is called deflate has a header (zlib), or has none.
    formats = {
        "gzip": [16 + zlib.MAX_WBITS],
        "x-gzip": [16 + zlib.MAX_WBITS],
        "deflate": [zlib.MAX_WBITS, -zlib.MAX_WBITS],
    }
    if coding not in formats:
        return body[:longest]
    for each in formats[coding]:
        try:
            return zlib.decompressobj(each).decompress(body, longest)
        except zlib.error:
            continue
    return b""


def problem_of(error: Exception, timeout: float) -> tuple[str, str]:
    """Return why there was no answer: a code, and a sentence that is not escaped.

    Args:
        error: One of `PROBLEMS`.
        timeout: How many seconds there were, for the sentence.
    """
    match error:
        case TimeoutError():
            return "timeout", f"no whole response within {timeout:g} s"
        case ssl.SSLCertVerificationError():
            hint = "SSL_CERT_FILE names a file with the certificates to trust"
            return "tls", f"the certificate is not trusted: {error.verify_message}. {hint}"
        case socket.gaierror() | UnicodeError():
            return "name-not-found", "no host has this name"
        case ProxyRefused():
            return "proxy", str(error.strerror)
        case IncompleteRead():
            return "connection", "the connection was closed before the whole response"
        case _ if isinstance(error, GONE):
            return "connection", "the connection was closed before the whole response"
        case ssl.SSLError():
            return "tls", "the receiver does not speak TLS: is its URL http://...?"
        case OSError():
            return "connection", f"no connection: {error.strerror}"
        case _:
            return "no-http", "the response is not valid HTTP"
