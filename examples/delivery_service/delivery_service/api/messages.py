"""The routes of messages."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(prefix="/messages", tags=["messages"])
