"""Django with async views, served by uvicorn and reached over HTTP."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.integrations.conformance import LIMITED, SIGNATURE, Conformance, signed
from tests.integrations.test_django import SETTINGS
from tests.loopback import Server, uvicorn


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A uvicorn."""
    urls = "tests.integrations.django_async_app"
    environment = {"DJANGO_SETTINGS_MODULE": SETTINGS, "DJANGO_URLS": urls}
    app = "django.core.asgi:get_asgi_application"
    with uvicorn(app, "--factory", "--lifespan=off", **environment) as running:
        yield running


class TestConformance(Conformance):
    """Django with async views under uvicorn."""

    KEPT = ("body", "post", "get", "headers")
    GONE = ("read", "part-of-read", "readline")

    # Under ASGI, Django receives the whole body before it looks for a view. The answer is the
    # same, and comes later.

    @pytest.fixture
    def connection(self, server: Server) -> Iterator[socket.socket]:
        """A connection that stays open, as uvicorn answers nothing on one that is half closed."""
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connected:
            yield connected

    def test_announced_length_is_enough(self, connection: socket.socket) -> None:  # type: ignore[override]
        """A body that is too large is refused once it has come."""
        head = f"POST /limited HTTP/1.1\r\nHost: x\r\n{SIGNATURE}: {signed()[SIGNATURE]}\r\n"
        connection.sendall(f"{head}Content-Length: {LIMITED + 1}\r\n\r\n".encode())
        connection.sendall(b"x" * (LIMITED + 1))

        assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")

    def test_unsigned_body_is_not_awaited(self, connection: socket.socket) -> None:  # type: ignore[override]
        """So is a request without a signature."""
        connection.sendall(b"POST /frappe HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")

        assert connection.recv(65_536).startswith(b"HTTP/1.1 401 ")
