"""Starlette: decorators that verify a request before its endpoint runs.

Put them on the endpoint itself: an `async def` or `def` function, or a method of an HTTPEndpoint.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial, wraps
from inspect import isclass, iscoroutinefunction
from typing import Any, TypeVar, cast, overload

from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response

from frappe_hooksig._frappe import FRAPPE
from frappe_hooksig.delivery import Delivery
from frappe_hooksig.exceptions import ConfigurationError, MalformedPayload, VerificationError
from frappe_hooksig.integrations._asgi import (
    DELIVERY,
    claim,
    in_thread,
    receive,
    response_to,
    setting,
    target_of,
)
from frappe_hooksig.integrations._options import Options, Senders, hide_secret
from frappe_hooksig.integrations._receiver import Receiver, name_of
from frappe_hooksig.replay._claims import AsyncClaim

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

__all__ = ["get_delivery", "verify_frappe_webhook", "verify_webhook"]

_View = TypeVar("_View", bound=Callable[..., Any])


def verify_webhook(
    scheme_or_verifier: Senders, **options: Unpack[Options]
) -> Callable[[_View], _View]:
    """Return a decorator that lets only verified requests through to an endpoint.

    As everywhere in Starlette, a `def` endpoint runs in a thread. The thread starts once the
    request is verified, so that no thread waits for the body of a stranger. The decorated endpoint
    is async: await it if you call it directly.

    Args:
        scheme_or_verifier: A scheme, such as `providers.GITHUB`; a list of schemes, one of which
            the headers of a request select; or a `Verifier` or `MultiVerifier`, which already has
            its secrets and limits.
        **options: See `frappe_hooksig.integrations.Options`. If `secret` is a function, it takes
            Starlette's request. It may read the path and the headers, but not the body. It may be
            async; otherwise it runs in a thread.

    Raises:
        ConfigurationError: An option is missing, has no use, or contradicts another; or the
            decorator stands on a class instead of its methods.
    """
    hide_secret(options)
    receiver = Receiver(scheme_or_verifier, setting, target_of=target_of, **options)

    def decorator(view: _View) -> _View:
        if isclass(view):
            msg = f"decorate the methods of {view.__name__}, such as post(), not the class"
            raise ConfigurationError(msg)
        run = view if iscoroutinefunction(view) else partial(in_thread, view)

        @wraps(view)
        async def inner(*args: Any, **kwargs: Any) -> Any:
            request = _request_of(view, args)
            try:
                delivery = await receive(receiver, request)
            except VerificationError as error:
                return response_to(error)
            except ClientDisconnect:
                return Response(status_code=400)  # the client is gone: nobody gets this
            claimed: AsyncClaim | Response | None = None
            if receiver.deduplicates:
                # Several classes may inherit one method, so the class is part of the name.
                owner = "" if args[0] is request else name_of(cast("type", args[0].__class__))
                endpoint = f"{name_of(view)} {owner}"
                claimed = await claim(receiver, request, endpoint, delivery)
            if isinstance(claimed, Response):
                return claimed
            async with claimed or nullcontext():
                try:
                    response = await run(*args, **kwargs)
                except MalformedPayload as error:
                    response = response_to(error)
                if claimed is not None:
                    await claimed.settle(response.status_code)
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
    """Let only requests that Frappe signed through to an endpoint.

    Use it bare or with options. The default `secret` is the environment variable
    `FRAPPE_WEBHOOK_SECRET`. If that is not set, the first request with a readable signature fails
    with HTTP 500.

    Args:
        view: The endpoint, if the decorator is used bare.
        **options: As for `verify_webhook()`.

    Raises:
        ConfigurationError: An option has no use or contradicts another.
    """
    hide_secret(options)
    if view is not None and not callable(view):
        del view  # it may be a secret, and error reporters show local variables
        msg = "@verify_frappe_webhook(...) takes options by name only: secret=..."
        raise ConfigurationError(msg)
    decorator = verify_webhook(FRAPPE, **options)
    return decorator if view is None else decorator(view)


def get_delivery(request: HTTPConnection) -> Delivery:
    """Return the verified delivery of a request.

    Raises:
        ConfigurationError: The endpoint is not decorated.
    """
    delivery: Delivery | None = request.scope.get(DELIVERY)
    if delivery is None:
        msg = (
            f"{request.url.path}: this request was not verified. Put @verify_frappe_webhook or "
            "@verify_webhook(...) on the endpoint"
        )
        raise ConfigurationError(msg)
    return delivery


def _request_of(view: Callable[..., Any], args: tuple[Any, ...]) -> Request:
    # In a method, the request is the second argument, after `self`.
    requests: list[Request] = [given for given in args[:2] if isinstance(given, Request)]
    if not requests:
        name = getattr(view, "__qualname__", repr(view))
        msg = (
            f"{name}: the first argument of a decorated endpoint must be Starlette's request; "
            "FastAPI has the dependency FrappeWebhook"
        )
        raise ConfigurationError(msg)
    return requests[0]
