"""`Verifier` and `verify_payload()`: the one interface behind which every scheme is verified."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from frappe_hooksig._frappe import FRAPPE
from frappe_hooksig._headers import Headers
from frappe_hooksig._keys import redacted
from frappe_hooksig._matching import Matcher
from frappe_hooksig._raw_body import MAX_BODY, not_raw
from frappe_hooksig._registered_urls import only_registered, registered
from frappe_hooksig._tolerance import TimestampFrom
from frappe_hooksig._wire import wire_of
from frappe_hooksig.delivery import Delivery
from frappe_hooksig.exceptions import BodyTooLarge
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secrets
from frappe_hooksig.streaming import Verification

__all__ = ["MAX_BODY", "Headers", "Verifier", "verify_payload"]


class Verifier:
    """Checks that requests were signed by a holder of the secret.

    Make it once and use it for every request. Safe to share between threads: nothing in it changes.

    Args:
        secret: The shared secret; a list during a rotation, the newest first.
        scheme: How the sender lays out its signature.
        tolerance: How far a signed timestamp may be from now, either way, in seconds. By default
            the scheme's own (`Scheme.tolerance`); with `timestamp_from`, 24 hours, because queues
            lag.
        timestamp_from: Finds in the body when a delivery was made, for schemes that sign no time: a
            function of the verified `Delivery` that returns Unix seconds or an aware datetime.
            `frappe_hooksig.freshness.body_time()` makes one. If a datetime occurs twice because
            clocks were put back, the moment nearer to now counts. If the function raises a
            `LookupError`, a `TypeError` or a `ValueError`, or returns anything else, the request is
            refused.
        url: The URL as it is registered with the sender, for schemes that sign it. If there are
            several, a request's own has to be one of them.
        max_body: The largest accepted body, in bytes.
        clock: Returns now, in Unix seconds.

    Raises:
        ConfigurationError: The secret cannot be used, or an option makes no sense.
    """

    __slots__ = ("_keys", "_match", "_matcher", "_max_body", "_parse", "_scheme", "_urls")

    def __init__(
        self,
        secret: Secrets | None,
        *,
        scheme: Scheme = FRAPPE,
        tolerance: float | None = None,
        timestamp_from: TimestampFrom | None = None,
        url: str | Sequence[str] | None = None,
        max_body: int = MAX_BODY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        several = redacted(secret)
        del secret  # error reporters show the local variables of every frame
        self._parse = wire_of(scheme).parse
        self._scheme = scheme
        self._urls = registered(scheme, url)
        self._matcher = Matcher(
            several,
            scheme=scheme,
            tolerance=tolerance,
            timestamp_from=timestamp_from,
            max_body=max_body,
            clock=clock,
        )
        # What verify() needs, without the time that a look into the matcher takes.
        self._match = self._matcher.match
        self._max_body = max_body
        self._keys = self._matcher.keys

    @property
    def scheme(self) -> Scheme:
        """How the sender lays out its signature."""
        return self._scheme

    @property
    def tolerance(self) -> float | None:
        """How far the time of a delivery may be from now, in seconds; None if no time is known."""
        return self._matcher.tolerance

    @property
    def timestamp_from(self) -> TimestampFrom | None:
        """Finds the time of a delivery in its body."""
        return self._matcher.timestamp_from

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs that are registered with the sender; empty if `url` was not given."""
        return self._urls

    @property
    def max_body(self) -> int:
        """The largest accepted body, in bytes."""
        return self._max_body

    def verify(
        self, body: bytes, headers: Headers, *, method: str | None = None, url: str | None = None
    ) -> Delivery:
        """Return what can be trusted, or raise.

        Whatever a stranger sends, nothing but `VerificationError` is raised.

        Args:
            body: The raw body, exactly as it came. Not parsed JSON, not a str: only these bytes
                were signed.
            headers: The request's headers: any framework's, a dict, or (name, value) pairs.
            method: The HTTP method; looked at only if the scheme signs it.
            url: The URL as registered with the sender; looked at only if the scheme signs it, and
                not needed if the verifier was given the only one there is.

        Raises:
            VerificationError: The request must not be trusted; `reason` says why.
            TypeError: The body is not bytes.
            ConfigurationError: The scheme signs the method or the URL, and it was not given.
        """
        if not isinstance(body, bytes):
            raise not_raw(body)
        if self._urls:
            url = only_registered(self._urls, url)
        parsed = self._parse(headers, method, url)
        if len(body) > self._max_body:
            raise BodyTooLarge(self._max_body)
        return self._match(self._keys, body, parsed)

    def begin(
        self, headers: Headers, *, method: str | None = None, url: str | None = None
    ) -> Verification:
        """Read the headers now, and verify the body when it has come.

        Use it for large bodies, which nobody has to hold, and to leave a body unread if its headers
        are wrong already.

        Args:
            headers: The request's headers.
            method: As for `verify()`.
            url: As for `verify()`.

        Raises:
            VerificationError: A header is missing, doubled or malformed, or the URL is not
                registered.
            ConfigurationError: The scheme signs the method or the URL, and it was not given.
        """
        if self._urls:
            url = only_registered(self._urls, url)
        return Verification(self._matcher, self._parse(headers, method, url))

    def __repr__(self) -> str:
        if not hasattr(self, "_keys"):  # error reporters show a half-made one too
            return "<Verifier, refused>"
        return (
            f"Verifier(<{len(self._keys)} secrets>, scheme={self._scheme.name!r}, "
            f"tolerance={self.tolerance}, max_body={self._max_body})"
        )


def verify_payload(
    body: bytes,
    headers: Headers,
    secret: Secrets | None,
    *,
    scheme: Scheme = FRAPPE,
    tolerance: float | None = None,
    timestamp_from: TimestampFrom | None = None,
    max_body: int = MAX_BODY,
    clock: Callable[[], float] = time.time,
    method: str | None = None,
    url: str | None = None,
) -> Delivery:
    """Verify one request; the same as `Verifier(secret, ...).verify(body, headers, ...)`.

    A `Verifier` that is kept checks the secret once and is several times faster.

    >>> verify_payload(b"{}", {}, "S6D3Kvx1yMJ8Hv5Gm2QzTn4wRb7LpXce")
    Traceback (most recent call last):
        ...
    frappe_hooksig.exceptions.VerificationError: no X-Frappe-Webhook-Signature header: ...

    Args:
        body: The raw body, exactly as it came.
        headers: The request's headers.
        secret: The shared secret; a list during a rotation, the newest first.
        scheme: How the sender lays out its signature.
        tolerance: How far a signed timestamp may be from now, either way, in seconds.
        timestamp_from: Finds in the body when it was made, as for `Verifier`.
        max_body: The largest accepted body, in bytes.
        clock: Returns now, in Unix seconds.
        method: The HTTP method; looked at only if the scheme signs it.
        url: The URL as registered with the sender; looked at only if the scheme signs it.

    Raises:
        VerificationError: The request must not be trusted; `reason` says why.
        ConfigurationError: The secret cannot be used, or an option makes no sense.
        TypeError: The body is not bytes.
    """
    verifier = Verifier(
        secret,
        scheme=scheme,
        tolerance=tolerance,
        timestamp_from=timestamp_from,
        max_body=max_body,
        clock=clock,
    )
    del secret  # as in Verifier.__init__
    return verifier.verify(body, headers, method=method, url=url)
