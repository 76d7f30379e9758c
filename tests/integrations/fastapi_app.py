"""The FastAPI apps that test_fastapi.py serves with uvicorn and sends requests to."""

from __future__ import annotations

import sys
from typing import Annotated, Any

from fastapi import (
    APIRouter,
    BackgroundTasks,
    Body,
    Depends,
    FastAPI,
    File,
    Form,
    HTTPException,
    Request,
    Response,
    UploadFile,
)
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.datastructures import UploadFile as StarletteUploadFile

from frappe_hooksig import Delivery, Secret, Verifier
from frappe_hooksig.integrations import starlette
from frappe_hooksig.integrations.fastapi import FrappeWebhook, Webhook, WebhookRoute
from tests.integrations import conformance
from tests.integrations.conformance import LIMITED, METHODS, OLD, SECRET, Comparisons

SECRETS: list[Secret | str] = [Secret(SECRET, id="new"), OLD]

comparisons = Comparisons()
frappe = FrappeWebhook(secret=SECRETS)
limited = FrappeWebhook(secret=SECRETS, max_body=LIMITED)
from_environment = FrappeWebhook()
Frappe = Annotated[Delivery, Depends(frappe)]


class Order(BaseModel):
    """What Frappe sends."""

    order: str = Field(min_length=3)
    items: list[dict[str, float]] = []


def secret_of_capture(request: Request) -> Any:
    """Return the secret of the site that a path stands for, or None."""
    return conformance.secret_of_capture(int(request.path_params["index"]))


async def secret_later(request: Request) -> Any:
    """Return the same, as a database would."""
    return secret_of_capture(request)


async def seen(request: Request, delivery: Frappe) -> dict[str, Any]:
    return conformance.seen(delivery, await request.body())


def view_of(webhook: Webhook) -> Any:
    """Return the same for another dependency."""

    async def view(request: Request, delivery: Delivery = Depends(webhook)) -> dict[str, Any]:
        return conformance.seen(delivery, await request.body())

    return view


def synchronous(delivery: Frappe) -> dict[str, Any]:
    return conformance.seen(delivery, delivery.body)


def compared() -> dict[str, Any]:
    return {"count": comparisons.so_far()}


async def parsed(delivery: Frappe) -> dict[str, Any]:
    return {"json": delivery.json()}


def parsed_in_a_thread(delivery: Frappe) -> dict[str, Any]:
    return {"json": delivery.json()}


async def ordered(order: Annotated[Order, Depends(frappe.payload(Order))]) -> Order:
    return order


async def numbered(
    numbers: Annotated[list[int], Depends(frappe.payload(list[int]))], delivery: Frappe
) -> dict[str, Any]:
    return {"sum": sum(numbers), "secret_id": delivery.secret_id}


async def form(request: Request, _delivery: Frappe) -> dict[str, Any]:
    fields, files = {}, {}
    for name, value in (await request.form()).items():
        if isinstance(value, StarletteUploadFile):
            files[name] = (await value.read()).decode()
        else:
            fields[name] = value
    return {"form": fields, "files": files}


async def form_parameters(
    request: Request,
    delivery: Frappe,
    a: Annotated[str, Form()],
    f: Annotated[UploadFile | None, File()] = None,
) -> dict[str, Any]:
    text = (await f.read()).decode() if f else None
    return {**conformance.seen(delivery, await request.body()), "a": a, "f": text}


async def body_parameter(
    request: Request, delivery: Frappe, order: Annotated[Order, Body()]
) -> dict[str, Any]:
    return {**conformance.seen(delivery, await request.body()), "order": order.order}


async def boom(_delivery: Frappe) -> None:
    msg = "the handler's own fault"
    raise ValueError(msg)


async def teapot(_delivery: Frappe) -> None:
    raise HTTPException(418, "short and stout")


async def unverified(request: Request) -> dict[str, Any]:
    return conformance.seen(starlette.get_delivery(request), await request.body())


def work(name: str) -> None:
    sys.stderr.write(f"worked on {name}\n")


async def later(delivery: Frappe, tasks: BackgroundTasks) -> dict[str, Any]:
    tasks.add_task(work, delivery.json()["order"])
    return {"status": "received"}


async def read_form(request: Request) -> None:
    await request.form()


async def read_stream(request: Request) -> None:
    assert [chunk async for chunk in request.stream()]


async def read_body(request: Request) -> None:
    await request.body()


async def read_json(request: Request) -> None:
    await request.json()


async def read_nothing(request: Request) -> None:
    assert request.query_params is not None


LOOKS = {
    "form": read_form,
    "stream": read_stream,
    "body": read_body,
    "json": read_json,
    "nothing": read_nothing,
}


def routes(route_class: type[APIRoute]) -> APIRouter:
    """Return the routes of the conformance tests, and some more."""
    router = APIRouter(route_class=route_class)
    router.post("/compared")(compared)
    router.post("/limited")(view_of(limited))
    router.post("/environment")(view_of(from_environment))
    router.post("/sync")(synchronous)
    router.post("/json")(parsed)
    router.post("/sync-json")(parsed_in_a_thread)
    router.post("/order")(ordered)
    router.post("/numbers")(numbered)
    router.post("/form")(form)
    router.post("/form-parameters")(form_parameters)
    router.post("/body-parameter")(body_parameter)
    router.post("/boom")(boom)
    router.post("/teapot")(teapot)
    router.post("/later")(later)
    for method in METHODS:  # each a route of its own, as OpenAPI has it
        router.add_api_route("/frappe", seen, methods=[method], responses=frappe.responses)
        router.add_api_route("/unverified", unverified, methods=[method])
    for path, secret in {
        "captures": secret_of_capture,
        "async-captures": secret_later,
        "lambda-captures": lambda request: secret_later(request),  # noqa: PLW0108  # not async
    }.items():
        view = view_of(FrappeWebhook(secret=secret))
        for method in METHODS:
            router.add_api_route(f"/{path}/{{index}}", view, methods=[method])
    for path, (sender, options) in conformance.senders().items():
        router.post(f"/{path}")(view_of(Webhook(sender, **options)))
    router.post("/verifier")(view_of(Webhook(Verifier(OLD, max_body=10))))
    for what, look in LOOKS.items():
        router.post(f"/after/{what}", dependencies=[Depends(look)])(seen)
    router.post("/after/form-parameters")(form_parameters)
    return router


def make_app(route_class: type[APIRoute]) -> FastAPI:
    """Return an app with all routes, a sub-app that has them too, and routers of all kinds."""
    app = FastAPI()
    app.include_router(routes(route_class))
    sub_app = FastAPI()
    sub_app.include_router(routes(route_class))
    app.mount("/mounted", sub_app)

    guarded = APIRouter(route_class=route_class, dependencies=[Depends(frappe)])

    @guarded.post("/hook")
    async def hook(request: Request) -> dict[str, Any]:
        delivery = starlette.get_delivery(request)
        return conformance.seen(delivery, await request.body())

    @guarded.post("/form-parameters")
    async def guarded_form(a: Annotated[str, Form()]) -> dict[str, Any]:
        return {"a": a}

    app.include_router(guarded, prefix="/guarded")

    plain = APIRouter(route_class=route_class)
    plain.post("/hook")(hook)
    app.include_router(plain, prefix="/guarded-later", dependencies=[Depends(frappe)])

    own_answers = FastAPI()
    own_answers.include_router(routes(route_class))

    @own_answers.exception_handler(401)
    async def unauthorized(_request: Request, _error: Exception) -> Response:
        return Response("the app's own words", 401)

    app.mount("/own-answers", own_answers)
    return app


app = make_app(APIRoute)
app_of_webhook_routes = make_app(WebhookRoute)
