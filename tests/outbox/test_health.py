"""How many attempts an endpoint may have at once: its limit, its rate, and how it did lately."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frappe_hooksig.outbox._health import FAILING, LONGEST_PAUSE, Health, next_rate_at, within_rate

NOW = 1_700_000_000_000


def fresh(concurrency: int = 8) -> Health:
    """Return an endpoint without failures."""
    return Health(concurrency, 0, None, 0, concurrency)


def failing(times: int, now: int = NOW, part: float = 0.0) -> Health:
    """Return an endpoint that has failed several times, each time after the pause before."""
    health = fresh()
    for _ in range(times):
        health.open_until = 0
        health.fail(now, lambda: part)
    return health


def test_without_failures() -> None:
    """It may have as many attempts as it allows."""
    health = fresh()

    assert [health.room(count) for count in (0, 7, 8, 9)] == [8, 1, 0, 0]
    assert health.opens_at(NOW) <= NOW
    assert health.is_good


def test_a_few_failures() -> None:
    """They change nothing but the count, and since when it fails."""
    health = failing(FAILING - 1)
    health.fail(NOW - 1)

    assert failing(FAILING - 1).room(0) == 8
    assert not failing(FAILING - 1).is_failing
    assert not failing(1).is_good
    assert failing(1).opens_at(NOW) <= NOW
    assert health.failing_since == NOW


def test_one_at_a_time() -> None:
    """After several failures in a row, it gets one attempt, after a pause."""
    health = failing(FAILING)

    assert health.is_failing
    assert [health.room(count) for count in (0, 1, 2)] == [1, 0, 0]
    assert health.opens_at(NOW) == NOW + 1000


@pytest.mark.parametrize(
    ("more", "pause"), [(0, 1000), (1, 2000), (2, 4000), (5, 32_000), (6, 60_000), (99, 60_000)]
)
def test_pauses_grow(more: int, pause: int) -> None:
    """Each failure doubles the pause, up to a minute."""
    assert failing(FAILING + more).open_until == NOW + pause


def test_failures_in_a_pause() -> None:
    """Attempts that began before it count for nothing: many at once are no longer outage."""
    health = failing(FAILING)

    health.fail(NOW)

    assert (health.failures, health.open_until) == (FAILING, NOW + 1000)
    assert health.opens_at(NOW + 1000) == NOW + 1000
    health.fail(NOW + 1000, lambda: 0.0)
    assert (health.failures, health.open_until) == (FAILING + 1, NOW + 3000)


def test_pauses_are_spread() -> None:
    """Endpoints that failed at one moment are not tried again at one moment."""
    assert failing(FAILING, part=0.5).open_until == NOW + 1100
    assert failing(99, part=0.999).open_until == NOW + 71_988
    assert failing(99, part=0.999).opens_at(NOW) == NOW + 71_988


def test_a_pause_from_before_the_clock_was_put_back() -> None:
    """No pause is longer than the longest, so it is not waited for."""
    health = failing(99, now=NOW + 3_600_000)

    assert health.opens_at(NOW) == NOW
    assert health.opens_at(NOW + 3_600_000) == NOW + 3_600_000 + LONGEST_PAUSE


def test_recovery() -> None:
    """It gets one attempt more with each that arrives, up to its limit."""
    health = failing(FAILING)
    rooms = []
    for _ in range(9):
        health.succeed()
        rooms.append(health.room(0))

    assert rooms == [2, 3, 4, 5, 6, 7, 8, 8, 8]
    assert health == fresh()
    assert health.is_good


def test_recovered_but_not_yet_at_its_limit() -> None:
    """The next attempt that arrives changes something still."""
    health = failing(FAILING)

    health.succeed()

    assert not health.is_failing
    assert not health.is_good
    assert (health.failing_since, health.open_until) == (None, 0)


def test_a_lower_limit() -> None:
    """A limit that was lowered counts, whatever the ramp says."""
    assert Health(3, 0, None, 0, 8).room(0) == 3
    assert Health(3, 0, None, 0, 8).is_good


# Rates


def test_no_rate() -> None:
    """Without a rate, the other limits count."""
    allowance = within_rate(None, NOW + 999, NOW)

    assert allowance.count >= 1000
    assert allowance.more_at <= NOW


@pytest.mark.parametrize(("rate", "count"), [(0.001, 1), (0.5, 1), (1, 1), (7, 7), (1000, 1000)])
def test_first_attempts(rate: float, count: int) -> None:
    """A second of the rate may begin at once; of a low rate, one attempt."""
    allowance = within_rate(rate, 0, NOW)

    assert (allowance.count, allowance.start, allowance.more_at) == (count, NOW, NOW)


def test_after_the_first() -> None:
    """What has begun counts, and so does the time that has passed since."""
    rate_at = next_rate_at(10, NOW, 10)

    assert rate_at == NOW + 1000
    assert within_rate(10, rate_at, NOW).count == 0
    assert within_rate(10, rate_at, NOW + 100).count == 1
    assert within_rate(10, rate_at, NOW + 500).count == 5
    assert within_rate(10, rate_at, NOW + 5000).count == 10


@pytest.mark.parametrize("rate", [0.001, 0.3, 1, 7, 1000])
def test_when_there_may_be_more(rate: float) -> None:
    """Not before the time that is told, and then."""
    rate_at = next_rate_at(rate, NOW, within_rate(rate, 0, NOW).count)
    told = within_rate(rate, rate_at, NOW).more_at

    assert told > NOW
    assert within_rate(rate, rate_at, told).count >= 1
    assert within_rate(rate, rate_at, told - 2).count == 0


def test_a_rate_from_before_the_clock_was_put_back() -> None:
    """It begins anew, instead of waiting for an hour."""
    allowance = within_rate(10, NOW + 3_600_000, NOW)

    assert (allowance.count, allowance.start) == (10, NOW)


@given(
    st.sampled_from([0.001, 0.1, 1, 3, 10, 333, 1000]),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 50)), max_size=40),
)
def test_rate_over_time(rate: float, turns: list[tuple[int, int]]) -> None:
    """However a process asks, no more begin than the rate allows, and one second of it besides."""
    now, rate_at, begun = NOW, 0, 0
    for pause, wanted in turns:
        now += pause
        allowance = within_rate(rate, rate_at, now)
        taken = min(wanted, allowance.count)
        rate_at = next_rate_at(rate, allowance.start, taken) if taken else rate_at
        begun += taken

        # Times are whole milliseconds, so each turn may be early by less than one.
        allowed = Fraction(rate) * (now - NOW + 1000 + len(turns)) / 1000 + 1
        assert begun <= allowed
