"""`RetrySchedule`: what is tried again, when, and how often."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frappe_hooksig import ConfigurationError
from frappe_hooksig.sending import Attempt, Outcome
from frappe_hooksig.sending._schedule import FRAPPE, QUICK, STANDARD_WEBHOOKS, RetrySchedule

HOUR = 3600
DAY = 24 * HOUR
NAN, INFINITY = float("nan"), float("inf")

plain = RetrySchedule((1, 4, 10), jitter=0)


def ended(outcome: Outcome = "refused", *, retry_after: float | None = None) -> Attempt:
    """Return an attempt that ended in some way."""
    return Attempt(
        outcome=outcome,
        id="msg_1",
        status=None,
        reason="",
        message="",
        answer=b"",
        retry_after=retry_after,
        seconds=0.1,
        address=None,
    )


class Script:
    """Attempts that end as it is written, and the time that passes.

    Attributes:
        now: The seconds that have passed.
        slept: How long was slept each time.
    """

    def __init__(self, *attempts: Attempt, seconds: float = 0) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self.attempts = [*attempts]
        self._seconds = seconds

    def attempt(self) -> Attempt:
        """Make the next attempt, which takes some seconds."""
        self.now += self._seconds
        return self.attempts.pop(0)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.slept.append(seconds)

    def run(self, schedule: RetrySchedule, **options: Any) -> list[Attempt]:
        """Make all attempts."""
        options = {"random": lambda: 0} | options
        return schedule.run(self.attempt, sleep=self.sleep, clock=lambda: self.now, **options)


@pytest.mark.parametrize(
    ("schedule", "attempts", "hours"),
    [(STANDARD_WEBHOOKS, 10, 75.6), (FRAPPE, 8, 27.6), (QUICK, 4, 0)],
    ids=["standard-webhooks", "frappe", "quick"],
)
def test_named_schedules(schedule: RetrySchedule, attempts: int, hours: float) -> None:
    """Their attempts and durations are those that the documentation states."""
    assert len(schedule.delays) + 1 == attempts
    assert round(schedule.duration / HOUR, 1) == hours
    assert list(schedule.delays) == sorted(schedule.delays)
    assert schedule.jitter == 0.1


def test_standard_webhooks() -> None:
    """The times since the start are those of the example in its specification."""
    times = [sum(STANDARD_WEBHOOKS.delays[:number]) for number in range(10)]

    minutes = [divmod(seconds, 60) for seconds in times]
    assert minutes[:2] == [(0, 0), (0, 5)]
    assert [(*divmod(each, 60), rest) for each, rest in minutes[2:]] == [
        (0, 5, 5),
        (0, 35, 5),
        (2, 35, 5),
        (7, 35, 5),
        (17, 35, 5),
        (31, 35, 5),
        (51, 35, 5),
        (75, 35, 5),
    ]


@pytest.mark.parametrize("outcome", ["refused", "unreachable"])
def test_delays(outcome: Outcome) -> None:
    """What may pass is tried again until the delays are used up."""
    delays = [plain.delay(number, ended(outcome)) for number in range(1, 6)]

    assert delays == [1, 4, 10, None, None]


@pytest.mark.parametrize("outcome", ["delivered", "gone", "blocked"])
@pytest.mark.parametrize("retry_after", [None, 5])
def test_end(outcome: Outcome, retry_after: float | None) -> None:
    """Nothing is sent after these, whatever the receiver asks for."""
    assert plain.delay(1, ended(outcome, retry_after=retry_after)) is None


@pytest.mark.parametrize(
    ("retry_after", "delay"),
    [
        (None, 4),
        (0, 4),
        (3.9, 4),
        (4.5, 4.5),
        (HOUR, HOUR),
        (DAY, DAY),
        (DAY + 1, DAY),
        (INFINITY, DAY),
        (NAN, 4),
        (-1, 4),
        (-INFINITY, 4),
    ],
)
def test_retry_after(retry_after: float | None, delay: float) -> None:
    """A receiver can lengthen a delay up to a day, and cannot shorten it."""
    assert plain.delay(2, ended(retry_after=retry_after)) == delay


def test_retry_after_and_a_longer_delay() -> None:
    """A delay of more than a day is not shortened to the longest wish."""
    assert RetrySchedule((2 * DAY,), 0).delay(1, ended(retry_after=DAY + HOUR)) == 2 * DAY


def test_retry_after_the_last_attempt() -> None:
    """A receiver cannot ask for one attempt more."""
    assert plain.delay(4, ended(retry_after=1)) is None


@pytest.mark.parametrize(("part", "delay"), [(0, 10), (0.5, 12.5), (1, 15)])
@pytest.mark.parametrize("retry_after", [None, 10])
def test_jitter(part: float, delay: float, retry_after: float | None) -> None:
    """A delay is stretched by a random part of up to the jitter; one that was asked for too."""
    schedule = RetrySchedule((10,) if retry_after is None else (1,), jitter=0.5)

    assert schedule.delay(1, ended(retry_after=retry_after), random=lambda: part) == delay


@given(
    delays=st.lists(st.floats(0, 30 * DAY), max_size=5),
    jitter=st.floats(0, 1),
    retry_after=st.none() | st.floats(),
    attempts=st.integers(1, 7),
)
def test_never_sooner(
    delays: list[float], jitter: float, retry_after: float | None, attempts: int
) -> None:
    """No attempt comes sooner than planned, nor later than a delay or a day with its jitter."""
    schedule = RetrySchedule(tuple(delays), jitter)

    delay = schedule.delay(attempts, ended(retry_after=retry_after))

    assert (delay is None) == (attempts > len(delays))
    if delay is not None:
        planned = delays[attempts - 1]
        assert planned <= delay <= max(planned, DAY) * (1 + jitter)


def test_random_by_itself() -> None:
    """Two senders do not come back at the same moment."""
    delays = {STANDARD_WEBHOOKS.delay(9, ended()) for _ in range(20)}

    assert len(delays) > 1


def test_list() -> None:
    """Delays may be a list, which can be changed without changing the schedule."""
    delays: Any = [1, 2]
    schedule = RetrySchedule(delays)
    delays.append(3)

    assert schedule == RetrySchedule((1, 2))
    assert hash(schedule) == hash(RetrySchedule((1, 2)))
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert repr(schedule) == "RetrySchedule(delays=(1, 2), jitter=0.1)"


@pytest.mark.parametrize("delays", [5, "5", None, {5}, (each for each in [5])])
def test_no_delays(delays: Any) -> None:
    """What is no list of delays is refused."""
    with pytest.raises(ConfigurationError, match="delays= must be a tuple of seconds"):
        RetrySchedule(delays)


@pytest.mark.parametrize(
    "delay", [-1, NAN, INFINITY, 30 * DAY + 1, 10**400, True, "5", None, 1j], ids=repr
)
def test_no_delay(delay: Any) -> None:
    """The error says which delay is wrong."""
    with pytest.raises(ConfigurationError, match="from 0 to 2592000: number 2 is not"):
        RetrySchedule((1, delay))


@pytest.mark.parametrize("jitter", [-0.1, 1.1, NAN, INFINITY, True, "0.1", None])
def test_no_jitter(jitter: Any) -> None:
    """A jitter that could shorten a delay, or that is a number of seconds, is refused."""
    with pytest.raises(ConfigurationError, match="jitter= must be a number from 0 to 1"):
        RetrySchedule((1,), jitter)


@pytest.mark.parametrize("attempts", [0, -1, 1.5, None, "1"])
def test_no_number_of_attempts(attempts: Any) -> None:
    """Attempts are counted from 1 on."""
    with pytest.raises(ConfigurationError, match="attempts= must be the number of attempts so far"):
        plain.delay(attempts, ended())


def test_run_until_delivered() -> None:
    """It sleeps between attempts, not after the last, and returns all of them."""
    attempts = [ended("unreachable"), ended(retry_after=7), ended("delivered")]
    script = Script(*attempts, ended("gone"))

    assert script.run(plain) == attempts
    assert script.slept == [1, 7]


def test_run_to_the_end() -> None:
    """It ends after the last attempt, without sleeping again."""
    script = Script(*[ended()] * 9)

    assert len(script.run(plain)) == 4
    assert script.slept == [1, 4, 10]


@pytest.mark.parametrize("outcome", ["delivered", "gone", "blocked"])
def test_run_once(outcome: Outcome) -> None:
    """It sleeps for nothing if there is nothing more to try."""
    script = Script(ended(outcome))

    assert len(script.run(plain)) == 1
    assert script.slept == []
    assert len(Script(ended()).run(RetrySchedule(()))) == 1


@pytest.mark.parametrize(
    ("seconds", "within", "slept"),
    [
        (0, None, [1, 4, 10]),
        (0, 15, [1, 4, 10]),
        (0, 14.9, [1, 4]),
        (2, 15, [1, 4]),
        (2, 3, [1]),
        (2, 2.9, []),
        (2, 0, []),
    ],
)
def test_run_within(seconds: float, within: float | None, slept: list[float]) -> None:
    """No attempt begins later than it may. What attempts take is counted."""
    script = Script(*[ended()] * 9, seconds=seconds)

    assert len(script.run(plain, within=within)) == len(slept) + 1
    assert script.slept == slept


def test_run_within_a_wish() -> None:
    """A receiver that asks for more time than there is gets no other attempt, not an early one."""
    script = Script(ended(retry_after=60), ended("delivered"))

    assert len(script.run(plain, within=59)) == 1
    assert script.slept == []


def test_run_longer_than_it_has() -> None:
    """However often a receiver asks for more time, it gets a minute. Slow attempts lose nothing."""
    script = Script(*[ended(retry_after=30)] * 9, seconds=1000)

    assert len(script.run(QUICK)) == 3
    assert script.slept == [30, 30]
    assert len(Script(ended(retry_after=3600), ended()).run(QUICK)) == 1


@pytest.mark.parametrize("attempt", [ended(), None, lambda: True, lambda: None])
def test_run_of_nonsense(attempt: Any) -> None:
    """What makes no attempts is refused with a sentence."""
    with pytest.raises(ConfigurationError, match="run\\(\\) takes a function"):
        QUICK.run(attempt)


@pytest.mark.parametrize("within", [-1, NAN, INFINITY, "5", True])
def test_no_time_to_run(within: Any) -> None:
    """A wrong limit is refused before anything is sent."""
    with pytest.raises(ConfigurationError, match="within= must be seconds from 0 to 2592000"):
        Script().run(plain, within=within)


@pytest.mark.parametrize(("within", "slept"), [(10, 10), (12, 12), (20, 15)])
def test_run_within_the_jitter(within: float, slept: float) -> None:
    """The jitter does not use up the time of an attempt."""
    script = Script(ended(), ended("delivered"))
    schedule = RetrySchedule((10,), jitter=0.5)

    assert len(script.run(schedule, within=within, random=lambda: 1)) == 2
    assert script.slept == [slept]


def test_run_that_fails() -> None:
    """An error of the attempt ends it."""

    def fail() -> Attempt:
        raise ZeroDivisionError

    attempt: Callable[[], Attempt] = fail
    with pytest.raises(ZeroDivisionError):
        plain.run(attempt)


def test_run_by_the_clock() -> None:
    """Without a clock of one's own it uses the real one."""
    attempts = [ended(), ended("delivered")]

    assert RetrySchedule((0.01,)).run(iter(attempts).__next__) == attempts
