"""Sending what an outbox has."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from threading import Thread

import pytest
from cryptography.fernet import Fernet

from frappe_hooksig import ConfigurationError, Verifier, providers
from frappe_hooksig.observe import log
from frappe_hooksig.outbox import Worker, _crew, _dispatcher
from frappe_hooksig.sending import AddressGuard, RetrySchedule
from frappe_hooksig.testing import Answer, AnswerLike, FakeReceiver
from tests.databases import postgresql_server
from tests.outbox.places import Place, server_url, sqlalchemy_place
from tests.outbox.post import (
    FOREVER,
    SECRET,
    Faulty,
    Post,
    Shifted,
    room,
    wait_until,
)

HOUR = 3_600_000  # milliseconds


@contextmanager
def working(post: Post, count: int = 1, **options: int) -> Iterator[None]:
    """Run workers until the block ends."""
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(Worker(post.outbox, **options))
        yield


# What becomes of a delivery


def test_delivered(store: Place) -> None:
    """The receiver gets the payload, signed, with the id of the message."""
    post = Post(store)
    with FakeReceiver([204]) as receiver:
        post.endpoint(receiver.url)
        (message,) = post.publish(payload={"number": "SO-1"})

        assert post.send() == 1

    (request,) = receiver.requests
    delivery = Verifier(SECRET, scheme=providers.STANDARD_WEBHOOKS).verify(
        request.body, dict(request.headers)
    )
    assert (delivery.id, request.json()) == (message, {"number": "SO-1"})
    assert request.header("Content-Type") == "application/json"
    assert post.states() == ["delivered"]


def test_many(store: Place) -> None:
    """Many messages for several endpoints all arrive, each once."""
    post = Post(store)
    with FakeReceiver() as receiver:
        for _ in range(3):
            post.endpoint(receiver.url, concurrency=4)
        post.publish(40)

        assert post.send(slots=4) == 120

    assert len(receiver.requests) == 120
    assert {*post.states()} == {"delivered"}


def test_refused_then_delivered(store: Place) -> None:
    """What is refused is sent again, with the same id, until it arrives."""
    post = Post(store)
    with FakeReceiver([500, "reset", 200]) as receiver, working(post):
        post.endpoint(receiver.url, schedule=FOREVER)
        (message,) = post.publish()
        receiver.wait_for(3, timeout=30)
        wait_until(lambda: post.states() == ["delivered"])

    (delivery,) = post.outbox.deliveries()
    records = post.outbox.attempts(delivery.id)
    assert [each.outcome for each in records] == ["refused", "unreachable", "delivered"]
    assert {each.header("webhook-id") for each in receiver.requests} == {message}


def test_exhausted(sqlite: Place) -> None:
    """After the last attempt there is a dead letter, and an event; sending it again works."""
    post = Post(sqlite)
    with FakeReceiver([500, 500, 200]) as receiver, working(post):
        post.endpoint(receiver.url, schedule=RetrySchedule((0.05,), jitter=0))
        (message,) = post.publish()
        (event,) = post.told("dead-letter")
        wait_until(lambda: post.states() == ["dead"])
        assert post.outbox.send_again(message=message) == 1
        wait_until(lambda: post.states() == ["delivered"])

    assert (event.kind, event.reason, event.message_id) == ("dead-letter", "exhausted", message)


def test_gone(sqlite: Place) -> None:
    """410 pauses the endpoint and loses nothing."""
    post = Post(sqlite)
    with FakeReceiver([410, 200]) as receiver:
        endpoint = post.endpoint(receiver.url, concurrency=1)
        post.publish(2)
        post.send()
        (event,) = post.told("paused")
        assert (event.endpoint_id, event.reason) == (endpoint, "gone")
        assert post.states() == ["due", "due"]

        post.outbox.resume(endpoint)
        post.send()

    assert post.states() == ["delivered", "delivered"]
    assert len(receiver.requests) == 3


def test_blocked(sqlite: Place) -> None:
    """An address that is not allowed pauses the endpoint, and nothing is sent."""
    post = Post(sqlite, guard=AddressGuard())
    with FakeReceiver() as receiver:
        post.endpoint(receiver.url)
        post.publish()
        post.send()

    assert receiver.requests == []
    assert post.told("paused")[0].reason == "address-not-allowed"
    assert post.states() == ["due"]


def test_missing_secret(sqlite: Place) -> None:
    """A secret that is not there pauses the endpoint; once it is there, resume sends."""
    post = Post(sqlite)
    post.secrets.clear()
    with FakeReceiver() as receiver:
        endpoint = post.endpoint(receiver.url)
        post.publish()
        post.send()
        assert post.told("paused")[0].reason == "secret-missing"
        assert post.states() == ["due"]
        post.secrets["one"] = SECRET

        post.outbox.resume(endpoint)
        post.send()

    assert len(receiver.requests) == 1


def test_missing_key(sqlite: Place) -> None:
    """Without the key of a stored secret, the endpoint is paused."""
    keyed = Post(sqlite, keys=[Fernet.generate_key()])
    endpoint = keyed.outbox.add_endpoint("http://127.0.0.1:9/", secret=SECRET).id
    post = Post(sqlite)
    post.publish()

    post.send()

    assert post.told("paused")[0].reason == "key-missing"
    assert post.outbox.endpoint(endpoint).state == "paused"


def test_misconfigured(sqlite: Place) -> None:
    """A secret that the scheme does not take pauses the endpoint."""
    post = Post(sqlite)
    post.secrets["one"] = "whsec_no base64!"
    post.endpoint()
    post.publish()

    post.send()

    (event,) = post.told("paused")
    assert event.reason == "misconfigured"
    assert "base64!" not in event.message
    assert post.states() == ["due"]


def test_bad_payload(sqlite: Place) -> None:
    """A payload that the scheme cannot sign is a dead letter; the endpoint goes on."""
    post = Post(sqlite)
    with FakeReceiver() as receiver:
        post.endpoint(receiver.url, scheme=providers.HUBSPOT_V1)
        post.publish(payload=b"\x00")
        post.publish(payload=b"{}")
        post.send()

    assert post.told("dead-letter")[0].reason == "bad-payload"
    assert post.states() == ["dead", "delivered"]


def test_secret_that_cannot_be_read_now(sqlite: Place) -> None:
    """A function of the app that fails is tried again: it may ask a server that is away."""

    def away() -> str:
        raise OSError(SECRET)

    readers: Iterator[Callable[[], str]] = iter([away, lambda: SECRET])
    post = Post(sqlite, references={"test": lambda _: next(readers)()})
    with FakeReceiver() as receiver:
        post.endpoint(receiver.url, schedule=RetrySchedule((0.05,)))
        post.publish()
        post.send()
        (first,) = post.outbox.deliveries()
        wait_until(lambda: post.outbox.drain() or post.states() == ["delivered"])

    assert (str(first.state), first.reason) == ("due", "secret-unreadable")
    assert post.outbox.endpoints()[0].state == "active"


def test_internal_error(sqlite: Place, caplog: pytest.LogCaptureFixture) -> None:
    """An error of this process is an attempt that failed, and says nothing of the payload."""

    def broken(_name: str) -> str:
        raise SystemExit(SECRET)

    post = Post(sqlite, references={"test": broken})
    post.endpoint()
    post.publish()

    post.send()

    (delivery,) = post.outbox.deliveries()
    assert (str(delivery.state), delivery.reason) == ("due", "internal-error")
    assert "SystemExit" in delivery.message
    assert [each.outcome for each in post.outbox.attempts(delivery.id)] == ["unreachable"]
    assert SECRET not in caplog.text + delivery.message
    assert "by an error of this process: SystemExit" in caplog.text


def test_log_that_fails(sqlite: Place) -> None:
    """A filter of the app's log that fails changes nothing."""

    def broken(_record: logging.LogRecord) -> bool:
        raise RuntimeError

    def stops(_name: str) -> str:
        raise SystemExit

    post = Post(sqlite, references={"test": stops}, observe=log)
    post.endpoint(schedule=RetrySchedule(()))
    post.publish(2)
    logger = logging.getLogger("frappe_hooksig")
    logger.addFilter(broken)
    try:
        post.send()
    finally:
        logger.removeFilter(broken)

    assert post.states() == ["dead", "dead"]


def test_changed_endpoint(sqlite: Place) -> None:
    """A worker that knows an endpoint uses what it was changed to."""
    post = Post(sqlite)
    with FakeReceiver() as first, FakeReceiver() as second, working(post):
        endpoint = post.endpoint(first.url)
        post.publish()
        first.wait_for(1, timeout=30)
        wait_until(lambda: post.states() == ["delivered"])
        post.outbox.change_endpoint(endpoint, url=second.url)
        post.publish()
        second.wait_for(1, timeout=30)

    assert len(first.requests) == 1


def test_deleted_meanwhile(sqlite: Place) -> None:
    """What becomes of an attempt at an endpoint that was deleted meanwhile does not matter."""
    post = Post(sqlite)
    with FakeReceiver([Answer(500, delay=0.5)]) as receiver, working(post):
        endpoint = post.endpoint(receiver.url)
        post.publish()
        receiver.wait_for(1, timeout=30)
        post.outbox.delete_endpoint(endpoint)

    assert post.states() == ["cancelled"]


# Turns, places and bounds


def test_hanging_endpoints(sqlite: Place) -> None:
    """As many endpoints that hang as there are slots take none from those that are quick."""
    post = Post(sqlite)
    with ExitStack() as stack:
        hanging = [stack.enter_context(FakeReceiver(["timeout"])) for _ in range(4)]
        quick = stack.enter_context(FakeReceiver())
        endpoints = [post.endpoint(each.url) for each in hanging]
        post.publish(6)
        post.route()
        post.endpoint(quick.url)
        worker = Worker(post.outbox, slots=4)
        worker.start()
        wait_until(lambda: all(each.requests for each in hanging))
        post.publish(20)
        quick.wait_for(20, timeout=10)
        counts = [len(each.requests) for each in hanging]
        stack.close()  # which ends the attempts
        worker.stop()

    assert counts == [1] * 4
    assert {
        str(each.state) for one in endpoints for each in post.outbox.deliveries(endpoint=one)
    } == {"due"}


def test_contended(server_place: Place) -> None:
    """While another process has the lock of an endpoint, a worker looks again and again."""
    post = Post(server_place)
    with FakeReceiver() as receiver:
        post.endpoint(receiver.url)
        post.publish()
        post.route()
        with server_place.caller() as caller:
            caller.execute("SELECT id FROM hooksig_endpoints FOR UPDATE")
            with working(post):
                time.sleep(0.3)
                assert receiver.requests == []
                caller.rollback()
                receiver.wait_for(1, timeout=30)

    assert post.states() == ["delivered"]


def test_bytes_in_flight(sqlite: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large payloads are sent one after the other, also if one alone is too large."""
    monkeypatch.setattr(_dispatcher, "_SIZE", 150)
    post = Post(sqlite)
    with FakeReceiver([Answer(200, delay=0.1)]) as receiver:
        post.endpoint(receiver.url)
        post.publish(2, payload=b"x" * 100)
        post.publish(1, payload=b"x" * 200)
        assert post.send() == 3

    times = [each.at for each in receiver.requests]
    assert all(second - first >= 0.1 for first, second in itertools.pairwise(times))


def test_concurrency(store: Place) -> None:
    """Two workers together begin as many attempts at an endpoint as it may have at once."""
    post = Post(store)
    with FakeReceiver([Answer(200, delay=0.1)]) as receiver, working(post, 2):
        post.endpoint(receiver.url, concurrency=2)
        post.publish(8)
        receiver.wait_for(8, timeout=30)
        wait_until(lambda: {*post.states()} == {"delivered"})

    times = [each.at for each in receiver.requests]
    assert len(times) == 8
    assert all(third - first >= 0.1 for first, third in zip(times, times[2:], strict=False))


def test_order(store: Place) -> None:
    """Messages of a key arrive in their order, also after failures, and with two workers."""
    post = Post(store)
    answers: list[AnswerLike] = [500, 200, 200, "reset", 200, 500, 503, 200, 200, 500, 200]
    with FakeReceiver(answers) as receiver, working(post, 2):
        post.endpoint(receiver.url, order="key", schedule=FOREVER)
        for _ in range(2):
            post.publish(3, key="a")
            post.publish(3, key="b")
        wait_until(lambda: post.states() == ["delivered"] * 12)

    said = {each.sent_as: each.key for each in post.outbox.deliveries()}
    made = [each.sent_as for each in reversed(post.outbox.deliveries())]
    statuses = answers + [200] * len(receiver.requests)
    arrived = [
        each.header("webhook-id")
        for each, status in zip(receiver.requests, statuses, strict=False)
        if status == 200
    ]
    for key in ("a", "b"):
        assert [each for each in arrived if said[each or ""] == key] == [
            each for each in made if said[each] == key
        ]


def test_set_aside(sqlite: Place) -> None:
    """A message that waits for its next attempt for too long lets the next one go first."""
    post = Post(sqlite)
    refusal = Answer(503, headers={"Retry-After": "3600"})
    with FakeReceiver([refusal, 200]) as receiver, working(post):
        post.endpoint(receiver.url, order="key", hold=0.3)
        first, second = post.publish(2, key="customer 1")
        (event,) = post.told("set-aside")
        wait_until(lambda: post.states() == ["due", "delivered"])

    assert event.message_id == first
    assert [each.header("webhook-id") for each in receiver.requests] == [first, second]


def test_alone(sqlite: Place) -> None:
    """A delivery that was lost three times is sent when nothing else is in flight."""
    post = Post(sqlite)
    with FakeReceiver([Answer(200, delay=0.05)]) as receiver:
        post.endpoint(receiver.url)
        ids = post.publish(6)
        post.route()
        post.place.change("UPDATE hooksig_deliveries SET lost = 3 WHERE id = 6")
        post.place.change("UPDATE hooksig_deliveries SET due_at = due_at - id")

        post.send(slots=2)

    times = {each.header("webhook-id"): each.at for each in receiver.requests}
    assert {*times} == {*ids}
    alone = times.pop(ids[5])
    assert all(abs(each - alone) >= 0.05 for each in times.values())


def test_failing_and_recovered(sqlite: Place) -> None:
    """An endpoint that fails is left alone for a while, and told when it recovers."""
    post = Post(sqlite)
    with FakeReceiver([500] * 5 + [200]) as receiver, working(post):
        post.endpoint(receiver.url, schedule=FOREVER, concurrency=1)
        post.publish()
        post.told("failing", "recovered")

    times = [each.at for each in receiver.requests]
    assert post.kinds() == ["failing", "recovered"]
    assert times[5] - times[4] >= 0.9


# Processes


def test_given_up(store: Place) -> None:
    """A worker that was given up writes nothing, and sends again under another id."""
    post = Post(store)
    with FakeReceiver([Answer(204, delay=1.5), 200]) as receiver, working(post):
        post.endpoint(receiver.url)
        post.publish()
        receiver.wait_for(1, timeout=30)
        ((before,),) = post.place.rows("SELECT id FROM hooksig_processes")
        post.place.change("DELETE FROM hooksig_processes")
        receiver.wait_for(2, timeout=30)
        post.told("lost")
        ((after,),) = post.place.rows("SELECT id FROM hooksig_processes")

    (delivery,) = post.outbox.deliveries()
    assert before != after
    assert (str(delivery.state), delivery.attempts, delivery.lost) == ("delivered", 1, 1)
    assert delivery.status == 200


def test_taken_over(store: Place) -> None:
    """What a process has left behind is sent as soon as another one begins."""
    post = Post(store)
    with FakeReceiver() as receiver:
        post.endpoint(receiver.url)
        post.publish(2)
        post.route()
        post.claims(room("gone"))

        assert post.send() == 2

    assert post.states() == ["delivered", "delivered"]
    assert post.told("lost")[0].reason == "worker-lost"


def test_time(sqlite: Place) -> None:
    """What is signed is the time of the database, from the first attempt on."""
    clock = Shifted(sqlite.database())
    clock.offset = -HOUR
    post = Post(sqlite, clock)
    with FakeReceiver() as receiver:
        post.endpoint(receiver.url)
        post.publish()
        post.send()

    signed = int(receiver.requests[0].header("webhook-timestamp") or 0)
    assert time.time() - 3660 < signed < time.time() - 3540


def test_clock_put_back(sqlite: Place) -> None:
    """If the clock of the database is put back, a worker goes on."""
    clock = Shifted(sqlite.database())
    post = Post(sqlite, clock)
    with FakeReceiver([500, 200]) as receiver, working(post):
        post.endpoint(receiver.url, schedule=RetrySchedule((1,), jitter=0))
        post.publish()
        receiver.wait_for(1, timeout=30)
        wait_until(lambda: post.states() == ["due"])
        clock.offset = -HOUR
        receiver.wait_for(2, timeout=30)


# The database fails


def test_doubtful_commit(sqlite: Place) -> None:
    """What a process has claimed in a commit that failed, or did not, is sent all the same."""
    faulty = Faulty(sqlite.database())
    post = Post(sqlite, faulty)
    with FakeReceiver() as receiver:
        post.endpoint(receiver.url)
        post.publish(3)
        faulty.doubtful = 2

        assert post.send() == 3

    assert len(receiver.requests) == 3
    assert [(each.attempts, each.lost) for each in post.outbox.deliveries()] == [(1, 0)] * 3


def test_settled_in_doubt(sqlite: Place) -> None:
    """A result that was written in a commit that failed, or did not, is written once."""
    faulty = Faulty(sqlite.database())
    post = Post(sqlite, faulty)
    with FakeReceiver([Answer(500, delay=0.2), 200]) as receiver, working(post):
        post.endpoint(receiver.url, schedule=RetrySchedule((0, 3600), jitter=0))
        post.publish()
        receiver.wait_for(1, timeout=30)
        faulty.doubtful = 1
        wait_until(lambda: post.states() == ["delivered"])

    assert faulty.failed == 1
    (delivery,) = post.outbox.deliveries()
    assert [each.status for each in post.outbox.attempts(delivery.id)] == [500, 200]


def test_outage(sqlite: Place, caplog: pytest.LogCaptureFixture) -> None:
    """After the database could not be reached, a worker goes on, also with what has ended then."""
    faulty = Faulty(sqlite.database())
    post = Post(sqlite, faulty)
    plain = Post(sqlite)
    with FakeReceiver([Answer(200, delay=0.2), 200]) as receiver, working(post):
        plain.endpoint(receiver.url)
        plain.publish()
        receiver.wait_for(1, timeout=30)
        faulty.failing = {"*"}
        plain.publish(2)
        wait_until(lambda: faulty.failed >= 12)
        faulty.failing = set()
        wait_until(lambda: plain.states() == ["delivered"] * 3)

    assert "the outbox cannot use its database: OSError" in caplog.text
    assert "secret values" not in caplog.text
    assert caplog.text.count("cannot use its database") < 12
    assert len(receiver.requests) == 3


def test_version_that_fails(sqlite: Place) -> None:
    """If the number of commits cannot be read, the tables are looked at."""
    faulty = Faulty(sqlite.database())
    post = Post(sqlite, faulty)
    with FakeReceiver() as receiver, working(post):
        post.endpoint(receiver.url)
        faulty.failing = {"version"}
        wait_until(lambda: faulty.failed >= 2)
        post.publish()
        receiver.wait_for(1, timeout=30)


def test_stop_in_an_outage(sqlite: Place) -> None:
    """A worker that is stopped while the database cannot be reached ends, after some tries."""
    faulty = Faulty(sqlite.database())
    post = Post(sqlite, faulty)
    worker = Worker(post.outbox)
    worker.start()
    wait_until(lambda: bool(sqlite.rows("SELECT 1 FROM hooksig_processes")))
    faulty.failing = {"turn"}
    wait_until(lambda: faulty.failed >= 1)
    faulty.failing = {"*"}

    worker.stop()

    assert faulty.failed > 5


@pytest.mark.parametrize("step", ["_is_confirmed", "_join"])
def test_outage_at_the_start(sqlite: Place, step: str) -> None:
    """A worker that starts in an outage waits, and ends if it is stopped; it says nothing wrong."""
    faulty = Faulty(sqlite.database())
    post = Post(sqlite, faulty)
    worker = Worker(post.outbox)
    faulty.failing = {step}
    worker.start()
    wait_until(lambda: faulty.failed >= 2)
    worker.stop()

    worker.start()
    with FakeReceiver() as receiver:
        post.endpoint(receiver.url)
        post.publish()
        faulty.failing = set()
        receiver.wait_for(1, timeout=30)
        worker.stop()

    assert post.events == []


@pytest.mark.parametrize("step", ["_is_confirmed", "_join"])
def test_drain_in_an_outage(sqlite: Place, step: str) -> None:
    """A drain() that cannot begin within its budget does not wait, and says to look again."""
    faulty = Faulty(sqlite.database())
    post = Post(sqlite, faulty)
    faulty.failing = {step}

    assert post.outbox.drain(budget=0) is True
    assert faulty.failed == 1


def test_stop_after_being_given_up(sqlite: Place, caplog: pytest.LogCaptureFixture) -> None:
    """A worker that cannot join again ends if it is stopped."""
    faulty = Faulty(sqlite.database())
    post = Post(sqlite, faulty)
    worker = Worker(post.outbox)
    worker.start()
    wait_until(lambda: bool(sqlite.rows("SELECT 1 FROM hooksig_processes")))
    faulty.failing = {"_join"}
    sqlite.change("DELETE FROM hooksig_processes")
    wait_until(lambda: faulty.failed > 0)

    worker.stop()

    assert "without a heartbeat for too long" in caplog.text


# Ending


def test_graceful_stop(sqlite: Place) -> None:
    """A worker that is stopped waits for what is in flight, and begins nothing more."""
    post = Post(sqlite)
    with FakeReceiver([Answer(200, delay=0.5)]) as receiver:
        post.endpoint(receiver.url, concurrency=1)
        post.publish(2)
        with working(post):
            receiver.wait_for(1, timeout=30)

    assert post.states() == ["delivered", "due"]
    assert sqlite.rows("SELECT * FROM hooksig_processes") == []


def test_budget(store: Place) -> None:
    """drain() tells whether something is left that is due."""
    post = Post(store)
    with FakeReceiver() as receiver:
        post.endpoint(receiver.url)
        assert post.outbox.drain(budget=0) is False
        post.publish(2)

        unrouted = post.outbox.drain(budget=0)
        post.route()
        due = post.outbox.drain(budget=0)
        assert (unrouted, due, receiver.requests) == (True, True, [])
        assert post.outbox.drain() is False

    assert post.states() == ["delivered", "delivered"]
    assert post.outbox.drain(budget=0) is False


def test_drains_remember(sqlite: Place) -> None:
    """The next drain() of a process knows which endpoints are quick, and does not prune again."""
    post = Post(sqlite)
    with FakeReceiver() as receiver:
        endpoint = post.endpoint(receiver.url)
        post.publish()
        post.outbox.drain()
        assert not post.outbox._pruning.is_due()  # noqa: SLF001
        post.outbox.drain()

    assert {*post.outbox._paces} == {endpoint}  # noqa: SLF001


def test_drain_leaves_what_is_due_later(sqlite: Place) -> None:
    """drain() does not wait for the next attempt of what was refused."""
    post = Post(sqlite)
    with FakeReceiver([500]) as receiver:
        post.endpoint(receiver.url, schedule=RetrySchedule((60,)))
        post.publish()

        assert post.outbox.drain() is False

    assert len(receiver.requests) == 1


def test_drain_waits_for_the_rate(sqlite: Place) -> None:
    """drain() goes on with what is due, if the rate of its endpoint allows it soon."""
    post = Post(sqlite)
    with FakeReceiver() as receiver:
        post.endpoint(receiver.url, rate=10, concurrency=100)
        post.publish(14)

        assert post.outbox.drain() is False

    times = [each.at for each in receiver.requests]
    assert len(times) == 14
    assert times[13] - times[9] >= 0.2


def test_nobody_takes_them(sqlite: Place) -> None:
    """Messages that no endpoint takes are routed, all of them, and forgotten later."""
    post = Post(sqlite)
    post.endpoint(event_types=["other"])
    post.publish(250)

    assert post.send() == 0

    assert sqlite.rows("SELECT COUNT(*) FROM hooksig_messages WHERE is_routed = 0") == [(0,)]


# Installations


def test_copy(sqlite: Place) -> None:
    """Another installation sends nothing until somebody confirms, and says so once."""
    post = Post(sqlite, installation="production")
    copy = Post(sqlite, installation="staging")
    with FakeReceiver() as receiver:
        post.endpoint(receiver.url)
        post.publish()
        assert (copy.send(), copy.outbox.drain()) == (0, False)
        copy.told("unconfirmed", "unconfirmed")

        with working(copy):
            copy.told("unconfirmed", "unconfirmed", "unconfirmed")
            time.sleep(1.2)  # it looks each second
            assert receiver.requests == []
            copy.outbox.confirm()
            receiver.wait_for(1, timeout=30)

    assert copy.kinds() == ["unconfirmed"] * 3
    assert copy.events[0].reason == "other-installation"
    assert not post.outbox.is_confirmed()


# Forgetting


def test_pruned(store: Place) -> None:
    """A worker forgets what was delivered long ago, in several steps if it is much."""
    post = Post(store, retention=60)
    post.endpoint(event_types=["other"])
    post.publish(401)
    post.send()
    post.place.change("UPDATE hooksig_messages SET created_at = 1")

    with working(Post(store, retention=60)):
        wait_until(lambda: post.place.rows("SELECT COUNT(*) FROM hooksig_messages") == [(0,)])


# Threads


def test_idle_threads_end(sqlite: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that has nothing to send for a while ends, and there is a new one when needed."""
    monkeypatch.setattr(_crew, "_IDLE", 0.05)
    monkeypatch.setattr(_dispatcher, "_REMEMBERED", 0)
    post = Post(sqlite)
    dispatcher = post.outbox._dispatcher(4)  # noqa: SLF001
    thread = Thread(target=dispatcher.run)
    with FakeReceiver() as receiver:
        post.endpoint(receiver.url)
        thread.start()
        for count in (1, 2):
            post.publish()
            receiver.wait_for(count, timeout=30)
            wait_until(lambda: not dispatcher._crew._threads)  # noqa: SLF001
        dispatcher.stop()
        thread.join()

    assert dispatcher.sent == 2


def test_rings(sqlite: Place) -> None:
    """However often somebody rings, it is one reason to look."""
    dispatcher = Post(sqlite).outbox._dispatcher(4)  # noqa: SLF001

    for _ in range(1000):
        dispatcher.ring()

    assert dispatcher._crew._inbox.qsize() == 1  # noqa: SLF001


def test_emptied_inbox(sqlite: Place) -> None:
    """Whatever is in the inbox is taken at once."""
    dispatcher = Post(sqlite).outbox._dispatcher(4)  # noqa: SLF001
    for _ in range(2):
        dispatcher._crew._inbox.put(_crew._RING)  # noqa: SLF001

    assert dispatcher._crew.collect(30, 30) == []  # noqa: SLF001
    assert dispatcher._crew._inbox.empty()  # noqa: SLF001


def test_newer_tables(sqlite: Place) -> None:
    """Tables of a newer release are refused, also if they came after the start."""
    dispatcher = Post(sqlite).outbox._dispatcher(4)  # noqa: SLF001
    sqlite.change("UPDATE hooksig_installation SET version = 99")

    with pytest.raises(ConfigurationError, match="version 99"):
        dispatcher.run()


# Databases that are away for long


@pytest.mark.stress
@pytest.mark.long
def test_restarted_server() -> None:
    """While PostgreSQL is down, workers wait; when it is back, nothing is lost or given up."""
    with ExitStack() as stack:
        server = stack.enter_context(postgresql_server())
        url = server_url(server.settings, server.settings["NAME"])
        place = stack.enter_context(closing(sqlalchemy_place("PostgreSQL", url)))
        posts = [Post(place, lease=5.0) for _ in range(2)]
        receiver = stack.enter_context(FakeReceiver([Answer(200, delay=0.5)]))
        posts[0].endpoint(receiver.url, concurrency=4)
        workers = [Worker(each.outbox) for each in posts]
        for each in workers:
            each.start()
        posts[0].publish(30)
        receiver.wait_for(5, timeout=30)
        server.restart(8)
        wait_until(lambda: {*posts[0].states()} == {"delivered"})
        assert {each.lost for each in posts[0].outbox.deliveries()} == {0}
        assert len(receiver.requests) == 30
        server.stop()
        workers[0].stop()
        server.start()
        place.closing()  # the app's own connections are those to the server before
        posts[0].publish(1)
        wait_until(lambda: posts[0].states() == ["delivered"] * 31)
        workers[1].stop()


@pytest.mark.stress
@pytest.mark.long
def test_locked_file(sqlite: Place) -> None:
    """While another process holds the lock of a SQLite file, a worker waits, and goes on."""
    post = Post(sqlite)
    with FakeReceiver([Answer(200, delay=0.5), 200]) as receiver, working(post):
        post.endpoint(receiver.url)
        post.publish(3)
        receiver.wait_for(1, timeout=30)
        with sqlite.caller() as caller:
            caller.execute("BEGIN IMMEDIATE")
            time.sleep(12)
        wait_until(lambda: post.states() == ["delivered"] * 3)

    assert len(receiver.requests) == 3
