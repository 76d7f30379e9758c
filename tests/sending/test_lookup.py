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
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go_on = threading.Event()

    def getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        """Stand in for `socket.getaddrinfo()`, as nobody can make a real name server hang."""
        self.asked.append(host)
        if "hangs" in host:
            self.go_on.wait(60)
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


def running() -> int:
    """Return how many look-ups run in this process."""
    return sum(each.name == NAME for each in threading.enumerate())


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
    before = running()
    attempt = sender(0.3).send("http://hangs.example/", {})
    assert (attempt.outcome, attempt.reason) == ("unreachable", "timeout")
    assert 0.3 <= attempt.seconds < 5

    for _ in range(3):  # it hangs still: others wait for the same look-up
        with pytest.raises(TimeoutError):
            look_up("hangs.example", 80, Deadline(0.05))
    assert names.asked == ["hangs.example"]
    assert running() == before + 1
    assert look_up("b.example", 80, Deadline(10))


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


def test_many_names_of_a_domain(names: NameServer) -> None:
    """Names of one domain that hang leave room for other domains, and for it when they end."""
    before = running()
    for number in range(20):
        with pytest.raises(TimeoutError):
            look_up(f"hangs{number}.example.com", 80, Deadline(0.02))
    assert running() - before == 8
    assert len(names.asked) == 8
    assert look_up("other.example.org", 80, Deadline(10))

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(look_up, "a.example.com", 80, Deadline(10))
        names.go_on.set()
        assert waiting.result()


def test_many_domains(names: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are only so many look-ups in total."""
    monkeypatch.setattr(_lookup, "_MOST", 3)
    before = running()
    for number in range(10):
        with pytest.raises(TimeoutError):
            look_up(f"hangs.example{number}.com", 80, Deadline(0.02))

    assert running() - before == 3
    assert len(names.asked) == 3


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
    assert look_up("a.example", 80, Deadline(10))
    assert names.asked == ["a.example"]


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
