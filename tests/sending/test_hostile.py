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
from queue import Queue
from typing import Any

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
    "end in the status line": (once(b"HTTP/1.1 2"), "connection"),
    "end after the status": (once(b"HTTP/1.1 200"), "connection"),
    "end after a status that is gone": (once(b"HTTP/1.1 410"), "connection"),
    "end after the status line": (once(HEAD), "connection"),
    "end in the name of a header": (once(HEAD + b"Transfer-Enc"), "connection"),
    "end in a header": (once(HEAD + b"Content-Length: 10"), "connection"),
    "end after a header": (once(HEAD + b"Content-Length: 0\r\n"), "connection"),
    "end in an interim answer": (once(b"HTTP/1.1 100 Continue\r\n"), "connection"),
    "end in the body": (once(HEAD + b"Content-Length: 9\r\n\r\nab"), "connection"),
    "end in a chunk": (once(CHUNKED + b"9\r\nab"), "connection"),
    "end after a chunk": (once(CHUNKED + b"2\r\nab\r\n"), "connection"),
    "end in the size of a chunk": (once(CHUNKED + b"2\r\nab\r\n1"), "connection"),
    "end after the last chunk": (once(CHUNKED + b"2\r\nab\r\n0\r\n"), "connection"),
    "end in a trailer": (once(CHUNKED + b"0\r\nA: b"), "connection"),
    "end after a trailer": (once(CHUNKED + b"0\r\nA: b\r\n"), "connection"),
    "longer than its chunk": (once(CHUNKED + b"2\r\nabcd\r\n0\r\n\r\n"), "no-http"),
    **{
        f"{size} as the size of a chunk": (
            once(CHUNKED + size.encode() + b"\r\nabcde\r\n0\r\n\r\n"),
            "no-http",
        )
        for size in ("zz", "-5", "+5", "0x5", "0_5", " 5", "", "5 a", "0" * 16 + "5", "٥")
    },
    **{
        f"{header!a}": (once(HEAD + header.encode() + b"\r\n\r\nok"), "no-http")
        for header in (
            *(f"Content-Length: {each}" for each in ("1_0", "+2", "-2", "2, 2", "0x2", "", "٢")),
            *("Content-Length: 2\xa0", "Content-Length: 2\r\nContent-Length: 3"),
            *(f"Transfer-Encoding: {each}" for each in ("gzip, chunked", "zip", "", "chunked\v")),
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        )
    },
    "no HTTP": (once(b"\x00\xff\x1b[2J\r\n\r\n"), "no-http"),
    "SSH": (once(b"SSH-2.0-OpenSSH_9.2p1\r\n"), "no-http"),
    **{
        f"{line!a} as the status line": (once(line.encode() + b"\r\n\r\n"), "no-http")
        for line in (
            *("HTTP/1.1 20x OK", "HTTP/1.1 2_00 OK", "HTTP/1.1 +200 OK", "HTTP/1.1 20 OK"),
            *("HTTP/1.1 2000 OK", "HTTP/1.1 099 OK", "HTTP/1.1  200 OK", "HTTP/1.1\t200 OK"),
            *("HTTP/0.9 200", "HTTP/1.9999 200 OK", "HTTP/1.2 200 OK", "HTTP/2 200", "HTTP/1.1"),
            *("http/1.1 200 OK", " HTTP/1.1 200 OK", "HTTP/1.1 200 O\rK", "HTTP/1.1 ٢٠٠ OK"),
        )
    },
    "switching protocols": (once(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), "no-http"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken(name: str) -> None:
    """What is no whole answer is none."""
    answer, reason = BROKEN[name]
    attempt = timed(answer, timeout=10)

    assert (attempt.outcome, attempt.status, attempt.reason) == ("unreachable", None, reason)
    assert attempt.answer == b""


WHOLE = {
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    "no reason, but a space": b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nok",
    **{
        f"type with {odd!a}": HEAD
        + b"Content-Type: multipart/mixed; %b\r\nContent-Length: 2\r\n\r\nok" % odd
        for odd in (b"boundary*=a; boundary*0=b", b"boundary*=a\0b''x", b"boundary*=idna''x")
    },
    "many headers": HEAD + b"A: b\r\n" * 1000 + b"Content-Length: 2\r\n\r\nok",
    "lines without returns": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "chunks": CHUNKED + b"01\r\no\r\n1 ;a=b\r\nk\r\n0;c\r\nA: b\r\n\r\n",
    "chunks without returns": CHUNKED + b"2 \nok\n0\n\n",
    "endless trailer": CHUNKED + b"2\r\nok\r\n0\r\nA: " + b"x" * 70_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole(name: str) -> None:
    """Answers that are written in an unusual way are answers."""
    attempt = timed(once(WHOLE[name]), timeout=10)

    assert (attempt.outcome, attempt.status, attempt.answer) == ("delivered", 200, b"ok")


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


def test_early_answer_in_a_large_record() -> None:
    """With TLS, an answer is seen also if much comes before it in the same record."""

    def answer(connection: socket.socket) -> None:
        connection.recv(100)
        interim = b"HTTP/1.1 100 Continue\r\n\r\n" * 400
        connection.sendall(interim + b"HTTP/1.1 413 Large\r\nContent-Length: 2\r\n\r\nno")
        is_read.wait(20)

    is_read = threading.Event()
    with serving(answer, certificate="server.pem") as server, sender(5) as each:
        attempt = each.send(server.url, bytes(20_000_000))
        is_read.set()

    assert (attempt.outcome, attempt.status) == ("refused", 413)


@pytest.mark.parametrize("certificate", ["", "server.pem"])
@pytest.mark.parametrize(
    ("status", "outcome", "message"),
    [
        (200, "unreachable", "the receiver answered HTTP 200 before it had the whole message"),
        (204, "unreachable", "the receiver answered HTTP 204 before it had the whole message"),
        (410, "gone", "the receiver answered HTTP 410"),
    ],
)
def test_success_before_the_body_was_sent(
    status: int, outcome: str, message: str, certificate: str
) -> None:
    """Who says that all is well, and takes no more of the body, has not got the message."""

    def answer(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 %d OK\r\nContent-Length: 0\r\n\r\n" % status)
        connection.shutdown(socket.SHUT_WR)
        time.sleep(0.1)

    with serving(answer, certificate=certificate) as server, sender() as each:
        attempt = each.send(server.url, bytes(20_000_000))

    assert (attempt.outcome, attempt.message) == (outcome, message)
    assert attempt.reason == ("connection" if outcome == "unreachable" else "")
    assert attempt.address == "127.0.0.1"


@pytest.mark.parametrize("certificate", ["", "server.pem"])
def test_success_before_the_body_was_sent_and_read(certificate: str) -> None:
    """A receiver that answers at once, and reads on, gets the whole message."""
    length = 20_000_000
    lengths = Queue[int]()

    def answer(connection: socket.socket) -> None:
        connection.sendall(OK)
        time.sleep(0.2)
        came = 0
        while came < length and (more := connection.recv(1 << 20)):
            came += len(more)
        lengths.put(came)

    with serving(answer, certificate=certificate) as server, sender(30) as each:
        attempt = each.send(server.url, bytes(length))
        assert lengths.get(timeout=20) >= length

    assert (attempt.outcome, attempt.answer) == ("delivered", b"ok")


def early(stream: Any, theirs: socket.socket, data: bytes) -> bool:
    """Have bytes come while a body is sent. Return whether they are a refusal."""
    theirs.sendall(data)
    return bool(stream._is_answered())  # noqa: SLF001 no sending that has to be timed besides


@pytest.fixture
def stream_and_peer() -> Iterator[tuple[Any, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = _connection._Stream(ours)  # noqa: SLF001
        stream.begin(Deadline(60))
        yield stream, theirs


def test_drops_while_the_body_is_sent(stream_and_peer: tuple[Any, socket.socket]) -> None:
    """What has come before makes no byte that comes more expensive."""
    seconds = []
    for before in (0, 50_000):
        while len(stream_and_peer[0].early) < before:
            assert not early(*stream_and_peer, bytes(1000))
        started = time.thread_time()
        for _ in range(2000):
            assert not early(*stream_and_peer, b"A")
        seconds.append(time.thread_time() - started)

    assert len(stream_and_peer[0].early) == 52_000
    assert seconds[1] < 5 * seconds[0]


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_answer_in_drops_while_the_body_is_sent(
    size: int, stream_and_peer: tuple[Any, socket.socket]
) -> None:
    """A refusal is seen wherever it is divided, and nothing of it is lost."""
    stream, theirs = stream_and_peer
    answer = b"HTTP/1.1 103 A\r\nA: HTTP/1.1 500\r\n\r\nHTTP/1.1 4"
    pieces = [answer[start : start + size] for start in range(0, len(answer), size)]

    assert [early(stream, theirs, each) for each in pieces] == [False] * (len(pieces) - 1) + [True]
    assert stream.early == answer
    buffer = bytearray(20)
    assert stream.readinto(buffer) == 20
    assert buffer + stream.early == answer


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
    theirs.sendall(b"HTTP/1.1 413 Large\r\nContent-Length: 2\r\n\r\nno")
    theirs.close()
    with ours:
        connection = Connection(ours, "127.0.0.1")
        connection.begin(Deadline(10))
        response = exchange(connection, [memoryview(b"POST")], method="POST", longest=10)

    assert (response.status, response.body, response.is_last) == (413, b"no", True)


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
    text = b'{"reason": "unknown-url", "message": "b"}'
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
    assert attempt.reason == ("unknown-url" if expected.endswith(b"}") else "")


@pytest.mark.long
@pytest.mark.stress
def test_ten_gigabytes() -> None:
    """10 GB are not read, and the deadline holds."""
    for name in ("body", "endless body", "chunks"):
        answer, outcome, _ = FLOODS[name]
        attempt = timed(answer, timeout=2)
        assert attempt.outcome == outcome
        assert attempt.seconds < 2.5
