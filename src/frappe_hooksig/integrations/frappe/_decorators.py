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
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial, wraps
from typing import Any, TypeVar, cast, overload

import frappe
from werkzeug.wrappers import Request, Response

from frappe_hooksig._frappe import FRAPPE
from frappe_hooksig.delivery import Delivery
from frappe_hooksig.exceptions import (
    BodyTooLarge,
    ConfigurationError,
    MalformedPayload,
    VerificationError,
)
from frappe_hooksig.integrations._options import Options, Senders, hide_secret
from frappe_hooksig.integrations._receiver import Receiver, name_of
from frappe_hooksig.integrations._responses import WebhookResponse, failure, refusal
from frappe_hooksig.integrations._urls import RequestTarget, target_of_environ
from frappe_hooksig.integrations.frappe._site_secrets import SecretReference, site_config
from frappe_hooksig.replay import AsyncStore, Deduplicator, Store
from frappe_hooksig.replay._claims import Claim
from frappe_hooksig.replay._deduplicator import deduplicator_of

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

_View = TypeVar("_View", bound=Callable[[], Any])

# No header can have these keys: WSGI prefixes the keys of headers with HTTP_.
_DELIVERY = "frappe_hooksig.delivery"
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
    hide_secret(options)
    if scheme_or_verifier == FRAPPE and "secret" not in options:
        # Use a function, which is called for each request, and not a setting, whose matcher is
        # reused. One process serves several sites. Their secrets must never be mixed up.
        options["secret"] = site_config("webhook_secret")
    if "store" in options:
        options["store"] = _by_site(options["store"], options.get("secret"))
    receiver = Receiver(scheme_or_verifier, None, target_of=_target_of, **options)
    receiver.refuse_to_wait("the Frappe adapter")

    def decorator(view: _View) -> _View:
        _require_method(view)
        endpoint = name_of(view)

        @wraps(view)
        def inner(*_args: Any, **_kwargs: Any) -> Any:
            claim = _admit(receiver, endpoint)
            if isinstance(claim, Response):
                return claim
            with claim or nullcontext():
                try:
                    result = view()
                except MalformedPayload as error:
                    result = _respond(refusal(error))
                if claim is not None:
                    _settle(claim, result)
                return result

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
    hide_secret(options)
    if view is not None and not callable(view):
        del view  # it may be a secret, and error reporters show local variables
        msg = "@verify_frappe_webhook(...) takes options by name only: secret=..."
        raise ConfigurationError(msg)
    decorator = verify_webhook(FRAPPE, **options)
    return decorator if view is None else decorator(view)


def get_delivery() -> Delivery:
    """Return the verified delivery of the current request.

    Raises:
        ConfigurationError: The method is not decorated, or there is no HTTP request.
    """
    request: Request | None = getattr(frappe.local, "request", None)
    delivery: Delivery | None = None if request is None else request.environ.get(_DELIVERY)
    if delivery is None:
        msg = (
            "this request was not verified. Put @verify_frappe_webhook or @verify_webhook(...) "
            "below @frappe.whitelist(...), on the method itself"
        )
        raise ConfigurationError(msg)
    return delivery


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


def _admit(receiver: Receiver, endpoint: str) -> Claim | Response | None:
    """Verify the current request, keep its delivery for `get_delivery()`, and claim it.

    Returns:
        The claim; or None if the method runs without one; or the response to send instead of
        running the method.
    """
    request: Request | None = getattr(frappe.local, "request", None)
    if request is None:
        msg = "there is no request to verify: a decorated method must be called over HTTP"
        raise ConfigurationError(msg)
    if _ENTERED in request.environ:
        msg = (
            "only one decorated method can verify a request, and another one has run already: "
            "give each method its own URL, or call a frappe_hooksig.Verifier in one method"
        )
        return _respond(failure(ConfigurationError(msg)))
    request.environ[_ENTERED] = True
    try:
        delivery = receiver.receive(
            request, request.headers, request.method, partial(_raw_body, request)
        )
        claim = receiver.claim(request, endpoint, delivery)
    except VerificationError as error:
        return _respond(refusal(error))
    except Exception as error:  # noqa: BLE001  # Frappe would show the traceback to a stranger
        return _respond(failure(error))
    request.environ[_DELIVERY] = delivery
    return _respond(claim) if isinstance(claim, WebhookResponse) else claim


def _settle(claim: Claim, result: object) -> None:
    """Complete a claim on commit; release it on a rollback, or if the status is not 2xx."""
    if isinstance(result, Response):
        status = result.status_code
    else:
        status = frappe.local.response.get("http_status_code") or 200
    if status not in range(200, 300):
        claim.release()
        return
    after_commit = getattr(frappe.db, "after_commit", None)
    if after_commit is None:  # Frappe 14
        frappe.db.commit()
        claim.complete()
        return
    claim.rest()  # stop renewing: the request ends soon, whatever happens
    after_commit.add(claim.complete)
    frappe.db.after_rollback.add(claim.release)


def _respond(response: WebhookResponse) -> Response:
    # Frappe responds to an exception with its traceback; Frappe 14 does so with HTTP 200 if the
    # sender accepts HTML. So return a response. Frappe would then commit, so roll back first.
    frappe.db.rollback()
    # A function for the secret may have thrown or printed messages: show them to no stranger.
    frappe.clear_messages()
    frappe.local.error_log = []
    frappe.local.debug_log = []
    # If the request names the method in `cmd`, Frappe sends frappe.local.response and ignores the
    # return value.
    frappe.local.response.update(response.content, http_status_code=response.status)
    return Response(response.body, response.status, response.headers)


def _raw_body(request: Request, _limit: int) -> bytes:
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


def _target_of(request: Request) -> RequestTarget:
    return target_of_environ(request.environ)
