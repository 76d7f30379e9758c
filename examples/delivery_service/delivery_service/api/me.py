"""What an API key is for."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from delivery_service.account import MOST_AGAIN, MOST_AT_ONCE
from delivery_service.api.authentication import KnownCaller
from delivery_service.api.fields import Answered
from delivery_service.state import Service

router = APIRouter(tags=["key"])


class KeyLimits(Answered):
    """How much is taken."""

    requests_per_minute: int
    endpoints: int
    payload_bytes: int
    body_bytes: int
    messages_at_once: int
    sent_again_at_once: int


class Me(Answered):
    """What an API key is for."""

    tenant: str
    key_id: str = Field(description="The public part of the key.")
    scopes: list[str]
    limits: KeyLimits


@router.get("/me", operation_id="get_me")
def get_me(service: Service, caller: KnownCaller) -> Me:
    """Return the tenant, the scopes and the limits of the API key."""
    settings = service.settings
    return Me(
        tenant=caller.tenant_id,
        key_id=caller.key_id,
        scopes=sorted(caller.scopes),
        limits=KeyLimits(
            requests_per_minute=settings.requests_per_minute,
            endpoints=settings.max_endpoints,
            payload_bytes=settings.max_payload,
            body_bytes=settings.max_body,
            messages_at_once=MOST_AT_ONCE,
            sent_again_at_once=MOST_AGAIN,
        ),
    )
