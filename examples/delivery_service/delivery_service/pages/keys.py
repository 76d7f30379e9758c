"""The pages of API keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Depends
from starlette.responses import Response

from delivery_service.api_keys import (
    SCOPES,
    Scope,
    create_key,
    find_key,
    list_keys,
    revoke_key,
)
from delivery_service.pages.forms import Form, Refusal, Unusable, refusal_of
from delivery_service.pages.visits import Visit, Visiting, check_first_use, guarded
from delivery_service.problems import Problem
from delivery_service.tables import ApiKey

router = APIRouter(prefix="/keys", include_in_schema=False, dependencies=[Depends(guarded)])

#: What each scope allows, in words.
_MEANINGS: Final[Mapping[Scope, str]] = {
    "endpoints:read": "see endpoints",
    "endpoints:write": "add, change and delete endpoints",
    "messages:read": "see messages and their payloads",
    "messages:write": "publish messages",
    "deliveries:read": "see deliveries and attempts",
    "deliveries:write": "send deliveries again",
}


@router.get("")
def show_keys(visit: Visiting) -> Response:
    """Show the API keys."""
    return _page(visit, {}, SCOPES)


@router.post("/new")
def create(visit: Visiting, form: Form) -> Response:
    """Create an API key, and show it."""
    scopes: tuple[Scope, ...] = tuple(each for each in SCOPES if each in form.every("scope"))
    try:
        name = form.text("name")
    except Unusable as error:
        return _page(visit, form.as_typed(), scopes, refusal_of(error))
    if not name or not scopes:
        text = "A key needs a name and at least one scope."
        problem = Refusal(text, "scope" if name else "name")
        return _page(visit, form.as_typed(), scopes, problem)
    check_first_use(visit, form)
    with visit.service.sessions.begin() as session:
        key = create_key(session, visit.visitor.tenant_id, name, scopes)
    return visit.page("secret.html", secret=key, endpoint=None, is_new=True)


@router.get("/{key_id}/revoke")
def show_revoke(visit: Visiting, key_id: str) -> Response:
    """Ask whether an API key is to be revoked."""
    return visit.page("key_revoke.html", key=_key(visit, key_id))


@router.post("/{key_id}/revoke")
def revoke(visit: Visiting, key_id: str) -> Response:
    """Let an API key be valid no longer."""
    _key(visit, key_id)
    with visit.service.sessions.begin() as session:
        revoke_key(session, visit.visitor.tenant_id, key_id)
    return visit.go_to("/keys", "revoked")


def _key(visit: Visit, key_id: str) -> ApiKey:
    with visit.service.sessions() as session:
        key = find_key(session, visit.visitor.tenant_id, key_id)
    if key is None:
        raise Problem(404, "not-found", "There is no API key with this id.")
    return key


def _page(
    visit: Visit,
    values: Mapping[str, Any],
    scopes: tuple[Scope, ...],
    problem: Refusal | None = None,
) -> Response:
    with visit.service.sessions() as session:
        keys = list_keys(session, visit.visitor.tenant_id)
    return visit.page(
        "keys.html",
        422 if problem else 200,
        keys=keys,
        meanings=_MEANINGS,
        values=values,
        scopes=scopes,
        problem=problem,
    )
