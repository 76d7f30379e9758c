"""A load generator: raw requests over connections that are kept alive, all of them busy."""

from __future__ import annotations

import re
import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice
from time import perf_counter_ns

from benchmarks.comparison import Request

# One is being answered while the others wait, so that the server and not the wire is measured.
CONNECTIONS = 4


class Load:
    """Connections to a server on 127.0.0.1.

    Args:
        connections: The connections.
        expected: The status of each answer.
    """

    def __init__(self, connections: list[socket.socket], expected: int = 200) -> None:
        self._connections = connections
        self._expected = expected

    def run(self, message: bytes, times: int) -> int:
        """Send a request so many times; return the nanoseconds until the last answer.

        Raises:
            RuntimeError: An answer has another status than expected.
        """
        waiting = cycle(self._connections)
        start = perf_counter_ns()
        for connection in islice(self._connections, times):
            connection.sendall(message)
        for sent in range(len(self._connections), times + len(self._connections)):
            connection = next(waiting)
            status = answer_status(connection)
            if status != self._expected:
                msg = f"HTTP {status}"
                raise RuntimeError(msg)
            if sent < times:
                connection.sendall(message)
        return perf_counter_ns() - start

    def status(self, message: bytes) -> int:
        """Send a request once; return the status of the answer."""
        self._connections[0].sendall(message)
        return answer_status(self._connections[0])


@contextmanager
def connected(port: int, connections: int = CONNECTIONS, expected: int = 200) -> Generator[Load]:
    """Keep connections open until the block ends.

    Use all of them at once: gunicorn waits seconds for a new one's request before the next one's.
    """
    with ExitStack() as stack:
        sockets = [socket.create_connection(("127.0.0.1", port), 30) for _ in range(connections)]
        yield Load([stack.enter_context(each) for each in sockets], expected)


def message(path: str, request: Request) -> bytes:
    """Return a request as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    body: bytes = request.body
    return "\r\n".join([*lines, "", ""]).encode() + body


def answer_status(connection: socket.socket) -> int:
    """Read one answer to its end; return its status."""
    head, separator, body = b"", b"", b""
    while not separator:
        head += _received(connection)
        head, separator, body = head.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)^content-length: *(\d+)", head, re.MULTILINE)
    while length and len(body) < int(length[1]):
        body += _received(connection)
    return int(head.split(b" ", 2)[1])


def _received(connection: socket.socket) -> bytes:
    data: bytes = connection.recv(65536)
    if not data:
        msg = "the server closed the connection"
        raise RuntimeError(msg)
    return data
