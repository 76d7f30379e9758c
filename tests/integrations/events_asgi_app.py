"""The FastAPI app that takes two topics of WooCommerce's, with two endpoints of Starlette's."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from frappe_hooksig import Delivery, Verifier, providers
from frappe_hooksig.integrations import starlette
from frappe_hooksig.integrations.fastapi import Webhook, WebhookRoute
from frappe_hooksig.replay import Claim, MemoryStore
from tests.integrations.own_secrets import SECRET

LISTED = ["order.created", "order.updated"]
OPTIONS: Any = {"secret": SECRET, "store": MemoryStore(), "unsigned_events": LISTED}

app = FastAPI()
router = APIRouter(route_class=WebhookRoute)
webhook = Webhook(providers.WOOCOMMERCE, **OPTIONS)
without_store = Webhook(Verifier(SECRET, scheme=providers.WOOCOMMERCE, unsigned_events=LISTED))


@router.post("/")
async def hook(delivery: Delivery = Depends(webhook)) -> dict[str, Any]:
    return {"handled": delivery.unsigned_event}


@router.post("/claim")
def of_claim(
    claim: Claim = Depends(webhook.claim), delivery: Delivery = Depends(webhook)
) -> dict[str, Any]:
    return {"handled": claim.seconds_left and delivery.unsigned_event}


@app.post("/without-store")
async def dependency(delivery: Delivery = Depends(without_store)) -> dict[str, Any]:
    return {"handled": delivery.unsigned_event}


@starlette.verify_webhook(providers.WOOCOMMERCE, **OPTIONS)
def of_starlette(request: Request) -> JSONResponse:
    return JSONResponse({"handled": starlette.get_delivery(request).unsigned_event})


class Endpoint(HTTPEndpoint):
    """An endpoint by class."""

    @starlette.verify_webhook(providers.WOOCOMMERCE, **OPTIONS)
    async def post(self, request: Request) -> JSONResponse:
        return JSONResponse({"handled": starlette.get_delivery(request).unsigned_event})


app.include_router(router)
app.router.routes += [
    Route("/starlette", of_starlette, methods=["POST"]),
    Route("/class", Endpoint),
]
