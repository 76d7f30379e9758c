"""Real servers on loopback, and requests to them byte for byte as a test wants them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SECONDS_TO_START = 30


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def read(cls, response: HTTPResponse) -> Answer:
        """Read it to its end."""
        headers = {name.lower(): value for name, value in response.getheaders()}
        return cls(response.status, headers, response.read())

    def json(self) -> Any:
        """Return the parsed body."""
        return json.loads(self.body)

    @property
    def outcome(self) -> tuple[int, str]:
        """The status, and the reason if it is a refusal."""
        is_json = self.headers.get("content-type", "").startswith("application/json")
        return self.status, self.json().get("reason", "") if is_json else ""


class Server:
    """A running server.

    Attributes:
        port: Where it listens, on 127.0.0.1; a worker's is the one that it has its work from.
        pid: The id of its process.
        log: What it has written so far.
    """

    def __init__(self, process: subprocess.Popen[str], ready: str) -> None:
        self.port = 0
        self.log = ""
        self.pid = process.pid
        self._process = process
        self._ready = re.compile(ready)
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._listening.wait(SECONDS_TO_START):
            self.stop()
            msg = f"the server did not start:\n{self.log}"
            raise RuntimeError(msg)

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self.log += line
            found = self._ready.search(line)
            if found and not self.port:
                self.port = int(found.groupdict().get("port", 0))
                self._listening.set()

    def wait_for(self, text: str, times: int) -> None:
        """Wait until a text stands in the log so many times, for as long as a start may take."""
        deadline = time.monotonic() + SECONDS_TO_START
        while self.log.count(text) < times:
            assert time.monotonic() < deadline, self.log
            time.sleep(0.01)

    def has_logged(self, text: str, times: int) -> bool:
        """Tell whether a text stands in the log so many times; wait a little for it."""
        deadline = time.monotonic() + 5
        while self.log.count(text) < times and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.log.count(text) == times

    def is_running(self) -> bool:
        """Tell whether its process is there."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Stop it, gently first."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def kill(self) -> None:
        """End it at once, as a crash does: all of its processes, which gunicorn names."""
        workers = re.findall(r"Booting worker with pid: (\d+)", self.log)
        self._process.kill()
        self._process.wait()
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(int(worker), signal.SIGKILL)

    def send(
        self,
        path: str,
        body: bytes | Iterable[bytes] = b"",
        headers: Iterable[tuple[str, str | bytes]] | dict[str, str] = (),
        *,
        method: str = "POST",
        timeout: float = 30,
    ) -> Answer:
        """Send one request; a body in pieces goes out chunked.

        Raises:
            TimeoutError: There was no answer for `timeout` seconds.
        """
        return send_to(self.port, path, body, headers, method=method, timeout=timeout)

    def send_bytes(self, request: bytes) -> Answer:
        """Send one request exactly as it stands there."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(request)
            response = HTTPResponse(connection, method=request.partition(b" ")[0].decode())
            response.begin()
            return Answer.read(response)


def send_to(
    port: int,
    path: str,
    body: bytes | Iterable[bytes] = b"",
    headers: Iterable[tuple[str, str | bytes]] | dict[str, str] = (),
    *,
    method: str = "POST",
    timeout: float = 30,
) -> Answer:
    """Send one request to a port of this machine, as `Server.send()` does."""
    pairs = list(headers.items() if isinstance(headers, dict) else headers)
    has_host = any(name.lower() == "host" for name, _ in pairs)
    with closing(HTTPConnection("127.0.0.1", port, timeout=timeout)) as connection:
        connection.putrequest(method, path, skip_host=has_host, skip_accept_encoding=True)
        for name, value in pairs:
            connection.putheader(name, value)
        if not isinstance(body, bytes):
            connection.putheader("Transfer-Encoding", "chunked")
        elif body or method not in {"GET", "HEAD"}:
            connection.putheader("Content-Length", str(len(body)))
        # Refused before the body was read: the answer is there all the same.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.endheaders(body, encode_chunked=not isinstance(body, bytes))
        with connection.getresponse() as response:
            return Answer.read(response)


def free_port() -> int:
    """Return a port of this machine where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def wait_until_open(port: int) -> None:
    """Wait until somebody listens on a port, for as long as a start may take."""
    for _ in range(SECONDS_TO_START * 20):
        with suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.05)
    msg = f"nobody listens on port {port}"
    raise RuntimeError(msg)


@contextmanager
def served(
    command: list[str],
    folder: Path = ROOT,
    environment: dict[str, str] | None = None,
    ready: str = r"\w+://127\.0\.0\.1:(?P<port>\d+)",
) -> Iterator[Server]:
    """Run a command that starts a server, until the block ends.

    Args:
        command: The command.
        folder: Where it runs.
        environment: What it has besides the environment of the tests.
        ready: What it prints when it has started; the group `port`, if any, is its port.
    """
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        server = Server(process, ready)
        try:
            yield server
        finally:
            server.stop()


def gunicorn(app: str, *options: str, **environment: str) -> AbstractContextManager[Server]:
    """Serve a WSGI app (`module:name`) with gunicorn on a free port."""
    command = [sys.executable, "-m", "gunicorn", app, "--bind", "127.0.0.1:0", *options]
    return served(command, environment=environment)


def uvicorn(app: str, *options: str, **environment: str) -> AbstractContextManager[Server]:
    """Serve an ASGI app (`module:name`) with uvicorn on a free port."""
    command = [sys.executable, "-m", "uvicorn", app, "--host", "127.0.0.1", "--port", "0", *options]
    return served(command, environment=environment)
