"""What every adapter does with a store, over HTTP: one set of tests for all of them."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from http.client import HTTPException
from pathlib import Path
from secrets import token_hex
from typing import Any, ClassVar

import pytest

from frappe_hooksig.providers import FRAPPE
from frappe_hooksig.testing import check_receiver
from tests.integrations.conformance import SECRET, signed
from tests.loopback import Answer, Server

DUPLICATE = {"status": "duplicate", "message": "This delivery was handled before"}


def deliver(server: Server, path: str = "/", **order: Any) -> Answer:
    """Send what the apps of `once_apps` are to do."""
    body = json.dumps(order).encode()
    return server.send(path, body, signed(body))


def deliver_as_frappe_does(server: Server, path: str = "/", **order: Any) -> list[int]:
    """Send a delivery until it is taken, three times at most, and wait 5 seconds for each answer.

    Returns:
        How each attempt was answered; 0 if it was not.
    """
    body = json.dumps(order).encode()
    statuses = []
    for pause in (1, 4, 0):
        status = 0
        try:
            status = server.send(path, body, signed(body), timeout=5).status
        except TimeoutError:
            pause = 0  # noqa: PLW2901  # after a timeout, Frappe sends again at once
        except (OSError, HTTPException):
            pass
        statuses.append(status)
        if status in range(200, 300):
            break
        time.sleep(pause)
    return statuses


def begun(notes: Path) -> Counter[str]:
    """Return how often the handler has run for each delivery."""
    return Counter(re.findall(r"^begin (\d+)$", notes.read_text(), re.MULTILINE))


def ended(notes: Path) -> Counter[str]:
    """Return how often it has come to its end."""
    return Counter(re.findall(r"^end (\d+)$", notes.read_text(), re.MULTILINE))


def wait_for_note(notes: Path, start: str, times: int = 1) -> str:
    """Wait for so many notes that begin with a word; return the rest of the last one."""
    deadline = time.monotonic() + 10
    while True:
        found = [line for line in notes.read_text().splitlines() if line.startswith(start)]
        if len(found) >= times:
            return found[-1].removeprefix(start)
        assert time.monotonic() < deadline, notes.read_text()
        time.sleep(0.01)


@pytest.fixture(scope="class")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that the handlers write into."""
    path = tmp_path_factory.mktemp("notes") / "notes"
    path.touch()
    return path


@pytest.fixture(scope="class")
def server(request: pytest.FixtureRequest, notes: Path) -> Iterator[Server]:
    """The app of a class."""
    with request.cls.serve(NOTES=str(notes)) as running:
        yield running


class OnceCases:
    """The tests. A class for each adapter inherits them, in a module with the two fixtures.

    Attributes:
        serve: Starts an app of `once_apps`, with these environment variables.
        PATHS: Its routes: of two kinds of handlers.
    """

    serve: ClassVar[Callable[..., AbstractContextManager[Server]]]
    PATHS: ClassVar[tuple[str, ...]] = ("/", "/other")

    def handled(self, notes: Path, number: str) -> tuple[int, int]:
        """Return how often a delivery was begun, and ended."""
        lines = notes.read_text().splitlines()
        return lines.count(f"begin {number}"), lines.count(f"end {number}")

    def test_repeat(self, server: Server, notes: Path) -> None:
        """What was handled is not handled again, and its sender is told that all is well."""
        for path in self.PATHS:
            assert deliver(server, path, n=f"repeat {path}").status == 200
            for _ in range(3):
                answer = deliver(server, path, n=f"repeat {path}")
                assert (answer.status, answer.json()) == (200, DUPLICATE)
            assert self.handled(notes, f"repeat {path}") == (1, 1)

    @pytest.mark.parametrize("status", [0, 302, 400, 404, 409, 500, 503])
    def test_failure(self, server: Server, notes: Path, status: int) -> None:
        """What was not handled is handled when it comes again, and then no more."""
        for path in self.PATHS:
            number = f"{status} {path}"
            statuses = [
                deliver(server, path, n=number, statuses=[status, 201]).status for _ in range(3)
            ]

            assert statuses == [status or 500, 201, 200]
            assert self.handled(notes, number)[0] == 2

    def test_no_json(self, server: Server) -> None:
        """A body that the handler cannot read was not handled."""
        for _ in range(2):
            answer = server.send("/", b"{", signed(b"{"))
            assert answer.outcome == (400, "malformed-payload")

    def test_endpoints(self, server: Server, notes: Path) -> None:
        """The same content at two endpoints is two deliveries."""
        for path in self.PATHS:
            assert deliver(server, path, n="both").status == 200
            assert deliver(server, path, n="both").json() == DUPLICATE

        assert self.handled(notes, "both") == (len(self.PATHS), len(self.PATHS))

    def test_in_flight(self, server: Server, notes: Path) -> None:
        """A repeat waits for a handler that is not done, and has its result."""
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(lambda _: deliver(server, n="short", takes=0.5), range(3)))

        assert [answer.status for answer in answers] == [200] * 3
        assert sum(answer.body == json.dumps(DUPLICATE).encode() for answer in answers) == 2
        assert self.handled(notes, "short") == (1, 1)

    def test_long_in_flight(self, server: Server, notes: Path) -> None:
        """It does not wait for ever; the handler is left alone for longer than a lease is."""
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(deliver, server, n="long", takes=5)
            while not self.handled(notes, "long")[0]:
                time.sleep(0.01)
            answer = deliver(server, n="long", takes=5)

            assert answer.outcome == (409, "in-flight")
            assert answer.headers["retry-after"] == "5"
            assert first.result().status == 200
        assert deliver(server, n="long", takes=5).json() == DUPLICATE
        assert self.handled(notes, "long") == (1, 1)

    def test_hostile(self, server: Server, notes: Path) -> None:
        """Each genuine delivery is handled once; what is not verified is not even remembered."""
        for path in self.PATHS:
            check_receiver(
                f"http://127.0.0.1:{server.port}{path}",
                FRAPPE,
                SECRET,
                payload=lambda: {"n": token_hex()},
                handles_once=True,
                handled=lambda: notes.read_text().count("begin "),
            )

    @pytest.mark.parametrize(("choice", "status"), [("refuse", 503), ("accept", 200)])
    def test_no_store(self, notes: Path, choice: str, status: int) -> None:
        """If nobody can tell whether it is a repeat, nothing is handled, or what the app chose."""
        environment = {"NOTES": str(notes), "STORE": "broken"}
        environment["OPTIONS"] = json.dumps({"on_store_error": choice})
        with type(self).serve(**environment) as server:
            answer = deliver(server, n=choice)
            assert server.has_logged(": the store of 64, 32, 4.0 is away", 1)

        assert answer.status == status
        assert self.handled(notes, choice)[0] == (choice == "accept")
        assert answer.headers.get("retry-after") == {"refuse": "5"}.get(choice)
