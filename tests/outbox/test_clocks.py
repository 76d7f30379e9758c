"""Workers that are stopped for a while, and clocks that are wrong or jump."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from frappe_hooksig.sending import RetrySchedule
from tests.databases import mariadb, postgresql
from tests.outbox.places import Place
from tests.outbox.post import Post, joined
from tests.outbox.post import Shifted as Turned
from tests.outbox.trials import (
    SECRET,
    Shifted,
    cpu_of,
    database_at,
    outbox_at,
    path_in,
    pid_of,
    publishing,
    receiver,
    tell,
    url_of,
    wait_until,
    worker,
)
from tests.selection import at_full_size

_HOUR = 3600.0
_SERVERS: dict[str, Any] = {"postgresql": postgresql, "mariadb": mariadb}


@pytest.fixture(params=[at_full_size(each) for each in ("postgresql", "mariadb")])
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run a database server; the value is its address."""
    with _SERVERS[request.param]() as settings:
        yield url_of(settings)


def test_stopped_worker(tmp_path: Path) -> None:
    """What a worker finds out after its lease is over changes nothing."""
    assert_late_outcome_is_fenced_off(path_in(tmp_path), lease=0.5)


def test_stopped_worker_on_a_server(server: str) -> None:
    """Nor does it on a server."""
    assert_late_outcome_is_fenced_off(server, lease=2)


def assert_late_outcome_is_fenced_off(address: str, *, lease: float) -> None:
    outbox = outbox_at(address)
    outbox.migrate()
    with receiver() as there, ExitStack() as workers, publishing(address, outbox) as publish:
        outbox.add_endpoint(f"{there.url}/ok/1", secret_from=SECRET)
        there.behave("ok", status=500, delay=1)
        late = workers.enter_context(worker(address, f"--lease={lease}"))
        publish("an.event", {})
        wait_until(there.seen)
        os.kill(pid_of(late), signal.SIGSTOP)
        there.behave("ok")
        other = workers.enter_context(worker(address, f"--lease={lease}"))
        there.wait_for(1)
        wait_until(lambda: outbox.deliveries(states="delivered"))
        (before,) = outbox.deliveries()
        os.kill(pid_of(late), signal.SIGCONT)
        late.wait_for("without a heartbeat for too long", 1)
        other.stop()
        for number in range(5):  # by the one that was late
            publish("an.event", {"number": number})
        there.wait_for(6)
        wait_until(lambda: len(outbox.deliveries(states="delivered")) == 6)
        after = outbox.deliveries()[-1]
        attempts = outbox.attempts(before.id)
        seen = there.seen()
    assert [each["status"] for each in seen[:2]] == [500, 200]
    assert {each["id"] for each in seen[:2]} == {before.sent_as}
    assert after == before
    assert (after.status, after.attempts, after.lost) == (200, 1, 1)
    assert [each.status for each in attempts] == [200]
    outbox.close()


def test_worker_stopped_in_a_transaction(server: str, tmp_path: Path) -> None:
    """A process that is stopped while it holds locks does not hold up the others for long."""
    outbox = outbox_at(server)
    outbox.migrate()
    flag = tmp_path / "flag"
    with receiver() as there, publishing(server, outbox) as publish:
        for number in range(6):
            url = f"{there.url}/ok/{number}"
            outbox.add_endpoint(url, secret_from=SECRET, event_types=[f"event.{number}"])
        with worker(server, f"--stops-at={flag}") as stopped, worker(server) as other:
            committed = {}
            cpu = 0.0
            for number in range(600):
                if number == 60:
                    flag.touch()
                    cpu = cpu_of(other)
                if number == 400:
                    os.kill(pid_of(stopped), signal.SIGCONT)
                    cpu = cpu_of(other) - cpu
                committed[publish(f"event.{number % 6}", {})] = time.time()
                time.sleep(0.05)
            there.wait_for(600)
            wait_until(lambda: not outbox.deliveries(states=["due", "claimed"]))
            stopped.wait_for("started", 1)
            seen = there.seen()
            is_running = stopped.is_running()
    late = sorted(each["at"] - committed[each["id"]] for each in seen)
    tell(
        f"a worker stopped in a transaction: the latest of {len(seen)} after {late[-1]:.1f} s, "
        f"{sum(each > 1 for each in late)} after more than 1 s; the other one used {cpu:.1f} s of "
        f"CPU in 17 s"
    )
    assert not flag.exists()
    assert is_running
    assert late[-1] < 20
    outbox.close()


@pytest.mark.parametrize("ahead", [_HOUR, -_HOUR])
def test_clock_of_a_worker(tmp_path: Path, ahead: float) -> None:
    """If the clock of a worker is wrong, it signs the right time all the same."""
    assert_clock_does_not_matter(path_in(tmp_path), f"--ahead={ahead}")


@pytest.mark.long
@pytest.mark.stress
@pytest.mark.parametrize("ahead", [_HOUR, -_HOUR])
def test_clock_of_a_worker_on_postgresql(ahead: float) -> None:
    """So it does if the database is a server."""
    with postgresql() as settings:
        assert_clock_does_not_matter(url_of(settings), f"--ahead={ahead}")


def assert_clock_does_not_matter(address: str, option: str) -> None:
    outbox = outbox_at(address)
    outbox.migrate()
    soon = RetrySchedule((0.2, 0.2))
    with receiver() as there, publishing(address, outbox) as publish:
        outbox.add_endpoint(f"{there.url}/ok/1", secret_from=SECRET, schedule=soon)
        there.behave("ok", status=503)
        message = publish("an.event", {})
        with worker(address, option):
            wait_until(there.seen)
            there.behave("ok")
            for number in range(9):
                publish("an.event", {"number": number})
            there.wait_for(10)
            wait_until(lambda: len(outbox.deliveries(states="delivered")) == 10)
            seen = there.seen()
        started = [each.started_at for each in outbox.attempts(outbox.deliveries()[-1].id)]
    assert {each["status"] for each in seen} == {200, 503}
    assert seen[0]["id"] == message
    assert max(abs(each["at"] - each["signed"]) for each in seen) < 60
    assert abs(started[0] - seen[0]["at"]) < 60
    outbox.close()


@dataclass(frozen=True)
class Clocked:
    """A database whose clock a test can put.

    Attributes:
        address: Where it is.
        options: What workers need for it.
        put: Puts the clock so many seconds ahead of the real one.
    """

    address: str
    options: tuple[str, ...]
    put: Callable[[float], object]


@contextmanager
def sqlite_clock(folder: Path) -> Iterator[Clocked]:
    address = path_in(folder)
    database = Shifted(database_at(address))
    database.make()
    yield Clocked(address, ("--shifted",), database.shift)
    database.close()


@contextmanager
def postgresql_clock(folder: Path) -> Iterator[Clocked]:
    clock = folder / "clock"
    clock.write_text("+0")
    folder.chmod(0o755)
    folder.parent.chmod(0o755)
    # What `apt-get install faketime` brings. Python's own sleep does not work with it.
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    environment = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with postgresql(environment) as settings:
        yield Clocked(url_of(settings), (), lambda seconds: clock.write_text(f"{seconds:+.0f}"))


def test_old_time_that_is_written_late(sqlite: Place) -> None:
    """What a transaction writes with the time from before the clock was put back is due, too."""
    database = Turned(sqlite.database())
    post = Post(sqlite, database)
    post.endpoint()
    post.publish()
    post.route()
    heart = joined(database)
    heart.beat(database)
    database.offset = -int(_HOUR * 1000)
    heart.beat(database)
    late = "UPDATE hooksig_deliveries SET due_at = due_at + 3605000, set_at = due_at + 3600000"
    sqlite.change(late)

    heart.beat(database)

    wait = "SELECT due_at - set_at, set_at - {now} FROM hooksig_deliveries"
    ((left, age),) = database.run(lambda each: each.rows(wait))
    assert left == 5000
    assert -30_000 < age <= 0


@pytest.mark.parametrize(
    ("clocked", "workers", "lease"),
    [
        (sqlite_clock, 1, 1.0),
        at_full_size(sqlite_clock, 2, 10.0),
        at_full_size(postgresql_clock, 2, 10.0),
    ],
)
def test_clock_of_the_database(tmp_path: Path, clocked: Any, workers: int, lease: float) -> None:
    """If the clock jumps ahead, rates bound the burst; if it is put back, nothing stalls."""
    with ExitStack() as stack:
        place: Clocked = stack.enter_context(clocked(tmp_path))
        outbox = outbox_at(place.address, is_shifted=bool(place.options))
        outbox.migrate()
        there = stack.enter_context(receiver())
        for kind in ("rated", "plain", "down"):
            there.behave(kind, timeless=1)
        publish = stack.enter_context(publishing(place.address, outbox))
        rated, _, _ = (
            outbox.add_endpoint(
                f"{there.url}/{kind}/1",
                secret_from=SECRET,
                event_types=[f"to.{kind}"],
                rate=rate,
                schedule=RetrySchedule((0.5,) * 50),
            )
            for kind, rate in (("rated", 20), ("plain", None), ("down", None))
        )
        outbox.pause(rated.id)
        for _ in range(50):
            publish("to.rated", {})
        outbox.drain()
        # As if they had failed once.
        put_off = "UPDATE hooksig_deliveries SET due_at = due_at + 1800000"
        with closing(database_at(place.address)) as database:
            database.run(lambda each: each.change(put_off))
        outbox.resume(rated.id)
        crew = [
            stack.enter_context(worker(place.address, *place.options, f"--lease={lease}"))
            for _ in range(workers)
        ]
        publish("to.plain", {})
        there.wait_for(1, "plain")
        time.sleep(lease / 2)  # some heartbeats
        assert not there.seen("rated")

        place.put(_HOUR)
        there.wait_for(50, "rated")
        for _ in range(5):
            publish("to.plain", {})
        there.wait_for(6, "plain")
        moments = [each["at"] for each in there.seen("rated")]
        most = max(sum(each <= at < each + 1 for at in moments) for each in moments)

        there.behave("down", timeless=1, status=500)
        for _ in range(20):
            publish("to.down", {})
            publish("to.rated", {})
        wait_until(lambda: len(there.seen("down")) >= 5)
        place.put(0)
        start = time.monotonic()
        there.behave("down", timeless=1)
        for _ in range(5):
            publish("to.plain", {})
        plain = there.wait_for(11, "plain")
        there.wait_for(20, "down")
        there.wait_for(70, "rated")
        down = time.monotonic() - start
        wait_until(lambda: not outbox.deliveries(states=["due", "claimed"]))
        lost = sum(each.log.count("without a heartbeat") for each in crew)
        repeated = len(there.seen("rated")) + len(there.seen("plain")) - 70 - 11
    tell(
        f"clock of the database: at most {most} in a second at a rate of 20; put back, new "
        f"messages wait for {plain:.1f} s, and all is sent after {down:.1f} s; "
        f"{repeated} were sent twice"
    )
    assert most <= 41
    assert plain < lease + 5
    assert down < lease + 15
    assert not lost
    assert not repeated
    outbox.close()
