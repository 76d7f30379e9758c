"""How many attempts an endpoint may have at once: its limit, its rate, and how it did lately.

After several failures in a row, an endpoint gets one attempt at a time, and none for a while after
each. Once an attempt arrives, it gets two at a time, then three, and so on, up to its limit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import random as random_part
from typing import Final

#: After how many failures in a row an endpoint counts as failing.
FAILING: Final = 5

_FIRST_PAUSE: Final = 1000  # milliseconds
#: The longest time without an attempt at a failing endpoint, in milliseconds.
LONGEST_PAUSE: Final = 60_000
_JITTER: Final = 0.2

# What may begin at once although the rate is lower on average, in milliseconds of that rate. It is
# also what a clock that jumps ahead can let begin.
_BURST: Final = 1000
_NO_LIMIT: Final = 1_000_000


@dataclass(slots=True)
class Health:
    """How an endpoint did lately.

    Attributes:
        concurrency: How many attempts it may have at once.
        failures: How many attempts have failed since the last that arrived.
        failing_since: When they began to, or None.
        open_until: When the next attempt may begin.
        ramp: How many attempts it may have at once for now.
    """

    concurrency: int
    failures: int
    failing_since: int | None
    open_until: int
    ramp: int

    @property
    def is_failing(self) -> bool:
        """Whether it gets one attempt at a time."""
        return self.failures >= FAILING

    @property
    def is_good(self) -> bool:
        """Whether another attempt that arrives changes nothing."""
        return not self.failures and self.ramp >= self.concurrency

    def opens_at(self, now: int) -> int:
        """Return when the next attempt may begin, if that is later."""
        # A later time than the longest is from before the clock was put back.
        is_possible = self.open_until <= now + LONGEST_PAUSE * (1 + _JITTER)
        return self.open_until if is_possible else now

    def room(self, in_flight: int) -> int:
        """Return how many attempts may begin besides those that are in flight."""
        most = 1 if self.is_failing else min(self.ramp, self.concurrency)
        return max(0, most - in_flight)

    def succeed(self) -> None:
        """Note an attempt that arrived."""
        self.ramp = min(self.ramp + 1, self.concurrency)
        self.failures, self.failing_since, self.open_until = 0, None, 0

    def fail(self, now: int, random: Callable[[], float] = random_part) -> None:
        """Note an attempt that did not."""
        if self.is_failing and self.opens_at(now) > now:
            return  # it had begun before: many at once are no longer outage than one
        self.failures += 1
        if self.failing_since is None:
            self.failing_since = now
        if self.is_failing:
            doublings = min(self.failures - FAILING, 10)
            pause = min(_FIRST_PAUSE << doublings, LONGEST_PAUSE)
            self.open_until = now + int(pause * (1 + _JITTER * random()))
            self.ramp = 1


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many attempts the rate of an endpoint allows now.

    Attributes:
        count: How many may begin.
        start: From when on the next ones count; pass it to `next_rate_at()`.
        more_at: When there may be one, if there may be none now; else a time that has passed.
    """

    count: int
    start: int
    more_at: int


def within_rate(rate: float | None, rate_at: int, now: int) -> Allowance:
    """Return how many attempts may begin now.

    Args:
        rate: How many may begin in a second, or None for no limit.
        rate_at: What `next_rate_at()` returned for those before, or 0.
        now: The time, in milliseconds.
    """
    if rate is None:
        return Allowance(_NO_LIMIT, now, now)
    interval = 1000 / rate
    start = max(rate_at, now)
    if start > now + _BURST + interval:  # the clock was put back
        start = now
    if start <= now:
        return Allowance(max(1, int(_BURST / interval)), now, now)
    count = int((now + _BURST - start) / interval)
    if count > 0:
        return Allowance(count, start, now)
    return Allowance(0, start, min(start, start + int(interval) + 1 - _BURST))


def next_rate_at(rate: float, start: int, count: int) -> int:
    """Return the time to keep after some attempts have begun."""
    return start + int(count * 1000 / rate)
