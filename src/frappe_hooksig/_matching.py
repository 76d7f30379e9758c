"""Match signatures: find the secret that signed a request, and check its timestamp."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from hmac import compare_digest
from math import nan

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
        "_is_hex",
        "_scheme",
        "_wire",
        "keys",
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
        self._is_hex = scheme.encoding == "hex"
        self._clock = clock
        self.max_body = checked_max_body(max_body)
        self.tolerance = checked_tolerance(scheme, tolerance, timestamp_from)
        self.timestamp_from = timestamp_from
        self.keys = make_keys(several, scheme)
        self._has_windows = any(key.window != ALWAYS for key in self.keys)

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
        return self.match(self.keys, body, parsed)

    def match(self, keys: Sequence[Key], body: bytes, parsed: ParsedHeaders) -> Delivery:
        """Return the delivery if a key signed it and its timestamp is within the tolerance.

        Args:
            keys: The attribute `keys`, or copies of these keys that have already read the start of
                the signed content.
            body: The body, or the rest of it.
            parsed: The parsed headers.

        Raises:
            VerificationError: The request must not be trusted; `reason` says why.
        """
        valid = keys
        if self._has_windows:
            now = self._clock()
            valid = [key for key in keys if key.is_valid_at(now)]
        key, mistake = self._matching_key(valid, body, parsed)
        if key is None:
            raise self._mismatch(keys, valid, body, parsed, mistake)
        if key is not valid[0]:
            self._log_old(key)
        delivery = Delivery(body, key.secret_id, parsed)
        if self.tolerance is not None:
            now = self._clock()
            if self.timestamp_from is not None:
                scheme, signatures, _, delivery_id, before, after = parsed
                time = found_time(self.timestamp_from, delivery, now)
                parsed = (scheme, signatures, time, delivery_id, before, after)
                delivery = Delivery(body, key.secret_id, parsed)
            timestamp = parsed[2]  # unpacking all of it takes longer
            age = now - (nan if timestamp is None else timestamp)
            # This form of the comparison refuses NaN, from the clock or for a missing timestamp.
            if not -self.tolerance <= age <= self.tolerance:
                raise TimestampOutOfTolerance(age, self.tolerance, self._wire.timestamp_place)
        return delivery

    def _matching_key(  # noqa: C901  # one function: the expected MACs must not leave it
        self, keys: Sequence[Key], body: bytes, parsed: ParsedHeaders
    ) -> tuple[Key | None, str]:
        """Return the key that signed. Without one, return None and the wrong encoding, if any.

        The expected MACs must not leave this function. When an error is raised, error reporters
        show the local variables of every frame.
        """
        _, signatures, _, _, before, after = parsed
        encode = self._wire.encode
        is_hex = self._is_hex
        macs: list[Hash] = []
        matched: Key | None = None
        for key in keys:
            inner = key.start()  # Key.mac() inlined, which saves a call
            if before:
                inner.update(before)
            inner.update(body)
            if after:
                inner.update(after)
            mac = key.end()
            mac.update(inner.digest())
            macs.append(mac)
            for signature in signatures:
                given = signature.lower() if is_hex else signature
                # The expected MAC is in no variable: a signal handler may raise in here.
                if compare_digest(encode(mac), given) and matched is None:
                    matched = key
        if matched is not None or not self._scheme.signs_body:
            return matched, ""
        for mac in macs:
            for spelling, mistake in self._wire.misspellings(mac.digest()):
                for signature in signatures:
                    if compare_digest(spelling, signature):
                        return None, mistake
        return None, ""

    def _mismatch(
        self,
        keys: Sequence[Key],
        valid: Sequence[Key],
        body: bytes,
        parsed: ParsedHeaders,
        mistake: str,
    ) -> VerificationError:
        """Return the error that explains why no key matched."""
        reason, detail = Reason.WRONG_ENCODING, mistake
        if not mistake:
            reason = Reason.SIGNATURE_MISMATCH
            others = [key for key in keys if key not in valid]
            if self._matching_key(others, body, parsed)[0] is not None:
                detail = (
                    "matches a secret that is not valid now: check its not_before and not_after"
                )
            elif not self._scheme.signs_body:
                detail = "does not match the secret: the sender sent another one"
        return VerificationError(reason, self._scheme.signature_headers[0], detail)

    def _log_old(self, key: Key) -> None:
        """Log that the sender still uses an older secret."""
        import logging  # here, because it is rarely needed and doubles the time of the import

        message = "scheme %r: a delivery was signed with %s only, which is not the newest secret"
        logging.getLogger("frappe_hooksig").warning(message, self._scheme.name, key.name)
