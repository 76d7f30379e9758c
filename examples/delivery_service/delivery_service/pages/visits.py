"""Requests of people who are logged in: whose they are, and what answers them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Request
from starlette.responses import Response

from delivery_service.account import Account
from delivery_service.moves import moved_problem
from delivery_service.pages import rendering
from delivery_service.pages.forms import ONCE, Form, check_origin, check_token
from delivery_service.people import Visitor, find_visitor
from delivery_service.problems import Problem
from delivery_service.settings import Settings
from delivery_service.state import Service, State

#: The cookie of a session.
SESSION: Final = "session"


class LoginNeeded(Exception):  # it leads to the login
    """Nobody is logged in, or no longer."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A request of somebody who is logged in.

    Attributes:
        request: The request.
        service: What the routes of the process share.
        visitor: Who it is.
    """

    request: Request
    service: State
    visitor: Visitor

    @property
    def account(self) -> Account:
        """What their tenant can see and do."""
        return self.service.account(self.visitor.tenant_id)

    @property
    def settings(self) -> Settings:
        """What the operator chose."""
        return self.service.settings

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """Return a page."""
        every = {"visitor": self.visitor, **values}
        return rendering.page(self.request, self.settings, template, every, status=status)

    def go_to(self, path: str, notice: str | None = None) -> Response:
        """Have the browser load another page, and say there what was done."""
        return rendering.go_to(path, self.settings, notice)

    def has_seen(self, version: str) -> bool:
        """Whether a page that updates itself shows this version already."""
        is_update = "hx-request" in self.request.headers
        return is_update and self.request.query_params.get("seen") == version


def _visit(request: Request, service: Service) -> Visit:
    token = request.cookies.get(rendering.cookie_name(service.settings, SESSION), "")
    with service.lookups() as session:
        visitor = find_visitor(session, token)
    if visitor is None:
        raise LoginNeeded
    service.limits.count_request(f"person {visitor.person_id}")
    if visitor.is_moved:
        raise moved_problem()
    return Visit(request=request, service=service, visitor=visitor)


Visiting = Annotated[Visit, Depends(_visit)]


def guarded(visit: Visiting, form: Form) -> None:
    """Refuse forms that another site made. The router of each page has it for all of its routes."""
    check_origin(visit.request, visit.settings)
    check_token(visit.request, form, visit.visitor.csrf_token)


def check_first_use(visit: Visit, form: Form) -> None:
    """Refuse a form that was sent before. Its answer shows something once.

    Raises:
        Problem: It was sent before, or too many others were.
    """
    form_id = form.password(ONCE)
    limits, person_id = visit.service.limits, visit.visitor.person_id
    if not form_id or not limits.is_first_use(form_id[:100], person_id):
        raise Problem(
            409,
            "sent-before",
            "This form was sent before. What it made is in the list, but its secret is shown only "
            "once: if you do not have it, make another one.",
        )


def add_login_handler(app: FastAPI) -> None:
    """Lead whoever is not logged in to the login."""

    def lead(request: Request, _error: Exception) -> Response:
        settings: Settings = request.app.state.service.settings
        path = request.url.path if request.method == "GET" else ""
        has_ended = rendering.cookie_name(settings, SESSION) in request.cookies
        target = f"/login?next={rendering.own_page(path)}"
        response = rendering.go_to(target, settings, "session-ended" if has_ended else None)
        if has_ended:
            rendering.clear_cookie(response, settings, SESSION)
        if "hx-request" in request.headers:  # it would show the login as a part of the page
            response.status_code = 401
            response.headers["HX-Redirect"] = target
            del response.headers["Location"]
        return response

    app.add_exception_handler(LoginNeeded, lead)
