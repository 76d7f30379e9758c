"""Verifying what was received: the one interface behind which every scheme lives."""

from __future__ import annotations

import time
from collections.abc import Callable
from hmac import compare_digest
from math import isfinite, nan

from frappe_hooksig.delivery import Delivery
from frappe_hooksig.exceptions import (
    BodyTooLarge,
    ConfigurationError,
    Reason,
    TimestampOutOfTolerance,
    VerificationError,
)
from frappe_hooksig.headers import Headers
from frappe_hooksig.providers import FRAPPE
from frappe_hooksig.scheme import Presented, Scheme, require_scheme
from frappe_hooksig.secret import Secrets, redacted

#: The largest accepted body, in bytes: what Frappe itself takes.
MAX_BODY = 25 * 1024 * 1024


class Verifier:
    """Checks that requests come from who knows the secret. Made once, used for every request.

    Safe to share between threads: nothing in it changes.

    Args:
        secret: The shared secret; a list during a rotation, the newest first.
        scheme: How the sender lays out its signature.
        tolerance: How far a signed timestamp may be from now, either way, in seconds. By default
            the scheme's own (`Scheme.tolerance`).
        max_body: The largest accepted body, in bytes.
        clock: Returns now, in Unix seconds.

    Raises:
        ConfigurationError: The secret cannot be used, or a limit makes no sense.
    """

    __slots__ = ("_clock", "_keys", "_max_body", "_scheme", "_tolerance")

    def __init__(
        self,
        secret: Secrets | None,
        *,
        scheme: Scheme = FRAPPE,
        tolerance: float | None = None,
        max_body: int = MAX_BODY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        several = redacted(secret)
        del secret  # error reporters show the local variables of every frame
        require_scheme(scheme)
        if not (isinstance(max_body, int) and max_body >= 0):
            msg = "max_body is a number of bytes, from 0"
            raise ConfigurationError(msg)
        self._scheme = scheme
        self._tolerance = _tolerance(scheme, tolerance)
        self._max_body = max_body
        self._clock = clock
        self._keys = scheme.keys(several)

    @property
    def scheme(self) -> Scheme:
        """How the sender lays out its signature."""
        return self._scheme

    @property
    def tolerance(self) -> float | None:
        """How far a signed timestamp may be from now, in seconds; None if none is signed."""
        return self._tolerance

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
            url: The URL as registered with the sender; looked at only if the scheme signs it.

        Raises:
            VerificationError: The request must not be trusted; `reason` says why.
            TypeError: The body is not bytes.
            ConfigurationError: The scheme signs the method or the URL, and it was not given.
        """
        if not isinstance(body, bytes):
            raise _not_bytes(body)
        return self.verify_presented(body, self._scheme.parse(headers, method=method, url=url))

    def verify_presented(self, body: bytes, presented: Presented) -> Delivery:
        """Do what `verify()` does once the headers are parsed.

        For receivers that must refuse bad headers before they read a body:
        `verifier.verify_presented(read_body(), verifier.scheme.parse(headers))`.

        Raises:
            VerificationError: The request must not be trusted; `reason` says why.
            TypeError: The body is not bytes.
            ConfigurationError: The headers were parsed by another scheme.
        """
        if not isinstance(body, bytes):
            raise _not_bytes(body)
        if presented.scheme is not self._scheme:
            msg = f"the headers were read as {presented.scheme.name!r}, not {self._scheme.name!r}"
            raise ConfigurationError(msg)
        if len(body) > self._max_body:
            raise BodyTooLarge(self._max_body)
        key_id, mistake = self._judge(body, presented)
        if key_id is None:
            reason = Reason.WRONG_ENCODING if mistake else Reason.SIGNATURE_MISMATCH
            raise VerificationError(reason, self._scheme.signature_headers[0], mistake)
        if self._tolerance is not None:
            signed_at = nan if presented.timestamp is None else presented.timestamp
            age = self._clock() - signed_at
            # Written so that NaN, from the clock or for a time that is not there, is refused.
            if not -self._tolerance <= age <= self._tolerance:
                raise TimestampOutOfTolerance(age, self._tolerance, self._scheme.timestamp_place)
        return Delivery(body, presented, key_id)

    def _judge(self, body: bytes, presented: Presented) -> tuple[str | int | None, str]:
        """Return the id of the key that signed, else how the signature was misspelt if it was.

        The expected MACs stay in here: whoever raises shows its local variables to error reporters.
        """
        signatures = presented.signatures
        if self._scheme.encoding == "hex":
            signatures = [signature.lower() for signature in signatures]
        macs: list[bytes] = []
        matched: str | int | None = None
        for key in self._keys:
            mac = key.mac(presented.before, body, presented.after)
            macs.append(mac)
            expected = self._scheme.encode(mac)
            for signature in signatures:
                if compare_digest(expected, signature) and matched is None:
                    matched = key.id
        if matched is not None:
            return matched, ""
        for mac in macs:
            for spelling, mistake in self._scheme.encode_wrongly(mac):
                for signature in presented.signatures:
                    if compare_digest(spelling, signature):
                        return None, mistake
        return None, ""

    def __repr__(self) -> str:
        if not hasattr(self, "_keys"):  # error reporters show a half-made one too
            return "<Verifier, refused>"
        return (
            f"Verifier(<{len(self._keys)} secrets>, scheme={self._scheme.name!r}, "
            f"tolerance={self._tolerance}, max_body={self._max_body})"
        )


def verify_payload(
    body: bytes,
    headers: Headers,
    secret: Secrets | None,
    *,
    scheme: Scheme = FRAPPE,
    tolerance: float | None = None,
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
        max_body: The largest accepted body, in bytes.
        clock: Returns now, in Unix seconds.
        method: The HTTP method; looked at only if the scheme signs it.
        url: The URL as registered with the sender; looked at only if the scheme signs it.

    Raises:
        VerificationError: The request must not be trusted; `reason` says why.
        ConfigurationError: The secret cannot be used, or an option makes no sense.
        TypeError: The body is not bytes.
    """
    verifier = Verifier(secret, scheme=scheme, tolerance=tolerance, max_body=max_body, clock=clock)
    del secret  # as in Verifier.__init__
    return verifier.verify(body, headers, method=method, url=url)


def _not_bytes(body: object) -> TypeError:
    """Return the error that says what to hand over instead."""
    return TypeError(
        f"the body is {type(body).__name__}, not bytes: what was signed is the raw body, before "
        "any parsing (Flask request.get_data(), Django request.body, Starlette await "
        "request.body(), Frappe frappe.request.get_data())"
    )


def _tolerance(scheme: Scheme, given: float | None) -> float | None:
    """Return the tolerance that holds, in seconds; None if there is no time to check."""
    if not scheme.signs_timestamp:
        if given is not None:
            msg = f"tolerance has nothing to check: scheme {scheme.name!r} signs no timestamp"
            raise ConfigurationError(msg)
        return None
    tolerance = scheme.tolerance if given is None else given
    if not (isinstance(tolerance, int | float) and isfinite(tolerance) and tolerance > 0):
        msg = "tolerance is a positive number of seconds: without it, old requests can be replayed"
        raise ConfigurationError(msg)
    return tolerance
