"""The one flow that every adapter runs: headers, then body, then signature, then the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from frappe_hooksig._frappe import SECRET_SETTING as SECRET_SETTING  # noqa: PLC0414  # adapters too
from frappe_hooksig.addresses import TargetOf, address_of
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.headers import Headers
from frappe_hooksig.once import Once
from frappe_hooksig.one_of import (
    OneOf,
    is_one_secret,
    read_once,
    require_distinct,
    selected,
    strongest_first,
)
from frappe_hooksig.providers import FRAPPE
from frappe_hooksig.replay import AsyncStore, Store
from frappe_hooksig.scheme import Presented, Scheme
from frappe_hooksig.secret import Secret, Secrets, generate_secret, redacted
from frappe_hooksig.verify import (
    MAX_BODY,
    SignedAt,
    Verifier,
    checked_tolerance,
    only_registered,
    registered,
)

if TYPE_CHECKING:
    from frappe_hooksig.delivery import Delivery

#: A secret; a list of them during a rotation; or a function of the framework's request that
#: returns either, or None or an empty list for a sender that it does not know. Async, if the
#: framework can wait.
SecretSource: TypeAlias = Secrets | Callable[[Any], Secrets | Awaitable[Secrets | None] | None]

#: Whose requests a route takes: of one scheme, or of several, of which the headers select one;
#: or a `Verifier` or `OneOf`, which has its secrets already.
Senders: TypeAlias = Scheme | Sequence[Scheme] | Verifier | OneOf

# By how much clocks are put back at most, in seconds: by an hour nearly everywhere, by two in
# Antarctica/Troll, by three in Antarctica/Casey.
_PUT_BACK = 3 * 60 * 60

# To hash so many bytes takes a millisecond, in which an event loop could do something else.
_LARGE = 1_000_000


class Options(TypedDict, total=False):
    """What every adapter's decorators take.

    Attributes:
        secret: Where the secret comes from. By default, for Frappe's scheme alone, the framework's
            setting `FRAPPE_WEBHOOK_SECRET`, else the environment variable of that name.
        tolerance: How far a signed timestamp may be from now, either way, in seconds. By default
            the scheme's own; with `signed_at`, 24 hours.
        signed_at: A function of the verified delivery that finds in its body when it was made, for
            schemes that sign no time; as for `Verifier`.
        url: The URL as it is registered with the sender, for schemes that sign it; or several, of
            which it has to be the one that the request was sent to.
        trust_forwarded: Whether a proxy in front sets `X-Forwarded-Proto` and `X-Forwarded-Host`
            and lets nobody else do so. They only select among several registered URLs.
        max_body: The largest accepted body, in bytes. By default 25 MiB.
        store: Where deliveries are remembered, so that each is handled once. By default nowhere:
            a repeat is handled again.
        lease: After how many seconds a delivery whose process has died may be handled by another.
            By default 4 for Frappe, else 30.
        keep: For how many seconds a delivery that was handled is remembered. By default for as long
            as it can come again: the sender's retries, and twice the tolerance.
        tenant: A function of the framework's request that tells those apart who share a route: two
            of them never share a key. Needed if `secret` is a function.
        on_store_error: "refuse" answers 503 if the store cannot tell whether it is a repeat, and
            "accept" handles it.
    """

    secret: SecretSource
    tolerance: float | None
    signed_at: SignedAt | None
    url: str | Sequence[str] | None
    trust_forwarded: bool
    max_body: int | None
    store: Store | AsyncStore
    lease: float | None
    keep: float | None
    tenant: Callable[[Any], str]
    on_store_error: Literal["refuse", "accept"]


def hide_secret(options: Options) -> None:
    """Put a redacted secret in place of a plain one, before error reporters can show it.

    For each function that takes `Options`: what it refuses, it refuses with them in its frame.

    Raises:
        ConfigurationError: The secret is None, such as an environment variable that is not set.
    """
    if "secret" in options:
        if options["secret"] is None:
            msg = "secret=None: what it was to come from is not set; leave it out for the default"
            raise ConfigurationError(msg)
        if not callable(options["secret"]):
            options["secret"] = redacted(options["secret"])


class Receiver:
    """What one route does with a request before its handler runs.

    Args:
        scheme_or_verifier: A scheme; several, of which a request's headers select one; or a
            `Verifier` or `OneOf`, which has its secrets and limits already.
        default_secret: Returns the framework's `FRAPPE_WEBHOOK_SECRET`, or None. What is made of
            it is kept until it changes.
        target_of: Finds in the framework's request how the server saw it.
        secret: As in `Options`.
        tolerance: As in `Options`.
        signed_at: As in `Options`.
        url: As in `Options`.
        trust_forwarded: As in `Options`.
        max_body: As in `Options`.
        store: As in `Options`.
        lease: As in `Options`.
        keep: As in `Options`.
        tenant: As in `Options`.
        on_store_error: As in `Options`.

    Attributes:
        schemes: Those that requests may have, the strongest first.
        once: What lets each delivery be handled once, if there is a store.
        needs_to_wait: Whether `secret` is an async function, which `receive()` cannot call.

    Raises:
        ConfigurationError: An option is missing, has no use, or contradicts another.
    """

    __slots__ = (
        "_secret_of",
        "_target_of",
        "_trust_forwarded",
        "_ways",
        "needs_to_wait",
        "once",
        "schemes",
    )

    def __init__(
        self,
        scheme_or_verifier: Senders,
        default_secret: Callable[[], Secrets | None] | None,
        *,
        target_of: TargetOf,
        secret: SecretSource | None = None,
        tolerance: float | None = None,
        signed_at: SignedAt | None = None,
        url: str | Sequence[str] | None = None,
        trust_forwarded: bool = False,
        max_body: int | None = None,
        store: Store | AsyncStore | None = None,
        lease: float | None = None,
        keep: float | None = None,
        tenant: Callable[[Any], str] | None = None,
        on_store_error: Literal["refuse", "accept"] | None = None,
    ) -> None:
        if secret is not None and not callable(secret):
            secret = redacted(secret)  # error reporters show the local variables of every frame
        self.needs_to_wait = iscoroutinefunction(secret)
        self._secret_of: Callable[[Any], Any] | None = secret if callable(secret) else None
        if isinstance(scheme_or_verifier, Verifier | OneOf):
            if any(each is not None for each in (secret, tolerance, signed_at, url, max_body)):
                msg = (
                    "secret, tolerance, signed_at, url and max_body are the Verifier's: set them "
                    "there"
                )
                raise ConfigurationError(msg)
            verifiers = (
                scheme_or_verifier.verifiers
                if isinstance(scheme_or_verifier, OneOf)
                else (scheme_or_verifier,)
            )
            self._ways = tuple(_Way(each.scheme, each.urls, _always(each)) for each in verifiers)
            limits = [(each.scheme, _span(each.tolerance, each.signed_at)) for each in verifiers]
        else:
            schemes = _schemes_of(scheme_or_verifier)
            build = partial(
                Verifier,
                tolerance=tolerance,
                signed_at=signed_at,
                max_body=MAX_BODY if max_body is None else max_body,
            )
            if schemes[1:] and (tolerance, signed_at) != (None, None):
                msg = (
                    "tolerance and signed_at are a scheme's: for several, use OneOf(Verifier(...))"
                )
                raise ConfigurationError(msg)
            # Refused by the first, if there is a URL that nobody signs.
            signing = [each for each in schemes if "{url}" in each.signed] or schemes[:1]
            self._ways = tuple(
                _Way(
                    scheme,
                    registered(scheme, url if scheme in signing else None),
                    _finder(partial(build, scheme=scheme), secret, default_secret),
                )
                for scheme in schemes
            )
            limits = [
                (each, _span(checked_tolerance(each, tolerance, signed_at), signed_at))
                for each in schemes
            ]
        self.schemes = tuple(way.scheme for way in self._ways)
        self._target_of = target_of
        self._trust_forwarded = trust_forwarded
        self._require_urls()
        self.once = None
        if store is not None:
            if self._secret_of is not None and tenant is None:
                msg = "secret= is a function: of its senders, tenant= has to tell which one it is"
                raise ConfigurationError(msg)
            self.once = Once(
                store,
                limits,
                lease=lease,
                keep=keep,
                tenant=tenant,
                on_store_error=on_store_error or "refuse",
            )
        elif (lease, keep, tenant, on_store_error) != (None, None, None, None):
            msg = "lease, keep, tenant and on_store_error need store="
            raise ConfigurationError(msg)

    def _require_urls(self) -> None:
        """Refuse what could not be verified, or has no use, as a URL is missing.

        Raises:
            ConfigurationError: There is such a thing.
        """
        for way in self._ways:
            if "{url}" in way.scheme.signed and not way.urls:
                msg = (
                    f"scheme {way.scheme.name!r} signs the URL: url= is the one, or those, that "
                    "are registered with the sender"
                )
                raise ConfigurationError(msg)
        if self._trust_forwarded and not any(way.urls[1:] for way in self._ways):
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
        if self.once is not None and self.once.is_async:
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
        way, presented = self._parse(request, headers, method)
        secret_of = self._secret_of
        verifier = way.verifier_of(None if secret_of is None else secret_of(request))
        return verifier.expect(presented).verify(read_body(verifier.max_body))

    async def receive_async(
        self,
        request: object,
        headers: Headers,
        method: str,
        read_body: Callable[[int], Awaitable[bytes]],
        in_thread: Callable[..., Awaitable[Any]],
    ) -> Delivery:
        """Do what `receive()` does, and wait for the secret and the body.

        Args:
            request: The framework's request, for a `secret` that is a function.
            headers: Its headers.
            method: Its HTTP method.
            read_body: As for `receive()`.
            in_thread: Calls a function with its arguments where it may block: a `secret` that is
                not async, and the verification of a large body.

        Raises:
            VerificationError: To be answered with `refusal()`.
            ConfigurationError: There is no usable secret: HTTP 500.
            RawBodyUnavailable: Something read the body before: HTTP 500.
        """
        way, presented = self._parse(request, headers, method)
        secret_of = self._secret_of
        # The secret in no variable, as error reporters show those of every frame.
        if secret_of is None:
            verifier = way.verifier_of(None)
        elif self.needs_to_wait:
            verifier = way.verifier_of(await secret_of(request))
        else:
            verifier = way.verifier_of(await settled(in_thread(secret_of, request)))
        verification = verifier.expect(presented)
        body = await read_body(verifier.max_body)
        if len(body) < _LARGE:
            return verification.verify(body)
        delivery: Delivery = await in_thread(verification.verify, body)
        return delivery

    def _parse(self, request: object, headers: Headers, method: str) -> tuple[_Way, Presented]:
        """Return which scheme a request's headers select, and what they claim by it.

        Raises:
            VerificationError: A header is missing, doubled or malformed, or the URL is another.
        """
        way = self._ways[0]
        if self._ways[1:]:
            headers = read_once(self.schemes, headers)
            way = self._ways[selected(self.schemes, headers)]
        url = self._url_of(request, headers, way.urls) if way.urls else None
        return way, way.scheme.parse(headers, method, url)

    def _url_of(self, request: object, headers: Headers, urls: tuple[str, ...]) -> str:
        """Return which of the registered URLs a request was sent to.

        Raises:
            VerificationError: It was sent to none of them.
        """
        if not urls[1:]:
            return urls[0]
        target = self._target_of(request)
        seen = address_of(target, headers, trust_forwarded=self._trust_forwarded)
        return only_registered(urls, seen)


def name_of(view: Callable[..., Any]) -> str:
    """Return what tells a view from the others of an app, the same in each of its processes."""
    return f"{view.__module__}.{getattr(view, '__qualname__', type(view).__qualname__)}"


def name_of_handler(kind: Any, method: str | None) -> str:
    """Return what tells the handlers of a view by class apart, of which it has one for each method.

    The method is not signed: what answers OPTIONS, or a GET, must not count as what a POST is for.
    """
    handler = getattr(kind, (method or "").lower(), None)
    return str(getattr(handler, "__qualname__", ""))


async def settled(waiting: Awaitable[Any]) -> Any:
    """Wait once more for what a function such as a lambda has got from an async one."""
    found = await waiting
    return await found if isawaitable(found) else found


def _schemes_of(senders: Scheme | Sequence[Scheme]) -> tuple[Scheme, ...]:
    """Return the schemes that have one secret in common, the strongest first.

    Raises:
        ConfigurationError: They are no schemes, or cannot have one.
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
            require_distinct(one, other)
    return strongest_first(schemes)


def _span(tolerance: float | None, signed_at: SignedAt | None) -> float | None:
    """Return how far from now a request may have been signed, if that is known."""
    if tolerance is None or signed_at is None:
        return tolerance
    # Between two readings of one time: with a small tolerance, it is fresh, then old, then fresh.
    return tolerance + _PUT_BACK / 2


# Takes what a function for a `secret` has returned, if there is one.
_Finder: TypeAlias = Callable[["Secrets | None"], Verifier]


class _Way:
    """One of the schemes that requests may have.

    Attributes:
        scheme: That one.
        urls: The URLs that are registered with its sender, if it signs them.
        verifier_of: Takes what a function for a `secret` has returned, if there is one.
    """

    __slots__ = ("scheme", "urls", "verifier_of")

    def __init__(self, scheme: Scheme, urls: tuple[str, ...], verifier_of: _Finder) -> None:
        self.scheme = scheme
        self.urls = urls
        self.verifier_of = verifier_of


def _finder(
    build: partial[Verifier],
    secret: SecretSource | None,
    default_secret: Callable[[], Secrets | None] | None,
) -> _Finder:
    """Return what finds the verifier for a request.

    Raises:
        ConfigurationError: There is no secret for it, or a limit makes no sense.
    """
    if callable(secret):
        return _of_a_sender(build)
    if secret is not None:
        return _always(build(secret))
    scheme: Scheme = build.keywords["scheme"]
    if scheme == FRAPPE and default_secret is not None:
        return _of_a_setting(default_secret, build)
    msg = f"scheme {scheme.name!r} needs secret=: there is no default for it"
    raise ConfigurationError(msg)


def _always(verifier: Verifier) -> _Finder:
    return lambda _secret: verifier


def _of_a_sender(build: partial[Verifier]) -> _Finder:
    # An unknown sender gets a secret that nobody knows: the same work and the same answer as for a
    # wrong signature, so that nobody finds out which senders there are.
    scheme: Scheme = build.keywords["scheme"]
    # Behind the prefix that is expected: a warning takes time, and tells of the wrong secret.
    prefix = scheme.secret_prefix if scheme.secret_format == "text" else ""
    stand_in = Secret(prefix + generate_secret(scheme.secret_format))
    build(stand_in)  # a wrong limit is found at import, not at the first request

    def find(secret: Secrets | None) -> Verifier:
        # Plain, as secrets mostly are: to wrap it is part of the work.
        # No secrets at all are what a query finds for a sender that is not there.
        is_unknown = secret is None or (isinstance(secret, list | tuple) and not secret)
        several = redacted(stand_in.reveal() if is_unknown else secret)
        del secret  # error reporters show the local variables of every frame
        return build(several)

    return find


def _of_a_setting(setting: Callable[[], Secrets | None], build: partial[Verifier]) -> _Finder:
    build(generate_secret())  # as above
    held: _Held | None = None

    def find(_secret: Secrets | None) -> Verifier:
        nonlocal held
        current = held
        if current is None or not current.is_made_of(setting()):
            held = current = _Held(setting(), build)  # no variable here, as above
        return current.verifier

    return find


class _Held:
    """A verifier that is used until the setting which it was made of changes.

    Attributes:
        verifier: Made of the setting.
    """

    __slots__ = ("_setting", "verifier")

    def __init__(self, setting: Secrets | None, build: partial[Verifier]) -> None:
        self._setting = _frozen(setting)
        several = redacted(setting)
        del setting  # as above
        self.verifier = build(several)

    def is_made_of(self, setting: Secrets | None) -> bool:
        """Whether the setting is still the same."""
        return _frozen(setting) == self._setting


def _frozen(setting: Secrets | None) -> object:
    """Return a setting that cannot be changed in place."""
    return tuple(setting) if isinstance(setting, list) else setting
