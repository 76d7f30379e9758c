"""Receivers that are slow, endless, huge or gone: each attempt ends in time."""

from __future__ import annotations

import gzip
import os
import selectors
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain, repeat

import pytest

from frappe_hooksig.sending import Attempt, _connection
from frappe_hooksig.sending._connection import Connection
from frappe_hooksig.sending._deadline import Deadline
from frappe_hooksig.sending._exchange import exchange
from tests.sending.servers import OK, Answer, once, request_of, reset, sender, serving

FULL = os.environ.get("FULL") == "1"

TIMEOUT = 0.3
LATE = 5  # seconds; of a machine that is busy
MEMORY = 8 * 1024 * 1024

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MIB = bytes(1024 * 1024)
BOMB = gzip.compress(MIB * 100)


def dripping(start: bytes, drops: bytes, pause: float = 0.02) -> Answer:
    """Send something at once, and then one byte after the other, for ever."""

    def answer(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(start)
        for drop in chain.from_iterable(repeat(drops)):
            connection.sendall(bytes([drop]))
            time.sleep(pause)

    return answer


def flooding(start: bytes, more: bytes) -> Answer:
    """Send something, and then the same for ever."""

    def answer(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(start)
        while True:
            connection.sendall(more)

    return answer


def silent(connection: socket.socket) -> None:
    """Take all, and say nothing."""
    while connection.recv(65536):
        pass


def hinting(connection: socket.socket) -> None:
    """Send an interim answer, and no other one."""
    request_of(connection)
    connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    silent(connection)


SLOW = {
    "silence": silent,
    "status line": dripping(b"", b"HTTP/1.1 200 " + b"x" * 1000),
    "header": dripping(HEAD + b"X-A: ", b"x"),
    "headers": dripping(HEAD, b"A: b\r\n"),
    "body": dripping(HEAD + b"Content-Length: 1000\r\n\r\n", b"x"),
    "endless body": dripping(HEAD + b"\r\n", b"x"),
    "size of a chunk": dripping(CHUNKED, b"0"),
    "chunks": dripping(CHUNKED, b"1\r\nx\r\n"),
    "trailers": dripping(CHUNKED + b"0\r\n", b"A: b\r\n"),
    "continue": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "early hints": dripping(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "after an interim answer": hinting,
}


def timed(answer: Answer, *, certificate: str = "", timeout: float = TIMEOUT) -> Attempt:
    """Return an attempt that ended in time."""
    with serving(answer, certificate=certificate) as server, sender(timeout) as each:
        started = time.monotonic()
        attempt = each.send(server.url, {"a": 1})
        seconds = time.monotonic() - started
    assert abs(seconds - attempt.seconds) < LATE
    assert attempt.seconds < timeout + (0.5 if FULL else LATE)
    return attempt


@pytest.mark.parametrize("name", SLOW)
def test_slow(name: str) -> None:
    """What comes in drops, or not at all, extends no deadline."""
    attempt = timed(SLOW[name])

    assert (attempt.outcome, attempt.reason) == ("unreachable", "timeout")
    assert attempt.message == "no whole response within 0.3 s"
    assert attempt.address == "127.0.0.1"
    assert attempt.seconds >= TIMEOUT


@pytest.mark.parametrize("name", ["silence", "headers", "body"])
def test_slow_and_encrypted(name: str) -> None:
    """With TLS, it is the same."""
    assert timed(SLOW[name], certificate="server.pem").reason == "timeout"


@pytest.mark.long
@pytest.mark.stress
@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("certificate", ["", "server.pem"])
def test_slow_for_longer(name: str, certificate: str) -> None:
    """With one byte a second, the deadline holds within half a second."""
    attempt = timed(SLOW[name], certificate=certificate, timeout=2)

    assert attempt.reason == "timeout"


@pytest.mark.parametrize("start", [b"", b"\x16\x03\x03\x40\x00", b"\x16\x03\x03\x40\x00\x02"])
def test_handshake_stalls(start: bytes) -> None:
    """A peer that never ends the handshake is left in time."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(b"\0")
            time.sleep(0.02)

    with serving(answer if start else silent) as server, sender(TIMEOUT) as each:
        attempt = each.send(f"https://localhost:{server.port}/", {})

    assert attempt.reason == "timeout"
    assert TIMEOUT <= attempt.seconds < LATE


@pytest.mark.parametrize("is_proxy", [False, True])
def test_accepted_by_nobody(*, is_proxy: bool) -> None:
    """A connection that nobody accepts is given up in time."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        several = [socket.socket() for _ in range(4)]
        for each in several:  # fill the backlog
            each.settimeout(0)
            each.connect_ex(address)
        url = f"http://127.0.0.1:{address[1]}"
        with sender(TIMEOUT, proxy=url if is_proxy else None) as one:
            attempt = one.send(url, {})
        for each in several:
            each.close()

    assert attempt.reason == "timeout"
    assert attempt.seconds < LATE


FLOODS: dict[str, tuple[Answer, str, str]] = {
    "body": (flooding(HEAD + b"Content-Length: 10737418240\r\n\r\n", MIB), "delivered", ""),
    "endless body": (flooding(HEAD + b"\r\n", MIB), "delivered", ""),
    "chunks": (flooding(CHUNKED, b"100000\r\n" + MIB + b"\r\n"), "delivered", ""),
    "tiny chunks": (flooding(CHUNKED, b"1\r\nx\r\n" * 1000), "delivered", ""),
    "extension of a chunk": (flooding(CHUNKED + b"1;", b"x" * 65536), "unreachable", "no-http"),
    "extensions of chunks": (flooding(CHUNKED, b"1;%b\r\nx\r\n" % (b"x" * 9000)), "delivered", ""),
    "trailers": (flooding(CHUNKED + b"2\r\nok\r\n0\r\n", b"A: b\r\n" * 1000), "delivered", ""),
    "bomb": (
        once(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB), BOMB),
        "delivered",
        "",
    ),
    "status line": (flooding(b"HTTP/1.1 200 ", b"x" * 65536), "unreachable", "no-http"),
    "header": (flooding(HEAD + b"X-A: ", b"x" * 65536), "unreachable", "no-http"),
    "headers": (flooding(HEAD, b"A: b\r\n" * 1000), "unreachable", "no-http"),
    "long headers": (flooding(HEAD, b"A: %b\r\n" % (b"b" * 9000)), "unreachable", "no-http"),
    "continue": (flooding(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), "unreachable", "no-http"),
    "hints": (flooding(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100), "unreachable", "no-http"),
}


@pytest.mark.parametrize("name", FLOODS)
def test_huge(name: str) -> None:
    """Of what never ends, a little is read, and kept in little memory."""
    answer, outcome, reason = FLOODS[name]
    tracemalloc.start()
    try:
        attempt = timed(answer, timeout=10)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert (attempt.outcome, attempt.reason) == (outcome, reason)
    assert attempt.seconds < LATE
    assert len(attempt.answer) <= 4096
    assert most < MEMORY


def before_all(connection: socket.socket) -> None:
    """Reset before anything is read."""
    reset(connection)


def after(answer: bytes) -> Answer:
    """Reset after a part of an answer."""

    def end(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(answer)
        time.sleep(0.05)
        reset(connection)

    return end


BROKEN: dict[str, tuple[Answer, str]] = {
    "reset at once": (before_all, "connection"),
    "reset instead of an answer": (after(b""), "connection"),
    "reset in the status line": (after(b"HTTP/1.1 2"), "connection"),
    "reset in a header": (after(HEAD + b"X-A: b"), "connection"),
    "reset in the body": (after(HEAD + b"Content-Length: 9\r\n\r\nab"), "connection"),
    "end instead of an answer": (once(b""), "connection"),
    "end in the status line": (once(b"HTTP/1.1 2"), "no-http"),
    "end in the body": (once(HEAD + b"Content-Length: 9\r\n\r\nab"), "connection"),
    "end in a chunk": (once(CHUNKED + b"9\r\nab"), "no-http"),
    "end after a chunk": (once(CHUNKED + b"2\r\nab\r\n"), "no-http"),
    "size of a chunk": (once(CHUNKED + b"zz\r\nab\r\n"), "no-http"),
    "no HTTP": (once(b"\x00\xff\x1b[2J\r\n\r\n"), "no-http"),
    "SSH": (once(b"SSH-2.0-OpenSSH_9.2p1\r\n"), "no-http"),
    "status": (once(b"HTTP/1.1 20x OK\r\n\r\n"), "no-http"),
    "switching protocols": (once(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), "no-http"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken(name: str) -> None:
    """What is no whole answer is none."""
    answer, reason = BROKEN[name]
    attempt = timed(answer, timeout=10)

    assert (attempt.outcome, attempt.status, attempt.reason) == ("unreachable", None, reason)
    assert attempt.answer == b""


def refusing(*, keep_open: bool) -> Callable[[socket.socket], None]:
    """Answer before the body has come, which nobody reads."""

    def answer(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 413 Large\r\nContent-Length: 2\r\n\r\nno")
        if keep_open:
            time.sleep(3)
        else:
            connection.shutdown(socket.SHUT_WR)
            time.sleep(0.1)

    return answer


@pytest.mark.parametrize("keep_open", [True, False])
@pytest.mark.parametrize("certificate", ["", "server.pem"])
def test_answer_before_the_body_was_sent(certificate: str, *, keep_open: bool) -> None:
    """A refusal that comes early is read."""
    with (
        serving(refusing(keep_open=keep_open), certificate=certificate) as server,
        sender() as each,
    ):
        attempt = each.send(server.url, bytes(20_000_000))

    assert (attempt.outcome, attempt.status, attempt.answer) == ("refused", 413, b"no")
    assert attempt.seconds < LATE


@pytest.mark.parametrize("certificate", ["", "server.pem"])
def test_interim_answer_before_the_body_was_sent(certificate: str) -> None:
    """One that is not final does not keep the rest from being sent."""
    lengths: list[int] = []

    def head_first(connection: socket.socket) -> None:
        connection.settimeout(10)
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1) or b"\r\n\r\n"  # the end, too
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.2)
        length = 0
        while length < 10_000_000 and (more := connection.recv(65536)):
            length += len(more)
        lengths.append(length)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with serving(head_first, certificate=certificate) as server, sender() as each:
        attempt = each.send(server.url, bytes(10_000_000))

    assert (attempt.outcome, attempt.answer) == ("delivered", b"ok")
    assert lengths == [10_000_000]


def test_nothing_to_read_while_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message of TLS itself makes a connection readable, and is no answer."""
    both = selectors.EVENT_READ | selectors.EVENT_WRITE
    monkeypatch.setattr(_connection, "_ready", lambda *_: both)
    ours, theirs = socket.socketpair()
    came: list[bytes] = []

    def receive() -> None:
        while sum(map(len, came)) < 10_000_000:
            came.append(theirs.recv(65536))

    thread = threading.Thread(target=receive)
    thread.start()
    with ours, theirs:
        connection = Connection(ours, "127.0.0.1")
        connection.begin(Deadline(30))
        assert connection.send(memoryview(bytes(10_000_000)))
        thread.join()


def test_receiver_that_reads_nothing() -> None:
    """A body that nobody reads is given up in time."""

    def answer(connection: socket.socket) -> None:
        connection.recv(10)
        time.sleep(2)

    with serving(answer) as server, sender(TIMEOUT) as each:
        attempt = each.send(server.url, bytes(20_000_000))

    assert attempt.reason == "timeout"
    assert attempt.seconds < LATE


def test_reset_while_the_body_is_sent() -> None:
    """A receiver that is gone before it has the body has not answered."""

    def answer(connection: socket.socket) -> None:
        connection.recv(10)
        time.sleep(0.2)
        reset(connection)

    with serving(answer) as server, sender() as each:
        attempt = each.send(server.url, bytes(20_000_000))

    assert (attempt.outcome, attempt.reason) == ("unreachable", "connection")


def test_gone_before_anything_is_sent() -> None:
    """What cannot be sent is no exception: there may be an answer to read."""
    ours, theirs = socket.socketpair()
    theirs.sendall(OK)
    theirs.close()
    with ours:
        connection = Connection(ours, "127.0.0.1")
        connection.begin(Deadline(10))
        response = exchange(connection, [memoryview(b"POST")], method="POST", longest=10)

    assert (response.status, response.body, response.is_last) == (200, b"ok", True)


def test_interim_answers_while_the_body_is_sent() -> None:
    """Of endless interim answers, only so many are taken."""

    def answer(connection: socket.socket) -> None:
        connection.recv(10)
        with suppress(TimeoutError):
            connection.settimeout(1)
            while True:
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 4000)
        connection.settimeout(10)
        while connection.recv(1 << 20):
            pass

    with serving(answer) as server, sender() as each:
        attempt = each.send(server.url, bytes(20_000_000))

    assert (attempt.outcome, attempt.reason) == ("unreachable", "no-http")


def compressions() -> Iterator[tuple[str, bytes, bytes]]:
    """Return codings, bodies, and what is read of them."""
    text = b'{"reason": "a", "message": "b"}'
    raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    yield "gzip", gzip.compress(text), text
    yield "x-gzip", gzip.compress(text), text
    yield "GZIP", gzip.compress(text), text
    yield "deflate", zlib.compress(text), text
    yield "deflate", raw.compress(text) + raw.flush(), text
    yield "gzip", text, b""
    yield "deflate", b"\xff\xff", b""
    yield "gzip", gzip.compress(text)[:15], text[:4]
    yield "br", text, text
    yield "gzip", BOMB, bytes(4096)
    yield "gzip", b"", b""


CASES = [*compressions()]


@pytest.mark.parametrize(
    ("coding", "body", "expected"),
    CASES,
    ids=[f"{place} {case[0]}" for place, case in enumerate(CASES)],
)
def test_compressed(coding: str, body: bytes, expected: bytes) -> None:
    """An answer is decompressed, up to the size that is kept."""
    head = HEAD + b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n"
    attempt = timed(once(head % (coding.encode(), len(body)), body), timeout=10)

    assert attempt.answer == expected
    assert attempt.reason == ("a" if expected.endswith(b"}") else "")


@pytest.mark.long
@pytest.mark.stress
def test_ten_gigabytes() -> None:
    """10 GB are not read, and the deadline holds."""
    for name in ("body", "endless body", "chunks"):
        answer, outcome, _ = FLOODS[name]
        attempt = timed(answer, timeout=2)
        assert attempt.outcome == outcome
        assert attempt.seconds < 2.5
