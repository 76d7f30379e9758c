"""What type checkers make of decorated Starlette endpoints. Checked, never run."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from typing_extensions import assert_type

from frappe_hooksig import Delivery, Verifier, providers
from frappe_hooksig.integrations.starlette import (
    get_delivery,
    verify_frappe_webhook,
    verify_webhook,
)


@verify_frappe_webhook
async def bare(request: Request) -> PlainTextResponse:
    """Used bare."""
    assert_type(get_delivery(request), Delivery)
    return PlainTextResponse("")


@verify_frappe_webhook(secret=["new", "old"], max_body=1024)
def called(request: Request) -> PlainTextResponse:
    """Used with options."""
    return PlainTextResponse(request.url.path)


async def secret_of(request: Request) -> str | None:
    """Find a secret for each sender, in a database."""
    return request.headers.get("X-Site")


@verify_webhook(providers.GITHUB, secret=secret_of, tolerance=None)
async def many_senders(_request: Request) -> PlainTextResponse:
    """Used with a function."""
    return PlainTextResponse("")


class Hook(HTTPEndpoint):
    """A class endpoint."""

    @verify_webhook(Verifier("secret", scheme=providers.STRIPE))
    async def post(self, request: Request) -> PlainTextResponse:
        """Methods keep their types too."""
        return PlainTextResponse(request.url.path)


app = Starlette(routes=[Route("/bare", bare), Route("/called", called), Route("/class", Hook)])

bare_is: Callable[[Request], Coroutine[Any, Any, PlainTextResponse]] = bare
called_is: Callable[[Request], PlainTextResponse] = called
method_is: Callable[[Hook, Request], Coroutine[Any, Any, PlainTextResponse]] = Hook.post

_ = bare(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
verify_frappe_webhook(secrets="x")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
verify_webhook(secret="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
verify_webhook("github", secret="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
