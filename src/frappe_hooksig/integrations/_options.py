"""The options that every adapter takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, TypedDict

from frappe_hooksig._keys import redacted
from frappe_hooksig._tolerance import TimestampFrom
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.multi import MultiVerifier
from frappe_hooksig.replay import AsyncStore, Deduplicator, Store
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secrets
from frappe_hooksig.verify import Verifier

#: A secret; a list of them during a rotation; or a function of the framework's request that
#: returns either, or None or an empty list for a sender that it does not know. Async, if the
#: framework can wait.
SecretSource: TypeAlias = Secrets | Callable[[Any], Secrets | Awaitable[Secrets | None] | None]

#: Whose requests a route takes: of one scheme, or of several, of which the headers select one;
#: or a `Verifier` or `MultiVerifier`, which has its secrets already.
Senders: TypeAlias = Scheme | Sequence[Scheme] | Verifier | MultiVerifier


class Options(TypedDict, total=False):
    """What every adapter's decorators and dependencies take.

    Attributes:
        secret: Where the secret comes from. By default, for Frappe's scheme alone, the framework's
            setting `FRAPPE_WEBHOOK_SECRET`, else the environment variable of that name.
        tolerance: How far a signed timestamp may be from now, either way, in seconds. By default
            the scheme's own; with `timestamp_from`, 24 hours.
        timestamp_from: A function of the verified delivery that finds in its body when it was made,
            for schemes that sign no time; as for `Verifier`.
        url: The URL as it is registered with the sender, for schemes that sign it. If there are
            several, a request has to be sent to one of them.
        trust_forwarded: Whether a proxy in front sets `X-Forwarded-Proto` and `X-Forwarded-Host`
            and lets nobody else do so. They only select among several registered URLs.
        max_body: The largest accepted body, in bytes. By default 25 MiB.
        store: Where deliveries are remembered, so that each is handled once: a store, or a
            `frappe_hooksig.replay.Deduplicator` with more options. By default there is none, and a
            repeat is handled again.
    """

    secret: SecretSource
    tolerance: float | None
    timestamp_from: TimestampFrom | None
    url: str | Sequence[str] | None
    trust_forwarded: bool
    max_body: int | None
    store: Store | AsyncStore | Deduplicator


def hide_secret(options: Options) -> None:
    """Put a redacted secret in place of a plain one, before error reporters can show it.

    Every function that takes `Options` calls this first: if it refuses them, they are in its frame.

    Raises:
        ConfigurationError: The secret is None, such as an environment variable that is not set.
    """
    if "secret" in options:
        if options["secret"] is None:
            msg = (
                "secret=None: the setting or variable that it comes from is not set; leave it out "
                "for Frappe's default"
            )
            raise ConfigurationError(msg)
        if not callable(options["secret"]):
            options["secret"] = redacted(options["secret"])
