"""`Verifier` and `verify_payload()`: verify the requests of any scheme."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NoReturn

from frappe_hooksig._events import checked_events
from frappe_hooksig._frappe import FRAPPE
from frappe_hooksig._headers import Headers, indexed
from frappe_hooksig._keys import redacted
from frappe_hooksig._matching import Matcher
from frappe_hooksig._raw_body import MAX_BODY, raw_bytes
from frappe_hooksig._registered_urls import only_registered, registered
from frappe_hooksig._secret_checks import masked_unless
from frappe_hooksig._tolerance import TimestampFrom
from frappe_hooksig._wire import wire_of
from frappe_hooksig.delivery import Delivery
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secrets
from frappe_hooksig.streaming import Verification

__all__ = ["MAX_BODY", "Headers", "Verifier", "verify_payload"]


class Verifier:
    """Checks that requests were signed by a holder of the secret.

    Create it once and use it for every request. It never changes, so threads may share it.

    Args:
        secret: The shared secret; a list during a rotation, the newest first.
        scheme: How the sender signs its webhooks.
        tolerance: How far a timestamp may be from now, in the past or future, in seconds. The
            default is `Scheme.tolerance`. With `timestamp_from` it is 36 hours.
        timestamp_from: Function that reads a delivery's timestamp from its body, for schemes that
            sign no timestamp. It takes the verified `Delivery` and returns Unix seconds or an aware
            datetime. `frappe_hooksig.freshness.body_time()` creates such a function. If a datetime
            occurs twice because clocks went back, the moment nearer to now counts. The request is
            refused if the function raises a `LookupError`, a `TypeError` or a `ValueError`, or
            returns another value.
        url: The URL that is registered with the sender, for schemes that sign it. If you pass
            several, the URL of each request must be one of them.
        unsigned_events: The events that you handle, for schemes with an `event_header`: a list of
            the header's values, as the sender writes them. `Delivery.unsigned_event` is then one of
            them, or None for any other event.
        max_body: The largest accepted body, in bytes. A compressed body may have no more bytes
            before and after its decompression.
        clock: Returns the current time, in Unix seconds.

    Raises:
        ConfigurationError: The secret cannot be used, or an option is invalid or does not fit the
            scheme.
    """

    __slots__ = (
        "_events",
        "_keys",
        "_match",
        "_matcher",
        "_max_body",
        "_parse",
        "_parse_loosely",
        "_scheme",
        "_urls",
    )

    def __init__(
        self,
        secret: Secrets | None,
        *,
        scheme: Scheme = FRAPPE,
        tolerance: float | None = None,
        timestamp_from: TimestampFrom | None = None,
        url: str | Sequence[str] | None = None,
        unsigned_events: Sequence[str] | None = None,
        max_body: int = MAX_BODY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        several = redacted(secret)
        del secret  # error reporters show the local variables of every frame
        scheme = masked_unless(Scheme, scheme)  # it is the secret if the two were swapped
        wire = wire_of(scheme)
        self._parse, self._parse_loosely = wire.parse_any, wire.parse_loosely
        self._scheme = scheme
        self._urls = registered(scheme, url)
        self._events = checked_events(scheme, unsigned_events)
        if self._events is not None:
            self._parse_loosely = _nothing  # the short way reads no event
        self._matcher = Matcher(
            several,
            scheme=scheme,
            tolerance=tolerance,
            timestamp_from=timestamp_from,
            max_body=max_body,
            clock=clock,
        )
        # verify() calls these copies, which is faster than the methods that call them.
        self._match = self._matcher.match
        self._max_body = max_body
        self._keys = self._matcher.keys

    @property
    def scheme(self) -> Scheme:
        """How the sender signs its webhooks."""
        return self._scheme

    @property
    def tolerance(self) -> float | None:
        """How far a timestamp may be from now, in seconds; None if there is none to check."""
        return self._matcher.tolerance

    @property
    def timestamp_from(self) -> TimestampFrom | None:
        """Function that reads a delivery's timestamp from its body, or None."""
        return self._matcher.timestamp_from

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs that are registered with the sender; empty if `url` was not given."""
        return self._urls

    @property
    def unsigned_events(self) -> tuple[str, ...]:
        """The accepted events that no signature covers; empty if none were given."""
        return () if self._events is None else self._events.listed

    @property
    def max_body(self) -> int:
        """The largest accepted body, in bytes."""
        return self._matcher.max_body

    def verify(
        self,
        body: bytes | bytearray | memoryview,
        headers: Headers,
        *,
        method: str | None = None,
        url: str | None = None,
    ) -> Delivery:
        """Verify a request: return the delivery, or raise.

        A request can only cause a `VerificationError`, whatever it contains. The other errors are
        mistakes of the caller.

        Args:
            body: The raw body, exactly as received. Do not pass parsed JSON or a str, because the
                sender signed these bytes. `Delivery.body` is always bytes.
            headers: The request's headers: any framework's, a dict (its values may be lists), a
                WSGI environ, or (name, value) pairs.
            method: The HTTP method; used only if the scheme signs it.
            url: The URL as registered with the sender; used only if the scheme signs it. You may
                leave it out if the verifier has exactly one URL.

        Raises:
            VerificationError: The request must not be trusted; `reason` says why.
            TypeError: The body is not bytes.
            ConfigurationError: The scheme signs the method or the URL, but it was not passed.
        """
        if not isinstance(body, bytes):
            body = raw_bytes(body)
        if self._urls:
            url = only_registered(self._urls, url)
        parse, match, macs = self._parse_loosely, self._match, None
        parsed = parse(headers, method, url)
        if parsed is not None and len(body) <= self._max_body:
            found = match(body, parsed)
            if not isinstance(found, list):
                return found
            macs = found
        if self._events is not None:
            return self.begin(headers, method=method, url=url).verify(body)
        # The short way has not accepted it. The long way decides, and finds the reason.
        parsed = self._parse(headers, method, url)
        if macs is None:
            return self._matcher.verify(body, parsed, headers, url)
        return self._matcher.judge(macs, body, parsed, size=len(body), headers=headers, url=url)

    def begin(
        self, headers: Headers, *, method: str | None = None, url: str | None = None
    ) -> Verification:
        """Parse the headers now, to verify the body when it arrives.

        Use it to verify a large body in chunks, without keeping it in memory. Use it also to refuse
        a request with wrong headers before you read its body.

        Args:
            headers: The request's headers.
            method: As for `verify()`.
            url: As for `verify()`.

        Raises:
            VerificationError: A header is missing, duplicate or malformed, or the URL is not
                registered.
            ConfigurationError: The scheme signs the method or the URL, but it was not passed.
        """
        if self._urls:
            url = only_registered(self._urls, url)
        if self._events is None:
            return Verification(self._matcher, self._parse(headers, method, url), headers, url)
        headers = indexed(headers)  # an iterator can be read once only
        parsed, event = self._parse(headers, method, url), self._events.read(headers)
        listed = event if event in self._events.listed else None
        return Verification(self._matcher, parsed, headers, url, listed)

    def __reduce__(self) -> NoReturn:
        msg = "a verifier cannot be pickled: it contains a secret"
        raise TypeError(msg)

    def __repr__(self) -> str:
        if not hasattr(self, "_keys"):  # error reporters also show a half-made verifier
            return "<Verifier, refused>"
        return (
            f"Verifier(<{self._keys[-1].place + 1} secrets>, scheme={self._scheme.name!r}, "
            f"tolerance={self.tolerance}, max_body={self.max_body})"
        )


def _nothing(_headers: Headers, _method: str | None, _url: str | None) -> None:
    """Accept no headers."""


def verify_payload(
    body: bytes | bytearray | memoryview,
    headers: Headers,
    secret: Secrets | None,
    *,
    scheme: Scheme = FRAPPE,
    tolerance: float | None = None,
    timestamp_from: TimestampFrom | None = None,
    unsigned_events: Sequence[str] | None = None,
    max_body: int = MAX_BODY,
    clock: Callable[[], float] = time.time,
    method: str | None = None,
    url: str | None = None,
) -> Delivery:
    """Verify one request, like `Verifier(secret, ...).verify(body, headers, ...)`.

    For many requests, keep a `Verifier`. It checks the secret only once, and is several times
    faster.

    >>> verify_payload(b"{}", {}, "S6D3Kvx1yMJ8Hv5Gm2QzTn4wRb7LpXce")
    Traceback (most recent call last):
        ...
    frappe_hooksig.exceptions.VerificationError: no X-Frappe-Webhook-Signature header, ...

    Args:
        body: The raw body, exactly as received.
        headers: The request's headers.
        secret: The shared secret; a list during a rotation, the newest first.
        scheme: How the sender signs its webhooks.
        tolerance: How far a timestamp may be from now, in the past or future, in seconds.
        timestamp_from: Function that reads the timestamp from the body, as for `Verifier`.
        unsigned_events: The events that you handle, as for `Verifier`.
        max_body: The largest accepted body, in bytes.
        clock: Returns the current time, in Unix seconds.
        method: The HTTP method; used only if the scheme signs it.
        url: The URL as registered with the sender; used only if the scheme signs it.

    Raises:
        VerificationError: The request must not be trusted; `reason` says why.
        ConfigurationError: The secret cannot be used, or an option is invalid or does not fit the
            scheme.
        TypeError: The body is not bytes.
    """
    several = redacted(secret)
    del secret  # error reporters show the local variables of every frame
    scheme = masked_unless(Scheme, scheme)
    body = masked_unless((bytes, bytearray, memoryview), body)
    verifier = Verifier(
        several,
        scheme=scheme,
        tolerance=tolerance,
        timestamp_from=timestamp_from,
        unsigned_events=unsigned_events,
        max_body=max_body,
        clock=clock,
    )
    return verifier.verify(body, headers, method=method, url=url)
