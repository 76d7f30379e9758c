"""The apps of test_cancelled.py, whose requests are cancelled at the step that they name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Depends, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from frappe_hooksig import Delivery
from frappe_hooksig.integrations import starlette
from frappe_hooksig.integrations.fastapi import FrappeWebhook, WebhookRoute
from tests.integrations.once_apps import ASYNC_OPTIONS, OPTIONS, begin, end

Message: TypeAlias = MutableMapping[str, Any]
App: TypeAlias = Callable[..., Awaitable[None]]


def cancelling(app: App, *, by_disconnect: bool = False) -> App:
    """Return an app that cancels a request after as many steps of the event loop as it says.

    Args:
        app: Handles the requests.
        by_disconnect: Whether the app cancels its work itself when the client is gone.
    """

    async def call(scope: Message, receive: Any, send: Any) -> None:
        steps = dict(scope.get("headers", ())).get(b"x-cancel-after")
        if steps is None:
            return await app(scope, receive, send)
        messages: list[Message] = [await receive()]  # all of a small request
        is_gone = asyncio.Event()
        is_answered = False

        async def received() -> Message:
            if messages:
                return messages.pop()
            await is_gone.wait()
            return {"type": "http.disconnect"}

        async def sent(message: Message) -> None:
            nonlocal is_answered
            is_answered = True
            await send(message)

        task = asyncio.ensure_future(app(scope, received, sent))
        for _ in range(int(steps)):
            await asyncio.sleep(0)
        is_gone.set()
        if not by_disconnect:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        if not is_answered:
            await Response(status_code=504)(scope, receive, send)
        return None

    return call


async def work(delivery: Delivery) -> int:
    """Let others go on meanwhile; return what to answer."""
    _, status = begin(delivery)
    await asyncio.sleep(0)
    return end(delivery, status)


def starlette_app_with(options: Any) -> App:
    @starlette.verify_frappe_webhook(**options)
    async def handle(request: Request) -> Response:
        return Response(status_code=await work(starlette.get_delivery(request)))

    return cancelling(Starlette(routes=[Route("/", handle, methods=["POST"])]))


def fastapi_app_with(options: Any) -> App:
    webhook = FrappeWebhook(**options)
    router = APIRouter(route_class=WebhookRoute)

    async def handle(delivery: Delivery) -> Response:
        return Response(status_code=await work(delivery))

    handle.__annotations__["delivery"] = Annotated[Delivery, Depends(webhook)]
    router.post("/")(handle)
    app = FastAPI()
    app.include_router(router)
    return cancelling(app)


starlette_app = starlette_app_with(OPTIONS)
async_starlette_app = starlette_app_with(ASYNC_OPTIONS)
fastapi_app = fastapi_app_with(OPTIONS)
async_fastapi_app = fastapi_app_with(ASYNC_OPTIONS)
