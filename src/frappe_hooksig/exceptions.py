"""All exceptions of the package, and `Reason`, the codes of refusals."""

from __future__ import annotations

from enum import Enum
from typing import Literal

__all__ = [
    "BodyTooLarge",
    "ConfigurationError",
    "EndpointNotActive",
    "HooksigError",
    "IdempotencyConflict",
    "MalformedPayload",
    "PayloadError",
    "RawBodyUnavailable",
    "Reason",
    "SecretWarning",
    "StoreError",
    "TimestampOutOfTolerance",
    "UnknownRecord",
    "VerificationError",
]


class Reason(str, Enum):
    """Stable codes for why a request was refused. You may log, count and send them."""

    #: A header that the scheme needs is absent, so the request is unsigned.
    MISSING_HEADER = "missing-header"
    #: A header cannot be read. For example, it is empty, or its signature has an impossible length.
    MALFORMED_HEADER = "malformed-header"
    #: A header that must be unique occurs twice, or a server joined two of them with a comma.
    DUPLICATE_HEADER = "duplicate-header"
    #: The signature is right but in the wrong encoding, such as hex instead of base64.
    WRONG_ENCODING = "wrong-encoding"
    #: No secret gives this signature for this body.
    SIGNATURE_MISMATCH = "signature-mismatch"
    #: The request was sent to a URL that is not registered with the sender.
    UNKNOWN_URL = "unknown-url"
    #: The timestamp does not have the scheme's format.
    MALFORMED_TIMESTAMP = "malformed-timestamp"
    #: The signature is right, but its timestamp is older than the tolerance.
    TIMESTAMP_TOO_OLD = "timestamp-too-old"
    #: The signature is right, but its timestamp is further in the future than the tolerance.
    TIMESTAMP_IN_FUTURE = "timestamp-in-future"
    #: The body is larger than `max_body`.
    BODY_TOO_LARGE = "body-too-large"

    @property
    def status(self) -> int:
        """The HTTP status to answer with, one of 400, 401 and 413."""
        return _STATUSES.get(self, 401)

    def __str__(self) -> str:
        return self.value


_STATUSES = {
    Reason.MALFORMED_HEADER: 400,
    Reason.DUPLICATE_HEADER: 400,
    Reason.MALFORMED_TIMESTAMP: 400,
    Reason.BODY_TOO_LARGE: 413,
}


class HooksigError(Exception):
    """Base of every exception that this package raises on purpose."""


class ConfigurationError(HooksigError, ValueError):
    """A secret, a scheme or an option is wrong. It is never the sender's fault."""


class UnknownRecord(ConfigurationError):
    """An outbox has no endpoint, message or delivery with this id. An API answers it with HTTP 404.

    What belongs to another tenant than `tenant=` is as unknown as what does not exist.

    Attributes:
        kind: `endpoint`, `message` or `delivery`.
        id: The id, as it was given.
    """

    def __init__(self, kind: Literal["endpoint", "message", "delivery"], id: object) -> None:  # noqa: A002
        super().__init__(kind, id)  # what pickle hands back to __init__
        self.kind: Literal["endpoint", "message", "delivery"] = kind
        self.id = id

    def __str__(self) -> str:
        if isinstance(self.id, str):
            return f"there is no {self.kind} {self.id[:_LONGEST_ID]!a}"
        if isinstance(self.id, int) and self.id.bit_length() < _LONGEST_ID:
            return f"there is no {self.kind} {self.id}"
        return f"there is no {self.kind} with such an id ({type(self.id).__name__})"


class EndpointNotActive(ConfigurationError):
    """An endpoint is paused or disabled, so it gets no test. Resume it first.

    Attributes:
        endpoint_id: The id of the endpoint.
        state: `paused` or `disabled`.
    """

    def __init__(self, endpoint_id: str, state: str) -> None:
        super().__init__(endpoint_id, state)  # pickle passes these to __init__
        self.endpoint_id = endpoint_id
        self.state = state

    def __str__(self) -> str:
        return f"the endpoint {self.endpoint_id} is {self.state}: resume it first"


class PayloadError(HooksigError, ValueError):
    """A payload cannot be serialised for signing, or a verified body cannot be parsed."""


class MalformedPayload(PayloadError):
    """A verified body is not the JSON that the handler needs. The sender is at fault: HTTP 400."""


class IdempotencyConflict(HooksigError, ValueError):
    """An idempotency key was used before, for another event. An API answers it with HTTP 409."""


class StoreError(HooksigError):
    """A store is full or cannot be reached. The delivery is not handled: HTTP 503."""


class RawBodyUnavailable(HooksigError, RuntimeError):
    """Something read the body before it was verified. The app is at fault: HTTP 500."""


class SecretWarning(UserWarning):
    """A secret can be used, but is probably wrong. The message says what to check."""


_SENTENCES = {
    Reason.MISSING_HEADER: "no {header} header{detail}",
    Reason.MALFORMED_HEADER: "{header} cannot be read: {detail}",
    Reason.DUPLICATE_HEADER: (
        "{header} occurs more than once (a server may have joined the two with a comma)"
    ),
    Reason.WRONG_ENCODING: "{header} holds the right signature, but as {detail}",
    Reason.SIGNATURE_MISMATCH: "{header} {detail}",
    Reason.UNKNOWN_URL: "the request's URL is not one of the registered ones (url=)",
    Reason.MALFORMED_TIMESTAMP: "the timestamp in {header} is not {detail}",
}

# What a sentence says if there is no detail.
_DETAILS = {
    Reason.MISSING_HEADER: ": the request is unsigned, or a proxy dropped it",
    Reason.SIGNATURE_MISMATCH: (
        "does not match the body: another secret was used, "
        "or the body was changed or serialised anew after signing"
    ),
}

_LONGEST_ID = 64  # characters that are shown, and bits

# No two plausible clocks are this far apart, in seconds: 3170 years.
_OTHER_UNIT = 1e11


class VerificationError(HooksigError):
    """The request must not be trusted. Respond with `status`, and do not handle it.

    Attributes:
        reason: The stable code.
        header: Name of the header to check; None if the reason is in the body or the URL.
    """

    def __init__(
        self,
        reason: Reason,
        header: str | None = None,
        detail: str = "",
        private_detail: str = "",
    ) -> None:
        super().__init__(reason, header, detail, private_detail)
        self.reason = reason
        self.header = header
        self._detail = detail  # our own words: never contains request or secret data
        self._private_detail = private_detail  # may contain a URL, escaped, and no secret

    @property
    def status(self) -> int:
        """The HTTP status to answer with, one of 400, 401 and 413."""
        return self.reason.status

    @property
    def message(self) -> str:
        """The error as one sentence, which the sender may see.

        It never contains request or secret data, nor anything that you have configured.
        """
        sentence = _SENTENCES.get(self.reason, self.reason.value)
        detail = self._detail or _DETAILS.get(self.reason, "")
        return sentence.format(header=self.header or "the body", detail=detail)

    @property
    def log_message(self) -> str:
        """The message with what only your log may show, such as the URL that was verified.

        It never contains a secret. Text of the request is escaped and cut off.
        """
        return f"{self.message}; {self._private_detail}" if self._private_detail else self.message

    def __str__(self) -> str:
        return self.message


class TimestampOutOfTolerance(VerificationError):
    """The signature is right, but was made too long ago or in the future.

    `header` names the header with the timestamp. It is None if the timestamp is in the body
    (`timestamp_from=`).

    Attributes:
        age: Seconds since signing; negative if the sender's clock is ahead.
        tolerance: The largest accepted distance from now, in seconds.
    """

    def __init__(self, age: float, tolerance: float, header: str | None = None) -> None:
        late = age > 0
        super().__init__(Reason.TIMESTAMP_TOO_OLD if late else Reason.TIMESTAMP_IN_FUTURE, header)
        self.args = (age, tolerance, header)  # pickle passes these to __init__
        self.age = age
        self.tolerance = tolerance

    @property
    def message(self) -> str:
        """The error as one sentence."""
        side = "ago" if self.age > 0 else "ahead of this clock"
        hint = ": is it in milliseconds?" if self.age < -_OTHER_UNIT else ""
        return (
            f"the timestamp in {self.header or 'the body'} is {abs(self.age):.0f} s {side}, "
            f"tolerance {self.tolerance:g} s{hint}"
        )


class BodyTooLarge(VerificationError):
    """The body is larger than the limit.

    Attributes:
        limit: The largest accepted body (`max_body`), in bytes.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(Reason.BODY_TOO_LARGE)
        self.args = (limit,)  # pickle passes these to __init__
        self.limit = limit

    @property
    def message(self) -> str:
        """The error as one sentence."""
        return f"the body is larger than {self.limit} bytes (max_body, or the app's own limit)"
