"""The FastAPI app of test_leases.py: most of its functions run in threads, its store blocks."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request, Response

from frappe_hooksig import Delivery
from frappe_hooksig.integrations.fastapi import FrappeWebhook, WebhookRoute
from frappe_hooksig.replay import Claim
from tests.integrations.leases_apps import work, work_if_held
from tests.integrations.once_apps import OPTIONS, begin, end, note

fastapi_app = FastAPI()
router = APIRouter(route_class=WebhookRoute)
frappe = FrappeWebhook(**OPTIONS)
Verified = Annotated[Delivery, Depends(frappe)]


@router.post("/")
def in_thread(delivery: Verified) -> Response:
    return Response(status_code=work(delivery))


@router.post("/on-the-loop")
async def on_the_loop(delivery: Verified) -> Response:
    takes, status = begin(delivery)
    await asyncio.sleep(takes)
    return Response(status_code=end(delivery, status))


@router.post("/asks")
def asks(delivery: Verified, claim: Annotated[Claim, Depends(frappe.claim)]) -> Response:
    return Response(status_code=work_if_held(delivery, claim))


@router.api_route("/methods", methods=["GET", "POST", "HEAD", "OPTIONS", "TRACE"])
@router.get("/get")
def by_method(request: Request, delivery: Verified) -> str:
    note(f"{request.method} {delivery.json()['n']}")
    return "handled"


fastapi_app.include_router(router)


@fastapi_app.get("/unrelated")
def unrelated(takes: float) -> None:
    """Keep one of the threads of the app's functions busy."""
    time.sleep(takes)
