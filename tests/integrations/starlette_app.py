"""The Starlette app that test_starlette.py serves with uvicorn and sends requests to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from frappe_hooksig import Secret, Verifier
from frappe_hooksig.integrations.starlette import (
    get_delivery,
    verify_frappe_webhook,
    verify_webhook,
)
from tests.integrations import conformance
from tests.integrations.conformance import LIMITED, METHODS, OLD, SECRET, Comparisons

SECRETS: list[Secret | str] = [Secret(SECRET, id="new"), OLD]

comparisons = Comparisons()
frappe = verify_frappe_webhook(secret=SECRETS)


async def seen(request: Request) -> JSONResponse:
    """Answer with what an endpoint can see of a verified request."""
    return JSONResponse(conformance.seen(get_delivery(request), await request.body()))


def compared(_request: Request) -> JSONResponse:
    return JSONResponse({"count": comparisons.so_far()})


@verify_frappe_webhook
async def environment(request: Request) -> JSONResponse:
    return await seen(request)


@frappe
def synchronous(request: Request) -> JSONResponse:
    delivery = get_delivery(request)
    return JSONResponse(conformance.seen(delivery, delivery.body))


@frappe
async def parsed(request: Request) -> JSONResponse:
    return JSONResponse({"json": get_delivery(request).json()})


@frappe
def parsed_in_a_thread(request: Request) -> JSONResponse:
    return JSONResponse({"json": get_delivery(request).json()})


@frappe
async def parsed_by_starlette(request: Request) -> JSONResponse:
    return JSONResponse({"starlette": await request.json()})


@frappe
async def streamed(request: Request) -> JSONResponse:
    body = b"".join([chunk async for chunk in request.stream()])
    return JSONResponse(conformance.seen(get_delivery(request), body))


@frappe
async def form(request: Request) -> JSONResponse:
    fields, files = {}, {}
    for name, value in (await request.form()).items():
        if isinstance(value, UploadFile):
            files[name] = (await value.read()).decode()
        else:
            fields[name] = value
    return JSONResponse({"form": fields, "files": files})


@frappe
async def boom(_request: Request) -> JSONResponse:
    msg = "the handler's own fault"
    raise ValueError(msg)


class Hook(HTTPEndpoint):
    """A class of which two methods are verified."""

    async def get(self, _request: Request) -> PlainTextResponse:
        return PlainTextResponse("open to everybody")

    @frappe
    async def post(self, request: Request) -> JSONResponse:
        return await seen(request)

    @frappe
    def put(self, request: Request) -> JSONResponse:
        return synchronous.__wrapped__(request)  # type: ignore[attr-defined,no-any-return]


@frappe
async def without_request() -> JSONResponse:
    return JSONResponse({})


async def calls_it_without_request(_request: Request) -> JSONResponse:
    return await without_request()


def secret_of_capture(request: Request) -> Any:
    """Return the secret of the site that a path stands for, or None."""
    return conformance.secret_of_capture(request.path_params["index"])


async def secret_later(request: Request) -> Any:
    """Return the same, as a database would."""
    return secret_of_capture(request)


def first(
    look: Callable[[Request], Awaitable[object]],
) -> Callable[[Callable[[Request], Any]], Callable[[Request], Any]]:
    """Let something look at the request before it is verified, as a careless app does."""

    def decorator(view: Callable[[Request], Any]) -> Callable[[Request], Any]:
        @wraps(view)
        async def inner(request: Request) -> Any:
            await look(request)
            return await view(request)

        return inner

    return decorator


async def read_form(request: Request) -> None:
    await request.form()


async def read_stream(request: Request) -> None:
    assert [chunk async for chunk in request.stream()]


async def read_uncached(request: Request) -> None:
    async for _ in Request(request.scope, request.receive).stream():
        break


async def read_nothing(request: Request) -> None:
    assert request.query_params is not None
    assert request.stream()


LOOKS: dict[str, Callable[[Request], Awaitable[object]]] = {
    "form": read_form,
    "stream": read_stream,
    "body": Request.body,
    "json": Request.json,
    "nothing": read_nothing,
}


async def middleware(
    request: Request,
    call_next: Callable[[Request], Awaitable[Response]],
    *,
    before: Callable[[Request], Awaitable[object]] = read_nothing,
    after: Callable[[Request], Awaitable[object]] = read_nothing,
) -> Response:
    """Stand for somebody's middleware that looks at the request."""
    await before(request)
    response = await call_next(request)
    await after(request)
    return response


def behind(name: str, **looks: Any) -> Mount:
    """Mount the verified endpoints behind a middleware."""
    dispatch = partial(middleware, **looks)
    return Mount(
        f"/behind/{name}",
        routes=[
            Route("/hook", frappe(seen), methods=["POST"]),
            Route("/form", form, methods=["POST"]),
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=dispatch)],
    )


routes = [
    Route("/compared", compared, methods=["POST"]),
    Route("/frappe", frappe(seen), methods=METHODS),
    Route("/environment", environment, methods=["POST"]),
    Route(
        "/limited", verify_frappe_webhook(secret=SECRETS, max_body=LIMITED)(seen), methods=["POST"]
    ),
    Route("/sync", synchronous, methods=["POST"]),
    Route("/json", parsed, methods=["POST"]),
    Route("/sync-json", parsed_in_a_thread, methods=["POST"]),
    Route("/starlette-json", parsed_by_starlette, methods=["POST"]),
    Route("/stream", streamed, methods=["POST"]),
    Route("/form", form, methods=["POST"]),
    Route("/boom", boom, methods=["POST"]),
    Route("/unverified", seen, methods=METHODS),
    Route("/class", Hook),
    Route("/without-request", calls_it_without_request, methods=["POST"]),
    Mount("/mounted", routes=[Route("/hook", frappe(seen), methods=["POST"])]),
    *(
        Route(f"/{path}/{{index:int}}", verify_frappe_webhook(secret=secret)(seen), methods=METHODS)
        for path, secret in {
            "captures": secret_of_capture,
            "async-captures": secret_later,
            "lambda-captures": lambda request: secret_later(request),  # noqa: PLW0108  # not async
        }.items()
    ),
    *(
        Route(f"/{where}", verify_webhook(sender, **options)(seen), methods=["POST"])
        for where, (sender, options) in conformance.senders().items()
    ),
    Route("/verifier", verify_webhook(Verifier(OLD, max_body=10))(seen), methods=["POST"]),
    *(
        Route(f"/after/{what}", first(look)(frappe(seen)), methods=["POST"])
        for what, look in LOOKS.items()
    ),
    behind("nothing"),
    behind("body", before=Request.body),
    behind("body-twice", before=Request.body, after=Request.body),
    behind("form", before=read_form),
    behind("stream", before=read_stream),
]

app = Starlette(routes=routes)
