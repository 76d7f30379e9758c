"""Receivers on loopback that do what a test tells them, byte for byte."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

from frappe_hooksig.sending import AddressGuard, Sender

TLS = Path(__file__).parent / "tls"
SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
LOOPBACK = AddressGuard(["127.0.0.0/8", "::1"])
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER

#: What a server does with a connection. It is closed afterwards.
Answer: TypeAlias = Callable[[socket.socket], object]


class Server:
    """A server that has a thread for each connection.

    Attributes:
        port: Where it listens.
        url: A URL of it.
        connections: How many connections there were.
        names: For each connection with TLS, the name that the client asked for (SNI), or None.
    """

    def __init__(
        self, listener: socket.socket, answer: Answer, context: ssl.SSLContext | None
    ) -> None:
        self._listener = listener
        self._answer = answer
        self._context = context
        self._open: set[socket.socket] = set()
        self.port: int = listener.getsockname()[1]
        host = listener.getsockname()[0] if context is None else "localhost"
        self.url = f"{'http' if context is None else 'https'}://{host}:{self.port}/hook?token=t0ken"
        self.connections = 0
        self.names: list[str | None] = []

    def serve(self) -> None:
        """Answer until the listener is closed."""
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        self._open.add(connection)
        with suppress(OSError, StopIteration), connection:
            connection.settimeout(30)
            if self._context is None:
                self._answer(connection)
            else:
                with self._context.wrap_socket(connection, server_side=True) as encrypted:
                    self._open.add(encrypted)
                    self._answer(encrypted)

    def stop(self) -> None:
        """Stop, and close all connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def serving(
    answer: Answer, *, certificate: str = "", host: str = "127.0.0.1", port: int = 0
) -> Iterator[Server]:
    """Run a server until the block ends; with TLS if there is a certificate."""
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(TLS / certificate)
        context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_server((host, port)) as listener:
        server = Server(listener, answer, context)
        if context is not None:
            context.sni_callback = lambda _, name, __: server.names.append(name)
        threading.Thread(target=server.serve, daemon=True).start()
        try:
            yield server
        finally:
            server.stop()


def sender(timeout: float = 10, **options: object) -> Sender:
    """Return a sender that may connect to loopback, and trusts the certificates of these tests."""
    context = ssl.create_default_context(cafile=TLS / "ca.pem")
    context.set_alpn_protocols(["http/1.1"])
    defaults = {"guard": LOOPBACK, "timeout": timeout, "ssl_context": context}
    return Sender(SECRET, **{**defaults, **options})  # type: ignore[arg-type]


def request_of(connection: socket.socket) -> bytes:
    """Read a request to the end of its body; nothing if the client is gone."""
    request = b""
    while b"\r\n\r\n" not in request:
        more = connection.recv(65536)
        if not more:
            return b""
        request += more
    head, _, body = request.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        more = connection.recv(65536)
        if not more:
            return b""
        body += more
    return head + b"\r\n\r\n" + body


def answering(*answers: bytes) -> Answer:
    """Answer each request of a connection with the next answer, the last one again and again."""

    def answer(connection: socket.socket) -> None:
        left = list(answers)
        while request_of(connection):
            connection.sendall(left[0])
            if len(left) > 1:
                left.pop(0)

    return answer


def once(*answers: bytes) -> Answer:
    """Answer one request, in pieces, and close the connection."""

    def answer(connection: socket.socket) -> None:
        request_of(connection)
        for each in answers:
            connection.sendall(each)

    return answer


def reset(connection: socket.socket) -> None:
    """End a connection with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()
