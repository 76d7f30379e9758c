"""Who calls the API, and what it may do."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer, SecurityScopes
from fastapi.security.utils import get_authorization_scheme_param
from starlette.concurrency import run_in_threadpool

from delivery_service.account import Account
from delivery_service.api_keys import Caller, find_caller, note_use
from delivery_service.moves import moved_problem
from delivery_service.problems import Problem
from delivery_service.state import Service, State

# It is read below; this is for the OpenAPI.
_bearer = HTTPBearer(
    auto_error=False, scheme_name="api_key", description="An API key such as `dsk_...`."
)


def caller_of(request: Request) -> Caller:
    """Return who sends a request. Once it is known, nothing is looked up again.

    Raises:
        Problem: Its key is missing or not valid, or has made too many requests; or the
            database was moved.
    """
    if not hasattr(request.state, "caller"):
        request.state.caller = _found(request)
    caller: Caller = request.state.caller
    return caller


def _found(request: Request) -> Caller:
    service: State = request.app.state.service
    kind, key = get_authorization_scheme_param(request.headers.get("Authorization"))
    caller = None
    if kind.lower() == "bearer":
        with service.lookups() as session:
            caller = find_caller(session, key)
            if caller is not None and not caller.is_moved:
                note_use(session, caller)
    if caller is None:
        raise Problem(
            401,
            "unauthorized",
            "send a valid API key: Authorization: Bearer dsk_...",
            headers={"WWW-Authenticate": "Bearer"},
        )
    service.limits.count_request(caller.key_id)
    if caller.is_moved:
        raise moved_problem()
    return caller


async def _caller(request: Request, _documented: Annotated[object, Security(_bearer)]) -> Caller:
    if hasattr(request.state, "caller"):
        return caller_of(request)
    return await run_in_threadpool(caller_of, request)


KnownCaller = Annotated[Caller, Depends(_caller)]


# A thread is for what waits for the database.
async def _account(scopes: SecurityScopes, service: Service, caller: KnownCaller) -> Account:
    for scope in scopes.scopes:
        if scope not in caller.scopes:
            raise Problem(403, "missing-scope", f"this API key does not have the scope {scope}")
    return service.account(caller.tenant_id)


# What a tenant can see and do, for callers with a scope.
ReadEndpoints = Annotated[Account, Security(_account, scopes=["endpoints:read"])]
WriteEndpoints = Annotated[Account, Security(_account, scopes=["endpoints:write"])]
ReadMessages = Annotated[Account, Security(_account, scopes=["messages:read"])]
WriteMessages = Annotated[Account, Security(_account, scopes=["messages:write"])]
ReadDeliveries = Annotated[Account, Security(_account, scopes=["deliveries:read"])]
WriteDeliveries = Annotated[Account, Security(_account, scopes=["deliveries:write"])]
