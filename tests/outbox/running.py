"""Programs that run beside a test: workers that can be killed, and a receiver that takes notes."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.loopback import ROOT, gunicorn

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

SECONDS_TO_WAIT = 60

# Who is killed cannot write down what it has covered.
NOT_COVERED = {"COVERAGE_PROCESS_CONFIG": ""}


class Notes:
    """What a receiver has written down.

    Attributes:
        path: The file.
        url: Where the receiver listens.
    """

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        self.url = url

    def times(self, what: str) -> dict[tuple[str, str], list[float]]:
        """Return when something has happened to each message at each path: arrived, handled."""
        found: dict[tuple[str, str], list[float]] = {}
        for line in self.path.read_text().splitlines():
            did, at, path, message = line.split()
            if did == what:
                found.setdefault((path, message), []).append(float(at))
        return found

    def counts(self, what: str) -> Counter[tuple[str, str]]:
        """Return how often something has happened to each message at each path."""
        return Counter({each: len(times) for each, times in self.times(what).items()})

    def wait_for(self, what: str, count: int, times: int = 1) -> None:
        """Wait until something has happened to so many messages, so many times each."""
        wait_until(lambda: sum(n >= times for n in self.counts(what).values()) >= count)


@contextmanager
def receiver(folder: Path) -> Iterator[Notes]:
    """Run the receiver, until the block ends."""
    path = folder / "notes"
    path.touch()
    app = "tests.outbox.receiver_app:app"
    with gunicorn(app, "--threads=80", NOTES=str(path), **NOT_COVERED) as server:
        yield Notes(path, f"http://127.0.0.1:{server.port}")


class Workers:
    """Workers in processes of their own, until the block ends.

    Args:
        address: Where the outbox is.
        log: The file for what they print.
        count: How many there are at a time.
        program: The module that they run.
        environment: What they have besides the environment of the tests.
    """

    def __init__(
        self,
        address: str,
        log: Path,
        count: int = 1,
        program: str = "tests.outbox.worker_app",
        **environment: str,
    ) -> None:
        self.killed = 0
        self._command = [sys.executable, "-m", program, address]
        self._environment = {**os.environ, **NOT_COVERED, **environment}
        self._log = log
        self._count = count
        self._running: list[subprocess.Popen[bytes]] = []

    @property
    def log(self) -> str:
        """What they have printed so far."""
        return self._log.read_text()

    def start_one(self) -> None:
        """Start another one."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=log
            )
        self._running.append(process)

    def kill_one(self, which: int | None = None) -> None:
        """Kill one of them, by default any, and wait until it is gone."""
        number = random.randrange(len(self._running)) if which is None else which
        process = self._running.pop(number)
        process.kill()
        process.wait()
        self.killed += 1

    def kill_until(self, is_done: Callable[[], bool], pause: float) -> None:
        """Kill one now and then and start another, until something is done."""
        deadline = time.monotonic() + 10 * SECONDS_TO_WAIT
        while not is_done():
            assert time.monotonic() < deadline, self.log
            time.sleep(pause)
            self.kill_one()
            self.start_one()

    def are_alive(self) -> bool:
        """Whether none of them has ended by itself."""
        return all(each.poll() is None for each in self._running)

    def __enter__(self) -> Self:
        for _ in range(self._count):
            self.start_one()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        for each in self._running:
            each.terminate()
        for each in self._running:
            each.wait(SECONDS_TO_WAIT)


def wait_until(is_done: Callable[[], bool], seconds: float = SECONDS_TO_WAIT) -> None:
    """Wait until something is done."""
    deadline = time.monotonic() + seconds
    while not is_done():
        assert time.monotonic() < deadline, f"it was not done within {seconds} seconds"
        time.sleep(0.05)


def median_ms(seconds: list[float]) -> int:
    """Return the median, in milliseconds."""
    return round(statistics.median(seconds) * 1000)
