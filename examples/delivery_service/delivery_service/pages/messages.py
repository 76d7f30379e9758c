"""The pages of messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from delivery_service.account import NewMessage
from delivery_service.json_text import parsed
from delivery_service.pages.forms import REFUSALS, Form, Refusal, refusal_of
from delivery_service.pages.visits import Visit, Visiting, guarded
from frappe_hooksig import ConfigurationError, UnknownRecord
from frappe_hooksig.outbox import Message

router = APIRouter(prefix="/messages", include_in_schema=False, dependencies=[Depends(guarded)])

_PER_PAGE: Final = 50
_MOST_DELIVERIES: Final = 100
_MOST_CHOICES: Final = 1000  # endpoints
_EXAMPLE: Final = json.dumps({"invoice": "INV-0001", "total": "118.00"}, indent=2)


@router.get("")
def list_messages(
    visit: Visiting, event_type: str = "", before: Annotated[str | None, Query()] = None
) -> Response:
    """Show messages, the newest first."""
    event_type = event_type.strip()
    filters: dict[str, Any] = {"event_types": event_type} if event_type else {}
    found: list[Message] = []
    problem: Refusal | None = None
    try:
        found = visit.account.messages(**filters, before=before, limit=_PER_PAGE + 1)
    except UnknownRecord:
        raise
    except ConfigurationError as error:
        problem = refusal_of(error, "event_types")
    return visit.page(
        "messages.html",
        422 if problem else 200,
        messages=found[:_PER_PAGE],
        event_type=event_type,
        problem=problem,
        is_first=before is None,
        before=found[_PER_PAGE - 1].id if len(found) > _PER_PAGE else None,
    )


@router.get("/new")
def show_new(visit: Visiting) -> Response:
    """Show the form that publishes an example."""
    return _form(visit, {"event_type": "invoice.paid", "payload": _EXAMPLE})


@router.post("/new")
def publish(visit: Visiting, form: Form) -> Response:
    """Publish an example, as the API does."""
    try:
        text = form.text("payload", visit.settings.max_payload)
        payload = parsed(text.encode(), "the payload")
        message = NewMessage(event_type=form.text("event_type"), payload=payload)
        (message_id,) = visit.account.publish([message])
    except ConfigurationError as error:
        return _form(visit, form.as_typed(), refusal_of(error, "event_type"))
    except REFUSALS as error:
        return _form(visit, form.as_typed(), refusal_of(error, "payload"))
    return visit.go_to(f"/messages/{message_id}", "published")


@router.get("/{message_id}")
def show(visit: Visiting, message_id: str) -> Response:
    """Show a message and its deliveries. The page updates itself until it has some."""
    account = visit.account
    message = account.message(message_id)
    version = "routed" if message.is_routed else "new"
    if visit.has_seen(version):
        return Response(status_code=204)
    endpoints = account.endpoints(limit=_MOST_CHOICES)
    return visit.page(
        "message.html",
        message=message,
        payload=account.payload(message_id),
        deliveries=account.deliveries(message=message_id, limit=_MOST_DELIVERIES),
        endpoints={each.endpoint.id: each for each in endpoints},
        version=version,
    )


def _form(visit: Visit, values: Mapping[str, str], problem: Refusal | None = None) -> Response:
    return visit.page("message_form.html", 422 if problem else 200, values=values, problem=problem)
