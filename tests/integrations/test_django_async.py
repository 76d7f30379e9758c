"""Django with async views, served by uvicorn and reached over HTTP."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from hashlib import sha256

import pytest

from tests.integrations.conformance import BODY, LIMITED, SIGNATURE, URLENCODED, Conformance, signed
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


@pytest.mark.parametrize(
    "path",
    [
        "frappe",
        "in-a-thread/x",
        "dispatched/x",
        "decorated/x",
        "awaited/x",
        "as-view/x",
        "sync/x",
        "sync-class/x",
    ],
)
def test_every_kind_of_view(server: Server, path: str) -> None:
    """A signed request gets through to any kind of view, sync ones too; an unsigned one to none."""
    answer = server.send(f"/{path}", BODY, signed())

    assert answer.status == 200
    assert answer.json()["sha256"] == sha256(BODY).hexdigest()
    assert server.send(f"/{path}", BODY).outcome == (401, "missing-header")
    assert server.send(f"/{path}", b"{}", signed()).outcome == (401, "signature-mismatch")
    assert server.send(f"/{path}", [BODY], signed()).status == 200


@pytest.mark.parametrize("path", ["dispatched/x", "decorated/x", "awaited/x", "as-view/x"])
def test_every_method_of_a_class(server: Server, path: str) -> None:
    """A decorated class lets nothing through, not even a method that it does not have."""
    answer = server.send(f"/{path}", b"", signed(b""), method="GET")

    assert (answer.json()["method"], answer.json()["name"]) == ("get", "x")
    assert server.send(f"/{path}", method="GET").status == 401
    assert server.send(f"/{path}", BODY, signed(), method="PUT").status == 405
    assert server.send(f"/{path}", BODY, method="PUT").status == 401


@pytest.mark.parametrize("path", ["class-json/dispatched", "class-json/decorated", "sync-json"])
def test_body_that_is_no_json(server: Server, path: str) -> None:
    """What a class or a sync view cannot parse is the sender's mistake too."""
    assert server.send(f"/{path}", BODY, signed()).json() == {"json": {"order": "SO-00001"}}
    assert server.send(f"/{path}", b"{", signed(b"{")).outcome == (400, "malformed-payload")


def test_csrf(server: Server) -> None:
    """An async view is exempt if it is decorated, and only then."""
    answer = server.send("/not-exempt", BODY, signed())

    assert answer.status == 403
    assert b"CSRF" in answer.body


def test_large_form(server: Server) -> None:
    """A form that Django has put into a file stays readable."""
    content = b"hello" * 1_000_000
    head = b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
    body = b"%s%s\r\n--x--\r\n" % (head, content)
    typed = signed(body, Content_Type="multipart/form-data; boundary=x")

    answer = server.send("/form", body, typed)

    assert answer.json() == {"form": {}, "files": {"f": content.decode()}}


def test_form_of_unknown_length(server: Server) -> None:
    """Such a form stays readable too; a multipart one Django takes for empty."""
    headers = signed(b"a=1", Content_Type=URLENCODED)

    assert server.send("/form", [b"a=1"], headers).json() == {"form": {"a": "1"}, "files": {}}
