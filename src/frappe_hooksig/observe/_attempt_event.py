"""`AttemptEvent`: what became of an attempt to deliver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

#: What became of an attempt; see `frappe_hooksig.sending.Attempt`.
Outcome: TypeAlias = Literal["delivered", "gone", "refused", "unreachable", "blocked"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptEvent:
    """What became of an attempt to deliver. It has no body, no header, and no path of a URL.

    Attributes:
        kind: The outcome.
        endpoint: The start of the URL, such as `https://example.com:443`: paths may have tokens.
            Empty if the URL cannot be used.
        scheme: The name of the scheme.
        method: The HTTP method.
        id: The id of the message.
        reason: As in the attempt.
        message: As in the attempt: a sentence for your log. A receiver that answers like this
            package chooses it; no other answer is quoted.
        status: The HTTP status of the answer; None if there was none.
        seconds: How long the attempt took.
        body_length: The length of the body, in bytes.
    """

    kind: Outcome
    endpoint: str
    scheme: str
    method: str
    id: str
    reason: str = ""
    message: str = ""
    status: int | None = None
    seconds: float
    body_length: int


#: A function that gets the event of each attempt.
AttemptObserver: TypeAlias = Callable[[AttemptEvent], object]
