"""What can go wrong, and why: every exception of the package, and `Reason`."""

from __future__ import annotations

from enum import Enum


class Reason(str, Enum):
    """Why a request was refused: stable codes, safe to log, to count and to answer with."""

    #: A header that the scheme needs is absent: the request is unsigned.
    MISSING_HEADER = "missing-header"
    #: A header is there but cannot be read: empty, not ASCII, no prefix, too many signatures.
    MALFORMED_HEADER = "malformed-header"
    #: A header that must be unique came twice, or was joined from two with a comma.
    DUPLICATE_HEADER = "duplicate-header"
    #: The right signature in the wrong alphabet, such as hex where base64 belongs.
    WRONG_ENCODING = "wrong-encoding"
    #: No secret gives this signature for this body.
    SIGNATURE_MISMATCH = "signature-mismatch"
    #: The request was sent to another URL than those that are registered with the sender.
    UNKNOWN_URL = "unknown-url"
    #: The timestamp is not written as the scheme demands.
    MALFORMED_TIMESTAMP = "malformed-timestamp"
    #: Rightly signed, but longer ago than the tolerance.
    TIMESTAMP_TOO_OLD = "timestamp-too-old"
    #: Rightly signed, but further ahead than the tolerance.
    TIMESTAMP_IN_FUTURE = "timestamp-in-future"
    #: The body is larger than `max_body`.
    BODY_TOO_LARGE = "body-too-large"

    def __str__(self) -> str:
        return self.value


class HooksigError(Exception):
    """Every exception that this package raises on purpose."""


class ConfigurationError(HooksigError, ValueError):
    """The program is set up wrongly: a secret, a scheme or an option. Never the sender's fault."""


class PayloadError(HooksigError, ValueError):
    """A payload cannot be serialised to be signed, or parsed after it was verified."""


class MalformedPayload(PayloadError):
    """A verified body is not the JSON that the handler asked for: HTTP 400, the sender's fault."""


class StoreError(HooksigError):
    """A store of deliveries is full or cannot be reached: HTTP 503, and nothing is handled."""


class RawBodyUnavailable(HooksigError, RuntimeError):
    """Something read the request body before it could be verified: HTTP 500, the app's fault."""


_SENTENCES = {
    Reason.MISSING_HEADER: "no {header} header: the request is unsigned, or a proxy dropped it",
    Reason.MALFORMED_HEADER: "{header} cannot be read: {detail}",
    Reason.DUPLICATE_HEADER: "{header} occurs more than once",
    Reason.WRONG_ENCODING: "{header} holds the right signature, but as {detail}",
    Reason.SIGNATURE_MISMATCH: (
        "{header} does not match the body: another secret was used, "
        "or the body was changed or serialised anew after signing"
    ),
    Reason.UNKNOWN_URL: "the request's URL is none of those that are registered (url=)",
    Reason.MALFORMED_TIMESTAMP: "the timestamp in {header} is not {detail}",
}


class VerificationError(HooksigError):
    """The request must not be trusted.

    Attributes:
        reason: The stable code.
        header: Name of the header to look at, or None where it is not about a header, but about
            the body.
        detail: What is wrong with it. Holds nothing that the sender or the secret decides.
    """

    def __init__(self, reason: Reason, header: str | None = None, detail: str = "") -> None:
        super().__init__(reason, header, detail)
        self.reason = reason
        self.header = header
        self.detail = detail

    def __str__(self) -> str:
        if self.reason is Reason.SIGNATURE_MISMATCH and self.detail:
            return f"{self.header} {self.detail}"
        sentence = _SENTENCES.get(self.reason, self.reason.value)
        return sentence.format(header=self.header or "the body", detail=self.detail)


class TimestampOutOfTolerance(VerificationError):
    """The signature is right, but was made too long ago or in the future.

    So says a header, or the body (`signed_at=`), and then `header` is None.

    Attributes:
        age: Seconds since signing; negative if the sender's clock is ahead.
        tolerance: The largest accepted distance from now, in seconds.
    """

    def __init__(self, age: float, tolerance: float, header: str | None = None) -> None:
        late = age > 0
        super().__init__(Reason.TIMESTAMP_TOO_OLD if late else Reason.TIMESTAMP_IN_FUTURE, header)
        self.args = (age, tolerance, header)  # what pickle hands back to __init__
        self.age = age
        self.tolerance = tolerance

    def __str__(self) -> str:
        side = "ago" if self.age > 0 else "ahead of this clock"
        return (
            f"the timestamp in {self.header or 'the body'} is {abs(self.age):.0f} s {side}, "
            f"tolerance {self.tolerance:g} s"
        )


class BodyTooLarge(VerificationError):
    """The body is larger than accepted.

    Attributes:
        limit: The largest accepted body (`max_body`), in bytes.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(Reason.BODY_TOO_LARGE)
        self.args = (limit,)  # what pickle hands back to __init__
        self.limit = limit

    def __str__(self) -> str:
        return f"the body is larger than {self.limit} bytes (max_body, or the app's own limit)"
