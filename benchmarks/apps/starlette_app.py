"""Starlette: one endpoint unverified, one verified by hand, one by us."""

from __future__ import annotations

import json
import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from benchmarks.by_hand import Refused, three_lines
from frappe_hooksig.integrations.starlette import get_delivery, verify_frappe_webhook

check = three_lines(os.environ["FRAPPE_WEBHOOK_SECRET"].encode())


async def unverified(request: Request) -> JSONResponse:
    """Parse what anybody sends."""
    order = json.loads(await request.body())
    return JSONResponse({"received": order["name"]})


async def by_hand(request: Request) -> Response:
    """Parse what has the right signature."""
    body = await request.body()
    try:
        check(body, request.headers)
    except Refused:
        return Response(status_code=401)
    order = json.loads(body)
    return JSONResponse({"received": order["name"]})


@verify_frappe_webhook
async def verified(request: Request) -> JSONResponse:
    """Parse what Frappe has signed."""
    order = get_delivery(request).json()
    return JSONResponse({"received": order["name"]})


app = Starlette(
    routes=[
        Route("/unverified", unverified, methods=["POST"]),
        Route("/by-hand", by_hand, methods=["POST"]),
        Route("/verified", verified, methods=["POST"]),
    ]
)
