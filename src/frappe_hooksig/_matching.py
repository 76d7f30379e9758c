"""Match signatures: find the secret that signed a request, and check its timestamp."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from copy import copy
from math import nan

from frappe_hooksig._compiled import Match, compiled_match
from frappe_hooksig._compression import Decompression, GzipHeaders
from frappe_hooksig._headers import Headers
from frappe_hooksig._keys import Hash, Key, TextHash, make_keys
from frappe_hooksig._raw_body import MAX_BODY, checked_max_body, raw_bytes
from frappe_hooksig._secret_checks import ALWAYS, Origin
from frappe_hooksig._tolerance import TimestampFrom, checked_tolerance, found_time
from frappe_hooksig._wire import ParsedHeaders, wire_of
from frappe_hooksig.delivery import Delivery
from frappe_hooksig.exceptions import (
    BodyTooLarge,
    Reason,
    TimestampOutOfTolerance,
    VerificationError,
)
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secret


class Matcher:
    """Matches bodies against their parsed headers, with the keys of one verifier.

    Args:
        several: The secrets, from `redacted()`.
        scheme: As for `Verifier`.
        tolerance: As for `Verifier`.
        timestamp_from: As for `Verifier`.
        max_body: As for `Verifier`.
        clock: As for `Verifier`.
        origin: Where the secrets come from, for messages; None for the caller's arguments.
        is_stand_in: Whether the secrets stand in for those of an unknown sender. Only the log says
            so.
        fills_up: Whether each secret costs the same work, in whichever of the scheme's formats it
            is written.

    Attributes:
        clock: Returns the current time, in Unix seconds.
        keys: The keys of the secrets, in the same order.
        max_body: The largest accepted body, in bytes.
        tolerance: How far a delivery's timestamp may be from now, in seconds. None if there is no
            timestamp to check.
        timestamp_from: Function that reads a delivery's timestamp from its body, or None.

    Raises:
        ConfigurationError: A secret cannot be used, or an option is invalid or does not fit the
            scheme.
    """

    __slots__ = (
        "_has_windows",
        "_is_stand_in",
        "_scheme",
        "_wire",
        "clock",
        "keys",
        "match",
        "max_body",
        "timestamp_from",
        "tolerance",
    )

    def __init__(
        self,
        several: Sequence[Secret],
        *,
        scheme: Scheme,
        tolerance: float | None = None,
        timestamp_from: TimestampFrom | None = None,
        max_body: int = MAX_BODY,
        clock: Callable[[], float] = time.time,
        origin: Origin | None = None,
        is_stand_in: bool = False,
        fills_up: bool = False,
    ) -> None:
        self._is_stand_in = is_stand_in
        self._wire = wire_of(scheme)
        self._scheme = scheme
        self.max_body = checked_max_body(max_body)
        self.tolerance = checked_tolerance(scheme, tolerance, timestamp_from)
        self.timestamp_from = timestamp_from
        self.keys = make_keys(several, scheme, origin, fills_up=fills_up)
        self._has_windows = any(key.window != ALWAYS for key in self.keys)
        self._set_clock(clock)

    def _set_clock(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.match: Match = self.macs
        if len(self.keys) == 1 and not self._has_windows and self.timestamp_from is None:
            encoding = self._scheme.encoding
            self.match = compiled_match(
                self.keys[0], encoding, Delivery, tolerance=self.tolerance, clock=clock
            )

    def with_clock(self, clock: Callable[[], float]) -> Matcher:
        """Return a matcher with the same keys and another clock."""
        other = copy(self)
        other._set_clock(clock)  # noqa: SLF001  # ours
        return other

    def verify(
        self,
        body: bytes | bytearray | memoryview,
        parsed: ParsedHeaders,
        headers: Headers,
        url: str | None,
    ) -> Delivery:
        """Check the type and size of a body, match its signature, and return the delivery.

        Args:
            body: The body.
            parsed: The parsed headers.
            headers: As for `judge()`.
            url: As for `judge()`.

        Raises:
            VerificationError: The request must not be trusted; `reason` says why.
            TypeError: The body is not bytes.
        """
        raw = raw_bytes(body)
        if len(raw) > self.max_body:
            raise BodyTooLarge(self.max_body)
        content = self.decoded(raw, parsed)
        found = self.match(content, parsed)
        if isinstance(found, list):
            return self.judge(found, content, parsed, size=len(raw), headers=headers, url=url)
        return found

    def decoded(self, body: bytes, parsed: ParsedHeaders) -> bytes:
        """Return the body as it was signed: decompressed, if the sender compressed it afterwards.

        Raises:
            VerificationError: The body cannot be decompressed, or becomes larger than `max_body`.
        """
        if not isinstance(parsed, GzipHeaders):
            return body
        decompression = Decompression(self.max_body)
        found = decompression.feed(body)
        decompression.finish()
        return found

    def macs(self, body: bytes, parsed: ParsedHeaders) -> list[Hash]:
        """Return the MAC of each key, as a hash. Unlike its bytes, a frame may show the hash."""
        _, (_, _, _, before, after) = parsed
        return [key.mac(before, body, after) for key in self.keys]

    def judge(
        self,
        macs: Sequence[Hash],
        body: bytes,
        parsed: ParsedHeaders,
        *,
        size: int,
        headers: Headers,
        url: str | None,
    ) -> Delivery:
        """Return the delivery if a valid key signed it and its timestamp is within the tolerance.

        Args:
            macs: The MAC of each key, from `macs()`.
            body: The body, from `decoded()`; empty if it came in chunks.
            parsed: The parsed headers.
            size: The length of the body, in bytes.
            headers: The headers, to find out why the signature does not match.
            url: The URL that was verified, if the scheme signs it.

        Raises:
            VerificationError: The request must not be trusted; `reason` says why.
        """
        signatures, envelope = parsed
        valid, matching = self._valid_keys(), self._matching_keys(macs, signatures)
        key = next((each for each in matching if each in valid), None)
        if key is None:
            usable = [mac for each, mac in zip(self.keys, macs, strict=True) if each in valid]
            raise self._mistake(usable, signatures, was_valid=bool(matching)) or self._mismatch(
                size, headers, url
            )
        if key.place != valid[0].place:
            self._log_old(key)
        delivery = Delivery(body, key.secret_id, envelope)
        if self.tolerance is None:
            return delivery
        now = self.clock()
        if self.timestamp_from is not None:
            scheme, _, delivery_id, before, after = envelope
            time = found_time(self.timestamp_from, delivery, now)
            delivery = Delivery(body, key.secret_id, (scheme, time, delivery_id, before, after))
        age = now - (nan if delivery.timestamp is None else delivery.timestamp)
        # This form of the comparison refuses NaN, from the clock or for a missing timestamp.
        if not -self.tolerance <= age <= self.tolerance:
            raise TimestampOutOfTolerance(age, self.tolerance, self._wire.timestamp_place)
        return delivery

    def _valid_keys(self) -> list[Key]:
        if not self._has_windows:
            return self.keys
        now = self.clock()
        return [key for key in self.keys if key.is_valid_at(now)]

    def _matching_keys(self, macs: Sequence[Hash], signatures: Sequence[bytes]) -> list[Key]:
        """Return the keys that signed, whether they are valid now or not. Compare all of them."""
        pairs = [*zip(self.keys, macs, strict=True)]
        return [key for key, mac in pairs if self._wire.matches(mac, signatures)]

    def _mistake(
        self, macs: Sequence[Hash], signatures: Sequence[bytes], *, was_valid: bool
    ) -> VerificationError | None:
        """Return the error for a mistake that the MACs of the valid keys prove, if there is one."""
        scheme = self._scheme
        header = scheme.signature_headers[0]
        for mac in macs:
            mistake = self._wire.mistake_in(mac, signatures)
            if mistake is not None:
                detail = f"{mistake}, not {scheme.encoding} (scheme {scheme.name!r})"
                return VerificationError(Reason.WRONG_ENCODING, header, detail)
        if was_valid:
            detail = "matches a secret that is not valid now: check its not_before and not_after"
        elif any(isinstance(mac, TextHash) and not mac.is_text for mac in macs):
            detail = (
                "proves nothing: the body is not UTF-8 or has a NUL byte, "
                "and a bare hash protects only text"
            )
        else:
            return None
        return VerificationError(Reason.SIGNATURE_MISMATCH, header, detail)

    def _mismatch(self, size: int, headers: Headers, url: str | None) -> VerificationError:
        from frappe_hooksig._clues import mismatch  # here, because only refusals need it

        stand_in = "secret= returned no secret for this sender" if self._is_stand_in else ""
        return mismatch(self._scheme, headers, size, url, stand_in)

    def _log_old(self, key: Key) -> None:
        """Log that the sender still uses an older secret."""
        import logging  # here, because it is rarely needed and doubles the time of the import

        message = "scheme %r: a delivery was signed with %s only, which is not the newest secret"
        logging.getLogger("frappe_hooksig").warning(message, self._scheme.name, key.name)
