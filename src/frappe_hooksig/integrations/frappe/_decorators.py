"""Decorators that verify a request before its whitelisted method runs.

Put them below `@frappe.whitelist(...)`, which registers the decorated function:

    @frappe.whitelist(allow_guest=True, methods=["POST"])
    @verify_frappe_webhook
    def sales_order(): ...

Frappe fills a method's parameters from the query, a form or JSON, before anything is verified. So
the method must have no parameters, and read everything from `get_delivery()`.
"""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar, cast, overload

import frappe
from werkzeug.wrappers import Request, Response

from frappe_hooksig._escaping import escaped
from frappe_hooksig._frappe import FRAPPE
from frappe_hooksig.delivery import Delivery
from frappe_hooksig.exceptions import BodyTooLarge, ConfigurationError, HooksigError
from frappe_hooksig.integrations._framework import Admission, kept
from frappe_hooksig.integrations._options import Options, Senders, hide_secret, masked_senders
from frappe_hooksig.integrations._receiver import (
    Receiver,
    name_of,
    only_a_view,
    with_or_without_options,
)
from frappe_hooksig.integrations._responses import WebhookResponse, failure
from frappe_hooksig.integrations._werkzeug import WerkzeugRequests, admission_of
from frappe_hooksig.integrations.frappe._site_secrets import SecretReference, site_config
from frappe_hooksig.observe._event import Event
from frappe_hooksig.observe._log import LEVELS, line_of
from frappe_hooksig.replay import AsyncStore, Claim, Deduplicator, Store
from frappe_hooksig.replay._callers import BLOCKING
from frappe_hooksig.replay._claims import Lease
from frappe_hooksig.replay._deduplicator import deduplicator_of
from frappe_hooksig.replay._steps import Steps, run

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

_View = TypeVar("_View", bound=Callable[[], Any])

# No header can have this key: WSGI prefixes the keys of headers with HTTP_.
_ENTERED = "frappe_hooksig.entered"


def verify_webhook(
    scheme_or_verifier: Senders, **options: Unpack[Options]
) -> Callable[[_View], _View]:
    """Return a decorator that lets only verified requests through to a whitelisted method.

    Put it below `@frappe.whitelist(allow_guest=True, methods=["POST"])`. The method takes no
    parameters; call `get_delivery()` for the verified delivery. The method runs as Guest, like
    every method with `allow_guest=True`.

    Args:
        scheme_or_verifier: A scheme, such as `providers.GITHUB`; a list of schemes, one of which
            the headers of a request select; or a `Verifier` or `MultiVerifier`, which has one
            secret for all sites.
        **options: See `frappe_hooksig.integrations.Options`. For a secret per site, set `secret` to
            `site_config()`, `password()` or a function that takes Werkzeug's request.

    Raises:
        ConfigurationError: An option is missing, has no use, or contradicts another; or the
            method has parameters, is async, or is already whitelisted.
    """
    scheme_or_verifier = masked_senders(scheme_or_verifier)
    hide_secret(options)
    if scheme_or_verifier == FRAPPE and "secret" not in options:
        # Use a function, which is called for each request, and not a setting, whose matcher is
        # reused. One process serves several sites. Their secrets must never be mixed up.
        options["secret"] = site_config("webhook_secret")
    if "store" in options:
        options["store"] = _by_site(options["store"], options.get("secret"))
    receiver = Receiver(_FRAPPE, scheme_or_verifier, **options)
    receiver.refuse_to_wait("the Frappe adapter")

    def decorator(view: _View) -> _View:
        _require_method(view)

        def call() -> Any:
            if receiver.deduplicates:
                # Looking up the secret may have begun a transaction. MariaDB shows it nothing that
                # others commit later, and this request may have waited for another attempt.
                frappe.db.commit()
            return view()

        @wraps(view)
        def inner(*_args: Any, **_kwargs: Any) -> Any:
            request = _current()
            if _ENTERED in request.environ:
                msg = (
                    "only one decorated method can verify a request, and another one has run "
                    "already: give each method its own URL, or call a frappe_hooksig.Verifier in "
                    "one method"
                )
                response = receiver.for_sender(
                    request, _FRAPPE.not_verified(ConfigurationError(msg))
                )
                return _FRAPPE.respond(response)
            request.environ[_ENTERED] = True
            return run(receiver.handle(BLOCKING, request, view, call))

        # Frappe fills in and converts arguments by the signature and annotations. Remove both.
        vars(inner)["__signature__"] = inspect.Signature()
        inner.__annotations__ = {}
        return cast("_View", inner)

    return decorator


@overload
def verify_frappe_webhook(view: _View, /) -> _View: ...
@overload
def verify_frappe_webhook(**options: Unpack[Options]) -> Callable[[_View], _View]: ...
def verify_frappe_webhook(
    view: Callable[..., Any] | None = None, /, **options: Unpack[Options]
) -> Callable[..., Any]:
    """Let only requests that a Frappe site signed through to a whitelisted method.

    Use it bare or with options. The default `secret` is `webhook_secret` in the site_config.json of
    the called site. If that is not set, a request with a readable signature gets HTTP 500.

    Args:
        view: The method, if the decorator is used bare.
        **options: As for `verify_webhook()`.

    Raises:
        ConfigurationError: As for `verify_webhook()`.
    """
    view = only_a_view(view)
    return with_or_without_options(verify_webhook, view, options)


def get_delivery() -> Delivery:
    """Return the verified delivery of the current request.

    Raises:
        ConfigurationError: The method is not decorated, or there is no HTTP request.
    """
    return _admission().delivery


def get_claim() -> Claim:
    """Return the claim on the delivery of the current request.

    Raises:
        ConfigurationError: The method is not decorated, or has no store, or there is no request.
    """
    return _admission().claim()


def _admission() -> Admission:
    request: Request | None = getattr(frappe.local, "request", None)
    return kept(
        None if request is None else admission_of(request),
        "frappe.local.request",
        "@verify_frappe_webhook or @verify_webhook(...) below @frappe.whitelist(...), on the "
        "method itself",
    )


def _current() -> Request:
    """Return the current request.

    Raises:
        ConfigurationError: There is none.
    """
    request: Request | None = getattr(frappe.local, "request", None)
    if request is None:
        msg = "there is no request to verify: a decorated method must be called over HTTP"
        raise ConfigurationError(msg)
    return request


def _require_method(view: Callable[..., Any]) -> None:
    """Refuse at import a function that Frappe would not call as intended."""
    name = getattr(view, "__qualname__", repr(view))
    function = inspect.unwrap(view)
    is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    if not inspect.isroutine(view) or is_async:
        msg = f"{name}: decorate a plain function, not an async function or a class"
        raise ConfigurationError(msg)
    if inspect.unwrap(view, stop=frappe.whitelisted.__contains__) in frappe.whitelisted:
        msg = f"{name}: put @frappe.whitelist(...) above the verifying decorator, not below it"
        raise ConfigurationError(msg)
    named = [
        parameter.name
        for parameter in inspect.signature(view).parameters.values()
        if parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    ]
    if named:
        msg = (
            f"{name}: Frappe would fill {', '.join(named)} with unverified input. Remove the "
            "parameters, and use get_delivery()"
        )
        raise ConfigurationError(msg)


def _by_site(store: Store | AsyncStore | Deduplicator, secret: object) -> Deduplicator:
    """Add the site to the tenant, so that sites never share the keys of deliveries."""
    deduplicator = deduplicator_of(store)
    tenant = deduplicator.tenant
    if tenant is None and callable(secret) and not isinstance(secret, SecretReference):
        return deduplicator  # a function needs tenant= from the user; the receiver checks that

    def site_and_tenant(request: Any) -> str:
        site: str = frappe.local.site
        if tenant is None:
            return site
        name = tenant(request)
        return f"{site}\n{name}" if isinstance(name, str) else name  # the latter is refused

    return replace(deduplicator, tenant=site_and_tenant)


class _Frappe(WerkzeugRequests):
    """Frappe, for the flow of a route. Secrets belong to sites, so there is no setting."""

    def read_body(self, request: Request, limit: int) -> bytes:  # noqa: ARG002
        return _raw_body(request)

    def endpoint_of(self, request: Request, view: Callable[[], Any]) -> str:  # noqa: ARG002
        return name_of(view)

    def respond(self, response: WebhookResponse) -> Response:
        # Frappe responds to an exception with its traceback; Frappe 14 does so with HTTP 200 if the
        # sender accepts HTML. So return a response. Frappe would then commit, so roll back first.
        frappe.db.rollback()
        # A function for the secret may have thrown or printed messages: show them to no stranger.
        frappe.clear_messages()
        frappe.local.error_log = []
        frappe.local.debug_log = []
        # If the request names the method in `cmd`, Frappe sends frappe.local.response and ignores
        # the return value.
        frappe.local.response.update(response.content, http_status_code=response.status)
        return super().respond(response)

    def not_verified(self, error: Exception) -> WebhookResponse:
        # Frappe would show the traceback to a stranger.
        cause = str(error) if isinstance(error, HooksigError) else type(error).__name__
        method, path = escaped(frappe.local.request.method), escaped(frappe.local.request.path)
        cause = cause.encode("unicode_escape").decode()  # it must not begin a line of the log
        self._note(logging.ERROR, f"webhook not verified at {method} {path}: {cause}")
        return failure(error)

    def log(self, event: Event) -> None:
        super().log(event)
        if event.kind in LEVELS:
            self._note(LEVELS[event.kind], line_of(event))

    def site(self) -> str:
        return str(frappe.local.site)

    def _note(self, level: int, line: str) -> None:
        with suppress(OSError):  # the folder for logs cannot be written to
            log = frappe.logger("frappe_hooksig")  # the log of the site, which Frappe rotates
            log.setLevel(logging.INFO)  # Frappe's own level leaves out everything but errors
            log.log(level, "%s", line)

    def outcome_of(self, result: Any) -> tuple[Any, int]:
        if isinstance(result, Response):
            return result, result.status_code
        return result, frappe.local.response.get("http_status_code") or 200

    def settle(self, lease: Lease, result: Any, status: int) -> Steps[Any]:
        # Complete the claim on commit; release it on a rollback, or if the status is not 2xx.
        after_commit = getattr(frappe.db, "after_commit", None)
        if status not in range(200, 300):
            yield from lease.release()
        elif after_commit is None:  # Frappe 14
            frappe.db.commit()
            yield from lease.complete()
        else:
            lease.rest()  # stop renewing: the request ends soon, whatever happens
            after_commit.add(lambda: run(lease.complete()))
            frappe.db.after_rollback.add(lambda: run(lease.release()))
        return result


_FRAPPE = _Frappe()


def _raw_body(request: Request) -> bytes:
    """Return the raw body. Frappe has read and kept it, up to its own limit."""
    body = request.get_data()
    most = request.max_content_length
    # Werkzeug silently cuts a chunked body at its limit.
    is_chunked = request.content_length is None
    if is_chunked and most is not None and len(body) >= most and _has_more(request):
        raise BodyTooLarge(most)
    return body


def _has_more(request: Request) -> bool:
    return bool(request.environ["wsgi.input"].read(1))
