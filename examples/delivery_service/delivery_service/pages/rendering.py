"""Rendering the templates, and the notices that follow an action."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from delivery_service.pages import showing
from delivery_service.problems import Problem
from delivery_service.settings import Settings

_FOLDER: Final = Path(__file__).with_name("static")
_FILES: Final = {
    "style.css": _FOLDER / "style.css",
    "icon.svg": _FOLDER / "icon.svg",
    "copy.js": _FOLDER / "copy.js",
    "htmx.js": Path(str(files("django_htmx").joinpath("static/django_htmx/htmx-2.min.js"))),
}
_TYPES: Final = {
    "style.css": "text/css",
    "icon.svg": "image/svg+xml",
    "copy.js": "text/javascript",
    "htmx.js": "text/javascript",
}
_VERSIONS: Final = {
    name: hashlib.sha256(path.read_bytes()).hexdigest()[:12] for name, path in _FILES.items()
}
#: htmx evaluates nothing, adds no styles, and keeps no page in the browser's storage: a page may
#: show a secret. It shows the pages of errors, too.
_HTMX: Final = {
    "allowEval": False,
    "allowScriptTags": False,
    "includeIndicatorStyles": False,
    "selfRequestsOnly": True,
    "historyCacheSize": 0,
    "refreshOnHistoryMiss": True,
    "responseHandling": [{"code": "204", "swap": False}, {"code": "...", "swap": True}],
}

#: What the page says after an action. Only the name of a sentence travels, in a cookie.
NOTICES: Final = {
    "added": "The endpoint was added. Its requests are signed with the secret that you gave.",
    "again": "The delivery is sent again, with the same id.",
    "all-again": "What was given up is sent again, with the same ids.",
    "as-new": "The message is sent as new, with another id. This is its delivery.",
    "changed": "The endpoint was changed.",
    "deleted": "The endpoint was deleted.",
    "logged-out": "You are logged out.",
    "paused": "The endpoint is paused. What is published for it collects.",
    "published": "The message was published.",
    "resumed": "The endpoint gets deliveries again.",
    "revoked": "The API key is valid no longer.",
    "session-ended": "Your session has ended, so nothing was changed. Log in again.",
    "test": "A test is on its way. This page follows it.",
}
_NOTICE: Final = "notice"
#: Where an answer may lead to: pages of this service. Anything else could be another site.
_OWN_PAGE: Final = re.compile(r"/(?:endpoints|deliveries|messages|keys)(?:/[A-Za-z0-9_-]+)*")


def cookie_name(settings: Settings, name: str) -> str:
    """Return the name of a cookie.

    With its prefix, browsers take it only by HTTPS and from this very host: no other one, such as a
    subdomain, can set it.
    """
    return f"__Host-{name}" if settings.is_https else f"delivery-service-{name}"


def set_cookie(
    response: Response, settings: Settings, name: str, value: str, seconds: int | None = None
) -> None:
    """Set a cookie that scripts do not see, and that other sites do not send with forms."""
    response.set_cookie(
        cookie_name(settings, name),
        value,
        max_age=seconds,
        secure=settings.is_https,
        httponly=True,
        # `strict` would show the login to whoever follows a link in a mail. All that changes
        # something is a POST, with which `lax` sends no cookie from elsewhere.
        samesite="lax",
    )


def clear_cookie(response: Response, settings: Settings, name: str) -> None:
    """Have the browser forget a cookie."""
    set_cookie(response, settings, name, "", 0)


def page(
    request: Request,
    settings: Settings,
    template: str,
    values: Mapping[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a page, with the notice of the action before it, if there was one."""
    notice = NOTICES.get(request.cookies.get(cookie_name(settings, _NOTICE), ""), "")
    text = _templates.get_template(template).render(
        {"notice": notice, "path": request.url.path, **values}
    )
    response = HTMLResponse(text, status, dict(headers or {}))
    if notice:
        clear_cookie(response, settings, _NOTICE)
    return response


def error_page(request: Request, settings: Settings, problem: Problem) -> Response:
    """Return the page of an error. It needs neither the database nor a login."""
    if problem.status_code == HTTPStatus.METHOD_NOT_ALLOWED and request.method == "GET":
        # The address of a button, loaded once more: what it belongs to is the page above.
        return RedirectResponse(own_page(request.url.path.rpartition("/")[0]), 303)
    headers = dict(problem.headers or {})
    detail = showing.worded(problem.detail)
    if problem.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        detail = f"try again {showing.wait(int(headers['Retry-After']))}"
    if request.method == "GET" and "hx-request" in request.headers:
        headers["HX-Reswap"] = "none"  # a page that updates itself stays, and asks again
    values = {"problem": problem, "detail": detail, "visitor": None, "notice": ""}
    return page(
        request, settings, "error.html", values, status=problem.status_code, headers=headers
    )


def own_page(path: str) -> str:
    """Return a path if it is a page of this service; else where visits begin."""
    return path if _OWN_PAGE.fullmatch(path) else "/endpoints"


def go_to(path: str, settings: Settings, notice: str | None = None) -> Response:
    """Have the browser load another page, and say there what was done."""
    response = RedirectResponse(path, 303)
    if notice is not None:
        set_cookie(response, settings, _NOTICE, notice, 60)
    return response


def mount_files(app: FastAPI) -> None:
    """Serve the style sheet, the icon, the script, and htmx from the package that brings it."""

    def send_file(name: str) -> Response:
        path = _FILES.get(name)
        if path is None:
            raise Problem(404, "not-found", "There is no such file.")
        headers = {"Cache-Control": "public, max-age=31536000, immutable"}
        return FileResponse(path, headers=headers, media_type=_TYPES[name])

    app.add_api_route("/static/{name}", send_file, include_in_schema=False)


def _asset(name: str) -> str:
    """Return the path of a file, which differs for each version of it."""
    return f"/static/{name}?v={_VERSIONS[name]}"


_templates: Final = Environment(
    loader=PackageLoader("delivery_service.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_FILTERS: Final[dict[str, Any]] = {
    name: getattr(showing, name)
    for name in (
        "date", "duration", "excerpt", "health_of", "indented", "is_past", "moment", "name_of",
        "progress", "relative", "sentence", "size", "state_of", "visible", "worded",
    )
}  # fmt: skip
_GLOBALS: Final[dict[str, Any]] = {
    "asset": _asset,
    "form_id": lambda: secrets.token_urlsafe(16),
    "htmx_config": json.dumps(_HTMX),
    "OUTCOMES": showing.OUTCOMES,
    "STATES": showing.STATES,
}
_templates.filters.update(_FILTERS)
_templates.globals.update(_GLOBALS)
