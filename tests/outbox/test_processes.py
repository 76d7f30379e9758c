"""Heartbeats, and what becomes of claims whose process has none any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from frappe_hooksig.observe import OutboxEvent
from frappe_hooksig.outbox._database import Connection, Values, time_of
from frappe_hooksig.outbox._processes import Heart, release_orphans, release_own, set_aside_late
from tests.outbox.places import Place
from tests.outbox.post import Post, Shifted, attempt, joined, room

HOUR = 3_600_000  # milliseconds


class Monotonic:
    """A monotonic clock that a test sets.

    Attributes:
        now: Its time, in seconds.
    """

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Process:
    """A process whose clocks a test sets: the database's for all, and its own monotonic one."""

    def __init__(self, database: Shifted) -> None:
        self.database = database
        self.monotonic = Monotonic()
        self.heart = Heart(10.0, self.monotonic)
        self.heart.join(database)

    def beat(self) -> list[str]:
        """Beat; return the kinds of the events."""
        return [each.kind for each in self.heart.beat(self.database)]

    def is_there(self) -> bool:
        """Whether nobody has given it up."""
        return self.database.run(self.heart.is_alive)


def after(seconds: float, *processes: Process) -> None:
    """Let time pass, for the database and for these processes."""
    processes[0].database.offset += int(seconds * 1000)
    for each in processes:
        each.monotonic.now += seconds


@pytest.fixture
def database(store: Place) -> Shifted:
    """Return a database whose clock a test sets, in each kind of place."""
    store.outbox()
    return Shifted(store.database())


@pytest.fixture
def clock(sqlite: Place) -> Shifted:
    """Return a SQLite file whose clock a test sets."""
    sqlite.outbox()
    return Shifted(sqlite.database())


def test_given_up(database: Shifted) -> None:
    """A process without a heartbeat for longer than the lease is given up."""
    first, second = Process(database), Process(database)
    for _ in range(4):
        after(2, first, second)
        first.beat()
    assert second.is_there()

    after(3, first, second)
    first.beat()

    assert (first.is_there(), second.is_there()) == (True, False)


def test_left(database: Shifted) -> None:
    """A process that ends takes itself off the list."""
    process = Process(database)

    process.heart.leave(database)

    assert not process.is_there()


def test_new_id(database: Shifted) -> None:
    """A process that was given up joins under another id."""
    process = Process(database)
    before = process.heart.id
    process.heart.leave(database)

    process.heart.join(database)

    assert process.heart.id != before
    assert process.is_there()


def test_clock_ahead(database: Shifted) -> None:
    """If the clock jumps ahead, nobody is given up before they could show that they live."""
    first, second = Process(database), Process(database)
    after(2, first, second)
    first.beat()
    second.beat()

    database.offset += HOUR
    first.beat()
    after(2, first, second)
    first.beat()
    second.beat()

    assert second.is_there()
    for _ in range(6):
        after(2, first, second)
        first.beat()
    assert not second.is_there()


def test_clock_back(database: Shifted) -> None:
    """If the clock is put back, heartbeats in the future are brought in, and count from then."""
    first, second = Process(database), Process(database)

    database.offset -= HOUR
    first.beat()

    assert second.is_there()
    for _ in range(6):
        after(2, first, second)
        first.beat()
    assert not second.is_there()


def test_outage(database: Shifted) -> None:
    """After the database could not be reached, nobody is given up by who comes back first."""
    first, second = Process(database), Process(database)

    after(60, first, second)
    first.beat()
    after(2, first, second)
    second.beat()
    after(2, first, second)
    first.beat()

    assert second.is_there()


def test_time(clock: Shifted) -> None:
    """A process knows the time of the database, from when it joins."""
    heart = Heart(10.0, monotonic := Monotonic())
    assert heart.now() is None

    clock.offset = -HOUR
    heart.join(clock)
    start = heart.now() or 0.0
    monotonic.now += 1.5

    assert start == pytest.approx(
        clock.run(lambda each: each.rows("SELECT {now}"))[0][0] / 1000, abs=30
    )
    assert (heart.now() or 0.0) - start == pytest.approx(1.5)


@pytest.fixture
def post(store: Place) -> Post:
    """Return an outbox in each kind of place, with an endpoint and two deliveries."""
    post = Post(store)
    post.endpoint()
    post.publish(2)
    post.route()
    return post


@pytest.mark.parametrize("method", ["join", "beat"])
def test_due_times_brought_in(store: Place, method: str) -> None:
    """If the clock is put back, what was put off is put off for as long as before."""
    post = Post(store)
    clock = Shifted(store.database())
    process = Process(clock)
    post.endpoint(order="key")
    post.publish(key="customer 1")
    post.route()
    post.settle(post.claims(room()).claimed, attempt("refused", retry_after=60.0))
    others = "SELECT due_at, hold_until, set_at FROM hooksig_deliveries"
    ((due_at, hold_until, set_at),) = store.rows(others)

    clock.offset -= HOUR
    getattr(process.heart, method)(clock)

    ((brought_in, held, now),) = store.rows(others)
    assert brought_in - now == due_at - set_at
    assert held - now == hold_until - set_at
    assert now < set_at - HOUR + 60_000


def test_lost(post: Post) -> None:
    """What a process was sending is due again when it is given up, and that is told."""
    claimed = post.claims(room("gone")).claimed
    heart = joined(post.place.database())

    (event,) = heart.beat(post.place.database())

    assert (event.kind, event.reason) == ("lost", "worker-lost")
    assert "2 deliveries" in event.message
    deliveries = post.outbox.deliveries()
    assert [(str(each.state), each.lost, each.reason) for each in deliveries] == [
        ("due", 1, "worker-lost")
    ] * 2
    assert post.settle(claimed, attempt()) == []
    assert post.states() == ["due", "due"]


def test_lost_too_often(store: Place) -> None:
    """A delivery that was lost four times is a dead letter, and lets its lane go on."""
    post = Post(store)
    post.endpoint(order="key")
    post.publish(2, key="customer 1")
    post.publish(1)
    post.route()
    post.claims(room("gone"))
    post.place.change("UPDATE hooksig_deliveries SET lost = 3 WHERE id <> 2")

    events = joined(post.place.database()).beat(post.place.database())

    assert [each.kind for each in events] == ["dead-letter", "dead-letter"]
    assert post.states() == ["dead", "due", "dead"]
    assert post.outbox.deliveries()[-1].reason == "worker-lost"
    assert post.outbox.deliveries()[-1].message == "the process that sent it ended, 4 times"


def test_lost_head(store: Place) -> None:
    """The head of a lane that was lost is still the head."""
    post = Post(store)
    post.endpoint(order="key")
    post.publish(2, key="customer 1")
    post.route()
    post.claims(room("gone"))

    joined(post.place.database()).beat(post.place.database())

    assert post.states() == ["due", "waiting"]


def test_claims_of_the_living(post: Post) -> None:
    """What living processes are sending is left alone."""
    heart = joined(post.place.database())
    post.claims(room(heart.id))

    assert joined(post.place.database()).beat(post.place.database()) == []
    assert post.states() == ["claimed", "claimed"]


class Interrupted:
    """A connection on which something else happens after the first query."""

    def __init__(self, connection: Connection, meanwhile: Callable[[], object]) -> None:
        self._connection = connection
        self._meanwhile = [meanwhile]
        self.dialect = connection.dialect
        self.change = connection.change
        self.change_each = connection.change_each

    def rows(self, statement: str, values: Values | None = None) -> list[tuple[Any, ...]]:
        found = self._connection.rows(statement, values or {})
        while self._meanwhile:
            self._meanwhile.pop()()
        return found


def test_released_by_another(server_place: Place) -> None:
    """What another process has released, and a third one claimed, is not released once more."""
    post = Post(server_place)
    post.endpoint()
    post.publish(2)
    post.route()
    post.claims(room("gone"))
    living = joined(server_place.database())

    def meanwhile() -> None:
        living.beat(server_place.database())
        assert len(post.claims(room(living.id)).claimed) == 2

    events = server_place.database().run(
        lambda each: release_orphans(Interrupted(each, meanwhile), post.now())
    )

    assert events == []
    assert post.states() == ["claimed", "claimed"]


def test_doubtful_claims(post: Post) -> None:
    """A process releases what it has claimed without knowing it."""
    known, _ = post.claims(room()).claimed

    post.place.run(lambda each: release_own(each, time_of(each), "p1", {known.id}))

    assert post.states() == ["claimed", "due"]
    assert [each.lost for each in post.outbox.deliveries()] == [0, 0]


def test_held_too_long(store: Place) -> None:
    """A heartbeat lets the lanes go on whose heads have failed for too long."""
    post = Post(store)
    post.endpoint(order="key")
    post.publish(2, key="customer 1")
    post.route()
    post.settle(post.claims(room()).claimed, attempt("refused", retry_after=7200.0))
    process = Process(Shifted(store.database()))
    assert process.beat() == []

    after(3601, process)

    assert process.beat() == ["set-aside"]
    assert post.states() == ["due", "due"]
    assert [each.is_set_aside for each in post.outbox.deliveries()] == [False, True]
    assert process.beat() == []


def test_set_aside_by_another(server_place: Place) -> None:
    """What another process has set aside meanwhile is not set aside once more."""
    post = Post(server_place)
    post.endpoint(order="key")
    post.publish(3, key="customer 1")
    post.route()
    post.settle(post.claims(room()).claimed, attempt("refused", retry_after=60.0))
    later = post.now() + 2 * HOUR

    def set_aside(connection: Connection) -> list[OutboxEvent]:
        return set_aside_late(connection, later)

    events = server_place.database().run(
        lambda each: set_aside(Interrupted(each, lambda: post.place.run(set_aside)))
    )

    assert events == []
    assert post.states() == ["due", "due", "waiting"]


def test_held_at_a_paused_endpoint(store: Place) -> None:
    """A paused endpoint has nothing set aside, and the pause does not count."""
    post = Post(store)
    endpoint = post.endpoint(order="key")
    post.publish(2, key="customer 1")
    post.route()
    post.settle(post.claims(room()).claimed, attempt("refused", retry_after=7200.0))
    post.outbox.pause(endpoint)
    process = Process(Shifted(store.database()))

    after(3601, process)

    assert process.beat() == []
    assert post.states() == ["due", "waiting"]
