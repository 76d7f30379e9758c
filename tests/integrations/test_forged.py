"""What strangers send costs a store nothing, however much of it there is and whatever it is."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BytesIO
from itertools import chain, count, islice
from typing import Any, ClassVar

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from fastapi import APIRouter, Depends, FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from frappe_hooksig import generate_secret, providers, sign_payload
from frappe_hooksig.integrations import django, fastapi, flask, starlette
from frappe_hooksig.replay import MemoryStore, State
from tests.integrations.conformance import BODY, SECRET, SIGNATURE, own_secret, signed
from tests.integrations.test_django import SETTINGS

assert SETTINGS  # Django's are made by the import of test_django

pytestmark = pytest.mark.stress

# How many requests. `make stress` sends more: the figure in the issue is 100,000.
FORGED = int(os.environ.get("FORGED", "500"))

OTHERS = [
    providers.GITHUB,
    providers.STRIPE,
    providers.SLACK,
    providers.STANDARD_WEBHOOKS,
    providers.WEBHOOK_HEX,
    providers.WEBHOOK_SHA256,
    providers.WEBHOOK_TIMESTAMPED,
]

Pairs = list[tuple[str, bytes]]


class Counting(MemoryStore):
    """A store that counts what it is asked.

    Attributes:
        calls: How often each method was called.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def claim(self, key: str, token: str, lease: float) -> State:
        self.calls["claim"] += 1
        return super().claim(key, token, lease)

    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> list[bool]:
        self.calls["renew"] += 1
        return super().renew(claims, lease)

    def complete(self, key: str, token: str, keep: float) -> bool:
        self.calls["complete"] += 1
        return super().complete(key, token, keep)

    def release(self, key: str, token: str) -> bool:
        self.calls["release"] += 1
        return super().release(key, token)


def forgeries(dice: random.Random) -> Iterator[Pairs]:
    """Make headers, one set of each kind, that are not right for `BODY`."""
    right = signed()[SIGNATURE].encode()
    digest = b64decode(right)
    place = dice.randrange(len(right))
    other = b"x" if right[place : place + 1] != b"x" else b"y"
    yield []
    for value in (
        b"",
        dice.randbytes(32),
        b64encode(dice.randbytes(32)),
        right[:place] + other + right[place + 1 :],
        right[:place],
        right + "\u00e9".encode(),
        "\u00e9".encode("latin-1"),
        b"A" * dice.randrange(8000),
        digest.hex().encode(),  # others' forms
        b"sha256=" + digest.hex().encode(),
        b"t=1,v1=" + digest.hex().encode(),
        b"v1," + right,
        signed(b"%d" % dice.getrandbits(64))[SIGNATURE].encode(),
        signed(secret=generate_secret())[SIGNATURE].encode(),
        right + b", " + right,
    ):
        yield [(SIGNATURE, value)]
    yield [(SIGNATURE, right), (SIGNATURE, right)]
    yield [(SIGNATURE, right), (SIGNATURE.lower(), b64encode(dice.randbytes(32)))]
    for scheme in OTHERS:  # of somebody who knows the secret, and signs as others do
        headers = sign_payload(BODY, own_secret(scheme), scheme=scheme).headers
        yield [(name, value.encode()) for name, value in headers.items()]


def through_wsgi(app: Any, requests: Iterable[Pairs]) -> Counter[int]:
    """Hand requests to a WSGI app, as a server would; count how they are answered."""
    statuses: Counter[int] = Counter()

    def start_response(status: str, _headers: object, _error: object = None) -> None:
        statuses[int(status.partition(" ")[0])] += 1

    for pairs in requests:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/",
            "SERVER_NAME": "x",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_LENGTH": str(len(BODY)),
            "wsgi.input": BytesIO(BODY),
            "wsgi.url_scheme": "http",
        }
        for name, value in pairs:
            key, text = f"HTTP_{name.upper().replace('-', '_')}", value.decode("latin-1")
            environ[key] = f"{environ[key]},{text}" if key in environ else text  # as gunicorn does
        answer = app(environ, start_response)
        b"".join(answer)
        answer.close()
    return statuses


def through_asgi(app: Any, requests: Iterable[Pairs]) -> Counter[int]:
    """Hand requests to an ASGI app, as a server would; count how they are answered."""
    statuses: Counter[int] = Counter()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY}

    async def send(message: dict[str, Any]) -> None:
        if "status" in message:
            statuses[message["status"]] += 1

    async def run() -> None:
        for pairs in requests:
            headers = [(name.lower().encode(), value) for name, value in pairs]
            scope: dict[str, Any] = {
                "type": "http",
                "http_version": "1.1",
                "method": "POST",
                "path": "/",
                "query_string": b"",
                "headers": headers,
            }
            await app(scope, receive, send)

    asyncio.run(run())
    return statuses


def flask_app(store: Any) -> Any:
    app = Flask(__name__)

    @app.post("/")
    @flask.verify_frappe_webhook(secret=SECRET, store=store)
    def handle() -> str:
        return "handled"

    return app


class Urls:
    """What Django is served with."""

    urlpatterns: ClassVar[list[Any]] = []


def django_app(store: Any) -> Any:
    @django.verify_frappe_webhook(secret=SECRET, store=store)
    def handle(_request: HttpRequest) -> HttpResponse:
        return HttpResponse("handled")

    Urls.urlpatterns = [path("", handle)]
    return WSGIHandler()


def starlette_app(store: Any) -> Any:
    @starlette.verify_frappe_webhook(secret=SECRET, store=store)
    async def handle(_request: Request) -> Response:
        return Response("handled")

    return Starlette(routes=[Route("/", handle, methods=["POST"])])


def fastapi_app(store: Any) -> Any:
    router = APIRouter(route_class=fastapi.WebhookRoute)
    webhook = fastapi.FrappeWebhook(secret=SECRET, store=store)

    @router.post("/", dependencies=[Depends(webhook)])
    async def handle() -> None:
        """Handle it."""

    app = FastAPI()
    app.include_router(router)
    return app


@override_settings(ROOT_URLCONF=Urls)
@pytest.mark.parametrize(
    ("app_of", "through"),
    [
        pytest.param(flask_app, through_wsgi, id="flask"),
        pytest.param(django_app, through_wsgi, id="django"),
        pytest.param(starlette_app, through_asgi, id="starlette"),
        pytest.param(fastapi_app, through_asgi, id="fastapi"),
    ],
)
def test_forged(
    caplog: pytest.LogCaptureFixture,
    app_of: Callable[[Any], Any],
    through: Callable[[Any, Iterable[Pairs]], Counter[int]],
) -> None:
    """The store is asked about nothing that is not verified, and about what is."""
    caplog.set_level(logging.ERROR, "django.request")  # which notes each of them
    store = Counting()
    app = app_of(store)
    dice = random.Random(2)
    endless = chain.from_iterable(forgeries(dice) for _ in count())
    statuses = through(app, islice(endless, FORGED))

    assert set(statuses) == {400, 401}
    assert statuses.total() == FORGED
    assert not store.calls
    right = [(SIGNATURE, signed()[SIGNATURE].encode())]
    assert through(app, [right, right]) == {200: 2}
    assert store.calls == {"claim": 2, "complete": 1}
