"""What the observers of a route learn of one request."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from frappe_hooksig._escaping import escaped
from frappe_hooksig._headers import pairs_of
from frappe_hooksig.exceptions import (
    ConfigurationError,
    HooksigError,
    MalformedPayload,
    RawBodyUnavailable,
)
from frappe_hooksig.observe._event import Event, Kind
from frappe_hooksig.observe._raw import RawRequest
from frappe_hooksig.observe._threads import Observers, Told
from frappe_hooksig.replay._callers import Awaiting, Blocking
from frappe_hooksig.replay._steps import Steps
from frappe_hooksig.scheme import Scheme

if TYPE_CHECKING:
    from frappe_hooksig.delivery import Delivery
    from frappe_hooksig.integrations._framework import Framework

_log = logging.getLogger("frappe_hooksig")

# An event has the names of this many headers, and this many characters of each.
_MOST_NAMES = 100
_LONGEST_NAME = 100


#: How a request came: what makes the calls of its flow, the framework's request, the view, and the
#: time by `perf_counter()`. A plain tuple, because each request makes one.
Circumstances: TypeAlias = tuple["Blocking | Awaiting", Any, Any, float]


class Facts(TypedDict, total=False):
    """Facts of an `Event` that not all events have."""

    reason: str | None
    message: str
    status: int | None
    header: str | None


class Observation:
    """One request, as the observers of its route see it.

    Args:
        observers: The observers.
        framework: The framework of the route.
        circumstances: How the request came.
    """

    __slots__ = ("_framework", "_io", "_is_accepted", "_observers", "_request", "_started", "_view")

    def __init__(
        self, observers: Observers, framework: Framework, circumstances: Circumstances
    ) -> None:
        self._observers = observers
        self._framework = framework
        self._io, self._request, self._view, self._started = circumstances
        self._is_accepted = False

    def accepted(self, delivery: Delivery) -> Steps[None]:
        """Tell that the handler will run."""
        self._is_accepted = True
        return self._tell("accepted", delivery.scheme.name, len(delivery.body), Facts())

    def ended(self, delivery: Delivery, status: int) -> Steps[None]:
        """Tell how the handler has ended, by the HTTP status of its response."""
        self._is_accepted = False  # whatever happens now, it was not the handler
        kind: Kind = "handled" if status in range(200, 300) else "failed"
        facts = Facts(status=status)
        return self._tell(kind, delivery.scheme.name, len(delivery.body), facts)

    def failed(self, delivery: Delivery, error: BaseException) -> list[Told]:
        """Tell that an exception has ended the handler, if it ran; wait for nobody."""
        if not self._is_accepted:
            return []
        facts = _facts_of(error)
        facts["status"] = self._framework.status_of_error(error)
        return self._told("failed", delivery.scheme.name, len(delivery.body), facts, None)

    def wait(self, told: Sequence[Told]) -> Steps[None]:
        """Wait for observers that were told, but not for long."""
        return self._observers.wait(self._io, told)

    def unverified(self, scheme: str, error: Exception) -> Steps[None]:
        """Tell that the request could not be verified, which is not the sender's fault.

        Args:
            scheme: The name of the scheme.
            error: The reason.
        """
        is_mistake = isinstance(error, ConfigurationError | RawBodyUnavailable)
        kind: Kind = "misconfigured" if is_mistake else "failed"
        if self._observers.sees_all:
            yield from self._tell(kind, scheme, None, _facts_of(error))

    def refused(
        self, scheme: str, body_length: int | None, raw: RawRequest | None, facts: Facts
    ) -> Steps[None]:
        """Tell that the request is refused.

        Args:
            scheme: The name of the scheme.
            body_length: The length of the body, in bytes; None if it was not read.
            raw: The raw request, from `raw()`.
            facts: Other facts.
        """
        return self._tell("refused", scheme, body_length, facts, raw)

    def malformed(self, delivery: Delivery, error: MalformedPayload) -> Steps[None]:
        """Tell that the handler cannot read the payload, although it is verified."""
        facts = Facts(reason="malformed-payload", message=str(error), status=400)
        return self.stopped("refused", delivery, None, facts)

    def stopped(self, kind: Kind, delivery: Delivery, url: str | None, facts: Facts) -> Steps[None]:
        """Tell that a verified request reaches no handler, or not to its end.

        Args:
            kind: What became of the request.
            delivery: The verified delivery.
            url: The URL that was verified, if the scheme signs it.
            facts: Other facts.
        """
        raw: RawRequest | None = None
        if kind in {"refused", "ignored"}:
            raw = yield from self.raw(delivery.scheme, url, delivery.body)
        yield from self._tell(kind, delivery.scheme.name, len(delivery.body), facts, raw)

    def lost(self, delivery: Delivery) -> None:
        """Tell that a lease was lost. Wait for no observer: the store calls this."""
        facts = Facts(message="the lease had already ended")
        self._told("lease-lost", delivery.scheme.name, len(delivery.body), facts, None)

    def raw(self, scheme: Scheme, url: str | None, body: bytes | None) -> Steps[RawRequest | None]:
        """Return the raw request if an observer takes it. Read the body if nobody has done so.

        Args:
            scheme: How the sender should have signed.
            url: The URL that was verified, if the scheme signs it.
            body: The body; None if it was not read.
        """
        framework, request = self._framework, self._request
        takers = self._observers.raw
        if not takers:
            return None
        with suppress(Exception):  # the body is too large, or the client is gone
            content: bytes
            if body is None:
                limit = max(taker.max_body for taker in takers)
                content = yield partial(framework.read_body, request, limit)
            else:
                content = body
            _, target = framework.target_of(request)
            headers = pairs_of(framework.headers_of(request))
            method = framework.method_of(request)
            request = RawRequest(method, target, headers, content, scheme=scheme, url=url)
            return None if request.is_too_large else request
        return None

    def _tell(
        self,
        kind: Kind,
        scheme: str,
        body_length: int | None,
        facts: Facts,
        raw: RawRequest | None = None,
    ) -> Steps[None]:
        told = self._told(kind, scheme, body_length, facts, raw)
        yield from self._observers.wait(self._io, told)

    def _told(
        self,
        kind: Kind,
        scheme: str,
        body_length: int | None,
        facts: Facts,
        raw: RawRequest | None,
    ) -> list[Told]:
        """Tell all observers; return what a response may wait for. Nothing here may fail it."""
        observers = self._observers
        try:
            event = self._event(kind, scheme, body_length, facts)
        except Exception as error:  # noqa: BLE001  # of a middleware that has changed the request
            with suppress(Exception):
                _log.error("observers were not told of a request: %s", type(error).__name__)
            return []
        if observers.has_log:
            with suppress(Exception):  # a filter or a handler of the app's log has failed
                self._framework.log(event)
        return observers.tell(event, raw) if observers.sees_all else []

    def _event(self, kind: Kind, scheme: str, body_length: int | None, facts: Facts) -> Event:
        framework, request = self._framework, self._request
        _, target = framework.target_of(request)
        names: tuple[str, ...] = ()
        if self._observers.sees_all:
            pairs = islice(pairs_of(framework.headers_of(request)), _MOST_NAMES)
            names = tuple(escaped(name, _LONGEST_NAME) for name, _ in pairs)
        return Event(
            kind=kind,
            endpoint=framework.endpoint_of(request, self._view).strip(),
            scheme=scheme,
            seconds=perf_counter() - self._started,
            body_length=body_length,
            method=escaped(framework.method_of(request)),
            path=escaped(target.partition("?")[0]),
            header_names=names,
            site=framework.site(),
            **facts,
        )


def _facts_of(error: BaseException) -> Facts:
    """Return what an event says of an error. Only our own messages are known to have no secret."""
    facts = Facts(reason=type(error).__name__)
    if isinstance(error, HooksigError):
        facts["message"] = str(error)
    return facts
