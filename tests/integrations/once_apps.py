"""Apps in which each delivery is to be handled once, and a handler that does as it is told.

A delivery is `{"n": ..., "statuses": [...], "takes": ...}`: what each attempt is answered with, 0
for an exception, and how many seconds that takes. What is handled is noted in the file NOTES.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any, ClassVar

import redis
import redis.asyncio
from fastapi import APIRouter, Depends, FastAPI
from flask import Flask, Response
from flask.views import MethodView
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import Response as StarletteResponse
from starlette.routing import Route

from frappe_hooksig import Delivery, StoreError
from frappe_hooksig.integrations import fastapi, flask, starlette
from frappe_hooksig.integrations.redis import AsyncRedisStore, RedisStore
from frappe_hooksig.replay import Deduplicator, MemoryStore, SQLiteStore, State
from tests.integrations.conformance import SECRET


class Broken:
    """A store that cannot be reached."""

    def claim(self, key: str, token: str, lease: float) -> State:
        msg = f"the store of {len(key)}, {len(token)}, {lease} is away"
        raise StoreError(msg)

    renew = complete = release = claim


class GetThenSet:
    """What people write: one look, and then one change."""

    def claim(self, key: str, token: str, lease: float) -> State:
        path = Path(os.environ["NOTES"]).with_name(key)
        if path.exists():
            return State.DONE
        time.sleep(0.1)  # a round trip, on a busy day
        path.write_text(f"{token} {lease}")
        return State.NEW

    def renew(self, key: str, token: str, seconds: float = 0) -> bool:
        return bool(key and token and seconds >= 0)

    complete = release = renew


def stores_of(name: str) -> tuple[Any, Any]:
    """Return the store that a test has chosen, for those that cannot wait and for those that can.

    Args:
        name: Such as "memory", "sqlite:" and a path, or the URL of a Valkey.
    """
    kind, _, where = name.partition(":")
    if kind == "redis":  # as the docs have it: soon, and once
        soon: dict[str, Any] = {"socket_timeout": 1, "socket_connect_timeout": 1}
        client = redis.Redis.from_url(name, **soon, retry=Retry(NoBackoff(), 0))
        # All that come at once to a process want to look at once, which a plain pool refuses.
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            name, **soon, retry=AsyncRetry(NoBackoff(), 0), max_connections=10, timeout=3
        )
        return RedisStore(client), AsyncRedisStore(redis.asyncio.Redis(connection_pool=pool))
    if kind == "sqlite":
        store: Any = SQLiteStore(where, timeout=float(os.environ.get("STORE_TIMEOUT", "20")))
    else:
        store = {"memory": MemoryStore, "broken": Broken, "get-then-set": GetThenSet}[kind]()
    return store, store


STORE, ASYNC_STORE = stores_of(os.environ.get("STORE", "memory"))
# What a test wants otherwise, such as `on_store_error`.
CHOSEN = json.loads(os.environ.get("OPTIONS", "{}"))
OPTIONS: Any = {"secret": SECRET, "store": Deduplicator(STORE, **CHOSEN)}
ASYNC_OPTIONS: Any = OPTIONS | {"store": Deduplicator(ASYNC_STORE, **CHOSEN)}


def note(what: str) -> None:
    """Write a line, which no other process writes into."""
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(f"{what}\n")


def begin(delivery: Delivery) -> tuple[float, int]:
    """Return how long to take, and what to answer then."""
    order = delivery.json()
    begun = f"begin {order['n']}"
    attempt = Path(os.environ["NOTES"]).read_text().splitlines().count(begun)
    note(begun)
    statuses = order.get("statuses", [200])
    return order.get("takes", 0), statuses[min(attempt, len(statuses) - 1)]


def end(delivery: Delivery, status: int) -> int:
    """Note that it was handled."""
    if not status:
        msg = "told to fail"
        raise ValueError(msg)
    note(f"end {delivery.json()['n']}")
    return status


flask_app = Flask(__name__)


@flask_app.post("/")
@flask.verify_frappe_webhook(**OPTIONS)
def of_flask() -> Any:
    takes, status = begin(flask.get_delivery())
    time.sleep(takes)
    return {"handled": True}, end(flask.get_delivery(), status)


@flask_app.post("/other")
@flask.verify_frappe_webhook(**OPTIONS)
def other_of_flask() -> Response:
    return Response(status=end(flask.get_delivery(), begin(flask.get_delivery())[1]))


class Hook(MethodView):
    """A view by class, and one of many."""

    decorators: ClassVar[list[Any]] = [flask.verify_frappe_webhook(**OPTIONS)]

    def post(self) -> Response:
        return Response(status=end(flask.get_delivery(), begin(flask.get_delivery())[1]))


flask_app.add_url_rule("/class", view_func=Hook.as_view("hook"))
flask_app.add_url_rule("/class-too", view_func=Hook.as_view("hook_too"))


@flask_app.post("/async")
@flask.verify_frappe_webhook(**OPTIONS)
async def async_of_flask() -> Any:
    takes, status = begin(flask.get_delivery())
    await asyncio.sleep(takes)
    return {"handled": True}, end(flask.get_delivery(), status)


@starlette.verify_frappe_webhook(**ASYNC_OPTIONS)
async def of_starlette(request: Request) -> StarletteResponse:
    takes, status = begin(starlette.get_delivery(request))
    await asyncio.sleep(takes)
    return StarletteResponse(status_code=end(starlette.get_delivery(request), status))


@starlette.verify_frappe_webhook(**ASYNC_OPTIONS)
def other_of_starlette(request: Request) -> StarletteResponse:
    takes, status = begin(starlette.get_delivery(request))
    time.sleep(takes)
    return StarletteResponse(status_code=end(starlette.get_delivery(request), status))


class Endpoint(HTTPEndpoint):
    """An endpoint by class, which others inherit from."""

    @starlette.verify_frappe_webhook(**ASYNC_OPTIONS)
    async def post(self, request: Request) -> StarletteResponse:
        delivery = starlette.get_delivery(request)
        return StarletteResponse(status_code=end(delivery, begin(delivery)[1]))


class Inherited(Endpoint):
    """One of those."""


starlette_app = Starlette(
    routes=[
        Route("/class", Endpoint),
        Route("/class-too", Inherited),
        Route("/", of_starlette, methods=["POST"]),
        Route("/other", other_of_starlette, methods=["POST"]),
    ]
)

fastapi_app = FastAPI()
router = APIRouter(route_class=fastapi.WebhookRoute)
webhook = fastapi.FrappeWebhook(**ASYNC_OPTIONS)


@router.post("/")
async def of_fastapi(response: StarletteResponse, delivery: Delivery = Depends(webhook)) -> None:
    takes, status = begin(delivery)
    await asyncio.sleep(takes)
    response.status_code = end(delivery, status)


@router.post("/other")
def other_of_fastapi(response: StarletteResponse, delivery: Delivery = Depends(webhook)) -> None:
    takes, status = begin(delivery)
    time.sleep(takes)
    response.status_code = end(delivery, status)


router.post("/too")(other_of_fastapi)
fastapi_app.include_router(router)


@fastapi_app.post("/plain")
async def plain(_delivery: Delivery = Depends(webhook)) -> None:
    """Stand on a route that does not see its answer."""
