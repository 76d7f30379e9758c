"""Workers: how they start, are rung, and end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest

from frappe_hooksig import ConfigurationError
from frappe_hooksig.outbox import Worker
from frappe_hooksig.testing import Answer, FakeReceiver
from tests.outbox.places import Place
from tests.outbox.post import SECRET, Faulty, Post, wait_until

PROGRAM = """\
import sys

from frappe_hooksig.outbox import Outbox, Worker
from frappe_hooksig.sending import AddressGuard

outbox = Outbox(sys.argv[1], guard=AddressGuard(["127.0.0.1"]))
print("sent", Worker(outbox).run())
"""


def test_once(sqlite: Place) -> None:
    """run(once=True) ends when nothing is due, and returns how many attempts there were."""
    post = Post(sqlite)
    with FakeReceiver([200, 500]) as receiver:
        post.endpoint(receiver.url, concurrency=1)
        post.publish(2)
        worker = Worker(post.outbox)

        assert worker.run(once=True) == 2
        assert worker.run(once=True) in {0, 1}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_error_in_its_thread(sqlite: Place, caplog: pytest.LogCaptureFixture) -> None:
    """A worker that ends by an error of its own says so, and can be started again."""
    faulty = Faulty(sqlite.database())
    post = Post(sqlite, faulty)
    faulty.errors = ()  # so it is none of the database
    faulty.failing = {"turn"}
    worker = Worker(post.outbox)

    worker.start()
    wait_until(lambda: "the worker has ended by an error" in caplog.text)
    worker.stop()

    assert "is started again: OSError" in caplog.text
    assert sqlite.rows("SELECT * FROM hooksig_processes") == []
    faulty.failing = set()
    assert worker.run(once=True) == 0


def test_slots(sqlite: Place) -> None:
    """The number of slots must be one."""
    outbox = Post(sqlite).outbox

    for slots in (0, 501, 1.5, True):
        with pytest.raises(ConfigurationError, match="slots= must be a whole number from 1 to 500"):
            Worker(outbox, slots=slots)  # type: ignore[arg-type]

    assert repr(Worker(outbox, slots=3)).startswith("<Worker with 3 slots of <Outbox in ")


def test_started_twice(sqlite: Place) -> None:
    """A worker that runs cannot be started; one that was stopped can."""
    worker = Worker(Post(sqlite).outbox)
    with worker:
        for again in (worker.start, worker.run):
            with pytest.raises(ConfigurationError, match="the worker runs already"):
                again()

    with worker:
        pass
    assert worker.run(once=True) == 0


def test_stopped_before(sqlite: Place) -> None:
    """A worker that does not run can be stopped."""
    post = Post(sqlite)
    worker = Worker(post.outbox)
    worker.stop()

    with worker:
        worker.stop()
        worker.stop()


def test_run_in_a_thread(sqlite: Place) -> None:
    """run() in another thread than the main one ends by stop()."""
    post = Post(sqlite)
    worker = Worker(post.outbox)
    thread = Thread(target=worker.run)
    with FakeReceiver() as receiver:
        post.endpoint(receiver.url)
        thread.start()
        post.publish()
        receiver.wait_for(1, timeout=30)
        wait_until(lambda: post.states() == ["delivered"])

        worker.stop()
        thread.join()


def test_no_tables(tmp_path: Path) -> None:
    """Without tables, a worker says what to do."""
    from frappe_hooksig.outbox import Outbox

    with closing(Outbox(tmp_path / "empty.sqlite3")) as outbox:
        worker = Worker(outbox)
        for start in (worker.start, worker.run):
            with pytest.raises(ConfigurationError, match="run `frappe-hooksig outbox init`"):
                start()
        outbox.migrate()
        assert worker.run(once=True) == 0


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_signals(sqlite: Place, name: str) -> None:
    """A signal ends run(), after what is in flight."""
    post = Post(sqlite)
    environment = {**os.environ, "OUTBOX_SECRET": SECRET}
    with FakeReceiver([Answer(200, delay=0.5)]) as receiver:
        post.endpoint(receiver.url, secret_from="env:OUTBOX_SECRET", concurrency=1)
        post.publish(2)
        command = [sys.executable, "-c", PROGRAM, sqlite.address]
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            receiver.wait_for(1, timeout=30)
            process.send_signal(getattr(signal, name))
            out, err = process.communicate(timeout=30)

    assert (process.returncode, out, err) == (0, "sent 1\n", "")
    assert post.states() == ["delivered", "due"]


def test_handlers_are_put_back(sqlite: Place) -> None:
    """run() leaves the handlers of signals as they were."""
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]

    Post(sqlite).send()

    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == before


def test_rung_by_a_commit(sqlalchemy_postgresql: Place) -> None:
    """The commit of a session wakes a worker of the same process."""
    post = Post(sqlalchemy_postgresql)
    rings: list[int] = []
    with FakeReceiver() as receiver, Worker(post.outbox):
        post.endpoint(receiver.url)
        (dispatcher,) = post.outbox._dispatchers  # noqa: SLF001
        ring = dispatcher.ring

        def counted() -> None:
            rings.append(1)
            ring()

        dispatcher.ring = counted  # type: ignore[method-assign]
        with sqlalchemy_postgresql.caller() as caller:
            post.outbox.publish(caller.theirs, "order.paid", {})
            assert not rings
            caller.commit()
            assert rings
        receiver.wait_for(1, timeout=30)


def test_rung_by_changes(sqlite: Place) -> None:
    """What makes something due is noticed, also by a worker of another outbox at the same file."""
    post, other = Post(sqlite), Post(sqlite)
    with FakeReceiver() as receiver, Worker(other.outbox):
        endpoint = post.endpoint(receiver.url)
        post.outbox.pause(endpoint)
        (message,) = post.publish()
        wait_until(lambda: post.states() == ["due"])
        post.outbox.resume(endpoint)
        receiver.wait_for(1, timeout=30)
        wait_until(lambda: post.states() == ["delivered"])
        post.outbox.send_again(message=message)
        receiver.wait_for(2, timeout=30)
