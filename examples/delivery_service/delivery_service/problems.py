"""The one form of an error: `application/problem+json` of RFC 9457."""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from limits.errors import StorageError
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionLeft
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from delivery_service.formats import FORMAT_NAMES
from frappe_hooksig import (
    ConfigurationError,
    EndpointNotActive,
    IdempotencyConflict,
    PayloadError,
    UnknownRecord,
)

log = logging.getLogger("delivery_service")

MEDIA_TYPE: Final = "application/problem+json"
_MOST_FIELDS: Final = 20
#: Whatever is asked for elsewhere is a page for people.
NOT_PAGES: Final = ("/v1/", "/health", "/ready", "/metrics")

#: What programs can rely on, and what it says.
CODES: Final[Mapping[str, str]] = {
    "bad-request": "the request cannot be read",
    "idempotency-key-header": "the idempotency key is a field of a message, and no header",
    "malformed-json": "the body is not JSON, or a part of it would be lost or changed",
    "unauthorized": "there is no valid API key",
    "missing-scope": "the API key may not do this",
    "not-found": "there is nothing with this id, or at this path",
    "unknown-cursor": "the cursor is not from this list",
    "method-not-allowed": "the path takes other methods",
    "headers-needed": "the endpoint has headers that a new URL would get: give `headers`, too",
    "idempotency-conflict": "the idempotency key belongs to another message",
    "not-active": "the endpoint is paused or disabled",
    "not-sendable": "the delivery has not ended, or its endpoint is deleted",
    "too-many-deliveries": "more deliveries are meant than are sent again at once",
    "too-many-endpoints": "the tenant has as many endpoints as it may have",
    "payload-too-large": "a payload is larger than `payload_bytes` of `/v1/me`",
    "too-large": "the body is larger than `body_bytes` of `/v1/me`",
    "unsupported-media-type": "the body is not sent as JSON",
    "wrong-host": "the request is for another host",
    "invalid-request": "`fields` names the parts that cannot be used",
    "unusable": "a part cannot be used, as `detail` says",
    "too-many-requests": "wait as long as `Retry-After` says",
    "internal-error": "the service has failed, and its log says why",
    "moved": "the service is moving to another database: try again",
    "not-ready": "the service cannot take requests yet",
    "unavailable": "the database cannot be reached: try again",
}


class InvalidField(BaseModel):
    """A part of the request that cannot be used."""

    field: str = Field(description="Where it is, such as `body.url` or `query.limit`.")
    message: str = Field(description="What is wrong with it.")


class ProblemBody(BaseModel):
    """What every refusal answers."""

    status: int = Field(description="The HTTP status.")
    code: str = Field(
        description="What programs can rely on. More may be added.\n\n"
        + "\n".join(f"- `{code}`: {meaning}" for code, meaning in CODES.items()),
        examples=["not-found"],
    )
    title: str = Field(description="The words for the HTTP status.")
    detail: str = Field(description="What is wrong, and what to do.")
    fields: list[InvalidField] | None = Field(
        default=None, description="The parts of the request that cannot be used."
    )


class Problem(HTTPException):  # which FastAPI passes on while it reads a body
    """A request that is refused.

    Attributes:
        status_code: The HTTP status.
        code: What programs can rely on.
        detail: A sentence for people.
        headers: Further headers of the answer.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, headers)
        self.code = code


_NO_PAGE: Final = Problem(404, "not-found", "There is no such page.")


def response_of(problem: Problem, fields: Sequence[InvalidField] | None = None) -> JSONResponse:
    """Return the answer that tells of a problem."""
    body = ProblemBody(
        status=problem.status_code,
        code=problem.code,
        title=HTTPStatus(problem.status_code).phrase,
        detail=problem.detail,
        fields=None if fields is None else list(fields),
    )
    return JSONResponse(
        body.model_dump(exclude_none=True),
        problem.status_code,
        dict(problem.headers or {}),
        media_type=MEDIA_TYPE,
    )


# What says itself what is not found.
_EXPLAINED: Final = (Problem, UnknownRecord)
# What says that a database, or the place where requests are counted, cannot be used for now.
_UNAVAILABLE: Final = (
    OperationalError,
    InterfaceError,
    NoConnectionLeft,
    sqlite3.OperationalError,
    StorageError,
)


def problem_of(error: Exception) -> Problem:
    """Return the problem that an error of the outbox or the framework stands for."""
    match error:
        case Problem():
            problem = error
        case HTTPException():
            code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
            problem = Problem(error.status_code, code, str(error.detail), headers=error.headers)
        case UnknownRecord():
            problem = Problem(404, "not-found", f"there is no {error.kind} with this id")
        case EndpointNotActive():
            problem = Problem(409, "not-active", _in_our_words(error))
        case IdempotencyConflict():
            problem = Problem(409, "idempotency-conflict", _in_our_words(error))
        case PayloadError() | ConfigurationError():
            problem = Problem(422, "unusable", _in_our_words(error))
        case RequestValidationError():
            detail = "the request cannot be used: `fields` names the parts"
            problem = Problem(422, "invalid-request", detail)
        case _ if isinstance(error, _UNAVAILABLE):
            log.error("the database cannot be used: %s", type(error).__name__)
            detail = "the service cannot reach its database; try again"
            problem = Problem(503, "unavailable", detail, headers={"Retry-After": "5"})
        case _:
            log.error("a request failed", exc_info=error)
            problem = Problem(500, "internal-error", "the service has failed; its log says why")
    return problem


# How the library writes the name of a parameter, such as `url=`: it is a field here.
_PARAMETER: Final = re.compile(r"\b([a-z_]+)=(?=[ ,;:.]|$)")


def _in_our_words(error: Exception) -> str:
    return _PARAMETER.sub(r"\1", str(error))


# What may be shown of the name of a field: a caller can write anything there, too.
_NAME: Final = re.compile("[a-z_-]{1,32}", re.ASCII)


def fields_of(error: RequestValidationError) -> list[InvalidField]:
    """Return what is wrong with a request, without what was sent: it may be a secret."""
    return [
        InvalidField(field=_shown(each["loc"]), message=str(each["msg"])[:300])
        for each in error.errors()[:_MOST_FIELDS]
    ]


def _shown(location: Sequence[str | int]) -> str:
    match location:
        case ("body", format_name, _, *_) if format_name in FORMAT_NAMES:
            location = ("body", *location[2:])  # callers know of no models, one for each format
        case _:
            pass
    parts = [each if isinstance(each, int) or _NAME.fullmatch(each) else "?" for each in location]
    return ".".join(map(str, parts))


class AnswerErrors:
    """Answer every error: of the API in the one form, of the page with a page.

    A handler of `Exception` would answer outside of all middleware, without `SecurityHeaders`.

    Args:
        app: The app behind it.
        page: Makes the page of an error.
    """

    def __init__(self, app: ASGIApp, page: Callable[[Request, Problem], Response]) -> None:
        self._app = app
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and answer it if that fails."""
        has_begun = False

        async def noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:
            if has_begun or scope["type"] != "http":
                raise
            await self.response(Request(scope), error)(scope, receive, send)

    def response(self, request: Request, error: Exception) -> Response:
        """Return the answer that tells of an error."""
        problem = problem_of(error)
        invalid = error if isinstance(error, RequestValidationError) else None
        if request.url.path.startswith(NOT_PAGES):
            if problem.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
                # Starlette names those of one route only, and a path has one for each method.
                methods = _methods(request.app, request.url.path)
                allowed = ", ".join(methods) or dict(problem.headers or {}).get("Allow", "")
                problem.headers = {"Allow": allowed}
                problem.detail = f"this path takes {allowed}"
            elif problem.status_code == HTTPStatus.NOT_FOUND and not isinstance(error, _EXPLAINED):
                problem.detail = "there is nothing at this path; see /v1/openapi.json"
            return response_of(problem, None if invalid is None else fields_of(invalid))
        is_unknown = invalid is not None and any(
            each["loc"][0] == "path" for each in invalid.errors()
        )
        return self._page(request, _NO_PAGE if is_unknown else problem)


def add_problem_handlers(app: FastAPI, page: Callable[[Request, Problem], Response]) -> None:
    """Have every error of the API answered in the one form, and those of the page with a page."""
    errors = AnswerErrors(app, page)

    # Not in a thread: all of them may be waiting for the database.
    async def response(request: Request, error: Exception) -> Response:
        return errors.response(request, error)

    for kind in (HTTPException, RequestValidationError):  # FastAPI has handlers of its own
        app.add_exception_handler(kind, response)
    app.add_middleware(AnswerErrors, page=page)


def _methods(app: FastAPI, path: str) -> list[str]:
    """Return the methods of a path, as the OpenAPI lists them."""
    paths: dict[str, dict[str, Any]] = app.openapi()["paths"]
    found = paths.get(path, {})
    for template, methods in paths.items():
        form = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))
        if not found and re.fullmatch(form, path):
            found = methods
    return sorted(each.upper() for each in found)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the responses of a route that are refusals, for OpenAPI."""
    schema = {"$ref": "#/components/schemas/ProblemBody"}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }


def problem_schemas() -> dict[str, Any]:
    """Return the schemas that `documented()` refers to."""
    _, schema = models_json_schema(
        [(ProblemBody, "serialization")], ref_template="#/components/schemas/{model}"
    )
    schemas: dict[str, Any] = schema["$defs"]
    return schemas
