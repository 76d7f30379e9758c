"""Each shape of a request, sent with the client that it is for, to a route of its framework."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import httpx
import pytest
import requests
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from werkzeug.serving import make_server
from werkzeug.test import run_wsgi_app

from frappe_hooksig.integrations import flask, starlette
from frappe_hooksig.providers import FRAPPE, GITLAB, SHOPIFY, SQUARE, STANDARD_WEBHOOKS, STRIPE
from frappe_hooksig.testing import SignedRequest, signed_request
from tests.senders import secret_of
from tests.testing.routes import ROUTES, Send, handled, site

__all__ = ["site"]  # a fixture

URL = "https://example.com/hook?a=1"
PAYLOAD = {"name": "SO-00001", "customer": "Müller & Söhne"}
SCHEMES = [FRAPPE, GITLAB, SHOPIFY, SQUARE, STANDARD_WEBHOOKS, STRIPE]


def flask_app(senders: Any, **options: Any) -> Flask:
    app = Flask("of-one-route")

    @app.post("/hook/<path:rest>")
    @flask.verify_webhook(senders, **options)
    def hook(rest: str) -> Any:
        return {**handled(flask.get_delivery()), "rest": rest}

    return app


def starlette_app(senders: Any, **options: Any) -> Starlette:
    @starlette.verify_webhook(senders, **options)
    async def hook(request: Request) -> JSONResponse:
        content = handled(starlette.get_delivery(request))
        return JSONResponse({**content, "rest": request.path_params["rest"]})

    return Starlette(routes=[Route("/hook/{rest:path}", hook, methods=["POST"])])


def called_wsgi(senders: Any, **options: Any) -> Send:
    """Call an app as a WSGI server does."""
    app = flask_app(senders, **options)

    def send(request: SignedRequest) -> tuple[int, Any]:
        body, status, _ = run_wsgi_app(app, request.wsgi("/hook/caf%C3%A9?b=2"))
        return int(status.split()[0]), json.loads(b"".join(body))

    return send


def called_asgi(senders: Any, **options: Any) -> Send:
    """Call an app as an ASGI server does."""
    app = starlette_app(senders, **options)

    def send(request: SignedRequest) -> tuple[int, Any]:
        sent: list[Any] = []

        async def keep(message: Any) -> None:
            sent.append(message)

        asyncio.run(app(*request.asgi("/hook/caf%C3%A9?b=2"), keep))
        return sent[0]["status"], json.loads(sent[1]["body"])

    return send


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve an app on loopback, in this process."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}/hook/caf%C3%A9?b=2"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def by_requests(senders: Any, **options: Any) -> Send:
    def send(request: SignedRequest) -> tuple[int, Any]:
        with served(flask_app(senders, **options)) as url:
            response = requests.post(url, **request.for_requests, timeout=30)
        return response.status_code, response.json()

    return send


def by_httpx(senders: Any, **options: Any) -> Send:
    def send(request: SignedRequest) -> tuple[int, Any]:
        with served(flask_app(senders, **options)) as url, httpx.Client(verify=False) as client:
            response = client.post(url, **request.for_httpx)
        return response.status_code, response.json()

    return send


def by_async_httpx(senders: Any, **options: Any) -> Send:
    """Without a server, as in tests of an app for asyncio."""
    transport = httpx.ASGITransport(starlette_app(senders, **options))

    async def post(request: SignedRequest) -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            return await client.post("/hook/caf%C3%A9?b=2", **request.for_httpx)

    def send(request: SignedRequest) -> tuple[int, Any]:
        response = asyncio.run(post(request))
        return response.status_code, response.json()

    return send


OTHERS: dict[str, Callable[..., Send]] = {
    "wsgi": called_wsgi,
    "asgi": called_asgi,
    "requests": by_requests,
    "httpx": by_httpx,
    "httpx-async": by_async_httpx,
}


@pytest.fixture(params=[*ROUTES, *OTHERS])
def shape(request: pytest.FixtureRequest, site: None) -> Callable[..., Send]:  # noqa: ARG001
    """Makes a route, and sends requests in one shape."""
    return (ROUTES | OTHERS)[request.param]


def request_of(scheme: Any, payload: Any = PAYLOAD, **options: Any) -> SignedRequest:
    url = URL if scheme.signs_url else None
    return signed_request(scheme, payload, secret_of(scheme), url=url, **options)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_accepted(shape: Any, scheme: Any) -> None:
    """A route of the scheme handles it."""
    send = shape(scheme, secret=secret_of(scheme), **({"url": URL} if scheme.signs_url else {}))

    status, content = send(request_of(scheme))
    assert (status, content["payload"]) == (200, PAYLOAD)
    assert content.get("rest", "café") == "café"


@pytest.mark.parametrize(
    ("payload", "content_type"),
    [
        (b'{"a": "\xc3\xa9"}', None),
        ("[1]\r\n", "text/plain"),
        (b"5", "application/x-www-form-urlencoded"),
        (b"6", "multipart/form-data; boundary=x"),
        (b'"\xc3\xa9"', "text/plain; charset=iso-8859-1"),
        (b"0" * 3, "application/octet-stream"),
    ],
    ids=str,
)
def test_bytes_arrive_as_they_are(shape: Any, payload: Any, content_type: str | None) -> None:
    """No client encodes them anew, whatever the type of the content is."""
    send = shape(FRAPPE, secret=secret_of(FRAPPE))
    headers = {} if content_type is None else {"Content-Type": content_type}
    request = request_of(FRAPPE, payload, headers=headers)

    status, content = send(request)
    assert status == (400 if payload == b"000" else 200)
    assert content["reason" if status == 400 else "status"] in {"malformed-payload", "handled"}


def test_event(shape: Any) -> None:
    """More headers arrive too."""
    send = shape(SHOPIFY, secret=secret_of(SHOPIFY), unsigned_events=["orders/create"])
    topics = ("orders/create", "orders/other")
    all_of_them = [request_of(SHOPIFY, headers={"X-Shopify-Topic": each}) for each in topics]

    assert [send(request)[1]["status"] for request in all_of_them] == ["handled", "ignored"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _pairs: [], "missing-header"),
        (lambda pairs: [*pairs, *pairs], "duplicate-header"),
        (lambda pairs: [(name, value + "é") for name, value in pairs], "malformed-header"),
    ],
    ids=["none", "doubled", "non-ASCII"],
)
def test_hostile_headers(shape: Any, change: Any, reason: str) -> None:
    """Headers that no sender makes reach the route, which refuses them."""
    send = shape(FRAPPE, secret=secret_of(FRAPPE))
    request = request_of(FRAPPE, b"{}")
    request.headers = change(request.headers)

    status, content = send(request)
    assert (status, content["reason"]) == (401 if reason == "missing-header" else 400, reason)
