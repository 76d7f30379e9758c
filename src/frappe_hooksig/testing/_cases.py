"""One thing that a stranger, or a genuine sender, sends; and what a right receiver answers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, Literal, NamedTuple, TypeAlias, cast

from frappe_hooksig._escaping import escaped
from frappe_hooksig.exceptions import ConfigurationError, Reason
from frappe_hooksig.testing._requests import SignedRequest
from frappe_hooksig.testing._transactions import in_django_transaction

#: What a right receiver does with a request. "accepted": it answers 2xx and handles it. "verified":
#: it verifies it, but may refuse its content with 400, 415 or 422. "refused": 4xx. "either": both
#: are right. "repeat": 2xx, or 409 while another copy is being handled.
Expected: TypeAlias = Literal["accepted", "verified", "refused", "either", "repeat"]

#: Sends a request and returns the status, or a response with `status_code`, or `status`, and with
#: `content`, `data` or `body`. Or the receiver's URL.
Send: TypeAlias = Callable[[SignedRequest], Any] | str

_SUCCESS = range(200, 300)
_REFUSAL = range(400, 500)
#: How a receiver answers a verified request whose content its handler cannot use.
ABOUT_CONTENT = (400, 415, 422)
_IN_FLIGHT = (409, 425, 429, 503)

_COPIES = 8  # that are sent at once
_SWITCH = 1e-5  # seconds after which Python runs another thread


class Answer(NamedTuple):
    """What came back. The status is 0 if nothing came, and 500 if the test client raised."""

    status: int
    body: bytes = b""
    error: str = ""

    @property
    def is_success(self) -> bool:
        """Whether it tells the sender that all is well."""
        return self.status in _SUCCESS

    @property
    def is_crash(self) -> bool:
        """Whether the receiver failed, or did not answer."""
        return self.status not in range(100, 500)

    def __str__(self) -> str:
        text = f"HTTP {self.status}" if self.status else "no answer"
        return f"{text} ({self.error})" if self.error else text


class Outcome(NamedTuple):
    """What a receiver did with a case.

    Attributes:
        answers: The answers to each request, one for each copy.
        handled: How often the handler ran; None if nobody counted.
    """

    answers: tuple[tuple[Answer, ...], ...]
    handled: int | None


class HostileCase:
    """Requests that a right receiver answers in a known way.

    Attributes:
        name: A short name, such as "wrong-secret".
        expected: What a right receiver does with each request, in their order.
        at_once: Whether many copies of each request are sent at the same time.
        handled: How often the handler of a right receiver runs. None if more than one is right.
        reason: The reason of the refusal, if the receiver uses this package.
        mistake: A sentence on a receiver that answers otherwise.
    """

    __slots__ = ("_make", "at_once", "expected", "handled", "mistake", "name", "reason")

    def __init__(
        self,
        name: str,
        make: Callable[[], Sequence[SignedRequest]],
        expected: Sequence[Expected],
        mistake: str,
        *,
        handled: int | None,
        at_once: bool = False,
        reason: Reason | None = None,
    ) -> None:
        self.name = name
        self.expected = tuple(expected)
        self.mistake = mistake
        self.handled = handled
        self.at_once = at_once
        self.reason = reason
        self._make = make

    def requests(self) -> Sequence[SignedRequest]:
        """Return the requests, in the order in which to send them.

        They are new for each call, and signed now.
        """
        return self._make()

    def check(self, send: Send, *, handled: Callable[[], int] | None = None) -> None:
        """Send the requests, and check what the receiver did.

        Inside of a transaction of Django, as in its `TestCase`, copies are sent one after the
        other, because threads would wait for the transaction. Use `TransactionTestCase` there.

        Args:
            send: As for `check_receiver()`.
            handled: As for `check_receiver()`.

        Raises:
            AssertionError: A right receiver does something else. The message says what is wrong.
        """
        __tracebackhide__ = True  # pytest shows the test, and not this function
        outcome = run(self, send, handled)
        found = problems_of(self, outcome)
        if found:
            msg = f"{self.name}: {mistake_of(self, outcome)} ({'; '.join(found)})"
            raise AssertionError(msg)

    def __repr__(self) -> str:
        return f"<HostileCase {self.name}: {', '.join(dict.fromkeys(self.expected))}>"


def run(case: HostileCase, send: Send, handled: Callable[[], int] | None) -> Outcome:
    """Send the requests of a case, and return what came back."""
    before = handled() if handled is not None else 0
    answers = [
        _at_once(send, request) if case.at_once else (answer_of(send, request),)
        for request in case.requests()
    ]
    return Outcome(tuple(answers), handled() - before if handled is not None else None)


def problems_of(case: HostileCase, outcome: Outcome) -> list[str]:
    """Return what is wrong with an outcome, in words; nothing if it is right."""
    several = len(case.expected) > 1
    found = [
        f"request {place} was answered {answer}" if several else f"it was answered {answer}"
        for place, (expected, answers) in enumerate(
            zip(case.expected, outcome.answers, strict=True), 1
        )
        for answer in dict.fromkeys(answers)
        if not _allows(case, expected, answer)
    ]
    if case.at_once and not all(
        any(answer.is_success for answer in answers) for answers in outcome.answers
    ):
        found.append("no copy was answered with success")
    if None not in {case.handled, outcome.handled} and case.handled != outcome.handled:
        found.append(f"the handler ran {outcome.handled} times instead of {case.handled}")
    return found


def mistake_of(case: HostileCase, outcome: Outcome) -> str:
    """Return a sentence on a receiver that answers a case wrongly."""
    if is_failed_repeat(case, outcome):
        return (
            "It fails if copies of a delivery come at once."
            if case.at_once
            else "It fails on a delivery that comes again."
        )
    return case.mistake


def is_failed_repeat(case: HostileCase, outcome: Outcome) -> bool:
    """Whether a receiver fails on repeats, instead of handling them again."""
    if "repeat" not in case.expected:
        return False
    if case.handled is not None and outcome.handled is not None:
        return outcome.handled <= case.handled
    return bool(problems_of(case, outcome))


def _allows(case: HostileCase, expected: Expected, answer: Answer) -> bool:
    """Whether a right receiver may answer so."""
    if expected == "refused":
        # Servers close the connection if something is too large, or no header.
        is_cut = case.name.startswith(("huge", "folded-line")) and answer.status == 0
        return answer.status in _REFUSAL or is_cut
    if answer.is_success:
        return True
    others: dict[str, Sequence[int]] = {
        "verified": ABOUT_CONTENT,
        "either": _REFUSAL,
        "repeat": _IN_FLIGHT if case.at_once else (409,),
    }
    return answer.status in others.get(expected, ())


def _at_once(send: Send, request: SignedRequest) -> tuple[Answer, ...]:
    """Send copies of a request at the same moment, if threads can work."""
    if not isinstance(send, str) and in_django_transaction():
        return tuple(answer_of(send, request) for _ in range(_COPIES))
    start = Barrier(_COPIES)

    def send_one(_: int) -> Answer:
        start.wait()
        return answer_of(send, request)

    interval = sys.getswitchinterval()
    # A receiver in this process is interrupted as often as one with threads of its own.
    sys.setswitchinterval(_SWITCH)
    try:
        with ThreadPoolExecutor(_COPIES) as pool:
            return tuple(pool.map(send_one, range(_COPIES)))
    finally:
        sys.setswitchinterval(interval)


def answer_of(send: Send, request: SignedRequest) -> Answer:
    """Send a request. An exception counts as a failure: test clients raise what an app raises."""
    if isinstance(send, str):
        from frappe_hooksig.testing._http import exchange

        return Answer(*exchange(send, request))
    try:
        response: object = send(request)
    except Exception as error:  # noqa: BLE001  # whatever the app raised
        return Answer(500, error=escaped(f"{type(error).__name__}: {error}".partition("\n")[0]))
    kind = type(response).__name__
    if isinstance(response, tuple):
        status, *bodies = cast("tuple[object, ...]", response) or (None,)
    else:
        status = getattr(response, "status_code", getattr(response, "status", response))
        bodies = [getattr(response, name, None) for name in ("content", "data", "body")]
    if not isinstance(status, int) or isinstance(status, bool):
        msg = (
            f"send= returned no HTTP status, but {kind}: return the status, "
            "the status and the body as bytes, or the response of the test client"
        )
        raise ConfigurationError(msg)
    body = next((each for each in bodies if isinstance(each, bytes)), b"")
    return Answer(int(status), body)
