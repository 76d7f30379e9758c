"""Code that the Starlette and FastAPI adapters share: both use Starlette's requests."""

from __future__ import annotations

import os
from io import BytesIO

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from frappe_hooksig._frappe import SECRET_SETTING
from frappe_hooksig._headers import Headers
from frappe_hooksig.exceptions import BodyTooLarge, ConfigurationError, RawBodyUnavailable
from frappe_hooksig.integrations._framework import Admission, Framework
from frappe_hooksig.integrations._responses import WebhookResponse
from frappe_hooksig.integrations._urls import RequestTarget, target_of_scope
from frappe_hooksig.replay._callers import Awaiting
from frappe_hooksig.secret import Secrets

# The key of the admission in the ASGI scope. A sender cannot set it: ASGI keeps headers in a
# separate list.
_ADMISSION = "frappe_hooksig.admission"

#: Makes the calls of a flow. Functions that may block run in Starlette's thread pool.
AWAITING = Awaiting(run_in_threadpool)


def _setting() -> Secrets:
    """Return the secret of Frappe's webhooks from the environment.

    Raises:
        ConfigurationError: The variable is not set.
    """
    secret = os.environ.get(SECRET_SETTING)
    if secret is None:
        msg = f"set the environment variable {SECRET_SETTING}, or pass secret="
        raise ConfigurationError(msg)
    return secret


class StarletteRequests(Framework):
    """Starlette's requests and responses, for the flow of a route."""

    setting = staticmethod(_setting)
    reads_environment = True

    def headers_of(self, request: Request) -> Headers:
        # Not request.headers: they walk the same list once for each header.
        pairs: list[tuple[bytes, bytes]] = request.scope["headers"]
        return pairs

    def target_of(self, request: Request) -> RequestTarget:
        return target_of_scope(request.scope)

    async def read_body(self, request: Request, limit: int) -> bytes:
        """See `Framework.read_body()`.

        Raises:
            ClientDisconnect: The client disconnected before it had sent the whole body.
        """
        attributes = vars(request)
        # request.body() caches the body in this attribute. request.stream() reads it from there.
        kept: bytes | None = attributes.get("_body")
        if kept is not None:
            return kept
        length = _content_length(request)
        if length is not None and length > limit:
            raise BodyTooLarge(limit)
        body = BytesIO()  # b"".join() would need twice the memory
        try:
            async for chunk in request.stream():
                body.write(chunk)
                if body.tell() > limit:
                    raise BodyTooLarge(limit)
        except RuntimeError as error:  # "Stream consumed"
            # A parsed form proves that there was a body, even if Content-Length is 0.
            if length != 0 or attributes.get("_form"):
                raise RawBodyUnavailable(_GONE) from error
        if body.tell() < (length or 0):  # a middleware has read a part of it
            raise RawBodyUnavailable(_GONE)
        attributes["_body"] = body.getvalue()
        return body.getvalue()

    def keep(self, request: Request, admission: Admission) -> None:
        request.scope[_ADMISSION] = admission

    def status_of_error(self, error: BaseException) -> int | None:
        return error.status_code if isinstance(error, HTTPException) else None

    def respond(self, response: WebhookResponse) -> Response:
        return Response(response.body, response.status, response.headers)


def admission_of(request: HTTPConnection) -> Admission | None:
    """Return the admission of a request, or None if it was not verified."""
    admission: Admission | None = request.scope.get(_ADMISSION)
    return admission


_GONE = (
    "the raw body is gone: something read request.form() or request.stream() before the signature "
    "was verified. Do that in the endpoint, or await request.body() first, which keeps a copy"
)


def _content_length(request: Request) -> int | None:
    """Return the body's length in bytes, or None if no header states it."""
    # In one pass: request.headers would walk the list for each name.
    length: bytes | None = None
    for name, value in request.scope["headers"]:
        if name == b"transfer-encoding":
            return None  # RFC 9112 section 6.3: Transfer-Encoding overrides Content-Length
        if name == b"content-length" and length is None:
            length = value
    try:
        return None if length is None else int(length)
    except ValueError:
        return None
