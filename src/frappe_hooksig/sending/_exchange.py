"""One HTTP exchange over a connection: send a request, and read a hostile answer."""

from __future__ import annotations

import re
import socket
import ssl
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from functools import partial
from http.client import HTTPException
from io import BufferedReader
from typing import Final

from frappe_hooksig.sending._connection import (
    GONE,
    LINE_ENDS,
    MOST_HEAD,
    Connection,
    Head,
    ProxyRefused,
    TooMuch,
    final_head,
    lines_of,
)
from frappe_hooksig.sending._lookup import is_unanswered

#: What the steps of an exchange raise because of a receiver or its name.
PROBLEMS: Final = (OSError, HTTPException, UnicodeError)

_DRAIN = 16_384  # bytes that are read and dropped, so that the connection can be used again

_ZLIB = b"\x78"  # RFC 1950 section 2.2, with the usual window

_SUCCESS: Final = range(200, 300)
_WITHOUT_BODY: Final = {204, 304}

_PIECE = 16_384  # bytes of a body that are read at once

# RFC 9112 section 7.1, with as many digits as a size can need.
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r?\n")
# RFC 9110 section 8.6, with as many digits as a length can need.
_LENGTH: Final = re.compile(r"[0-9]{1,18}")

# What OpenSSL says if the other side does not speak TLS.
_NO_TLS: Final = {
    *("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL"),
    *("PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"),
}


class BadChunk(HTTPException):
    """The chunked body is malformed."""


class BadFraming(HTTPException):
    """The headers do not say where the body ends."""


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
    headers: Message = field(repr=False)
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
        HTTPException: The answer is not valid HTTP, or larger than the limit.
    """
    is_sent = all(connection.send(piece) for piece in request)
    head = final_head(connection)
    if not is_sent and head.status in _SUCCESS:
        raise AnsweredTooSoon(head.status)
    framing = _framing_of(head, method)
    body, is_whole = _body_of(framing, connection, longest)
    return Response(
        status=head.status,
        headers=head.headers,
        body=decompressed(body, head.headers.get_all("Content-Encoding"), longest),
        is_last=not (is_sent and is_whole and framing.is_clear and connection.is_drained),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Framing:
    """Where an answer ends.

    Attributes:
        is_chunked: Whether the body says itself where it ends.
        length: The length of the body in bytes; None if it is chunked, or ends with the connection.
        is_clear: Whether the end is beyond doubt, so that another answer can follow it.
    """

    is_chunked: bool
    length: int | None
    is_clear: bool


def _framing_of(head: Head, method: str) -> _Framing:
    """Decide where an answer ends (RFC 9112 sections 6.3 and 9.3).

    Raises:
        BadFraming: There is an unknown coding, or a length that is none.
    """
    codings, lengths = _values(head, "Transfer-Encoding"), _values(head, "Content-Length")
    options = ",".join(_values(head, "Connection")).lower().split(",")
    may_stay = head.is_modern and "close" not in map(str.strip, options)
    if head.status in _WITHOUT_BODY or method == "HEAD":
        return _Framing(is_chunked=False, length=0, is_clear=may_stay and not codings)
    if codings:
        if [each.lower() for each in codings] != ["chunked"]:
            raise BadFraming
        return _Framing(is_chunked=True, length=None, is_clear=may_stay and not lengths)
    if not lengths:
        return _Framing(is_chunked=False, length=None, is_clear=False)
    if len({*lengths}) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise BadFraming
    is_clear = may_stay and len(lengths) == 1
    return _Framing(is_chunked=False, length=int(lengths[0]), is_clear=is_clear)


def _values(head: Head, name: str) -> list[str]:
    return head.headers.get_all(name, [])


def _body_of(framing: _Framing, connection: Connection, longest: int) -> tuple[bytes, bool]:
    """Return the start of the body, and whether there is no more of it."""
    pieces: list[bytes] = []
    left = longest + _DRAIN
    connection.limit(left + MOST_HEAD)  # the sizes of chunks need room too
    try:
        for piece in _pieces_of(framing, connection.reader):
            pieces.append(piece)
            left -= len(piece)
            if left <= 0:
                break
    except TooMuch:
        left = 0
    return b"".join(pieces), left > 0


def _pieces_of(framing: _Framing, reader: BufferedReader) -> Iterator[bytes]:
    """Return the pieces of a body that come until its end, or that of the connection."""
    if framing.is_chunked:
        return _chunks(reader)
    if framing.length is None:
        return iter(partial(reader.read1, _PIECE), b"")
    return _exactly(framing.length, reader)


def _exactly(left: int, reader: BufferedReader) -> Iterator[bytes]:
    while left:
        piece = reader.read1(min(left, _PIECE))
        if not piece:
            raise ConnectionResetError
        left -= len(piece)
        yield piece


def _chunks(reader: BufferedReader) -> Iterator[bytes]:
    """Return the pieces of a chunked body, and read its trailer (RFC 9112 section 7.1).

    `http.client` would take sizes such as `-5`, `0x5` and `1_0`, and any two bytes after a chunk.
    """
    while size := _size_of(reader.readline(MOST_HEAD)):
        yield from _exactly(size, reader)
        if reader.readline(2) not in LINE_ENDS:
            raise BadChunk
    for _ in lines_of(reader):
        pass


def _size_of(line: bytes) -> int:
    """Return the size of the chunk that follows."""
    found = _CHUNK_SIZE.fullmatch(line)
    if found is None:
        raise BadChunk
    return int(found[1], 16)


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
