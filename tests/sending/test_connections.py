"""Connections: kept alive, given up, encrypted, and through a proxy."""

from __future__ import annotations

import base64
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from frappe_hooksig.sending import Sender, _connection, _lookup, _pool
from frappe_hooksig.sending._target import Target
from tests.sending.servers import (
    LOOPBACK,
    OK,
    SECRET,
    TLS,
    Answer,
    answering,
    once,
    request_of,
    reset,
    sender,
    serving,
)

HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("certificate", ["", "server.pem"])
def test_kept_alive(certificate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages to one receiver share a connection, which needs no other look-up."""
    looked_up: list[Any] = []

    def look_up(*arguments: Any) -> Any:
        looked_up.append(arguments)
        return _lookup.look_up(*arguments)

    monkeypatch.setattr("frappe_hooksig.sending._sender.look_up", look_up)
    with serving(answering(OK), certificate=certificate) as server, sender() as each:
        attempts = [each.send(server.url, {"number": number}) for number in range(10)]

        assert [attempt.outcome for attempt in attempts] == ["delivered"] * 10
        assert {attempt.address for attempt in attempts} == {"127.0.0.1"}
        assert server.connections == 1
    assert len(looked_up) == 1


CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
KEPT = {
    "chunks": CHUNKS,
    "trailer": CHUNKS[:-2] + b"A: b\r\n\r\n",
    "no content": b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n",
    "no content, no length": b"HTTP/1.1 204 No\r\n\r\n",
    "not modified": b"HTTP/1.1 304 No\r\n\r\n",
    "spaces": HEAD + b"Content-Length: \t2 \t\r\n\r\nok",
    "spaces around the coding": CHUNKS.replace(b"chunked", b"\tChunked "),
    "space after a name": CHUNKS.replace(b":", b" :"),
    "folded header": CHUNKS.replace(b"chunked", b"\r\n chunked"),
    "line that is no header": CHUNKS.replace(b"Tr", b"nonsense\r\nTr"),
    "refused": b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno",
    "more than is kept": HEAD + b"Content-Length: 9000\r\n\r\n" + bytes(9000),
}
NOT_KEPT = {
    "close": HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "too much": HEAD + b"Content-Length: 90000\r\n\r\n" + bytes(90000),
    "more came": OK + b"HTTP/1.1 200 OK\r\n",
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "length and chunks": HEAD + b"Content-Length: 2\r\n" + CHUNKS[len(HEAD) :],
    "close, in a list": HEAD + b"Connection: a, CLOSE\r\nContent-Length: 2\r\n\r\nok",
    "coding of no content": b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunks of HTTP/1.0": CHUNKS.replace(b"HTTP/1.1", b"HTTP/1.0"),
}


@pytest.mark.parametrize("name", [*KEPT, *NOT_KEPT])
def test_whether_it_is_kept(name: str) -> None:
    """A connection is kept if it is clear where the answer ends, and if it has ended."""
    with serving(answering({**KEPT, **NOT_KEPT}[name])) as server, sender() as each:
        assert each.send(server.url, {}).status is not None
        assert each.send(server.url, {}).status is not None
        assert server.connections == (1 if name in KEPT else 2)


@pytest.mark.parametrize("status", [200, 304])
def test_head(status: int) -> None:
    """An answer to HEAD has the length of another one, and no body."""
    answer = b"HTTP/1.1 %d OK\r\nContent-Length: 900\r\n\r\n" % status
    with serving(answering(answer)) as server, sender(method="HEAD") as each:
        assert [each.send(server.url, {}).status for _ in range(2)] == [status] * 2
        assert server.connections == 1


PHANTOM = b"HTTP/1.1 410 Gone\r\nContent-Length: 7\r\n\r\nphantom"


@pytest.mark.parametrize("certificate", ["", "server.pem"])
@pytest.mark.parametrize("more", [b"!", PHANTOM], ids=["longer than it says", "another answer"])
def test_more_than_the_answer(more: bytes, certificate: str) -> None:
    """What comes after an answer is never the answer to the next message.

    With TLS, it comes in the record of the body, which OpenSSL decrypts as a whole.
    """

    def answer(connection: socket.socket) -> None:
        while request_of(connection):
            connection.sendall(OK[:-2])
            connection.sendall(OK[-2:] + more)

    with serving(answer, certificate=certificate) as server, sender() as each:
        attempts = [each.send(server.url, {}) for _ in range(3)]

        assert [(each.outcome, each.answer) for each in attempts] == [("delivered", b"ok")] * 3
        assert server.connections == 3


def test_decrypted_while_idle() -> None:
    """A connection of which a part of a record is not read yet is not used."""
    with serving(once(OK), certificate="server.pem") as server:
        plain = socket.create_connection(("127.0.0.1", server.port))
        context = ssl.create_default_context(cafile=TLS / "ca.pem")
        with context.wrap_socket(plain, server_hostname="localhost") as encrypted:
            connection = _connection.Connection(encrypted, "127.0.0.1")
            assert connection.is_drained
            encrypted.sendall(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
            assert encrypted.recv(1) == OK[:1]
            assert not connection.is_drained
            assert not connection.is_alive


def test_closed_while_idle() -> None:
    """One that the receiver has closed meanwhile is not used."""
    with serving(once(OK)) as server, sender() as each:
        for number in range(1, 4):
            assert each.send(server.url, {}).is_delivered
            assert server.connections == number
            time.sleep(0.05)


def dying(end: Callable[[socket.socket], object], requests: list[bytes]) -> Answer:
    """Answer the first request of each connection, and end it when another one comes."""

    def answer(connection: socket.socket) -> None:
        requests.append(request_of(connection))
        connection.sendall(OK)
        if request := request_of(connection):
            requests.append(request)
            end(connection)

    return answer


@pytest.mark.parametrize("end", [reset, socket.socket.close])
def test_dies_in_use(end: Callable[[socket.socket], object]) -> None:
    """If a kept connection ends before an answer, the message is sent once more, on a new one."""
    requests: list[bytes] = []
    with serving(dying(end, requests)) as server, sender() as each:
        first = each.send(server.url, {}, id="1")
        second = each.send(server.url, {}, id="2")

        assert (first.outcome, second.outcome) == ("delivered", "delivered")
        assert server.connections == 2
    assert len(requests) == 3
    assert requests[1] == requests[2]


def test_dies_in_an_answer() -> None:
    """If it ends in the middle of an answer, the message is not sent again: that is an attempt."""

    def end(connection: socket.socket) -> None:
        connection.sendall(HEAD)
        time.sleep(0.05)
        reset(connection)

    requests: list[bytes] = []
    with serving(dying(end, requests)) as server, sender() as each:
        assert each.send(server.url, {}).is_delivered
        attempt = each.send(server.url, {})

        assert (attempt.outcome, attempt.reason) == ("unreachable", "connection")
        assert attempt.address == "127.0.0.1"
        assert server.connections == 1


def test_dies_on_a_new_connection() -> None:
    """A new connection that ends is an attempt; nothing is sent again."""
    with serving(once()) as server, sender() as each:
        assert each.send(server.url, {}).reason == "connection"
        assert server.connections == 1


def test_silent_in_use() -> None:
    """A kept connection that only keeps silent is not sent on again."""
    with serving(dying(lambda _: time.sleep(2), [])) as server, sender(0.3) as each:
        assert each.send(server.url, {}).is_delivered
        assert each.send(server.url, {}).reason == "timeout"
        assert server.connections == 1


@pytest.mark.parametrize("limit", ["_LONGEST_IDLE", "_OLDEST"])
def test_too_old(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was idle for long, or is old, is closed."""
    with serving(answering(OK)) as server, sender() as each:
        each.send(server.url, {})
        monkeypatch.setattr(_pool, limit, 0)
        each.send(server.url, {})
        assert server.connections == 2


def test_outdated_ones_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle connections to receivers that get no more are closed when others are used."""
    ended = threading.Event()

    def answer(connection: socket.socket) -> None:
        answering(OK)(connection)
        ended.set()

    with serving(answer) as idle, serving(answering(OK)) as busy, sender() as each:
        each.send(idle.url, {})
        time.sleep(0.02)
        monkeypatch.setattr(_pool, "_LONGEST_IDLE", 0.01)
        each.send(busy.url, {})
        assert ended.wait(10)


@pytest.mark.parametrize(("most", "of_receiver"), [(100, 2), (2, 10)])
def test_bounded(most: int, of_receiver: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many idle connections are kept, whatever the number of threads."""
    monkeypatch.setattr(_pool, "_MOST", most)
    monkeypatch.setattr(_pool, "_MOST_OF_RECEIVER", of_receiver)
    ended = threading.Semaphore(0)
    start = threading.Barrier(6)

    def answer(connection: socket.socket) -> None:
        request_of(connection)
        start.wait(10)
        connection.sendall(OK)
        with suppress(OSError):
            connection.recv(1)
        ended.release()

    with serving(answer) as server, sender() as each, ThreadPoolExecutor(6) as pool:
        attempts = [*pool.map(lambda _: each.send(server.url, {}), range(6))]

        assert {attempt.outcome for attempt in attempts} == {"delivered"}
        assert all(ended.acquire(timeout=10) for _ in range(4))
        assert not ended.acquire(timeout=0.05)


def test_threads() -> None:
    """Threads that share a sender get their own answers."""

    def echo(connection: socket.socket) -> None:
        while request := request_of(connection):
            body = request.partition(b"\r\n\r\n")[2]
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    with serving(echo) as server, sender() as each, ThreadPoolExecutor(8) as pool:
        attempts = pool.map(lambda number: each.send(server.url, b"%d" % number), range(200))

        assert [attempt.answer for attempt in attempts] == [b"%d" % number for number in range(200)]
        assert server.connections <= 8


def test_fork() -> None:
    """A forked process does not use the connections of its parent, and leaves them alone."""
    with serving(answering(OK)) as server, sender() as each:
        assert each.send(server.url, {}).is_delivered
        child = os.fork()
        if not child:
            status = 1
            with suppress(BaseException):
                status = 0 if each.send(server.url, {}).is_delivered else 2
                each.close()
            os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert server.connections == 2
        assert each.send(server.url, {}).is_delivered
        assert server.connections == 2


def test_close() -> None:
    """A closed sender keeps no connection, and can still send."""
    with serving(answering(OK)) as server:
        each = sender()
        each.send(server.url, {})
        each.close()
        for _ in range(2):
            assert each.send(server.url, {}).is_delivered
        assert server.connections == 3


def test_closed_while_sending() -> None:
    """A connection whose exchange ends while the sender is closed is not kept."""
    target = Target.of("http://127.0.0.1/")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pool = _pool.Pool()
        pool.close()
        pool.keep(target, _connection.Connection(ours, "127.0.0.1"))

        theirs.settimeout(10)
        assert theirs.recv(1) == b""
        assert pool.take(target) is None


def test_closed_before_a_fork() -> None:
    """A sender that was closed keeps no connection in a forked process either."""
    with serving(answering(OK)) as server, sender() as each:
        each.close()
        child = os.fork()
        if not child:
            status = 1
            with suppress(BaseException):
                attempts = [each.send(server.url, {}) for _ in range(2)]
                status = 0 if all(each.is_delivered for each in attempts) else 2
            os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert server.connections == 2


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_certificate(host: str) -> None:
    """The certificate is checked by name, or by address. The protocol is HTTP/1.1."""
    chosen: list[str | None] = []

    def answer(connection: socket.socket) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        chosen.append(connection.selected_alpn_protocol())
        answering(OK)(connection)

    with serving(answer, certificate="server.pem") as server, sender() as each:
        assert each.send(f"https://{host}:{server.port}/", {}).is_delivered
    assert chosen == ["http/1.1"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_wrong_name(host: str) -> None:
    """A certificate of another host is refused, and nothing is sent."""
    came: list[bytes] = []
    with (
        serving(lambda connection: came.append(connection.recv(1)), certificate="other.pem") as it,
        sender() as each,
    ):
        attempt = each.send(f"https://{host}:{it.port}/", {})

    assert (attempt.outcome, attempt.reason) == ("unreachable", "tls")
    assert "certificate is not" in attempt.message
    assert "mismatch" in attempt.message
    assert not any(came)


def test_unknown_authority() -> None:
    """By default, only the authorities that the system trusts are trusted."""
    with serving(answering(OK), certificate="server.pem") as server:
        attempt = Sender(SECRET, guard=LOOPBACK).send(server.url, {})

    assert attempt.reason == "tls"
    assert attempt.message.startswith("the certificate is not trusted: unable to get local issuer")
    assert _connection.default_context() is _connection.default_context()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_no_tls(answer: bytes) -> None:
    """A receiver without TLS says so, or only hangs up."""

    def plain(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(answer)

    with serving(plain) as server, sender() as each:
        attempt = each.send(f"https://localhost:{server.port}/", {})

    assert attempt.outcome == "unreachable"
    assert attempt.reason == ("tls" if answer else "connection")


def test_tls_fails() -> None:
    """A receiver that speaks TLS, and refuses, is not said to speak none."""

    def refuse(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"\x15\x03\x03\x00\x02\x02\x28")  # RFC 8446: alert, handshake_failure

    with serving(refuse) as server, sender() as each:
        attempt = each.send(f"https://localhost:{server.port}/", {})

    assert (attempt.outcome, attempt.reason) == ("unreachable", "tls")
    assert attempt.message.startswith("TLS failed: ")
    assert attempt.message.endswith("alert handshake failure")


class Tunnel:
    """A proxy that makes connections.

    Attributes:
        asked: What it was asked, byte for byte.
    """

    def __init__(self, answer: bytes = HEAD + b"\r\n", refused: tuple[str, ...] = ()) -> None:
        self.asked: list[bytes] = []
        self._answer = answer
        self._refused = refused

    def __call__(self, client: socket.socket) -> None:
        """Serve a connection."""
        asked = b""
        while not asked.endswith(b"\r\n\r\n") and (more := client.recv(1)):
            asked += more
        self.asked.append(asked)
        host, _, port = asked.split()[1].decode().rpartition(":")
        if host in self._refused:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            return
        client.sendall(self._answer)
        with socket.create_connection((host, int(port))) as onward:
            thread = threading.Thread(target=self._copy, args=(client, onward), daemon=True)
            thread.start()
            self._copy(onward, client)

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("certificate", ["", "server.pem"])
def test_proxy(certificate: str) -> None:
    """A proxy that was named is asked for the judged address; the password is its alone."""
    tunnel, came = Tunnel(), list[bytes]()

    def answer(connection: socket.socket) -> None:
        while request := request_of(connection):
            came.append(request)
            connection.sendall(OK)

    with serving(tunnel) as via, serving(answer, certificate=certificate) as server:
        proxy = f"http://user:p%40ss@localhost:{via.port}/"
        with sender(proxy=proxy) as each:
            attempts = [each.send(server.url, {}) for _ in range(2)]

    assert [(each.outcome, each.address) for each in attempts] == [("delivered", "127.0.0.1")] * 2
    where = b"127.0.0.1:%d" % server.port
    login = base64.b64encode(b"user:p@ss")
    assert tunnel.asked == [
        b"CONNECT %b HTTP/1.1\r\nHost: %b\r\nProxy-Authorization: Basic %b\r\n\r\n"
        % (where, where, login)
    ]
    assert b"Proxy-" not in b"".join(came)
    assert "p%40ss" not in repr(each)


def test_address_behind_a_proxy() -> None:
    """The guard judges the receiver's address, not the proxy's."""
    tunnel = Tunnel()
    with serving(tunnel) as via:
        each = Sender(SECRET, proxy=f"http://127.0.0.1:{via.port}")
        attempt = each.send("http://127.0.0.2:80/", {})

    assert (attempt.outcome, attempt.reason) == ("blocked", "address-not-allowed")
    assert not tunnel.asked


def test_next_address_behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a proxy cannot connect to an address, it is asked for the next one."""
    tunnel = Tunnel(refused=("127.0.0.7",))
    with serving(tunnel) as via, serving(answering(OK)) as server:
        found = [
            (socket.AF_INET, 1, 6, "", (each, server.port)) for each in ("127.0.0.7", "127.0.0.1")
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        with sender(proxy=f"http://127.0.0.1:{via.port}") as each:
            attempt = each.send("http://two.example/", {})

    assert (attempt.outcome, attempt.address) == ("delivered", "127.0.0.1")
    assert len(tunnel.asked) == 2


def test_family_that_the_system_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a proxy has an address of a family without sockets, the next one is used."""
    tunnel = Tunnel()
    with serving(tunnel) as via, serving(answering(OK)) as server:
        found = [
            _lookup.Address(family, ("127.0.0.1", via.port)) for family in (9999, socket.AF_INET)
        ]
        monkeypatch.setattr(_connection, "look_up", lambda *_: found)
        with sender(proxy=f"http://two.example:{via.port}") as each:
            attempt = each.send(server.url, {})

    assert (attempt.outcome, attempt.address) == ("delivered", "127.0.0.1")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 407 No\r\n\r\n", "the proxy answered HTTP 407"),
        (b"nonsense\r\n\r\n", "the proxy does not speak HTTP"),
        (HEAD + b"\r\nmore", "the proxy sent more than an answer"),
        (HEAD + b"A: b\r\n" * 20000, "the proxy does not speak HTTP"),
        (b"HTTP/1.1 2_00 OK\r\n\r\n", "the proxy does not speak HTTP"),
        (HEAD, "the proxy closed the connection"),
        (b"", "the proxy closed the connection"),
    ],
    ids=["refuses", "nonsense", "more", "headers", "status", "ends", "says nothing"],
)
def test_useless_proxy(answer: bytes, message: str) -> None:
    """What a proxy does wrong is no fault of the receiver, and is named."""

    def reply(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    with serving(reply) as via, sender(proxy=f"http://127.0.0.1:{via.port}") as each:
        attempt = each.send("http://127.0.0.1:9/", {})

    assert (attempt.outcome, attempt.reason) == ("unreachable", "proxy")
    assert attempt.message == message


@pytest.mark.parametrize(
    ("proxy", "message"),
    [
        ("http://u:pw@127.0.0.1:1", "no connection to the proxy: Connection refused"),
        ("http://u:pw@nobody.invalid:1", "no host has the name of the proxy"),
    ],
)
def test_no_proxy(proxy: str, message: str) -> None:
    """A proxy that cannot be reached is named too."""
    attempt = sender(proxy=proxy).send("http://127.0.0.1:9/", {})

    assert (attempt.reason, attempt.message) == ("proxy", message)


def test_slow_proxy() -> None:
    """The deadline is that of the whole attempt."""
    with serving(lambda _: time.sleep(2)) as via:
        attempt = sender(0.3, proxy=f"http://127.0.0.1:{via.port}").send("http://127.0.0.1:9/", {})

    assert attempt.reason == "timeout"
    assert attempt.seconds < 2
