"""The page for people: endpoints, deliveries, messages and API keys of a tenant."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from starlette.responses import RedirectResponse, Response

from delivery_service.pages import deliveries, endpoints, keys, login, messages
from delivery_service.pages.rendering import error_page, mount_files
from delivery_service.pages.visits import add_login_handler

__all__ = ["add_pages", "error_page"]


def add_pages(app: FastAPI) -> None:
    """Add the routes of the page, and what they need."""
    router = APIRouter(include_in_schema=False)
    for each in (endpoints, deliveries, messages, keys):
        router.include_router(each.router)
    router.include_router(login.entrance)
    router.include_router(login.exits)

    @router.get("/")
    def begin() -> Response:
        """Lead to the first page."""
        return RedirectResponse("/endpoints", 303)

    app.include_router(router)
    mount_files(app)
    add_login_handler(app)
