"""A receiver that only answers: each answer says how many connections there were so far."""

from __future__ import annotations

import re
import socket
from itertools import count
from threading import Thread


def main() -> None:
    """Serve on a free port, and print the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        for number in count(1):
            connection, _ = listener.accept()
            Thread(target=_answer, args=(connection, b"%d" % number), daemon=True).start()


def _answer(connection: socket.socket, body: bytes) -> None:
    head = (
        b"HTTP/1.1 200 OK\r\nServer: sink\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
    )
    answer = head % len(body) + body
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while _read(connection):
            connection.sendall(answer)


def _read(connection: socket.socket) -> bool:
    """Read a request; return whether there was one."""
    request = b""
    while b"\r\n\r\n" not in request:
        more = connection.recv(65536)
        if not more:
            return False
        request += more
    head, _, body = request.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    left = int(found[1]) - len(body) if found else 0
    while left > 0 and (more := connection.recv(65536)):
        left -= len(more)
    return left <= 0


if __name__ == "__main__":
    main()
