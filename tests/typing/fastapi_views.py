"""What type checkers make of FastAPI's dependencies. Checked, never run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel
from typing_extensions import assert_type

from frappe_hooksig import Delivery, Verifier, providers
from frappe_hooksig.integrations.fastapi import FrappeWebhook, Refused, Webhook, WebhookRoute


class Order(BaseModel):
    """What Frappe sends."""

    name: str


async def secret_of(request: Request) -> str | None:
    """Find a secret for each sender, in a database."""
    return request.headers.get("X-Site")


router = APIRouter(route_class=WebhookRoute)
frappe = FrappeWebhook(secret=["new", "old"], max_body=1024)
github = Webhook(providers.GITHUB, secret=secret_of, tolerance=None)
stripe = Webhook(Verifier("secret", scheme=providers.STRIPE))


@router.post("/frappe", responses=frappe.responses)
async def receive(
    delivery: Annotated[Delivery, Depends(frappe)],
    order: Annotated[Order, Depends(frappe.payload(Order))],
) -> str:
    """Used as dependencies."""
    assert_type(delivery.dedup_key, str)
    return order.name


async def by_hand(request: Request) -> None:
    """Used without FastAPI's help."""
    assert_type(await github(request), Delivery)
    try:
        assert_type(await stripe(request), Delivery)
    except Refused as refused:
        assert_type(refused.status_code, int)


payload_is: Callable[[Delivery], Awaitable[Order]] = frappe.payload(Order)
numbers_are: Callable[[Delivery], Awaitable[list[int]]] = frappe.payload(list[int])

FrappeWebhook(secrets="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Webhook(secret="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Webhook("github", secret="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
