"""Code that the Starlette and FastAPI adapters share: both use Starlette's requests."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from frappe_hooksig._frappe import SECRET_SETTING
from frappe_hooksig.delivery import Delivery
from frappe_hooksig.exceptions import (
    BodyTooLarge,
    ConfigurationError,
    MalformedPayload,
    RawBodyUnavailable,
    VerificationError,
)
from frappe_hooksig.integrations._receiver import Receiver, awaited
from frappe_hooksig.integrations._responses import WebhookResponse, refusal
from frappe_hooksig.integrations._urls import RequestTarget, target_of_scope
from frappe_hooksig.replay._claims import AsyncClaim
from frappe_hooksig.secret import Secrets

#: The key of the delivery in the ASGI scope. A sender cannot set it: ASGI keeps headers in a
#: separate list.
DELIVERY = "frappe_hooksig.delivery"


def setting() -> Secrets:
    """Return the secret of Frappe's webhooks from the environment.

    Raises:
        ConfigurationError: The variable is not set.
    """
    secret = os.environ.get(SECRET_SETTING)
    if secret is None:
        msg = f"set the environment variable {SECRET_SETTING}, or pass secret="
        raise ConfigurationError(msg)
    return secret


async def receive(receiver: Receiver, request: Request) -> Delivery:
    """Verify a request and keep the delivery for `get_delivery()`.

    Raises:
        VerificationError: The request is refused; respond with `refusal()`.
        ConfigurationError: There is no usable secret; respond with HTTP 500.
        RawBodyUnavailable: Other code has already read the body; respond with HTTP 500.
        ClientDisconnect: The client disconnected before it had sent the whole body.
    """
    delivery = await receiver.receive_async(
        request, request.headers, request.method, partial(_raw_body, request), in_thread
    )
    request.scope[DELIVERY] = delivery
    return delivery


async def claim(
    receiver: Receiver, request: Request, endpoint: str, delivery: Delivery
) -> AsyncClaim | Response | None:
    """Claim a verified delivery, if there is a store.

    Args:
        receiver: The receiver with the store.
        request: The request.
        endpoint: A name that distinguishes the endpoints of an app.
        delivery: The verified delivery.

    Returns:
        The claim; or None if the endpoint runs without one; or the response to send instead of
        running the endpoint.
    """
    found = await receiver.claim_async(request, endpoint, delivery, in_thread)
    return _respond(found) if isinstance(found, WebhookResponse) else found


def response_to(error: VerificationError | MalformedPayload) -> Response:
    """Return the response to a refused request."""
    return _respond(refusal(error))


def _respond(response: WebhookResponse) -> Response:
    return Response(response.body, response.status, response.headers)


async def in_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return await awaited(run_in_threadpool(function, *args, **kwargs))


async def _raw_body(request: Request, limit: int) -> bytes:
    """Return the raw body. The endpoint can still read the body, a form and its files."""
    attributes = vars(request)
    # request.body() caches the body in this attribute, and request.stream() reads it from there.
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


_GONE = (
    "the raw body is gone: something read request.form() or request.stream() before the signature "
    "was verified. Do that in the endpoint, or await request.body() first, which keeps a copy"
)


def _content_length(request: Request) -> int | None:
    """Return the body's length in bytes, or None if no header states it."""
    if "transfer-encoding" in request.headers:
        return None  # RFC 9112 section 6.3: Transfer-Encoding overrides Content-Length
    try:
        return int(request.headers.get("content-length", ""))
    except ValueError:
        return None


def target_of(request: Request) -> RequestTarget:
    """Return the request target that the server received."""
    return target_of_scope(request.scope)
