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

    requests_per_minute: int = Field(description="How many requests this key may make.")
    endpoints: int = Field(description="How many endpoints the tenant may have.")
    payload_bytes: int = Field(description="The largest payload of a message.")
    body_bytes: int = Field(description="The largest body of a request.")
    messages_at_once: int = Field(description="How many messages one request may publish.")
    sent_again_at_once: int = Field(description="How many deliveries one request may send again.")


class Me(Answered):
    """What an API key is for."""

    tenant: str
    key_id: str = Field(description="The public part of the key.")
    scopes: list[str]
    limits: KeyLimits


@router.get("/me", operation_id="get_me", summary="Look at the API key")
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
