"""A verified delivery without a request, for each provider and in FastAPI."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.testclient import TestClient
from flask import Flask
from pydantic import BaseModel

from frappe_hooksig import ConfigurationError, Delivery, PayloadError, VerificationError, providers
from frappe_hooksig.freshness import body_time
from frappe_hooksig.integrations.fastapi import Webhook, WebhookRoute
from frappe_hooksig.integrations.flask import get_delivery, verify_webhook
from frappe_hooksig.providers import FRAPPE, SHOPIFY, SQUARE, STANDARD_WEBHOOKS, STRIPE
from frappe_hooksig.replay import MemoryStore
from frappe_hooksig.testing import delivery, override, signed_request

PAYLOAD = {"name": "SO-00001"}
THEN = 1_500_000_000


@pytest.mark.parametrize("name", providers.names())
def test_every_provider(name: str) -> None:
    """It is what the adapter of a route would pass to a handler."""
    scheme = providers.get(name)
    made = delivery(PAYLOAD, scheme=scheme)

    assert made.json() == PAYLOAD
    assert made.scheme is scheme
    assert (made.id is None) == (scheme.id_header is None)
    assert (made.timestamp is None) == (not scheme.signs_timestamp)
    assert made.is_signed == scheme.signs_body
    assert made.secret_id is made.unsigned_event is None


@pytest.mark.parametrize("timestamp", [THEN, datetime.fromtimestamp(THEN, timezone.utc)])
def test_what_is_asked_for(timestamp: Any) -> None:
    """Id, time and the id of the secret are those that the test has named."""
    scheme = STANDARD_WEBHOOKS
    made = delivery("x", scheme=scheme, id="msg_1", timestamp=timestamp, secret_id="new")

    assert (made.body, made.id, made.timestamp, made.secret_id) == (b"x", "msg_1", THEN, "new")


def test_event() -> None:
    """The event of a sender that does not sign it is the one that the test has named."""
    assert delivery(PAYLOAD, scheme=SHOPIFY, event="orders/create").unsigned_event == (
        "orders/create"
    )


def test_url() -> None:
    """A delivery to another URL is another one."""
    keys = {delivery(PAYLOAD, scheme=SQUARE, url=url).dedup_key for url in (None, "https://a.b/")}

    assert len(keys) == 2


def test_timestamp_in_the_body() -> None:
    """It is read as a route reads it, however long ago it is."""
    read = body_time("modified", time_zone="UTC")

    made = delivery({"modified": "2017-07-14 02:40:00"}, timestamp_from=read)
    assert made.timestamp == THEN
    with pytest.raises(VerificationError, match="no field 'modified'"):
        delivery({}, timestamp_from=read)


def test_time_that_occurs_twice() -> None:
    """A datetime with two readings has one."""
    read = body_time("at", time_zone="Europe/Berlin")

    made = delivery({"at": "2025-10-26 02:30:00"}, timestamp_from=read)
    assert made.timestamp in {1761438600, 1761442200}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"event": "orders/create"}, "event= has no use: scheme 'frappe' has no event_header"),
        ({"id": "1"}, "id= has no use"),
        ({"timestamp": 5}, "timestamp= has no use"),
        ({"url": "https://a.b/"}, "url= has no use"),
        ({"scheme": "github"}, "scheme= is str, not a Scheme"),
        ({"scheme": STRIPE, "timestamp_from": len}, "timestamp_from= has no use"),
    ],
    ids=str,
)
def test_unfit_argument(options: Any, message: str) -> None:
    """It is refused with the argument's name."""
    with pytest.raises(ConfigurationError, match=message):
        delivery(PAYLOAD, **options)


def test_unfit_payload() -> None:
    """What is no JSON is refused."""
    unfit: Any = object
    with pytest.raises(PayloadError):
        delivery(unfit)


def test_scheme_of_your_own() -> None:
    """A scheme without a provider works alike."""
    scheme = replace(FRAPPE, name="own", signature_header="X-Own", secret_prefix="own_")

    assert delivery(PAYLOAD, scheme=scheme).json() == PAYLOAD


class Order(BaseModel):
    name: str


def test_fastapi() -> None:
    """It takes the place of a webhook, also of one with a store, and of one behind a payload."""
    webhook = Webhook(STRIPE, secret="whsec_Ht7Wq2Zc9Xn4Vb6Mk1Lp8Rs5", store=MemoryStore())
    router = APIRouter(route_class=WebhookRoute)

    @router.post("/delivery")
    async def hook(delivery: Delivery = Depends(webhook)) -> Any:
        return delivery.json()

    @router.post("/payload")
    async def parsed(order: Order = Depends(webhook.payload(Order))) -> Any:
        return order.name

    app = FastAPI()
    app.include_router(router)
    client = TestClient(app)

    app.dependency_overrides[webhook] = lambda: delivery(PAYLOAD, scheme=STRIPE)
    assert [client.post("/delivery").json() for _ in "12"] == [PAYLOAD] * 2
    assert client.post("/payload").json() == "SO-00001"
    app.dependency_overrides.clear()
    assert client.post("/delivery").status_code == 401


def test_flask() -> None:
    """A view that gets its delivery from its request is sent a signed request."""
    app = Flask("orders")

    @app.post("/orders")
    @verify_webhook(FRAPPE, secret="Tz5Hn8Vb2Jk6Pd0Lw4Xc9Rf3")
    def orders() -> dict[str, str]:
        return {"seen": get_delivery().json()["name"]}

    request = signed_request(FRAPPE, PAYLOAD, "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4")
    with override(secret="Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"):
        response = app.test_client().post("/orders", **request.for_flask)

    assert response.json == {"seen": "SO-00001"}
