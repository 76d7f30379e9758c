"""Logging in and out."""

from __future__ import annotations

import ipaddress
import logging
from functools import partial
from typing import Annotated, Final

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from delivery_service.pages import rendering
from delivery_service.pages.devices import is_known, new_device
from delivery_service.pages.forms import Form, Refusal, Unusable, check_origin
from delivery_service.pages.visits import SESSION, Visiting, guarded
from delivery_service.people import check_password, log_in, log_out
from delivery_service.problems import Problem
from delivery_service.state import Service, State

log = logging.getLogger("delivery_service")

_DEVICE: Final = "device"
_DAY: Final = 86_400  # seconds
_DEVICE_SECONDS: Final = 180 * _DAY
# Each check of a password takes 64 MiB and a good part of a second, whoever asks for it. Further
# ones wait without a thread, which the API needs.
_checks: Final = CapacityLimiter(2)
_MOST_WAITING: Final = 20


def _from_here(request: Request, service: Service) -> None:
    check_origin(request, service.settings)


entrance = APIRouter(include_in_schema=False, dependencies=[Depends(_from_here)])
exits = APIRouter(include_in_schema=False, dependencies=[Depends(guarded)])


@entrance.get("/login")
def show_login(
    request: Request, service: Service, next_page: Annotated[str, Query(alias="next")] = ""
) -> Response:
    """Show the form."""
    return _form(request, service, next_page)


@entrance.post("/login")
async def enter(request: Request, service: Service, form: Form) -> Response:
    """Begin a session, if the password is right. The one that the browser had ends."""
    settings = service.settings
    next_page = form.password("next")
    device = request.cookies.get(rendering.cookie_name(settings, _DEVICE), "")
    try:
        email = form.text("email", 320)
    except Unusable:
        email = ""
    is_device = is_known(settings, email, device)
    address = _network(request.client.host if request.client else "")
    await to_thread.run_sync(
        service.limits.count_login, email, address, device if is_device else None
    )
    if _checks.statistics().tasks_waiting >= _MOST_WAITING:
        detail = "Too many people are logging in. Try again in a minute."
        raise Problem(503, "busy", detail, headers={"Retry-After": "60"})
    before = request.cookies.get(rendering.cookie_name(settings, SESSION), "")
    begin = partial(_begin, service, email, form.password("password"), before)
    token = await to_thread.run_sync(begin, limiter=_checks)
    if token is None:
        log.warning("a login from %s failed", address)
        return _form(request, service, next_page, email=email, has_failed=True)
    await to_thread.run_sync(service.limits.forget_logins, email, device if is_device else None)
    response = rendering.go_to(rendering.own_page(next_page), settings)
    # The service ends the session. The cookie stays a day longer, so that the login can say so.
    seconds = int(settings.session_hours * 3600) + _DAY
    rendering.set_cookie(response, settings, SESSION, token, seconds)
    if not is_device:
        value = new_device(settings, email)
        rendering.set_cookie(response, settings, _DEVICE, value, _DEVICE_SECONDS)
    return response


@exits.post("/logout")
def leave(visit: Visiting) -> Response:
    """End the session."""
    name = rendering.cookie_name(visit.settings, SESSION)
    with visit.service.sessions.begin() as session:
        log_out(session, visit.request.cookies[name])
    response = visit.go_to("/login", "logged-out")
    rendering.clear_cookie(response, visit.settings, SESSION)
    return response


def _begin(service: State, email: str, password: str, before: str) -> str | None:
    """Return the cookie of a new session, or None if the password is wrong."""
    with service.sessions.begin() as session:
        person = check_password(session, email, password)
        if person is None:
            return None
        log_out(session, before)
        return log_in(session, person, service.settings.session_hours)


def _form(
    request: Request,
    service: State,
    next_page: str,
    *,
    email: str = "",
    has_failed: bool = False,
) -> Response:
    values = {
        "visitor": None,
        "next_page": rendering.own_page(next_page),
        "email": email,
        "problem": Refusal("The email or the password is wrong.") if has_failed else None,
    }
    status = 403 if has_failed else 200
    return rendering.page(request, service.settings, "login.html", values, status=status)


def _network(address: str) -> str:
    """Return what counts as one address: of IPv6, a whole network belongs to one customer.

    A socket for both versions names a client of IPv4 `::ffff:192.0.2.7`.

    >>> _network("192.0.2.7"), _network("::ffff:192.0.2.7"), _network("2001:db8::7")
    ('192.0.2.7', '192.0.2.7', '2001:db8::/64')
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))
