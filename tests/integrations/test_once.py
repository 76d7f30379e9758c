"""Each delivery handled once: Flask, Starlette and FastAPI with a store."""

from __future__ import annotations

from functools import partial

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.testclient import TestClient

from frappe_hooksig import ConfigurationError, providers, sign_payload
from frappe_hooksig.integrations import flask
from frappe_hooksig.integrations.fastapi import FrappeWebhook, Webhook, WebhookRoute
from frappe_hooksig.replay.memory import MemoryStore
from tests.integrations.conformance import SECRET, signed
from tests.integrations.once import DUPLICATE, OnceCases, notes, server
from tests.loopback import gunicorn, uvicorn

__all__ = ["notes", "server"]  # fixtures

APPS = "tests.integrations.once_apps"


class TestFlask(OnceCases):
    """Under gunicorn."""

    serve = partial(gunicorn, f"{APPS}:flask_app", "--threads=8")
    PATHS = ("/", "/other", "/async", "/class", "/class-too")


class TestStarlette(OnceCases):
    """Under uvicorn."""

    serve = partial(uvicorn, f"{APPS}:starlette_app")
    PATHS = ("/", "/other", "/class", "/class-too")


class TestFastAPI(OnceCases):
    """Under uvicorn."""

    serve = partial(uvicorn, f"{APPS}:fastapi_app")
    PATHS = ("/", "/other", "/too")


class AsyncStore:
    """A store that has to be awaited."""

    async def claim(self, *_args: object) -> None:
        """Never called."""

    renew = complete = release = claim


def test_async_store_in_flask() -> None:
    """Flask could not wait for it."""
    store: object = AsyncStore()

    with pytest.raises(ConfigurationError, match="store= is one for asyncio"):
        flask.verify_frappe_webhook(secret=SECRET, store=store)  # type: ignore[call-overload]


def test_fastapi_without_the_route(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dependency alone does not see the answer, and says so."""
    monkeypatch.setenv("NOTES", "nowhere")
    from tests.integrations.once_apps import fastapi_app

    with pytest.raises(ConfigurationError, match="store= needs APIRouter"):
        TestClient(fastapi_app).post("/plain", content=b"{}", headers=signed(b"{}"))


def test_two_stores_of_one_route() -> None:
    """What one of them knows is not handled, and is not kept from others by the other one."""
    known, unknown = MemoryStore(), MemoryStore()
    senders = [
        FrappeWebhook(secret=SECRET, store=unknown),
        Webhook(providers.GITHUB, secret=SECRET, store=known),
    ]
    router = APIRouter(route_class=WebhookRoute)

    @router.post("/", dependencies=[Depends(sender) for sender in senders])
    async def handle() -> None:
        """Handle it."""

    app = FastAPI()
    app.include_router(router)
    headers = signed(b"{}") | sign_payload(b"{}", SECRET, scheme=providers.GITHUB).headers
    client = TestClient(app)

    assert client.post("/", content=b"{}", headers=headers).json() is None
    unknown.__init__()  # type: ignore[misc]  # which forgets everything
    for _ in range(2):
        assert client.post("/", content=b"{}", headers=headers).json() == DUPLICATE
        assert not unknown._entries  # noqa: SLF001
