"""Flask: decorators that verify a request before its view runs.

Put them below the route's decorator, next to the view. Flask calls the function that stands below
the route's decorator.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial, wraps
from inspect import isclass, iscoroutinefunction
from typing import Any, TypeVar, cast, overload

from frappe_hooksig.integrations._extras import not_installed

try:
    from flask import Request, Response, current_app, request
    from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge
    from werkzeug.local import LocalProxy
    from werkzeug.wsgi import LimitedStream, get_content_length
except ModuleNotFoundError as error:
    raise not_installed(error, "flask") from None

from frappe_hooksig._frappe import SECRET_SETTING
from frappe_hooksig.delivery import Delivery
from frappe_hooksig.exceptions import BodyTooLarge, ConfigurationError, RawBodyUnavailable
from frappe_hooksig.integrations._framework import Admission, kept
from frappe_hooksig.integrations._options import Options, Senders, hide_secret, masked_senders
from frappe_hooksig.integrations._receiver import (
    READS,
    Receiver,
    name_of,
    name_of_handler,
    only_a_view,
    with_or_without_options,
)
from frappe_hooksig.integrations._werkzeug import WerkzeugRequests, admission_of
from frappe_hooksig.replay import Claim
from frappe_hooksig.replay._callers import BLOCKING
from frappe_hooksig.replay._steps import run, run_async
from frappe_hooksig.secret import Secrets

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

__all__ = ["get_claim", "get_delivery", "verify_frappe_webhook", "verify_webhook"]

_View = TypeVar("_View", bound=Callable[..., Any])

_PROXY = cast("LocalProxy[Request]", request)


def verify_webhook(
    scheme_or_verifier: Senders, **options: Unpack[Options]
) -> Callable[[_View], _View]:
    """Return a decorator that lets only verified requests through to a view.

    Args:
        scheme_or_verifier: A scheme, such as `providers.GITHUB`; a list of schemes, one of which
            the headers of a request select; or a `Verifier` or `MultiVerifier`, which already has
            its secrets and limits.
        **options: See `frappe_hooksig.integrations.Options`. If `secret` is a function, it takes
            Flask's request. It may read the path and the headers, but not the body.

    Raises:
        ConfigurationError: An option is missing, has no use, or contradicts another.
    """
    scheme_or_verifier = masked_senders(scheme_or_verifier)
    hide_secret(options)
    receiver = Receiver(_FLASK, scheme_or_verifier, **options)
    receiver.refuse_to_wait("the Flask adapter")

    def decorator(view: _View) -> _View:
        if isclass(view):
            msg = f"{view.__name__} is a class: put the decorator into its `decorators = [...]`"
            raise ConfigurationError(msg)
        if iscoroutinefunction(view):

            @wraps(view)
            async def async_inner(*args: Any, **kwargs: Any) -> Any:
                call = partial(view, *args, **kwargs)
                return await run_async(receiver.handle(BLOCKING, _current(), view, call))

            return cast("_View", async_inner)

        @wraps(view)
        def inner(*args: Any, **kwargs: Any) -> Any:
            call = partial(view, *args, **kwargs)
            return run(receiver.handle(BLOCKING, _current(), view, call))

        return cast("_View", inner)

    return decorator


@overload
def verify_frappe_webhook(view: _View, /) -> _View: ...
@overload
def verify_frappe_webhook(**options: Unpack[Options]) -> Callable[[_View], _View]: ...
def verify_frappe_webhook(
    view: Callable[..., Any] | None = None, /, **options: Unpack[Options]
) -> Callable[..., Any]:
    """Let only requests that Frappe signed through to a view.

    Use it bare or with options. The default `secret` is `app.config["FRAPPE_WEBHOOK_SECRET"]`, else
    the environment variable of that name. If neither is set, the first request with a readable
    signature fails with HTTP 500.

    Args:
        view: The view, if the decorator is used bare.
        **options: As for `verify_webhook()`.

    Raises:
        ConfigurationError: An option has no use or contradicts another.
    """
    view = only_a_view(view)
    return with_or_without_options(verify_webhook, view, options)


def get_delivery() -> Delivery:
    """Return the verified delivery of the current request.

    Raises:
        ConfigurationError: The view is not decorated, or the decorator stands above @app.route.
    """
    return _admission().delivery


def get_claim() -> Claim:
    """Return the claim on the delivery of the current request.

    Raises:
        ConfigurationError: The view is not decorated, or has no store.
    """
    return _admission().claim()


def _admission() -> Admission:
    return kept(
        admission_of(request),
        str(request.endpoint),
        "@verify_frappe_webhook or @verify_webhook(...) below @app.route, on the view itself",
    )


def _current() -> Request:
    """Return the request itself. Each access through its proxy takes longer than a hash."""
    return _PROXY._get_current_object()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def _setting() -> Secrets:
    """Return the secret of Frappe's webhooks.

    Raises:
        ConfigurationError: Neither the setting nor the environment variable is set.
    """
    # Not the whole configuration in a variable: it has more secrets than this one.
    secret: Secrets | None = cast("dict[str, Any]", current_app.config).get(SECRET_SETTING)
    if secret is None:
        secret = os.environ.get(SECRET_SETTING)
    if secret is None:
        msg = f"set app.config[{SECRET_SETTING!r}] or the environment variable {SECRET_SETTING}"
        raise ConfigurationError(msg)
    return secret


class _Flask(WerkzeugRequests):
    """Flask, for the flow of a route."""

    response_class = Response
    setting = staticmethod(_setting)
    reads_environment = True

    def setting_name(self) -> str:
        # Not the whole configuration in a variable: it has more secrets than this one.
        is_set = cast("dict[str, Any]", current_app.config).get(SECRET_SETTING) is not None
        return f"app.config[{SECRET_SETTING!r}]" if is_set else super().setting_name()

    def read_body(self, request: Request, limit: int) -> bytes:
        return _raw_body(request, limit)

    def endpoint_of(self, request: Request, view: Callable[..., Any]) -> str:
        # Flask's name for the route. as_view() makes the functions of all class-based views, so
        # name_of() cannot tell those apart.
        endpoint = request.endpoint or name_of(view)
        kind = getattr(current_app.view_functions.get(endpoint), "view_class", None)
        if kind is not None:
            endpoint = f"{endpoint} {name_of_handler(kind, request.method)}"
        return endpoint

    def only_reads(self, request: Request, view: Callable[..., Any]) -> bool:  # noqa: ARG002
        return request.url_rule is not None and READS.issuperset(request.url_rule.methods or "?")

    def outcome_of(self, result: Any) -> tuple[Response, int]:
        response = current_app.make_response(result)
        return response, response.status_code


_FLASK = _Flask()


def _raw_body(current: Request, limit: int) -> bytes:
    """Return the raw body. The view can still read the body, a form and its files."""
    length = get_content_length(current.environ)  # Werkzeug reads this many bytes
    if length is not None and length > limit:
        raise BodyTooLarge(_least(limit, current.max_content_length))
    attributes = vars(current)
    # get_data() keeps a copy of the body; without it, bytes that were read from the stream are
    # lost. request.data parses a form first and then keeps an empty copy, which does not count.
    kept = attributes.get("_cached_data") or (
        "_cached_data" in attributes and not _is_parsed(attributes)
    )
    touched = "stream" in attributes and not kept
    # Like Werkzeug, read a body of unknown length only if the server marks its end.
    chunked = length is None and "wsgi.input_terminated" in current.environ
    limited: LimitedStream | None = None
    if chunked:
        limit = _least(limit, current.max_content_length)
        # Werkzeug silently cuts such a body at max_content_length. This limit is one byte larger,
        # so that _read() can detect a body that is too large. A stream that was made before does
        # not have this limit, so make a new one.
        limited = LimitedStream(current.environ["wsgi.input"], limit + 1, is_max=True)
        current.environ["wsgi.input"] = limited
        if touched:
            del attributes["stream"]
    body = _read(current, limit, limited)
    if touched and (len(body) < (length or 0) or (chunked and not body)):
        msg = (
            "the raw body is gone: something read request.form, request.files or request.stream "
            "before the signature was verified. Do that in the view, or call request.get_data() "
            "first, which keeps a copy"
        )
        raise RawBodyUnavailable(msg)
    if len(body) < (length or 0):
        msg = (
            "The body is shorter than its Content-Length: the client disconnected, or a middleware "
            "read a part of it."
        )
        raise ClientDisconnected(msg)
    return body


def _read(current: Request, limit: int, limited: LimitedStream | None) -> bytes:
    """Return the body.

    Args:
        current: The request.
        limit: The largest accepted body, in bytes.
        limited: The stream of a body of unknown length, else None.

    Raises:
        BodyTooLarge: The body exceeds the limit, or the app's own limit.
        ClientDisconnected: The server could not read the body.
    """
    try:
        body = current.get_data(cache=True)
        if len(body) <= limit and not (limited and limited.read(1)):
            return body
    except RequestEntityTooLarge:
        limit = _least(limit, current.max_content_length)
    except HTTPException:
        raise
    except Exception as error:  # an error of the server, such as gunicorn's for a broken chunk
        msg = "The body could not be read."
        raise ClientDisconnected(msg) from error
    raise BodyTooLarge(limit)


def _is_parsed(attributes: dict[str, Any]) -> bool:
    return bool(attributes.get("form") or attributes.get("files"))


def _least(limit: int, other: int | None) -> int:
    return limit if other is None else min(limit, other)
