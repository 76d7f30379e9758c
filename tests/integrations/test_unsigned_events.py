"""Events that only an unsigned header tells apart, over HTTP: none is lost, none handled twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, ClassVar

import pytest
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.testclient import TestClient

from frappe_hooksig import providers, sign_payload
from frappe_hooksig.integrations.fastapi import Webhook
from tests.integrations.once import DUPLICATE
from tests.integrations.own_secrets import OLD, SECRET
from tests.loopback import Answer, Server, gunicorn, uvicorn

TOPIC = "X-WC-Webhook-Topic"
IGNORED = {"status": "ignored", "message": f"The receiver does not handle this event ({TOPIC})"}
DJANGO = {"DJANGO_SETTINGS_MODULE": "tests.integrations.django_settings"}
DJANGO["DJANGO_URLS"] = "tests.integrations.events_django_app"


def send(server: Server, path: str, body: bytes, *topics: str, secret: str = SECRET) -> Answer:
    """Send an order as WooCommerce does, with any number of topics."""
    signed = sign_payload(body, secret, scheme=providers.WOOCOMMERCE)
    headers = [*signed.headers.items(), *((TOPIC, topic) for topic in topics)]
    return server.send(path, body, headers)


@pytest.fixture(scope="class")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The app of a class."""
    with request.cls.serve() as running:
        yield running


class EventCases:
    """The tests. A class for each server inherits them.

    Attributes:
        serve: Starts an app of WooCommerce's topics.
        PATHS: Its routes with a store. `/without-store` is another one.
    """

    serve: ClassVar[Callable[..., AbstractContextManager[Server]]]
    PATHS: ClassVar[tuple[str, ...]]

    def test_two_events_with_one_body(self, server: Server) -> None:
        """Both are handled once, and repeats of both are known."""
        for path in self.PATHS:
            body = f'{{"id": 1, "path": "{path}"}}'.encode()
            created = [send(server, path, body, "order.created").json() for _ in range(2)]
            updated = [send(server, path, body, "order.updated").json() for _ in range(2)]

            assert created == [{"handled": "order.created"}, DUPLICATE]
            assert updated == [{"handled": "order.updated"}, DUPLICATE]

    @pytest.mark.parametrize("topics", [["order.deleted"], ["Order.created"], [""], []], ids=repr)
    def test_other_events(self, server: Server, topics: list[str]) -> None:
        """An event that is not listed gets HTTP 200 and no handler, however often it comes."""
        paths = [*self.PATHS, "/without-store"] * 2
        told = f"header {TOPIC}, body 9 bytes): {TOPIC} names an event that is not in"
        before = server.log.count(told)
        for path in paths:
            answer = send(server, path, b'{"id": 2}', *topics)

            assert (answer.status, answer.json()) == (200, IGNORED)
        server.wait_for(told, before + len(paths))
        assert "order.deleted" not in server.log

    def test_an_ignored_event_is_not_remembered(self, server: Server) -> None:
        """It does not keep the same body with a listed event from its handler."""
        for path in self.PATHS:
            body = f'{{"id": 3, "path": "{path}"}}'.encode()
            send(server, path, body, "order.deleted")

            assert send(server, path, body, "order.created").json() == {"handled": "order.created"}

    def test_doubled_event(self, server: Server) -> None:
        """Two headers are refused, also if the server has joined them."""
        for path in (*self.PATHS, "/without-store"):
            two = send(server, path, b'{"id": 4}', "order.created", "order.updated")
            joined = send(server, path, b'{"id": 4}', "order.created,order.created")

            assert two.outcome == joined.outcome == (400, "duplicate-header")
            assert TOPIC in two.json()["message"]

    def test_forged(self, server: Server) -> None:
        """Only who has signed learns which events are handled."""
        for path in (*self.PATHS, "/without-store"):
            for topic in ("order.created", "order.deleted"):
                answer = send(server, path, b'{"id": 5}', topic, secret=OLD)

                assert answer.outcome == (401, "signature-mismatch")

    def test_without_a_store(self, server: Server) -> None:
        """The handler runs for each request with a listed event."""
        for _ in range(2):
            answer = send(server, "/without-store", b'{"id": 6}', "order.updated")

            assert answer.json() == {"handled": "order.updated"}


class TestFlask(EventCases):
    """Under gunicorn."""

    serve = partial(gunicorn, "tests.integrations.events_flask_app:app", "--threads=4")
    PATHS = ("/", "/async", "/class", "/several")

    def test_another_verifier(self, server: Server) -> None:
        """Each verifier of a route has a list of its own."""
        signed = sign_payload(b'{"id": 7}', OLD, scheme=providers.SHOPIFY)
        topics = ["orders/create", "order.created", "orders/create"]

        answers: list[Any] = [
            server.send("/several", signed.body, signed.headers | {"X-Shopify-Topic": topic}).json()
            for topic in topics
        ]

        assert answers[0] == {"handled": "orders/create"}
        assert answers[1]["status"] == "ignored"
        assert answers[2] == DUPLICATE


class TestFastAPI(EventCases):
    """FastAPI and Starlette under uvicorn."""

    serve = partial(uvicorn, "tests.integrations.events_asgi_app:app")
    PATHS = ("/", "/claim", "/starlette", "/class")


class TestDjango(EventCases):
    """Under gunicorn."""

    serve = partial(gunicorn, "django.core.wsgi:get_wsgi_application()", "--threads=4", **DJANGO)
    PATHS = ("/", "/async", "/class")


class TestDjangoAsync(EventCases):
    """Under uvicorn."""

    serve = partial(
        uvicorn,
        "django.core.asgi:get_asgi_application",
        "--factory",
        "--lifespan=off",
        **DJANGO,
    )
    PATHS = ("/", "/async", "/class")


def test_own_exception_handler_of_fastapi() -> None:
    """An app that answers HTTP exceptions in its own way answers an ignored event as we do."""
    app = FastAPI()
    webhook = Webhook(providers.WOOCOMMERCE, secret=SECRET, unsigned_events=["order.created"])

    @app.exception_handler(HTTPException)
    async def teapot(_request: Request, _error: Exception) -> Response:
        return Response(status_code=418)

    @app.post("/", dependencies=[Depends(webhook)])
    async def handle() -> None:
        raise HTTPException(400)

    signed = sign_payload(b"{}", SECRET, scheme=providers.WOOCOMMERCE)
    client = TestClient(app)
    answers = [
        client.post("/", content=signed.body, headers=signed.headers | {TOPIC: topic})
        for topic in ("order.created", "order.deleted")
    ]

    assert [answer.status_code for answer in answers] == [418, 200]
    assert answers[1].json() == IGNORED
    assert answers[1].headers["content-type"] == "application/json"
