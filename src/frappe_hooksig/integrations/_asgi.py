"""What the adapters of Starlette and FastAPI share: requests and responses of Starlette."""

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

#: Where the scope has the delivery. No header can end up there: ASGI lists those apart.
DELIVERY = "frappe_hooksig.delivery"


def setting() -> Secrets:
    """Return the secret of Frappe's webhooks."""
    secret = os.environ.get(SECRET_SETTING)
    if secret is None:
        msg = f"set the environment variable {SECRET_SETTING}, or secret="
        raise ConfigurationError(msg)
    return secret


async def receive(receiver: Receiver, request: Request) -> Delivery:
    """Verify a request and keep the delivery for `get_delivery()`.

    Raises:
        VerificationError: To be answered with `refusal()`.
        ConfigurationError: There is no usable secret: HTTP 500.
        RawBodyUnavailable: Something read the body before: HTTP 500.
        ClientDisconnect: The client went away before its body had come.
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
        receiver: Has the store.
        request: The request.
        endpoint: Tells endpoints apart.
        delivery: What was verified.

    Returns:
        The claim, if there is one; or the response to a request that the endpoint does not get.
    """
    found = await receiver.claim_async(request, endpoint, delivery, in_thread)
    return _respond(found) if isinstance(found, WebhookResponse) else found


def response_to(error: VerificationError | MalformedPayload) -> Response:
    """Return the response to a request that is refused."""
    return _respond(refusal(error))


def _respond(response: WebhookResponse) -> Response:
    return Response(response.body, response.status, response.headers)


async def in_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return await awaited(run_in_threadpool(function, *args, **kwargs))


async def _raw_body(request: Request, limit: int) -> bytes:
    """Return the raw body, which stays readable for the endpoint, forms and files included."""
    held = vars(request)
    kept: bytes | None = held.get("_body")  # where request.body() keeps it, and stream() finds it
    if kept is not None:
        return kept
    length = _announced(request)
    if length is not None and length > limit:
        raise BodyTooLarge(limit)
    body = BytesIO()  # unlike b"".join(), it does not hold everything twice
    try:
        async for chunk in request.stream():
            body.write(chunk)
            if body.tell() > limit:
                raise BodyTooLarge(limit)
    except RuntimeError as error:  # "Stream consumed"
        if length != 0 or held.get(
            "_form"
        ):  # a form that was parsed is not empty, whatever it says
            raise RawBodyUnavailable(_GONE) from error
    if body.tell() < (length or 0):  # a middleware has read of it
        raise RawBodyUnavailable(_GONE)
    held["_body"] = body.getvalue()
    return body.getvalue()


_GONE = (
    "the raw body is gone: something read request.form() or request.stream() before the signature "
    "was verified. Do that in the endpoint, or await request.body() first, which keeps a copy"
)


def _announced(request: Request) -> int | None:
    """Return how many bytes the body has, if a header says so."""
    if "transfer-encoding" in request.headers:
        return None  # RFC 9112 section 6.3: it overrides Content-Length
    try:
        return int(request.headers.get("content-length", ""))
    except ValueError:
        return None


def target_of(request: Request) -> RequestTarget:
    """Return how the server saw a request."""
    return target_of_scope(request.scope)
