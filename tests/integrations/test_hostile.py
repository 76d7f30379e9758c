"""No adapter makes a mistake that hostile requests find, however its framework calls a view.

The conformance tests send them over HTTP. Here they come in this process, where it shows how
signatures are compared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, RequestFactory
from fastapi import APIRouter, Depends, FastAPI
from fastapi.testclient import TestClient
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from frappe_hooksig import Delivery, Scheme, providers
from frappe_hooksig.integrations import django, fastapi, flask, starlette
from frappe_hooksig.replay import MemoryStore
from frappe_hooksig.testing import Judgement, SignedRequest, judge_receiver
from tests.integrations.test_django import SETTINGS
from tests.selection import at_full_size
from tests.senders import secret_of

Send = Callable[[SignedRequest], Any]
Handler = Callable[[], None]

LIMIT = 4096
URL = "https://example.com/hook"
# One that signs the body alone, one with a time and several signatures, one with an id, one that
# signs the URL, and one that signs nothing.
SENDERS = [
    providers.FRAPPE,
    providers.STRIPE,
    *map(at_full_size, [providers.STANDARD_WEBHOOKS, providers.SQUARE, providers.GITLAB]),
]


def of_flask(handle: Handler, scheme: Scheme, **options: Any) -> Iterator[Send]:
    app = Flask(__name__)

    @app.post("/hook")
    @flask.verify_webhook(scheme, **options)
    def hook() -> dict[str, bool]:
        handle()
        return {"handled": True}

    yield lambda request: app.test_client().post("/hook", base_url=URL[:-5], **request.for_flask)


def of_starlette(handle: Handler, scheme: Scheme, **options: Any) -> Iterator[Send]:
    @starlette.verify_webhook(scheme, **options)
    async def hook(_request: Request) -> Response:
        handle()
        return Response("handled")

    app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])
    client = TestClient(app, base_url=URL[:-5])  # its threads are new for each request
    yield lambda request: client.post("/hook", **request.for_httpx)


def of_starlette_in_threads(handle: Handler, scheme: Scheme, **options: Any) -> Iterator[Send]:
    @starlette.verify_webhook(scheme, **options)
    def hook(_request: Request) -> Response:
        handle()
        return Response("handled")

    app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])
    client = TestClient(app, base_url=URL[:-5])  # its threads are new for each request
    yield lambda request: client.post("/hook", **request.for_httpx)


def of_fastapi(handle: Handler, scheme: Scheme, **options: Any) -> Iterator[Send]:
    """A dependency; with a store it needs the route class."""
    webhook = fastapi.Webhook(scheme, **options)
    router = APIRouter(route_class=fastapi.WebhookRoute)

    @router.post("/hook")
    def hook(delivery: Delivery = Depends(webhook)) -> bool:
        handle()
        return bool(delivery.scheme)

    app = FastAPI()
    app.include_router(router)
    client = TestClient(app, base_url=URL[:-5])  # its threads are new for each request
    yield lambda request: client.post("/hook", **request.for_httpx)


def of_django(handle: Handler, scheme: Scheme, **options: Any) -> Iterator[Send]:
    @django.verify_webhook(scheme, **options)
    def hook(_request: HttpRequest) -> HttpResponse:
        handle()
        return HttpResponse("handled")

    post = RequestFactory().post
    assert settings.ROOT_URLCONF, SETTINGS
    yield lambda request: hook(post("/hook", secure=True, **request.for_django))


def of_async_django(handle: Handler, scheme: Scheme, **options: Any) -> Iterator[Send]:
    @django.verify_webhook(scheme, **options)
    async def hook(_request: HttpRequest) -> HttpResponse:
        handle()
        return HttpResponse("handled")

    post = AsyncRequestFactory().post

    async def call(request: SignedRequest) -> HttpResponse:
        return await hook(post("/hook", secure=True, **request.for_django))

    yield lambda request: asyncio.run(call(request))


@pytest.mark.parametrize("has_store", [False, True], ids=["no-store", "store"])
@pytest.mark.parametrize("scheme", SENDERS, ids=lambda scheme: scheme.name)
@pytest.mark.parametrize(
    "adapter",
    [of_flask, of_starlette, of_starlette_in_threads, of_fastapi, of_django, of_async_django],
)
def test_adapter(
    adapter: Callable[..., Iterator[Send]], scheme: Scheme, *, has_store: bool
) -> None:
    """No finding, with and without a store, and signatures are compared in constant time."""
    handled: list[bool] = []
    url: Any = {"url": URL} if scheme.signs_url else {}
    store: Any = {"store": MemoryStore()} if has_store else {}
    secret = secret_of(scheme)
    for send in adapter(
        lambda: handled.append(True), scheme, secret=secret, max_body=LIMIT, **url, **store
    ):
        judgement = judge_receiver(
            send,
            scheme,
            secret,
            max_body=LIMIT,
            handles_once=has_store,
            handled=lambda: len(handled),
            **url,
        )

    assert judgement == Judgement((), ()), str(judgement)
