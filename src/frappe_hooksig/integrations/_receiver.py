"""The one flow that every adapter runs: headers, then body, then signature, then the claim."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from itertools import combinations
from typing import TYPE_CHECKING, Any

from frappe_hooksig._headers import Headers
from frappe_hooksig._keys import redacted
from frappe_hooksig._matching import Matcher
from frappe_hooksig._raw_body import MAX_BODY
from frappe_hooksig._registered_urls import only_registered, registered
from frappe_hooksig._selection import (
    index_headers,
    is_one_secret,
    require_one_reading,
    select,
    strongest_first,
)
from frappe_hooksig._tolerance import TimestampFrom, checked_tolerance
from frappe_hooksig._wire import ParsedHeaders, Wire, wire_of
from frappe_hooksig.exceptions import ConfigurationError, StoreError
from frappe_hooksig.integrations._options import SecretSource, Senders
from frappe_hooksig.integrations._responses import (
    WebhookResponse,
    duplicate,
    in_flight,
    unavailable,
)
from frappe_hooksig.integrations._secret_sources import MatcherSource, always, matcher_source
from frappe_hooksig.integrations._urls import RequestTargetOf, url_of
from frappe_hooksig.multi import MultiVerifier
from frappe_hooksig.replay import AsyncStore, Deduplicator, State, Store
from frappe_hooksig.replay._deduplication import Deduplication
from frappe_hooksig.replay._deduplicator import deduplicator_of
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secrets
from frappe_hooksig.verify import Verifier

if TYPE_CHECKING:
    from frappe_hooksig.delivery import Delivery
    from frappe_hooksig.replay._claims import AsyncClaim, Claim

# By how much clocks are put back at most, in seconds: by an hour nearly everywhere, by two in
# Antarctica/Troll, by three in Antarctica/Casey.
_PUT_BACK = 3 * 60 * 60

# To hash so many bytes takes a millisecond, in which an event loop could do something else.
_LARGE = 1_000_000


class Receiver:
    """Decides what one route does with a request before its handler runs.

    Args:
        scheme_or_verifier: A scheme; several, of which a request's headers select one; or a
            `Verifier` or `MultiVerifier`, which has its secrets and limits already.
        default_secret: Returns the framework's `FRAPPE_WEBHOOK_SECRET`, or None. The matcher made
            of it is kept until it changes.
        target_of: Finds in the framework's request how the server saw it.
        secret: As in `Options`.
        tolerance: As in `Options`.
        timestamp_from: As in `Options`.
        url: As in `Options`.
        trust_forwarded: As in `Options`.
        max_body: As in `Options`.
        store: As in `Options`.

    Attributes:
        schemes: The schemes that requests may have, the strongest first.
        deduplicates: Whether there is a store, so that each delivery is handled once.
        needs_to_wait: Whether `secret` is an async function, which `receive()` cannot call.

    Raises:
        ConfigurationError: An option is missing, has no use, or contradicts another.
    """

    __slots__ = (
        "_deduplication",
        "_secret_of",
        "_senders",
        "_target_of",
        "_trust_forwarded",
        "_wires",
        "deduplicates",
        "needs_to_wait",
        "schemes",
    )

    def __init__(
        self,
        scheme_or_verifier: Senders,
        default_secret: Callable[[], Secrets | None] | None,
        *,
        target_of: RequestTargetOf,
        secret: SecretSource | None = None,
        tolerance: float | None = None,
        timestamp_from: TimestampFrom | None = None,
        url: str | Sequence[str] | None = None,
        trust_forwarded: bool = False,
        max_body: int | None = None,
        store: Store | AsyncStore | Deduplicator | None = None,
    ) -> None:
        if secret is not None and not callable(secret):
            secret = redacted(secret)  # error reporters show the local variables of every frame
        self.needs_to_wait = iscoroutinefunction(secret)
        self._secret_of: Callable[[Any], Any] | None = secret if callable(secret) else None
        if isinstance(scheme_or_verifier, Verifier | MultiVerifier):
            if any(each is not None for each in (secret, tolerance, timestamp_from, url, max_body)):
                msg = (
                    "secret, tolerance, timestamp_from, url and max_body are the Verifier's: set "
                    "them there"
                )
                raise ConfigurationError(msg)
            self._senders = _senders_of(scheme_or_verifier)
        else:
            schemes = _schemes_of(scheme_or_verifier)
            if schemes[1:] and (tolerance, timestamp_from) != (None, None):
                msg = (
                    "tolerance and timestamp_from are a scheme's: for several, use "
                    "MultiVerifier(Verifier(...))"
                )
                raise ConfigurationError(msg)
            build = partial(
                Matcher,
                tolerance=tolerance,
                timestamp_from=timestamp_from,
                max_body=MAX_BODY if max_body is None else max_body,
            )
            # If no scheme signs the URL, the first one refuses it.
            signing = [each for each in schemes if each.signs_url] or schemes[:1]
            self._senders = tuple(
                _Sender(
                    scheme,
                    registered(scheme, url if scheme in signing else None),
                    matcher_source(partial(build, scheme=scheme), secret, default_secret),
                    checked_tolerance(scheme, tolerance, timestamp_from),
                    timestamp_from,
                )
                for scheme in schemes
            )
        self._wires = tuple(sender.wire for sender in self._senders)
        self.schemes = tuple(wire.scheme for wire in self._wires)
        self._target_of = target_of
        self._trust_forwarded = trust_forwarded
        self._require_urls()
        self._deduplication = self._deduplication_of(store)
        self.deduplicates = self._deduplication is not None

    def _deduplication_of(
        self, store: Store | AsyncStore | Deduplicator | None
    ) -> Deduplication | None:
        """Return what claims deliveries in the store.

        Raises:
            ConfigurationError: An option of it is missing, or contradicts a scheme.
        """
        if store is None:
            return None
        deduplicator = deduplicator_of(store)
        if self._secret_of is not None and deduplicator.tenant is None:
            msg = (
                "secret= is a function: store=Deduplicator(..., tenant=...) has to tell its "
                "senders apart"
            )
            raise ConfigurationError(msg)
        limits = [(sender.wire.scheme, sender.span) for sender in self._senders]
        return Deduplication(deduplicator, limits)

    def _require_urls(self) -> None:
        """Refuse a scheme that lacks its URL, and an option that has no use.

        Raises:
            ConfigurationError: There is such a scheme or option.
        """
        for sender in self._senders:
            scheme = sender.wire.scheme
            if scheme.signs_url and not sender.urls:
                msg = (
                    f"scheme {scheme.name!r} signs the URL: url= is the one, or those, that are "
                    "registered with the sender"
                )
                raise ConfigurationError(msg)
        if self._trust_forwarded and not any(sender.urls[1:] for sender in self._senders):
            msg = "trust_forwarded= has no use: there are not several URLs to choose from"
            raise ConfigurationError(msg)

    def refuse_to_wait(self, who: str, hint: str = "") -> None:
        """Refuse a secret or a store that would have to be awaited.

        Args:
            who: What cannot wait.
            hint: What to do, for the end of the sentence.

        Raises:
            ConfigurationError: There is one.
        """
        if self.needs_to_wait:
            msg = f"secret= is an async function, and {who} cannot wait for one{hint}"
            raise ConfigurationError(msg)
        if self._deduplication is not None and self._deduplication.is_async:
            msg = f"store= is one for asyncio, and {who} cannot wait for it{hint}"
            raise ConfigurationError(msg)

    def receive(
        self, request: object, headers: Headers, method: str, read_body: Callable[[int], bytes]
    ) -> Delivery:
        """Verify one request. Its body is read only if its headers are well-formed.

        Args:
            request: The framework's request, for a `secret` that is a function.
            headers: Its headers.
            method: Its HTTP method.
            read_body: Takes the largest accepted size in bytes and returns the raw body, or
                raises `BodyTooLarge` or `RawBodyUnavailable`.

        Raises:
            VerificationError: To be answered with `refusal()`.
            ConfigurationError: There is no usable secret: HTTP 500.
            RawBodyUnavailable: Something read the body before: HTTP 500.
        """
        sender, parsed = self._parse(request, headers, method)
        secret_of = self._secret_of
        matcher = sender.matcher_of(None if secret_of is None else secret_of(request))
        return matcher.verify(read_body(matcher.max_body), parsed)

    async def receive_async(
        self,
        request: object,
        headers: Headers,
        method: str,
        read_body: Callable[[int], Awaitable[bytes]],
        in_thread: Callable[..., Awaitable[Any]],
    ) -> Delivery:
        """Verify one request, and wait for the secret and the body.

        Args:
            request: As for `receive()`.
            headers: As for `receive()`.
            method: As for `receive()`.
            read_body: As for `receive()`.
            in_thread: Calls a function with its arguments where it may block: a `secret` that is
                not async, and the verification of a large body.

        Raises:
            VerificationError: To be answered with `refusal()`.
            ConfigurationError: There is no usable secret: HTTP 500.
            RawBodyUnavailable: Something read the body before: HTTP 500.
        """
        sender, parsed = self._parse(request, headers, method)
        secret_of = self._secret_of
        # The secret in no variable, as error reporters show those of every frame.
        if secret_of is None:
            matcher = sender.matcher_of(None)
        elif self.needs_to_wait:
            matcher = sender.matcher_of(await secret_of(request))
        else:
            matcher = sender.matcher_of(await awaited(in_thread(secret_of, request)))
        body = await read_body(matcher.max_body)
        if len(body) < _LARGE:
            return matcher.verify(body, parsed)
        delivery: Delivery = await in_thread(matcher.verify, body, parsed)
        return delivery

    def claim(
        self, request: object, endpoint: str, delivery: Delivery
    ) -> Claim | WebhookResponse | None:
        """Claim a verified delivery for the handler.

        Args:
            request: The framework's request.
            endpoint: Tells the routes of an app apart.
            delivery: What was verified.

        Returns:
            The claim, to be settled when the handler has run; the response to a delivery that is
            not to be handled; or None if it is to be handled without a claim.
        """
        if self._deduplication is None:
            return None
        try:
            found = self._deduplication.claim(request, endpoint, delivery)
        except StoreError as error:
            return self._without_store(error)
        return _response_to(found) if isinstance(found, State) else found

    async def claim_async(
        self,
        request: object,
        endpoint: str,
        delivery: Delivery,
        in_thread: Callable[..., Awaitable[Any]],
    ) -> AsyncClaim | WebhookResponse | None:
        """Claim a verified delivery, and wait for the store.

        Args:
            request: As for `claim()`.
            endpoint: As for `claim()`.
            delivery: As for `claim()`.
            in_thread: Calls a function with its arguments where it may block.

        Returns:
            As `claim()`.
        """
        if self._deduplication is None:
            return None
        try:
            found = await self._deduplication.claim_async(request, endpoint, delivery, in_thread)
        except StoreError as error:
            return self._without_store(error)
        return _response_to(found) if isinstance(found, State) else found

    def _without_store(self, error: StoreError) -> WebhookResponse | None:
        response = unavailable(error)
        accepts = self._deduplication is not None and self._deduplication.accepts_without_store
        return None if accepts else response

    def _parse(
        self, request: object, headers: Headers, method: str
    ) -> tuple[_Sender, ParsedHeaders]:
        """Return which scheme a request's headers select, and what they claim by it.

        Raises:
            VerificationError: A header is missing, doubled or malformed, or the URL is not
                registered.
        """
        sender = self._senders[0]
        if self._senders[1:]:
            headers = index_headers(self._wires, headers)
            sender = self._senders[select(self._wires, headers)]
        url = self._url_of(request, headers, sender.urls) if sender.urls else None
        return sender, sender.wire.parse(headers, method, url)

    def _url_of(self, request: object, headers: Headers, urls: tuple[str, ...]) -> str:
        """Return which of the registered URLs a request was sent to.

        Raises:
            VerificationError: It was sent to another URL.
        """
        if not urls[1:]:
            return urls[0]
        target = self._target_of(request)
        seen = url_of(target, headers, trust_forwarded=self._trust_forwarded)
        return only_registered(urls, seen)


class _Sender:
    """One of the schemes that requests of a route may have.

    Attributes:
        wire: Reads its headers.
        urls: The URLs that are registered with the sender, if it signs them.
        matcher_of: Takes the result of a function for a `secret`, if there is one.
        span: How far from now a request may have been signed, in seconds, if that is known.
    """

    __slots__ = ("matcher_of", "span", "urls", "wire")

    def __init__(
        self,
        scheme: Scheme,
        urls: tuple[str, ...],
        matcher_of: MatcherSource,
        tolerance: float | None,
        timestamp_from: TimestampFrom | None,
    ) -> None:
        self.wire: Wire = wire_of(scheme)
        self.urls = urls
        self.matcher_of = matcher_of
        self.span = tolerance
        if tolerance is not None and timestamp_from is not None:
            # Between two readings of one time: with a small tolerance, it is fresh, then old, then
            # fresh.
            self.span = tolerance + _PUT_BACK / 2


def name_of(view: Callable[..., Any]) -> str:
    """Return what tells a view from the others of an app, the same in each of its processes."""
    return f"{view.__module__}.{getattr(view, '__qualname__', type(view).__qualname__)}"


def name_of_handler(kind: Any, method: str | None) -> str:
    """Return what tells the handlers of a class-based view apart, which has one for each method.

    The method is not signed: a response to OPTIONS or GET must not count as handling the POST.
    """
    handler = getattr(kind, (method or "").lower(), None)
    return str(getattr(handler, "__qualname__", ""))


async def awaited(waiting: Awaitable[Any]) -> Any:
    """Wait once more if the result is itself awaitable, as a lambda's over an async function."""
    found = await waiting
    return await found if isawaitable(found) else found


def _response_to(state: State) -> WebhookResponse:
    return duplicate() if state is State.DONE else in_flight()


def _senders_of(verifier: Verifier | MultiVerifier) -> tuple[_Sender, ...]:
    several = verifier.verifiers if isinstance(verifier, MultiVerifier) else (verifier,)
    return tuple(
        _Sender(
            each.scheme,
            each.urls,
            always(each._matcher),  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            each.tolerance,
            each.timestamp_from,
        )
        for each in several
    )


def _schemes_of(senders: Scheme | Sequence[Scheme]) -> tuple[Scheme, ...]:
    """Return the schemes that have one secret in common, the strongest first.

    Raises:
        ConfigurationError: They are not schemes, or cannot have one.
    """
    schemes = (senders,) if isinstance(senders, Scheme) else senders
    if not (
        isinstance(schemes, tuple | list)
        and schemes
        and all(isinstance(each, Scheme) for each in schemes)
    ):
        msg = (
            f"needs a scheme, several, or a Verifier, not a {type(senders).__name__}: such as "
            "providers.GITHUB"
        )
        raise ConfigurationError(msg)
    for one, other in combinations(schemes, 2):
        if is_one_secret(one, other):
            require_one_reading(one, other)
    return strongest_first(schemes)
