"""The API under `/v1`."""

from __future__ import annotations

from fastapi import APIRouter

from delivery_service.api import deliveries, endpoints, messages

router = APIRouter(prefix="/v1")
for each in (endpoints, messages, deliveries):
    router.include_router(each.router)
