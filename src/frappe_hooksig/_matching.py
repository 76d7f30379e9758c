"""Match signatures: find the secret that signed a request, and check its timestamp."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import nan

from frappe_hooksig._compiled import Match, compiled_match
from frappe_hooksig._keys import Hash, Key, make_keys
from frappe_hooksig._raw_body import MAX_BODY, checked_max_body, not_raw
from frappe_hooksig._secret_checks import ALWAYS
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

    Attributes:
        keys: One key for each secret, in the same order.
        max_body: The largest accepted body, in bytes.
        tolerance: How far a delivery's timestamp may be from now, in seconds. None if there is no
            timestamp to check.
        timestamp_from: Function that reads a delivery's timestamp from its body, or None.

    Raises:
        ConfigurationError: A secret cannot be used, or an option is invalid or does not fit the
            scheme.
    """

    __slots__ = (
        "_clock",
        "_has_windows",
        "_scheme",
        "_wire",
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
    ) -> None:
        self._wire = wire_of(scheme)
        self._scheme = scheme
        self._clock = clock
        self.max_body = checked_max_body(max_body)
        self.tolerance = checked_tolerance(scheme, tolerance, timestamp_from)
        self.timestamp_from = timestamp_from
        self.keys = make_keys(several, scheme)
        self._has_windows = any(key.window != ALWAYS for key in self.keys)
        self.match: Match = self.macs
        if len(self.keys) == 1 and not self._has_windows and timestamp_from is None:
            self.match = compiled_match(
                self.keys[0], scheme.encoding, Delivery, tolerance=self.tolerance, clock=clock
            )

    def verify(self, body: bytes, parsed: ParsedHeaders) -> Delivery:
        """Check the type and size of a body, match its signature, and return the delivery.

        Raises:
            VerificationError: The request must not be trusted; `reason` says why.
            TypeError: The body is not bytes.
        """
        if not isinstance(body, bytes):
            raise not_raw(body)
        if len(body) > self.max_body:
            raise BodyTooLarge(self.max_body)
        found = self.match(body, parsed)
        return self.judge(found, body, parsed) if isinstance(found, list) else found

    def macs(self, body: bytes, parsed: ParsedHeaders) -> list[Hash]:
        """Return the MAC of each key, as a hash. Unlike its bytes, a frame may show the hash."""
        _, (_, _, _, before, after) = parsed
        return [key.mac(before, body, after) for key in self.keys]

    def judge(self, macs: Sequence[Hash], body: bytes, parsed: ParsedHeaders) -> Delivery:
        """Return the delivery if a valid key signed it and its timestamp is within the tolerance.

        Args:
            macs: The MAC of each key, from `macs()`.
            body: The body; empty if it came in chunks.
            parsed: The parsed headers.

        Raises:
            VerificationError: The request must not be trusted; `reason` says why.
        """
        signatures, envelope = parsed
        valid, matching = self._valid_keys(), self._matching_keys(macs, signatures)
        key = next((each for each in matching if each in valid), None)
        if key is None:
            usable = [mac for each, mac in zip(self.keys, macs, strict=True) if each in valid]
            raise self._mismatch(usable, signatures, was_valid=bool(matching))
        if key is not valid[0]:
            self._log_old(key)
        delivery = Delivery(body, key.secret_id, envelope)
        if self.tolerance is None:
            return delivery
        now = self._clock()
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
        now = self._clock()
        return [key for key in self.keys if key.is_valid_at(now)]

    def _matching_keys(self, macs: Sequence[Hash], signatures: Sequence[bytes]) -> list[Key]:
        """Return the keys that signed, whether they are valid now or not. Compare all of them."""
        pairs = [*zip(self.keys, macs, strict=True)]
        return [key for key, mac in pairs if self._wire.matches(mac, signatures)]

    def _mismatch(
        self, macs: Sequence[Hash], signatures: Sequence[bytes], *, was_valid: bool
    ) -> VerificationError:
        """Return the error that explains why no valid key matched."""
        header = self._scheme.signature_headers[0]
        for mac in macs:
            mistake = self._wire.mistake_in(mac, signatures)
            if mistake is not None:
                return VerificationError(Reason.WRONG_ENCODING, header, mistake)
        detail = ""
        if was_valid:
            detail = "matches a secret that is not valid now: check its not_before and not_after"
        elif not self._scheme.signs_body:
            detail = "does not match the secret: the sender sent another one"
        return VerificationError(Reason.SIGNATURE_MISMATCH, header, detail)

    def _log_old(self, key: Key) -> None:
        """Log that the sender still uses an older secret."""
        import logging  # here, because it is rarely needed and doubles the time of the import

        message = "scheme %r: a delivery was signed with %s only, which is not the newest secret"
        logging.getLogger("frappe_hooksig").warning(message, self._scheme.name, key.name)
