"""Leases that are renewed while all that an app has is busy, stops or hangs."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import (
    AbstractContextManager,
    ExitStack,
    closing,
    contextmanager,
    suppress,
)
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.frappe_bench import VERSIONS, Bench, bench, valkey, valkey_url
from tests.integrations.conformance import SECRET
from tests.integrations.once import (
    begun,
    deliver,
    deliver_as_frappe_does,
    ended,
    wait_for_note,
)
from tests.integrations.test_django import SETTINGS
from tests.integrations.test_django_store import database
from tests.integrations.test_many_processes import notes
from tests.loopback import Server, gunicorn, uvicorn
from tests.selection import FULL

__all__ = ["bench", "database", "notes", "valkey_url"]  # fixtures

pytestmark = pytest.mark.stress

APPS = "tests.integrations.leases"


@dataclass(frozen=True)
class Site:
    """An app that can be served several times, with one store.

    Attributes:
        framework: What it is made with.
        environment: Its environment variables.
    """

    framework: str
    environment: dict[str, str] = field(default_factory=dict)

    def serve(self) -> AbstractContextManager[Server]:
        """Serve it by one process."""
        app = f"{APPS}_{self.framework}_app:{self.framework}_app"
        if self.framework == "flask":
            return gunicorn(app, "--threads=32", **self.environment)
        options = ["--no-access-log"]
        if self.framework == "django":
            app = "django.core.asgi:get_asgi_application"
            options += ["--factory", "--lifespan=off"]
        return uvicorn(app, *options, **self.environment)


@pytest.fixture
def make_site(notes: Path, database: dict[str, Any]) -> Iterator[Any]:
    """Returns a function that returns a site of a framework, with a store of a kind."""
    once = {"ENGINE": database["ENGINE"], "NAME": database["NAME"], "OPTIONS": {"timeout": 30}}
    environment = {
        "NOTES": str(notes),
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        "DJANGO_URLS": f"{APPS}_django_app",
        "DJANGO_ONCE": json.dumps(once),
    }
    with ExitStack() as stack:

        def make(framework: str, store: str, **more: str) -> Site:
            stores = {"STORE": f"sqlite:{notes}.sqlite"}
            if store == "redis":
                stores = {"STORE": stack.enter_context(valkey())}
            if store == "database":
                stores = {"IN_DATABASE": "yes"}
            return Site(framework, environment | stores | more)

        yield make


def wait_until_handled(notes: Path, count: int) -> Counter[str]:
    """Wait until so many deliveries were handled, and none is; return how often each was begun."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        handlers = begun(notes)
        if len(handlers) == count and handlers == ended(notes):
            break
        time.sleep(0.1)
    return begun(notes)


@dataclass(frozen=True)
class Load:
    """Slow deliveries that come all at once, to one process.

    Attributes:
        framework: What the app is made with.
        store: The kind of its store.
        path: The handler.
        count: How many deliveries.
        takes: How long each takes, in seconds.
        unrelated: How many other requests keep threads busy meanwhile.
        hangs_up: Whether the sender hangs up before it sends again, as Frappe does.
    """

    framework: str
    store: str
    path: str = "/"
    count: int = 60
    takes: float = 6
    unrelated: int = 0
    hangs_up: bool = True

    def __str__(self) -> str:
        return f"{self.framework}{self.path}{self.store}"

    def send(self, server: Server, number: int) -> None:
        """Send a delivery, and again after 5 seconds."""
        order = {"n": str(number), "takes": self.takes}
        if self.hangs_up:
            deliver_as_frappe_does(server, self.path, **order)
        else:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(deliver, server, self.path, **order)
                time.sleep(5)
                deliver(server, self.path, **order)


LOADS = [
    Load("starlette", "sqlite"),
    Load("starlette", "redis"),
    Load("fastapi", "sqlite"),
    Load("fastapi", "redis"),
    Load("django", "sqlite"),
    Load("django", "redis"),
    Load("django", "database"),
    Load("fastapi", "sqlite", "/on-the-loop", count=1, takes=7, unrelated=45),
    Load("fastapi", "redis", "/on-the-loop", count=1, takes=7, unrelated=45),
    Load("django", "sqlite", "/threads", count=12, takes=7, hangs_up=False),
    Load("django", "redis", "/threads", count=12, takes=7, hangs_up=False),
    Load("django", "database", "/threads", count=12, takes=7, hangs_up=False),
]
# Since Django 5, an async view is cancelled when its client is gone.
HUNG_UP = [
    Load("django", "sqlite", "/sleeps", count=6, takes=7),
    Load("django", "sqlite", "/threads", count=6, takes=7),
    Load("fastapi", "sqlite", "/on-the-loop", count=6, takes=7),
]


@pytest.mark.parametrize("load", LOADS if FULL else LOADS[:1], ids=str)
def test_busy_threads(make_site: Any, notes: Path, load: Load) -> None:
    """However many threads handlers keep busy, each delivery is handled once."""
    assert send_all(make_site, notes, load) == {1: load.count}


@pytest.mark.long
@pytest.mark.parametrize("load", HUNG_UP if FULL else HUNG_UP[:1], ids=str)
def test_sender_that_hangs_up(make_site: Any, notes: Path, load: Load) -> None:
    """A handler goes on when its sender gives up, so that it is not begun again and again."""
    assert send_all(make_site, notes, load) == {1: load.count}


def send_all(make_site: Any, notes: Path, load: Load) -> Counter[int]:
    """Send what loads an app; return how many deliveries were begun how often."""
    site = make_site(load.framework, load.store)
    with site.serve() as server, ThreadPoolExecutor(load.count + load.unrelated) as pool:
        for number in range(load.count):
            pool.submit(load.send, server, number)
        wait_for_note(notes, "begin")
        for _ in range(load.unrelated):
            pool.submit(server.send, "/unrelated?takes=9", method="GET")
        pool.shutdown()
        handled = wait_until_handled(notes, load.count)

    return Counter(handled.values())


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process; let it go on when the block ends."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def process_of(url: str) -> int:
    """Return the process of a Valkey."""
    with closing(redis.Redis.from_url(url)) as client:
        info: Any = client.info()
    return int(info["process_id"])


@pytest.mark.parametrize("framework", ["flask", "starlette"] if FULL else ["flask"])
def test_store_that_hangs(make_site: Any, notes: Path, framework: str) -> None:
    """While one store hangs, the leases in another one are renewed."""
    with valkey() as url:
        site = make_site(framework, "sqlite", OTHER_STORE=url)
        with site.serve() as server, ThreadPoolExecutor(8) as pool:
            for number in range(5):
                pool.submit(deliver, server, "/other-store", n=f"hangs {number}", takes=12)
            wait_for_note(notes, "begin hangs", 5)
            with stopped(process_of(url)):
                sent = [
                    pool.submit(deliver_as_frappe_does, server, n=str(number), takes=7)
                    for number in range(3)
                ]
                statuses = [each.result()[-1] for each in sent]

    assert Counter(begun(notes).values()) == Counter(ended(notes).values()) == {1: 3}
    assert statuses == [200] * 3


class Link:
    """A connection to a Valkey that can become slow.

    Args:
        url: Where the Valkey is.

    Attributes:
        url: Where the link to it is.
        delay: How much later each command arrives, in seconds.
    """

    def __init__(self, url: str) -> None:
        self.delay = 0.0
        self._port = int(url.rpartition(":")[2])
        self._sockets = ExitStack()
        self._listener = self._sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Close everything."""
        self._sockets.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._sockets.enter_context(self._listener.accept()[0])
                server = socket.create_connection(("127.0.0.1", self._port))
                self._sockets.enter_context(server)
                for ends in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._forward, args=ends, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, is_command: bool) -> None:  # noqa: FBT001
        with suppress(OSError):
            while received := source.recv(65536):
                time.sleep(self.delay if is_command else 0)
                target.sendall(received)
            target.shutdown(socket.SHUT_WR)


@pytest.mark.long
@pytest.mark.parametrize("framework", ["flask", "starlette"] if FULL else ["flask"])
def test_slow_link(make_site: Any, notes: Path, framework: str) -> None:
    """If each command to the store takes long, the leases of a process are renewed in time."""
    with valkey() as url, closing(Link(url)) as link:
        site = make_site(framework, "sqlite", STORE=link.url)
        with site.serve() as server, ThreadPoolExecutor(8) as pool:
            send = partial(deliver_as_frappe_does, server, takes=9)
            sent = [pool.submit(send, n=str(number)) for number in range(8)]
            wait_for_note(notes, "begin", 8)
            time.sleep(2)  # the leases have been renewed once
            link.delay = 0.7
            statuses = [each.result()[-1] for each in sent]

    assert Counter(begun(notes).values()) == Counter(ended(notes).values()) == {1: 8}
    assert statuses == [200] * 8


@pytest.mark.long
@pytest.mark.parametrize("framework", ["flask", "starlette"] if FULL else ["flask"])
def test_slow_store(make_site: Any, notes: Path, framework: str) -> None:
    """If a store takes a second for each call, the leases of a process are renewed in time."""
    site = make_site(framework, "sqlite")
    with site.serve() as server, ThreadPoolExecutor(8) as pool:
        send = partial(deliver_as_frappe_does, server, "/slow-store", takes=8)
        sent = [pool.submit(send, n=str(number)) for number in range(8)]
        statuses = [each.result()[-1] for each in sent]

    assert Counter(begun(notes).values()) == Counter(ended(notes).values()) == {1: 8}
    assert statuses == [200] * 8


PLACES = [
    ("flask", "/asks"),
    ("starlette", "/asks"),
    ("fastapi", "/asks"),
    ("django", "/asks"),
    ("django", "/async-asks"),
]


@pytest.mark.long
@pytest.mark.parametrize(("framework", "path"), PLACES if FULL else PLACES[:1])
@pytest.mark.parametrize("store", ["sqlite", "redis"] if FULL else ["redis"])
def test_stopped_process(
    make_site: Any, notes: Path, framework: str, path: str, store: str
) -> None:
    """A handler that was stopped for longer than its lease finds out, if it asks."""
    site = make_site(framework, store)
    with site.serve() as first, site.serve() as second:
        assert_asks(first, second, notes, path)


@pytest.mark.long
@pytest.mark.parametrize("bench", VERSIONS if FULL else VERSIONS[-1:], indirect=True)
def test_stopped_process_of_frappe(bench: Bench, notes: Path) -> None:
    """The same in a site, with its cache as the store."""
    bench.new_site("127.0.0.1", webhook_secret=SECRET)
    path = "/api/method/tests.integrations.leases_frappe_app.asks"
    options = ("--threads=8", f"--env=NOTES={notes}")
    with bench.serve(*options) as first, bench.serve(*options) as second:
        assert_asks(first, second, notes, path, bench.version)


def assert_asks(first: Server, second: Server, notes: Path, path: str, number: str = "1") -> None:
    """Stop a server at work, let another one do it, and look what the first one does then."""
    order = {"n": number, "takes": 2}
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(deliver, first, path, **order)
        wait_for_note(notes, "begin")
        with stopped(int(wait_for_note(notes, "process"))):
            statuses = deliver_as_frappe_does(second, path, **order)
        answer = sent.result()

    assert (begun(notes)[number], ended(notes)[number]) == (2, 1)
    assert f"lost {number}" in notes.read_text().splitlines()
    assert (statuses[-1], answer.status) == (200, 503)


@pytest.mark.long
def test_clock_put_back(make_site: Any, notes: Path) -> None:
    """The claim of a process that died does not last for as long as the clock was put back."""
    ahead = make_site("flask", "sqlite", AHEAD="3600")
    with ahead.serve() as server, ThreadPoolExecutor(1) as pool:
        sent = pool.submit(deliver, server, "/asks", n="1", takes=2)
        wait_for_note(notes, "begin")
        os.kill(int(wait_for_note(notes, "process")), signal.SIGKILL)
        assert isinstance(sent.exception(), OSError | HTTPException)
    with make_site("flask", "sqlite").serve() as server:
        statuses = deliver_as_frappe_does(server, "/asks", n="1", takes=2)

    assert statuses[-1] == 200
    assert (begun(notes)["1"], ended(notes)["1"]) == (2, 1)
