"""What a sender is answered whose request does not come to a handler: in every adapter the same."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass

from frappe_hooksig.exceptions import (
    HooksigError,
    MalformedPayload,
    Reason,
    StoreError,
    VerificationError,
)

_log = logging.getLogger("frappe_hooksig")

# What a sender that heeds it waits, in seconds. Frappe does not.
_RETRY_AFTER = 5

_STATUS = {
    Reason.MISSING_HEADER: 401,
    Reason.WRONG_ENCODING: 401,
    Reason.SIGNATURE_MISMATCH: 401,
    Reason.UNKNOWN_URL: 401,
    Reason.TIMESTAMP_TOO_OLD: 401,
    Reason.TIMESTAMP_IN_FUTURE: 401,
    Reason.MALFORMED_HEADER: 400,
    Reason.DUPLICATE_HEADER: 400,
    Reason.MALFORMED_TIMESTAMP: 400,
    Reason.BODY_TOO_LARGE: 413,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, for the framework to give in its own way.

    Attributes:
        status: The HTTP status.
        headers: The headers, Content-Type among them.
        content: What it says.
    """

    status: int
    headers: dict[str, str]
    content: dict[str, str]

    @property
    def body(self) -> bytes:
        """The content as JSON."""
        return json.dumps(self.content).encode()


def refusal(error: VerificationError | MalformedPayload) -> Answer:
    """Return the HTTP answer to a request that is refused, and log the reason, nothing else.

    JSON, because Frappe 13 parses the answer, and with the reason, because Frappe keeps the answer
    in its Webhook Request Log, where the sender's administrator looks.
    """
    if isinstance(error, VerificationError):
        reason, status = error.reason.value, _STATUS[error.reason]
    else:
        reason, status = "malformed-payload", 400
    _log.info("webhook refused: %s", reason)
    content = {"status": "refused", "reason": reason, "message": str(error)}
    headers = {"Content-Type": "application/json"}
    if isinstance(error, VerificationError) and status == 401:  # noqa: PLR2004
        # Without a header, it is about a time in the body.
        place = f' header="{error.header}"' * (error.header is not None)
        headers["WWW-Authenticate"] = f"Webhook-Signature{place}"
    return Answer(status, headers, content)


def failure(error: Exception) -> Answer:
    """Return the HTTP answer if it is our side that cannot verify, and log why.

    For frameworks that would show a stranger what was raised; others answer HTTP 500 by themselves.
    """
    is_explained = isinstance(error, HooksigError)
    _log.error("webhook not verified: %s", error, exc_info=None if is_explained else error)
    message = "The receiver cannot verify webhooks now; its log says why"
    content = {"status": "failed", "reason": "receiver-failed", "message": message}
    return Answer(500, {"Content-Type": "application/json"}, content)


def duplicate() -> Answer:
    """Return the HTTP answer to a repeat of what was handled: success, or it would come again."""
    content = {"status": "duplicate", "message": "This delivery was handled before"}
    return Answer(200, {"Content-Type": "application/json"}, content)


def in_flight() -> Answer:
    """Return the HTTP answer to a repeat of what is being handled: it may have to come again."""
    _log.info("webhook put off: in-flight")
    return _put_off(409, "in-flight", "This delivery is being handled; send it again")


def unavailable(error: StoreError) -> Answer:
    """Return the HTTP answer if nobody can tell whether it is a repeat, and log why."""
    _log.error("webhook put off: %s", error)
    return _put_off(503, "store-unavailable", "The receiver cannot take deliveries now")


def _put_off(status: int, reason: str, message: str) -> Answer:
    headers = {"Content-Type": "application/json", "Retry-After": str(_RETRY_AFTER)}
    return Answer(status, headers, {"status": "refused", "reason": reason, "message": message})
