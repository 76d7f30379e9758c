"""Starlette: decorators that verify a request before its endpoint runs.

Put them on the endpoint itself: an `async def` or `def` function, or a method of an HTTPEndpoint.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial, wraps
from inspect import isclass, iscoroutinefunction
from typing import Any, TypeVar, cast, overload

from frappe_hooksig.integrations._extras import not_installed

try:
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import ClientDisconnect, HTTPConnection, Request
    from starlette.responses import Response
except ModuleNotFoundError as error:
    raise not_installed(error, "starlette") from None

from frappe_hooksig.delivery import Delivery
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.integrations._asgi import AWAITING, StarletteRequests, admission_of
from frappe_hooksig.integrations._framework import Admission, kept
from frappe_hooksig.integrations._options import Options, Senders, hide_secret, masked_senders
from frappe_hooksig.integrations._receiver import (
    READS,
    Receiver,
    has_only_reads,
    name_of,
    only_a_view,
    with_or_without_options,
)
from frappe_hooksig.replay import Claim
from frappe_hooksig.replay._steps import run_async

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

__all__ = ["get_claim", "get_delivery", "verify_frappe_webhook", "verify_webhook"]

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
    scheme_or_verifier = masked_senders(scheme_or_verifier)
    hide_secret(options)
    receiver = Receiver(_STARLETTE, scheme_or_verifier, **options)

    def decorator(view: _View) -> _View:
        if isclass(view):
            msg = f"decorate the methods of {view.__name__}, such as post(), not the class"
            raise ConfigurationError(msg)
        run = view if iscoroutinefunction(view) else partial(run_in_threadpool, view)

        @wraps(view)
        async def inner(*args: Any, **kwargs: Any) -> Any:
            request = _request_of(view, args)
            call = partial(run, *args, **kwargs)
            return await run_async(receiver.handle(AWAITING, request, (view, args), call))

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
    view = only_a_view(view)
    return with_or_without_options(verify_webhook, view, options)


def get_delivery(request: HTTPConnection) -> Delivery:
    """Return the verified delivery of a request.

    Raises:
        ConfigurationError: The endpoint is not decorated.
    """
    return _admission(request).delivery


def get_claim(request: HTTPConnection) -> Claim:
    """Return the claim on the delivery of a request.

    Raises:
        ConfigurationError: The endpoint is not decorated, or has no store.
    """
    return _admission(request).claim()


def _admission(request: HTTPConnection) -> Admission:
    return kept(
        admission_of(request),
        request.scope["path"],
        "@verify_frappe_webhook or @verify_webhook(...) on the endpoint",
    )


class _Starlette(StarletteRequests):
    """Starlette, for the flow of a route. The view is given with its arguments."""

    def endpoint_of(self, request: Request, view: tuple[Any, tuple[Any, ...]]) -> str:
        endpoint, args = view
        # Several classes may inherit one method, so the class is part of the name.
        owner = "" if args[0] is request else name_of(cast("type", args[0].__class__))
        return f"{name_of(endpoint)} {owner}"

    def only_reads(self, request: Request, view: tuple[Any, tuple[Any, ...]]) -> bool:
        _, args = view
        if args[0] is not request:  # a method of an HTTPEndpoint
            return has_only_reads(args[0])
        router = request.scope.get("router")
        methods = _methods_of(request.scope.get("endpoint"), getattr(router, "routes", ()))
        return bool(methods) and READS.issuperset(methods)

    def not_verified(self, error: Exception) -> Response:
        if isinstance(error, ClientDisconnect):
            return Response(status_code=400)  # the client is gone: nobody gets this
        raise error


_STARLETTE = _Starlette()


def _methods_of(endpoint: object, routes: Iterable[Any]) -> set[str]:
    """Return the HTTP methods of all routes to an endpoint, also of mounted ones."""
    methods: set[str] = set()
    for route in routes:
        if getattr(route, "endpoint", None) is endpoint:
            methods |= route.methods or {"POST"}
        methods |= _methods_of(endpoint, getattr(route, "routes", None) or ())
    return methods


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
