"""Each delivery handled once: Flask, Starlette and FastAPI with a store."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.testclient import TestClient
from flask import Flask
from flask.views import MethodView

from frappe_hooksig import ConfigurationError, StoreError, providers, sign_payload
from frappe_hooksig.integrations import flask
from frappe_hooksig.integrations.fastapi import FrappeWebhook, Webhook, WebhookRoute
from frappe_hooksig.replay import Deduplicator, MemoryStore, State
from tests.integrations.conformance import SECRET, signed
from tests.integrations.once import DUPLICATE, OnceCases, notes, server
from tests.loopback import gunicorn, uvicorn

__all__ = ["notes", "server"]  # fixtures

APPS = "tests.integrations"


class TestFlask(OnceCases):
    """Under gunicorn."""

    serve = partial(gunicorn, f"{APPS}.once_flask_app:flask_app", "--threads=8")
    PATHS = ("/", "/other", "/async", "/class", "/class-too")


class TestStarlette(OnceCases):
    """Under uvicorn."""

    serve = partial(uvicorn, f"{APPS}.once_starlette_app:starlette_app")
    PATHS = ("/", "/other", "/class", "/class-too")


class TestFastAPI(OnceCases):
    """Under uvicorn."""

    serve = partial(uvicorn, f"{APPS}.once_fastapi_app:fastapi_app")
    PATHS = ("/", "/other", "/too")


class AwayAsync:
    """A store that has to be awaited, and cannot be reached."""

    async def claim(self, key: str, token: str, lease: float) -> State:
        msg = f"the store of {len(key)}, {len(token)}, {lease} is away"
        raise StoreError(msg)

    renew = complete = release = claim


def test_async_store_in_flask() -> None:
    """Flask could not wait for it."""
    store: object = AwayAsync()

    with pytest.raises(ConfigurationError, match="store= is an async store"):
        flask.verify_frappe_webhook(secret=SECRET, store=store)  # type: ignore[call-overload]


def test_fastapi_without_the_route(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dependency alone does not see the answer, and says so."""
    monkeypatch.setenv("NOTES", "nowhere")
    from tests.integrations.once_fastapi_app import fastapi_app

    with pytest.raises(ConfigurationError, match="store= needs APIRouter"):
        TestClient(fastapi_app).post("/plain", content=b"{}", headers=signed(b"{}"))


def app_of(senders: list[Any], **options: Any) -> FastAPI:
    """Return an app with a route that all of them have to have signed for."""
    router = APIRouter(route_class=WebhookRoute)

    @router.post("/", dependencies=[Depends(sender, **options) for sender in senders])
    async def handle() -> None:
        """Handle it."""

    app = FastAPI()
    app.include_router(router)
    return app


def test_two_stores_of_one_route() -> None:
    """What one of them knows is not handled, and is not kept from others by the other one."""
    known, unknown = MemoryStore(), MemoryStore()
    senders = [
        FrappeWebhook(secret=SECRET, store=unknown),
        Webhook(providers.GITHUB, secret=SECRET, store=known),
    ]
    headers = signed(b"{}") | sign_payload(b"{}", SECRET, scheme=providers.GITHUB).headers
    client = TestClient(app_of(senders))

    assert client.post("/", content=b"{}", headers=headers).json() is None
    unknown.__init__()  # type: ignore[misc]  # which forgets everything
    for _ in range(2):
        assert client.post("/", content=b"{}", headers=headers).json() == DUPLICATE
        assert not unknown._entries  # noqa: SLF001


def test_one_store_of_two_is_away() -> None:
    """A sender that was allowed to do without it does not undo what the other one remembers."""
    away: Any = AwayAsync()
    senders = [
        FrappeWebhook(secret=SECRET, store=Deduplicator(away, on_store_error="accept")),
        Webhook(providers.GITHUB, secret=SECRET, store=MemoryStore()),
    ]
    client = TestClient(app_of(senders))
    headers = signed(b"{}") | sign_payload(b"{}", SECRET, scheme=providers.GITHUB).headers

    answers = [client.post("/", content=b"{}", headers=headers).json() for _ in range(2)]

    assert answers == [None, DUPLICATE]


def test_one_dependency_in_two_places() -> None:
    """A route that asks for the delivery, and for its payload, does not wait for itself."""
    webhook = FrappeWebhook(secret=SECRET, store=MemoryStore())
    client = TestClient(app_of([webhook, webhook.payload(dict)]))

    answers = [client.post("/", content=b"{}", headers=signed(b"{}")).json() for _ in range(2)]

    assert answers == [None, DUPLICATE]


def test_dependency_that_fails_after_the_function() -> None:
    """What ends before the answer is sent has a say in it, such as a commit."""
    failures = [RuntimeError("no commit")]

    def committed() -> Iterator[None]:
        yield
        if failures:
            raise failures.pop()

    webhook = FrappeWebhook(secret=SECRET, store=MemoryStore())
    app = app_of([webhook, committed], scope="function")
    client = TestClient(app, raise_server_exceptions=False)

    answers = [client.post("/", content=b"{}", headers=signed(b"{}")) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [500, 200, 200]
    assert [answer.json() for answer in answers[1:]] == [None, DUPLICATE]


def test_other_methods_in_flask() -> None:
    """What answers a GET, as no method is signed, does not keep a POST from being handled."""

    class Hook(MethodView):
        decorators: ClassVar[list[Any]] = [
            flask.verify_frappe_webhook(secret=SECRET, store=MemoryStore())
        ]

        def get(self) -> str:
            return "alive"

        def post(self) -> str:
            return "handled"

        put = post

    app = Flask(__name__)
    app.add_url_rule("/", view_func=Hook.as_view("hook"))
    client = app.test_client()
    methods = ["OPTIONS", "HEAD", "GET", "POST", "POST", "PUT"]

    answers = [client.open(method=method, data=b"{}", headers=signed(b"{}")) for method in methods]

    assert [answer.text for answer in answers[2:4]] == ["alive", "handled"]
    assert [answer.json for answer in answers[4:]] == [DUPLICATE] * 2
