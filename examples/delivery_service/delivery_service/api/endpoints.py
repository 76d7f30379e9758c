"""The routes of endpoints."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(prefix="/endpoints", tags=["endpoints"])
