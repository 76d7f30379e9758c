"""FastAPI: dependencies that verify a request before its path function runs.

`Annotated[Delivery, Depends(FrappeWebhook())]` is all that a path function needs. If it has
`Form()`, `File()` or body parameters too, its router needs `route_class=WebhookRoute`.
"""

# No `from __future__ import annotations` here: for FastAPI before 0.123, annotations of a callable
# object have to be more than their text.
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal, TypeVar, overload

from fastapi import Depends, HTTPException, Request, Response, WebSocketException
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from fastapi.security.base import SecurityBase
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.status import WS_1008_POLICY_VIOLATION

from frappe_hooksig._frappe import FRAPPE
from frappe_hooksig.delivery import Delivery
from frappe_hooksig.exceptions import (
    ConfigurationError,
    MalformedPayload,
    RawBodyUnavailable,
    VerificationError,
)
from frappe_hooksig.integrations._asgi import claim, receive, response_to, setting, target_of
from frappe_hooksig.integrations._options import Options, Senders, hide_secret
from frappe_hooksig.integrations._receiver import Receiver, name_of
from frappe_hooksig.integrations._responses import refusal
from frappe_hooksig.replay._claims import AsyncClaim

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

__all__ = ["FrappeWebhook", "Refusal", "Refused", "Webhook", "WebhookRoute"]

_Model = TypeVar("_Model")

_DELIVERIES = "frappe_hooksig.deliveries"
_ROUTE = "frappe_hooksig.route"

# How many of a model's complaints a sender is told, and how much of a place: it may be a key that
# the sender made up.
_SHOWN = 5
_LONGEST = 100  # characters


class Refusal(BaseModel):
    """The JSON that a refused request is answered with, for OpenAPI.

    Attributes:
        status: Always the same.
        reason: A stable code.
        message: A sentence for whoever looks after the sender.
    """

    status: Literal["refused"]
    reason: str
    message: str


class Refused(HTTPException):
    """Ends a request that is refused. Its response needs no handler of yours, but may have one.

    Attributes:
        error: What was wrong with the request.
        response: The response.
    """

    def __init__(self, error: VerificationError) -> None:
        refused = refusal(error)
        super().__init__(refused.status, refused.content, refused.headers)
        self.error = error
        self.response = Response(refused.body, refused.status, refused.headers)


class Webhook(SecurityBase):
    """A dependency that lets only verified requests through, and gives their `Delivery`.

    Make one for each sender, at the top of a module. It appears in OpenAPI as a security scheme.

    Args:
        scheme_or_verifier: A scheme, such as `providers.GITHUB`, or several in a list, of which a
            request's headers select one; or a `Verifier` or `MultiVerifier`, which has its secrets
            and limits already.
        **options: See `frappe_hooksig.integrations.Options`. A
            `secret` that is a function gets the request; it may look at path and headers, and must
            leave the body alone. It may be async; else it is called in a thread.

    Attributes:
        model: The signature's header, as OpenAPI describes it.
        scheme_name: The scheme's name.

    Raises:
        ConfigurationError: An option is missing, has no use, or contradicts another.
    """

    def __init__(self, scheme_or_verifier: Senders, **options: Unpack[Options]) -> None:
        hide_secret(options)
        self._receiver = Receiver(scheme_or_verifier, setting, target_of=target_of, **options)
        scheme, *weaker = self._receiver.schemes
        others = [each for each in (scheme.timestamp_header, scheme.id_header) if each]
        described = APIKeyHeader(
            name=scheme.signature_headers[0],
            description=" ".join(
                [
                    "HMAC of the request." if scheme.signs_body else "The secret.",
                    *(f"{name} is needed too." for name in others),
                    *(f"Or {each.signature_headers[0]}." for each in weaker),
                ]
            ),
        )
        self.model = described.model
        self.scheme_name = scheme.name

    @property
    def responses(self) -> dict[int | str, dict[str, Any]]:
        """The answers to refused requests, for a route's `responses=`, which OpenAPI shows."""
        described = {
            400: "The signature's headers, or the payload, cannot be read",
            401: "The request is unsigned, or its signature is wrong or out of time",
            413: "The body is larger than accepted",
        }
        return {
            status: {"model": Refusal, "description": text} for status, text in described.items()
        }

    async def __call__(self, request: HTTPConnection) -> Delivery:
        """Verify a request, once.

        Raises:
            Refused: The request must not be trusted.
            ConfigurationError: There is no usable secret: HTTP 500.
            RawBodyUnavailable: Something read the body before: HTTP 500.
            WebSocketException: It is no request but a WebSocket, which nobody signs.
        """
        if not isinstance(request, Request):
            raise WebSocketException(WS_1008_POLICY_VIOLATION)
        if self._receiver.deduplicates and _ROUTE not in request.scope:
            msg = "store= needs APIRouter(route_class=WebhookRoute), which sees the answer"
            raise ConfigurationError(msg)
        verified: dict[Webhook, Delivery] = request.scope.setdefault(_DELIVERIES, {})
        if self not in verified:
            _let_app_answer(request)
            try:
                verified[self] = await receive(self._receiver, request)
            except VerificationError as error:
                raise Refused(error) from error
            except RawBodyUnavailable as error:
                msg = f"{error}; for Form() and File(), use APIRouter(route_class=WebhookRoute)"
                raise RawBodyUnavailable(msg) from error.__cause__
            except ClientDisconnect as error:
                raise HTTPException(400) from error  # to nobody
        return verified[self]

    @overload
    def payload(self, model: type[_Model]) -> Callable[[Delivery], Awaitable[_Model]]: ...
    @overload
    def payload(self, model: object) -> Callable[[Delivery], Awaitable[Any]]: ...
    def payload(self, model: Any) -> Callable[[Delivery], Awaitable[Any]]:
        """Return a dependency that gives the verified JSON as a model.

        It parses what was verified, whatever the Content-Type, by the rules of FastAPI's own body
        parameters. A payload that does not fit is answered like one that is no JSON: 400, with
        what is wrong with it.

        Args:
            model: A pydantic model, or any other type that pydantic can validate.
        """
        adapter: TypeAdapter[Any] = TypeAdapter(model)

        # In the default, not in Annotated: there FastAPI would look for `self` in this module.
        async def parse(delivery: Delivery = Depends(self)) -> Any:  # noqa: B008
            payload = delivery.json()
            try:
                return adapter.validate_python(payload)
            except ValidationError as error:
                raise MalformedPayload(_complaint(error)) from error

        return parse


class FrappeWebhook(Webhook):
    """A dependency that lets only requests through that Frappe signed.

    Without `secret`, it is the environment variable `FRAPPE_WEBHOOK_SECRET`; without that, the
    first request with a readable signature fails with HTTP 500.

    Args:
        **options: As for `Webhook`.

    Raises:
        ConfigurationError: An option has no use or contradicts another.
    """

    def __init__(self, **options: Unpack[Options]) -> None:
        hide_secret(options)
        super().__init__(FRAPPE, **options)


class WebhookRoute(APIRoute):
    """A route that verifies before FastAPI reads the body for parameters of the path function.

    FastAPI parses `Form()`, `File()` and body parameters first, and calls dependencies then: on
    unverified bytes, without a limit, and of a form without keeping them. This route class finds
    the `Webhook` dependencies of the path function and of its router, and lets them go first.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler that verifies and then does what FastAPI does."""
        handle = super().get_route_handler()
        endpoint = f"{name_of(self.endpoint)} {self.path}"
        webhooks = list(_webhooks_of(self.dependant, {}))

        async def verify_first(request: Request) -> Response:
            # What tests put in the place of a dependency, and so of those that it has.
            overridden: dict[Any, Any] = getattr(request.app, "dependency_overrides", {})
            left = list(_webhooks_of(self.dependant, overridden)) if overridden else webhooks
            request.scope[_ROUTE] = True
            for webhook in left:
                await webhook(request)
            # Once each: payload() depends on its webhook, which the function may do as well.
            receivers = {each: each._receiver for each in left}  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            deduplicating = [each for each in receivers if receivers[each].deduplicates]
            if not deduplicating:
                return await handle(request)
            async with AsyncExitStack() as own:
                # Dependencies with scope="function" end before the answer is sent: a commit that
                # fails in one makes it a 500. Who comes first into FastAPI's stack ends after them.
                stack: AsyncExitStack = request.scope.get("fastapi_function_astack", own)
                claims: list[AsyncClaim] = []
                for webhook in deduplicating:
                    delivery = request.scope[_DELIVERIES][webhook]
                    claimed = await claim(receivers[webhook], request, endpoint, delivery)
                    if isinstance(claimed, Response):
                        for other in claims:
                            await other.release()
                        return claimed
                    if claimed is not None:
                        claims.append(await stack.enter_async_context(claimed))
                answers: list[Response] = []
                await stack.enter_async_context(_settled(claims, answers))
                answers.append(await handle(request))
                return answers[0]

        return verify_first


@asynccontextmanager
async def _settled(claims: list[AsyncClaim], answers: list[Response]) -> AsyncGenerator[None, None]:
    """Settle claims at the end by what was answered, unless there is an exception."""
    yield
    for claimed in claims:
        await claimed.settle(answers[0].status_code)


def _webhooks_of(dependant: Dependant, overridden: Mapping[Any, Any]) -> Iterator[Webhook]:
    for each in dependant.dependencies:
        if each.call not in overridden:
            if isinstance(each.call, Webhook):
                yield each.call
            yield from _webhooks_of(each, overridden)


def _let_app_answer(request: Request) -> None:
    """See to it that the app answers what is refused as `refusal()` says.

    It would put a refusal's JSON under "detail" otherwise, and call a malformed payload an error of
    the server; and when the first request comes, it is too late for `app.add_exception_handler()`.
    A handler that the app has already stays.
    """
    handlers, _ = request.scope.get("starlette.exception_handlers", ({}, {}))
    handlers.setdefault(Refused, _answer_refused)
    if handlers.keys().isdisjoint(MalformedPayload.__mro__):
        handlers[MalformedPayload] = _answer_malformed


async def _answer_refused(_request: Request, exception: Refused) -> Response:
    return exception.response


async def _answer_malformed(request: Request, error: MalformedPayload) -> Response:
    if _DELIVERIES not in request.scope:  # of another route, which has no webhook
        raise error
    return response_to(error)


def _complaint(error: ValidationError) -> str:
    """Return what is wrong with a payload: where and what, without its values."""
    found = error.errors(include_url=False, include_context=False)
    parts = [
        f"{'.'.join(map(str, each['loc']))[:_LONGEST] or 'payload'}: {each['msg']}"
        for each in found[:_SHOWN]
    ]
    more = len(found) - _SHOWN
    if more > 0:
        parts.append(f"and {more} more")
    return f"the verified payload is no {error.title}: {'; '.join(parts)}"
