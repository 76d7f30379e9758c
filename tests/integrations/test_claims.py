"""What a view learns of its claim, in each framework; and routes that only read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.testclient import TestClient as FastAPIClient
from flask import Flask
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from frappe_hooksig import sign_payload
from frappe_hooksig.integrations import flask, starlette
from frappe_hooksig.integrations.fastapi import FrappeWebhook, WebhookRoute
from frappe_hooksig.replay import Claim, Deduplicator, MemoryStore
from tests.integrations.own_secrets import SECRET

SIGNED = sign_payload({"name": "SO-00001"}, SECRET)


def in_flask() -> Any:
    """Send to a Flask app."""
    app = Flask("claims")

    @app.post("/")
    @flask.verify_frappe_webhook(secret=SECRET, store=MemoryStore())
    def hook() -> dict[str, float]:
        return {"left": flask.get_claim().seconds_left}

    return app.test_client().post("/", data=SIGNED.body, headers=SIGNED.headers).json


def in_starlette() -> Any:
    """Send to a Starlette app."""

    @starlette.verify_frappe_webhook(secret=SECRET, store=MemoryStore())
    async def hook(request: Any) -> JSONResponse:
        return JSONResponse({"left": starlette.get_claim(request).seconds_left})

    client = TestClient(Starlette(routes=[Route("/", hook, methods=["POST"])]))
    return client.post("/", content=SIGNED.body, headers=SIGNED.headers).json()


def in_fastapi() -> Any:
    """Send to a FastAPI app."""
    webhook = FrappeWebhook(secret=SECRET, store=MemoryStore())
    router = APIRouter(route_class=WebhookRoute)

    def hook(claim: Any) -> dict[str, float]:
        return {"left": claim.seconds_left}

    hook.__annotations__["claim"] = Annotated[Claim, Depends(webhook.claim)]
    router.post("/")(hook)
    app = FastAPI()
    app.include_router(router)
    return FastAPIClient(app).post("/", content=SIGNED.body, headers=SIGNED.headers).json()


@pytest.mark.parametrize("send", [in_flask, in_starlette, in_fastapi])
def test_seconds_left(send: Callable[[], Any]) -> None:
    """A claim on a delivery of Frappe lasts for 4 seconds, unless it is renewed."""
    assert 3 < send()["left"] <= 4


def statuses(endpoint: Any, method: str, times: int = 2) -> list[str]:
    """Send one request several times to an endpoint of Starlette; return what its views said."""
    app = Starlette(routes=[Mount("/in", routes=[endpoint])])
    client = TestClient(app)
    send = client.request
    answers = [
        send(method, "/in/", content=SIGNED.body, headers=SIGNED.headers) for _ in range(times)
    ]
    return [answer.json()["status"] for answer in answers]


@starlette.verify_frappe_webhook(secret=SECRET, store=MemoryStore())
async def reads(_request: Any) -> JSONResponse:
    return JSONResponse({"status": "handled"})


@starlette.verify_frappe_webhook(secret=SECRET, store=MemoryStore())
async def reads_and_writes(_request: Any) -> JSONResponse:
    return JSONResponse({"status": "handled"})


def endpoint_with(*methods: str) -> type[HTTPEndpoint]:
    """Return a class with a function for each method."""

    async def hook(_self: Any, _request: Any) -> JSONResponse:
        return JSONResponse({"status": "handled"})

    verified = starlette.verify_frappe_webhook(secret=SECRET, store=MemoryStore())(hook)
    return type("Endpoint", (HTTPEndpoint,), dict.fromkeys(methods, verified))


@pytest.mark.parametrize(
    ("endpoint", "last"),
    [
        (Route("/", reads, methods=["GET"]), "duplicate"),
        (Route("/", reads_and_writes, methods=["GET", "POST"]), "handled"),
        (Route("/", endpoint_with("get")), "duplicate"),
        (Route("/", endpoint_with("get", "post")), "handled"),
    ],
    ids=["function", "function that writes", "class", "class that writes"],
)
def test_routes_that_only_read(endpoint: Any, last: str) -> None:
    """GET claims a delivery only where no other method could handle it."""
    assert statuses(endpoint, "GET") == ["handled", last]


class Failing(MemoryStore):
    """A store that completes nothing."""

    def complete(self, key: str, token: str, retention: float) -> bool:
        msg = f"{len(key)}, {len(token)}, {retention}"
        raise ValueError(msg)


def test_two_webhooks_of_one_route() -> None:
    """If the claim of one cannot be settled, that of the other one is, and neither is renewed."""
    stores = [Failing(), MemoryStore()]
    webhooks = [
        FrappeWebhook(secret=SECRET, store=Deduplicator(store, lease=0.3)) for store in stores
    ]
    router = APIRouter(
        route_class=WebhookRoute, dependencies=[Depends(webhook) for webhook in webhooks]
    )

    @router.post("/")
    def hook() -> dict[str, str]:
        return {}

    app = FastAPI()
    app.include_router(router)
    client = FastAPIClient(app, raise_server_exceptions=False)

    answer = client.post("/", content=SIGNED.body, headers=SIGNED.headers)
    asyncio.run(asyncio.sleep(0.4))

    assert answer.status_code == 500
    assert [len(store) for store in stores] == [1, 1]
    keys = [next(iter(store._entries)) for store in stores]  # noqa: SLF001
    claimed = [store.claim(key, "x", 1).value for store, key in zip(stores, keys, strict=True)]
    assert claimed == ["new", "done"]
