"""The flow of every adapter: parse the headers, read the body, match the signature, claim."""

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
    share_a_key,
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

# The largest step by which local clocks are set back, in seconds. It is one hour nearly
# everywhere, two in Antarctica/Troll, three in Antarctica/Casey.
_PUT_BACK = 3 * 60 * 60

# Hashing this many bytes takes a millisecond, so larger bodies are hashed outside the event loop.
_LARGE = 1_000_000


class Receiver:
    """Decides what one route does with a request before its handler runs.

    Args:
        scheme_or_verifier: A scheme; several schemes, one of which the headers of a request
            select; or a `Verifier` or `MultiVerifier`, which already has its secrets and limits.
        default_secret: A function that returns the framework's `FRAPPE_WEBHOOK_SECRET`, or None.
            Its matcher is reused until the secret changes.
        target_of: A function that returns the request target of the framework's request.
        secret: As in `Options`.
        tolerance: As in `Options`.
        timestamp_from: As in `Options`.
        url: As in `Options`.
        trust_forwarded: As in `Options`.
        max_body: As in `Options`.
        store: As in `Options`.

    Attributes:
        schemes: The accepted schemes, the strongest first.
        deduplicates: Whether a store makes sure that each delivery is handled once.
        needs_to_wait: Whether `secret` is an async function; `receive()` cannot call one.

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
                    "secret, tolerance, timestamp_from, url and max_body belong to the Verifier: "
                    "set them on the Verifier, not here"
                )
                raise ConfigurationError(msg)
            self._senders = _senders_of(scheme_or_verifier)
        else:
            schemes = _schemes_of(scheme_or_verifier)
            if schemes[1:] and (tolerance, timestamp_from) != (None, None):
                msg = (
                    "tolerance and timestamp_from belong to one scheme: for several schemes, use "
                    "MultiVerifier(Verifier(...), Verifier(...))"
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
            if secret is not None and self._secret_of is None:
                _require_one_reading_of_keys(self._senders)
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

    def receive(
        self, request: object, headers: Headers, method: str, read_body: Callable[[int], bytes]
    ) -> Delivery:
        """Verify one request. Read its body only if its headers are well-formed.

        Args:
            request: The framework's request, for a `secret` that is a function.
            headers: Its headers.
            method: Its HTTP method.
            read_body: A function that takes the largest accepted size in bytes. It returns the
                raw body, or raises `BodyTooLarge` or `RawBodyUnavailable`.

        Raises:
            VerificationError: The request is refused; respond with `refusal()`.
            ConfigurationError: There is no usable secret; respond with HTTP 500.
            RawBodyUnavailable: Other code has already read the body; respond with HTTP 500.
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
        """Verify one request, like `receive()`, but await the secret and the body.

        Args:
            request: As for `receive()`.
            headers: As for `receive()`.
            method: As for `receive()`.
            read_body: As for `receive()`.
            in_thread: Calls a function with its arguments in a thread, where it may block. Used
                for a `secret` that is not async, and to verify a large body.

        Raises:
            VerificationError: The request is refused; respond with `refusal()`.
            ConfigurationError: There is no usable secret; respond with HTTP 500.
            RawBodyUnavailable: Other code has already read the body; respond with HTTP 500.
        """
        sender, parsed = self._parse(request, headers, method)
        secret_of = self._secret_of
        # Keep the secret out of variables: error reporters show those of every frame.
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
            endpoint: A name that distinguishes the routes of an app.
            delivery: The verified delivery.

        Returns:
            The claim, which the adapter settles after the handler; or None if the handler runs
            without a claim; or the response to send instead of running the handler.
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
        """Claim a verified delivery, like `claim()`, but await the store.

        Args:
            request: As for `claim()`.
            endpoint: As for `claim()`.
            delivery: As for `claim()`.
            in_thread: Calls a function with its arguments in a thread, where it may block.

        Returns:
            As for `claim()`.
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
        """Return the sender whose scheme the headers select, and the parsed headers.

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
        """Return the registered URL that a request was sent to.

        Raises:
            VerificationError: The request was sent to a URL that is not registered.
        """
        if not urls[1:]:
            return urls[0]
        target = self._target_of(request)
        seen = url_of(target, headers, trust_forwarded=self._trust_forwarded)
        return only_registered(urls, seen)


class _Sender:
    """A scheme that a route accepts, with the URLs, the secret and the tolerance of its sender.

    Attributes:
        wire: Parses the headers of the scheme.
        urls: The URLs that are registered with the sender; empty if the scheme signs no URL.
        matcher_of: Returns the matcher for a request, given the secret that `secret` returned for
            it, or None.
        span: The largest accepted distance between signing and now, in seconds; None if unknown.
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


async def awaited(waiting: Awaitable[Any]) -> Any:
    """Await a result. If that is awaitable, as from a lambda around an async function, await it."""
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
