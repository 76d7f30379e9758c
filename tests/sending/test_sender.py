"""What a sender sends, and what it says of it."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import traceback
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from frappe_hooksig import (
    ConfigurationError,
    PayloadError,
    Secret,
    Verifier,
    __version__,
    providers,
)
from frappe_hooksig.sending import AddressGuard, Attempt, Sender
from frappe_hooksig.testing import Answer, FakeReceiver
from tests.sending.servers import LOOPBACK, OK, SECRET, once, request_of, sender, serving

REFUSAL = b'{"reason": "signature-mismatch", "message": "It does not\\u001b match"}'
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def answered(status: int, body: bytes = b"", headers: Any = None, **options: Any) -> Attempt:
    """Return the attempt that gets an answer."""
    with FakeReceiver([Answer(status, body, headers or {})]) as receiver, sender(**options) as each:
        return each.send(f"{receiver.url}hook/abcdefgh12345678?token=q", {})


def test_request() -> None:
    """The request is signed, whole, and says who sends it."""
    with FakeReceiver() as receiver, sender() as each:
        attempt = each.send(f"{receiver.url}a/b?c=d#e", {"name": "SO-1"}, id="msg_1")
        (request,) = receiver.requests
        host = receiver.url.split("/")[2]

    assert attempt.is_delivered
    assert (attempt.outcome, attempt.status, attempt.id) == ("delivered", 200, "msg_1")
    assert (request.method, request.path, request.body) == ("POST", "/a/b?c=d", b'{"name": "SO-1"}')
    headers = dict(request.headers)
    Verifier(SECRET).verify(request.body, headers)
    del headers["X-Frappe-Webhook-Signature"]
    assert headers == {
        "Host": host,
        "Content-Type": "application/json",
        "Content-Length": "16",
        "User-Agent": f"frappe-hooksig/{__version__}",
        "Accept-Encoding": "identity",
    }


def test_attempts_have_one_id() -> None:
    """Each attempt is signed anew, with the same id and the same bytes."""
    times = iter([1_700_000_000, 1_700_000_000])
    with FakeReceiver([500, 200]) as receiver:
        each = Sender(
            WHSEC, scheme=providers.SVIX, guard=LOOPBACK, clock=lambda: next(times, 1_800_000_000)
        )
        first = each.send(receiver.url, {"a": 1})
        second = each.send(receiver.url, {"a": 1}, id=first.id)
        one, two = receiver.requests

    assert first.id == second.id is not None
    assert one.header("svix-id") == two.header("svix-id") == first.id
    assert one.header("svix-timestamp") != two.header("svix-timestamp")
    assert one.body == two.body


def test_signed_url_and_method() -> None:
    """A URL is signed as it was registered; a method, where the scheme signs it."""
    with FakeReceiver() as receiver:
        url = f"{receiver.url}hook?a=b"
        with sender(scheme=providers.SQUARE) as each:
            assert each.send(f"{url}#fragment", b"{}").is_delivered
        with sender(scheme=providers.HUBSPOT_V3, method="PUT") as each:
            assert each.send(url, b"{}").is_delivered
        square, hubspot = receiver.requests

    Verifier(SECRET, scheme=providers.SQUARE, url=url).verify(square.body, square.headers)
    verifier = Verifier(SECRET, scheme=providers.HUBSPOT_V3, url=url)
    assert hubspot.method == "PUT"
    verifier.verify(hubspot.body, hubspot.headers, method="PUT")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        *((status, "delivered") for status in (200, 204, 299)),
        (410, "gone"),
        *((status, "refused") for status in (302, 304, 404, 429, 500)),
    ],
)
def test_outcome(status: int, outcome: str) -> None:
    """The status decides."""
    attempt = answered(status, b"" if status in {204, 304} else b"x")

    assert (attempt.outcome, attempt.status, attempt.reason) == (outcome, status, "")


def test_receivers_reason() -> None:
    """A receiver that answers like this package has its reason and message in the attempt."""
    attempt = answered(401, REFUSAL, {"Retry-After": "120"})

    assert (attempt.outcome, attempt.reason) == ("refused", "signature-mismatch")
    assert attempt.message == "It does not\\x1b match"
    assert attempt.answer == REFUSAL
    assert attempt.retry_after == 120
    assert "reason" not in repr(attempt.answer[:0])
    assert REFUSAL.decode() not in repr(attempt)


def test_redirect() -> None:
    """It is not followed: what it leads to was not judged, and the body might be dropped."""
    with FakeReceiver([Answer(307, b"", {"Location": "/other"}), 200]) as receiver:
        attempt = sender().send(receiver.url, {})
        assert len(receiver.requests) == 1

    assert (attempt.outcome, attempt.reason) == ("refused", "")
    assert attempt.message == "HTTP 307 is a redirect, which is not followed"


@pytest.mark.parametrize(
    "body",
    [
        b"Cannot POST /hook/abcdefgh12345678?token=q&b",
        b"<title>Not Found: abcdefgh12345678</title>",
        b'{"reason": "not-found", "message": "abcdefgh12345678"}',
        b'{"reason": "abcdefgh12345678", "message": "no"}',
    ],
)
def test_answer_of_a_stranger(body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """It is not quoted, and not in the log: pages about errors repeat the path."""
    with FakeReceiver([Answer(404, body)]) as receiver, sender() as each:
        attempt = each.send(f"{receiver.url}hook/abcdefgh12345678?token=q&b", {})

    assert attempt.reason == ""
    assert attempt.message == "the receiver answered HTTP 404"
    assert attempt.answer == body
    assert "abcdefgh12345678" not in caplog.text + repr(attempt)


@pytest.mark.parametrize("scheme", ["frappe", "square", "hubspot-v2", "hubspot-v3"])
@pytest.mark.parametrize(
    "url",
    [
        *("", "hook", "ftp://example.com/", "http://", None, 3, b"http://a"),
        *("http://127.0.0.1:1/\x00", "http://127.0.0.1:1/\ud800"),
    ],
)
def test_no_url(url: Any, scheme: str) -> None:
    """What is no URL is blocked, not raised: it may be a customer's."""
    each = sender(scheme=providers.get(scheme))
    attempt = each.send(url, {})

    with pytest.raises(PayloadError):
        each.send(url, object())  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="id="):
        each.send(url, {}, id="a b")
    assert (attempt.outcome, attempt.reason) == ("blocked", "bad-url")
    assert attempt.message
    assert attempt.address is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:{}/", "http://localhost:{}/"])
def test_address_is_not_allowed(url: str) -> None:
    """By default, nothing is connected to but the public internet."""
    with serving(once(OK)) as server:
        attempt = Sender(SECRET).send(url.format(server.port), {})

        assert server.connections == 0
    assert (attempt.outcome, attempt.reason) == ("blocked", "address-not-allowed")
    assert attempt.message.startswith("the host's address is not allowed: 127.0.0.1 is ")


def test_one_bad_address_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with a good and a bad address is not connected to at all."""
    with serving(once(OK)) as server:
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, server.port))
            for each in ("127.0.0.1", "127.0.0.2", "10.0.0.1")
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        guard = AddressGuard(["127.0.0.0/8"])
        attempt = Sender(SECRET, guard=guard).send("http://mixed.example/", {})

        assert server.connections == 0
    assert attempt.outcome == "blocked"
    assert "10.0.0.1" in attempt.message


def test_next_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody listens at the first address, the second one is tried."""
    with serving(once(OK)) as server:
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, server.port))
            for each in ("127.0.0.9", "127.0.0.1", "127.0.0.1")
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        attempt = sender().send(f"http://two.example:{server.port}/", {})

    assert attempt.is_delivered
    assert attempt.address == "127.0.0.1"


def test_nobody_there() -> None:
    """Each reason has its sentence."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    refused = sender().send(f"http://127.0.0.1:{port}/", {})
    nameless = sender().send("http://nobody.invalid/", {})

    assert (refused.outcome, refused.reason) == ("unreachable", "connection")
    assert refused.message == "no connection: Connection refused"
    assert (nameless.outcome, nameless.reason) == ("unreachable", "name-not-found")
    assert nameless.message == "no host has this name"


def test_environment_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment would connect to addresses that nobody judged."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert answered(200).is_delivered


def test_own_headers() -> None:
    """Headers of one's own are sent, and may replace the defaults."""
    own = {"Authorization": "Basic c2VjcmV0", "user-agent": "caf\xe9", "Content-Type": "text/x"}
    with FakeReceiver() as receiver:
        each = sender(headers=own)
        each.send(receiver.url, {})
        (request,) = receiver.requests

    assert request.header("Authorization") == "Basic c2VjcmV0"
    assert request.header("User-Agent") == "caf\xe9"
    assert [value for name, value in request.headers if name.lower() == "content-type"] == [
        "text/x"
    ]
    assert "c2VjcmV0" not in repr(each)


def test_headers_of_one_request() -> None:
    """They are sent once. They replace those of the sender with the same name, and the defaults."""
    with FakeReceiver() as receiver, sender(headers={"X-A": "1", "X-B": "1"}) as each:
        each.send(receiver.url, {}, headers={"x-b": " 2", "user-agent": "me", "Content-Type": "x"})
        each.send(receiver.url, {}, headers={})
        first, second = receiver.requests

    names = [name for name, _ in first.headers]
    assert len(names) == len({name.lower() for name in names})
    assert [first.header(name) for name in ("X-A", "X-B", "User-Agent", "Content-Type")] == [
        *("1", "2", "me", "x")
    ]
    assert [second.header(name) for name in ("X-B", "Content-Type")] == ["1", "application/json"]
    for request in (first, second):
        Verifier(SECRET).verify(request.body, request.headers)


HEADERS_THAT_CANNOT_BE_SENT = pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"x-frappe-webhook-signature": "SECRET"}, "x-frappe-webhook-signature"),
        ({"HOST": "SECRET"}, "HOST"),
        ({"Content-Length": "SECRET"}, "Content-Length"),
        ({"Transfer-Encoding": "SECRET"}, "Transfer-Encoding"),
        ({"Connection": "SECRET"}, "Connection"),
        ({"X-A": "1", "x-a": "2"}, "x-a"),
        ({"X-A": "SECRET\r\nX-B: c"}, "value of X-A"),
        ({"X-A": "SECRET\x00"}, "value of X-A"),
        ({"X-A": "SECRET€"}, "value of X-A"),
        ({"X-A": 3}, "value of X-A"),
        ({"X A": "SECRET"}, "an invalid header name"),
        ({"": "SECRET"}, "an invalid header name"),
        ({3: "SECRET"}, "an invalid header name"),
        (["SECRET"], "must be a dict, not a list"),
    ],
)


@HEADERS_THAT_CANNOT_BE_SENT
def test_headers_of_one_request_that_cannot_be_sent(headers: Any, named: str) -> None:
    """Nothing is sent, and no frame of ours has the headers, the payload or the URL."""
    with FakeReceiver() as receiver, sender() as each:
        with pytest.raises(ConfigurationError) as caught:
            each.send(f"{receiver.url}t0ken", {"order": "SO-00001"}, headers=headers)
        assert receiver.requests == []
    error = caught.value
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next  # without the frame of this test

    assert str(error).startswith("headers= ")
    assert named in str(error)
    assert [each for each in ("SECRET", "SO-00001", "t0ken") if each in shown_by(error)] == []


@HEADERS_THAT_CANNOT_BE_SENT
def test_headers_that_cannot_be_sent(headers: Any, named: str) -> None:
    """They are refused at the start, by their names."""
    with pytest.raises(ConfigurationError) as caught:
        Sender(SECRET, headers=headers)

    assert str(caught.value).startswith("headers= ")
    assert named in str(caught.value)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"method": "post"}, "method="),
        ({"method": "CONNECT"}, "method= must not be CONNECT"),
        ({"method": None}, "method="),
        ({"timeout": 0}, "timeout="),
        ({"timeout": float("nan")}, "timeout="),
        ({"timeout": 3601}, "timeout="),
        ({"timeout": None}, "timeout="),
        ({"timeout": True}, "timeout="),
        ({"ssl_context": "x"}, "ssl_context= must be an ssl.SSLContext, not a str"),
        (
            {"ssl_context": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)},
            r"ssl_context= is for servers: use ssl\.create_default_context\(\)",
        ),
        ({"clock": 5}, "clock="),
        ({"guard": None}, "guard="),
        ({"guard": ["127.0.0.1"]}, "guard="),
        ({"proxy": "proxy:3128"}, "proxy="),
        ({"proxy": "https://proxy:3128"}, "proxy="),
        ({"proxy": "http://proxy:3128/path"}, "proxy="),
        ({"proxy": "http://us\xe9r:pw@proxy:3128"}, "proxy="),
        ({"proxy": 3128}, "proxy="),
        ({"scheme": "frappe"}, "scheme"),
    ],
)
def test_options_that_cannot_be_used(options: Any, named: str) -> None:
    """They are refused at the start."""
    with pytest.raises(ConfigurationError, match=named):
        Sender(SECRET, **options)


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("signature_header", "Content-Length"),
        ("signature_header", "host"),
        ("id_header", "Transfer-Encoding"),
        ("timestamp_header", "Connection"),
        ("signature_header", "Expect"),
    ],
)
def test_scheme_whose_header_is_not_its_own(field: str, name: str) -> None:
    """A signature cannot be where the end of the request is told."""
    changes: dict[str, Any] = {"name": "mine", field: name}
    scheme = replace(providers.STANDARD_WEBHOOKS, **changes)

    with pytest.raises(ConfigurationError, match=f"scheme 'mine' has the header {name}, which"):
        Sender(WHSEC, scheme=scheme)


@pytest.mark.parametrize("name", ["User-agent", "Accept-encoding", "Content-type"])
def test_scheme_whose_header_is_a_default(name: str) -> None:
    """It takes the place of the default."""
    scheme = replace(providers.FRAPPE, signature_header=name)
    with FakeReceiver() as receiver, sender(scheme=scheme) as each:
        assert each.send(receiver.url, {}).is_delivered
        (request,) = receiver.requests

    assert [each[0] for each in request.headers if each[0].lower() == name.lower()] == [name]
    Verifier(SECRET, scheme=scheme).verify(request.body, request.headers)


def test_callers_mistakes() -> None:
    """A payload or an id that cannot be sent is raised, also if the URL is none."""
    each = sender()
    for url in ("http://127.0.0.1:1/hook?token=t0ken", "nothing"):
        with pytest.raises(PayloadError):
            each.send(url, object())  # type: ignore[arg-type]
        for wrong in ("", "a b", "é", "a" * 256, 3, b"a"):
            with pytest.raises(ConfigurationError, match=r"^id= must be") as caught:
                each.send(url, {"a": "SO-00001"}, id=wrong)  # type: ignore[arg-type]
            error = caught.value
            assert error.__traceback__ is not None
            error.__traceback__ = error.__traceback__.tb_next  # without the frame of this test
            assert "t0ken" not in shown_by(error)
            assert "SO-00001" not in shown_by(error)
    with pytest.raises(ConfigurationError, match="id="):
        Sender(WHSEC, scheme=providers.SVIX).send("http://127.0.0.1:1/", {}, id="a.b")


def test_id_without_a_header() -> None:
    """Where the scheme sends no id, an attempt has one all the same, for its own log."""
    assert re.fullmatch("msg_[0-9a-f]{32}", answered(200).id)


def shown_by(error: BaseException) -> str:
    """Return what an error reporter shows of an exception: all local variables."""
    found = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(found.format())


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"Authorization": "Basic cGFzc3dvcmQ=", "Host": "x"}},
        {"headers": {"Authorization": "Basic cGFzc3dvcmQ=", "X-A": "\n"}},
        {"proxy": "https://user:cGFzc3dvcmQ=@proxy"},
        {"proxy": "http://user:cGFzc3dvcmQ=@proxy", "timeout": -1},
        {"headers": {"Authorization": "Basic cGFzc3dvcmQ="}, "method": "post"},
        {"headers": {"Authorization": "Basic cGFzc3dvcmQ="}, "scheme": "none"},
    ],
)
def test_no_frame_shows_a_password(options: dict[str, Any]) -> None:
    """Error reporters show local variables: none of ours has a secret."""
    secret = Secret(SECRET)
    with pytest.raises(ConfigurationError) as caught:
        Sender(secret, **options)
    error = caught.value
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next  # without the frame of this test

    assert "cGFzc3dvcmQ=" not in shown_by(error)
    assert SECRET not in shown_by(error)


class Interrupt(BaseException):
    """Such as a timeout of gevent."""


def test_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt passes, closes the connection, and shows nothing of the request."""
    closed = threading.Event()

    def answer(connection: socket.socket) -> None:
        request_of(connection)
        with suppress(ConnectionResetError):
            assert not connection.recv(1)
        closed.set()

    def interrupt(*_: object) -> None:
        raise Interrupt

    with serving(answer) as server:
        each = sender(5, headers={"Authorization": "Basic cGFzc3dvcmQ="})
        monkeypatch.setattr("frappe_hooksig.sending._connection._head", interrupt)
        with pytest.raises(Interrupt) as caught:
            each.send(server.url, {"order": "SO-00001"})
        assert closed.wait(10)
    error = caught.value
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next

    shown = shown_by(error)
    for private in ("cGFzc3dvcmQ=", SECRET, "t0ken", "SO-00001", "/hook"):
        assert private not in shown, shown


def test_mistake_of_this_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ValueError that is no receiver's fault is not taken for one."""

    def fail(*_: object) -> None:
        raise ValueError

    with serving(once(OK)) as server, sender() as each:
        monkeypatch.setattr("frappe_hooksig.sending._exchange.decompressed", fail)
        with pytest.raises(ValueError, match=r"\A\Z"):
            each.send(server.url, {})


@pytest.mark.parametrize(
    "where",
    [
        "socket.socket.connect",
        "ssl.SSLContext.wrap_socket",
        "ssl.SSLSocket.do_handshake",
        "frappe_hooksig.sending._connection._ask",
    ],
)
def test_interrupted_while_connecting(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection is left open, which Python would warn of."""

    def interrupt(*_: object, **__: object) -> None:
        raise Interrupt

    with serving(once(OK)) as server:
        proxy = f"http://u:cGFzc3dvcmQ=@127.0.0.1:{server.port}" if where.endswith("ask") else None
        each = sender(5, proxy=proxy)
        monkeypatch.setattr(where, interrupt)
        with pytest.raises(Interrupt) as caught:
            each.send(f"https://localhost:{server.port}/t0ken", {})
    error = caught.value
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next
    assert "t0ken" not in shown_by(error)
    assert "cGFzc3dvcmQ=" not in shown_by(error)


def test_repr() -> None:
    """It shows the scheme."""
    assert repr(sender()) == "<Sender of frappe>"
    assert repr(Sender.__new__(Sender)) == "<Sender, refused>"
