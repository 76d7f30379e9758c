"""The routes of deliveries."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(prefix="/deliveries", tags=["deliveries"])
