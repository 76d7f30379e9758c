"""The page for people: endpoints and deliveries of a tenant, rendered here."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

router = APIRouter(include_in_schema=False)


def mount_files(app: FastAPI) -> None:
    """Serve the style sheet, and htmx from the package that brings it."""
    app.mount("/static", StaticFiles(directory=Path(__file__).with_name("static")), name="static")
    htmx = str(files("django_htmx").joinpath("static/django_htmx/htmx-2.min.js"))

    def send_htmx() -> FileResponse:
        return FileResponse(htmx, headers={"Cache-Control": "public, max-age=3600"})

    app.add_api_route("/htmx.js", send_htmx, include_in_schema=False)
