"""Starlette: decorators that verify a request before its endpoint runs.

They stand on the endpoint itself: a function, `async def` or `def`, or a method of an HTTPEndpoint.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial, wraps
from inspect import isclass, iscoroutinefunction
from io import BytesIO
from typing import Any, TypeVar, cast, overload

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response

from frappe_hooksig.addresses import Target, target_of_scope
from frappe_hooksig.answers import Answer, refusal
from frappe_hooksig.delivery import Delivery
from frappe_hooksig.exceptions import (
    BodyTooLarge,
    ConfigurationError,
    MalformedPayload,
    RawBodyUnavailable,
    VerificationError,
)
from frappe_hooksig.once import Once
from frappe_hooksig.providers import FRAPPE
from frappe_hooksig.receiver import (
    SECRET_SETTING,
    Options,
    Receiver,
    Senders,
    hide_secret,
    name_of,
    settled,
)
from frappe_hooksig.replay.keeper import AsyncHeld
from frappe_hooksig.secret import Secrets

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

__all__ = ["get_delivery", "verify_frappe_webhook", "verify_webhook"]

_View = TypeVar("_View", bound=Callable[..., Any])

# No header can end up under this name: ASGI keeps those in a list of their own.
_DELIVERY = "frappe_hooksig.delivery"


def verify_webhook(
    scheme_or_verifier: Senders, **options: Unpack[Options]
) -> Callable[[_View], _View]:
    """Return a decorator that lets only verified requests through to an endpoint.

    A `def` endpoint runs in a thread, as everywhere in Starlette, once its request is verified:
    no thread waits for the body of a stranger. Called directly, it has to be awaited.

    Args:
        scheme_or_verifier: A scheme, such as `providers.GITHUB`, or several in a list, of which a
            request's headers select one; or a `Verifier` or `OneOf`, which has its secrets and
            limits already.
        **options: `secret`, `tolerance`, `max_body`; see `frappe_hooksig.receiver.Options`. A
            `secret` that is a function gets Starlette's request; it may look at path and headers,
            and must leave the body alone. It may be async; else it is called in a thread.

    Raises:
        ConfigurationError: An option is missing, has no use, or contradicts another; or a class is
            decorated instead of its methods.
    """
    hide_secret(options)
    receiver = Receiver(scheme_or_verifier, setting, target_of=target_of, **options)

    def decorator(view: _View) -> _View:
        if isclass(view):
            msg = f"decorate the methods of {view.__name__}, such as post(), not the class"
            raise ConfigurationError(msg)
        run = view if iscoroutinefunction(view) else partial(_in_thread, view)

        @wraps(view)
        async def inner(*args: Any, **kwargs: Any) -> Any:
            request = _request_of(view, args)
            try:
                delivery = await receive(receiver, request)
            except VerificationError as error:
                return response_to(error)
            except ClientDisconnect:
                return Response(status_code=400)  # to nobody
            held: AsyncHeld | Response | None = None
            if receiver.once is not None:
                # A method may be inherited by several classes.
                owner = "" if args[0] is request else name_of(cast("type", args[0].__class__))
                endpoint = f"{name_of(view)} {owner}"
                held = await claim(receiver.once, request, endpoint, delivery)
            if isinstance(held, Response):
                return held
            async with held or nullcontext():
                try:
                    response = await run(*args, **kwargs)
                except MalformedPayload as error:
                    response = response_to(error)
                if held is not None:
                    await held.settle(response.status_code)
                return response

        return cast("_View", inner)

    return decorator


@overload
def verify_frappe_webhook(view: _View, /) -> _View: ...
@overload
def verify_frappe_webhook(**options: Unpack[Options]) -> Callable[[_View], _View]: ...
def verify_frappe_webhook(
    view: Callable[..., Any] | None = None, /, **options: Unpack[Options]
) -> Callable[..., Any]:
    """Let only requests through to an endpoint that Frappe signed. Bare or called.

    Without `secret`, it is the environment variable `FRAPPE_WEBHOOK_SECRET`; without that, the
    first request with a readable signature fails with HTTP 500.

    Args:
        view: The endpoint, if used bare.
        **options: As for `verify_webhook()`.

    Raises:
        ConfigurationError: An option has no use or contradicts another.
    """
    hide_secret(options)
    if view is not None and not callable(view):
        del view  # as error reporters show it, and it may be a secret
        msg = "@verify_frappe_webhook(...) takes options by name only: secret=..."
        raise ConfigurationError(msg)
    decorator = verify_webhook(FRAPPE, **options)
    return decorator if view is None else decorator(view)


def get_delivery(request: HTTPConnection) -> Delivery:
    """Return the verified delivery of a request.

    Raises:
        ConfigurationError: The endpoint is not decorated.
    """
    delivery: Delivery | None = request.scope.get(_DELIVERY)
    if delivery is None:
        msg = (
            f"{request.url.path}: this request was not verified. Put @verify_frappe_webhook or "
            "@verify_webhook(...) on the endpoint"
        )
        raise ConfigurationError(msg)
    return delivery


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
        request, request.headers, request.method, partial(_raw_body, request), _in_thread
    )
    request.scope[_DELIVERY] = delivery
    return delivery


async def claim(
    once: Once, request: Request, endpoint: str, delivery: Delivery
) -> AsyncHeld | Response | None:
    """Claim a verified delivery, which is to be handled once.

    Args:
        once: Has the store.
        request: The request.
        endpoint: Tells endpoints apart.
        delivery: What was verified.

    Returns:
        The claim, if there is one; or the answer to a request that the endpoint does not get.
    """
    held = await once.claim_async(request, endpoint, delivery, _in_thread)
    return _answered(held) if isinstance(held, Answer) else held


def response_to(error: VerificationError | MalformedPayload) -> Response:
    """Return the answer to a request that is refused."""
    return _answered(refusal(error))


def _answered(answer: Answer) -> Response:
    return Response(answer.body, answer.status, answer.headers)


def _request_of(view: Callable[..., Any], args: tuple[Any, ...]) -> Request:
    # The second one of a method.
    requests: list[Request] = [given for given in args[:2] if isinstance(given, Request)]
    if not requests:
        name = getattr(view, "__qualname__", repr(view))
        msg = (
            f"{name}: the first argument of a decorated endpoint must be Starlette's request; "
            "FastAPI has the dependency FrappeWebhook"
        )
        raise ConfigurationError(msg)
    return requests[0]


async def _in_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return await settled(run_in_threadpool(function, *args, **kwargs))


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


def target_of(request: Request) -> Target:
    """Return how the server saw a request."""
    return target_of_scope(request.scope)
