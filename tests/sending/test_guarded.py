"""A `Sender` and its guard: nothing is connected to but an address that was judged."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from frappe_hooksig.sending import AddressGuard, Attempt, Sender, _lookup, _pool
from tests.loopback import ROOT
from tests.sending.addresses import BAD
from tests.sending.name_server import (
    NO_NAME,
    SILENCE,
    Names,
    NameServer,
    Question,
    run_with_names,
)
from tests.sending.servers import (
    OK,
    SECRET,
    Answer,
    Server,
    answering,
    once,
    request_of,
    reset,
    sender,
    serving,
)
from tests.sending.watched import ANSWERS, LOOPBACK, Report

# Two that the guard of these tests lets pass, as if they were public, and one that it does not.
PUBLIC, PUBLIC_2, PRIVATE = "127.0.0.2", "127.0.0.3", "127.0.0.1"
GUARD = AddressGuard([PUBLIC, PUBLIC_2])
NAME = "hook.example"

# What some C libraries do not look up.
ODD = {"127.0.0.-1", "--1.sslip.example"}


def watched() -> Report:
    """Send to all spellings in a process that is watched."""
    command = [sys.executable, "-m", "tests.sending.watched"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return Report.read(done.stdout)


@pytest.fixture(scope="module")
def report() -> Report:
    """What came of all spellings."""
    return watched()


def test_size(report: Report) -> None:
    """There are many addresses and many ways to write one."""
    assert len({each.leads_to for each in report.guarded}) >= 120
    assert len({each.url for each in report.guarded}) >= 2000
    ways = {each.url for each in report.guarded if each.leads_to == "127.0.0.1"}
    assert len(ways) >= 80


def test_blocked(report: Report) -> None:
    """All are blocked: no connection, and no more than one look-up."""
    for each in report.guarded:
        reason = BAD if each.leads_to == BAD else "address-not-allowed"
        assert (each.outcome, each.reason) == ("blocked", reason), each
        assert each.connected_to == [], each
        if each.name or not each.looked_up:
            assert each.looked_up == [each.name] * bool(each.name), each
        else:
            assert (each.leads_to, each.looked_up) == ("127.0.0.1", ["localhost"]), each
    assert report.accepted[0] == 0


def test_that_they_lead_there(report: Report) -> None:
    """A guard that allows loopback lets those pass that lead there, to listeners that count."""
    arrived = [each for each in report.allowed if each.reason != "name-not-found"]
    assert report.accepted[1] == len(arrived) >= 80
    for each in arrived:
        assert each.reason == "connection", each  # the listener has hung up
        assert each.connected_to, each
        assert {*each.connected_to} <= {*LOOPBACK}, each
        assert len(each.looked_up) <= 1, each
    assert {each.name for each in report.allowed} - {each.name for each in arrived} <= ODD


class Connections:
    """What this process connects to.

    Attributes:
        found: The addresses, in their order.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.found: list[str] = []
        connect = socket.socket.connect

        def watch(it: socket.socket, address: Any) -> None:
            if it.type == socket.SOCK_STREAM:
                self.found.append(address[0])
            connect(it, address)

        patch.setattr(socket.socket, "connect", watch)


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Connections:
    """The connections that are made from now on."""
    return Connections(monkeypatch)


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Names], NameServer]]:
    """Start a name server that is asked instead of the machine's."""
    with ExitStack() as stack:

        def start(names: Names) -> NameServer:
            server = stack.enter_context(NameServer(names))
            monkeypatch.setattr(socket, "getaddrinfo", server.resolve)
            monkeypatch.setattr(_lookup, "_running", {})
            return server

        yield start


@contextmanager
def two_servers(answer: Answer, *, certificate: str = "") -> Iterator[tuple[Server, Server]]:
    """Run a server on the address that is allowed, and one with the same port that is not."""
    with ExitStack() as stack:
        for _ in range(20):  # another process may have the port on the second address
            public = stack.enter_context(serving(answer, certificate=certificate, host=PUBLIC))
            with suppress(OSError):
                private = stack.enter_context(
                    serving(answer, certificate=certificate, host=PRIVATE, port=public.port)
                )
                break
        yield public, private


def url_of(server: Server, host: str = NAME, scheme: str = "http") -> str:
    """Return a URL that leads to a server by a name."""
    return f"{scheme}://{host}:{server.port}/hook?token=t0ken"


def is_blocked(attempt: Attempt) -> bool:
    """Tell whether an address was refused."""
    return (attempt.outcome, attempt.reason) == ("blocked", "address-not-allowed")


Asking = Callable[[Names], NameServer]


def test_public_then_private(asking: Asking, connections: Connections) -> None:
    """What was judged is connected to, and no other answer; the next attempt asks and judges."""
    names = asking({NAME: [[PUBLIC], [PRIVATE]]})
    with two_servers(once(OK)) as (public, private), sender(guard=GUARD) as each:
        first = each.send(url_of(public), {})
        assert (first.outcome, first.address) == ("delivered", PUBLIC)
        assert names.count(NAME) == names.count(NAME, "AAAA") == 1

        second = each.send(url_of(public), {})
        assert is_blocked(second)
        assert second.address is None
        assert names.count(NAME) == names.count(NAME, "AAAA") == 2
        assert (public.connections, private.connections) == (1, 0)
    assert connections.found == [PUBLIC]


@pytest.mark.parametrize(
    "answer",
    [
        [PUBLIC, PRIVATE],
        [PRIVATE, PUBLIC],
        [PUBLIC, PUBLIC_2, "10.0.0.1"],
        [PUBLIC, "::1"],
        [PUBLIC, "::ffff:127.0.0.1"],
        [PUBLIC, "8.8.8.8", "fd00:ec2::254"],
        ["alias.example", PRIVATE],
        ["alias.example", "b.c.example", PUBLIC, PRIVATE],
    ],
    ids=" ".join,
)
def test_one_is_bad(answer: Sequence[str], asking: Asking, connections: Connections) -> None:
    """If one of several addresses is not allowed, none is connected to; aliases do not matter."""
    names = asking({NAME: [answer]})
    with two_servers(answering(OK)) as (public, private), sender(guard=GUARD) as each:
        assert is_blocked(each.send(url_of(public), {}))
        assert (public.connections, private.connections) == (0, 0)
    assert connections.found == []
    assert names.asked == [Question(NAME, "A"), Question(NAME, "AAAA")]


@pytest.mark.parametrize("aliases", [[], ["alias.example", "b.c.example"]], ids=len)
def test_first_refuses(aliases: list[str], asking: Asking, connections: Connections) -> None:
    """The next address that was judged is tried, without another look-up."""
    names = asking({NAME: [[*aliases, PUBLIC, PUBLIC_2], [PRIVATE]]})
    with serving(answering(OK), host=PUBLIC_2) as server, sender(guard=GUARD) as each:
        attempt = each.send(url_of(server), {})

    assert (attempt.outcome, attempt.address) == ("delivered", PUBLIC_2)
    assert connections.found == [PUBLIC, PUBLIC_2]
    assert names.asked == [Question(NAME, "A"), Question(NAME, "AAAA")]


def test_never_an_answer(asking: Asking, connections: Connections) -> None:
    """A name server that keeps silent holds nobody beyond the deadline."""
    names = asking({NAME: [SILENCE]})
    attempt = sender(0.3).send(f"http://{NAME}/", {})

    assert (attempt.outcome, attempt.reason) == ("unreachable", "timeout")
    assert 0.3 <= attempt.seconds < 5
    assert names.count(NAME) == 1
    assert connections.found == []


@pytest.mark.parametrize("answer", [NO_NAME, [], ["alias.example"]], ids=str)
def test_no_address(answer: Any, asking: Asking, connections: Connections) -> None:
    """A name that does not exist, or has no address, is asked for once."""
    names = asking({NAME: [answer]})
    attempt = sender().send(f"http://{NAME}/", {})

    assert (attempt.outcome, attempt.reason) == ("unreachable", "name-not-found")
    assert names.asked == [Question(NAME, "A"), Question(NAME, "AAAA")]
    assert connections.found == []


@pytest.mark.parametrize("certificate", ["", "other.pem"])
def test_proxies_of_the_environment(
    certificate: str, monkeypatch: pytest.MonkeyPatch, asking: Asking, connections: Connections
) -> None:
    """A proxy that nobody has named to the sender gets nothing, allowed or not."""
    asking({"other.example": [[PUBLIC]], "private.example": [[PRIVATE]]})
    scheme = "https" if certificate else "http"
    with (
        two_servers(answering(OK), certificate=certificate) as (public, proxy),
        sender(guard=GUARD) as each,
    ):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            for spelled in (name, name.lower()):
                monkeypatch.setenv(spelled, f"http://{PRIVATE}:{proxy.port}")

        assert each.send(url_of(public, "other.example", scheme), {}).is_delivered
        assert public.connections == 1
        for host in ("private.example", PRIVATE, "[::1]", "10.0.0.1"):
            assert is_blocked(each.send(url_of(proxy, host, scheme), {}))
        assert proxy.connections == 0
    assert connections.found == [PUBLIC]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect(status: int, connections: Connections) -> None:
    """A redirect to a private address is not followed, nor is one to another name."""
    to = [f"http://{PRIVATE}:%d/", "//169.254.169.254/", "http://localhost:%d/", "/elsewhere"]
    answers = [
        f"HTTP/1.1 {status} No\r\nLocation: {each}\r\nContent-Length: 0\r\n\r\n" for each in to
    ]
    with serving(answering(OK)) as private:
        several = [each.replace("%d", str(private.port)).encode() for each in answers]
        with serving(answering(*several), host=PUBLIC) as public, sender(guard=GUARD) as each:
            attempts = [each.send(public.url, {}) for _ in to]

        assert private.connections == 0
    assert {(each.outcome, each.status) for each in attempts} == {("refused", status)}
    assert connections.found == [PUBLIC]


@pytest.mark.parametrize(
    ("certificate", "host", "is_right"),
    [
        ("other.pem", "other.example", True),
        ("other.pem", "OTHER.example.", True),
        ("other.pem", "wrong.example", False),
        ("other.pem", "other.example.example", False),
        ("other.pem", PUBLIC, False),
        ("server.pem", "localhost.example", False),
        ("server.pem", "other.example", False),  # its certificate has another name and an address
        ("server.pem", PUBLIC, False),  # and that is another address
        ("server.pem", PRIVATE, True),
    ],
)
def test_tls(certificate: str, host: str, *, is_right: bool, asking: Asking) -> None:
    """The certificate is that of the name in the URL, at whatever address that was judged."""
    hosts = ("other.example", "wrong.example", "other.example.example", "localhost.example")
    names = asking({each: [[PUBLIC], [PRIVATE]] for each in hosts})
    came: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        came.append(request_of(connection))
        connection.sendall(OK)

    address = host if host == PRIVATE else PUBLIC
    with (
        serving(answer, certificate=certificate, host=address) as server,
        sender(guard=AddressGuard([address])) as each,
    ):
        attempt = each.send(url_of(server, host, "https"), {})

        name = host.lower().removesuffix(".")
        assert server.names == [None if host == address else name]
    assert attempt.address == (address if is_right else None)
    assert attempt.reason == ("" if is_right else "tls")
    assert len([each for each in came if each]) == is_right
    assert len(names.asked) == (0 if host == address else 2)


def is_too_old(connection: socket.socket) -> None:
    """Answer and keep the connection, which the sender finds too old."""
    answering(OK)(connection)


def closes(connection: socket.socket) -> None:
    """Say that this was the last answer."""
    request_of(connection)
    connection.sendall(OK)
    request_of(connection)
    connection.sendall(OK)
    request_of(connection)
    connection.sendall(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))


def resets(connection: socket.socket) -> None:
    """Break the connection when the fourth request comes."""
    for _ in range(3):
        request_of(connection)
        connection.sendall(OK)
    request_of(connection)
    reset(connection)


@pytest.mark.parametrize("certificate", ["", "other.pem"])
@pytest.mark.parametrize("end", [closes, resets, is_too_old])
def test_kept_alive(
    end: Answer,
    certificate: str,
    asking: Asking,
    connections: Connections,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A kept connection needs no look-up; once it is gone, the new address is judged."""
    host = "other.example"
    names = asking({host: [[PUBLIC], [PRIVATE]]})
    scheme = "https" if certificate else "http"
    with (
        two_servers(end, certificate=certificate) as (public, private),
        sender(guard=GUARD) as each,
    ):
        url = url_of(public, host, scheme)
        for _ in range(3):
            attempt = each.send(url, {})
            assert (attempt.outcome, attempt.address) == ("delivered", PUBLIC)
        assert names.count(host) == names.count(host, "AAAA") == 1

        if end is is_too_old:
            monkeypatch.setattr(_pool, "_OLDEST", 0)
        for count in (2, 3):
            assert is_blocked(each.send(url, {}))
            assert names.count(host) == names.count(host, "AAAA") == count
        assert (public.connections, private.connections) == (1, 0)
    assert connections.found == [PUBLIC]


def test_default_guard(asking: Asking, connections: Connections) -> None:
    """Nothing of this needs an option."""
    names = asking({NAME: [[PRIVATE]]})
    with serving(answering(OK)) as server:
        assert is_blocked(Sender(SECRET).send(url_of(server), {}))
        assert server.connections == 0
    assert names.count(NAME) == 1
    assert connections.found == []


REAL = """\
import socket

from frappe_hooksig.sending import AddressGuard, Sender
from tests.sending.servers import OK, SECRET, once, serving
from tests.sending.watched import main

guard = AddressGuard(["127.0.0.2"])
with serving(once(OK), host="127.0.0.2") as public:
    with serving(once(OK), port=public.port) as private:
        with Sender(SECRET, guard=guard, observe=[], timeout=5) as sender:
            for name in ("rebind", "rebind", "several", "alias", "absent"):
                attempt = sender.send(f"http://{name}.example:{public.port}/", {})
                print(name, attempt.outcome, attempt.reason, attempt.address)
        print(public.connections, private.connections)
main(is_real=True)
"""
SCENES: Names = {
    "rebind.example": [["127.0.0.2"], ["127.0.0.1"]],
    "several.example": [["127.0.0.2", "127.0.0.1"]],
    "alias.example": [["a.example", "b.c.example", "127.0.0.2"]],
}


@pytest.mark.stress
@pytest.mark.long
def test_real_resolver() -> None:
    """The C library's resolver, in namespaces of its own, leads nowhere else."""
    ran = run_with_names(REAL, {**ANSWERS, **SCENES})
    *scenes, output = ran.output.splitlines()
    report = Report.read(output)

    assert scenes == [
        "rebind delivered  127.0.0.2",
        "rebind blocked address-not-allowed None",
        "several blocked address-not-allowed None",
        "alias delivered  127.0.0.2",
        "absent unreachable name-not-found None",
        "2 0",
    ]
    assert ran.asked.count(Question("rebind.example", "A")) == 2
    assert ran.asked.count(Question("several.example", "A")) == 1
    assert ran.asked.count(Question("absent.example", "A")) == 1
    assert report.accepted[0] == 0
    unknown = {each.name for each in report.guarded if each.outcome != "blocked"}
    for each in report.guarded:
        assert each.connected_to == [], each
        assert len(each.looked_up) <= 1, each
        assert each.reason in {BAD, "address-not-allowed", "name-not-found"}, each
    assert unknown <= ODD
    for name in {*ANSWERS} - unknown:
        urls = [each for each in (*report.guarded, *report.allowed) if each.name == name]
        assert ran.asked.count(Question(name, "A")) == len(urls), name
    test_that_they_lead_there(report)
