"""FastAPI: dependencies that verify a request before its path function runs.

A path function only needs a parameter `Annotated[Delivery, Depends(FrappeWebhook())]`. If it also
has `Form()`, `File()` or body parameters, its router needs `route_class=WebhookRoute`.
"""

# No `from __future__ import annotations` here: FastAPI before 0.123 does not resolve annotations
# that are strings on a callable object.
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Literal, TypeVar, overload

from frappe_hooksig.integrations._extras import not_installed

try:
    from fastapi import Depends, HTTPException, Request, Response, WebSocketException
    from fastapi.dependencies.models import Dependant
    from fastapi.routing import APIRoute
    from fastapi.security import APIKeyHeader
    from fastapi.security.base import SecurityBase
    from pydantic import BaseModel, TypeAdapter, ValidationError
    from starlette.requests import ClientDisconnect, HTTPConnection
    from starlette.status import WS_1008_POLICY_VIOLATION
except ModuleNotFoundError as error:
    raise not_installed(error, "fastapi") from None

from frappe_hooksig._frappe import FRAPPE
from frappe_hooksig.delivery import Delivery
from frappe_hooksig.exceptions import (
    ConfigurationError,
    MalformedPayload,
    RawBodyUnavailable,
    VerificationError,
)
from frappe_hooksig.integrations._asgi import AWAITING, StarletteRequests
from frappe_hooksig.integrations._framework import Admission
from frappe_hooksig.integrations._options import Options, Senders, hide_secret, masked_senders
from frappe_hooksig.integrations._receiver import READS, EventIgnored, Receiver, name_of
from frappe_hooksig.integrations._responses import WebhookResponse, refusal
from frappe_hooksig.replay import Claim
from frappe_hooksig.replay._steps import Steps, run_async

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

__all__ = ["FrappeWebhook", "Refusal", "Refused", "Webhook", "WebhookRoute"]

_Model = TypeVar("_Model")

_ADMISSIONS = "frappe_hooksig.admissions"
_ROUTE = "frappe_hooksig.route"

# A response contains this many of a model's errors. The location of an error is cut to this many
# characters, because it may be a key that the sender made up.
_SHOWN = 5
_LONGEST = 100


class Refusal(BaseModel):
    """The JSON in the response to a refused request, for OpenAPI.

    Attributes:
        status: Always "refused".
        reason: A stable code.
        message: A sentence for the administrator of the sender.
    """

    status: Literal["refused"]
    reason: str
    message: str


class Refused(HTTPException):
    """Ends a refused request. Add an exception handler only if you want another response.

    Attributes:
        error: The reason why the request was refused.
        response: The default response.
    """

    def __init__(self, error: VerificationError, refused: WebhookResponse) -> None:
        super().__init__(refused.status, refused.content, refused.headers)
        self.error = error
        self.response = Response(refused.body, refused.status, refused.headers)


class _Ignored(HTTPException):
    """Ends a verified request whose event is not handled."""

    def __init__(self, ignored: WebhookResponse) -> None:
        super().__init__(ignored.status, ignored.content, ignored.headers)
        self.response = Response(ignored.body, ignored.status, ignored.headers)


class Webhook(SecurityBase):
    """A dependency that lets only verified requests through, and returns their `Delivery`.

    Create one for each sender, at the top of a module. It appears in OpenAPI as a security scheme.

    Args:
        scheme_or_verifier: A scheme, such as `providers.GITHUB`; a list of schemes, one of which
            the headers of a request select; or a `Verifier` or `MultiVerifier`, which already has
            its secrets and limits.
        **options: See `frappe_hooksig.integrations.Options`. If `secret` is a function, it takes
            the request. It may read the path and the headers, but not the body. It may be async;
            otherwise it runs in a thread.

    Attributes:
        model: The OpenAPI description of the signature header.
        scheme_name: The name of the scheme.

    Raises:
        ConfigurationError: An option is missing, has no use, or contradicts another.
    """

    def __init__(self, scheme_or_verifier: Senders, **options: Unpack[Options]) -> None:
        scheme_or_verifier = masked_senders(scheme_or_verifier)
        hide_secret(options)
        self._receiver = Receiver(_FASTAPI, scheme_or_verifier, **options)
        scheme, *weaker = self._receiver.schemes
        others = [each for each in (scheme.timestamp_header, scheme.id_header) if each]
        described = APIKeyHeader(
            name=scheme.signature_headers[0],
            description=" ".join(
                [
                    "The signature of the request." if scheme.signs_body else "The secret.",
                    *(f"{name} is needed too." for name in others),
                    *(f"Or {each.signature_headers[0]}." for each in weaker),
                ]
            ),
        )
        self.model = described.model
        self.scheme_name = scheme.name

    @property
    def responses(self) -> dict[int | str, dict[str, Any]]:
        """The responses to refused requests. Pass them as `responses=` to show them in OpenAPI."""
        described = {
            400: "The signature's headers, or the payload, cannot be read",
            401: "The request is unsigned, its signature is wrong, or its time is out of tolerance",
            413: "The body is too large",
        }
        return {
            status: {"model": Refusal, "description": text} for status, text in described.items()
        }

    async def __call__(self, request: HTTPConnection) -> Delivery:
        """Verify a request once; all dependencies on this webhook get the same delivery.

        Raises:
            Refused: The request must not be trusted.
            ConfigurationError: There is no usable secret; FastAPI responds with HTTP 500.
            RawBodyUnavailable: Other code has already read the body; FastAPI responds with
                HTTP 500.
            WebSocketException: The connection is a WebSocket, which no sender signs.
        """
        if not isinstance(request, Request):
            raise WebSocketException(WS_1008_POLICY_VIOLATION)
        if self._receiver.deduplicates and _ROUTE not in request.scope:
            msg = "store= needs APIRouter(route_class=WebhookRoute), which sees the response"
            raise ConfigurationError(msg)
        admissions: dict[Webhook, Admission] = request.scope.setdefault(_ADMISSIONS, {})
        if self not in admissions:
            _add_exception_handlers(request)
            try:
                verifying = self._receiver.verify(AWAITING, request, request.scope.get("route"))
                admission = await run_async(verifying)
            except VerificationError as error:
                refused = self._receiver.for_sender(request, refusal(error))
                raise Refused(error, refused) from error
            except EventIgnored as verified:
                ignored = self._receiver.for_sender(request, verified.response)
                raise _Ignored(ignored) from verified
            except RawBodyUnavailable as error:
                msg = f"{error}; for Form() and File(), use APIRouter(route_class=WebhookRoute)"
                raise RawBodyUnavailable(msg) from error.__cause__
            except ClientDisconnect as error:
                raise HTTPException(400) from error  # the client is gone: nobody gets this
            admissions[self] = admission
            _FASTAPI.keep(request, admission)
            if _ROUTE not in request.scope:
                await run_async(admission.accepted())
        return admissions[self].delivery

    async def claim(self, request: Request) -> Claim:
        """Return the claim on the delivery, as a dependency: `Depends(webhook.claim)`.

        Raises:
            ConfigurationError: The webhook has no store.
        """
        await self(request)
        admission: Admission = request.scope[_ADMISSIONS][self]
        return admission.claim()

    @overload
    def payload(self, model: type[_Model]) -> Callable[[Delivery], Awaitable[_Model]]: ...
    @overload
    def payload(self, model: object) -> Callable[[Delivery], Awaitable[Any]]: ...
    def payload(self, model: Any) -> Callable[[Delivery], Awaitable[Any]]:
        """Return a dependency that parses the verified JSON into a model.

        It parses the verified body, whatever its Content-Type, by the rules of FastAPI's own body
        parameters. A payload that does not fit the model gets HTTP 400 with the errors, as does a
        body that is not JSON.

        Args:
            model: A pydantic model, or any other type that pydantic can validate.
        """
        adapter: TypeAdapter[Any] = TypeAdapter(model)

        # Not Annotated[Delivery, Depends(self)]: FastAPI would look for `self` in this module.
        async def parse(delivery: Delivery = Depends(self)) -> Any:  # noqa: B008
            payload = delivery.json()
            try:
                return adapter.validate_python(payload)
            except ValidationError as error:
                raise MalformedPayload(_complaint(error)) from error

        return parse


class FrappeWebhook(Webhook):
    """A dependency that lets only requests through that Frappe signed.

    The default `secret` is the environment variable `FRAPPE_WEBHOOK_SECRET`. If that is not set,
    the first request with a readable signature fails with HTTP 500.

    Args:
        **options: As for `Webhook`.

    Raises:
        ConfigurationError: An option has no use or contradicts another.
    """

    def __init__(self, **options: Unpack[Options]) -> None:
        hide_secret(options)
        super().__init__(FRAPPE, **options)


class WebhookRoute(APIRoute):
    """A route that verifies a request before FastAPI parses its body into parameters.

    FastAPI parses `Form()`, `File()` and body parameters before it calls dependencies. It would
    parse unverified bytes without a limit, and would not keep the bytes of a form. This route class
    finds the `Webhook` dependencies of the path function and of its router, and runs them first.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return a handler that verifies a request and then calls FastAPI's own handler."""
        handle = super().get_route_handler()
        webhooks = list(_webhooks_of(self.dependant, {}))

        async def verify_first(request: Request) -> Response:
            # Tests may override a dependency, and with it the webhooks that it depends on.
            overridden: dict[Any, Any] = getattr(request.app, "dependency_overrides", {})
            left = list(_webhooks_of(self.dependant, overridden)) if overridden else webhooks
            request.scope[_ROUTE] = True
            for webhook in left:
                await webhook(request)
            # A dict removes repeats: payload() depends on a webhook that the path function may
            # depend on as well.
            receivers = {each: each._receiver for each in left}  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            if not any(each.deduplicates or each.is_observed for each in receivers.values()):
                return await handle(request)
            admissions: dict[Webhook, Admission] = request.scope[_ADMISSIONS]
            responses: list[Response] = []
            async with AsyncExitStack() as own:
                # Dependencies with scope="function" end before the response is sent. If a commit
                # fails in such a dependency, the response becomes a 500. This enters FastAPI's
                # stack before these dependencies, so claims are settled after them.
                stack: AsyncExitStack = request.scope.get("fastapi_function_astack", own)
                stack.push_async_exit(partial(_settle, admissions.values(), responses))
                for webhook, receiver in receivers.items():
                    claiming = receiver.claim(AWAITING, request, admissions[webhook], self)
                    refused = await run_async(claiming)
                    if refused is not None:
                        return _FASTAPI.respond(receiver.for_sender(request, refused))
                for admission in admissions.values():
                    await run_async(admission.accepted())
                responses.append(await handle(request))
                return responses[0]

        return verify_first


async def _settle(
    admissions: Iterable[Admission],
    responses: Sequence[Response],
    _kind: object,
    error: BaseException | None,
    _traceback: object,
) -> None:
    """Settle the claims by the status of the response. Release them if there is none."""
    left = [*admissions]
    for admission in left:  # one that cannot be settled now must not keep the others renewed
        admission.rest()
    async with AsyncExitStack() as each_of_them:
        for admission in left:
            steps = _ended(admission, responses, error)
            each_of_them.push_async_callback(run_async, steps)


def _ended(
    admission: Admission, responses: Sequence[Response], error: BaseException | None
) -> Steps[None]:
    """Settle one claim, and tell the observers how the path function has ended."""
    if error is None and responses:
        status = responses[0].status_code
        if admission.lease is not None:
            yield from admission.lease.settle(status)
        yield from admission.ended(status)
    elif error is None or isinstance(error, MalformedPayload):  # its exception handler tells of it
        yield from admission.release()
    else:
        yield from admission.failed(error)


class _FastAPI(StarletteRequests):
    """FastAPI, for the flow of a route. The view is its `WebhookRoute`."""

    def endpoint_of(self, request: Request, view: APIRoute | None) -> str:
        if view is None:  # a middleware calls the webhook, or a function of an old Starlette
            endpoint = request.scope.get("endpoint")
            return "" if endpoint is None else name_of(endpoint)
        return f"{name_of(view.endpoint)} {view.path}"

    def only_reads(self, request: Request, view: APIRoute) -> bool:  # noqa: ARG002
        return READS.issuperset(view.methods or "?")


_FASTAPI = _FastAPI()


def _webhooks_of(dependant: Dependant, overridden: Mapping[Any, Any]) -> Iterator[Webhook]:
    for each in dependant.dependencies:
        if each.call not in overridden:
            webhook = getattr(each.call, "__self__", each.call)  # of Webhook.claim, its webhook
            if isinstance(webhook, Webhook):
                yield webhook
            yield from _webhooks_of(each, overridden)


def _add_exception_handlers(request: Request) -> None:
    """Add exception handlers to the app that respond to refused requests with `refusal()`.

    Without them, FastAPI would put the JSON of a refusal under "detail", and respond with HTTP 500
    to a malformed payload. Once the first request comes, `app.add_exception_handler()` has no
    effect, so this changes the handlers in the request's scope. It keeps the app's own handlers.
    """
    handlers, _ = request.scope.get("starlette.exception_handlers", ({}, {}))
    handlers.setdefault(Refused, _respond_to_refused)
    handlers.setdefault(_Ignored, _respond_to_refused)
    if handlers.keys().isdisjoint(MalformedPayload.__mro__):
        handlers[MalformedPayload] = _respond_to_malformed


async def _respond_to_refused(_request: Request, exception: Refused | _Ignored) -> Response:
    return exception.response


async def _respond_to_malformed(request: Request, error: MalformedPayload) -> Response:
    admissions: dict[Webhook, Admission] = request.scope.get(_ADMISSIONS, {})
    if not admissions:  # the error comes from a route without a webhook
        raise error
    webhook, admission = next(iter(admissions.items()))
    receiver = webhook._receiver  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    await run_async(receiver.malformed(admission, error))
    response = refusal(error)
    if any(each.delivery.scheme.empty_responses for each in admissions.values()):
        response = response.without_body()
    return _FASTAPI.respond(response)


def _complaint(error: ValidationError) -> str:
    """Return the errors of a payload and their locations, without its values."""
    found = error.errors(include_url=False, include_context=False)
    parts = [
        f"{'.'.join(map(str, each['loc']))[:_LONGEST] or 'payload'}: {each['msg']}"
        for each in found[:_SHOWN]
    ]
    more = len(found) - _SHOWN
    if more > 0:
        parts.append(f"and {more} more")
    return f"the verified payload is not a valid {error.title}: {'; '.join(parts)}"
