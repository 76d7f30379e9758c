"""The routes of endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal, cast

from fastapi import APIRouter, Body, Query, Response
from pydantic import ConfigDict, Discriminator, Field, Tag

from delivery_service.account import MOST_HEADERS, MOST_TYPES, Account, Described
from delivery_service.api.authentication import ReadEndpoints, WriteEndpoints
from delivery_service.api.deliveries import Delivery
from delivery_service.api.fields import (
    URL,
    Answered,
    EndpointId,
    EndpointPath,
    EventTypeFilter,
    HeaderName,
    HeaderValue,
    Integral,
    Received,
    Text,
    said,
    time_of,
    time_or_none,
)
from delivery_service.api.paging import Page, Paged, last_of, page_of, unknown_cursor
from delivery_service.api.reading import JSONRoute
from delivery_service.formats import FormatName
from delivery_service.problems import documented
from frappe_hooksig import UnknownRecord
from frappe_hooksig.outbox import EndpointNumbers

router = APIRouter(prefix="/endpoints", tags=["endpoints"], route_class=JSONRoute)

_DAY: Final = 86_400  # seconds
# Base64 of 24 to 64 bytes, whose unused bits are 0.
_STANDARD_SECRET: Final = (
    "^whsec_([A-Za-z0-9+/]{4}){8,20}"
    "([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/][AQgw]==)?$"
)

StandardSecret = Annotated[
    str,
    Field(pattern=_STANDARD_SECRET),
    said("A secret is whsec_ and the base64 of 24 to 64 bytes; leave it out for a new one"),
]
XWebhookSecret = Annotated[
    str,
    Field(pattern="^[A-Za-z0-9_+/=-]{24,200}$"),
    said("A secret is 24 to 200 letters, digits, _, +, /, = and -; leave it out for a new one"),
]
EventTypes = Annotated[
    list[EventTypeFilter],
    Field(min_length=1, max_length=MOST_TYPES, description="Which messages it gets."),
]
FurtherHeaders = Annotated[
    dict[HeaderName, HeaderValue],
    Field(
        max_length=MOST_HEADERS,
        description=(
            "Further headers of its requests, such as `Authorization`. They are stored encrypted, "
            "and never shown. Signatures, and what belongs to the connection, cannot be replaced."
        ),
        examples=[{"Authorization": "Bearer of-the-receiver"}],
        json_schema_extra={"additionalProperties": False},  # no names but of that pattern
    ),
]
Order = Annotated[
    Literal["none", "key"],
    Field(description="`key` if messages with the same `key` are to arrive in their order."),
]
Concurrency = Annotated[
    int, Field(ge=1, le=100, description="How many attempts run at once."), Integral
]
Rate = Annotated[
    Annotated[float, Field(ge=0.01, le=1000)] | None,
    Field(description="How many attempts begin in a second; null for no limit."),
]


class _Options(Received):
    """What can be chosen for an endpoint, and changed later."""

    description: Text = ""
    event_types: EventTypes = Field(default=["*"])
    headers: FurtherHeaders = Field(default={})
    order: Order = "none"
    concurrency: Concurrency = 8
    rate: Rate = None


class NewStandardEndpoint(_Options):
    """An endpoint that gets requests as Standard Webhooks describes them."""

    url: URL
    format: Literal["standard"] = "standard"
    secret: StandardSecret | None = Field(
        default=None,
        description="A secret that the receiver has already. By default, a new one is made.",
    )


class NewXWebhookEndpoint(_Options):
    """An endpoint that gets requests as older services send them: `X-Webhook-Signature`."""

    url: URL
    format: Literal["x-webhook"]
    secret: XWebhookSecret | None = Field(
        default=None,
        description="A secret that the receiver has already. By default, a new one is made.",
    )


def _format_of(value: object) -> str | None:
    if not isinstance(value, dict):
        return None
    chosen = cast("dict[str, object]", value).get("format", "standard")
    return chosen if isinstance(chosen, str) else None


NewEndpoint = Annotated[
    Annotated[NewStandardEndpoint, Tag("standard")]
    | Annotated[NewXWebhookEndpoint, Tag("x-webhook")],
    Discriminator(
        _format_of,
        custom_error_type="format",
        custom_error_message="The body is an object, whose format is standard or x-webhook",
    ),
    Body(),
]


def _forget_defaults(schema: dict[str, Any]) -> None:
    for each in schema["properties"].values():
        del each["default"]


class ChangedEndpoint(_Options):
    """What is to change of an endpoint. What is not named stays as it is."""

    # No default is ever used: what is not named is not read.
    model_config = ConfigDict(json_schema_extra=_forget_defaults)

    url: URL = ""


class Success(Answered):
    """How an endpoint did in the last hour."""

    attempts: int = Field(default=0, description="How many attempts began.")
    delivered: int = Field(default=0, description="How many of them arrived.")
    rate: float | None = Field(
        default=None, ge=0, le=1, description="The part that arrived; null without attempts."
    )

    @classmethod
    def of(cls, numbers: EndpointNumbers) -> Success:
        """Return what the API tells of the attempts at an endpoint."""
        rate = numbers.delivered / numbers.attempts if numbers.attempts else None
        return cls(attempts=numbers.attempts, delivered=numbers.delivered, rate=rate)


class Endpoint(Answered):
    """Where messages are sent to."""

    id: EndpointId
    url: str
    description: str
    format: FormatName = Field(description="What its requests look like.")
    event_types: list[str]
    header_names: list[str] = Field(description="The names of its further headers.")
    order: Literal["none", "key"]
    concurrency: int
    rate: float | None
    state: Literal["active", "paused", "disabled"] = Field(
        description="Messages for one that is not active collect, until it is resumed."
    )
    reason: str = Field(description="Why it is not active, for programs; else empty.")
    message: str = Field(description="The same as a sentence.")
    created_at: datetime
    failing_since: datetime | None = Field(description="Null if the last attempt arrived.")
    old_secret_ends: datetime | None = Field(
        description="Until when the secret before the last rotation signs, too."
    )
    last_hour: Success


class EndpointWithSecret(Endpoint):
    """A new endpoint, with its secret."""

    secret: str = Field(description="Keep it: it cannot be had again.")


class Rotation(Received):
    """How to rotate a secret."""

    overlap: Annotated[float, Field(ge=0, le=7 * _DAY)] = Field(
        default=_DAY,
        description=(
            "For how many seconds the old secret signs beside the new one. Requests of the format "
            "`x-webhook` have one signature, which is that of the new secret at once."
        ),
    )


class NewSecret(Answered):
    """A new secret of an endpoint."""

    secret: str = Field(description="Keep it: it cannot be had again.")
    old_secret_ends: datetime | None = Field(
        description="Until when the secret before it signs, too; null if it does so no longer."
    )


class Pause(Received):
    """Why an endpoint is paused."""

    message: Text = Field(default="", description="For people who look at it later.")


_UNKNOWN: Final = documented(404)


@router.post(
    "",
    status_code=201,
    operation_id="add_endpoint",
    summary="Add an endpoint",
    responses=documented(409),
)
def add_endpoint(account: WriteEndpoints, new: NewEndpoint) -> EndpointWithSecret:
    """Add an endpoint. Its secret is in this answer alone."""
    described, secret = account.add_endpoint(**new.model_dump())
    shown = _shown(described, {})
    return EndpointWithSecret(**dict(shown), secret=secret)


@router.get("", operation_id="list_endpoints", summary="List endpoints", responses=_UNKNOWN)
def list_endpoints(account: ReadEndpoints, page: Annotated[Paged, Query()]) -> Page[Endpoint]:
    """List the endpoints, in the order in which they were added."""
    after = last_of(page.cursor, "ep_[0-9a-f]{24}")
    try:
        found = account.endpoints(after=after, limit=page.limit + 1)
    except UnknownRecord:  # it is another tenant's, or was deleted
        raise unknown_cursor() from None
    numbers = account.numbers()
    return page_of(found, page.limit, lambda each: _shown(each, numbers))


@router.get(
    "/{endpoint_id:endpoint}",
    operation_id="get_endpoint",
    summary="Look at an endpoint",
    responses=_UNKNOWN,
)
def get_endpoint(account: ReadEndpoints, endpoint_id: EndpointPath) -> Endpoint:
    """Return an endpoint, and how it did in the last hour."""
    return _now(account, account.endpoint(endpoint_id))


@router.patch(
    "/{endpoint_id:endpoint}",
    operation_id="change_endpoint",
    summary="Change an endpoint",
    responses=documented(404, 409),
)
def change_endpoint(
    account: WriteEndpoints, endpoint_id: EndpointPath, changed: ChangedEndpoint
) -> Endpoint:
    """Change an endpoint. What is not named stays as it is; `headers` replaces all of them."""
    return _now(
        account, account.change_endpoint(endpoint_id, **changed.model_dump(exclude_unset=True))
    )


@router.delete(
    "/{endpoint_id:endpoint}",
    status_code=204,
    response_class=Response,
    operation_id="delete_endpoint",
    summary="Delete an endpoint",
    responses=_UNKNOWN,
)
def delete_endpoint(account: WriteEndpoints, endpoint_id: EndpointPath) -> None:
    """Delete an endpoint. What is on its way to it is cancelled."""
    account.delete_endpoint(endpoint_id)


@router.post(
    "/{endpoint_id:endpoint}/pause",
    operation_id="pause_endpoint",
    summary="Pause an endpoint",
    responses=_UNKNOWN,
)
def pause_endpoint(account: WriteEndpoints, endpoint_id: EndpointPath, why: Pause) -> Endpoint:
    """Send an endpoint nothing for now. What is published for it collects."""
    account.pause(endpoint_id, why.message)
    return _now(account, account.endpoint(endpoint_id))


@router.post(
    "/{endpoint_id:endpoint}/resume",
    operation_id="resume_endpoint",
    summary="Resume an endpoint",
    responses=_UNKNOWN,
)
def resume_endpoint(account: WriteEndpoints, endpoint_id: EndpointPath) -> Endpoint:
    """Send to an endpoint again, beginning with what is due."""
    account.resume(endpoint_id)
    return _now(account, account.endpoint(endpoint_id))


@router.post(
    "/{endpoint_id:endpoint}/test",
    status_code=202,
    operation_id="test_endpoint",
    summary="Send a test",
    responses=documented(404, 409),
)
def test_endpoint(account: WriteEndpoints, endpoint_id: EndpointPath) -> Delivery:
    """Send a message of the type `test` to an endpoint. Its delivery tells what became of it."""
    return Delivery.of(account.send_test(endpoint_id))


@router.post(
    "/{endpoint_id:endpoint}/rotate-secret",
    operation_id="rotate_secret",
    summary="Rotate the secret of an endpoint",
    responses=_UNKNOWN,
)
def rotate_secret(
    account: WriteEndpoints, endpoint_id: EndpointPath, rotation: Rotation
) -> NewSecret:
    """Give an endpoint a new secret. It is in this answer alone."""
    secret = account.rotate_secret(endpoint_id, overlap=rotation.overlap)
    ends = account.endpoint(endpoint_id).endpoint.old_secret_ends
    return NewSecret(secret=secret, old_secret_ends=time_or_none(ends))


def _now(account: Account, described: Described) -> Endpoint:
    return _shown(described, account.numbers(described.endpoint.id))


def _shown(described: Described, numbers: Mapping[str, EndpointNumbers]) -> Endpoint:
    endpoint, lately = described.endpoint, numbers.get(described.endpoint.id)
    return Endpoint(
        id=endpoint.id,
        url=endpoint.url,
        description=described.description,
        format=described.format,
        event_types=list(endpoint.event_types),
        header_names=list(endpoint.header_names),
        order=endpoint.order,
        concurrency=endpoint.concurrency,
        rate=endpoint.rate,
        state=endpoint.state,
        reason=endpoint.reason,
        message=endpoint.message,
        created_at=time_of(endpoint.created_at),
        failing_since=time_or_none(endpoint.failing_since),
        old_secret_ends=time_or_none(endpoint.old_secret_ends),
        last_hour=Success() if lately is None else Success.of(lately),
    )
