"""Who calls the API, and what it may do: a dependency for each scope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from delivery_service.account import Account
from delivery_service.api_keys import Scope, find_caller, note_use
from delivery_service.problems import Problem
from delivery_service.state import Service

_bearer = HTTPBearer(
    auto_error=False, scheme_name="API key", description="A key such as `dsk_...`."
)
_Presented = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def allowed(scope: Scope) -> Callable[..., Account]:
    """Return a dependency that refuses callers without a scope, and gives what they may see."""

    def account(service: Service, presented: _Presented) -> Account:
        caller = None
        if presented is not None:
            with service.sessions.begin() as session:
                caller = find_caller(session, presented.credentials)
                if caller is not None:
                    note_use(session, caller.key_id)
        if caller is None:
            raise Problem(
                401,
                "unauthorized",
                "send a valid API key: Authorization: Bearer dsk_...",
                headers={"WWW-Authenticate": "Bearer"},
            )
        service.limits.count_request(caller.key_id)
        if scope not in caller.scopes:
            raise Problem(403, "missing-scope", f"this API key does not have the scope {scope}")
        return service.account(caller.tenant_id)

    return account
