"""Starlette, served by uvicorn and reached over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from frappe_hooksig import ConfigurationError, RawBodyUnavailable, providers
from frappe_hooksig.integrations.starlette import (
    get_delivery,
    verify_frappe_webhook,
    verify_webhook,
)
from tests.integrations.conformance import (
    BODY,
    CAPTURES,
    LIMIT,
    OLD,
    SECRET,
    URLENCODED,
    Conformance,
    raw,
    signed,
)
from tests.integrations.starlette_app import Hook
from tests.loopback import Server, uvicorn

ENVIRONMENTS = "Gp7Wd1Qs5Zx8Bm2Kv6Yc0Nt4"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A uvicorn."""
    app = "tests.integrations.starlette_app:app"
    with uvicorn(app, FRAPPE_WEBHOOK_SECRET=ENVIRONMENTS) as running:
        yield running


class TestConformance(Conformance):
    """Starlette under uvicorn."""

    KEPT = ("body", "json", "nothing")
    GONE = ("form", "stream")


@pytest.mark.parametrize("path", ["/frappe", "/sync", "/class", "/mounted/hook", "/stream"])
def test_every_kind_of_endpoint(server: Server, path: str) -> None:
    """A signed request gets through to any kind of endpoint; an unsigned one to none."""
    answer = server.send(path, BODY, signed())

    assert answer.status == 200
    assert answer.json()["sha256"] == sha256(BODY).hexdigest()
    assert answer.json()["same"]
    assert server.send(path, BODY).outcome == (401, "missing-header")
    assert server.send(path, b"{}", signed()).outcome == (401, "signature-mismatch")


def test_methods_of_a_class(server: Server) -> None:
    """A decorated `def` method is verified too; the others are left alone."""
    assert server.send("/class", BODY, signed(), method="PUT").status == 200
    assert server.send("/class", BODY, method="PUT").status == 401
    assert server.send("/class", method="GET").body == b"open to everybody"


def test_endpoint_without_a_request(server: Server) -> None:
    """Without a request there is nothing to verify, and nothing runs."""
    text = "without_request: the first argument of a decorated endpoint must be Starlette's request"
    before = server.log.count(text)

    assert server.send("/without-request", BODY, signed()).status == 500
    assert server.has_logged(text, before + 1)


def test_secret_of_the_environment(server: Server) -> None:
    """The default is the environment variable."""
    assert server.send("/environment", BODY, signed(secret=ENVIRONMENTS)).status == 200
    assert server.send("/environment", BODY, signed()).status == 401


@pytest.mark.parametrize("kind", ["async-captures", "lambda-captures"])
def test_secret_that_is_waited_for(server: Server, kind: str) -> None:
    """A function for the secret may be async, or return what is to be awaited."""
    path = next(
        f"/{kind}/{index}"
        for index, capture in enumerate(CAPTURES)
        if capture.secret and capture.secret.isalnum()
    )
    right = next(each.secret for each in CAPTURES if each.secret and each.secret.isalnum())

    assert server.send(path, BODY, signed(secret=right)).status == 200
    assert server.send(path, BODY, signed()).outcome == (401, "signature-mismatch")
    assert server.send(f"/{kind}/999", BODY, signed()).outcome == (401, "signature-mismatch")


def test_json_of_starlette(server: Server) -> None:
    """Starlette's own request.json() reads the kept body, without a Content-Type too."""
    assert server.send("/starlette-json", BODY, signed()).json() == {
        "starlette": {"order": "SO-00001"}
    }


@pytest.mark.parametrize("body", [b"", b"{", b"\xff"], ids=repr)
def test_sync_endpoint_and_no_json(server: Server, body: bytes) -> None:
    """What a `def` endpoint cannot parse is the sender's mistake too."""
    assert server.send("/sync-json", body, signed(body)).outcome == (400, "malformed-payload")


def test_limit_of_a_verifier(server: Server) -> None:
    """A Verifier's own limit holds."""
    for size, outcome in ((10, (200, "")), (11, (413, "body-too-large"))):
        body = b"x" * size
        for sent in (body, [body[:6], body[6:]]):
            assert server.send("/verifier", sent, signed(body, OLD)).outcome == outcome


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_limit_of_a_kept_body(server: Server, chunked: bool) -> None:  # noqa: FBT001
    """Who has read the body before has not lifted the limit."""
    pieces = [b"x" * 65_536] * (LIMIT // 65_536 + 1)
    sent: Any = pieces if chunked else b"".join(pieces)

    for path in ("/after/body", "/behind/body/hook"):
        assert server.send(path, sent, signed()).outcome == (413, "body-too-large")


class TestMiddleware:
    """A BaseHTTPMiddleware that looks at the request too."""

    FORM = b"a=1&b=2"
    TYPED = signed(FORM, Content_Type=URLENCODED)

    @pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
    @pytest.mark.parametrize("what", ["nothing", "body", "body-twice"])
    def test_kept(self, server: Server, what: str, chunked: bool) -> None:  # noqa: FBT001
        """Who reads the body as a whole does no harm, and can read it again afterwards."""
        sent: Any = [self.FORM] if chunked else self.FORM

        answer = server.send(f"/behind/{what}/hook", sent, self.TYPED)
        assert (answer.status, answer.json()["same"]) == (200, True)
        form = server.send(f"/behind/{what}/form", sent, self.TYPED)
        assert form.json() == {"form": {"a": "1", "b": "2"}, "files": {}}
        assert server.send(f"/behind/{what}/hook", sent).status == 401

    @pytest.mark.parametrize("what", ["form", "stream"])
    def test_gone(self, server: Server, what: str) -> None:
        """Who takes the stream away is told so, also through a middleware, and nobody hangs."""
        before = server.log.count("RawBodyUnavailable: the raw body is gone")

        assert server.send(f"/behind/{what}/hook", self.FORM, self.TYPED).status == 500
        # Some Starlettes raise it again, and so it is logged twice.
        gone = "RawBodyUnavailable: the raw body is gone"
        assert any(server.has_logged(gone, before + times) for times in (1, 2))
        assert server.send(f"/behind/{what}/hook", self.FORM).status == 401

    def test_client_that_stops_half_way(self, server: Server) -> None:
        """It is no error of the app's."""
        before = server.log.count("Traceback")

        answer = raw(server, "/behind/nothing/hook", "Content-Length: 100", b"1234567")

        assert not answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 5"))
        assert server.send("/frappe", BODY, signed()).status == 200
        assert server.log.count("Traceback") == before


def test_nothing_to_lose(server: Server) -> None:
    """An empty body cannot be lost."""
    typed = signed(b"", Content_Type=URLENCODED)

    for path in ("/after/form", "/after/body", "/behind/form/hook"):
        assert server.send(path, b"", typed).status == 200


@pytest.mark.parametrize(
    "length", ["Content-Length: 1000\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked"]
)
def test_two_lengths(server: Server, length: str) -> None:
    """Where the body is chunked, its Content-Length is not believed: no 500 out of that."""
    answer = raw(server, "/frappe", length, b"7\r\n1234567\r\n0\r\n\r\n")

    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 401 "))


@pytest.mark.parametrize(
    "chunks", [b"zz\r\n", b"-1\r\nx\r\n0\r\n\r\n", b"3\r\n1234567\r\n0\r\n\r\n", b"5\r\n123"]
)
def test_broken_chunks(server: Server, chunks: bytes) -> None:
    """A body that the server cannot read is the client's mistake."""
    before = server.log.count("Traceback")

    answer = raw(server, "/frappe", "Transfer-Encoding: chunked", chunks)

    assert not answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 5"))
    assert server.send("/frappe", BODY, signed()).status == 200
    assert server.log.count("Traceback") == before


class TestReading:
    """How much is read of a body, seen from the server's side."""

    def test_length_that_is_a_lie(self) -> None:
        """A form that was parsed is gone, even if the server lets it pass for an empty body."""

        @verify_frappe_webhook(secret=SECRET)
        async def endpoint(_request: Request) -> Response:
            raise AssertionError

        async def parse_first(request: Request) -> Response:
            assert await request.form()
            return await endpoint(request)

        async def receive() -> Any:
            return {"type": "http.request", "body": b"a=evil"}

        headers = signed(b"", Content_Type=URLENCODED, Content_Length="0")
        encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        request = Request({"type": "http", "method": "POST", "headers": encoded}, receive)

        with pytest.raises(RawBodyUnavailable):
            asyncio.run(parse_first(request))

    @pytest.mark.parametrize(
        ("headers", "read", "status"),
        [
            ({}, 0, 401),
            (signed(Content_Length="1001"), 0, 413),
            (signed(Content_Length="300"), 3, 401),
            (signed(), 11, 413),
        ],
        ids=["unsigned", "announced", "short", "unannounced"],
    )
    def test_chunks(self, headers: dict[str, str], read: int, status: int) -> None:
        """No more than the limit, and the chunk that goes beyond it."""
        received: list[int] = []
        sent: list[Any] = []
        length = int(headers.get("Content-Length", 5000))

        async def receive() -> Any:
            received.append(100)
            more = sum(received) < length
            return {"type": "http.request", "body": b"x" * 100, "more_body": more}

        async def send(message: Any) -> None:
            sent.append(message)

        encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": "POST", "path": "/", "headers": encoded}
        endpoint = verify_frappe_webhook(secret=SECRET, max_body=1000)(get_body)
        app = Starlette(routes=[Route("/", endpoint, methods=["POST"])])
        asyncio.run(app({**scope, "query_string": b"", "root_path": ""}, receive, send))

        assert len(received) == read
        assert sent[0]["status"] == status


class TestSetUp:
    """Mistakes in the app, without a server."""

    def test_no_secret(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a secret no request is accepted; the first one says where to set it."""
        monkeypatch.delenv("FRAPPE_WEBHOOK_SECRET", raising=False)

        with pytest.raises(ConfigurationError, match="variable FRAPPE_WEBHOOK_SECRET"):
            client(verify_frappe_webhook(never)).post("/", content=BODY, headers=signed())

    @pytest.mark.parametrize("secret", ["", "*****"])
    def test_useless_secret(self, monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
        """A secret that is none is no secret."""
        monkeypatch.setenv("FRAPPE_WEBHOOK_SECRET", secret)

        with pytest.raises(ConfigurationError):
            client(verify_frappe_webhook(never)).post("/", content=BODY, headers=signed())

    def test_secret_where_the_view_belongs(self) -> None:
        """The likeliest slip has a message of its own."""
        with pytest.raises(ConfigurationError, match="by name only: secret="):
            verify_frappe_webhook(SECRET)  # type: ignore[call-overload]

    def test_class(self) -> None:
        """A class is no endpoint that could be called."""
        with pytest.raises(ConfigurationError, match="decorate the methods of Hook"):
            verify_frappe_webhook(secret=SECRET)(Hook)

    def test_secret_of_another_scheme(self) -> None:
        """Frappe's secret is not GitHub's: that one has to be named."""
        with pytest.raises(ConfigurationError, match="'github' needs secret="):
            verify_webhook(providers.GITHUB)

    def test_unknown_option(self) -> None:
        """A misspelt option is no option."""
        with pytest.raises(
            ConfigurationError, match=r"unknown option secrets: did you mean secret\?"
        ):
            verify_webhook(providers.GITHUB, secrets=SECRET)  # type: ignore[call-arg]

    def test_unverified(self) -> None:
        """Who asks for a delivery without a decorator is told which path it was."""

        def ask(request: Request) -> Response:
            return Response(get_delivery(request).body)

        with pytest.raises(ConfigurationError, match="/: this request was not verified"):
            client(ask).post("/", content=BODY, headers=signed())

    def test_endpoint_keeps_its_name(self) -> None:
        """Starlette names routes after endpoints."""
        decorated = verify_frappe_webhook(never)

        assert (decorated.__name__, decorated.__doc__) == ("never", "Do nothing.")

    def test_nonsense_for_a_length(self) -> None:
        """A Content-Length that a server has let through is no length."""
        right = signed() | {"Content-Length": "9" * 5000}

        answer = client(verify_frappe_webhook(secret=SECRET)(get_body)).post(
            "/", content=BODY, headers=right
        )

        assert answer.content == BODY


def client(endpoint: Any) -> TestClient:
    """Return a client of an app with one endpoint."""
    return TestClient(Starlette(routes=[Route("/", endpoint, methods=["POST"])]))


async def get_body(request: Request) -> Response:
    return Response(get_delivery(request).body)


def never(_request: Request) -> Response:
    """Do nothing."""
    raise AssertionError
