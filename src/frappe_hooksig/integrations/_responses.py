"""Responses to requests that never reach a handler. They are the same in every adapter."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass

from frappe_hooksig.exceptions import (
    HooksigError,
    MalformedPayload,
    VerificationError,
)

_log = logging.getLogger("frappe_hooksig")

# The value of Retry-After, in seconds. Frappe's sender ignores the header.
_RETRY_AFTER = 5

_MALFORMED = 400
_UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class WebhookResponse:
    """An HTTP response that the adapter turns into one of its framework.

    Attributes:
        status: The HTTP status.
        headers: The headers, including Content-Type.
        content: The JSON object in the body. If it is empty, there is no body.
    """

    status: int
    headers: dict[str, str]
    content: dict[str, str]

    @property
    def body(self) -> bytes:
        """The content as JSON."""
        return json.dumps(self.content).encode() if self.content else b""

    def without_body(self) -> WebhookResponse:
        """Return the same response without its body, for senders that accept none."""
        headers = {**self.headers, "Content-Length": "0"}
        headers.pop("Content-Type", None)
        return WebhookResponse(self.status, headers, {})


def refusal(error: VerificationError | MalformedPayload) -> WebhookResponse:
    """Return the response to a refused request.

    The body is JSON, because Frappe 13 parses the response. It contains the reason, because Frappe
    keeps the response in its Webhook Request Log, where the sender's administrator looks.
    """
    if isinstance(error, VerificationError):
        reason, status = error.reason.value, error.status
    else:
        reason, status = "malformed-payload", _MALFORMED
    # Not the log_message, which strangers must not see.
    content = {"status": "refused", "reason": reason, "message": str(error)}
    headers = {"Content-Type": "application/json"}
    if isinstance(error, VerificationError) and status == _UNAUTHORIZED:
        # An error without a header concerns a timestamp in the body.
        place = f' header="{error.header}"' * (error.header is not None)
        headers["WWW-Authenticate"] = f"Webhook-Signature{place}"
    return WebhookResponse(status, headers, content)


def failure(error: Exception) -> WebhookResponse:
    """Return the response for a failure on the receiver's side, and log its cause.

    It is for frameworks that would show the exception to a stranger. Other frameworks respond with
    HTTP 500 by themselves.
    """
    is_explained = isinstance(error, HooksigError)
    _log.error("webhook not verified: %s", error, exc_info=None if is_explained else error)
    message = "The receiver cannot verify webhooks now; its log says why"
    content = {"status": "failed", "reason": "receiver-failed", "message": message}
    return WebhookResponse(500, {"Content-Type": "application/json"}, content)


def duplicate() -> WebhookResponse:
    """Return success for a repeat of a handled delivery, so that the sender stops retrying."""
    content = {"status": "duplicate", "message": "This delivery was handled before"}
    return WebhookResponse(200, {"Content-Type": "application/json"}, content)


def ignored(header: str) -> WebhookResponse:
    """Return success for a verified request whose event is not handled.

    Senders disable webhooks that are refused again and again.

    Args:
        header: The header that names the event.
    """
    message = f"The receiver does not handle this event ({header})"
    content = {"status": "ignored", "message": message}
    return WebhookResponse(200, {"Content-Type": "application/json"}, content)


def in_flight() -> WebhookResponse:
    """Return 409 for a repeat of a delivery in flight: if the handler fails, a retry is needed."""
    return _put_off(409, "in-flight", "This delivery is being handled; send it again")


def unavailable() -> WebhookResponse:
    """Return 503 if the store cannot tell whether a delivery is a repeat."""
    return _put_off(503, "store-unavailable", "The receiver cannot take deliveries now")


def _put_off(status: int, reason: str, message: str) -> WebhookResponse:
    headers = {"Content-Type": "application/json", "Retry-After": str(_RETRY_AFTER)}
    return WebhookResponse(
        status, headers, {"status": "refused", "reason": reason, "message": message}
    )
