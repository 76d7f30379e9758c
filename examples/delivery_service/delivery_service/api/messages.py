"""The routes of messages."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from delivery_service.account import MOST_AT_ONCE
from delivery_service.account import NewMessage as ToPublish
from delivery_service.api.authentication import ReadMessages, WriteMessages
from delivery_service.api.fields import (
    Answered,
    EventType,
    EventTypeFilter,
    Key,
    MessageId,
    MessagePath,
    Received,
    Time,
    seconds_of,
    time_of,
)
from delivery_service.api.paging import Page, Paged, last_of, page_of, unknown_cursor
from delivery_service.api.reading import JSONRoute
from delivery_service.problems import Problem, documented
from frappe_hooksig import UnknownRecord
from frappe_hooksig.outbox import Message as Record

router = APIRouter(prefix="/messages", tags=["messages"], route_class=JSONRoute)

_UNKNOWN: Final = documented(404)


class NewMessage(Received):
    """A message to publish."""

    event_type: EventType
    payload: Any = Field(
        description=(
            "Any JSON. Receivers get it without white space, in the order in which it is written. "
            "Numbers have the range and the digits of a double, whole numbers up to 100 digits."
        ),
        examples=[{"invoice": "INV-7", "total": 99.5}],
    )
    key: Key | None = Field(
        default=None, description="Messages with the same key arrive in their order (`order`)."
    )
    idempotency_key: Key | None = Field(
        default=None,
        description=(
            "If a message was published with it already, nothing is published, and the answer has "
            "its id. For another event type, payload or key, the answer is a 409."
        ),
    )

    def to_publish(self) -> ToPublish:
        """Return what the account takes."""
        return ToPublish(
            event_type=self.event_type,
            payload=self.payload,
            key=self.key,
            idempotency_key=self.idempotency_key,
        )


class Published(Answered):
    """A message that is on its way."""

    id: MessageId = Field(description="Receivers see it, too.")


class NewMessages(Received):
    """Messages to publish: all of them, or none."""

    messages: list[NewMessage] = Field(min_length=1, max_length=MOST_AT_ONCE)


class PublishedMessages(Answered):
    """Messages that are on their way, in the order of the request."""

    messages: list[Published]


class Message(Answered):
    """What was published."""

    id: MessageId
    event_type: str
    key: str | None
    idempotency_key: str | None
    length: int = Field(description="The length of the payload, in bytes.")
    created_at: datetime
    is_routed: bool = Field(description="Whether its deliveries exist, one for each endpoint.")

    @classmethod
    def of(cls, record: Record) -> Message:
        """Return what the API tells of a message."""
        return cls(
            id=record.id,
            event_type=record.event_type,
            key=record.key,
            idempotency_key=record.idempotency_key,
            length=record.length,
            created_at=time_of(record.created_at),
            is_routed=record.is_routed,
        )


class MessageFilters(Paged):
    """Which messages are wanted."""

    event_type: EventTypeFilter | None = Field(
        default=None,
        description="Of this event type, or with `.*` at its end, of all that begin with it.",
    )
    since: Time | None = Field(default=None, description="Published at that time, or later.")
    until: Time | None = Field(default=None, description="Published at that time, or before.")


async def _refuse_header(request: Request) -> None:
    # Whoever relies on the header would publish twice.
    if "idempotency-key" in request.headers:
        detail = "the idempotency key of a message is its field idempotency_key, and no header"
        raise Problem(400, "idempotency-key-header", detail)


@router.post(
    "",
    status_code=202,
    operation_id="publish",
    summary="Publish a message",
    responses=documented(409),
    dependencies=[Depends(_refuse_header)],
)
def publish(account: WriteMessages, new: NewMessage) -> Published:
    """Publish a message. It is sent to the endpoints that want its event type."""
    (message_id,) = account.publish([new.to_publish()])
    return Published(id=message_id)


@router.post(
    "/bulk",
    status_code=202,
    operation_id="publish_several",
    summary="Publish several messages",
    responses=documented(409),
    dependencies=[Depends(_refuse_header)],
)
def publish_several(account: WriteMessages, new: NewMessages) -> PublishedMessages:
    """Publish up to 100 messages: all of them, or none if one is refused."""
    ids = account.publish([each.to_publish() for each in new.messages])
    return PublishedMessages(messages=[Published(id=each) for each in ids])


@router.get("", operation_id="list_messages", summary="List messages", responses=_UNKNOWN)
def list_messages(
    account: ReadMessages, filters: Annotated[MessageFilters, Query()]
) -> Page[Message]:
    """List messages, the newest first."""
    try:
        found = account.messages(
            event_types=filters.event_type,
            since=seconds_of(filters.since),
            until=seconds_of(filters.until),
            before=last_of(filters.cursor, "msg_[0-9a-f]{32}"),
            limit=filters.limit + 1,
        )
    except UnknownRecord:  # it is another tenant's, or was deleted
        raise unknown_cursor() from None
    return page_of(found, filters.limit, Message.of)


@router.get(
    "/{message_id:message}",
    operation_id="get_message",
    summary="Look at a message",
    responses=_UNKNOWN,
)
def get_message(account: ReadMessages, message_id: MessagePath) -> Message:
    """Return a message, without its payload."""
    return Message.of(account.message(message_id))


@router.get(
    "/{message_id:message}/payload",
    operation_id="get_payload",
    summary="Get the payload of a message",
    response_class=Response,
    responses={
        **_UNKNOWN,
        200: {"description": "The payload", "content": {"application/json": {"schema": {}}}},
    },
)
def get_payload(account: ReadMessages, message_id: MessagePath) -> Response:
    """Return the payload of a message: the bytes that an endpoint of the format `standard` gets."""
    # Browsers offer to store it, and never show it as a page.
    headers = {"Content-Disposition": f'attachment; filename="{message_id}.json"'}
    return Response(account.payload(message_id), media_type="application/json", headers=headers)
