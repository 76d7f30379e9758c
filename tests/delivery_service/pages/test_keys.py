"""The pages of API keys."""

from __future__ import annotations

import re

import pytest
from delivery_service.api_keys import SCOPES, find_caller

from tests.delivery_service.pages.visiting import Visitor, field_of, secret_of
from tests.delivery_service.running import Service


def test_make_and_revoke(service: Service, visitor: Visitor, tenant: str) -> None:
    """A key is shown once, has the scopes that were chosen, and can be revoked."""
    answer = visitor.submit("/keys/new", name="<Shop>", scope=["messages:write"])
    key = secret_of(answer.text)
    with service.state.sessions() as session:
        caller = find_caller(session, key)
    listed = visitor.get("/keys").text
    (path,) = re.findall('href="(/keys/[^"]+/revoke)"', listed)
    question = visitor.get(path).text
    gone = visitor.submit(path)
    with service.state.sessions() as session:
        caller_then = find_caller(session, key)

    assert answer.headers["cache-control"] == "no-store"
    assert caller
    assert (caller.tenant_id, caller.scopes) == (tenant, frozenset({"messages:write"}))
    assert key not in listed
    assert "&lt;Shop&gt;" in listed
    assert "It cannot be undone" in question
    assert caller_then is None
    assert "The API key is valid no longer." in visitor.get(gone.headers["location"]).text
    assert "Revoked" in visitor.get("/keys").text
    assert key not in "".join(service.log)


@pytest.mark.parametrize(
    ("name", "scopes"),
    [("", [*SCOPES]), ("Shop", []), ("Shop", ["all"]), ("a" * 201, [*SCOPES]), ("\0", [*SCOPES])],
    ids=["no name", "no scope", "no such scope", "long name", "NUL"],
)
def test_unusable(visitor: Visitor, name: str, scopes: list[str]) -> None:
    """What cannot be used is said above the form."""
    answer = visitor.submit("/keys/new", name=name, scope=scopes)

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert "There are no API keys yet" in answer.text


def test_make_twice(visitor: Visitor) -> None:
    """A second click makes no second key."""
    form_id = field_of(visitor.get("/keys").text, "form_id")
    answers = [
        visitor.submit("/keys/new", name="Shop", scope=[*SCOPES], form_id=form_id) for _ in "ab"
    ]

    assert [each.status_code for each in answers] == [200, 409]
