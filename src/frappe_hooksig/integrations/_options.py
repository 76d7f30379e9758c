"""The options that every adapter takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, TypedDict, cast

from frappe_hooksig._keys import redacted
from frappe_hooksig._secret_checks import masked_unless, unknown_options
from frappe_hooksig._tolerance import TimestampFrom
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.multi import MultiVerifier
from frappe_hooksig.observe import Observer
from frappe_hooksig.replay import AsyncStore, Deduplicator, Store
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secrets
from frappe_hooksig.verify import Verifier

#: A secret; a list of secrets during a rotation; or a function. The function takes the
#: framework's request and returns a secret or a list. For an unknown sender it returns None or an
#: empty list. It may be async if the framework can await it.
SecretSource: TypeAlias = Secrets | Callable[[Any], Secrets | Awaitable[Secrets | None] | None]

#: The senders that a route accepts: one scheme; several schemes, one of which the headers select;
#: or a `Verifier` or `MultiVerifier`, which already has its secrets.
Senders: TypeAlias = Scheme | Sequence[Scheme] | Verifier | MultiVerifier


class Options(TypedDict, total=False):
    """Options of the decorators and dependencies in every adapter.

    Attributes:
        secret: The secret, a list of secrets, or a function that returns them. Only Frappe's
            scheme has a default: the framework's setting `FRAPPE_WEBHOOK_SECRET`, else the
            environment variable of that name.
        tolerance: How far a signed timestamp may be from now, in seconds, in the past or in the
            future. The default is the scheme's own tolerance; with `timestamp_from`, 36 hours.
        timestamp_from: A function that takes the verified delivery and returns the timestamp in
            its body. For schemes that sign no timestamp; see `Verifier`.
        url: The URL that is registered with the sender, for schemes that sign the URL. If you pass
            several URLs, the URL of each request must be one of them.
        unsigned_events: The events that you handle, for schemes whose events only an unsigned
            header tells apart (`Scheme.event_header`): a list of the header's values. Required
            with `store`. A request with another event gets HTTP 200 and does not reach the view.
        trust_forwarded: Whether to trust `X-Forwarded-Proto` and `X-Forwarded-Host`. Set it only
            if a proxy in front sets both headers and removes those of the client. The headers only
            select one of several registered URLs.
        max_body: The largest accepted body, in bytes. The default is 25 MiB.
        store: A store that remembers deliveries, so that each is handled once; or a
            `frappe_hooksig.replay.Deduplicator` with more options. Without a store, the handler
            runs again for a repeated delivery.
        observe: A function, or several, that get an event for what becomes of each request; see
            `frappe_hooksig.observe`. The default is `frappe_hooksig.observe.log`; list it too if
            you want to keep it.
    """

    secret: SecretSource
    tolerance: float | None
    timestamp_from: TimestampFrom | None
    url: str | Sequence[str] | None
    unsigned_events: Sequence[str] | None
    trust_forwarded: bool
    max_body: int | None
    store: Store | AsyncStore | Deduplicator
    observe: Observer | Sequence[Observer]


def masked_senders(senders: Senders) -> Senders:
    """Replace what is no sender, and may be a secret, before an error reporter can show it.

    Every function that takes `Senders` calls this first, like `hide_secret()`. It raises nothing;
    `Receiver` refuses the replacement.
    """
    if isinstance(senders, list | tuple):
        return [masked_unless(Scheme, each) for each in senders]
    return masked_unless((Scheme, Verifier, MultiVerifier), senders)


def hide_secret(options: Options) -> None:
    """Replace a plain secret, or a store's URL, before an error reporter can show it.

    Every function that takes `Options` calls this first. If the function raises, an error reporter
    shows the local variables of its frame, and the options are among them.

    Raises:
        ConfigurationError: An option is unknown. Or the secret is None, for example from an unset
            environment variable.
    """
    if "store" in options and isinstance(options["store"], str):  # redis://:password@host
        options["store"] = masked_unless((), options["store"])
    problem = unknown_options(cast("dict[str, object]", options), Options.__optional_keys__)
    if problem is not None:
        raise ConfigurationError(problem)
    if "secret" in options:
        if options["secret"] is None:
            msg = (
                "secret= is None: the setting or environment variable that you passed is not set. "
                'secret=Secret.from_env("NAME") reads a variable, and its error names it. Only '
                "Frappe's scheme has a default, for which you leave secret= out"
            )
            raise ConfigurationError(msg)
        if not callable(options["secret"]):
            options["secret"] = redacted(options["secret"])
