"""Receivers that hang or fail hold up nobody else; retries spread; keys keep their order."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from frappe_hooksig.sending import STANDARD_WEBHOOKS, RetrySchedule
from frappe_hooksig.testing import FakeReceiver
from tests.databases import mariadb, postgresql
from tests.outbox.places import Place
from tests.outbox.post import Post, attempt, room
from tests.outbox.trials import (
    SECRET,
    Crew,
    database_at,
    outbox_at,
    path_in,
    percentile,
    publishing,
    receiver,
    tell,
    url_of,
    wait_until,
    worker,
)

_SLOTS = 16  # of a worker
_HEALTHY = 98  # endpoints
_FIRST = 2.0  # seconds, in which a worker gets to know the endpoints


@dataclass(frozen=True)
class Latencies:
    """How long messages took from their commit to the receiver, in milliseconds.

    Attributes:
        all: All of them.
        first: Those of the first two seconds.
    """

    all: list[float]
    first: list[float]

    def __str__(self) -> str:
        figures = [
            f"p50 {percentile(each, 50):.1f} ms, p99 {percentile(each, 99):.1f} ms"
            for each in (self.all, self.first)
        ]
        return f"{len(self.all)} messages: {figures[0]}; at first contact: {figures[1]}"


def latencies(address: str, *, seconds: float, are_bad: bool) -> Latencies:
    """Publish steadily for endpoints that are healthy, and for others that hang or fail.

    Args:
        address: Where the outbox is.
        seconds: How long.
        are_bad: Whether the others are active.
    """
    outbox = outbox_at(address)
    outbox.migrate()
    kinds = ["ok"] * _HEALTHY + ["hang"] * _SLOTS + ["error"]
    with ExitStack() as stack:
        there = stack.enter_context(receiver())
        for number, kind in enumerate(kinds):
            url = f"{there.url}/{kind}/{number}"
            types = [f"to.{number}"]
            endpoint = outbox.add_endpoint(url, secret_from=SECRET, event_types=types)
            if kind != "ok" and not are_bad:
                outbox.pause(endpoint.id)
        stack.enter_context(worker(address, f"--slots={_SLOTS}"))
        publish = stack.enter_context(publishing(address, outbox))
        committed: dict[str, float] = {}
        start = time.monotonic()
        while time.monotonic() < start + seconds:
            for number in random.sample(range(len(kinds)), len(kinds)):
                committed[publish(f"to.{number}", {})] = time.time()
                time.sleep(max(0.0, start + len(committed) / 100 - time.monotonic()))
        there.wait_for(len(committed) // len(kinds) * _HEALTHY, "ok")
        seen = there.seen("ok")
    outbox.close()
    begun = min(committed.values())
    took = [(committed[each["id"]], each["at"] - committed[each["id"]]) for each in seen]
    return Latencies(
        [late * 1000 for _, late in took],
        [late * 1000 for at, late in took if at < begun + _FIRST],
    )


@pytest.mark.long
@pytest.mark.stress
def test_receivers_that_hang(tmp_path: Path) -> None:
    """As many endpoints that hang as there are slots, and one that fails, hold up nobody else."""
    assert_nobody_is_held_up(path_in(tmp_path), f"{tmp_path}/other.db")


@pytest.mark.long
@pytest.mark.stress
def test_receivers_that_hang_on_postgresql() -> None:
    """Nor do they on PostgreSQL."""
    with postgresql() as one, postgresql() as other:
        assert_nobody_is_held_up(url_of(one), url_of(other))


def assert_nobody_is_held_up(one: str, other: str) -> None:
    # Both at the same time, so that whatever else the machine does slows both down.
    with ThreadPoolExecutor() as pool:
        without = pool.submit(latencies, one, seconds=40, are_bad=False)
        beside = pool.submit(latencies, other, seconds=40, are_bad=True)
    for name, each in (("without", without), ("beside", beside)):
        tell(f"{name} those that hang: {each.result()}")
    usual, found = (percentile(each.result().all, 99) for each in (without, beside))
    assert found < max(1.5 * usual, usual + 20)


def test_some_receivers_that_hang(tmp_path: Path) -> None:
    """While as many attempts hang as there are slots, others are sent, also to new endpoints."""
    path = path_in(tmp_path)
    outbox = outbox_at(path)
    outbox.migrate()
    with receiver() as there:
        there.behave("hang", delay=600)
        for kind in ("ok", "hang"):
            for number in range(4):
                types = [f"to.{kind}"]
                url = f"{there.url}/{kind}/{number}"
                outbox.add_endpoint(url, secret_from=SECRET, event_types=types)
        with publishing(path, outbox) as publish, worker(path, "--slots=4", "--timeout=60") as own:
            publish("to.hang", {})
            wait_until(lambda: len(there.seen("hang")) == 4)
            for _ in range(10):
                publish("to.ok", {})
                publish("to.hang", {})
            there.wait_for(40, "ok")
            hanging = len(there.seen("hang"))
            own.kill()
    assert hanging == 4
    outbox.close()


def spread(place: Place, failures: int) -> list[Counter[int]]:
    """Let many attempts fail at the same millisecond, three times.

    Returns:
        How many of the next attempts are in each tenth of the time that they may be in.
    """
    post = Post(place)
    for _ in range(10):
        post.endpoint(concurrency=1000)
    post.publish(failures // 10)
    while post.route():
        pass
    found: list[Counter[int]] = []
    later = 0
    for delay in STANDARD_WEBHOOKS.delays[:3]:
        claimed = post.claims(room(quick=failures, slow=failures), later=later).claimed
        assert len(claimed) == failures
        post.settle(claimed, attempt("refused"), later=later, schedule=STANDARD_WEBHOOKS)
        # So that they are claimed together once more.
        place.change("UPDATE hooksig_endpoints SET failures = 0, open_until = 0, ramp = 1000")
        rows = place.rows("SELECT due_at - set_at FROM hooksig_deliveries")
        longest = delay * 1000 * STANDARD_WEBHOOKS.jitter
        found.append(Counter(int((wait - delay * 1000) * 10 / longest) for (wait,) in rows))
        later += int(delay * 1200)
    return found


def test_retries_spread(sqlite: Place) -> None:
    """What has failed at one moment does not come back at one moment."""
    for each in spread(sqlite, 300):
        assert max(each.values()) < 75


@pytest.mark.long
@pytest.mark.stress
def test_many_retries_spread(sqlite: Place) -> None:
    """Nor do 10,000 failures."""
    for delay, each in zip(STANDARD_WEBHOOKS.delays, spread(sqlite, 10_000), strict=False):
        tenths = " ".join(str(each[number]) for number in range(10))
        tell(f"10,000 failures, {delay} s to {delay * 1.1:g} s later, by tenths: {tenths}")
        assert max(each.values()) < 1200


def test_recovered_receiver(tmp_path: Path) -> None:
    """A receiver that has recovered gets one request at a time, then two, and so on."""
    assert_ramp(path_in(tmp_path), messages=30, delay=0.1)


@pytest.mark.long
@pytest.mark.stress
def test_recovered_receiver_and_two_workers() -> None:
    """So it does if there are two workers."""
    with postgresql() as settings:
        assert_ramp(url_of(settings), messages=300, delay=0.3, size=2)


def assert_ramp(address: str, *, messages: int, delay: float, size: int = 1) -> None:
    outbox = outbox_at(address)
    outbox.migrate()
    with receiver() as there, Crew(address, size=size):
        there.behave("ok", status=500)
        schedule = RetrySchedule((0.1,) * 100)
        outbox.add_endpoint(f"{there.url}/ok/1", secret_from=SECRET, schedule=schedule)
        with publishing(address, outbox) as publish:
            for _ in range(messages):
                publish("an.event", {})
        # The sixth failure is the first that was alone: those that began before it have ended.
        wait_until(lambda: any(each.failures >= 6 for each in outbox.endpoints()))
        there.behave("ok", delay=delay)
        there.wait_for(messages)
        seen = [each for each in there.seen() if each["status"] == 200]
    tell(f"at the same time: {' '.join(str(each['beside']) for each in seen[:40])}")
    for each in seen:
        ended = sum(other["at"] + delay <= each["at"] for other in seen)
        assert each["beside"] <= 1 + ended
    assert max(each["beside"] for each in seen) == 8
    outbox.close()


def test_order(tmp_path: Path) -> None:
    """Messages of one key arrive in their order, though attempts fail and a worker is killed."""
    assert_order(path_in(tmp_path), messages=60, keys=5, kills=1, lease=0.5)


@pytest.mark.long
@pytest.mark.stress
def test_order_of_many(tmp_path: Path) -> None:
    """So they do if there are many, with two workers that are killed again and again."""
    assert_order(path_in(tmp_path), messages=5000, keys=50, kills=10, lease=2, size=2)


@pytest.mark.long
@pytest.mark.stress
@pytest.mark.parametrize("database", [postgresql, mariadb])
def test_order_on_a_server(database: Any) -> None:
    """So they do on a server."""
    with database() as settings:
        assert_order(url_of(settings), messages=5000, keys=50, kills=10, lease=2, size=2)


def assert_order(
    address: str, *, messages: int, keys: int, kills: int, lease: float, size: int = 1
) -> None:
    outbox = outbox_at(address)
    outbox.migrate()
    start = time.monotonic()
    with receiver() as there, Crew(address, f"--lease={lease}", size=size) as crew:
        there.behave("ok", fails=0.3, delay=0.01)
        outbox.add_endpoint(
            f"{there.url}/ok/1",
            secret_from=SECRET,
            order="key",
            concurrency=32,
            schedule=RetrySchedule((0.1,) * 1000),
        )
        with publishing(address, outbox) as publish:
            ids = [publish("an.event", {}, key=f"key {each % keys}") for each in range(messages)]
        for number in range(kills):
            there.wait_for(number * messages // kills // 2)
            crew.kill()
        there.wait_for(messages, seconds=300)
        wait_until(lambda: not outbox.deliveries(states=["due", "claimed", "waiting"]), 60)
        seen = there.seen()
    seconds = time.monotonic() - start
    # A message that is sent again after it has arrived is known by its id.
    arrived = list(dict.fromkeys(each["id"] for each in seen if each["status"] == 200))
    numbers = {message: number for number, message in enumerate(ids)}
    by_key: dict[int, list[int]] = {}
    for each in arrived:
        by_key.setdefault(numbers[each] % keys, []).append(numbers[each])
    tell(
        f"{len(arrived)} messages of {keys} keys in {seconds:.0f} s, {len(seen)} requests, "
        f"{crew.starts} starts of workers"
    )
    assert len(arrived) == messages
    assert all(each == sorted(each) for each in by_key.values())
    assert not outbox.deliveries(states="dead")
    assert not any(each.is_set_aside for each in outbox.deliveries(limit=1000))
    outbox.close()


@pytest.mark.long
@pytest.mark.stress
def test_no_deadlocks() -> None:
    """Two workers never wait for each other, though lanes and endpoints are locked all the time."""
    with postgresql() as settings:
        address = url_of(settings)
        outbox = outbox_at(address)
        outbox.migrate()
        with receiver() as there, publishing(address, outbox) as publish:
            there.behave("ok", fails=0.3, delay=0.01)
            for number in range(4):
                outbox.add_endpoint(
                    f"{there.url}/ok/{number}",
                    secret_from=SECRET,
                    order="key",
                    concurrency=32,
                    schedule=RetrySchedule((0.1,) * 1000),
                )
            start = time.monotonic()
            with Crew(address, size=2):
                for number in range(1500):
                    publish("an.event", {}, key=f"key {number % 50}")
                there.wait_for(6000, seconds=200)
            seconds = time.monotonic() - start
        with closing(database_at(address)) as database:
            ((deadlocks,),) = database.run(
                lambda each: each.rows("SELECT SUM(deadlocks) FROM pg_stat_database")
            )
        outbox.close()
    tell(f"6,000 deliveries with keys and failures in {seconds:.0f} s, {deadlocks} deadlocks")
    assert not deadlocks


def test_routing_and_settling_take_turns(sqlalchemy_postgresql: Place) -> None:
    """On a server, what was published is routed while deliveries with keys end all the time."""
    post = Post(sqlalchemy_postgresql)
    with FakeReceiver([500, 200]) as there:
        post.endpoint(there.url, order="key", concurrency=20)
        for key in ("one", "two", "three"):
            post.publish(120, key=key)
        post.send()
        wait_until(lambda: post.send() == 0 and not post.outbox.deliveries(states="due"))
        numbers = [each.json()["number"] for each in there.requests[1:]]
    assert post.states(limit=1000) == ["delivered"] * 360
    assert sorted(numbers) == sorted([*range(120)] * 3)
    post.outbox.close()
