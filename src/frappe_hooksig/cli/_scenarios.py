"""What senders do besides sending once, and what a right receiver answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from threading import Barrier
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:  # these load http.client and the test kit, which the help does not need
    from frappe_hooksig.cli._exchange import Answer
    from frappe_hooksig.testing._requests import SignedRequest

_AT_ONCE = 4  # threads
_IN_FLIGHT = 409

# The pauses between the attempts of Frappe, in seconds.
_RETRIES: Final = (1, 4)


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """A signed event.

    Attributes:
        name: Its name, for the output.
        request: The request.
        shown: Its headers for the output, which has no secrets.
        is_new: Whether the receiver cannot have seen the delivery before.
    """

    name: str
    request: SignedRequest
    shown: dict[str, str]
    is_new: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """An event that was sent.

    Attributes:
        event: The event.
        answer: What came back.
    """

    event: Event
    answer: Answer


class Send(Protocol):
    """Sends a request; over some seconds, if it is told so."""

    def __call__(self, request: SignedRequest, *, slowness: float = 0) -> Answer: ...


def _is_right(attempts: Sequence[Attempt]) -> str:
    del attempts
    return "right"


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """A sender's behaviour.

    Attributes:
        title: What happens, for the help.
        expected: What a right receiver answers.
        expected_of_others: The same for other senders than Frappe, if it differs. It has a field
            for the sender.
        usual: How many events are sent, if the user names none.
        least: How many events it needs.
        most: How many events it can send.
        has_new: Whether it needs two deliveries that the receiver has not seen.
        run: Sends events, and returns the attempts. The last argument is how long the pauses are
            in total, in seconds.
        is_right: Whether a right receiver answered.
        verdict: Returns what the attempts show if a right receiver answered.
    """

    title: str
    expected: str
    expected_of_others: str = ""
    usual: int = 1
    least: int = 1
    most: float = 1
    has_new: bool = False
    run: Callable[[Sequence[Event], Send, float], list[Attempt]]
    is_right: Callable[[Sequence[Attempt]], bool]
    verdict: Callable[[Sequence[Attempt]], str] = _is_right


def _once(events: Sequence[Event], send: Send, seconds: float = 0) -> list[Attempt]:
    """Send each event once, in this order."""
    del seconds
    return [Attempt(event=event, answer=send(event.request)) for event in events]


def _are_accepted(attempts: Sequence[Attempt]) -> bool:
    return all(attempt.answer.is_accepted for attempt in attempts)


def _retry(events: Sequence[Event], send: Send, seconds: float) -> list[Attempt]:
    """Send an event until it is accepted."""
    attempts = _once(events, send)
    for pause in _RETRIES:
        if attempts[-1].answer.is_accepted:
            break
        time.sleep(seconds * pause / sum(_RETRIES))
        attempts += _once(events, send)
    return attempts


def _verdict_on_retry(attempts: Sequence[Attempt]) -> str:
    return "right" if len(attempts) > 1 else "accepted at once: nothing was retried"


def _duplicate(events: Sequence[Event], send: Send, seconds: float) -> list[Attempt]:
    """Send the first event twice; the last one from several threads at once, and once more."""
    del seconds
    first, last = events  # another one, because the first is handled by now
    start = Barrier(_AT_ONCE)

    def send_with_others(event: Event) -> Attempt:
        start.wait()
        return Attempt(event=event, answer=send(event.request))

    attempts = _once([first, first], send)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        attempts += pool.map(send_with_others, [last] * _AT_ONCE)
    return attempts + _once([last], send)


def _are_right_duplicates(attempts: Sequence[Attempt]) -> bool:
    twice, at_once, last = attempts[:2], attempts[2:-1], attempts[-1:]
    refused = [each.answer for each in at_once if not each.answer.is_accepted]
    return (
        _are_accepted([*twice, *last])
        and len(refused) < len(at_once)
        and all(answer.status == _IN_FLIGHT for answer in refused)
    )


def _verdict_on_duplicates(attempts: Sequence[Attempt]) -> str:
    if not all(attempt.event.is_new for attempt in attempts):
        return "not tested: the receiver may have seen it before"
    return "right. Look at what it did: it should have handled 2 deliveries"


def _out_of_order(events: Sequence[Event], send: Send, seconds: float) -> list[Attempt]:
    """Send the last event first."""
    del seconds
    return _once(events[::-1], send)


def _slow(events: Sequence[Event], send: Send, seconds: float) -> list[Attempt]:
    """Send an event in small pieces."""
    [event] = events
    return [Attempt(event=event, answer=send(event.request, slowness=seconds))]


SCENARIOS: Final = {
    "once": Scenario(
        title="each event once", expected="2xx", most=inf, run=_once, is_right=_are_accepted
    ),
    "retry": Scenario(
        title="again until it is accepted, at most 3 times, as Frappe does",
        expected="2xx to one of three attempts: then Frappe gives up",
        expected_of_others="2xx to one of three attempts, with Frappe's pauses: {sender} may retry "
        "in another way, or not at all",
        run=_retry,
        is_right=lambda attempts: attempts[-1].answer.is_accepted,
        verdict=_verdict_on_retry,
    ),
    "duplicate": Scenario(
        title=f"twice, then a delivery from {_AT_ONCE} threads at once, and once more",
        expected="2xx also to repeats; 409 is allowed to copies that come at once",
        usual=2,
        most=2,
        has_new=True,
        run=_duplicate,
        is_right=_are_right_duplicates,
        verdict=_verdict_on_duplicates,
    ),
    "out-of-order": Scenario(
        title="several events, the latest first",
        expected="2xx to each: senders do not keep the order",
        usual=3,
        least=2,
        most=inf,
        run=_out_of_order,
        is_right=_are_accepted,
    ),
    "slow": Scenario(
        title="the body in small pieces",
        expected="2xx: a slow sender is a genuine one",
        run=_slow,
        is_right=_are_accepted,
    ),
}
