"""Each delivery once, by many processes: thrown at all of them at once, killed at their work."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from functools import partial
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.integrations.conformance import signed
from tests.integrations.once import DUPLICATE, deliver
from tests.loopback import Answer, Server, gunicorn

# More of them by hand: the figures in the issue are 1,000 and 3,000.
COPIES = int(os.environ.get("COPIES", "200"))
DELIVERIES = int(os.environ.get("DELIVERIES", "150"))


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """The file that the handlers write into."""
    path = tmp_path / "notes"
    path.touch()
    return path


def serve(notes: Path, store: str, workers: int) -> AbstractContextManager[Server]:
    """Serve Flask's app in several processes."""
    app = "tests.integrations.once_apps:flask_app"
    options = (f"--workers={workers}", "--threads=8", "--log-level=info")
    # Who is killed cannot write down what it has covered.
    environment = {"NOTES": str(notes), "STORE": store, "COVERAGE_PROCESS_CONFIG": ""}
    return gunicorn(app, *options, **environment)


def throw(server: Server, takes: float, copies: int = COPIES) -> list[Answer]:
    """Send one delivery many times at once."""
    with ThreadPoolExecutor(60) as pool:
        return list(pool.map(lambda _: deliver(server, n="one", takes=takes), range(copies)))


class TestThrown:
    """One delivery, many times at once, at eight processes."""

    def test_sqlite(self, notes: Path) -> None:
        """It is handled once, and all of its senders are told that it was."""
        with serve(notes, f"sqlite:{notes}.sqlite", 8) as server:
            answers = throw(server, 0.3)

        assert notes.read_text().splitlines() == ["begin one", "end one"]
        assert {answer.status for answer in answers} == {200}
        duplicates = [answer for answer in answers if answer.json() == DUPLICATE]
        assert len(duplicates) == COPIES - 1

    def test_slow_handler(self, notes: Path) -> None:
        """Those that come while it is being handled for long are put off."""
        with serve(notes, f"sqlite:{notes}.sqlite", 8) as server:
            statuses = Counter(answer.status for answer in throw(server, 4, 50))
            again = deliver(server, n="one", takes=4)

        assert notes.read_text().splitlines() == ["begin one", "end one"]
        assert set(statuses) == {200, 409}
        assert again.json() == DUPLICATE

    def test_store_that_looks_first(self, notes: Path) -> None:
        """What people write lets some of them through: the test would see it."""
        with serve(notes, "get-then-set", 8) as server:
            throw(server, 0.3)

        assert notes.read_text().splitlines().count("end one") > 1


def send_as_frappe_does(server: Server, number: int) -> bool:
    """Send a delivery until it is taken, three times at most; return whether anybody answered."""
    body = json.dumps({"n": number, "takes": 0.005}).encode()
    answered = False
    for pause in (1, 4, 0):
        with suppress(OSError, HTTPException):
            answer = server.send("/", body, signed(body))
            answered = True
            if answer.status in range(200, 300):
                break
        time.sleep(pause)
    return answered


def kill_workers(server: Server, over: threading.Event) -> None:
    """Kill one of the processes each second, as suddenly as can be."""
    while not over.wait(1):
        booted = re.findall(r"Booting worker with pid: (\d+)", server.log)
        with suppress(ProcessLookupError):
            os.kill(int(random.choice(booted[-2:])), signal.SIGKILL)


def test_killed(notes: Path) -> None:
    """Nothing that anybody has answered is lost, and hardly anything is handled twice."""
    over = threading.Event()
    with serve(notes, f"sqlite:{notes}.sqlite", 2) as server:
        killer = threading.Thread(target=kill_workers, args=(server, over))
        killer.start()
        with ThreadPoolExecutor(20) as pool:
            answered = list(pool.map(partial(send_as_frappe_does, server), range(DELIVERIES)))
        over.set()
        killer.join()
        kills = server.log.count("was sent SIGKILL")

    ended = Counter(re.findall(r"^end (\d+)$", notes.read_text(), re.MULTILINE))
    lost = [number for number in range(DELIVERIES) if answered[number] and not ended[str(number)]]
    twice = [number for number, times in ended.items() if times > 1]
    sys.stdout.write(f"{len(answered)} sent, {kills} kills, {len(lost)} lost, {len(twice)} twice\n")
    assert not lost
    # Killed between the handler's end and what the store was told of it.
    assert len(twice) <= kills * 16
