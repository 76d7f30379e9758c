"""A receiver that answers as it is told, and keeps what came."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from frappe_hooksig import ConfigurationError, sign_payload, verify_payload
from frappe_hooksig.testing import Answer, AnswerLike, FakeReceiver
from tests import loopback

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"


def send(url: str, body: Any = b"", headers: Any = (), **options: Any) -> loopback.Answer:
    """Send a request, and return the response."""
    parts = urlsplit(url)
    return loopback.send_to(
        parts.port or 0, url.partition(parts.netloc)[2], body, headers, **options
    )


def sent_raw(url: str, raw: bytes) -> bytes:
    """Send bytes and half-close; return all that comes back."""
    with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=30) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(1024), b""))


def test_what_came() -> None:
    """A request is kept as it was sent, so that it can be verified."""
    signed = sign_payload({"name": "SO-00001"}, SECRET)
    before = time.time()
    with FakeReceiver() as receiver:
        answer = send(f"{receiver.url}a/b?c=d", signed.body, {**signed.headers, "X-A": "é"})
        assert (answer.status, answer.body) == (200, b"")
        (request,) = receiver.requests

    assert (request.method, request.path, request.body) == ("POST", "/a/b?c=d", signed.body)
    assert ("X-A", "é") in request.headers
    assert (request.header("x-A"), request.header("X-B")) == ("é", None)
    assert request.json() == {"name": "SO-00001"}
    assert before <= request.at <= time.time()
    assert verify_payload(request.body, request.headers[:-1], SECRET).json()["name"] == "SO-00001"
    assert repr(request).startswith("<ReceivedRequest POST /a/b?c=d, 20 bytes, headers ")
    assert SECRET not in repr(request)


def test_answers_in_order() -> None:
    """The last answer is repeated."""
    answers: list[AnswerLike] = [500, Answer(429, b'{"a": 1}', {"Retry-After": "5"}), 200]
    with FakeReceiver(answers) as receiver:
        responses = [send(receiver.url, b"{}") for _ in range(4)]

    assert [response.status for response in responses] == [500, 429, 200, 200]
    assert responses[1].headers["retry-after"] == "5"
    assert [response.body for response in responses] == [b"", b'{"a": 1}', b"", b""]


def test_at_once() -> None:
    """Each of many requests has an answer of its own."""
    answers = [Answer(200, b"%d" % number, delay=0.05) for number in range(40)]
    with FakeReceiver(answers) as receiver, ThreadPoolExecutor(40) as pool:
        found = [*pool.map(lambda _: send(receiver.url).body, range(40))]

        assert sorted(map(int, found)) == [*range(40)]
        assert len(receiver.wait_for(40)) == 40


def test_timeout() -> None:
    """The connection is accepted, and nothing ever comes."""
    with FakeReceiver(["timeout", 200]) as receiver:
        with pytest.raises(TimeoutError):
            send(receiver.url, timeout=0.2)
        assert send(receiver.url).status == 200


def test_client_that_goes_on() -> None:
    """Nothing comes for that, either."""
    with FakeReceiver(["timeout"]) as receiver:
        with socket.create_connection(("127.0.0.1", urlsplit(receiver.url).port or 0)) as client:
            client.sendall(b"POST / HTTP/1.1\r\n\r\n")
            receiver.wait_for(1)
            client.sendall(b"POST / HTTP/1.1\r\n\r\n")
        assert len(receiver.requests) == 1


def test_timeout_ends_with_the_receiver() -> None:
    """A client that waits is told when the receiver stops."""
    with ThreadPoolExecutor(1) as pool:
        with FakeReceiver(["timeout"]) as receiver:
            waiting = pool.submit(send, receiver.url)
            receiver.wait_for(1)
        assert isinstance(waiting.exception(), http.client.RemoteDisconnected)


def test_delay_ends_with_the_receiver() -> None:
    """So is one that waits for a late answer."""
    with ThreadPoolExecutor(1) as pool:
        with FakeReceiver([Answer(200, delay=3600)]) as receiver:
            waiting = pool.submit(send, receiver.url)
            receiver.wait_for(1)
        assert isinstance(waiting.exception(), http.client.RemoteDisconnected)


def test_reset() -> None:
    """The connection is reset, not only closed."""
    with FakeReceiver(["reset"]) as receiver:
        with pytest.raises(ConnectionResetError):
            send(receiver.url, b"{}")
        assert len(receiver.requests) == 1


def test_client_that_has_gone(capfd: pytest.CaptureFixture[str]) -> None:
    """An answer to nobody ends quietly."""
    with FakeReceiver([Answer(200, b"0" * 10**7, delay=0.05), 200]) as receiver:
        with pytest.raises(TimeoutError):
            send(receiver.url, timeout=0.01)
        assert send(receiver.url).status == 200

    assert capfd.readouterr() == ("", "")


def test_nothing_is_left() -> None:
    """The threads end with the receiver, whatever its clients do; nobody listens any more."""
    before = set(threading.enumerate())
    with FakeReceiver(["timeout"]) as receiver:
        port = urlsplit(receiver.url).port or 0
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        idle[1].sendall(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n12")
        idle[2].sendall(b"POST / HTTP/1.1\r\n\r\n")  # accepted after the others
        receiver.wait_for(1)

    assert set(threading.enumerate()) <= before
    assert [each.recv(1) for each in idle] == [b""] * 3
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    for each in idle:
        each.close()


def test_chunks() -> None:
    """A body without a length is put together again."""
    with FakeReceiver() as receiver:
        assert send(receiver.url, iter([b"ab", b"c"])).status == 200
        raw = (
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n0\r\nA: b\r\n\r\n"
        )
        assert sent_raw(receiver.url, raw).startswith(b"HTTP/1.1 200 ")

        assert [request.body for request in receiver.requests] == [b"abc", b"a"]


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        (b"Content-Length: 5\r\n\r\n1234", b"400"),
        (b"Content-Length: -1\r\n\r\n", b"400"),
        (b"Content-Length: x\r\n\r\n", b"400"),
        (b"Content-Length: 99999999\r\n\r\n", b"413"),
        (b"Transfer-Encoding: chunked\r\n\r\n5\r\n1234", b"400"),
        (b"Transfer-Encoding: chunked\r\n\r\nx\r\n", b"400"),
        (b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n9999999\r\n", b"413"),
    ],
    ids=str,
)
def test_bodies_that_do_not_count(rest: bytes, status: bytes) -> None:
    """One that is cut off, broken or too large takes no answer."""
    with FakeReceiver([201]) as receiver:
        answer = sent_raw(receiver.url, b"POST / HTTP/1.1\r\n" + rest)
        assert answer.split()[1] == status
        assert receiver.requests == []
        assert send(receiver.url).status == 201


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_methods(method: str) -> None:
    """Senders use other methods as well."""
    with FakeReceiver([Answer(200, b"body")]) as receiver:
        assert send(receiver.url, method=method).body == (b"" if method == "HEAD" else b"body")
        assert [request.method for request in receiver.requests] == [method]


def test_no_content() -> None:
    """204 has no length."""
    with FakeReceiver([204]) as receiver:
        assert "content-length" not in send(receiver.url).headers


def test_wait_for() -> None:
    """It returns as soon as enough have come, else says how many did."""
    with FakeReceiver() as receiver:
        timer = threading.Timer(0.05, send, [receiver.url])
        timer.start()
        assert len(receiver.wait_for(1)) == 1
        with pytest.raises(AssertionError, match=r"^1 of 3 requests have come in 0\.05 s$"):
            receiver.wait_for(3, timeout=0.05)
        timer.join()
        assert repr(receiver) == "<FakeReceiver with 1 requests>"


def test_url_before_it_runs() -> None:
    """There is none."""
    with pytest.raises(RuntimeError, match="use it as `with FakeReceiver"):
        assert FakeReceiver().url


@pytest.mark.parametrize(
    "answers",
    [[], "timeout", 200, ["later"], [99], [100], [600], [None], [[]], [Answer(42)]],
    ids=str,
)
def test_no_answer(answers: Any) -> None:
    """It is refused before anything is sent."""
    with pytest.raises(ConfigurationError, match="answer"):
        FakeReceiver(answers)


def test_answer() -> None:
    """Its repr shows what tells answers apart."""
    answer = Answer(200, json.dumps({}).encode(), delay=1.5)

    assert repr(answer) == "<Answer 200, 2 bytes, 1.5 s>"
