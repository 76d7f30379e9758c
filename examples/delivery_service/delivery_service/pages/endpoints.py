"""The pages of endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.responses import Response

from delivery_service.account import MOST_AGAIN, MOST_HEADERS, MOST_TYPES
from delivery_service.api.endpoints import (
    ChangedEndpoint,
    NewEndpoint,
    NewStandardEndpoint,
    NewXWebhookEndpoint,
)
from delivery_service.formats import FORMAT_NAMES
from delivery_service.pages.forms import REFUSALS, Fields, Form, Refusal, Unusable, refusal_of
from delivery_service.pages.showing import label_of
from delivery_service.pages.visits import Visit, Visiting, check_first_use, guarded
from delivery_service.problems import Problem

_Fields = TypeVar("_Fields", bound=BaseModel)
_NEW: Final[TypeAdapter[NewStandardEndpoint | NewXWebhookEndpoint]] = TypeAdapter(NewEndpoint)
_CHANGED: Final = TypeAdapter(ChangedEndpoint)

router = APIRouter(prefix="/endpoints", include_in_schema=False, dependencies=[Depends(guarded)])

_PER_PAGE: Final = 50
_LATEST: Final = 10  # deliveries
_HOUR: Final = 3600  # seconds
#: How long the old secret signs besides, in seconds, by the name of the choice.
_OVERLAPS: Final = {"day": 24 * _HOUR, "week": 7 * 24 * _HOUR, "none": 0}


@router.get("")
def list_endpoints(visit: Visiting, after: Annotated[str | None, Query()] = None) -> Response:
    """Show the endpoints."""
    found = visit.account.endpoints(after=after, limit=_PER_PAGE + 1)
    return visit.page(
        "endpoints.html",
        endpoints=found[:_PER_PAGE],
        numbers=visit.account.numbers(),
        is_first=after is None,
        after=found[_PER_PAGE - 1].endpoint.id if len(found) > _PER_PAGE else None,
    )


@router.get("/new")
def show_new(visit: Visiting) -> Response:
    """Show the form of a new endpoint."""
    return _form(visit, None, {"event_types": "*"})


@router.post("/new")
def add(visit: Visiting, form: Form) -> Response:
    """Add an endpoint, and show its secret."""
    check_first_use(visit, form)
    try:
        new = _checked(
            _NEW,
            {
                **_options_of(form),
                "format": form.text("format"),
                "headers": _headers_of(form),
                "secret": form.text("secret") or None,
            },
        )
        added, secret = visit.account.add_endpoint(**new.model_dump())
    except REFUSALS as error:
        return _form(visit, None, form.as_typed(), refusal_of(error))
    if new.secret is not None:
        return visit.go_to(f"/endpoints/{added.endpoint.id}", "added")
    return visit.page("secret.html", secret=secret, endpoint=added.endpoint, is_new=True)


@router.get("/{endpoint_id}")
def show(visit: Visiting, endpoint_id: str) -> Response:
    """Show an endpoint and its latest deliveries."""
    return visit.page(
        "endpoint.html",
        described=visit.account.endpoint(endpoint_id),
        numbers=visit.account.numbers(endpoint_id).get(endpoint_id),
        deliveries=visit.account.deliveries(endpoint=endpoint_id, limit=_LATEST),
    )


@router.get("/{endpoint_id}/change")
def show_change(visit: Visiting, endpoint_id: str) -> Response:
    """Show the form that changes an endpoint."""
    described = visit.account.endpoint(endpoint_id)
    values = {
        "url": described.endpoint.url,
        "description": described.description,
        "event_types": "\n".join(described.endpoint.event_types),
    }
    return _form(visit, endpoint_id, values)


@router.post("/{endpoint_id}/change")
def change(visit: Visiting, endpoint_id: str, form: Form) -> Response:
    """Change an endpoint."""
    before = visit.account.endpoint(endpoint_id).endpoint
    try:
        options = _options_of(form)
        if options["url"] == before.url:
            del options["url"]
        kept = form.text("headers_are")
        if kept != "kept":
            options["headers"] = _headers_of(form) if kept == "replaced" else {}
        changed = _checked(_CHANGED, options)
        visit.account.change_endpoint(endpoint_id, **changed.model_dump(exclude_unset=True))
    except REFUSALS as error:
        return _form(visit, endpoint_id, form.as_typed(), refusal_of(error))
    return visit.go_to(f"/endpoints/{endpoint_id}", "changed")


@router.get("/{endpoint_id}/rotate")
def show_rotate(visit: Visiting, endpoint_id: str) -> Response:
    """Ask how long the old secret is to sign, too."""
    return visit.page("endpoint_rotate.html", described=visit.account.endpoint(endpoint_id))


@router.post("/{endpoint_id}/rotate")
def rotate(visit: Visiting, endpoint_id: str, form: Form) -> Response:
    """Give an endpoint a new secret, and show it."""
    described = visit.account.endpoint(endpoint_id)
    # The other format has room for one signature: there is nothing to choose.
    is_choice = described.format == "standard"
    overlap = _OVERLAPS.get(form.text("overlap")) if is_choice else 0
    if overlap is None:
        raise Problem(422, "unusable", "Choose how long the old secret signs, too.")
    check_first_use(visit, form)
    secret = visit.account.rotate_secret(endpoint_id, overlap=overlap)
    return visit.page("secret.html", secret=secret, endpoint=described.endpoint, is_new=False)


@router.get("/{endpoint_id}/delete")
def show_delete(visit: Visiting, endpoint_id: str) -> Response:
    """Ask whether an endpoint is to be deleted."""
    return visit.page(
        "endpoint_delete.html",
        described=visit.account.endpoint(endpoint_id),
        numbers=visit.account.numbers(endpoint_id).get(endpoint_id),
    )


@router.post("/{endpoint_id}/delete")
def delete(visit: Visiting, endpoint_id: str) -> Response:
    """Delete an endpoint."""
    visit.account.delete_endpoint(endpoint_id)
    return visit.go_to("/endpoints", "deleted")


@router.post("/{endpoint_id}/pause")
def pause(visit: Visiting, endpoint_id: str, form: Form) -> Response:
    """Send an endpoint nothing for now."""
    try:
        reason = form.text("reason")
    except Unusable as error:
        raise Problem(422, "unusable", str(error)) from None
    visit.account.pause(endpoint_id, reason)
    return visit.go_to(f"/endpoints/{endpoint_id}", "paused")


@router.post("/{endpoint_id}/resume")
def resume(visit: Visiting, endpoint_id: str) -> Response:
    """Send to an endpoint again."""
    visit.account.resume(endpoint_id)
    return visit.go_to(f"/endpoints/{endpoint_id}", "resumed")


@router.post("/{endpoint_id}/test")
def send_test(visit: Visiting, endpoint_id: str) -> Response:
    """Send a test, and show its delivery."""
    delivery = visit.account.send_test(endpoint_id)
    return visit.go_to(f"/deliveries/{delivery.id}", "test")


@router.post("/{endpoint_id}/send-again")
def send_again(visit: Visiting, endpoint_id: str) -> Response:
    """Send again what was given up."""
    try:
        visit.account.send_several(endpoint_id, as_new=False, states=["dead"])
    except Problem as error:
        detail = (
            f"More than {MOST_AGAIN} deliveries were given up. Have a program send them again, a "
            "part at a time: the API takes a time from which, and until which, they are sent."
        )
        raise Problem(error.status_code, error.code, detail) from None
    return visit.go_to(f"/endpoints/{endpoint_id}", "all-again")


def _form(
    visit: Visit,
    endpoint_id: str | None,
    values: Mapping[str, str],
    problem: Refusal | None = None,
) -> Response:
    return visit.page(
        "endpoint_form.html",
        422 if problem else 200,
        described=None if endpoint_id is None else visit.account.endpoint(endpoint_id),
        values=values,
        problem=problem,
    )


#: What the API takes, in words.
_RULES: Final = {
    "url": (
        "write it like https://example.com/webhooks, with a name or an IPv4 address as the host, "
        "in ASCII characters, and without a password and #"
    ),
    "description": "it is one line of up to 200 characters",
    "event_types": "write 1 to 50 lines such as invoice.paid, invoice.*, or * for all",
    "format": f"it is one of {', '.join(FORMAT_NAMES)}",
    "headers": (
        "there are up to 20 of them, with names of 3 to 64 letters, digits and -, and values of up "
        "to 2000 visible ASCII characters"
    ),
    "secret": (
        "for Standard Webhooks, it is whsec_ and 24 to 64 bytes in Base64; for X-Webhook headers, "
        "24 to 200 letters, digits and _+/=-"
    ),
}


def _options_of(form: Fields) -> dict[str, Any]:
    return {
        "url": form.text("url", 2000),
        "description": form.text("description"),
        "event_types": form.lines("event_types", MOST_TYPES),
    }


def _checked(adapter: TypeAdapter[_Fields], values: Mapping[str, Any]) -> _Fields:
    """Return what the API makes of these values: it and the page refuse the same."""
    try:
        return adapter.validate_python(values)
    except ValidationError as error:
        place = error.errors(include_input=False)[0]["loc"]
    # Not above: the cause would have the secret.
    field = next((str(each) for each in place if each in _RULES), "format")
    msg = f"{label_of(field)} cannot be used: {_RULES[field]}"
    raise Unusable(msg, field)


def _headers_of(form: Fields) -> dict[str, str]:
    headers: dict[str, str] = {}
    for each in form.lines("headers", MOST_HEADERS):
        name, colon, value = each.partition(":")
        if not colon or name.strip() in headers:
            msg = "Headers are lines such as Authorization: Bearer abc, each name once."
            raise Unusable(msg, "headers")
        headers[name.strip()] = value.strip()
    return headers
