"""The pages of deliveries."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from delivery_service.account import Account, Described
from delivery_service.pages.forms import Refusal, refusal_of
from delivery_service.pages.showing import STATES
from delivery_service.pages.visits import Visiting, guarded
from frappe_hooksig import ConfigurationError, UnknownRecord
from frappe_hooksig.outbox import DeliveryRecord

router = APIRouter(prefix="/deliveries", include_in_schema=False, dependencies=[Depends(guarded)])

_PER_PAGE: Final = 50
_MOST_CHOICES: Final = 1000  # endpoints
_LARGEST: Final = 2**63 - 1
_SOON: Final = 60  # seconds

DeliveryId = Annotated[int, Path(ge=0, le=_LARGEST)]


@router.get("")
def list_deliveries(
    visit: Visiting,
    endpoint: str = "",
    state: str = "",
    event_type: str = "",
    before: Annotated[int | None, Query(ge=0, le=_LARGEST)] = None,
) -> Response:
    """Show deliveries, the newest first."""
    chosen = {"endpoint": endpoint, "state": state, "event_type": event_type.strip()}
    found: list[DeliveryRecord] = []
    problem: Refusal | None = None
    try:
        found = visit.account.deliveries(**_filters(**chosen), before=before, limit=_PER_PAGE + 1)
    except ConfigurationError as error:
        is_state = state in {"", *map(str, STATES)}
        problem = refusal_of(error, "event_types" if is_state else "states")
    several = visit.account.endpoints(limit=_MOST_CHOICES)
    endpoints = {each.endpoint.id: each for each in several}
    is_known = endpoint in endpoints
    numbers = visit.account.numbers(endpoint).get(endpoint) if is_known else None
    return visit.page(
        "deliveries.html",
        422 if problem else 200,
        deliveries=found[:_PER_PAGE],
        endpoints=endpoints,
        given_up=0 if numbers is None else numbers.dead,
        chosen=chosen,
        problem=problem,
        is_first=before is None,
        before=found[_PER_PAGE - 1].id if len(found) > _PER_PAGE else None,
    )


@router.get("/{delivery_id}")
def show(visit: Visiting, delivery_id: DeliveryId) -> Response:
    """Show a delivery and its attempts. The page updates itself until it has ended."""
    account = visit.account
    delivery = account.delivery(delivery_id)
    version = f"{delivery.state}-{delivery.attempts}-{delivery.due_at:.0f}"
    if visit.has_seen(version):
        return Response(status_code=204)
    is_soon = delivery.due_at - time.time() < _SOON
    return visit.page(
        "delivery.html",
        delivery=delivery,
        described=_endpoint_of(account, delivery),
        attempts=account.attempts(delivery_id),
        payload=account.payload(delivery.message_id),
        version=version,
        seconds=2 if is_soon else 15,
    )


@router.post("/{delivery_id}/send-again")
def send_again(visit: Visiting, delivery_id: DeliveryId) -> Response:
    """Send a delivery once more, with the same id."""
    visit.account.send_one(delivery_id, as_new=False)
    return visit.go_to(f"/deliveries/{delivery_id}", "again")


@router.post("/{delivery_id}/send-as-new")
def send_as_new(visit: Visiting, delivery_id: DeliveryId) -> Response:
    """Send the message of a delivery once more, with a new id."""
    delivery = visit.account.delivery(delivery_id)
    visit.account.send_one(delivery_id, as_new=True)
    newest = visit.account.deliveries(
        message=delivery.message_id, endpoint=delivery.endpoint_id, limit=1
    )
    return visit.go_to(f"/deliveries/{newest[0].id}", "as-new")


def _filters(*, endpoint: str, state: str, event_type: str) -> dict[str, Any]:
    given = {"endpoint": endpoint, "states": state, "event_types": event_type}
    return {name: value for name, value in given.items() if value}


def _endpoint_of(account: Account, delivery: DeliveryRecord) -> Described | None:
    try:
        return account.endpoint(delivery.endpoint_id)
    except UnknownRecord:  # it was deleted
        return None
