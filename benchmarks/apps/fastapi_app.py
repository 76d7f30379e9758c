"""FastAPI: one path function unverified, one verified by hand, one by us."""

from __future__ import annotations

import json
import os
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request

from benchmarks.by_hand import Refused, three_lines
from frappe_hooksig import Delivery
from frappe_hooksig.integrations.fastapi import FrappeWebhook

app = FastAPI()
frappe = FrappeWebhook()
check = three_lines(os.environ["FRAPPE_WEBHOOK_SECRET"].encode())


@app.post("/unverified")
async def unverified(request: Request) -> dict[str, str]:
    """Parse what anybody sends."""
    order = json.loads(await request.body())
    return {"received": order["name"]}


@app.post("/by-hand")
async def by_hand(request: Request) -> dict[str, str]:
    """Parse what has the right signature."""
    body = await request.body()
    try:
        check(body, request.headers)
    except Refused as error:
        raise HTTPException(401) from error
    order = json.loads(body)
    return {"received": order["name"]}


@app.post("/verified")
async def verified(delivery: Annotated[Delivery, Depends(frappe)]) -> dict[str, str]:
    """Parse what Frappe has signed."""
    order = delivery.json()
    return {"received": order["name"]}
