"""The web app: the API under `/v1`, the page for people, health and metrics."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from delivery_service import api, health, pages
from delivery_service.limits import BodyLimit
from delivery_service.problems import add_problem_handlers, problem_schemas
from delivery_service.security import SecurityHeaders
from delivery_service.settings import Settings
from delivery_service.state import State

DESCRIPTION = """
Publish events, and have them delivered, signed, to the endpoints of your tenants.

- Call it with an API key: `Authorization: Bearer dsk_...`.
- Lists have pages: pass `next` of an answer as `cursor` of the next request.
- Every refusal is `application/problem+json`: its `code` is for programs, its `detail` for people.
"""


TAGS = [
    {"name": "endpoints", "description": "Where messages are sent to."},
    {"name": "messages", "description": "What has happened, as it was published."},
    {"name": "deliveries", "description": "What became of a message at each endpoint."},
    {"name": "key", "description": "What the API key is for."},
    {"name": "operations", "description": "For supervisors and load balancers."},
]


class _App(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Return the description of the API, with the one form of its refusals."""
        is_new = self.openapi_schema is None
        schema = super().openapi()
        if is_new:
            schema["components"]["schemas"] |= problem_schemas()
        return schema


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the app. Servers call it in each process."""
    settings = settings or Settings.read()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        state = State.of(settings)
        app.state.service = state
        yield
        state.close()

    app = _App(
        title="Delivery service",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # it loads scripts from elsewhere, which the policy forbids
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        openapi_tags=TAGS,
        servers=[{"url": settings.public_url}],
        redirect_slashes=False,
    )
    add_problem_handlers(app, lambda request, problem: pages.error_page(request, settings, problem))
    app.include_router(health.router)
    app.include_router(api.router)
    pages.add_pages(app)
    app.add_middleware(BodyLimit, most=settings.max_body)
    app.add_middleware(SecurityHeaders, settings=settings)  # the last one is the outermost
    return app
