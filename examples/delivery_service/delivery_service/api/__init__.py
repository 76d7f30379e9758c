"""The API under `/v1`."""

from __future__ import annotations

from fastapi import APIRouter

from delivery_service.api import deliveries, endpoints, me, messages
from delivery_service.problems import documented

router = APIRouter(prefix="/v1", responses=documented(400, 401, 403, 413, 415, 421, 422, 429, 503))
for each in (endpoints, messages, deliveries, me):
    router.include_router(each.router)
