"""`frappe-hooksig trigger`, against receivers on loopback: right, wrong and hostile ones."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest

from frappe_hooksig import Verifier, providers
from frappe_hooksig.cli._captured_request import split_request
from frappe_hooksig.testing import recorded_events
from tests.cli.command import ENVIRONMENT, REFUSED, SECRET, USAGE, VERIFIED, says
from tests.loopback import free_port
from tests.test_package import loaded_by

UNREACHABLE = 3
ACCEPTED = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FAILED = b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno"
IN_FLIGHT = b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n"
OUR_REFUSAL = (
    b"HTTP/1.1 401 No\r\nContent-Length: 64\r\n\r\n"
    b'{"reason": "signature-mismatch", "message": "It does not match"}'
)
INVALID = "the response is not valid HTTP"
CUT_OFF = "the connection was closed before the whole response"
HANDLED = "right. Look at what it did: it should have handled 2 deliveries"

trigger = partial(says, environment=ENVIRONMENT)


class Receiver:
    """A server that sends scripted responses, in their order, and keeps what came.

    Attributes:
        url: Where it is.
        requests: What came, byte for byte.
    """

    def __init__(self, listener: socket.socket, responses: Iterator[bytes]) -> None:
        self.requests: list[bytes] = []
        self._listener = listener
        self._responses = responses
        self._host, self._port = listener.getsockname()[:2]
        self.url = f"http://127.0.0.1:{self._port}/hook"

    def serve(self) -> None:
        """Answer until the listener is closed."""
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self.requests.append(whole_request(connection))
            for piece in next(self._responses).split(b"<pause>"):
                connection.sendall(piece)
                time.sleep(0.02)


def whole_request(connection: socket.socket) -> bytes:
    """Read a request to the end of its body."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += received(connection)
    head, _, body = request.partition(b"\r\n\r\n")
    [length] = [
        int(line[15:]) for line in head.lower().split(b"\r\n") if b"content-length:" in line
    ]
    while len(body) < length:
        body += received(connection)
    return head + b"\r\n\r\n" + body


def received(connection: socket.socket) -> bytes:
    """Return what comes next, which is something."""
    if more := connection.recv(65536):
        return more
    raise ConnectionResetError


def verified(request: bytes, verifier: Verifier) -> bytes:
    """Return the body of a request that is genuine."""
    _, headers, body = split_request(request)
    return verifier.verify(body, headers).body


@contextmanager
def receiver(*responses: bytes) -> Iterator[Receiver]:
    """Run a receiver. The last response is repeated."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        scripted = Receiver(listener, chain(responses, repeat(responses[-1])))
        threading.Thread(target=scripted.serve, daemon=True).start()
        yield scripted
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("event", recorded_events(providers.FRAPPE, version=13)[:4], ids=str)
def test_sent_as_recorded(event: Any) -> None:
    """What goes over the wire is what the site sent, but for the host and Accept-Encoding."""
    with receiver(ACCEPTED) as scripted:
        version = ["--frappe-version", "13", "--event", event.name]
        trigger(VERIFIED, "trigger", "frappe", "-e", "NEW", *version, scripted.url)

    [request] = scripted.requests
    host = scripted.url.split("/")[2]
    recorded = [pair for pair in event.signed(SECRET).headers if pair[0] != "Accept-Encoding"]
    length = ("Content-Length", str(len(event.body)))
    headers = [": ".join(pair) for pair in [("Host", host), *recorded, length]]
    head = "\r\n".join(["POST /hook HTTP/1.1", *headers, "", ""])
    assert request == head.encode() + event.body


def test_body(tmp_path: Path) -> None:
    """A body from a file or from standard input is signed and sent as it is."""
    body = b'{"a": "\xff"}\n'
    (tmp_path / "body").write_bytes(body)
    arguments = ["trigger", "github", "-e", "NEW", "-H", "X-GitHub-Event: push", "--method", "PUT"]
    with receiver(ACCEPTED) as scripted:
        one, _ = trigger(VERIFIED, *arguments, "--body", tmp_path / "body", scripted.url)
        two, _ = trigger(VERIFIED, *arguments, "--body", "-", scripted.url, body=body)

    assert one == two
    assert "X-GitHub-Event: ...\n" in one
    assert scripted.requests[0] == scripted.requests[1]
    assert scripted.requests[0].startswith(b"PUT /hook HTTP/1.1\r\n")
    assert b"\r\nX-GitHub-Event: push\r\n" in scripted.requests[0]
    assert verified(scripted.requests[0], Verifier(SECRET, scheme=providers.GITHUB)) == body


def test_header_replaces(tmp_path: Path) -> None:
    """A header of one's own replaces the event's; a header may be any bytes; no value is shown."""
    (tmp_path / "headers").write_bytes(b"user-agent: caf\xe9\nAuthorization: Basic c2VjcmV0\n")
    with receiver(ACCEPTED) as scripted:
        header = ["-H", f"@{tmp_path / 'headers'}"]
        out, _ = trigger(VERIFIED, "trigger", "frappe", "-e", "NEW", *header, scripted.url)

    [request] = scripted.requests
    assert b"\r\nuser-agent: caf\xe9\r\nAuthorization: Basic c2VjcmV0\r\n" in request
    assert b"User-Agent" not in request
    assert "user-agent: ...\nAuthorization: ...\n" in out


def test_headers_from_standard_input() -> None:
    """Standard input can be read only once: what came from there is sent, and not shown."""
    with receiver(ACCEPTED) as scripted:
        arguments = ["trigger", "frappe", "-e", "NEW", "-H", "@-", scripted.url]
        text, _ = trigger(VERIFIED, *arguments, body=b"Authorization: Basic c2VjcmV0\n")
        as_json, _ = trigger(VERIFIED, *arguments, "--json", body=b"X-Token: c2VjcmV0\n")

    assert b"\r\nAuthorization: Basic c2VjcmV0\r\n" in scripted.requests[0]
    assert b"\r\nX-Token: c2VjcmV0\r\n" in scripted.requests[1]
    assert "\nAuthorization: ...\n" in text
    assert json.loads(as_json)["attempts"][0]["headers"]["X-Token"] == "..."


def test_url_is_signed() -> None:
    """The signed URL is that of the receiver, or the one that is registered."""
    verifier = partial(Verifier, SECRET, scheme=providers.SQUARE)
    registered = "https://example.com/hook"
    [event] = recorded_events(providers.SQUARE, event="json")
    arguments = ["trigger", "square", "-e", "NEW", "--event", "json"]
    with receiver(ACCEPTED) as scripted:
        trigger(VERIFIED, *arguments, scripted.url)
        trigger(VERIFIED, *arguments, "--url", registered, scripted.url)

    for request, url in zip(scripted.requests, [scripted.url, registered], strict=True):
        assert verified(request, verifier(url=url)) == event.body


def test_secret_is_not_shown() -> None:
    """A sender that sends the secret itself does not make the command show it."""
    with receiver(ACCEPTED) as scripted:
        arguments = ["trigger", "gitlab", "-e", "NEW", "--body", "-", scripted.url]
        text, _ = trigger(VERIFIED, *arguments)
        as_json, _ = trigger(VERIFIED, *arguments, "--json")

    assert "X-Gitlab-Token: ...\n" in text
    assert SECRET not in text + as_json
    assert f"X-Gitlab-Token: {SECRET}\r\n".encode() in scripted.requests[0]


def test_password_and_query_are_not_shown() -> None:
    """A token in the query of the URL is sent, and not shown."""
    with receiver(ACCEPTED) as scripted:
        out, _ = trigger(VERIFIED, "trigger", "frappe", "-e", "NEW", f"{scripted.url}?token=q#part")

    assert scripted.requests[0].startswith(b"POST /hook?token=q HTTP/1.1\r\n")
    assert f"sent: POST {scripted.url}?... (saved" in out


def test_json() -> None:
    """For programs, one JSON object says what was sent and what came back."""
    with receiver(ACCEPTED, OUR_REFUSAL) as scripted:
        arguments = ["trigger", "frappe", "--json", "-e", "NEW", scripted.url]
        good, _ = trigger(VERIFIED, *arguments)
        bad, _ = trigger(REFUSED, *arguments)

    answer = json.loads(good)
    [attempt] = answer.pop("attempts")
    assert answer == {"right": True, "verdict": "right", "expected": "2xx", "hint": None}
    assert list(attempt["headers"])[-1] == "X-Frappe-Webhook-Signature"
    del attempt["headers"]
    assert attempt == {
        "event": "saved",
        "method": "POST",
        "bytes": len(recorded_events()[0].body),
        "status": 200,
        "reason": None,
        "message": "ok",
    }
    assert json.loads(bad)["right"] is False
    assert json.loads(bad)["verdict"] == "wrong"
    assert json.loads(bad)["hint"] is None
    assert json.loads(bad)["attempts"][0]["reason"] == "signature-mismatch"


@pytest.mark.parametrize(
    ("scenario", "responses", "verdict", "count"),
    [
        ("retry", [FAILED, FAILED, ACCEPTED], "right", 3),
        ("retry", [FAILED, FAILED, FAILED, ACCEPTED], "wrong", 3),
        ("retry", [ACCEPTED], "accepted at once: nothing was retried", 1),
        ("duplicate", [ACCEPTED, ACCEPTED, IN_FLIGHT, ACCEPTED, IN_FLIGHT], "wrong", 7),
        ("duplicate", [ACCEPTED, ACCEPTED, *[IN_FLIGHT] * 3, ACCEPTED], HANDLED, 7),
        ("duplicate", [ACCEPTED, ACCEPTED, *[IN_FLIGHT] * 4, ACCEPTED], "wrong", 7),
        ("duplicate", [ACCEPTED, FAILED, ACCEPTED], "wrong", 7),
        ("duplicate", [ACCEPTED, IN_FLIGHT, ACCEPTED], "wrong", 7),
        ("duplicate", [ACCEPTED, ACCEPTED, FAILED, ACCEPTED], "wrong", 7),
        ("out-of-order", [ACCEPTED, FAILED], "wrong", 3),
        ("slow", [FAILED], "wrong", 1),
    ],
)
def test_scenario(scenario: str, responses: list[bytes], verdict: str, count: int) -> None:
    """What a receiver answers decides whether it is right, and how often it is asked."""
    options = ["--scenario", scenario, "--seconds", "0.05", "-e", "NEW"]
    with receiver(*responses) as scripted:
        status = REFUSED if verdict == "wrong" else VERIFIED
        out, _ = trigger(status, "trigger", "frappe", *options, scripted.url)

    assert len(scripted.requests) == count
    assert out.count("sent: ") == count
    assert out.endswith(f"\n{verdict}\n")


@pytest.mark.parametrize(
    ("provider", "options", "secret"),
    [
        ("frappe", [], "NEW"),
        ("frappe", ["--event", "saved"], "NEW"),
        ("frappe", ["--body", "-"], "NEW"),
        ("github", ["--body", "-"], "NEW"),
        ("stripe", ["--body", "-"], "NEW"),
        ("svix", ["--event", "ping"], "WHSEC"),
        ("svix", ["--body", "-"], "WHSEC"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_duplicates_are_new(provider: str, options: list[str], secret: str) -> None:
    """Each run and each phase of `duplicate` has a delivery that no receiver has seen before."""
    arguments = ["trigger", provider, "-e", secret, "--scenario", "duplicate", *options]
    with receiver(ACCEPTED) as scripted:
        out, _ = trigger(VERIFIED, *arguments, scripted.url)
        trigger(VERIFIED, *arguments, scripted.url)

    verifier = Verifier(ENVIRONMENT[secret], scheme=providers.get(provider))
    seen = [split_request(request) for request in scripted.requests]
    keys = [verifier.verify(body, headers).dedup_key for _, headers, body in seen]
    phases = [{*keys[0:2]}, {*keys[2:7]}, {*keys[7:9]}, {*keys[9:]}]
    assert [len(phase) for phase in phases] == [1] * 4
    assert len(set[str]().union(*phases)) == 4
    assert out.endswith(f"\n{HANDLED}\n")


@pytest.mark.parametrize("body", [b"a=1", b"\xff", b"", b"[" * 100_000], ids=len)
def test_duplicates_that_may_be_old(body: bytes) -> None:
    """A body that is no JSON stays as it is, so a receiver may have seen it before."""
    options = ["-e", "NEW", "--scenario", "duplicate", "--body", "-"]
    with receiver(ACCEPTED) as scripted:
        out, _ = trigger(VERIFIED, "trigger", "github", *options, scripted.url, body=body)

    assert all(request.endswith(b"\r\n\r\n" + body) for request in scripted.requests)
    assert out.endswith("\nnot tested: the receiver may have seen it before\n")


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ("frappe", "expected: 2xx to one of three attempts: then Frappe gives up\n"),
        ("svix", "with Frappe's pauses: Svix (Clerk, Resend) may retry in another way, or not"),
    ],
)
def test_retry_names_the_sender(provider: str, expected: str) -> None:
    """Only of Frappe it is said that it gives up after three attempts."""
    options = ["-e", "WHSEC", "--scenario", "retry"]
    with receiver(ACCEPTED) as scripted:
        out, _ = trigger(VERIFIED, "trigger", provider, *options, scripted.url)

    assert expected in out


def test_retry_is_the_same() -> None:
    """Each attempt is the same, byte for byte, also where the scheme signs an id and a time."""
    options = ["--scenario", "retry", "--seconds", "0", "-e", "WHSEC"]
    with receiver(FAILED) as scripted:
        trigger(REFUSED, "trigger", "svix", *options, scripted.url)

    assert len(scripted.requests) == 3
    assert len({*scripted.requests}) == 1


def test_later_first() -> None:
    """The events come in the wrong order."""
    options = ["--scenario", "out-of-order", "-e", "NEW", "--event", "saved", "--event", "deleted"]
    with receiver(ACCEPTED) as scripted:
        trigger(VERIFIED, "trigger", "frappe", *options, scripted.url)

    bodies = [request.partition(b"\r\n\r\n")[2] for request in scripted.requests]
    [saved], [deleted] = (recorded_events(event=name) for name in ("saved", "deleted"))
    assert bodies == [deleted.body, saved.body]


def test_slow_and_empty() -> None:
    """There may be no body to send slowly."""
    options = ["--scenario", "slow", "--seconds", "0.05", "-e", "NEW", "--body", "-"]
    with receiver(ACCEPTED) as scripted:
        trigger(VERIFIED, "trigger", "frappe", *options, scripted.url, body=b"")

    assert scripted.requests[0].endswith(b"\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("scenario", ["once", "slow"])
def test_refused_before_the_body_was_read(scenario: str, tmp_path: Path) -> None:
    """A response that comes before the end of the body is shown."""
    (tmp_path / "body").write_bytes(bytes(10_000_000))

    def refuse(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(100)
            connection.sendall(b"HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 20):  # else the response is lost too
                pass

    with serving(refuse) as port:
        options = ["-e", "NEW", "--body", str(tmp_path / "body"), "--scenario", scenario]
        url = f"http://127.0.0.1:{port}/"
        out, _ = trigger(REFUSED, "trigger", "frappe", *options, "--seconds", "0.05", url)

    assert "received: 413\n" in out


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Run a function with a listening socket in a thread; return the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


def test_at_once() -> None:
    """Four requests of the scenario are on their way before any of them is answered."""

    def answer(listener: socket.socket) -> None:
        for count in (1, 1, 4, 1):
            connections = [listener.accept()[0] for _ in range(count)]
            for connection in connections:
                whole_request(connection)
            for connection in connections:
                connection.sendall(ACCEPTED)
                connection.close()

    with serving(answer) as port:
        options = ["-e", "NEW", "--scenario", "duplicate", f"http://127.0.0.1:{port}/"]
        trigger(VERIFIED, "trigger", "frappe", *options)


def test_slow_body() -> None:
    """The body comes in pieces: a part of it is there before the rest is sent."""
    came: list[bytes] = []

    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            body = b""
            while not body:
                came.append(connection.recv(65536))
                body = b"".join(came).partition(b"\r\n\r\n")[2]

    with serving(answer) as port:
        options = ["-e", "NEW", "--scenario", "slow", "--seconds", "3"]
        trigger(UNREACHABLE, "trigger", "frappe", *options, f"http://127.0.0.1:{port}/")

    [saved] = recorded_events(event="saved")
    body = b"".join(came).partition(b"\r\n\r\n")[2]
    assert saved.body.startswith(body)
    assert len(body) < len(saved.body)


def test_redirects_are_not_followed() -> None:
    """A redirect is not success: Frappe would follow it without the body."""
    with receiver(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n") as scripted:
        out, _ = trigger(REFUSED, "trigger", "frappe", "-e", "NEW", scripted.url)

    assert len(scripted.requests) == 1
    assert "received: 302\nexpected: 2xx\nwrong\n" in out


@pytest.mark.parametrize(
    ("response", "options", "count"),
    [
        (FAILED, [], 1),
        (IN_FLIGHT, ["--scenario", "duplicate"], 1),
        (FAILED, ["--body", "-"], 0),
        (OUR_REFUSAL, [], 0),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", [], 0),
    ],
    ids=["recorded", "scenario", "own body", "our refusal", "redirect"],
)
def test_hint(response: bytes, options: list[str], count: int) -> None:
    """A handler that refuses a recorded event may expect other content, which --body sends."""
    arguments = ["trigger", "frappe", "-e", "NEW", *options]
    with receiver(response) as scripted:
        text, _ = trigger(REFUSED, *arguments, scripted.url)
        as_json, _ = trigger(REFUSED, *arguments, "--json", scripted.url)

    hint = "the handler may expect other content: send what it expects with --body FILE"
    assert text.count(f"\n{hint}\nexpected: ") == count
    assert json.loads(as_json)["hint"] == [None, hint][count]


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"\x1b[31m\xff\r\n\x07", "\\x1b[31m\\ufffd\\r\\n\\x07\n"),
        (b"[" * 65536, "[[[[...\n"),
        (
            b'{"reason": "unknown-url", "message": "a\\nb\\u001b[2J"}',
            "unknown-url\na\\nb\\x1b[2J\n",
        ),
        (b'{"reason": 1, "message": []}', '{"reason": 1, "message": []}\n'),
        (b'{"reason": "' + b"r" * 9000 + b'", "message": ""}', "rrrr...\n"),
        (b'{"reason": "a", "message": "b"}', 'received: 200\n{"reason": "a", '),
        (b'{"reason": "unknown-url", "message": "' + b"m" * 9000 + b'"}', "mmmm...\n"),
        (b"x" * 1_000_000, "xxxx...\n"),
        (
            b"<!doctype html>\n<html><head><TITLE lang='en'>\n KeyError: &#39;a&#39;\x1b\n // App",
            "\nKeyError: 'a'\\x1b // App\n",
        ),
        (b"<html><title>" + b"t" * 9000, "tttt...\n"),
        (b"<html><title> </title>", "\n<html><title> </title>\n"),
        (b"<titles>none</titles>", "\n<titles>none</titles>\n"),
        (b"<title" * 10_000, "<t...\n"),
    ],
    ids=[
        *(
            "control",
            "nested",
            "ours, control",
            "ours, types",
            "not ours",
            "not ours, short",
            "ours, long",
        ),
        *("huge", "title", "long title", "empty title", "no title", "many titles"),
    ],
)
def test_hostile_body(body: bytes, shown: str) -> None:
    """A body controls no terminal, and is cut off."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    with receiver(head + body) as scripted:
        out, _ = trigger(VERIFIED, "trigger", "frappe", "-e", "NEW", scripted.url)

    assert shown in out
    assert out.replace("\n", "").isprintable()
    assert len(out) < 2000


@pytest.mark.parametrize(
    ("response", "problem"),
    [
        (b"", "the connection was closed before the whole response"),
        (b"\x00\xff\x1b[2J\r\n\r\n", INVALID),
        (b"HTTP/1.1 20x OK\r\n\r\n", INVALID),
        (b"HTTP/1.1 99999 OK\r\n\r\n", INVALID),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000 + b"\r\n", INVALID),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70000 + b"\r\n\r\n", INVALID),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", INVALID),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 70000, INVALID),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na", CUT_OFF),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", CUT_OFF),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 3, CUT_OFF),
    ],
    ids=[
        *("none", "bytes", "status", "high status", "headers", "header", "size", "long size"),
        *("chunk", "end of headers", "continue"),
    ],
)
def test_hostile_response(response: bytes, problem: str) -> None:
    """What is no HTTP is no response, and nothing of it is shown."""
    with receiver(response) as scripted:
        out, err = trigger(UNREACHABLE, "trigger", "frappe", "-e", "NEW", scripted.url)

    assert err == ""
    assert out.endswith(f"received: nothing\n{problem}\nexpected: 2xx\nno response\n")


@pytest.mark.parametrize(
    "response",
    [
        b"<pause>".join([b"HTTP/1.1 200 OK", *[b"\r\nA: b"] * 50]),
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + b"a<pause>" * 50,
        b"HTTP/1.1 100 Continue\r\n\r\n<pause>" * 50,
        b"<pause>" * 50,
    ],
    ids=["headers", "body", "continue", "silence"],
)
def test_endless_response(response: bytes) -> None:
    """A response that comes in drops does not extend the time limit."""
    with receiver(response) as scripted:
        options = ["-e", "NEW", "--timeout", "0.2"]
        out, _ = trigger(UNREACHABLE, "trigger", "frappe", *options, scripted.url)

    assert "received: nothing\nno whole response within 0.2 s\n" in out


def test_flood() -> None:
    """Of interim responses that never pause, only so many are read."""

    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            while True:
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)

    with serving(answer) as port:
        options = ["-e", "NEW", f"http://127.0.0.1:{port}/"]
        out, _ = trigger(UNREACHABLE, "trigger", "frappe", *options)

    assert f"received: nothing\n{INVALID}\n" in out


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (f"http://127.0.0.1:{free_port()}/", "no connection: Connection refused"),
        (f"https://127.0.0.1:{free_port()}/", "no connection: Connection refused"),
        ("http://no-such-host.invalid/", "no host has this name"),
    ],
    ids=["refused", "tls", "name"],
)
def test_unreachable(url: str, message: str) -> None:
    """Without a connection the status is 3, and the reason is said in words."""
    out, err = trigger(UNREACHABLE, "trigger", "frappe", "-e", "NEW", url)

    assert err == ""
    assert f"received: nothing\n{message}" in out
    assert out.endswith("\nno response\n")


def test_unreachable_in_a_scenario() -> None:
    """All attempts are made, as a sender makes them."""
    options = ["-e", "NEW", "--scenario", "retry", "--seconds", "0"]
    url = f"http://127.0.0.1:{free_port()}/"

    out, _ = trigger(UNREACHABLE, "trigger", "frappe", *options, url)
    assert out.count("Connection refused") == 3


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a new key and its certificate for 127.0.0.1."""
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *(
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=test",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
            ),
            *("-keyout", file, "-out", file.with_suffix(".crt")),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    file.write_text(file.read_text() + file.with_suffix(".crt").read_text())
    return file


@pytest.mark.parametrize(
    ("trusted", "status", "shown"),
    [
        ("certificate", VERIFIED, "received: 200\nok\n"),
        (os.devnull, UNREACHABLE, "received: nothing\nthe certificate is not trusted: self"),
    ],
    ids=["trusted", "not trusted"],
)
def test_tls(certificate: Path, trusted: str, status: int, shown: str) -> None:
    """A certificate has to be trusted; SSL_CERT_FILE names those that are."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def answer(listener: socket.socket) -> None:
        plain, _ = listener.accept()
        with suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
            whole_request(connection)
            connection.sendall(ACCEPTED)

    files = {"SSL_CERT_FILE": str(certificate if trusted == "certificate" else trusted)}
    with serving(answer) as port:
        out, _ = says(
            *(status, "trigger", "frappe", "-e", "NEW", f"https://127.0.0.1:{port}/"),
            environment=ENVIRONMENT | files,
        )

    assert shown in out


def test_no_tls() -> None:
    """A receiver without TLS is told from one that is not there."""

    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with serving(answer) as port:
        url = f"https://127.0.0.1:{port}/"
        out, _ = trigger(UNREACHABLE, "trigger", "frappe", "-e", "NEW", url)

    assert "the receiver does not speak TLS: is its URL http://...?\n" in out


def test_silent_tls() -> None:
    """A handshake has the time limit too."""
    with receiver(ACCEPTED) as scripted:
        url = scripted.url.replace("http", "https")
        options = ["-e", "NEW", "--timeout", "0.2"]
        out, _ = trigger(UNREACHABLE, "trigger", "frappe", *options, url)

    assert "no whole response within 0.2 s\n" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "missing: PROVIDER, URL: see frappe-hooksig trigger --help"),
        (["frappe"], "missing: URL: see frappe-hooksig trigger --help"),
        (["no-such", "http://127.0.0.1"], "PROVIDER: no provider has this name"),
        (["frappe", "127.0.0.1:80/hook"], "URL must be the receiver's whole URL"),
        (["frappe", "http://a b/"], "URL must be the receiver's whole URL"),
        (["frappe", "http:///path"], "URL has no valid host and port"),
        (["frappe", "http://127.0.0.1:99999/"], "URL has no valid host and port"),
        (["frappe", "http://[::1/"], "URL has no valid host and port"),
        (["frappe", "http://[::1%lo]:1/"], "URL has no valid host and port"),
        (["frappe", f"http://{'a' * 70}.example/"], "URL has no valid host and port"),
        (["frappe", "http://me:hidden@127.0.0.1/"], "URL contains a user or password"),
        (
            ["frappe", "http://127.0.0.1", "--event", "nope"],
            "no such event is recorded: there are saved",
        ),
        (["frappe", "http://127.0.0.1", "--event", "submited"], "did you mean 'submitted'?"),
        (["frappe", "http://127.0.0.1", "--frappe-version", "12"], "there are those of Frappe 13"),
        (["asana", "http://127.0.0.1", "-e", "NEW"], "no events of Asana are recorded: send a"),
        (["frappe", "http://127.0.0.1", "--body", "-", "--event", "saved"], "--body is instead of"),
        (["frappe", "http://127.0.0.1", "--body", "."], "--body: cannot read the file"),
        (["frappe", "http://127.0.0.1", "--method", "post"], "--method must be upper-case"),
        (["frappe", "http://127.0.0.1", "--timeout", "nan"], "--timeout and --seconds must be"),
        (["frappe", "http://127.0.0.1", "--seconds", "-1"], "--timeout and --seconds must be"),
        (
            ["frappe", "http://127.0.0.1", "--scenario", "x"],
            "--scenario must be one of once",
        ),
        (["frappe", "http://127.0.0.1", "-H", "Content-Length: 1"], "the command itself sends"),
        (["frappe", "http://127.0.0.1", "--body", "-", "-f", "-"], "read only once"),
        (["frappe", "http://127.0.0.1", "--body", "-", "-H", "@-"], "read only once"),
        (["frappe", "http://127.0.0.1", "--url", "https://a.example"], "does not sign the URL"),
        (["frappe", "http://127.0.0.1"], "FRAPPE_WEBHOOK_SECRET is not set"),
        (["github", "http://127.0.0.1"], "no secret: name an environment variable"),
        (
            ["frappe", "http://127.0.0.1", "--scenario", "out-of-order", "--event", "saved"],
            "this one sends two or more events",
        ),
        (
            ["frappe", "http://127.0.0.1", "--scenario", "slow", *["--event", "saved"] * 2],
            "this one sends at most 1 at a time",
        ),
        (["frappe", "http://127.0.0.1", "--list"], "--list sends nothing"),
        (
            ["--list", "asana"],
            "no events of Asana are recorded: send a body of your own with --body",
        ),
    ],
    ids=lambda value: " ".join(value)[-40:] if isinstance(value, list) else "",
)
def test_wrong_use(arguments: list[str], message: str) -> None:
    """Wrong use has status 2 and an explanation; nothing is sent, and no URL is repeated."""
    out, err = trigger(USAGE, "trigger", *arguments)

    assert out == ""
    assert message in err
    assert "hidden" not in err


def test_list() -> None:
    """The list has the usual events of a sender or of all; of one version of Frappe, all."""
    every, _ = trigger(VERIFIED, "trigger", "--list")
    frappe, _ = trigger(VERIFIED, "trigger", "frappe", "--list")
    of_13, _ = trigger(VERIFIED, "trigger", "--list", "frappe", "--frappe-version", "13")

    assert every.split()[: len(frappe.split())] == frappe.split()
    assert frappe.splitlines()[0].split() == ["PROVIDER", "EVENT", "FRAPPE", "WHAT", "IT", "IS"]
    assert "\nfrappe    document            16 15 14 13  form with all fields" in frappe
    assert "\npaddle " in every
    assert len(of_13.splitlines()) == 1 + len(recorded_events(providers.FRAPPE, version=13))


def test_list_as_json() -> None:
    """For programs, each event has its source."""
    out, _ = trigger(VERIFIED, "trigger", "--list", "svix", "--json")

    assert json.loads(out)[1] == {
        "provider": "svix",
        "event": "ping",
        "frappe": None,
        "description": "example of the vendor",
        "source": "docs.svix.com verifying-payloads/how-manual",
        "method": "POST",
        "bytes": 45,
    }


def test_loads_what_it_needs() -> None:
    """What the arguments do not need is not loaded for them."""
    code = "from frappe_hooksig.cli._commands import make_parser; make_parser(['trigger'])"
    unneeded = {"http.client", "ssl", "asyncio", "frappe_hooksig.testing", "concurrent.futures"}

    assert loaded_by(code) & unneeded == set()
