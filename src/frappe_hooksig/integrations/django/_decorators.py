"""Decorators for views: functions and classes, sync and async, Django and REST framework."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from functools import partial, wraps
from inspect import unwrap
from io import SEEK_END
from tempfile import SpooledTemporaryFile
from typing import Any, TypeVar, cast, overload

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    RawPostDataException,
    UnreadablePostError,
)

from frappe_hooksig._frappe import FRAPPE, SECRET_SETTING
from frappe_hooksig._headers import Environ, Headers
from frappe_hooksig.delivery import Delivery
from frappe_hooksig.exceptions import (
    BodyTooLarge,
    ConfigurationError,
    RawBodyUnavailable,
)
from frappe_hooksig.integrations._framework import Admission, Framework, kept
from frappe_hooksig.integrations._options import Options, Senders, hide_secret, masked_senders
from frappe_hooksig.integrations._receiver import (
    Receiver,
    has_only_reads,
    name_of,
    name_of_handler,
    only_a_view,
    with_or_without_options,
)
from frappe_hooksig.integrations._responses import WebhookResponse, in_flight
from frappe_hooksig.integrations._urls import (
    RequestTarget,
    target_of_environ,
    target_of_scope,
)
from frappe_hooksig.integrations.django._setting import setting
from frappe_hooksig.integrations.django._store import DjangoStore
from frappe_hooksig.integrations.django._transactions import after_commit, open_around, roll_back
from frappe_hooksig.replay import Claim
from frappe_hooksig.replay._callers import BLOCKING, Awaiting, run_to_the_end
from frappe_hooksig.replay._claims import Lease
from frappe_hooksig.replay._steps import Steps, run, run_async, without_stop_iteration
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secrets

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

_View = TypeVar("_View", bound=Callable[..., Any])

# By default, Django reports an HTTP 500 by mail to the admins, but not in a log.
_log = logging.getLogger("frappe_hooksig")

# An attribute of Django's request. A sender cannot set it: headers are stored in request.META.
_ADMISSION = "_frappe_hooksig_admission"


def verify_webhook(
    scheme_or_verifier: Senders, **options: Unpack[Options]
) -> Callable[[_View], _View]:
    """Return a decorator that lets only verified requests through to a view.

    The view is a function or a class, sync or async. The decorator exempts it from Django's CSRF
    check: no sender of webhooks can pass that check, and the signature takes its place.

    Args:
        scheme_or_verifier: A scheme, such as `providers.GITHUB`; a list of schemes, one of which
            the headers of a request select; or a `Verifier` or `MultiVerifier`, which already has
            its secrets and limits.
        **options: See `frappe_hooksig.integrations.Options`. If `secret` is a function, it takes
            Django's request. It may read the path and the headers, but not the body. For an async
            view it may be async; otherwise it runs in a thread, where it may use the ORM.

    Raises:
        ConfigurationError: An option is missing, has no use, or contradicts another.
    """
    scheme_or_verifier = masked_senders(scheme_or_verifier)
    hide_secret(options)
    receiver = Receiver(_DJANGO, scheme_or_verifier, **options)

    def decorator(view: _View) -> _View:
        is_async = _is_async(view)
        if not is_async:
            hint = "; decorate an async class itself, not with method_decorator"
            receiver.refuse_to_wait("a sync view", hint)
        if isinstance(view, type):
            _guard_dispatch(view, decorator)
            return cast("_View", view)
        if is_async:

            @wraps(view)
            async def async_inner(request: Any, *args: Any, **kwargs: Any) -> Any:
                call = partial(view, request, *args, **kwargs)
                flow = receiver.handle(_AWAITING, _of_django(request), view, call)
                # Since version 5, Django cancels a view whose client is gone. Frappe hangs up after
                # 5 seconds and sends again, and no attempt would ever come to its end.
                return await (run_to_the_end(flow) if receiver.deduplicates else run_async(flow))

            return cast("_View", _exempt(async_inner))

        @wraps(view)
        def inner(request: Any, *args: Any, **kwargs: Any) -> Any:
            call = partial(view, request, *args, **kwargs)
            return run(receiver.handle(BLOCKING, _of_django(request), view, call))

        return cast("_View", _exempt(inner))

    return decorator


@overload
def verify_frappe_webhook(view: _View, /) -> _View: ...
@overload
def verify_frappe_webhook(**options: Unpack[Options]) -> Callable[[_View], _View]: ...
def verify_frappe_webhook(
    view: Callable[..., Any] | None = None, /, **options: Unpack[Options]
) -> Callable[..., Any]:
    """Let only requests that Frappe signed through to a view.

    Use it bare or with options. The default `secret` is `settings.FRAPPE_WEBHOOK_SECRET`, else the
    environment variable of that name. If neither is set, the first request with a readable
    signature fails with HTTP 500.

    Args:
        view: The view, a function or a class, if the decorator is used bare.
        **options: As for `verify_webhook()`.

    Raises:
        ConfigurationError: An option has no use or contradicts another.
    """
    view = only_a_view(view)
    return with_or_without_options(_verify_frappe, view, options)


def get_delivery(request: HttpRequest) -> Delivery:
    """Return the verified delivery of a request.

    Args:
        request: The request that the view takes: Django's, or REST framework's.

    Raises:
        ConfigurationError: The view is not decorated.
    """
    return _admission(request).delivery


def get_claim(request: HttpRequest) -> Claim:
    """Return the claim on the delivery of a request.

    Args:
        request: The request that the view takes: Django's, or REST framework's.

    Raises:
        ConfigurationError: The view is not decorated, or has no store.
    """
    return _admission(request).claim()


def _admission(request: HttpRequest) -> Admission:
    return kept(
        vars(_of_django(request)).get(_ADMISSION),
        request.path,
        "@verify_frappe_webhook or @verify_webhook(...) on the view",
    )


def _secret() -> Secrets:
    """Return the secret of Frappe's webhooks.

    Raises:
        ConfigurationError: Neither the setting nor the environment variable is set.
    """
    secret = setting()
    if secret is None:
        msg = f"set {SECRET_SETTING} in the settings, or the environment variable of that name"
        raise ConfigurationError(msg)
    return secret


async def _in_thread(function: Callable[..., Any], *args: Any) -> Any:
    return await sync_to_async(without_stop_iteration)(function, *args)


# Makes the calls of a flow. Functions that may block run in a thread, where they may use the ORM.
_AWAITING = Awaiting(_in_thread)


class _Django(Framework):
    """Django, for the flow of a route."""

    setting = staticmethod(_secret)

    def setting_name(self) -> str:
        is_set = getattr(settings, SECRET_SETTING, None) is not None
        return f"{SECRET_SETTING} in the settings" if is_set else super().setting_name()

    def headers_of(self, request: HttpRequest) -> Headers:
        # Not request.headers: making them costs as much time as the HMAC.
        return Environ(request.META)

    def target_of(self, request: HttpRequest) -> RequestTarget:
        scope: dict[str, Any] | None = getattr(request, "scope", None)  # only under ASGI
        return target_of_environ(request.META) if scope is None else target_of_scope(scope)

    def read_body(self, request: HttpRequest, limit: int) -> bytes:
        # Nothing to await: Django has received the whole body before it calls an async view.
        return _raw_body(request, limit)

    def keep(self, request: HttpRequest, admission: Admission) -> None:
        vars(request)[_ADMISSION] = admission
        # Tell Django's cache not to store the response. Otherwise a cache_page() above the
        # decorator would send it in response to unsigned requests.
        vars(request)["_cache_update_cache"] = False

    def endpoint_of(self, request: HttpRequest, view: Any) -> str:
        # Django Ninja's decorate_view() passes a method that all operations share.
        operation: Any = getattr(unwrap(view), "__self__", None)
        if hasattr(operation, "view_func"):
            return name_of(operation.view_func)
        # Also distinguishes classes with the same dispatch().
        view, kind = _unwrapped(view)
        if kind is None:
            return name_of(view)
        # The classes that REST framework's @api_view makes differ only in their __name__.
        name = f"{kind.__module__}.{kind.__qualname__}.{kind.__name__}.{view.__name__}"
        if not hasattr(kind, "http_method_names"):  # a method of a class that is not a view
            return name
        return f"{name} {name_of_handler(kind, request.method)}"

    def only_reads(self, request: HttpRequest, view: Any) -> bool:  # noqa: ARG002
        _, kind = _unwrapped(view)
        return hasattr(kind, "http_method_names") and has_only_reads(kind)

    def respond(self, response: WebhookResponse) -> HttpResponse:
        answer = HttpResponse(response.body, status=response.status, headers=response.headers)
        if not response.body:
            del answer["Content-Type"]  # Django's default
        return answer

    def not_verified(self, error: Exception) -> HttpResponse:
        if isinstance(error, UnreadablePostError):
            # Respond here: Django would log a traceback for each client that disconnects.
            return HttpResponseBadRequest(
                "The body is shorter than its Content-Length: the client disconnected, or a "
                "middleware read a part of it.",
                content_type="text/plain",
            )
        if isinstance(error, ConfigurationError | RawBodyUnavailable):
            _log.error("webhook not verified: %s", error)
        raise error

    def undo(self) -> None:
        roll_back(open_around())

    def settle(self, lease: Lease, result: Any, status: int) -> Steps[Any]:
        # Settle once the transactions around the view are committed. Django renders template
        # responses and streams bodies later. An error there rolls nothing back, so it does not
        # change the outcome.
        around = open_around()
        if not around:
            yield from lease.settle(status)
            return result
        lease.rest()  # stop renewing: without a commit, the lease ends by itself
        if any(connection.needs_rollback for connection in around):
            yield from lease.release()
            return result
        store = lease.store
        in_same_db = isinstance(store, DjangoStore) and [each.alias for each in around] == [
            store.using
        ]
        if status not in range(200, 300) or not in_same_db:
            # With several databases, the first one to commit must not mark the delivery as
            # handled: the next one may still fail.
            after_commit(around, lambda: run(lease.settle(status)))
            return result
        if (yield from lease.complete()):
            return result
        # Another attempt has claimed the delivery meanwhile. Without a rollback, both would write.
        roll_back(around)
        return in_flight()

    def outcome_of(self, result: Any) -> tuple[Any, int]:
        """Return the result, and its status. What is no response counts as success.

        Then the view has run to its end. Some frameworks on top of Django turn its result into a
        response later: Django Ninja takes an object, or a status with an object.
        """
        given: object = result
        status: Any = getattr(given, "status_code", 200)
        if isinstance(given, tuple):
            status = next(iter(cast("Iterable[Any]", given)), 200)
        return result, status if isinstance(status, int) else 200

    def status_of_error(self, error: BaseException) -> int | None:
        statuses = {Http404: 404, PermissionDenied: 403}
        return next((code for kind, code in statuses.items() if isinstance(error, kind)), None)


_DJANGO = _Django()

# method_decorator() decorates again for each request. One shared decorator keeps the matcher that
# was made from the setting.
_BARE = verify_webhook(FRAPPE)


def _verify_frappe(scheme: Scheme, **options: Unpack[Options]) -> Callable[[_View], _View]:
    return verify_webhook(scheme, **options) if options else _BARE


def _is_async(view: Any) -> bool:
    """Whether a view returns an awaitable."""
    # asgiref's function knows the mark that Django sets before Python 3.12.
    if iscoroutinefunction(view):  # pyright: ignore[reportDeprecated]
        return True
    # dispatch() of an async class is not async, but returns the coroutine of an async method.
    # method_decorator() passes it as a partial of the bound method.
    method: Any = cast("Any", view).func if isinstance(view, partial) else view
    return bool(getattr(getattr(method, "__self__", method), "view_is_async", False))


def _guard_dispatch(view: Any, decorator: Callable[[Any], Any]) -> None:
    """Decorate the dispatch() of a class: requests of every HTTP method pass through it."""
    dispatch = getattr(view, "dispatch", None)
    if dispatch is None:
        msg = f"{view.__name__} is not a view class: it has no dispatch()"
        raise ConfigurationError(msg)

    @wraps(dispatch)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        return decorator(dispatch.__get__(self))(*args, **kwargs)

    view.dispatch = _exempt(guarded)


def _exempt(function: _View) -> _View:
    """Exempt a view from the CSRF check, without the additional wrapper of csrf_exempt()."""
    vars(function)["csrf_exempt"] = True
    return function


def _unwrapped(view: Any) -> tuple[Any, Any]:
    """Return a view without partials, and the class whose dispatch() it is, or None."""
    while isinstance(view, partial):  # method_decorator() passes one
        view = cast("Any", view).func
    # as_view() keeps the class in `view_class`; that of REST framework's view sets, in `cls`.
    kind: Any = getattr(view, "view_class", getattr(view, "cls", None))
    if hasattr(view, "__self__"):
        kind = cast("Any", type(view.__self__))
    return view, kind


def _of_django(request: Any) -> HttpRequest:
    """Return Django's own request, which REST framework wraps in a request of its own."""
    own = getattr(request, "_request", request)
    if not isinstance(own, HttpRequest):
        msg = (
            f"expected a request, but got a {type(own).__name__}: decorate the class, or its "
            'method with method_decorator(verify_frappe_webhook, name="dispatch")'
        )
        raise ConfigurationError(msg)
    return own


def _raw_body(request: HttpRequest, limit: int) -> bytes:
    """Return the raw body. The view can still read the body, a form and its files."""
    try:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        raise UnreadablePostError from None
    # request.body checks this limit too, but some releases skip it for a body of unknown length.
    least: int | None = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if least is not None:
        limit = min(limit, least)
    if max(length, _spooled(request)) > limit:
        raise BodyTooLarge(limit)
    try:
        body = request.body
    except RawPostDataException:
        msg = (
            "the raw body is gone: something read request.POST or request.FILES of a multipart "
            "form, or request.read(), before the signature was verified. Do that in the view, or "
            "read request.body first, which keeps a copy"
        )
        raise RawBodyUnavailable(msg) from None
    if len(body) > limit:
        raise BodyTooLarge(limit)
    if len(body) < length:
        raise UnreadablePostError
    return body


def _spooled(request: HttpRequest) -> int:
    """Return the size of a body that Django has received into a file, as it does under ASGI."""
    stream: Any = request._stream  # noqa: SLF001
    # Once other code has read a part of the file, request.body raises an error.
    if not isinstance(stream, SpooledTemporaryFile) or vars(request).get("_read_started"):
        return 0
    stream.seek(0, SEEK_END)
    size = stream.tell()
    stream.seek(0)
    return size
