"""What became of one attempt to deliver, and reading what a receiver answers."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Final, cast

from frappe_hooksig._escaping import escaped
from frappe_hooksig.exceptions import Reason
from frappe_hooksig.observe._attempt_event import Outcome

#: The longest answer that is kept, in bytes of its body.
LONGEST_ANSWER: Final = 4096

_SHOWN = 600  # characters of a message

# The reasons in the JSON answers of this package.
_REASONS: Final = frozenset(
    {
        *(reason.value for reason in Reason),
        *("in-flight", "malformed-payload", "receiver-failed", "store-unavailable"),
    }
)
_REDIRECTS: Final = {301, 302, 303, 307, 308}

#: How long a receiver may keep its sender waiting with Retry-After, in seconds: a day.
LONGEST_WAIT: Final = 86_400
_DELAY: Final = re.compile(r"[0-9]{1,20}")  # more digits are no number of seconds
# The three forms of a date (RFC 9110 section 5.6.7), roughly: the parser would take much else.
_DATE: Final = re.compile(r"[A-Z][a-z]{2,8},? [A-Za-z0-9 :-]{15,40}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """What became of one attempt to deliver a message.

    Attributes:
        outcome: `delivered` after a 2xx; `gone` after a 410, which says to send no more; `refused`
            after any other answer, also a redirect; `unreachable` if there was no whole answer, or
            a 2xx from a receiver that did not take the whole message; `blocked` if nothing was
            sent, because the URL cannot be used or leads to an address that the guard does not
            allow.
        id: The id of the message. Pass it to the next attempt. It is made even if the scheme has no
            header for it.
        status: The HTTP status of the answer; None if there was none.
        reason: A code. If the receiver answered like this package, it is a code of this package,
            such as `signature-mismatch`. If there was no answer, it is one of `timeout`,
            `name-not-found`, `name-server` (yours gave no answer), `connection`, `tls`, `no-http`,
            `proxy`, `address-not-allowed` and `bad-url`. Else it is empty.
        message: A sentence for the operator of the sender, in printable ASCII. A receiver that
            answers like this package, with such a code, chooses the sentence. No other answer is
            quoted, because pages about errors repeat the path, which may have a token. It may name
            an address of your network, so do not show it to those who chose the URL. It is empty
            after a 2xx without a code.
        answer: The start of the answer's body, decompressed: 4 KiB at most. It is what a stranger
            sent, and may repeat the path.
        retry_after: How long the receiver asks to wait, in seconds, up to a day; None if it does
            not.
        seconds: How long the attempt took.
        address: The address of the receiver; None if there was no connection.
    """

    outcome: Outcome
    id: str
    status: int | None = None
    reason: str = ""
    message: str = ""
    answer: bytes = field(default=b"", repr=False)
    retry_after: float | None = None
    seconds: float
    address: str | None = None

    @property
    def is_delivered(self) -> bool:
        """Whether the receiver has the message."""
        return self.outcome == "delivered"


def outcome_of(status: int) -> Outcome:
    """Return what an answer with this HTTP status says of the attempt."""
    if status in range(200, 300):
        return "delivered"
    return "gone" if status == 410 else "refused"  # noqa: PLR2004


def shown(message: str) -> str:
    """Return a message in printable ASCII, cut off after 600 characters."""
    return escaped(message, _SHOWN)


def reported(body: bytes) -> tuple[str, str]:
    """Return the reason and the message of an answer, if it is one of this package.

    Otherwise, both are empty: text of a stranger may repeat the request.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return "", ""
    if isinstance(content, dict):
        known = cast("dict[str, object]", content)
        reason, message = known.get("reason"), known.get("message")
        if isinstance(reason, str) and reason in _REASONS and isinstance(message, str):
            return reason, shown(message)
    return "", ""


def said(status: int, body: bytes) -> tuple[str, str]:
    """Return the reason and the message of an attempt that has an answer."""
    reason, message = reported(body)
    if status in _REDIRECTS:
        return reason, f"HTTP {status} is a redirect, which is not followed"
    if not message and outcome_of(status) != "delivered":
        message = f"the receiver answered HTTP {status}"
    return reason, message


def retry_after(values: Sequence[str] | None, now: float) -> float | None:
    """Return how many seconds the headers Retry-After ask to wait (RFC 9110 section 10.2.3).

    Args:
        values: Their values.
        now: The time, in Unix seconds.

    Returns:
        Up to a day; None unless there is one such header, with a number of seconds or a date.
    """
    if not values or len(values) > 1:
        return None
    text = values[0].strip(" \t")
    if _DELAY.fullmatch(text):
        return float(min(int(text), LONGEST_WAIT))
    if not _DATE.fullmatch(text):
        return None
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:  # asctime() has no zone, and means UTC
            moment = moment.replace(tzinfo=timezone.utc)
        wait = moment.timestamp() - now
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return min(max(wait, 0.0), float(LONGEST_WAIT))
