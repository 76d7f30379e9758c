"""The flow of every adapter: headers, secret, body, signature, claim, handler, settling."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from inspect import iscoroutinefunction
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeVar

from frappe_hooksig._frappe import FRAPPE
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
from frappe_hooksig.exceptions import (
    ConfigurationError,
    MalformedPayload,
    StoreError,
    VerificationError,
)
from frappe_hooksig.integrations._framework import Admission, Framework
from frappe_hooksig.integrations._options import (
    Options,
    SecretSource,
    Senders,
    hide_secret,
)
from frappe_hooksig.integrations._responses import (
    WebhookResponse,
    duplicate,
    in_flight,
    refusal,
    unavailable,
)
from frappe_hooksig.integrations._secret_sources import MatcherSource, always, matcher_source
from frappe_hooksig.integrations._urls import url_of
from frappe_hooksig.multi import MultiVerifier
from frappe_hooksig.replay import AsyncStore, Deduplicator, State, Store
from frappe_hooksig.replay._callers import Awaiting, Blocking
from frappe_hooksig.replay._deduplication import Deduplication
from frappe_hooksig.replay._deduplicator import deduplicator_of
from frappe_hooksig.replay._steps import Steps
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.verify import Verifier

if TYPE_CHECKING:
    from frappe_hooksig.delivery import Delivery

_View = TypeVar("_View", bound=Callable[..., Any])

# The largest step by which local clocks are set back, in seconds. It is one hour nearly
# everywhere, two in Antarctica/Troll, three in Antarctica/Casey.
_PUT_BACK = 3 * 60 * 60

# Hashing this many bytes takes a millisecond, so larger bodies are hashed outside the event loop.
_LARGE = 1_000_000

# Methods that only read (RFC 9110 section 9.2.1). Browsers, crawlers and monitors send them.
READS = frozenset({"GET", "HEAD", "OPTIONS"})


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
        trust_forwarded: As in `Options`.
        max_body: As in `Options`.
        store: As in `Options`.

    Attributes:
        schemes: The accepted schemes, the strongest first.
        deduplicates: Whether a store makes sure that each delivery is handled once.
        needs_to_wait: Whether `secret` is an async function, which sync code cannot call.

    Raises:
        ConfigurationError: An option is missing, has no use, or contradicts another.
    """

    __slots__ = (
        "_deduplication",
        "_framework",
        "_secret_of",
        "_senders",
        "_trust_forwarded",
        "_wires",
        "deduplicates",
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
                    matcher_source(partial(build, scheme=scheme), secret, framework.setting),
                    checked_tolerance(scheme, tolerance, timestamp_from),
                    timestamp_from,
                )
                for scheme in schemes
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
            admission = Admission((yield from self.verify(io, request)))
            framework.keep(request, admission)
            refused = yield from self.claim(io, request, admission, view)
            if refused is not None:
                return framework.respond(refused)
        except VerificationError as error:
            return framework.respond(refusal(error))
        except Exception as error:  # noqa: BLE001  # it re-raises what it cannot explain
            return framework.not_verified(error)
        lease = admission.lease
        try:
            try:
                result = yield call
            except MalformedPayload as error:
                result = framework.malformed(error)
            return result if lease is None else (yield from framework.settle(lease, result))
        except GeneratorExit:  # nobody runs this flow any more
            admission.rest()
            raise
        except BaseException:
            yield from admission.release()
            raise

    def verify(self, io: Blocking | Awaiting, request: Any) -> Steps[Delivery]:
        """Verify a request. Read its body only if its headers are well-formed.

        Raises:
            VerificationError: The request is refused; respond with `refusal()`.
            ConfigurationError: There is no usable secret; respond with HTTP 500.
            RawBodyUnavailable: Other code has already read the body; respond with HTTP 500.
        """
        framework = self._framework
        sender, parsed = self._parse(request)
        if self._secret_of is None:
            matcher = sender.matcher_of(None)
        else:
            matcher = yield partial(self._found, io, sender, self._secret_of, request)
        body: bytes = yield partial(framework.read_body, request, matcher.max_body)
        if len(body) < _LARGE:
            return matcher.verify(body, parsed)
        delivery: Delivery = yield partial(io.call, matcher.verify, body, parsed)
        return delivery

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
        try:
            found = yield from self._deduplication.claim(io, request, endpoint, admission.delivery)
        except StoreError as error:
            return self._without_store(error)
        if isinstance(found, State):
            return duplicate() if found is State.DONE else in_flight()
        admission.lease = found
        return None

    def _without_store(self, error: StoreError) -> WebhookResponse | None:
        response = unavailable(error)
        accepts = self._deduplication is not None and self._deduplication.accepts_without_store
        return None if accepts else response

    def _parse(self, request: Any) -> tuple[_Sender, ParsedHeaders]:
        """Return the sender whose scheme the headers select, and the parsed headers.

        Raises:
            VerificationError: A header is missing, doubled or malformed, or the URL is not
                registered.
        """
        headers = self._framework.headers_of(request)
        sender = self._senders[0]
        if self._senders[1:]:
            headers = index_headers(self._wires, headers)
            sender = self._senders[select(self._wires, headers)]
        url = self._url_of(request, headers, sender.urls) if sender.urls else None
        return sender, sender.wire.parse(headers, self._framework.method_of(request), url)

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
    """Whether a class-based view has no handlers but those for GET, HEAD and OPTIONS."""
    return not any(hasattr(kind, method) for method in ("post", "put", "patch", "delete"))


async def _awaited(waiting: Awaitable[Any]) -> Any:
    """Await a result. If that is awaitable, as from a lambda around an async function, await it."""
    found = await waiting
    return await found if hasattr(found, "__await__") else found


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
