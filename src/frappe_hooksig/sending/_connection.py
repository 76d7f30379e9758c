"""A connection whose operations have one deadline together, and that reads no endless answer."""

from __future__ import annotations

import re
import selectors
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from functools import cache
from http.client import BadStatusLine, HTTPException
from io import BufferedReader, RawIOBase
from typing import Any, Final

from frappe_hooksig.sending._deadline import Deadline
from frappe_hooksig.sending._lookup import Address, is_unanswered, look_up
from frappe_hooksig.sending._proxy import Proxy
from frappe_hooksig.sending._target import Target

#: All status lines and headers of an answer together, in bytes; also those of interim answers.
MOST_HEAD: Final = 65_536

#: How a line ends: RFC 9112 section 2.2 lets a recipient do without the return.
LINE_ENDS: Final = (b"\r\n", b"\n")

_SWITCHING_PROTOCOLS = 101
_FINAL = 200  # the first status that is not interim

_BUFFER = 8192  # bytes, of the reader
_RECORD = 16_384  # bytes of a record of TLS at most: RFC 8446 section 5.1

# RFC 9112 section 4. Many leave out the space before an empty reason.
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?\r?\n")

# RFC 9112 section 5. Other lines are skipped.
_HEADER: Final = re.compile(r"^([!#-'*+.^-z|~0-9A-Z-]+)[ \t]*:([^\n]*)", re.MULTILINE)
_FOLD: Final = re.compile(r"\r?\n[ \t]+")
_AROUND = " \t\r"  # a value

# The start of an answer after which the rest of a request is not sent. That is none of success:
# some receivers answer at once, and read on.
_REFUSAL: Final = re.compile(rb"(?:\A|\n\r?\n)HTTP/1\.[01] [3-9]")
_OVERLAP = len(b"\n\r\nHTTP/1.1 3") - 1

# Errors that mean that the other side has closed the connection.
GONE: Final = (BrokenPipeError, ConnectionResetError, ConnectionAbortedError, ssl.SSLEOFError)

# Not select(), which cannot wait for a file descriptor above 1023. Windows has no poll().
_Selector: Any = getattr(selectors, "PollSelector", selectors.SelectSelector)


class TooMuch(HTTPException):
    """An answer is larger than the limit."""


class ProxyRefused(OSError):
    """The proxy makes no connection to the receiver, or cannot be reached."""

    def __init__(self, problem: str) -> None:
        super().__init__(None, problem)


class Connection:
    """A connection to a receiver.

    Args:
        connected: The socket, encrypted if need be.
        address: The address of the receiver.

    Attributes:
        address: The address of the receiver.
        reader: Reads its answers.
        opened: When it was opened, by `time.monotonic()`.
        used: When it was last used, by the same clock.
    """

    __slots__ = ("_socket", "_stream", "address", "opened", "reader", "used")

    def __init__(self, connected: socket.socket, address: str) -> None:
        self._socket = connected
        self._stream = _Stream(connected)
        self.reader: BufferedReader = _Reader(self._stream, _BUFFER)
        self.address = address
        self.opened = self.used = time.monotonic()

    def begin(self, deadline: Deadline) -> None:
        """Begin an exchange, which has to end before a deadline."""
        self._stream.begin(deadline)

    def limit(self, size: int) -> None:
        """Read this many more bytes at most, besides what is in the buffer already."""
        self._stream.room = size

    @property
    def has_answer(self) -> bool:
        """Whether any byte of an answer has come."""
        return self._stream.has_answer

    def send(self, data: memoryview) -> bool:
        """Send bytes. Return whether all were sent: a receiver may answer, or go, before that.

        Raises:
            OSError: They cannot be sent in time.
        """
        is_encrypted = isinstance(self._socket, ssl.SSLSocket)
        while data:
            piece = data[:_RECORD] if is_encrypted else data
            try:
                data = data[self._stream.in_time().send(piece) :]
            except GONE:  # perhaps after an answer, which can still be read
                return False
            if data and not self._stream.may_go_on():
                return False
        return True

    @property
    def is_drained(self) -> bool:
        """Whether nothing came after the answer."""
        self._stream.is_paused = True
        try:
            return not (self._stream.early or self.reader.peek(1) or self._is_decrypted)
        finally:
            self._stream.is_paused = False

    @property
    def is_alive(self) -> bool:
        """Whether nothing came while nobody waited: neither data nor the end."""
        return not (self._is_decrypted or _ready(self._socket, selectors.EVENT_READ, 0))

    @property
    def _is_decrypted(self) -> bool:
        """Whether OpenSSL has the rest of a record, which does not make the socket readable."""
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def close(self) -> None:
        """Close it."""
        self._socket.close()


class _Stream(RawIOBase):
    """What the reader reads: bytes that come in time, and not too many.

    Attributes:
        early: What came while the request was being sent, and was not read yet.
        room: How many bytes may still come.
        has_answer: Whether any byte has come.
        is_paused: Whether only what has come is wanted.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._deadline = Deadline(0)
        self.early = bytearray()
        self.room = 0
        self.has_answer = False
        self.is_paused = False

    def begin(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self.early = bytearray()
        self.room = MOST_HEAD
        self.has_answer = False

    def in_time(self) -> socket.socket:
        """Return the socket, whose next operation ends before the deadline."""
        self._socket.settimeout(self._deadline.left())
        return self._socket

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.is_paused:
            return None
        if self.early:
            size = min(len(buffer), len(self.early))
            buffer[:size] = self.early[:size]
            del self.early[:size]
            return size
        if self.room <= 0:
            raise TooMuch
        size = self.in_time().recv_into(buffer)
        self.room -= size
        self.has_answer = self.has_answer or size > 0
        return size

    def may_go_on(self) -> bool:
        """Wait until more can be sent. Return False if the receiver does not want more."""
        while True:
            wanted = selectors.EVENT_WRITE
            if len(self.early) < MOST_HEAD:
                wanted |= selectors.EVENT_READ
            events = _ready(self._socket, wanted, self._deadline.left())
            if events & selectors.EVENT_READ and self._is_answered():
                return False
            if events & selectors.EVENT_WRITE:
                return True

    def _is_answered(self) -> bool:
        """Whether there is a refusal, or nothing more will come."""
        self._socket.settimeout(0)
        try:
            more = self._socket.recv(_RECORD)  # a whole one: see `Connection._is_decrypted`
        except (BlockingIOError, ssl.SSLWantReadError):  # a message of TLS itself
            return False
        except GONE:
            return True
        start = max(0, len(self.early) - _OVERLAP)
        self.early += more
        self.room -= len(more)
        self.has_answer = self.has_answer or bool(more)
        return not more or bool(_REFUSAL.search(self.early, start))


class _Reader(BufferedReader):
    """The reader of a connection, which has an answer after another."""

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return a line with its end, or as many bytes as are wanted.

        Raises:
            ConnectionResetError: There is no more, so the line is none.
        """
        line = super().readline(size)
        if not line.endswith(b"\n") and len(line) != size:
            raise ConnectionResetError
        return line


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """The start of an answer: its status line and its headers.

    Attributes:
        is_modern: Whether it is HTTP/1.1, and not HTTP/1.0.
        status: The HTTP status.
        headers: The headers.
    """

    is_modern: bool
    status: int
    headers: Message = field(repr=False)


def final_head(connection: Connection) -> Head:
    """Read the head of the final answer, and skip interim ones, such as 103 Early Hints.

    Raises:
        OSError: The connection broke, or the deadline has passed.
        HTTPException: It is not valid HTTP, or larger than the limit.
    """
    while (head := _head(connection.reader)).status < _FINAL:  # until there is no room for more
        if head.status == _SWITCHING_PROTOCOLS:  # nobody asked for that
            raise BadStatusLine(str(head.status))
    return head


def _head(reader: BufferedReader) -> Head:
    found = _STATUS_LINE.fullmatch(reader.readline(MOST_HEAD))
    if found is None:
        msg = "not a status line of HTTP/1.0 or HTTP/1.1"
        raise BadStatusLine(msg)
    # Not http.client.parse_headers(): it stops at a line that is no header, and it raises TypeError
    # or ValueError if a multipart type has odd parameters.
    headers = Message()
    text = b"".join(lines_of(reader)).decode("latin-1")
    for name, value in _HEADER.findall(_FOLD.sub(" ", text)):
        headers[name] = value.strip(_AROUND)
    return Head(is_modern=found[1] == b"1", status=int(found[2]), headers=headers)


def lines_of(reader: BufferedReader) -> Iterator[bytes]:
    """Return the lines of headers or of a trailer, up to the empty line.

    Raises:
        TooMuch: A line is longer than the limit.
    """
    while (line := reader.readline(MOST_HEAD)) not in LINE_ENDS:
        if not line.endswith(b"\n"):
            raise TooMuch
        yield line


def _ready(connected: socket.socket, events: int, seconds: float) -> int:
    """Wait until a socket is ready, and return for what. That is 0 if the time is over."""
    with _Selector() as selector:
        selector.register(connected, events)
        ready: list[tuple[Any, int]] = selector.select(seconds)
        return ready[0][1] if ready else 0


def connect(
    target: Target,
    addresses: list[Address],
    deadline: Deadline,
    *,
    proxy: Proxy | None = None,
    context: ssl.SSLContext | None = None,
) -> Connection:
    """Connect to the first of several addresses that can be reached.

    Each of them gets an equal part of the time that is left when its turn comes.

    Args:
        target: Where the receiver is.
        addresses: The addresses of its host.
        deadline: When to give up.
        proxy: The proxy, if it makes the connection.
        context: How to encrypt; None for the usual way.

    Raises:
        OSError: None can be reached, or TLS fails.
    """
    via = [] if proxy is None else _addresses_of(proxy, deadline)
    problem = OSError(None, "the host has no address")
    for place, address in enumerate(addresses):
        part = Deadline(deadline.left() / (len(addresses) - place))
        try:
            if proxy is None:
                connected = _connected([address], part)
            else:
                connected = _through(proxy, via, address, part)
        except OSError as error:
            problem = error
            continue
        if target.is_https:
            # An address whose TLS fails is not followed by others: all of them are one receiver's.
            connected = _encrypted(connected, target.host, deadline, context)
        return Connection(connected, address.text)
    raise problem


def _connected(addresses: list[Address], deadline: Deadline) -> socket.socket:
    problem: OSError = OSError(None, "the host has no address")
    for place, (family, sockaddr) in enumerate(addresses):
        try:
            plain = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:  # such as of IPv6, which a system may not have
            problem = error
            continue
        try:
            plain.settimeout(deadline.left() / (len(addresses) - place))
            plain.connect(sockaddr)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            plain.close()
            problem = error
        except BaseException:  # such as a timeout of gevent, or a signal
            plain.close()
            raise
        else:
            return plain
    raise problem


def _addresses_of(proxy: Proxy, deadline: Deadline) -> list[Address]:
    try:
        return look_up(proxy.host, proxy.port, deadline)
    except TimeoutError:
        raise
    except (OSError, UnicodeError) as error:
        msg = "no host has the name of the proxy"
        if is_unanswered(error):
            msg = "the name server gave no answer about the proxy"
        raise ProxyRefused(msg) from None


def _through(
    proxy: Proxy, proxy_addresses: list[Address], address: Address, deadline: Deadline
) -> socket.socket:
    """Have a proxy connect to an address.

    Raises:
        OSError: It does not, or not in time.
    """
    try:
        plain = _connected(proxy_addresses, deadline)
    except TimeoutError:
        raise
    except OSError as error:
        msg = f"no connection to the proxy: {error.strerror}"
        raise ProxyRefused(msg) from None
    try:
        _ask(plain, proxy, address, deadline)
    except HTTPException:
        plain.close()
        msg = "the proxy does not speak HTTP"
        raise ProxyRefused(msg) from None
    except GONE:
        plain.close()
        msg = "the proxy closed the connection"
        raise ProxyRefused(msg) from None
    except BaseException:
        plain.close()
        raise
    return plain


def _ask(plain: socket.socket, proxy: Proxy, address: Address, deadline: Deadline) -> None:
    """Ask a proxy to connect to an address."""
    host = f"[{address.text}]" if ":" in address.text else address.text
    connection = Connection(plain, "")
    connection.begin(deadline)
    connection.send(proxy.request_to(f"{host}:{address.sockaddr[1]}"))
    head = final_head(connection)
    if head.status not in range(200, 300):
        msg = f"the proxy answered HTTP {head.status}"
        raise ProxyRefused(msg)
    if not connection.is_drained:
        msg = "the proxy sent more than an answer"
        raise ProxyRefused(msg)


def _encrypted(
    plain: socket.socket, host: str, deadline: Deadline, context: ssl.SSLContext | None
) -> ssl.SSLSocket:
    """Shake hands, and check the certificate: its name or its address must be the host's."""
    try:
        encrypted = (context or default_context()).wrap_socket(
            plain, server_hostname=host, do_handshake_on_connect=False
        )
    except BaseException:
        plain.close()
        raise
    try:
        encrypted.settimeout(deadline.left())
        encrypted.do_handshake()
    except BaseException:
        encrypted.close()
        raise
    return encrypted


@cache  # reading all certificates takes a while
def default_context() -> ssl.SSLContext:
    """Return how connections are encrypted by default."""
    return new_context()


def new_context() -> ssl.SSLContext:
    """Return how to encrypt, with the certificates that the system trusts now."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
