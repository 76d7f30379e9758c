"""Reading the body of a request: of callers only, and as JSON only."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from delivery_service.api.authentication import caller_of
from delivery_service.json_text import parsed
from delivery_service.problems import Problem

_SMALL: Final = 16 * 1024  # bytes, which are parsed faster than a thread begins


class JSONRoute(APIRoute):
    """A route whose body is JSON (RFC 8259), in which FastAPI would accept more."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the function that answers a request."""
        answer = super().get_route_handler()

        async def answer_json(request: Request) -> Response:
            if self.body_field is not None:
                await run_in_threadpool(caller_of, request)  # strangers make no work
            if self.body_field is not None and not _has_json(request):
                detail = "send the body as JSON, with Content-Type: application/json"
                raise Problem(415, "unsupported-media-type", detail)
            return await answer(_JSONRequest(request.scope, request.receive))

        return answer_json


class _JSONRequest(Request):
    async def json(self) -> Any:
        """Return the value of the body."""
        body = await self.body()
        if len(body) <= _SMALL:
            return parsed(body, "the body")
        return await run_in_threadpool(parsed, body, "the body")  # it would keep others waiting


def _has_json(request: Request) -> bool:
    message = Message()
    message["Content-Type"] = request.headers.get("content-type", "")
    return message.get_content_type() == "application/json"
