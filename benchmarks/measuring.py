"""Timing contenders in turn, so that what slows the machine slows all of them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle, permutations, repeat
from statistics import median, quantiles
from time import perf_counter_ns
from typing import TypeAlias

from benchmarks.comparison import Check, Contender, Request, Row

#: Returns the time of one operation, in µs.
Lap: TypeAlias = Callable[[], float]

LAP_NS = 2_500_000
FEWEST_ROUNDS = 7


@dataclass(frozen=True)
class Effort:
    """How long a run may take.

    Attributes:
        seconds: For each row.
        rounds: Of what takes long: fresh processes, loads of requests, bodies of 16 MiB.
    """

    seconds: float
    rounds: int


FULL = Effort(seconds=4, rounds=100)
QUICK = Effort(seconds=0.2, rounds=10)


@dataclass(frozen=True)
class Ratio:
    """Our time divided by another's in the same round: the median, and the middle half."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
        """Return the ratio of what was measured in the same rounds."""
        low, middle, high = quantiles((a / b for a, b in zip(ours, theirs, strict=True)), n=4)
        return cls(middle, low, high)

    def inverse(self) -> Ratio:
        """Return the ratio of their time to ours."""
        return Ratio(1 / self.median, 1 / self.high, 1 / self.low)

    @property
    def quartiles(self) -> str:
        """The middle half of all rounds."""
        return f"{self.low:.2f} to {self.high:.2f}"


@dataclass(frozen=True)
class Duel:
    """How one row ended for us and one other contender; times are medians in µs."""

    theirs: Contender
    our_time: float
    their_time: float
    ratio: Ratio


def interleave(laps: Sequence[Lap], rounds: int) -> list[list[float]]:
    """Time each once in every round, each round in another order; return the times of each."""
    times: list[list[float]] = [[] for _ in laps]
    orders = cycle(permutations(range(len(laps))))
    with no_garbage_collection():
        for _ in range(rounds):
            for index in next(orders):
                times[index].append(laps[index]())
    return times


def duels(row: Row, effort: Effort) -> list[Duel]:
    """Time the contenders of a row; return how we compare with each other one."""
    laps: list[Lap] = []
    for contender in (row.ours, *row.others):
        refused = None if contender.is_ordinary else row.refused
        request = refused or (contender.requests or row.requests).genuine
        run = partial(_refused if refused else _accepted, contender, request)
        laps.append(calibrated(run))
    once = sum(map(_duration_ns, laps))
    rounds = max(FEWEST_ROUNDS, int(effort.seconds * 1e9 / once))
    ours, *theirs = interleave(laps, rounds)
    return [
        Duel(contender, median(ours), median(times), Ratio.of(ours, times))
        for contender, times in zip(row.others, theirs, strict=True)
    ]


def calibrated(run: Callable[[int], int]) -> Lap:
    """Return a lap of so many repetitions that the clock's own cost is lost in it.

    Args:
        run: Repeats the operation so many times and returns the nanoseconds that took.
    """
    times, elapsed = 1, run(1)
    while elapsed < LAP_NS / 2:
        times *= 2
        elapsed = run(times)
    times = max(1, round(times * LAP_NS / elapsed))
    return lambda: run(times) / times / 1000


@contextmanager
def no_garbage_collection() -> Generator[None]:
    """Collect now, and not again before the block ends."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _accepted(contender: Contender, request: Request, times: int) -> int:
    check, body, headers = contender.check, request.body, request.headers
    start = perf_counter_ns()
    for _ in repeat(None, times):
        check(body, headers)
    return perf_counter_ns() - start


def _refused(contender: Contender, request: Request, times: int) -> int:
    check, body, headers = contender.check, request.body, request.headers
    refusal = contender.refusal or ()
    start = perf_counter_ns()
    for _ in repeat(None, times):
        try:
            check(body, headers)
        except refusal:
            continue
        _not_refused(check)
    return perf_counter_ns() - start


def _not_refused(check: Check) -> None:
    msg = f"{check} did not raise"
    raise RuntimeError(msg)


def _duration_ns(lap: Lap) -> int:
    start = perf_counter_ns()
    lap()
    return perf_counter_ns() - start
