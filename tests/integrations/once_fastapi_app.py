"""The FastAPI app of `once_apps`."""

from __future__ import annotations

import asyncio
import time

from fastapi import APIRouter, Depends, FastAPI
from starlette.responses import Response

from frappe_hooksig import Delivery
from frappe_hooksig.integrations import fastapi
from tests.integrations.once_apps import ASYNC_OPTIONS, begin, end

fastapi_app = FastAPI()
router = APIRouter(route_class=fastapi.WebhookRoute)
webhook = fastapi.FrappeWebhook(**ASYNC_OPTIONS)


@router.post("/")
async def of_fastapi(response: Response, delivery: Delivery = Depends(webhook)) -> None:
    takes, status = begin(delivery)
    await asyncio.sleep(takes)
    response.status_code = end(delivery, status)


@router.post("/other")
def other_of_fastapi(response: Response, delivery: Delivery = Depends(webhook)) -> None:
    takes, status = begin(delivery)
    time.sleep(takes)
    response.status_code = end(delivery, status)


router.post("/too")(other_of_fastapi)
fastapi_app.include_router(router)


@fastapi_app.post("/plain")
async def plain(_delivery: Delivery = Depends(webhook)) -> None:
    """Stand on a route that does not see its answer."""
