"""Looking up names that hang, fail, or are none."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from frappe_hooksig.sending import _lookup
from frappe_hooksig.sending._deadline import Deadline
from frappe_hooksig.sending._lookup import look_up
from tests.sending.servers import sender

NAME = "frappe_hooksig look-up"


class NameServer:
    """Answers look-ups, but for names with "hangs" in them.

    Attributes:
        asked: The names that were looked up.
        go_on: Ends those that hang.
        problem: What names with "breaks" in them raise.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go_on = threading.Event()
        self.problem: BaseException = OSError()
        self._before = look_ups()

    @property
    def running(self) -> int:
        """How many look-ups run that were begun since."""
        return len(look_ups() - self._before)

    def getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        """Stand in for `socket.getaddrinfo()`, as nobody can make a real name server hang."""
        self.asked.append(host)
        if "hangs" in host:
            self.go_on.wait(60)
        if "breaks" in host:
            raise self.problem
        if "nothing" in host:
            return []
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))] * 2


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    server = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", server.getaddrinfo)
    monkeypatch.setattr(_lookup, "_running", {})
    yield server
    server.go_on.set()


def look_ups() -> set[threading.Thread]:
    """Return the threads of this process that look up names."""
    return {each for each in threading.enumerate() if each.name == NAME}


def test_found(names: NameServer) -> None:
    """Each address is there once."""
    (address,) = look_up("a.example", 80, Deadline(10))

    assert (address.text, address.sockaddr) == ("127.0.0.1", ("127.0.0.1", 80))
    assert names.asked == ["a.example"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_address(host: str, names: NameServer) -> None:
    """An address is none to look up."""
    (address,) = look_up(host, 80, Deadline(10))

    assert address.text == host
    assert not names.asked


def test_hangs(names: NameServer) -> None:
    """A name that hangs is left behind, and does not keep others from being found."""
    attempt = sender(0.3).send("http://hangs.example/", {})
    assert (attempt.outcome, attempt.reason) == ("unreachable", "timeout")
    assert 0.3 <= attempt.seconds < 5

    for _ in range(3):  # it hangs still: others wait for the same look-up
        with pytest.raises(TimeoutError):
            look_up("hangs.example", 80, Deadline(0.05))
    assert names.asked == ["hangs.example"]
    assert names.running == 1
    assert look_up("b.example", 80, Deadline(10))


@pytest.mark.parametrize("code", [socket.EAI_AGAIN, socket.EAI_FAIL])
def test_name_server_fails(code: int, names: NameServer) -> None:
    """A name server that does not work says nothing of the name."""
    names.problem = socket.gaierror(code, "Temporary failure in name resolution")
    attempt = sender().send("http://breaks.example/", {})

    assert (attempt.outcome, attempt.reason) == ("unreachable", "name-server")
    assert attempt.message == "the name server gave no answer"

    attempt = sender(proxy="http://breaks.example:3128").send("http://127.0.0.1/", {})
    assert attempt.reason == "proxy"
    assert attempt.message == "the name server gave no answer about the proxy"


def test_proxy_hangs(names: NameServer) -> None:
    """The name of a proxy that hangs is left behind too."""
    attempt = sender(0.1, proxy="http://hangs.example:3128").send("http://127.0.0.1/", {})

    assert attempt.reason == "timeout"
    assert names.asked == ["hangs.example"]


def test_shared(names: NameServer) -> None:
    """Who waits for a name that is being looked up gets its addresses."""
    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(look_up, "hangs.example", 80, Deadline(10)) for _ in range(4)]
        while not names.asked:
            time.sleep(0.01)
        names.go_on.set()
        assert {each.result()[0].text for each in found} == {"127.0.0.1"}


def hang(host: str) -> None:
    """Look up a name that hangs, and leave it."""
    with pytest.raises(TimeoutError):
        look_up(host, 80, Deadline(0.01))


def test_many_names_of_a_domain(names: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of one domain that hang leave room for other domains, and for it when they end."""
    monkeypatch.setattr(_lookup, "_MOST", 100)
    for number in range(10):
        hang(f"hangs{number}.example.com")
    assert names.running == 5  # a sixteenth of what is free
    assert look_up("other.example.org", 80, Deadline(10))
    assert look_up("localhost", 80, Deadline(10))

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(look_up, "a.example.com", 80, Deadline(10))
        names.go_on.set()
        assert waiting.result()


@pytest.mark.parametrize("ending", ["sub.example.com", "example.co.uk"])
def test_names_that_share_three_labels(names: NameServer, ending: str) -> None:
    """Four of them may hang at once."""
    for number in range(8):
        hang(f"hangs{number}.{ending}")
    assert names.running == 4
    assert look_up(f"other.other.{ending.partition('.')[2]}", 80, Deadline(10))


def test_owners_below_one_suffix(names: NameServer) -> None:
    """Names of several owners below a public suffix that hang leave room for others below it."""
    for number in range(8):
        hang(f"www.hangs{number}.co.uk")
    assert names.running == 8
    assert look_up("www.other.co.uk", 80, Deadline(10))


def test_many_hanging_domains(names: NameServer) -> None:
    """A stranger with several domains, all of whose names hang, leaves room for all others."""
    for number in range(8):
        for name in range(8):
            hang(f"hangs{name}.example{number}.com")
    assert names.running == 64
    assert look_up("localhost", 80, Deadline(10))
    assert look_up("www.other.com", 80, Deadline(10))


def test_many_domains(names: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are only so many look-ups in total."""
    monkeypatch.setattr(_lookup, "_MOST", 3)
    for number in range(10):
        hang(f"hangs.example{number}.com")

    assert names.running == 3


PROBLEMS = [MemoryError(), RuntimeError("odd"), SystemExit(), OSError(None, "odd")]


@pytest.mark.parametrize("problem", PROBLEMS, ids=repr)
def test_breaks(problem: BaseException, names: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a look-up raises is a failed attempt, and the name can be looked up again."""
    monkeypatch.setattr(_lookup, "_MOST", 1)
    names.problem = problem
    for _ in range(3):
        attempt = sender(10).send("http://breaks.example/", {})
        assert (attempt.outcome, attempt.reason) == ("unreachable", "connection")
        assert attempt.message.startswith("no connection: ")
        assert attempt.seconds < 5
    assert names.asked == ["breaks.example"] * 3
    assert look_up("a.example", 80, Deadline(10))


def test_no_address(names: NameServer) -> None:
    """A name without any address has no receiver."""
    attempt = sender().send("http://nothing.example/", {})

    assert (attempt.outcome, attempt.reason) == ("unreachable", "connection")
    assert attempt.message == "no connection: the host has no address"
    assert names.asked == ["nothing.example"]


def test_no_name() -> None:
    """What can be no name of a host is none."""
    with pytest.raises((OSError, UnicodeError)):
        look_up(f"{'a' * 64}.example", 80, Deadline(10))
    assert sender().send(f"http://{'a' * 64}.example/", {}).outcome in {"unreachable", "blocked"}


def test_no_thread(names: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started, an attempt has failed, and the next one may do."""

    def refuse(_thread: threading.Thread) -> None:
        msg = "can't start new thread"
        raise RuntimeError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        attempt = sender().send("http://a.example/", {})
    assert attempt.message == "no connection: no thread can be started"
    monkeypatch.setattr(_lookup, "_MOST", 1)
    assert look_up("a.example", 80, Deadline(10))
    assert names.asked == ["a.example"]


start = threading.Thread.start


def interrupt(_thread: threading.Thread) -> None:
    """Start no thread, because of a signal or a timeout of gevent."""
    raise KeyboardInterrupt


def start_and_interrupt(thread: threading.Thread) -> None:
    """Start a thread before that."""
    start(thread)
    raise KeyboardInterrupt


@pytest.mark.parametrize("instead", [interrupt, start_and_interrupt])
def test_interrupted(instead: object, names: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interruption while a thread starts leaves its place to others."""
    monkeypatch.setattr(_lookup, "_MOST", 1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", instead)
        with pytest.raises(KeyboardInterrupt):
            look_up("a.example", 80, Deadline(10))
    for host in ("a.example", "b.example"):
        assert look_up(host, 80, Deadline(10))
        assert names.asked[-1] == host


def test_fork(names: NameServer) -> None:
    """A forked process does not wait for look-ups of its parent."""
    with pytest.raises(TimeoutError):
        look_up("hangs.example", 80, Deadline(0.02))
    child = os.fork()
    if not child:
        status = 1
        with suppress(BaseException):
            names.go_on.set()
            status = 0 if look_up("hangs.example", 80, Deadline(20)) else 2
        os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
