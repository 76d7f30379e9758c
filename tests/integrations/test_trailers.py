"""What uvicorn makes of a signature in a trailer, after the body. SECURITY.md describes it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http.client import HTTPResponse

import pytest

from tests.integrations.conformance import BODY, signed
from tests.loopback import Answer, Server, uvicorn

((NAME, SIGNATURE),) = signed().items()
RIGHT = f"{NAME}: {SIGNATURE}\r\n".encode()
WRONG = f"{NAME}: {'A' * 43}=\r\n".encode()
START = b"POST /frappe HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY)


@pytest.fixture(scope="module", params=["h11", "httptools"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, Server]]:
    """A uvicorn with each of its two parsers, and the parser's name."""
    with uvicorn("tests.integrations.starlette_app:app", "--http", request.param) as running:
        yield request.param, running


@pytest.mark.parametrize(
    ("header", "trailer", "by_h11", "by_httptools"),
    [
        (b"", RIGHT, (401, "missing-header"), (200, "")),
        (b"", WRONG, (401, "missing-header"), (401, "signature-mismatch")),
        (RIGHT, WRONG, (200, ""), (400, "duplicate-header")),
        (WRONG, RIGHT, (401, "signature-mismatch"), (400, "duplicate-header")),
    ],
    ids=["right", "wrong", "wrong beside a right header", "right beside a wrong header"],
)
def test_in_one_packet(
    server: tuple[str, Server],
    header: bytes,
    trailer: bytes,
    by_h11: tuple[int, str],
    by_httptools: tuple[int, str],
) -> None:
    """With httptools, a trailer is appended to the headers, and must match like them."""
    parser, running = server

    answer = running.send_bytes(START + header + b"\r\n" + CHUNKS + trailer + b"\r\n")

    assert answer.outcome == {"h11": by_h11, "httptools": by_httptools}[parser]


def test_missing_until_later(server: tuple[str, Server]) -> None:
    """A request without a signature is refused before a later packet could bring one."""
    _, running = server

    assert running.send_bytes(START + b"\r\n" + CHUNKS).outcome == (401, "missing-header")


@pytest.mark.parametrize(
    ("header", "trailer", "outcome"),
    [(RIGHT, WRONG, (200, "")), (WRONG, RIGHT, (401, "signature-mismatch"))],
    ids=["wrong", "right"],
)
def test_in_a_later_packet(
    server: tuple[str, Server], header: bytes, trailer: bytes, outcome: tuple[int, str]
) -> None:
    """A trailer that arrives after the headers were read changes nothing."""
    _, running = server
    with socket.create_connection(("127.0.0.1", running.port), timeout=30) as connection:
        connection.sendall(START + header + b"Expect: 100-continue\r\n\r\n")
        # The server sends this once the adapter asks for the body: it has the headers then.
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"

        connection.sendall(CHUNKS + trailer + b"\r\n")
        with HTTPResponse(connection, method="POST") as response:
            response.begin()
            assert Answer.read(response).outcome == outcome
