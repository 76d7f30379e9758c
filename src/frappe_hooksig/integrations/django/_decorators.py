"""Decorators for views: functions and classes, sync and async, Django and REST framework."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial, wraps
from io import SEEK_END
from tempfile import SpooledTemporaryFile
from typing import Any, TypeVar, cast, overload

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    RawPostDataException,
    UnreadablePostError,
)

from frappe_hooksig._frappe import FRAPPE, SECRET_SETTING
from frappe_hooksig.delivery import Delivery
from frappe_hooksig.exceptions import (
    BodyTooLarge,
    ConfigurationError,
    MalformedPayload,
    RawBodyUnavailable,
    VerificationError,
)
from frappe_hooksig.integrations._options import Options, Senders, hide_secret
from frappe_hooksig.integrations._receiver import Receiver, name_of, name_of_handler
from frappe_hooksig.integrations._responses import WebhookResponse, in_flight, refusal
from frappe_hooksig.integrations._urls import (
    RequestTarget,
    target_of_environ,
    target_of_scope,
)
from frappe_hooksig.integrations.django._setting import setting
from frappe_hooksig.integrations.django._store import DjangoStore
from frappe_hooksig.integrations.django._transactions import after_commit, open_around, roll_back
from frappe_hooksig.replay._claims import AsyncClaim, Claim
from frappe_hooksig.secret import Secrets

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

_View = TypeVar("_View", bound=Callable[..., Any])

# By default, Django reports an HTTP 500 by mail to the admins, but not in a log.
_log = logging.getLogger("frappe_hooksig")

# An attribute of Django's request. A sender cannot set it: headers are stored in request.META.
_DELIVERY = "_frappe_hooksig_delivery"


def verify_webhook(  # noqa: C901  # the same flow for sync and for async views
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
    hide_secret(options)
    receiver = Receiver(scheme_or_verifier, _secret, target_of=_target_of, **options)

    def decorator(view: _View) -> _View:  # noqa: C901  # the same flow for each kind of view
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
                claim = await _admit_async(receiver, _of_django(request), view)
                if isinstance(claim, HttpResponse):
                    return claim
                async with claim or nullcontext():
                    try:
                        response = await view(request, *args, **kwargs)
                    except MalformedPayload as error:
                        response = _refused(error)  # no rollback: async views have no transaction
                    if claim is not None:
                        await claim.settle(_status(response))
                    return response

            return cast("_View", _exempt(async_inner))

        @wraps(view)
        def inner(request: Any, *args: Any, **kwargs: Any) -> Any:
            claim = _admit(receiver, _of_django(request), view)
            if isinstance(claim, HttpResponse):
                return claim
            with claim or nullcontext():
                try:
                    response = view(request, *args, **kwargs)
                except MalformedPayload as error:
                    roll_back(open_around())  # a response alone would commit
                    response = _refused(error)
            return response if claim is None else _settle(claim, response)

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
    hide_secret(options)
    if view is not None and not callable(view):
        del view  # it may be a secret, and error reporters show local variables
        msg = "@verify_frappe_webhook(...) takes options by name only: secret=..."
        raise ConfigurationError(msg)
    decorator = verify_webhook(FRAPPE, **options) if options else _BARE
    return decorator if view is None else decorator(view)


def get_delivery(request: HttpRequest) -> Delivery:
    """Return the verified delivery of a request.

    Args:
        request: The request that the view takes: Django's, or REST framework's.

    Raises:
        ConfigurationError: The view is not decorated.
    """
    delivery: Delivery | None = vars(_of_django(request)).get(_DELIVERY)
    if delivery is None:
        msg = (
            f"{request.path}: this request was not verified. Put @verify_frappe_webhook or "
            "@verify_webhook(...) on the view"
        )
        raise ConfigurationError(msg)
    return delivery


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


def _target_of(request: HttpRequest) -> RequestTarget:
    scope: dict[str, Any] | None = getattr(request, "scope", None)  # only under ASGI
    return target_of_environ(request.META) if scope is None else target_of_scope(scope)


# method_decorator() decorates again for each request. One shared decorator keeps the matcher that
# was made from the setting.
_BARE = verify_webhook(FRAPPE)


class _Headers:
    """The headers in request.META. The copy in request.headers costs as much time as the HMAC.

    Attributes:
        environ: Django's META. It joins doubled headers with a comma, under ASGI too.
    """

    __slots__ = ("environ",)

    def __init__(self, meta: dict[str, Any]) -> None:
        self.environ = meta

    def get(self, name: str) -> Any:
        """Return the value of a header, or None."""
        return self.environ.get(f"HTTP_{name.upper().replace('-', '_')}")


def _admit(
    receiver: Receiver, request: HttpRequest, view: Callable[..., Any]
) -> Claim | HttpResponse | None:
    """Verify a request, keep its delivery for `get_delivery()`, and claim it.

    Args:
        receiver: The receiver that verifies the request.
        request: The request.
        view: The view of the request.

    Returns:
        The claim; or None if the view runs without one; or the response to send instead of running
        the view.
    """
    try:
        delivery = receiver.receive(
            request, _Headers(request.META), request.method or "", partial(_raw_body, request)
        )
    except VerificationError as error:
        return _refused(error)
    except UnreadablePostError:
        return _unreadable()
    except (ConfigurationError, RawBodyUnavailable) as error:
        _log.error("webhook not verified: %s", error)
        raise
    _keep(request, delivery)
    if not receiver.deduplicates:
        return None
    claim = receiver.claim(request, _endpoint(view, request), delivery)
    return _respond(claim) if isinstance(claim, WebhookResponse) else claim


async def _admit_async(
    receiver: Receiver, request: HttpRequest, view: Callable[..., Any]
) -> AsyncClaim | HttpResponse | None:
    """Verify and claim like `_admit()`, but await the secret and the store."""

    async def read_body(limit: int) -> bytes:
        # Nothing to await: Django has received the whole body before it calls the view.
        return _raw_body(request, limit)

    try:
        delivery = await receiver.receive_async(
            request, _Headers(request.META), request.method or "", read_body, _in_thread
        )
    except VerificationError as error:
        return _refused(error)
    except UnreadablePostError:
        return _unreadable()
    except (ConfigurationError, RawBodyUnavailable) as error:
        _log.error("webhook not verified: %s", error)
        raise
    _keep(request, delivery)
    if not receiver.deduplicates:
        return None
    claim = await receiver.claim_async(request, _endpoint(view, request), delivery, _in_any_thread)
    return _respond(claim) if isinstance(claim, WebhookResponse) else claim


async def _in_thread(function: Callable[..., Any], *args: Any) -> Any:
    return await sync_to_async(function)(*args)


async def _in_any_thread(function: Callable[..., Any], *args: Any) -> Any:
    # The view may keep the request's own thread busy for longer than a lease. The store must not
    # wait for that thread.
    return await sync_to_async(function, thread_sensitive=False)(*args)


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


def _keep(request: HttpRequest, delivery: Delivery) -> None:
    """Keep the delivery for the view."""
    vars(request)[_DELIVERY] = delivery
    # Tell Django's cache not to store the response. Otherwise a cache_page() above the decorator
    # would send it in response to unsigned requests.
    vars(request)["_cache_update_cache"] = False


def _endpoint(view: Any, request: HttpRequest) -> str:
    """Return a name that distinguishes a view, also among classes with the same dispatch()."""
    while isinstance(view, partial):  # method_decorator() passes one
        view = cast("Any", view).func
    # as_view() keeps the class in `view_class`; that of REST framework's view sets, in `cls`.
    kind: Any = getattr(view, "view_class", getattr(view, "cls", None))
    if hasattr(view, "__self__"):
        kind = cast("Any", type(view.__self__))
    if kind is None:
        return name_of(view)
    # The classes that REST framework's @api_view makes differ only in their __name__.
    name = f"{kind.__module__}.{kind.__qualname__}.{kind.__name__}.{view.__name__}"
    if not hasattr(kind, "http_method_names"):  # a method of a class that is not a view
        return name
    return f"{name} {name_of_handler(kind, request.method)}"


def _settle(claim: Claim, response: Any) -> Any:
    """Settle a claim once the transactions around the view are committed; return the response.

    Django renders template responses and streams bodies later. An error there rolls nothing back,
    so it does not change the outcome.
    """
    status = _status(response)
    around = open_around()
    if not around:
        claim.settle(status)
        return response
    claim.rest()  # stop renewing: without a commit, the lease ends by itself
    if any(connection.needs_rollback for connection in around):
        claim.release()
        return response
    store = claim.store
    in_same_db = isinstance(store, DjangoStore) and [each.alias for each in around] == [store.using]
    if status not in range(200, 300) or not in_same_db:
        # With several databases, the first one to commit must not mark the delivery as handled: the
        # next one may still fail.
        after_commit(around, partial(claim.settle, status))
        return response
    if claim.complete():
        return response
    # Another attempt has claimed the delivery meanwhile. Without a rollback, both would write.
    roll_back(around)
    return _respond(in_flight())


def _status(response: Any) -> int:
    """Return the status of a response, or 500 if Django will reject the view's result."""
    return int(getattr(response, "status_code", 500))


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


def _refused(error: VerificationError | MalformedPayload) -> HttpResponse:
    return _respond(refusal(error))


def _respond(response: WebhookResponse) -> HttpResponse:
    return HttpResponse(response.body, status=response.status, headers=response.headers)


def _unreadable() -> HttpResponse:
    # Respond here: Django would log a traceback for each client that disconnects.
    return HttpResponseBadRequest(
        "The body is shorter than its Content-Length: the client disconnected, or a middleware "
        "read a part of it.",
        content_type="text/plain",
    )
