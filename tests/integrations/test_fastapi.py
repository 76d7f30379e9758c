"""FastAPI, served by uvicorn and reached over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from inspect import signature
from typing import Any

import pytest
from fastapi import (
    APIRouter,
    Depends,
    FastAPI,
    HTTPException,
    Request,
    Response,
    WebSocket,
    WebSocketDisconnect,
)
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from frappe_hooksig import (
    ConfigurationError,
    Delivery,
    HooksigError,
    MalformedPayload,
    Scheme,
    Signer,
    Verifier,
    providers,
)
from frappe_hooksig.integrations.fastapi import FrappeWebhook, Refused, Webhook, WebhookRoute
from frappe_hooksig.replay import MemoryStore
from tests.integrations import fastapi_app
from tests.integrations.conformance import (
    BODY,
    CAPTURES,
    EMPTY,
    LIMIT,
    OLD,
    PROVIDERS,
    SECRET,
    SIGNATURE,
    URLENCODED,
    Conformance,
    raw,
    signed,
)
from tests.loopback import Server, uvicorn

LONG = b'{"order": "SO-00001", "items": [{"%s": "y"}]}' % (b"x" * 1_000_000)
WRONG = b'{"order": "x", "items": [0, 0, 0, 0, 0, 0, 0, 0, 0]}'
# Older FastAPIs know one only, and so no name for it.
NAMES = ["function", "request"] if "scope" in signature(Depends).parameters else []
SCOPES: list[dict[str, Any]] = [{}, *({"scope": name} for name in NAMES)]
ENVIRONMENTS = "Gp7Wd1Qs5Zx8Bm2Kv6Yc0Nt4"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A uvicorn."""
    app = "tests.integrations.fastapi_app:app"
    with uvicorn(app, FRAPPE_WEBHOOK_SECRET=ENVIRONMENTS) as running:
        yield running


@pytest.fixture(scope="module")
def routed() -> Iterator[Server]:
    """A uvicorn with an app of which every route is a WebhookRoute."""
    app = "tests.integrations.fastapi_app:app_of_webhook_routes"
    with uvicorn(app, FRAPPE_WEBHOOK_SECRET=ENVIRONMENTS) as running:
        yield running


class TestConformance(Conformance):
    """FastAPI under uvicorn."""

    KEPT = ("body", "json", "nothing")
    GONE = ("form", "stream", "form-parameters")


class TestConformanceOfRoutes(Conformance):
    """FastAPI under uvicorn, with WebhookRoute."""

    KEPT = ("body", "json", "form", "nothing")

    @pytest.fixture
    def server(self, routed: Server) -> Server:
        """The other app."""
        return routed


@pytest.fixture(params=["server", "routed"])
def either(request: pytest.FixtureRequest) -> Any:
    """Both of them."""
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize(
    "path",
    [
        "/frappe",
        "/sync",
        "/mounted/frappe",
        "/mounted/sync",
        "/guarded/hook",
        "/guarded-later/hook",
    ],
)
def test_every_kind_of_function(either: Server, path: str) -> None:
    """A signed request gets through to any kind of function; an unsigned one to none."""
    answer = either.send(path, BODY, signed())

    assert answer.status == 200
    assert answer.json()["sha256"] == sha256(BODY).hexdigest()
    assert answer.json()["same"]
    refused = either.send(path, BODY)
    assert refused.outcome == (401, "missing-header")
    assert set(refused.json()) == {"status", "reason", "message"}
    assert refused.headers["www-authenticate"] == f'Webhook-Signature header="{SIGNATURE}"'
    assert either.send(path, b"{}", signed()).outcome == (401, "signature-mismatch")


def test_secret_of_the_environment(either: Server) -> None:
    """The default is the environment variable."""
    assert either.send("/environment", BODY, signed(secret=ENVIRONMENTS)).status == 200
    assert either.send("/environment", BODY, signed()).status == 401


@pytest.mark.parametrize("kind", ["async-captures", "lambda-captures"])
def test_secret_that_is_waited_for(either: Server, kind: str) -> None:
    """A function for the secret may be async, or return what is to be awaited."""
    index, right = next(
        (index, capture.secret)
        for index, capture in enumerate(CAPTURES)
        if capture.secret and capture.secret.isalnum()
    )

    assert either.send(f"/{kind}/{index}", BODY, signed(secret=right)).status == 200
    assert either.send(f"/{kind}/{index}", BODY, signed()).outcome == (401, "signature-mismatch")
    assert either.send(f"/{kind}/999", BODY, signed()).outcome == (401, "signature-mismatch")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff"], ids=repr)
def test_sync_function_and_no_json(either: Server, body: bytes) -> None:
    """What a `def` function cannot parse is the sender's mistake too."""
    assert either.send("/sync-json", body, signed(body)).outcome == (400, "malformed-payload")


def test_limit_of_a_verifier(either: Server) -> None:
    """A Verifier's own limit holds."""
    for size, outcome in ((10, (200, "")), (11, (413, "body-too-large"))):
        body = b"x" * size
        for sent in (body, [body[:6], body[6:]]):
            assert either.send("/verifier", sent, signed(body, OLD)).outcome == outcome


def test_limit_of_a_kept_body(either: Server) -> None:
    """Who has read the body before has not lifted the limit."""
    pieces = [b"x" * 65_536] * (LIMIT // 65_536 + 1)

    assert either.send("/after/body", pieces, signed()).outcome == (413, "body-too-large")


def test_own_exceptions(either: Server) -> None:
    """The function's own HTTP exceptions stay what they are."""
    assert either.send("/teapot", BODY, signed()).status == 418
    assert either.send("/teapot", BODY).outcome == (401, "missing-header")


def test_work_in_the_background(either: Server) -> None:
    """What the function leaves for later is done, after the answer."""
    before = either.log.count("worked on SO-00001")

    assert either.send("/later", BODY).status == 401
    assert either.send("/later", BODY, signed()).json() == {"status": "received"}
    assert either.has_logged("worked on SO-00001", before + 1)


@pytest.mark.parametrize(
    "length", ["Content-Length: 1000\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked"]
)
@pytest.mark.parametrize("path", ["/frappe", "/form-parameters", "/body-parameter"])
def test_two_lengths(routed: Server, path: str, length: str) -> None:
    """Where the body is chunked, its Content-Length is not believed: no 500 out of that."""
    answer = raw(routed, path, length, b"7\r\n1234567\r\n0\r\n\r\n")

    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 401 "))


class TestPayload:
    """The verified JSON as a model."""

    @pytest.mark.parametrize("typed", [None, "application/json", "text/plain", URLENCODED])
    def test_fits(self, either: Server, typed: str | None) -> None:
        """It is parsed whatever the Content-Type."""
        headers = {"Content-Type": typed} if typed else {}

        assert either.send("/order", BODY, signed() | headers).json() == {
            "order": "SO-00001",
            "items": [],
        }

    def test_other_types(self, either: Server) -> None:
        """Anything that pydantic validates will do, beside the delivery."""
        body = b"[1, 2, 39]"

        assert either.send("/numbers", body, signed(body)).json() == {"sum": 42, "secret_id": "new"}

    @pytest.mark.parametrize(
        ("body", "complaint"),
        [
            (b"{}", "the verified payload is not a valid Order: order: Field required"),
            (b"[]", "is not a valid Order: payload: Input should be a valid dictionary"),
            (b'{"order": "SO-00001", "items": [{"qty": "x"}]}', "Order: items.0.qty: Input should"),
            (b'{"order": "SO-00001", "items": [{"\\ud800": NaN, "a": "b"}]}', "items.0"),
            (WRONG, "items.3: Input should be a valid"),
            (WRONG, "dictionary; and 5 more"),
            (LONG, f"items.0.{'x' * 92}: Input should be a valid"),
            (b"[" * 100_000, "is not JSON"),
            (b"", "is empty, not JSON"),
        ],
        ids=lambda value: value[:30],
    )
    def test_does_not_fit(self, either: Server, body: bytes, complaint: str) -> None:
        """What is wrong stands in the answer, and in no traceback."""
        before = either.log.count("Traceback")

        answer = either.send("/order", body, signed(body))

        assert answer.outcome == (400, "malformed-payload")
        assert complaint in answer.json()["message"]
        assert either.send("/order", body).outcome == (401, "missing-header")
        assert either.log.count("Traceback") == before


class TestParameters:
    """Form(), File() and body parameters beside the dependency."""

    FORM = b"a=1&b=2"
    MULTIPART = (
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="f.txt"\r\n\r\nhello\r\n'
        b"--x--\r\n"
    )
    TYPED = signed(FORM, Content_Type=URLENCODED)

    @pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
    def test_form(self, routed: Server, chunked: bool) -> None:  # noqa: FBT001
        """With WebhookRoute, the form is parsed out of what was verified."""
        multipart = signed(self.MULTIPART, Content_Type="multipart/form-data; boundary=x")
        for body, headers, file in (
            (self.FORM, self.TYPED, None),
            (self.MULTIPART, multipart, "hello"),
        ):
            sent: Any = [body[:9], body[9:]] if chunked else body
            answer = routed.send("/form-parameters", sent, headers)

            assert answer.status == 200
            assert (answer.json()["a"], answer.json()["f"]) == ("1", file)
            assert answer.json()["same"]

    def test_guarded_router(self, routed: Server) -> None:
        """The dependency may be the router's."""
        assert routed.send("/guarded/form-parameters", self.FORM, self.TYPED).json() == {"a": "1"}
        assert routed.send("/guarded/form-parameters", self.FORM).status == 401

    def test_form_without_the_route(self, server: Server) -> None:
        """Without, FastAPI has parsed the form already: the log says what to use."""
        before = server.log.count("use APIRouter(route_class=WebhookRoute)")

        assert server.send("/form-parameters", self.FORM, self.TYPED).status == 500
        assert server.has_logged("use APIRouter(route_class=WebhookRoute)", before + 1)

    def test_body(self, routed: Server) -> None:
        """A body parameter is FastAPI's; newer ones need a Content-Type, and Frappe sends none."""
        typed = signed(Content_Type="application/json")

        assert routed.send("/body-parameter", BODY, typed).json()["order"] == "SO-00001"
        assert routed.send("/body-parameter", BODY, signed()).status in {200, 422}
        assert routed.send("/body-parameter", BODY).outcome == (401, "missing-header")

    @pytest.mark.parametrize(
        ("path", "body", "typed"),
        [
            ("/body-parameter", b"{", "application/json"),
            ("/form-parameters", b"--y", "multipart/form-data"),
            ("/form-parameters", b"b=2", URLENCODED),
        ],
    )
    def test_signature_comes_first(
        self, routed: Server, path: str, body: bytes, typed: str
    ) -> None:
        """What a stranger has sent is not parsed."""
        headers = {"Content-Type": typed}

        assert routed.send(path, body, headers).outcome == (401, "missing-header")
        assert routed.send(path, body, headers | signed()).outcome == (401, "signature-mismatch")
        assert routed.send(path, body, headers | signed(body)).status in {400, 422}

    def test_limit_comes_first(self, routed: Server) -> None:
        """Nor is a body read without a limit."""
        pieces = [b"a=1&" * 16_384] * (LIMIT // 65_536 + 1)
        typed = signed(Content_Type=URLENCODED)

        answer = routed.send("/form-parameters", pieces, typed)
        assert answer.outcome == (413, "body-too-large")


class TestAnswers:
    """How a refusal becomes an answer."""

    def test_own_handler_of_a_status(self, either: Server) -> None:
        """An app that answers each 401 in its own way does so here too."""
        answer = either.send("/own-answers/frappe", BODY)

        assert (answer.status, answer.body) == (401, b"the app's own words")
        assert either.send("/own-answers/json", b"{", signed(b"{")).outcome == (
            400,
            "malformed-payload",
        )

    def test_own_handler_of_refusals(self) -> None:
        """Who handles `Refused` has the error in hand."""
        app = app_with(webhook)

        @app.exception_handler(Refused)
        async def answer(_request: Request, refused: Refused) -> Response:
            return Response(repr(refused.error), 403)

        answered = TestClient(app).post("/", content=BODY)

        assert answered.status_code == 403
        assert answered.text.startswith("VerificationError(<Reason.MISSING_HEADER")

    def test_own_handler_of_http_exceptions(self) -> None:
        """What an app says to HTTP exceptions of all kinds does not reach Frappe's log."""
        app = app_with(webhook)

        @app.exception_handler(HTTPException)
        async def answer(_request: Request, _error: HTTPException) -> Response:
            raise AssertionError

        answered = TestClient(app).post("/", content=BODY)

        assert (answered.status_code, answered.json()["status"]) == (401, "refused")

    @pytest.mark.parametrize("error", [MalformedPayload, ValueError, HooksigError])
    def test_own_handler_of_malformed_payloads(self, error: type[Exception]) -> None:
        """An app that handles the exception, or one that it is a kind of, is let do so."""
        app = app_with(webhook)

        @app.exception_handler(error)
        async def answer(_request: Request, _error: Exception) -> Response:
            return Response("the app's own words", 422)

        @app.post("/json")
        async def parsed(delivery: Delivery = Depends(webhook)) -> Any:
            return delivery.json()

        assert TestClient(app).post("/json", content=b"{", headers=signed(b"{")).status_code == 422

    def test_malformed_payload_of_another_route(self) -> None:
        """A route without a webhook is what it was before the first one came."""
        app = app_with(webhook)

        @app.post("/by-hand")
        async def by_hand(request: Request) -> Any:
            return Verifier(SECRET).verify(await request.body(), request.headers).json()

        client = TestClient(app)

        assert client.post("/", content=BODY, headers=signed()).status_code == 200
        with pytest.raises(MalformedPayload):
            client.post("/by-hand", content=b"{", headers=signed(b"{"))

    def test_web_socket(self) -> None:
        """A dependency of a whole app closes its WebSockets, which nobody signs, without a 500."""
        app = FastAPI(dependencies=[Depends(webhook)])

        @app.websocket("/")
        async def talk(socket: WebSocket) -> None:
            await socket.accept()

        with pytest.raises(WebSocketDisconnect) as caught, TestClient(app).websocket_connect("/"):
            pass
        assert caught.value.code == 1008

    def test_no_handlers(self) -> None:
        """A framework that would not find our handler gives the same, under "detail"."""

        async def forget(request: Request) -> None:
            del request.scope["starlette.exception_handlers"]

        app = app_with(webhook, dependencies=[Depends(forget)])
        answer = TestClient(app).post("/", content=BODY)

        assert answer.status_code == 401
        assert answer.json()["detail"]["reason"] == "missing-header"
        assert answer.headers["www-authenticate"] == f'Webhook-Signature header="{SIGNATURE}"'


def test_empty_responses() -> None:
    """A repeat, and a payload that cannot be read, are answered without a body too."""
    empty = Webhook(EMPTY, secret=SECRET, store=MemoryStore())
    app = app_with(empty, route_class=WebhookRoute)

    @app.post("/json")
    async def json(payload: Any = Depends(Webhook(EMPTY, secret=SECRET).payload(Any))) -> None: ...

    client = TestClient(app)
    answers = [client.post("/", content=BODY, headers=signed()) for _ in range(2)]
    answers.append(client.post("/json", content=b"{", headers=signed(b"{")))

    assert [answer.status_code for answer in answers] == [200, 200, 400]
    assert [answer.content for answer in answers[1:]] == [b"", b""]
    assert all("content-type" not in answer.headers for answer in answers[1:])


class TestOpenAPI:
    """What the app says about itself."""

    SCHEMA = fastapi_app.app.openapi()

    @pytest.mark.stress
    def test_security_schemes(self) -> None:
        """Each scheme's header is there."""
        schemes = self.SCHEMA["components"]["securitySchemes"]

        assert set(schemes) == set(PROVIDERS)
        assert schemes["frappe"] == {
            "type": "apiKey",
            "in": "header",
            "name": "X-Frappe-Webhook-Signature",
            "description": "The signature of the request.",
        }
        assert schemes["slack"]["description"] == (
            "The signature of the request. X-Slack-Request-Timestamp is needed too."
        )
        assert self.SCHEMA["paths"]["/frappe"]["post"]["security"] == [{"frappe": []}]
        assert "security" not in self.SCHEMA["paths"]["/unverified"]["post"]

    def test_responses(self) -> None:
        """The refusals are there where the route names them."""
        responses = self.SCHEMA["paths"]["/frappe"]["post"]["responses"]

        assert set(responses) == {"200", "400", "401", "413"}
        assert responses["401"]["content"]["application/json"]["schema"] == {
            "$ref": "#/components/schemas/Refusal"
        }

    def test_several_signature_headers(self) -> None:
        """Of several headers, the first one is named."""
        scheme = Scheme(
            name="numbered", signature_header=("X-One", "X-Two"), encoding="hex", max_signatures=2
        )

        assert Webhook(scheme, secret=SECRET).model.model_dump()["name"] == "X-One"


class TestSetUp:
    """Mistakes in the app, without a server."""

    def test_no_secret(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a secret no request is accepted; the first one says where to set it."""
        monkeypatch.delenv("FRAPPE_WEBHOOK_SECRET", raising=False)
        app = app_with(FrappeWebhook())

        with pytest.raises(ConfigurationError, match="variable FRAPPE_WEBHOOK_SECRET"):
            TestClient(app).post("/", content=BODY, headers=signed())

    def test_secret_where_nothing_belongs(self) -> None:
        """A secret is given by name."""
        untyped: Any = FrappeWebhook

        with pytest.raises(TypeError):
            untyped(SECRET)

    def test_secret_of_another_scheme(self) -> None:
        """Frappe's secret is not GitHub's: that one has to be named."""
        with pytest.raises(ConfigurationError, match="'github' needs secret="):
            Webhook(providers.GITHUB)

    def test_no_scheme(self) -> None:
        """The name of a scheme is none."""
        with pytest.raises(ConfigurationError, match="not a str"):
            Webhook("github", secret=SECRET)  # type: ignore[arg-type]

    def test_unknown_option(self) -> None:
        """A misspelt option is no option."""
        with pytest.raises(
            ConfigurationError, match=r"unknown option secrets: did you mean secret\?"
        ):
            Webhook(providers.GITHUB, secrets=SECRET)  # type: ignore[call-arg]

    @pytest.mark.parametrize("route_class", [APIRoute, WebhookRoute])
    def test_override_in_tests(self, route_class: Any) -> None:
        """FastAPI's own way of replacing a dependency in tests works."""
        app = app_with(webhook, route_class=route_class)
        delivery = Verifier(SECRET).verify(BODY, signed())
        app.dependency_overrides[webhook] = lambda: delivery

        assert TestClient(app).post("/", content=b"anything").json() == BODY.decode()
        app.dependency_overrides.clear()
        assert TestClient(app).post("/", content=b"anything").status_code == 401

    @pytest.mark.parametrize("route_class", [APIRoute, WebhookRoute])
    def test_override_of_what_needs_it(self, route_class: Any) -> None:
        """What replaces a dependency replaces those that it has, too."""
        app = FastAPI()
        router = APIRouter(route_class=route_class)
        number = webhook.payload(int)

        @router.post("/")
        async def echo(given: int = Depends(number)) -> int:
            return given

        app.include_router(router)
        app.dependency_overrides[number] = lambda: 5

        assert TestClient(app).post("/").json() == 5

    @pytest.mark.parametrize("route_class", [APIRoute, WebhookRoute])
    def test_two_schemes(self, route_class: Any) -> None:
        """A function may ask for two signatures, and has both deliveries."""
        router = APIRouter(route_class=route_class)
        other = Webhook(providers.GITHUB, secret=OLD)

        @router.post("/")
        async def both(
            one: Delivery = Depends(webhook),
            two: Delivery = Depends(other),
        ) -> list[str]:
            return [one.scheme.name, two.scheme.name]

        app = FastAPI()
        app.include_router(router)
        headers = signed() | Signer(OLD, scheme=providers.GITHUB).sign(BODY).headers

        assert TestClient(app).post("/", content=BODY, headers=headers).json() == [
            "frappe",
            "github",
        ]
        assert TestClient(app).post("/", content=BODY, headers=signed()).status_code == 401

    @pytest.mark.parametrize("scope", SCOPES, ids=str)
    def test_scopes(self, scope: dict[str, Any]) -> None:
        """It does not matter when FastAPI leaves the dependency."""
        app = FastAPI()

        @app.post("/")
        async def parse(delivery: Delivery = Depends(webhook, **scope)) -> Any:
            return delivery.json()

        answer = TestClient(app).post("/", content=b"{", headers=signed(b"{"))

        assert (answer.status_code, answer.json()["reason"]) == (400, "malformed-payload")


webhook = FrappeWebhook(secret=SECRET)


def app_with(dependency: Webhook, **options: Any) -> FastAPI:
    """Return an app with one path function, on a router with these options."""
    router = APIRouter(**options)

    @router.post("/")
    async def body(delivery: Delivery = Depends(dependency)) -> str:
        return delivery.body.decode()

    app = FastAPI()
    app.include_router(router)
    return app
