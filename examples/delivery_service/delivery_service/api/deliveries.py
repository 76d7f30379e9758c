"""The routes of deliveries."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal, cast

from fastapi import APIRouter, Query
from pydantic import Field

from delivery_service.api.authentication import ReadDeliveries, WriteDeliveries
from delivery_service.api.fields import (
    Answered,
    DeliveryId,
    DeliveryPath,
    EndpointId,
    EventTypeFilter,
    MessageId,
    Received,
    Time,
    seconds_of,
    time_of,
    time_or_none,
)
from delivery_service.api.paging import Page, Paged, last_of, page_of
from delivery_service.api.reading import JSONRoute
from delivery_service.problems import documented
from frappe_hooksig.outbox import AttemptRecord, DeliveryRecord

router = APIRouter(prefix="/deliveries", tags=["deliveries"], route_class=JSONRoute)

_UNKNOWN: Final = documented(404)

DeliveryState = Annotated[
    Literal["waiting", "due", "claimed", "delivered", "dead", "cancelled"],
    Field(
        description=(
            "`waiting`: an earlier message of its key has to arrive first. `due`: it is sent at "
            "`due_at`. `claimed`: an attempt is running. `delivered`: it has arrived. `dead`: it "
            "was given up after the last attempt. `cancelled`: its endpoint was deleted."
        )
    ),
]
EndedState = Literal["delivered", "dead", "cancelled"]
Since = Annotated[
    Time | None, Field(description="Their message was published at that time, or later.")
]
Until = Annotated[
    Time | None, Field(description="Their message was published at that time, or before.")
]


class Delivery(Answered):
    """A message on its way to an endpoint."""

    id: DeliveryId
    message_id: MessageId
    sent_as: MessageId = Field(
        description="The id that the receiver sees: another one for what was sent as new."
    )
    event_type: str
    endpoint_id: EndpointId
    key: str | None
    state: DeliveryState
    due_at: datetime = Field(description="When it is, or was, to be sent next.")
    attempts: int = Field(description="How many attempts there were.")
    is_set_aside: bool = Field(
        description="Whether it failed for so long that those after it were sent before it."
    )
    created_at: datetime
    ended_at: datetime | None = Field(description="When it was delivered or given up.")
    status: int | None = Field(description="The HTTP status of the last answer.")
    reason: str = Field(description="Why the last attempt failed, for programs; else empty.")
    message: str = Field(description="The same as a sentence.")

    @classmethod
    def of(cls, record: DeliveryRecord) -> Delivery:
        """Return what the API tells of a delivery."""
        return cls(
            id=record.id,
            message_id=record.message_id,
            sent_as=record.sent_as,
            event_type=record.event_type,
            endpoint_id=record.endpoint_id,
            key=record.key,
            state=cast("DeliveryState", str(record.state)),
            due_at=time_of(record.due_at),
            attempts=record.attempts,
            is_set_aside=record.is_set_aside,
            created_at=time_of(record.created_at),
            ended_at=time_or_none(record.ended_at),
            status=record.status,
            reason=record.reason,
            message=record.message,
        )


class Attempt(Answered):
    """An attempt to deliver."""

    number: int = Field(description="From 1 on.")
    started_at: datetime
    seconds: float = Field(description="How long it took.")
    outcome: Literal["delivered", "gone", "refused", "unreachable", "blocked"]
    status: int | None = Field(description="The HTTP status of the answer.")
    reason: str = Field(description="Why it failed, for programs; else empty.")
    message: str = Field(description="The same as a sentence.")
    answer: str = Field(
        description="The start of what the receiver answered. Show it as text: a stranger sent it."
    )

    @classmethod
    def of(cls, record: AttemptRecord) -> Attempt:
        """Return what the API tells of an attempt."""
        return cls(
            number=record.number,
            started_at=time_of(record.started_at),
            seconds=record.seconds,
            outcome=record.outcome,
            status=record.status,
            reason=record.reason,
            message=record.message,
            answer=record.answer.decode("utf-8", "replace"),
        )


class DeliveryWithAttempts(Delivery):
    """A delivery, and what became of it so far."""

    history: list[Attempt] = Field(description="Its attempts, the first one first.")


class DeliveryFilters(Paged):
    """Which deliveries are wanted."""

    endpoint_id: EndpointId | None = Field(default=None, description="To this endpoint.")
    message_id: MessageId | None = Field(
        default=None, description="The id of their message, or the one that receivers saw."
    )
    state: list[DeliveryState] = Field(
        default=[], max_length=6, description="In one of these states. Repeat it for several."
    )
    event_type: EventTypeFilter | None = Field(
        default=None,
        description="Of this event type, or with `.*` at its end, of all that begin with it.",
    )
    since: Since = None
    until: Until = None


class Several(Received):
    """Which deliveries are to be sent once more."""

    endpoint_id: EndpointId
    states: list[EndedState] = Field(default=["dead"], min_length=1, max_length=3)
    since: Since = None
    until: Until = None


class Sent(Answered):
    """How many deliveries are sent once more."""

    count: int


@router.get("", operation_id="list_deliveries", summary="List deliveries", responses=_UNKNOWN)
def list_deliveries(
    account: ReadDeliveries, filters: Annotated[DeliveryFilters, Query()]
) -> Page[Delivery]:
    """List deliveries, the newest first."""
    last = last_of(filters.cursor, "[0-9]{1,18}")
    found = account.deliveries(
        endpoint=filters.endpoint_id,
        message=filters.message_id,
        states=filters.state or None,
        event_types=filters.event_type,
        since=seconds_of(filters.since),
        until=seconds_of(filters.until),
        before=None if last is None else int(last),
        limit=filters.limit + 1,
    )
    return page_of(found, filters.limit, Delivery.of)


@router.get(
    "/{delivery_id:delivery}",
    operation_id="get_delivery",
    summary="Look at a delivery and its attempts",
    responses=_UNKNOWN,
)
def get_delivery(account: ReadDeliveries, delivery_id: DeliveryPath) -> DeliveryWithAttempts:
    """Return a delivery with all of its attempts."""
    shown = Delivery.of(account.delivery(delivery_id))
    history = [Attempt.of(each) for each in account.attempts(delivery_id)]
    return DeliveryWithAttempts(**dict(shown), history=history)


@router.post(
    "/{delivery_id:delivery}/send-again",
    status_code=202,
    operation_id="send_again",
    summary="Send a delivery again",
    responses=documented(404, 409),
)
def send_again(account: WriteDeliveries, delivery_id: DeliveryPath) -> Sent:
    """Send a delivery that has ended once more, with the same id.

    A receiver that has had it recognises the id, and does nothing.
    """
    return Sent(count=account.send_one(delivery_id, as_new=False))


@router.post(
    "/{delivery_id:delivery}/send-as-new",
    status_code=202,
    operation_id="send_as_new",
    summary="Send a delivery as new",
    responses=documented(404, 409),
)
def send_as_new(account: WriteDeliveries, delivery_id: DeliveryPath) -> Sent:
    """Send a delivery that has ended once more, with a new id: the receiver handles it again."""
    return Sent(count=account.send_one(delivery_id, as_new=True))


@router.post(
    "/send-again",
    status_code=202,
    operation_id="send_several_again",
    summary="Send several deliveries again",
    responses=documented(404, 409),
)
def send_several_again(account: WriteDeliveries, several: Several) -> Sent:
    """Send up to 500 deliveries of an endpoint once more, with the same ids.

    If there are more, none is sent: choose a shorter time with `since` and `until`.
    """
    return Sent(count=account.send_several(**_chosen(several), as_new=False))


@router.post(
    "/send-as-new",
    status_code=202,
    operation_id="send_several_as_new",
    summary="Send several deliveries as new",
    responses=documented(404, 409),
)
def send_several_as_new(account: WriteDeliveries, several: Several) -> Sent:
    """Send up to 500 deliveries of an endpoint once more, with new ids.

    If there are more, none is sent: choose a shorter time with `since` and `until`.
    """
    return Sent(count=account.send_several(**_chosen(several), as_new=True))


def _chosen(several: Several) -> dict[str, Any]:
    return {
        "endpoint_id": several.endpoint_id,
        "states": several.states,
        "since": seconds_of(several.since),
        "until": seconds_of(several.until),
    }
