"""What `explain()` finds in the corpus. `make stress` takes ten requests of each cause.

`python -m tests.explain.measure` takes 50, and 20,000 without a cause.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest

from frappe_hooksig.explain import explain
from tests.explain import corpus, measure
from tests.explain.draft import Mismatch
from tests.selection import FULL, some_of

pytestmark = pytest.mark.stress

SEEDS = range(10 if FULL else 1)
# Requests without a cause: most of them are searched for 4 ms only, which is the single causes
# that are tried first.
SHORTLY, COMPLETELY = (5_000, 100) if FULL else (50, 5)
AT_ONCE = 100 if FULL else 50


def found(requests: Iterator[Mismatch], most: int) -> measure.Row:
    """Return the counts of what is found; of one request of each kind without FULL=1."""
    several = islice(some_of(requests, lambda each: each.codes), None if FULL else most)
    return measure.summed(measure.counted(explain, several).values())


@pytest.mark.parametrize("seed", SEEDS)
def test_singles(seed: int) -> None:
    """Of single mistakes, the right code is nearly always the first, and always there."""
    row = found(corpus.singles(seed, 1), 40)

    assert row.first >= 0.98 * row.total
    assert row.among == row.total
    assert row.leaks == []


@pytest.mark.parametrize("seed", SEEDS)
def test_pairs(seed: int) -> None:
    """Of two mistakes at once, a right code is the first in 90 % or more."""
    row = found(corpus.pairs(seed, 1), 6)

    assert row.first >= 0.9 * row.total
    assert row.leaks == []


@pytest.mark.parametrize("seed", SEEDS)
def test_hints(seed: int) -> None:
    """What cannot be computed is hinted at."""
    row = found(corpus.hints(seed, 1), 6)

    assert row.among == row.total
    assert row.leaks == []


@pytest.mark.parametrize("seed", range(0, SHORTLY, AT_ONCE))
def test_nothing_is_claimed(seed: int) -> None:
    """Nothing is claimed as proved of a mismatch without a cause."""
    requests = corpus.without_cause(seed, AT_ONCE)

    assert measure.claims(lambda *args, **kw: explain(*args, **kw, budget=0.004), requests) == []


@pytest.mark.parametrize("seed", range(0, COMPLETELY, 5))
def test_nothing_is_claimed_in_the_end(seed: int) -> None:
    """Nothing is claimed after the whole search either."""
    assert measure.claims(explain, corpus.without_cause(-1 - seed, 5)) == []
