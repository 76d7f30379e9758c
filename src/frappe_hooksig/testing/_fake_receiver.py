"""A receiver on loopback that answers as it is told, to test senders."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Condition, Event, Thread
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from frappe_hooksig._raw_body import MAX_BODY
from frappe_hooksig.exceptions import ConfigurationError

if TYPE_CHECKING:
    from typing_extensions import Self

# How often the server looks whether it has to stop, in seconds.
_POLL = 0.02
_LONGEST_LINE = 1024  # bytes, of a chunk's size or a trailer
_STATUSES = range(200, 600)
_WITHOUT_BODY = frozenset({204, 304})  # RFC 9110 section 6.4.1
# SO_LINGER with a time of zero: close() discards what is unsent, and resets the connection.
_RESET = struct.pack("ii", 1, 0)


class Answer:
    """A response of a `FakeReceiver`.

    Attributes:
        status: The HTTP status, from 200 to 599.
        body: The body.
        headers: More headers.
        delay: How long to wait before the response, in seconds.
    """

    __slots__ = ("body", "delay", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        delay: float = 0.0,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = dict(headers or {})
        self.delay = delay

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status}, {len(self.body)} bytes, {self.delay:g} s>"


#: How a `FakeReceiver` answers a request: a status, "timeout", "reset" or an `Answer`.
AnswerLike: TypeAlias = int | Literal["timeout", "reset"] | Answer


class ReceivedRequest:
    """A request that came to a `FakeReceiver`.

    Attributes:
        method: The HTTP method.
        path: The path with its query, as it was sent.
        headers: The (name, value) pairs, in their order. A character of a value is a byte
            (ISO 8859-1).
        body: The raw body.
        at: When all of it had come, in Unix seconds.
    """

    __slots__ = ("at", "body", "headers", "method", "path")

    def __init__(
        self, method: str, path: str, headers: Sequence[tuple[str, str]], body: bytes, at: float
    ) -> None:
        self.method = method
        self.path = path
        self.headers = [*headers]
        self.body = body
        self.at = at

    def json(self) -> Any:
        """Return the body, parsed as JSON.

        Raises:
            ValueError: The body is not JSON.
        """
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """Return the first value of a header, in whatever case its name is, or None."""
        lower = name.lower()
        return next((value for each, value in self.headers if each.lower() == lower), None)

    def __repr__(self) -> str:
        names = ", ".join(name for name, _ in self.headers)
        return (
            f"<{type(self).__name__} {self.method} {self.path}, {len(self.body)} bytes, "
            f"headers {names}>"
        )


class FakeReceiver:
    """A receiver on 127.0.0.1 that keeps what comes, and answers as it is told.

    >>> with FakeReceiver([500, 200]) as receiver:
    ...     pass  # send to receiver.url, then look at receiver.requests

    Args:
        answers: How to answer the first request that comes, the second, and so on; the last one
            answers all that follow. Each is an HTTP status; an `Answer`; "timeout", which never
            answers; or "reset", which resets the connection. A request with a body of more than 25
            MiB, or with a broken one, does not count.

    Raises:
        ConfigurationError: An answer is none of these.
    """

    def __init__(self, answers: Sequence[AnswerLike] = (200,)) -> None:
        self._requests: list[ReceivedRequest] = []
        self._arrival = Condition()
        self._server: _Server | None = None
        is_list = isinstance(answers, list | tuple)
        self._answers: list[AnswerLike] = [*answers] if is_list else []
        if not self._answers:
            msg = 'answers= must be a list with an answer or more, such as [500, "timeout", 200]'
            raise ConfigurationError(msg)
        for each in self._answers:
            status = each.status if isinstance(each, Answer) else each
            if status not in ("timeout", "reset") and status not in _STATUSES:
                msg = f'an answer must be a status from 200 to 599, "timeout" or "reset": {each!r}'
                raise ConfigurationError(msg)

    def __enter__(self) -> Self:
        self._server = _Server(self._keep)
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running().stop()
        self._server = None

    @property
    def url(self) -> str:
        """The URL to send to. Any path below it will do.

        Raises:
            RuntimeError: The receiver does not run.
        """
        return f"http://127.0.0.1:{self._running().server_address[1]}/"

    def _running(self) -> _Server:
        if self._server is None:
            msg = "the receiver does not run: use it as `with FakeReceiver() as receiver:`"
            raise RuntimeError(msg)
        return self._server

    @property
    def requests(self) -> list[ReceivedRequest]:
        """The requests that have come so far, in their order."""
        with self._arrival:
            return [*self._requests]

    def wait_for(self, number: int, timeout: float = 5.0) -> list[ReceivedRequest]:
        """Wait until so many requests have come, and return all that have.

        Args:
            number: The number of requests.
            timeout: How long to wait, in seconds.

        Raises:
            AssertionError: Fewer have come in this time.
        """
        with self._arrival:
            if not self._arrival.wait_for(lambda: len(self._requests) >= number, timeout):
                msg = f"{len(self._requests)} of {number} requests have come in {timeout:g} s"
                raise AssertionError(msg)
            return [*self._requests]

    def _keep(self, request: ReceivedRequest) -> AnswerLike:
        """Keep a request, and return how to answer it."""
        with self._arrival:
            answer = self._answers[min(len(self._requests), len(self._answers) - 1)]
            self._requests.append(request)
            self._arrival.notify_all()
        return answer

    def __repr__(self) -> str:
        return f"<{type(self).__name__} with {len(self.requests)} requests>"


class _Server(ThreadingTCPServer):
    """The server of a receiver, with a thread for each connection."""

    request_queue_size = 128  # connections at once

    def __init__(self, keep: Callable[[ReceivedRequest], AnswerLike]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.keep = keep
        self.is_stopping = Event()
        self._connections: set[socket.socket] = set()
        self._thread = Thread(target=self.serve_forever, args=(_POLL,), daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait for the threads of all connections."""
        self.shutdown()
        self._thread.join()
        self.is_stopping.set()
        for each in self._connections.copy():
            with suppress(OSError):  # it is closed already
                each.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that hangs up is no error of the receiver."""


class _Handler(BaseHTTPRequestHandler):
    """Reads one request of a connection, and answers it."""

    protocol_version = "HTTP/1.1"  # so that `Expect: 100-continue` is answered
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def parse_request(self) -> bool:
        is_request = super().parse_request()
        self.close_connection = True
        return is_request

    def _receive(self) -> None:
        try:
            body = self._read_body()
        except ValueError as error:
            self.send_error(413 if isinstance(error, _TooLarge) else 400)
            return
        request = ReceivedRequest(
            self.command, self.path, self.headers.items(), body, at=time.time()
        )
        answer = self.server.keep(request)
        if answer == "timeout":
            while self.connection.recv(_LONGEST_LINE):
                pass  # until the client hangs up, or the receiver stops
        elif answer == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            socket.close(self.connection.detach())
        else:
            self._answer(answer if isinstance(answer, Answer) else Answer(answer))

    do_DELETE = do_GET = do_HEAD = do_OPTIONS = do_PATCH = do_POST = do_PUT = _receive  # noqa: N815

    def _answer(self, answer: Answer) -> None:
        if self.server.is_stopping.wait(answer.delay):
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        has_body = answer.status not in _WITHOUT_BODY
        if has_body:
            self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if has_body and self.command != "HEAD":
            self.wfile.write(answer.body)

    def _read_body(self) -> bytes:
        """Return the whole body.

        Raises:
            ValueError: It is broken, or too large.
        """
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._read_chunks()
        return self._read(int(self.headers.get("Content-Length", "0")), MAX_BODY)

    def _read_chunks(self) -> bytes:
        """Return a body whose parts have their sizes before them (RFC 9112 section 7.1)."""
        body = b""
        while size := int(self.rfile.readline(_LONGEST_LINE).partition(b";")[0], 16):
            body += self._read(size, MAX_BODY - len(body))
            self.rfile.readline(_LONGEST_LINE)
        while self.rfile.readline(_LONGEST_LINE).strip():
            pass  # trailers
        return body

    def _read(self, size: int, limit: int) -> bytes:
        if size > limit:
            raise _TooLarge
        found = self.rfile.read(size) if size > 0 else b""
        if len(found) != size:
            msg = "the client has hung up"
            raise ValueError(msg)
        return found

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Write no log."""


class _TooLarge(ValueError):
    """A body is larger than any that a receiver takes."""
