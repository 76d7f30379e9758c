"""The flow of every adapter: headers, secret, body, signature, claim, handler, settling."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from inspect import iscoroutinefunction
from itertools import combinations
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

from frappe_hooksig._compression import GzipHeaders
from frappe_hooksig._escaping import escaped_url
from frappe_hooksig._events import (
    UnsignedEvents,
    checked_events,
    keep_event,
    require_events,
)
from frappe_hooksig._frappe import FRAPPE
from frappe_hooksig._headers import Headers
from frappe_hooksig._keys import redacted
from frappe_hooksig._matching import Matcher
from frappe_hooksig._overriding import innermost, overriding
from frappe_hooksig._raw_body import MAX_BODY
from frappe_hooksig._registered_urls import only_registered, registered
from frappe_hooksig._selection import (
    index_headers,
    is_one_secret,
    require_one_reading,
    select,
    share_a_key,
    strongest_first,
)
from frappe_hooksig._tolerance import TimestampFrom, checked_tolerance
from frappe_hooksig._wire import Wire, wire_of
from frappe_hooksig.exceptions import (
    ConfigurationError,
    MalformedPayload,
    Reason,
    StoreError,
    VerificationError,
)
from frappe_hooksig.integrations._framework import Admission, Framework
from frappe_hooksig.integrations._observation import Circumstances, Facts, Observation
from frappe_hooksig.integrations._options import (
    Options,
    SecretSource,
    Senders,
    hide_secret,
)
from frappe_hooksig.integrations._responses import (
    WebhookResponse,
    duplicate,
    ignored,
    in_flight,
    refusal,
    unavailable,
)
from frappe_hooksig.integrations._secret_sources import MatcherSource, always, matcher_source
from frappe_hooksig.integrations._urls import url_of
from frappe_hooksig.multi import MultiVerifier
from frappe_hooksig.observe._event import Observer
from frappe_hooksig.observe._log import log
from frappe_hooksig.observe._raw import RawRequest
from frappe_hooksig.observe._threads import Observers
from frappe_hooksig.replay import AsyncStore, Deduplicator, State, Store
from frappe_hooksig.replay._callers import Awaiting, Blocking
from frappe_hooksig.replay._deduplication import Deduplication
from frappe_hooksig.replay._deduplicator import deduplicator_of
from frappe_hooksig.replay._steps import Steps
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.verify import Verifier

if TYPE_CHECKING:
    from frappe_hooksig.delivery import Delivery

_log = logging.getLogger("frappe_hooksig")

_View = TypeVar("_View", bound=Callable[..., Any])

# The largest step by which local clocks are set back, in seconds. It is one hour nearly
# everywhere, two in Antarctica/Troll, three in Antarctica/Casey.
_PUT_BACK = 3 * 60 * 60

# Hashing this many bytes takes a millisecond, so larger bodies are hashed outside the event loop.
_LARGE = 1_000_000

# Logged at start, for a route with a store.
_UNRECOGNISED = (
    "store= cannot recognise the retries of scheme %r: each attempt is signed anew, and has no id "
    "that the scheme knows. Let the handler look for an id in the payload, or say where it stands: "
    "dataclasses.replace(scheme, body_id='/...')"
)

# Methods that only read (RFC 9110 section 9.2.1). Browsers, crawlers and monitors send them.
READS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class EventIgnored(Exception):
    """A request is verified, but its event is not handled.

    Attributes:
        response: The response to send instead of running the handler.
    """

    def __init__(self, response: WebhookResponse) -> None:
        super().__init__(response)
        self.response = response


class Receiver:
    """The flow of one route, from the headers of a request to the outcome of its handler.

    Each method is a flow for `run()` or `run_async()`. It takes `io`, which makes its calls.

    Args:
        framework: The framework of the route.
        scheme_or_verifier: A scheme; several schemes, one of which the headers of a request
            select; or a `Verifier` or `MultiVerifier`, which already has its secrets and limits.
        secret: As in `Options`.
        tolerance: As in `Options`.
        timestamp_from: As in `Options`.
        url: As in `Options`.
        unsigned_events: As in `Options`.
        trust_forwarded: As in `Options`.
        max_body: As in `Options`.
        store: As in `Options`.
        observe: As in `Options`.

    Attributes:
        schemes: The accepted schemes, the strongest first.
        deduplicates: Whether a store makes sure that each delivery is handled once.
        is_observed: Whether anything besides `log` observes the route.
        needs_to_wait: Whether `secret` is an async function, which sync code cannot call.

    Raises:
        ConfigurationError: An option is missing, has no use, or contradicts another.
    """

    __slots__ = (
        "_deduplication",
        "_framework",
        "_observers",
        "_secret_of",
        "_senders",
        "_trust_forwarded",
        "_wires",
        "deduplicates",
        "is_observed",
        "needs_to_wait",
        "schemes",
    )

    def __init__(
        self,
        framework: Framework,
        scheme_or_verifier: Senders,
        *,
        secret: SecretSource | None = None,
        tolerance: float | None = None,
        timestamp_from: TimestampFrom | None = None,
        url: str | Sequence[str] | None = None,
        unsigned_events: Sequence[str] | None = None,
        trust_forwarded: bool = False,
        max_body: int | None = None,
        store: Store | AsyncStore | Deduplicator | None = None,
        observe: Observer | Sequence[Observer] = log,
    ) -> None:
        if secret is not None and not callable(secret):
            secret = redacted(secret)  # error reporters show the local variables of every frame
        self.needs_to_wait = iscoroutinefunction(secret)
        self._secret_of: Callable[[Any], Any] | None = secret if callable(secret) else None
        if isinstance(scheme_or_verifier, Verifier | MultiVerifier):
            of_verifier = (secret, tolerance, timestamp_from, url, unsigned_events, max_body)
            if any(each is not None for each in of_verifier):
                msg = (
                    "secret, tolerance, timestamp_from, url, unsigned_events and max_body belong "
                    "to the Verifier: set them on the Verifier, not here"
                )
                raise ConfigurationError(msg)
            self._senders = _senders_of(scheme_or_verifier)
        else:
            schemes = _schemes_of(scheme_or_verifier)
            of_scheme = (tolerance, timestamp_from, unsigned_events)
            if schemes[1:] and any(each is not None for each in of_scheme):
                msg = (
                    "tolerance, timestamp_from and unsigned_events belong to one scheme: for "
                    "several schemes, use MultiVerifier(Verifier(...), Verifier(...))"
                )
                raise ConfigurationError(msg)
            build = partial(
                Matcher,
                tolerance=tolerance,
                timestamp_from=timestamp_from,
                max_body=MAX_BODY if max_body is None else max_body,
            )
            # If no scheme signs the URL, registered() refuses url= for the first scheme.
            signing = [each for each in schemes if each.signs_url] or schemes[:1]
            builds = [partial(build, scheme=scheme) for scheme in schemes]
            self._senders = tuple(
                _Sender(
                    scheme,
                    registered(scheme, url if scheme in signing else None),
                    own,
                    matcher_source(own, secret, framework),
                    checked_tolerance(scheme, tolerance, timestamp_from),
                    timestamp_from=timestamp_from,
                    events=checked_events(scheme, unsigned_events),
                )
                for scheme, own in zip(schemes, builds, strict=True)
            )
            if secret is not None and self._secret_of is None:
                _require_one_reading_of_keys(self._senders)
        self._wires = tuple(sender.wire for sender in self._senders)
        self.schemes = tuple(wire.scheme for wire in self._wires)
        self._framework = framework
        self._trust_forwarded = trust_forwarded
        self._require_urls()
        self._deduplication = self._deduplication_of(store)
        self.deduplicates = self._deduplication is not None
        self._observers = Observers(observe)
        self.is_observed = self._observers.sees_all

    def _deduplication_of(
        self, store: Store | AsyncStore | Deduplicator | None
    ) -> Deduplication | None:
        """Return the deduplication for a store, or None without a store.

        Raises:
            ConfigurationError: An option of the store is missing, or contradicts a scheme.
        """
        if store is None:
            return None
        deduplicator = deduplicator_of(store)
        if self._secret_of is not None and deduplicator.tenant is None:
            msg = (
                "secret= is a function, so the store needs a name for each sender: use "
                "store=Deduplicator(..., tenant=...)"
            )
            raise ConfigurationError(msg)
        for sender in self._senders:
            require_events(sender.wire.scheme, sender.events)
            if sender.wire.scheme.dedup_by is None:
                _log.warning(_UNRECOGNISED, sender.wire.scheme.name)
        limits = [(sender.wire.scheme, sender.span) for sender in self._senders]
        return Deduplication(deduplicator, limits)

    def _require_urls(self) -> None:
        """Refuse a scheme without its URL, and a `trust_forwarded` that has no use.

        Raises:
            ConfigurationError: A URL is missing, or `trust_forwarded` has no use.
        """
        for sender in self._senders:
            scheme = sender.wire.scheme
            if scheme.signs_url and not sender.urls:
                msg = (
                    f"scheme {scheme.name!r} signs the URL: set url= to the URL, or the list of "
                    "URLs, that is registered with the sender"
                )
                raise ConfigurationError(msg)
        if self._trust_forwarded and not any(sender.urls[1:] for sender in self._senders):
            msg = "trust_forwarded= has no use: url= does not have several URLs to choose from"
            raise ConfigurationError(msg)

    def refuse_to_wait(self, who: str, hint: str = "") -> None:
        """Refuse an async secret or store, for an adapter that cannot await it.

        Args:
            who: The part that cannot await, for the error message.
            hint: The remedy, for the end of the message.

        Raises:
            ConfigurationError: The secret or the store is async.
        """
        if self.needs_to_wait:
            msg = f"secret= is an async function, which {who} cannot await{hint}"
            raise ConfigurationError(msg)
        if self._deduplication is not None and self._deduplication.is_async:
            msg = f"store= is an async store, which {who} cannot await{hint}"
            raise ConfigurationError(msg)

    def handle(
        self, io: Blocking | Awaiting, request: Any, view: Any, call: Callable[[], Any]
    ) -> Steps[Any]:
        """Verify and claim a request, run its handler, and settle the claim.

        Args:
            io: Makes the calls.
            request: The framework's request.
            view: The view, for its name.
            call: Runs the view.

        Returns:
            What the view returned, or the framework's response to a refused request.
        """
        framework = self._framework
        try:
            admission = yield from self.verify(io, request, view)
            framework.keep(request, admission)
            refused = yield from self.claim(io, request, admission, view)
            if refused is not None:
                return self._respond(request, refused)
        except VerificationError as error:
            return self._respond(request, refusal(error))
        except EventIgnored as verified:
            return self._respond(request, verified.response)
        except Exception as error:  # noqa: BLE001  # it re-raises what it cannot explain
            return self._respond(request, framework.not_verified(error))
        try:
            if admission.lease is None and not self.is_observed:
                result = yield call
            else:
                result = yield from self._handled(request, admission, call)
        except MalformedPayload as error:
            result = yield from self._malformed(request, admission, error)
        except GeneratorExit:  # nobody runs this flow any more
            admission.rest()
            raise
        except BaseException as error:
            yield from admission.failed(error)
            raise
        return result

    def _handled(self, request: Any, admission: Admission, call: Callable[[], Any]) -> Steps[Any]:
        """Run the handler of an admitted request, settle the claim, and tell the observers.

        Returns:
            What the view returned, or the response to send instead of it.
        """
        framework, lease = self._framework, admission.lease
        yield from admission.accepted()
        result, status = framework.outcome_of((yield call))
        if lease is not None:
            result = yield from framework.settle(lease, result, status)
            if isinstance(result, WebhookResponse):  # the lease had ended
                status = result.status
        yield from admission.ended(status)
        return self._respond(request, result)

    def _malformed(self, request: Any, admission: Admission, error: MalformedPayload) -> Steps[Any]:
        """Return the response to a verified request whose payload the handler cannot read."""
        try:
            yield from self.malformed(admission, error)
            self._framework.undo()  # a response alone would commit
        finally:
            yield from admission.release()
        return self._respond(request, refusal(error))

    def for_sender(self, request: Any, response: WebhookResponse) -> WebhookResponse:
        """Return a response as the sender of a request accepts it: some accept no body.

        If the headers select no scheme, there is no body if any of the schemes forbids it.
        """
        schemes = self.schemes
        if schemes[1:]:
            with suppress(VerificationError):
                schemes = (self._select(request)[0].wire.scheme,)
        is_empty = any(scheme.empty_responses for scheme in schemes)
        return response.without_body() if is_empty else response

    def _respond(self, request: Any, result: Any) -> Any:
        """Return the framework's response, or what is one already."""
        if not isinstance(result, WebhookResponse):
            return result
        return self._framework.respond(self.for_sender(request, result))

    def verify(self, io: Blocking | Awaiting, request: Any, view: Any) -> Steps[Admission]:
        """Verify a request. Read its body only if its headers are well-formed.

        Args:
            io: Makes the calls.
            request: The framework's request.
            view: The view, for its name.

        Raises:
            VerificationError: The request is refused; respond with `refusal()`.
            EventIgnored: The request is verified, but its event is not handled.
            ConfigurationError: There is no usable secret; respond with HTTP 500.
            RawBodyUnavailable: Other code has already read the body; respond with HTTP 500.
        """
        framework = self._framework
        circumstances = (io, request, view, perf_counter())
        sender: _Sender | None = None
        headers: Headers = ()
        body: bytes | None = None
        event: str | None = None
        try:
            sender, headers = self._select(request)
            url = self._url_of(request, headers, sender.urls) if sender.urls else None
            parsed = sender.wire.parse(headers, framework.method_of(request), url)
            if sender.events is not None:
                event = sender.events.read(headers)
            if overriding and (found := innermost("secrets")) is not None:
                several, origin = found
                matcher = sender.build(several, origin=origin)
            elif self._secret_of is None:
                matcher = sender.matcher_of(None)
            else:
                matcher = yield partial(self._found, io, sender, self._secret_of, request)
            if overriding and (clock := innermost("clock")) is not None:
                matcher = matcher.with_clock(clock)
            raw: bytes = yield partial(framework.read_body, request, matcher.max_body)
            body = raw
            delivery: Delivery
            if len(raw) < _LARGE and not isinstance(parsed, GzipHeaders):
                delivery = matcher.verify(raw, parsed, headers, url)
            else:
                delivery = yield partial(io.call, matcher.verify, raw, parsed, headers, url)
        except VerificationError as error:
            yield from self._refused(circumstances, error, sender, headers, body)
            raise
        except Exception as error:
            observation = self._observation(circumstances)
            yield from observation.unverified(self._name_of(sender), error)
            raise
        if sender.events is not None:
            yield from self._check_event(circumstances, sender.events, event, delivery, url)
        admission = Admission(delivery, circumstances)
        if self.is_observed:
            admission.observation = self._observation(circumstances)
        return admission

    def _refused(
        self,
        circumstances: Circumstances,
        error: VerificationError,
        sender: _Sender | None,
        headers: Headers,
        body: bytes | None,
    ) -> Steps[None]:
        """Tell the observers that a request is refused.

        Args:
            circumstances: How it came.
            error: The reason.
            sender: The selected sender; None if the headers select none.
            headers: The headers of the request.
            body: The body; None if it was not read.
        """
        _, request, _, _ = circumstances
        messages = [error.log_message]
        if sender is not None and sender.urls:
            messages += self._hints_of_url(request, error, headers, sender.urls)
        facts = Facts(
            reason=error.reason.value,
            message="; ".join(messages),
            status=error.status,
            header=error.header,
        )
        likely = self._senders[0] if sender is None else sender
        url = next(iter(likely.urls), None)
        observation = self._observation(circumstances)
        raw: RawRequest | None = None
        if error.reason is not Reason.BODY_TOO_LARGE:  # whoever reads on would wait for the client
            raw = yield from observation.raw(likely.wire.scheme, url, body)
        length = None if body is None else len(body)
        yield from observation.refused(self._name_of(sender), length, raw, facts)

    def _check_event(
        self,
        circumstances: Circumstances,
        events: UnsignedEvents,
        event: str | None,
        delivery: Delivery,
        url: str | None,
    ) -> Steps[None]:
        """Keep the event of a verified request.

        Raises:
            EventIgnored: It is not listed.
        """
        if event not in events.listed:
            message = f"{events.header} names an event that is not in unsigned_events="
            facts = Facts(reason="ignored", message=message, status=200, header=events.header)
            observation = self._observation(circumstances)
            yield from observation.stopped("ignored", delivery, url, facts)
            raise EventIgnored(ignored(events.header))
        keep_event(delivery, event)

    def _name_of(self, sender: _Sender | None) -> str:
        """Return the name of the selected scheme, or of all."""
        senders = self._senders if sender is None else (sender,)
        return " or ".join(each.wire.scheme.name for each in senders)

    def _hints_of_url(
        self, request: Any, error: VerificationError, headers: Headers, urls: Sequence[str]
    ) -> Iterator[str]:
        """Yield what the log should say of the URL that a refused request was sent to."""
        target = self._framework.target_of(request)
        try:
            seen = url_of(target, headers, trust_forwarded=self._trust_forwarded)
            forwarded = url_of(target, headers, trust_forwarded=True)
        except VerificationError:  # Host or another header occurs twice
            return
        if error.reason is Reason.SIGNATURE_MISMATCH and seen not in urls:
            yield f"the request was sent to {escaped_url(seen)}"
        if seen not in urls and forwarded in urls:
            yield "with trust_forwarded=True, its X-Forwarded headers would name a registered one"

    def claim(
        self, io: Blocking | Awaiting, request: Any, admission: Admission, view: Any
    ) -> Steps[WebhookResponse | None]:
        """Claim a verified delivery for the handler.

        Args:
            io: Makes the calls.
            request: The framework's request.
            admission: The verified delivery. It receives the lease.
            view: The view, for its name.

        Returns:
            The response to send instead of running the handler; None if the handler runs.
        """
        if self._deduplication is None:
            return None
        admission.has_store = True
        framework = self._framework
        # Without this, somebody who has seen a request could send it with GET. The delivery would
        # then count as handled, although the handler for POST has not run.
        if framework.method_of(request) in READS and not framework.only_reads(request, view):
            return None
        endpoint = framework.endpoint_of(request, view)
        delivery = admission.delivery
        observation = self._observation(admission.circumstances)
        try:
            found = yield from self._deduplication.claim(io, request, endpoint, delivery)
        except StoreError as error:
            is_accepted = self._deduplication.accepts_without_store
            facts = Facts(reason="store-unavailable", message=str(error))
            facts["status"] = None if is_accepted else 503
            yield from observation.stopped("store-error", delivery, None, facts)
            return None if is_accepted else unavailable()
        except Exception as error:
            yield from observation.unverified(delivery.scheme.name, error)
            raise
        if found is State.DONE:
            facts = Facts(reason="duplicate", message="it was handled before", status=200)
            yield from observation.stopped("duplicate", delivery, None, facts)
            return duplicate()
        if isinstance(found, State):
            message = "another attempt is handled now"
            facts = Facts(reason="in-flight", message=message, status=409)
            yield from observation.stopped("in-flight", delivery, None, facts)
            return in_flight()
        if self.is_observed:
            found.on_loss = partial(observation.lost, delivery)
        admission.lease = found
        return None

    def malformed(self, admission: Admission, error: MalformedPayload) -> Steps[None]:
        """Tell the observers that a handler cannot read the payload of a verified request."""
        observation = self._observation(admission.circumstances)
        return observation.malformed(admission.delivery, error)

    def _observation(self, circumstances: Circumstances) -> Observation:
        return Observation(self._observers, self._framework, circumstances)

    def _select(self, request: Any) -> tuple[_Sender, Headers]:
        """Return the sender whose scheme the headers select, and the headers.

        Raises:
            VerificationError: A header is doubled.
        """
        headers = self._framework.headers_of(request)
        if not self._senders[1:]:
            return self._senders[0], headers
        headers = index_headers(self._wires, headers)
        return self._senders[select(self._wires, headers)], headers

    def _found(
        self,
        io: Blocking | Awaiting,
        sender: _Sender,
        secret_of: Callable[[Any], Any],
        request: Any,
    ) -> Matcher | Awaitable[Matcher]:
        """Return the matcher for the secret of a request, or an awaitable of it.

        The secret is in no variable: error reporters show those of every frame.
        """
        if isinstance(io, Blocking):
            return sender.matcher_of(secret_of(request))

        async def found() -> Matcher:
            if self.needs_to_wait:
                return sender.matcher_of(await secret_of(request))
            return sender.matcher_of(await _awaited(io.call(secret_of, request)))

        return found()

    def _url_of(self, request: object, headers: Headers, urls: tuple[str, ...]) -> str:
        """Return the registered URL that a request was sent to.

        Raises:
            VerificationError: The request was sent to a URL that is not registered.
        """
        if not urls[1:]:
            return urls[0]
        target = self._framework.target_of(request)
        seen = url_of(target, headers, trust_forwarded=self._trust_forwarded)
        return only_registered(urls, seen)


class _Sender:
    """A scheme that a route accepts, with the URLs, the secret and the tolerance of its sender.

    Attributes:
        wire: Parses the headers of the scheme.
        urls: The URLs that are registered with the sender; empty if the scheme signs no URL.
        build: Makes a matcher from other secrets.
        matcher_of: Returns the matcher for a request, given the secret that `secret` returned for
            it, or None.
        span: The largest accepted distance between signing and now, in seconds; None if unknown.
        events: The events to handle, if only an unsigned header tells them apart; else None.
    """

    __slots__ = ("build", "events", "matcher_of", "span", "urls", "wire")

    def __init__(
        self,
        scheme: Scheme,
        urls: tuple[str, ...],
        build: partial[Matcher],
        matcher_of: MatcherSource,
        tolerance: float | None,
        *,
        timestamp_from: TimestampFrom | None,
        events: UnsignedEvents | None,
    ) -> None:
        self.events = events
        self.wire: Wire = wire_of(scheme)
        self.urls = urls
        self.build = build
        self.matcher_of = matcher_of
        self.span = tolerance
        if tolerance is not None and timestamp_from is not None:
            # A local time that occurs twice has two readings. With a small tolerance, a delivery
            # is fresh by the first reading, then too old, then fresh again by the second.
            self.span = tolerance + _PUT_BACK / 2


def _require_one_reading_of_keys(senders: Sequence[_Sender]) -> None:
    """Refuse secrets that are one key under two schemes, in whatever format they are written.

    Raises:
        ConfigurationError: Two schemes share a key, and do not sign the same content.
    """
    for one, other in combinations(senders, 2):
        if share_a_key(one.matcher_of(None).keys, other.matcher_of(None).keys):
            require_one_reading(one.wire.scheme, other.wire.scheme)


def only_a_view(view: object) -> Callable[..., Any] | None:
    """Return what a decorator was given as its view, unless it may be a secret.

    This function never raises: error reporters show the local variables of its caller too.
    """
    return view if view is None or callable(view) else _not_a_view


def with_or_without_options(
    verify_webhook: Callable[..., Callable[[_View], _View]],
    view: Callable[..., Any] | None,
    options: Options,
) -> Callable[..., Any]:
    """Apply the decorator for Frappe's webhooks, which is used bare or with options.

    Args:
        verify_webhook: The decorator of the framework.
        view: The view from `only_a_view()`, if the decorator is used bare.
        options: Its options.

    Raises:
        ConfigurationError: An option has no use or contradicts another, or is not given by name.
    """
    hide_secret(options)
    if view is _not_a_view:
        msg = "@verify_frappe_webhook(...) takes options by name only: secret=..."
        raise ConfigurationError(msg)
    decorator: Callable[..., Any] = verify_webhook(FRAPPE, **options)
    return decorator if view is None else decorator(view)


def _not_a_view() -> None:
    """Stand for something that is no view."""


def name_of(view: Callable[..., Any]) -> str:
    """Return a name that distinguishes a view in its app, and is the same in every process."""
    return f"{view.__module__}.{getattr(view, '__qualname__', type(view).__qualname__)}"


def name_of_handler(kind: Any, method: str | None) -> str:
    """Return the name of the handler that a class-based view has for an HTTP method.

    No signature covers the HTTP method. If the class had one name for all methods, a response to
    OPTIONS or GET would count as handling the POST.
    """
    handler = getattr(kind, (method or "").lower(), None)
    return str(getattr(handler, "__qualname__", ""))


def has_only_reads(kind: object) -> bool:
    """Whether a class-based view has no handlers but those for the methods in `READS`."""
    return not any(hasattr(kind, method) for method in ("post", "put", "patch", "delete"))


async def _awaited(waiting: Awaitable[Any]) -> Any:
    """Await a result. If that is awaitable, as from a lambda around an async function, await it."""
    found = await waiting
    return await found if hasattr(found, "__await__") else found


def _senders_of(verifier: Verifier | MultiVerifier) -> tuple[_Sender, ...]:
    several = verifier.verifiers if isinstance(verifier, MultiVerifier) else (verifier,)
    return tuple(map(_sender_of, several))


def _sender_of(verifier: Verifier) -> _Sender:
    matcher = verifier._matcher  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return _Sender(
        verifier.scheme,
        verifier.urls,
        partial(
            Matcher,
            scheme=verifier.scheme,
            tolerance=matcher.tolerance,
            timestamp_from=matcher.timestamp_from,
            max_body=matcher.max_body,
            clock=matcher.clock,
        ),
        always(matcher),
        matcher.tolerance,
        timestamp_from=matcher.timestamp_from,
        events=verifier._events,  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    )


def _schemes_of(senders: Scheme | Sequence[Scheme]) -> tuple[Scheme, ...]:
    """Return the schemes that share one secret, the strongest first.

    Raises:
        ConfigurationError: They are not schemes, or must not share a secret.
    """
    schemes = (senders,) if isinstance(senders, Scheme) else senders
    if not (
        isinstance(schemes, tuple | list)
        and schemes
        and all(isinstance(each, Scheme) for each in schemes)
    ):
        msg = (
            f"expected a Scheme such as providers.GITHUB, a list of them, or a Verifier, not a "
            f"{type(senders).__name__}"
        )
        raise ConfigurationError(msg)
    for one, other in combinations(schemes, 2):
        if is_one_secret(one, other):
            require_one_reading(one, other)
    return strongest_first(schemes)
