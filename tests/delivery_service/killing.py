"""The API of a service whose processes are killed, and clients that publish all the same."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Event, Lock, Thread
from types import TracebackType

from typing_extensions import Self

from tests.delivery_service.running import Installed
from tests.loopback import ROOT, Answer, free_port
from tests.outbox.running import NOT_COVERED, SECONDS_TO_WAIT, wait_until

EVENT_TYPE = "invoice.paid"


class Api:
    """The API, in some processes of gunicorn, until the block ends.

    Args:
        installed: The service.
        log: The file for what they print.
        count: How many processes there are at a time. gunicorn starts another one for each that
            ends.

    Attributes:
        port: Where they listen.
        killed: How many were killed so far.
    """

    def __init__(self, installed: Installed, log: Path, count: int) -> None:
        self.port = free_port()
        self.killed = 0
        self._environment = {**os.environ, **NOT_COVERED, **installed.environment}
        self._log = log
        self._count = count
        self._command = [sys.executable, "-m", "gunicorn", "delivery_service.app:create_app()"]
        self._command += [f"--bind=127.0.0.1:{self.port}", f"--workers={count}"]
        self._command += ["--worker-class=uvicorn_worker.UvicornWorker", "--no-control-socket"]
        self._process = self._started()

    @property
    def log(self) -> str:
        """What they have printed so far."""
        return self._log.read_text()

    def _started(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=log
            )

    def kill_one(self) -> None:
        """Kill any of the processes."""
        self.killed += kill_child(self._process.pid)

    def kill_all(self) -> None:
        """Kill all of them, and gunicorn itself, and start it again."""
        children = _children(self._process.pid)
        self._process.kill()
        self._process.wait()
        for each in children:
            _kill(each)
        self.killed += len(children)
        self._process = self._started()

    def __enter__(self) -> Self:
        # gunicorn listens long before the app has started.
        wait_until(lambda: self.log.count("Application startup complete") >= self._count)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(SECONDS_TO_WAIT)


class Supervised:
    """A program that is started again whenever it ends, until the block ends.

    It stands for the supervisor of a deployment: Celery may end when its broker is killed.

    Args:
        command: Starts it.
        environment: What it has besides the environment of the tests.
        log: The file for what it prints.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._command = command
        self._environment = {**os.environ, **NOT_COVERED, **environment}
        self._log = log
        self._is_ending = Event()
        self._process = self._started()
        self._thread = Thread(target=self._watch)

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return self._log.read_text()

    def kill_child(self) -> None:
        """Kill any of its children."""
        kill_child(self._process.pid)

    def _started(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=log
            )

    def _watch(self) -> None:
        while not self._is_ending.wait(0.2):
            if self._process.poll() is not None:
                self._process = self._started()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._is_ending.set()
        self._thread.join()
        self._process.terminate()
        self._process.wait(SECONDS_TO_WAIT)


def kill_child(parent: int) -> bool:
    """Kill any child of a process; return whether there was one.

    While Celery looks for its broker, it starts no children in place of those that were killed.
    """
    children = _children(parent)
    if children:
        _kill(random.choice(children))
    return bool(children)


def _children(parent: int) -> list[int]:
    with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
        return [*map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())]
    return []


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one request publishes.

    Attributes:
        keys: The idempotency keys of its messages, which are their payloads, too.
        is_bulk: Whether it is sent to the route for several.
        is_sure: Whether it is sent until it is answered 2xx; or once, whatever becomes of it.
        is_contradicted: Whether it is sent once more after that, with another payload.
    """

    keys: tuple[str, ...]
    is_bulk: bool = False
    is_sure: bool = True
    is_contradicted: bool = False

    @property
    def path(self) -> str:
        """Where it is sent."""
        return "/v1/messages/bulk" if self.is_bulk else "/v1/messages"

    def body(self, payload: str = "as it is") -> bytes:
        """Return the body of the request."""
        messages = [
            {
                "event_type": EVENT_TYPE,
                "payload": {"key": key, "text": payload},
                "idempotency_key": key,
            }
            for key in self.keys
        ]
        return json.dumps({"messages": messages} if self.is_bulk else messages[0]).encode()


@dataclass
class Told:
    """What clients were answered.

    Attributes:
        statuses: How often each status came; 0 is no answer.
        ids: The ids that were answered for each idempotency key.
        contradicted: The statuses of answers to another payload with the same idempotency key.
        wrong: Answers that no client should get, whatever is killed.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    ids: dict[str, set[str]] = field(default_factory=dict)
    contradicted: Counter[int] = field(default_factory=Counter)
    wrong: list[Answer] = field(default_factory=list)


class Clients:
    """Some who publish at the same time, until everything is answered that has to be.

    Args:
        port: Where the API is.
        headers: With the API key.
        pause: How long each of them waits after each request, in seconds.
    """

    def __init__(self, port: int, headers: dict[str, str], pause: float) -> None:
        self.told = Told()
        self._port = port
        self._headers = headers
        self._pause = pause
        self._lock = Lock()

    def publish(self, batches: Sequence[Batch], count: int) -> Told:
        """Publish batches, in their order, and return what was answered.

        Args:
            batches: The batches.
            count: How many clients there are.
        """
        left = iter(batches)
        with ThreadPoolExecutor(count) as pool:
            for done in [pool.submit(self._publish_some, left) for _ in range(count)]:
                done.result()
        return self.told

    def _publish_some(self, left: Iterator[Batch]) -> None:
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=30)) as connection:
            while batch := self._next(left):
                self._publish(connection, batch)
                time.sleep(self._pause)

    def _next(self, left: Iterator[Batch]) -> Batch | None:
        with self._lock:
            return next(left, None)

    def _publish(self, connection: HTTPConnection, batch: Batch) -> None:
        answer = self._answered(connection, batch, batch.body(), is_sure=batch.is_sure)
        if answer.status not in _PUBLISHED:
            return
        found = answer.json()
        ids = [each["id"] for each in (found["messages"] if batch.is_bulk else [found])]
        with self._lock:
            for key, message in zip(batch.keys, ids, strict=True):
                self.told.ids.setdefault(key, set()).add(message)
        if batch.is_contradicted:
            answer = self._answered(connection, batch, batch.body("another one"), is_sure=True)
            self.told.contradicted[answer.status] += 1

    def _answered(
        self, connection: HTTPConnection, batch: Batch, body: bytes, *, is_sure: bool
    ) -> Answer:
        """Send a request, again and again if there has to be an answer."""
        deadline = time.monotonic() + 2 * SECONDS_TO_WAIT
        while True:
            answer = self._sent(connection, batch.path, body)
            if answer.status not in _UNDECIDED or not is_sure:
                return answer
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def _sent(self, connection: HTTPConnection, path: str, body: bytes) -> Answer:
        try:
            connection.request("POST", path, body, self._headers)
            answer = Answer.read(connection.getresponse())
        except (OSError, HTTPException):
            connection.close()  # it connects again for the next request
            answer = Answer(0, {}, b"")
        is_late = answer.status == 503 and "retry-after" in answer.headers
        with self._lock:
            self.told.statuses[answer.status] += 1
            if not is_late and answer.status not in {0, *_PUBLISHED, 409}:
                self.told.wrong.append(answer)
        return answer


_PUBLISHED = (200, 201, 202)
_UNDECIDED = (0, 503)
