"""What the flow of a route needs of its framework, and what it keeps for the view."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from frappe_hooksig._frappe import SECRET_SETTING
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.integrations._responses import WebhookResponse
from frappe_hooksig.observe._log import log
from frappe_hooksig.replay._claims import Claim
from frappe_hooksig.replay._steps import Steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from frappe_hooksig._headers import Headers
    from frappe_hooksig.delivery import Delivery
    from frappe_hooksig.integrations._observation import Circumstances, Observation
    from frappe_hooksig.integrations._urls import RequestTarget
    from frappe_hooksig.observe._event import Event
    from frappe_hooksig.replay._claims import Lease
    from frappe_hooksig.secret import Secrets


#: A name for the environment variable, for messages.
VARIABLE = f"the environment variable {SECRET_SETTING}"


class Admission:
    """A verified request whose handler may run.

    Attributes:
        delivery: The verified delivery.
        circumstances: How the request came, for the observers.
        observation: The request, as observers see it; None if there is only `log`.
        has_store: Whether the route has a store.
        lease: The lease on the delivery; None without one.
    """

    __slots__ = ("circumstances", "delivery", "has_store", "lease", "observation")

    def __init__(self, delivery: Delivery, circumstances: Circumstances) -> None:
        self.delivery = delivery
        self.circumstances = circumstances
        self.observation: Observation | None = None
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

    def accepted(self) -> Steps[None]:
        """Tell the observers that the handler will run."""
        if self.observation is not None:
            yield from self.observation.accepted(self.delivery)

    def ended(self, status: int) -> Steps[None]:
        """Tell the observers how the handler has ended, by the HTTP status of its response."""
        if self.observation is not None:
            yield from self.observation.ended(self.delivery, status)

    def failed(self, error: BaseException) -> Steps[None]:
        """Release the claim, if there is one, and tell the observers of an exception.

        A request that is cancelled can await nothing any more, so they are told first.
        """
        told = [] if self.observation is None else self.observation.failed(self.delivery, error)
        yield from self.release()
        if self.observation is not None and isinstance(error, Exception):
            yield from self.observation.wait(told)


class Framework(ABC):
    """What the flow of a route asks its framework. `request` is always the framework's request.

    Attributes:
        setting: Returns the framework's `FRAPPE_WEBHOOK_SECRET`. None if it has no such setting.
        reads_environment: Whether the environment variable of that name is checked at the start.
    """

    setting: Callable[[], Secrets | None] | None = None
    reads_environment: bool = False

    def setting_name(self) -> str:
        """Return where `setting` has found the secret, for messages."""
        return VARIABLE

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
        """Whether the view is known to take no other methods than those in `READS`."""
        return False

    @abstractmethod
    def respond(self, response: WebhookResponse) -> Any:
        """Return a response of the framework."""

    def not_verified(self, error: Exception) -> Any:
        """Return a response if the request could not be verified, or raise the error.

        The response is one of the framework, or a `WebhookResponse`.
        """
        raise error

    def log(self, event: Event) -> None:
        """Write the line of the log about a request."""
        log(event)

    def site(self) -> str | None:
        """Return the name of the site that was called, if one app serves several."""
        return None

    def undo(self) -> None:  # noqa: B027  # most frameworks have no open transaction
        """Undo what the view has written, because it could not read the verified payload."""

    def outcome_of(self, result: Any) -> tuple[Any, int]:
        """Return the view's result as the view above gets it, and its HTTP status."""
        return result, int(result.status_code)

    def status_of_error(self, error: BaseException) -> int | None:  # noqa: ARG002
        """Return the HTTP status that the framework has for an exception; None if it is unknown."""
        return None

    def settle(self, lease: Lease, result: Any, status: int) -> Steps[Any]:
        """Settle the claim by the status of the view's result.

        Returns:
            The result, or the `WebhookResponse` to send instead of it.
        """
        yield from lease.settle(status)
        return result


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
