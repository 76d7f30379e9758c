"""Runs targets for a count or a time, on all processors, and repeats a single case."""

from __future__ import annotations

import logging
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from math import inf
from multiprocessing import get_context
from multiprocessing.pool import Pool
from typing import Any

from frappe_hooksig import SecretWarning
from fuzz.dice import Dice
from fuzz.layouts import SCHEMES
from fuzz.target import Escape, Target
from fuzz.targets.both_ways import BothWays
from fuzz.targets.command_line import CommandLine
from fuzz.targets.reading import AllHeaders, OneHeader
from fuzz.targets.scheme_fields import SchemeFields
from fuzz.targets.secret_texts import SecretTexts
from fuzz.targets.times import Times
from fuzz.targets.verification import Verification

# Cases that share a Dice: few, so that one of them is soon repeated; many, so that seeding is free.
_BLOCK = 64

_SHOWN = 3  # escapes of each worker


@dataclass
class Found:
    """An escape, and what one needs to repeat it."""

    number: int
    problem: str
    case: str
    setting: str


@dataclass
class Tally:
    """What became of some cases."""

    outcomes: Counter[str] = field(default_factory=Counter[str])
    escapes: int = 0
    found: list[Found] = field(default_factory=list[Found])
    seconds: float = 0  # of processors, at work

    @property
    def cases(self) -> int:
        """How many there were."""
        return self.outcomes.total() + self.escapes

    def add(self, other: Tally) -> None:
        """Add another processor's."""
        self.outcomes += other.outcomes
        self.escapes += other.escapes
        self.found += other.found
        self.seconds += other.seconds


@lru_cache
def targets() -> dict[str, Target]:
    """Return all targets by name."""
    everything: list[Target] = [
        *map(Verification, SCHEMES),
        BothWays(),
        OneHeader(),
        AllHeaders(),
        Times(),
        SecretTexts(),
        SchemeFields(),
        CommandLine(),
    ]
    return {target.name: target for target in everything}


def quieten() -> None:
    """Show no warnings about secrets, which are made up, nor tell each time that one is old."""
    warnings.simplefilter("ignore", SecretWarning)
    logging.getLogger("frappe_hooksig").disabled = True


def processes(jobs: int) -> AbstractContextManager[Pool | None]:
    """Return processes to share the work between; none for one job, which stays in this one."""
    # Not forked: this one may have threads.
    return nullcontext() if jobs == 1 else get_context("spawn").Pool(jobs, quieten)


def run(
    name: str,
    seed: int,
    *,
    count: float = inf,
    seconds: float = inf,
    jobs: int = 1,
    pool: Pool | None = None,
) -> Tally:
    """Judge the cases of one target up to a count, or for some seconds.

    Args:
        name: The target.
        seed: What the cases are made from.
        count: How many cases.
        seconds: After how many seconds to stop.
        jobs: In how many shares.
        pool: Where to do them; here if there is none.
    """
    shares = [(name, seed, job, jobs, count, seconds) for job in range(jobs)]
    tally = Tally()
    for part in (
        [_share(*share) for share in shares] if pool is None else pool.starmap(_share, shares)
    ):
        tally.add(part)
    return tally


def _share(name: str, seed: int, job: int, jobs: int, count: float, seconds: float) -> Tally:
    """Judge every so manyth block."""
    target = targets()[name]
    tally = Tally()
    start, worked = time.perf_counter(), time.process_time()
    block = job
    while block * _BLOCK < count and time.perf_counter() - start < seconds:
        first = block * _BLOCK
        size = int(min(_BLOCK, count - first))
        for number, case in enumerate(islice(_cases(target, seed, block), size), first):
            problem = ""
            try:
                tally.outcomes[target.judge(case)] += 1
            except Exception as error:  # noqa: BLE001
                problem = _described(error)
            if problem:
                tally.escapes += 1
                if len(tally.found) < _SHOWN:
                    tally.found.append(Found(number, problem, repr(case), target.setting(case)))
        block += jobs
    tally.seconds = time.process_time() - worked
    return tally


def repeat(name: str, seed: int, number: int) -> tuple[Found, str]:
    """Judge one case again.

    Returns:
        The case, and what became of it if it did not escape.
    """
    target = targets()[name]
    block, place = divmod(number, _BLOCK)
    case = next(islice(_cases(target, seed, block), place, None))
    found = Found(number, "", repr(case), target.setting(case))
    try:
        return found, target.judge(case)
    except Exception as error:  # noqa: BLE001
        found.problem = _described(error)
        return found, ""


def _cases(target: Target, seed: int, block: int) -> Iterator[Any]:
    return target.cases(Dice(f"{seed}/{target.name}/{block}"))


def _described(error: Exception) -> str:
    """Return what happened, and for an exception of the package where."""
    if isinstance(error, Escape):
        return str(error)
    where = error.__traceback__
    while where and where.tb_next:
        where = where.tb_next
    place = f" at {where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else ""
    return f"{type(error).__name__}: {error}{place}"


def table(rows: Sequence[tuple[str, Tally]]) -> str:
    """Return a table with a line for each target."""
    head = ("target", "cases", "/s/core", "accepted", "escapes", "refused")
    lines = [head, *(_line(name, tally) for name, tally in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at in {0, 5} else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _line(name: str, tally: Tally) -> tuple[str, ...]:
    refused = Counter(tally.outcomes)
    accepted = refused.pop("accepted", 0)
    reasons = ", ".join(f"{reason} {number}" for reason, number in refused.most_common())
    rate = tally.cases / tally.seconds if tally.seconds else 0
    return (name, f"{tally.cases}", f"{rate:.0f}", f"{accepted}", f"{tally.escapes}", reasons)
