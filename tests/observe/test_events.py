"""What observers learn of requests, in each adapter."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any

import django.http
import flask
import pytest
from django.core.exceptions import PermissionDenied
from fastapi import APIRouter, Depends, FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route
from starlette.testclient import TestClient

from frappe_hooksig import StoreError
from frappe_hooksig.integrations import fastapi, starlette
from frappe_hooksig.integrations import flask as flask_adapter
from frappe_hooksig.integrations.django import _decorators
from frappe_hooksig.observe import Event, log
from frappe_hooksig.providers import FRAPPE, WOOCOMMERCE
from frappe_hooksig.replay import Deduplicator, MemoryStore, State
from frappe_hooksig.testing import SignedRequest, signed_request
from tests.testing.routes import ROUTES, route, site

__all__ = ["route", "site"]  # fixtures

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
ORDER = signed_request(FRAPPE, {"name": "SO-00001"}, SECRET)
# What the client has put everywhere: in the headers, the body and the query.
PRIVATE = "p4ssw0rd-of-somebody"


class Down(MemoryStore):
    """A store that is away."""

    def claim(self, key: str, token: str, lease: float) -> State:  # noqa: ARG002
        """Fail.

        Raises:
            StoreError: Always.
        """
        msg = "the store is away"
        raise StoreError(msg)


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


def changed(request: SignedRequest, **headers: str) -> SignedRequest:
    """Return a request with other headers."""
    return SignedRequest(request.body, {**dict(request.headers), **headers}.items())


def test_handled(route: Any) -> None:
    """A request that reaches its handler has two events, with all that is known of it."""
    events: list[Event] = []
    send = route(FRAPPE, secret=SECRET, observe=[log, events.append])

    assert send(ORDER)[0] == 200
    assert kinds(events) == ["accepted", "handled"]
    accepted, handled = events
    assert (accepted.status, handled.status) == (None, 200)
    assert 0 < accepted.seconds < handled.seconds
    for event in events:
        assert event.scheme == "frappe"
        assert event.method == "POST"
        assert "hook" in event.endpoint
        assert event.body_length == len(ORDER.body)
        assert "x-frappe-webhook-signature" in map(str.lower, event.header_names)
        assert (event.reason, event.message, event.header) == (None, "", None)
        assert event.site == ("site.localhost" if "api/method" in event.path else None)


def test_failed(route: Any) -> None:
    """An exception of the handler is named, and not shown."""
    events: list[Event] = []
    send = route(FRAPPE, secret=SECRET, observe=events.append)

    with suppress(Exception):  # of the test client
        send(signed_request(FRAPPE, {"fail": True}, SECRET))
    assert kinds(events) == ["accepted", "failed"]
    assert (events[1].reason, events[1].message) == ("ZeroDivisionError", "")
    assert events[1].status is None


def test_refused(route: Any) -> None:
    """What is refused has one event, whether the body was read or not."""
    events: list[Event] = []
    send = route(FRAPPE, secret=SECRET, observe=events.append)

    send(SignedRequest(ORDER.body, []))
    send(signed_request(FRAPPE, {}, "Z" + SECRET))
    assert kinds(events) == ["refused", "refused"]
    unsigned, wrong = events
    assert (unsigned.reason, unsigned.status, unsigned.body_length) == ("missing-header", 401, None)
    assert unsigned.header == "X-Frappe-Webhook-Signature"
    assert (wrong.reason, wrong.status, wrong.body_length) == ("signature-mismatch", 401, 2)
    assert "does not match the body" in wrong.message


def test_malformed(route: Any) -> None:
    """A verified body that is no JSON was accepted, and then refused."""
    events: list[Event] = []
    send = route(FRAPPE, secret=SECRET, store=MemoryStore(), observe=events.append)

    assert send(signed_request(FRAPPE, b"{", SECRET))[0] == 400
    assert kinds(events) == ["accepted", "refused"]
    assert (events[1].reason, events[1].status) == ("malformed-payload", 400)


def test_store(route: Any) -> None:
    """A repeat, and a store that fails, have an event; what the app accepts then, two more."""
    events: list[Event] = []
    observed = partial(route, FRAPPE, secret=SECRET, observe=events.append)

    send = observed(store=MemoryStore())
    send(ORDER)
    send(ORDER)
    assert kinds(events) == ["accepted", "handled", "duplicate"]
    assert (events[2].reason, events[2].status) == ("duplicate", 200)
    events.clear()
    observed(store=Down())(ORDER)
    assert kinds(events) == ["store-error"]
    assert (events[0].reason, events[0].status) == ("store-unavailable", 503)
    assert events[0].message == "the store is away"
    events.clear()
    observed(store=Deduplicator(Down(), on_store_error="accept"))(ORDER)
    assert kinds(events) == ["store-error", "accepted", "handled"]
    assert events[0].status is None


def test_ignored(route: Any) -> None:
    """An event that is not listed is not named, because its header is the client's."""
    events: list[Event] = []
    listed = ["order.created"]
    send = route(WOOCOMMERCE, secret=SECRET, unsigned_events=listed, observe=events.append)

    request = signed_request(WOOCOMMERCE, {}, SECRET)
    assert send(changed(request, **{"X-WC-Webhook-Topic": PRIVATE}))[0] == 200
    (event,) = events
    assert (event.kind, event.reason, event.status) == ("ignored", "ignored", 200)
    assert event.header == "X-WC-Webhook-Topic"
    assert PRIVATE not in repr(event)


def unusable(_request: object) -> str:
    return ""


def unreachable(_request: object) -> str:
    raise ConnectionError(PRIVATE)


def in_no_text(_request: object) -> Any:
    return None


@pytest.mark.parametrize(
    ("options", "kind", "reason"),
    [
        ({"secret": unusable}, "misconfigured", "ConfigurationError"),
        ({"secret": unreachable}, "failed", "ConnectionError"),
        (
            {"secret": SECRET, "store": Deduplicator(MemoryStore(), tenant=in_no_text)},
            "misconfigured",
            "ConfigurationError",
        ),
    ],
    ids=["secret", "failing", "tenant"],
)
@pytest.mark.parametrize("framework", [name for name in ROUTES if name != "frappe"])
@pytest.mark.usefixtures("site")
def test_misconfigured(framework: str, options: Any, kind: str, reason: str) -> None:
    """A mistake of the app is told apart from what else fails, whose message is not shown."""
    events: list[Event] = []
    with suppress(Exception):
        ROUTES[framework](FRAPPE, observe=events.append, **options)(ORDER)

    (event,) = events
    assert (event.kind, event.reason, event.status) == (kind, reason, None)
    assert bool(event.message) is (kind == "misconfigured")
    assert PRIVATE not in repr(event)


def test_nothing_private(route: Any) -> None:
    """No body, query or value of a header is in any event."""
    events: list[Event] = []
    names = ("Authorization", "Cookie", "X-Api-Key", "X-Shopify-Topic", "User-Agent")
    headers = dict.fromkeys(names, PRIVATE)
    order = signed_request(FRAPPE, {"card": PRIVATE}, SECRET)
    requests = [
        changed(order, **headers),
        changed(order, **headers),
        SignedRequest(order.body, headers.items()),
        changed(order, **headers, **{"X-Frappe-Webhook-Signature": PRIVATE}),
        changed(signed_request(FRAPPE, PRIVATE.encode(), SECRET), **headers),
        changed(signed_request(FRAPPE, {"card": PRIVATE}, "Z" + SECRET), **headers),
    ]
    send = route(FRAPPE, secret=SECRET, store=MemoryStore(), observe=events.append)

    for request in requests:
        send(request)
    assert set(kinds(events)) == {"accepted", "handled", "duplicate", "refused"}
    shown = json.dumps([asdict(event) for event in events]) + repr(events)
    assert PRIVATE not in shown
    assert dict(order.headers)["X-Frappe-Webhook-Signature"] not in shown


class TestStatus:
    """The status of a handler that ends with an exception which its framework understands."""

    def test_flask(self) -> None:
        """abort() has a status; so has a response that is no 2xx."""
        events: list[Event] = []
        app = flask.Flask(__name__)
        verify = flask_adapter.verify_webhook(FRAPPE, secret=SECRET, observe=[events.append])
        answers: dict[str, Callable[[], Any]] = {
            "/abort": lambda: flask.abort(404),
            "/status": lambda: ("no", 409),
            "/moved": lambda: flask.redirect("/"),
        }
        for path, view in answers.items():
            app.add_url_rule(path, path[1:], verify(view), methods=["POST"])

        for path in answers:
            app.test_client().post(path, **ORDER.for_flask)
        ended = [(event.kind, event.endpoint, event.status) for event in events[1::2]]
        assert ended == [
            ("failed", "abort", 404),
            ("failed", "status", 409),
            ("failed", "moved", 302),
        ]

    def test_starlette(self) -> None:
        """The same with HTTPException."""
        events: list[Event] = []

        @starlette.verify_webhook(FRAPPE, secret=SECRET, observe=events.append)
        async def hook(_request: Any) -> Any:
            raise HTTPException(418)

        app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])
        TestClient(app).post("/hook", **ORDER.for_httpx)
        assert [(event.kind, event.status) for event in events] == [
            ("accepted", None),
            ("failed", 418),
        ]

    @pytest.mark.parametrize(
        ("error", "status"),
        [(django.http.Http404(), 404), (PermissionDenied(), 403), (ValueError(), None)],
    )
    def test_django(self, error: Exception, status: int | None) -> None:
        """The same with the exceptions of Django."""
        assert _decorators._DJANGO.status_of_error(error) == status  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


class TestFastAPI:
    """FastAPI, where a dependency alone does not see how the path function ends."""

    @staticmethod
    def send(router: APIRouter, path: str = "/hook") -> int:
        app = FastAPI()
        app.include_router(router)
        client = TestClient(app, raise_server_exceptions=False)
        return client.post(path, **ORDER.for_httpx).status_code

    def test_plain_route(self) -> None:
        """Without WebhookRoute, the last event is that the request was accepted."""
        events: list[Event] = []
        webhook = fastapi.Webhook(FRAPPE, secret=SECRET, observe=events.append)
        router = APIRouter()
        router.post("/hook", dependencies=[Depends(webhook)])(lambda: None)

        assert self.send(router) == 200
        assert kinds(events) == ["accepted"]
        assert events[0].endpoint.endswith("/hook")

    def test_response_of_an_exception(self) -> None:
        """With it, an HTTPException has its status."""
        events: list[Event] = []
        webhook = fastapi.Webhook(FRAPPE, secret=SECRET, observe=events.append)
        router = APIRouter(route_class=fastapi.WebhookRoute)

        @router.post("/hook", dependencies=[Depends(webhook)])
        def hook() -> None:
            raise HTTPException(418)

        assert self.send(router) == 418
        assert [(event.kind, event.status) for event in events] == [
            ("accepted", None),
            ("failed", 418),
        ]

    def test_two_webhooks(self) -> None:
        """Each has its own observers. A repeat for one of them reaches no handler."""
        events: dict[str, list[Event]] = {"one": [], "two": []}
        store = MemoryStore()
        one, two = (
            fastapi.Webhook(FRAPPE, secret=SECRET, observe=each.append, store=store)
            for each in events.values()
        )
        router = APIRouter(route_class=fastapi.WebhookRoute)
        router.post("/hook", dependencies=[Depends(one)])(lambda: None)
        router.post("/both", dependencies=[Depends(one), Depends(two)])(lambda: None)

        assert self.send(router) == 200
        assert (kinds(events["one"]), kinds(events["two"])) == (["accepted", "handled"], [])

    def test_called_by_a_function(self) -> None:
        """Where FastAPI knows no route, the function names the endpoint, or nothing does."""
        events: list[Event] = []
        webhook = fastapi.Webhook(FRAPPE, secret=SECRET, observe=events.append)
        for endpoint in ({}, {"endpoint": kinds}):
            scope, receive = ORDER.asgi("/hook")
            asyncio.run(webhook(Request({**scope, "app": FastAPI(), **endpoint}, receive)))
        assert [(event.kind, event.endpoint) for event in events] == [
            ("accepted", ""),
            ("accepted", "tests.observe.test_events.kinds"),
        ]
