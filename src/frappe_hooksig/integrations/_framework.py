"""What the flow of a route needs of its framework, and what it keeps for the view."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from frappe_hooksig.exceptions import ConfigurationError, MalformedPayload
from frappe_hooksig.integrations._responses import WebhookResponse, refusal
from frappe_hooksig.replay._claims import Claim
from frappe_hooksig.replay._steps import Steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from frappe_hooksig._headers import Headers
    from frappe_hooksig.delivery import Delivery
    from frappe_hooksig.integrations._urls import RequestTarget
    from frappe_hooksig.replay._claims import Lease
    from frappe_hooksig.secret import Secrets


class Admission:
    """A verified request whose handler may run.

    Attributes:
        delivery: The verified delivery.
        has_store: Whether the route has a store.
        lease: The lease on the delivery; None without one.
    """

    __slots__ = ("delivery", "has_store", "lease")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.has_store = False
        self.lease: Lease | None = None

    def claim(self) -> Claim:
        """Return the claim, for `get_claim()`.

        Raises:
            ConfigurationError: The route has no store.
        """
        if not self.has_store:
            msg = "this route has no store=, so it has no claim"
            raise ConfigurationError(msg)
        return Claim(self.lease)

    def release(self) -> Steps[None]:
        """Release the claim, if there is one and the store was not told its outcome yet."""
        if self.lease is not None and not self.lease.is_settled:
            yield from self.lease.release()

    def rest(self) -> None:
        """Stop renewing the lease, if there is one."""
        if self.lease is not None:
            self.lease.rest()


class Framework(ABC):
    """What the flow of a route asks its framework. `request` is always the framework's request.

    Attributes:
        setting: Returns the framework's `FRAPPE_WEBHOOK_SECRET`. None if it has no such setting.
    """

    setting: Callable[[], Secrets | None] | None = None

    @abstractmethod
    def headers_of(self, request: Any) -> Headers:
        """Return the headers."""

    def method_of(self, request: Any) -> str:
        """Return the HTTP method; empty if it is unknown."""
        return request.method or ""

    @abstractmethod
    def target_of(self, request: Any) -> RequestTarget:
        """Return the request target that the server received."""

    @abstractmethod
    def read_body(self, request: Any, limit: int) -> Any:
        """Return the raw body, or an awaitable of it. The view can still read it.

        Raises:
            BodyTooLarge: The body has more than `limit` bytes.
            RawBodyUnavailable: Other code has already read the body.
        """

    @abstractmethod
    def keep(self, request: Any, admission: Admission) -> None:
        """Keep the admission where `get_delivery()` finds it."""

    @abstractmethod
    def endpoint_of(self, request: Any, view: Any) -> str:
        """Return a name that distinguishes the routes of an app, the same in every process."""

    def only_reads(self, request: Any, view: Any) -> bool:  # noqa: ARG002
        """Whether the view is known to take no other methods than GET, HEAD and OPTIONS."""
        return False

    @abstractmethod
    def respond(self, response: WebhookResponse) -> Any:
        """Return a response of the framework."""

    def not_verified(self, error: Exception) -> Any:
        """Return the response if the request could not be verified, or raise the error."""
        raise error

    def malformed(self, error: MalformedPayload) -> Any:
        """Return the response if the view could not read the verified payload."""
        return self.respond(refusal(error))

    def settle(self, lease: Lease, result: Any) -> Steps[Any]:
        """Settle the claim by the view's result; return what to return instead of the result."""
        yield from lease.settle(self.status_of(result))
        return result

    def status_of(self, result: Any) -> int:
        """Return the HTTP status of the view's result."""
        return int(result.status_code)


def kept(admission: Admission | None, where: str, hint: str) -> Admission:
    """Return the admission of a verified request.

    Args:
        admission: The admission that was found, or None.
        where: The route, for the error message.
        hint: Where to put the decorator.

    Raises:
        ConfigurationError: There is none.
    """
    if admission is None:
        msg = f"{where}: this request was not verified. Put {hint}"
        raise ConfigurationError(msg)
    return admission
