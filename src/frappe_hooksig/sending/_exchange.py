"""One HTTP exchange over a connection: send a request, and read a hostile answer."""

from __future__ import annotations

import re
import socket
import ssl
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.client import BadStatusLine, HTTPException, HTTPMessage, HTTPResponse
from io import BufferedReader
from typing import Final

from frappe_hooksig.sending._connection import (
    GONE,
    MOST_HEAD,
    Connection,
    ProxyRefused,
    TooMuch,
    begun,
)
from frappe_hooksig.sending._lookup import is_unanswered

#: What the steps of an exchange raise because of a receiver or its name.
PROBLEMS: Final = (OSError, HTTPException, ValueError)

_MOST_INTERIM = 100  # answers before the final one, such as 103 Early Hints
_DRAIN = 16_384  # bytes that are read and dropped, so that the connection can be used again

_ZLIB = b"\x78"  # RFC 1950 section 2.2, with the usual window

_SWITCHING_PROTOCOLS = 101
_FINAL = 200  # the first status that is not interim
_SUCCESS: Final = range(200, 300)

_PIECE = 16_384  # bytes of a body that are read at once

# RFC 9112 section 7.1, with as many digits as a size can need.
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r?\n")
_LINE_ENDS: Final = (b"\r\n", b"\n")

# What OpenSSL says if the other side does not speak TLS.
_NO_TLS: Final = {
    *("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL"),
    *("PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"),
}


class BadChunk(HTTPException):
    """A chunked body is none."""


class AnsweredTooSoon(OSError):
    """A receiver answers that all is well, and has not taken the whole request."""

    def __init__(self, status: int) -> None:
        super().__init__(
            None, f"the receiver answered HTTP {status} before it had the whole message"
        )


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
    connection: Connection, request: Iterable[memoryview], *, method: str, longest: int
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
    is_sent = all(connection.send(piece) for piece in request)
    response = _final(connection, method)
    if not is_sent and response.status in _SUCCESS:
        raise AnsweredTooSoon(response.status)
    body, is_whole = _body_of(response, connection, longest)
    return Response(
        status=response.status,
        headers=response.headers,
        body=decompressed(body, response.headers.get_all("Content-Encoding"), longest),
        is_last=not (is_sent and is_whole and _is_clear(response) and connection.is_drained),
    )


def _final(connection: Connection, method: str) -> HTTPResponse:
    """Return the final answer, whose headers are read. Interim ones may precede it."""
    for _ in range(_MOST_INTERIM):
        response = begun(connection, method)  # until there is no room for more
        if response.status >= _FINAL:
            return response
        if response.status == _SWITCHING_PROTOCOLS:  # nobody asked for that
            raise BadStatusLine(str(response.status))
    raise TooMuch


def _body_of(response: HTTPResponse, connection: Connection, longest: int) -> tuple[bytes, bool]:
    """Return the start of the body, and whether there is no more of it."""
    pieces: list[bytes] = []
    left = longest + _DRAIN
    connection.limit(left + MOST_HEAD)  # the sizes of chunks need room too
    try:
        for piece in _pieces_of(response):
            pieces.append(piece)
            left -= len(piece)
            if left <= 0:
                break
    except TooMuch:
        left = 0
    if left > 0 and response.length:
        raise ConnectionResetError
    return b"".join(pieces), left > 0


def _pieces_of(response: HTTPResponse) -> Iterator[bytes]:
    """Return the pieces of a body that come until its end, or that of the connection."""
    if response.length == 0:  # also where a status or a method has none
        return iter(())
    if response.chunked:
        return _chunks(response.fp)
    return iter(partial(response.read1, _PIECE), b"")


def _chunks(reader: BufferedReader) -> Iterator[bytes]:
    """Return the pieces of a chunked body, and read its trailer (RFC 9112 section 7.1).

    `http.client` would take sizes such as `-5`, `0x5` and `1_0`, and any two bytes after a chunk.
    """
    while left := _size_of(reader.readline(MOST_HEAD)):
        while left:
            piece = reader.read1(min(left, _PIECE))
            if not piece:
                raise ConnectionResetError
            left -= len(piece)
            yield piece
        if reader.readline(2) not in _LINE_ENDS:
            raise BadChunk
    while (line := reader.readline(MOST_HEAD)) not in _LINE_ENDS:
        if not line.endswith(b"\n"):
            raise TooMuch


def _size_of(line: bytes) -> int:
    """Return the size of the chunk that follows."""
    found = _CHUNK_SIZE.fullmatch(line)
    if found is None:
        raise BadChunk
    return int(found[1], 16)


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
    if coding not in {"gzip", "x-gzip", "deflate"}:
        return body[:longest]
    # RFC 9110 section 8.4.1.2: what is called deflate begins like zlib, or is raw.
    is_raw = coding == "deflate" and body[:1] != _ZLIB
    stream = zlib.decompressobj(-zlib.MAX_WBITS if is_raw else zlib.MAX_WBITS + 32)
    try:
        return stream.decompress(body, longest)
    except zlib.error:
        return b""


def problem_of(error: Exception, timeout: float) -> tuple[str, str]:
    """Return why there was no answer: a code, and a sentence that is not escaped.

    Args:
        error: One of `PROBLEMS`.
        timeout: How many seconds there were, for the sentence.
    """
    reason = "connection"
    match error:
        case TimeoutError():
            reason, problem = "timeout", f"no whole response within {timeout:g} s"
        case _ if is_unanswered(error):
            reason, problem = "name-server", "the name server gave no answer"
        case socket.gaierror() | UnicodeError():
            reason, problem = "name-not-found", "no host has this name"
        case ProxyRefused():
            reason, problem = "proxy", str(error.strerror)
        case AnsweredTooSoon():
            problem = str(error.strerror)
        case _ if isinstance(error, GONE):
            problem = "the connection was closed before the whole response"
        case ssl.SSLError():
            reason, problem = "tls", _tls_problem(error)
        case OSError():
            problem = f"no connection: {error.strerror or type(error).__name__}"
        case _:
            reason, problem = "no-http", "the response is not valid HTTP"
    return reason, problem


def _tls_problem(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate is not trusted: {error.verify_message}. SSL_CERT_FILE names a "
            "file with the certificates to trust"
        )
    reason: str | None = getattr(error, "reason", None)  # of OpenSSL
    if reason in _NO_TLS:
        return "the receiver does not speak TLS: is its URL http://...?"
    problem = reason.replace("_", " ").lower() if reason else error.strerror
    return f"TLS failed: {problem or type(error).__name__}"
