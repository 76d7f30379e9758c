"""The transports for httpx, with real servers: what is signed, and what a redirect carries."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import pickle
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest
from typing_extensions import Self

from frappe_hooksig import (
    ConfigurationError,
    PayloadError,
    Scheme,
    Secret,
    providers,
    verify_payload,
)
from frappe_hooksig.integrations.httpx import AsyncSignedTransport, SignedTransport
from frappe_hooksig.secret import SecretLike
from frappe_hooksig.testing import Answer, FakeReceiver
from tests.senders import SECRETS, secret_of
from tests.verifying import is_bare, verified

SCHEME = providers.STANDARD_WEBHOOKS
SECRET = SECRETS["whsec"]
KINDS = [SCHEME, providers.HUBSPOT_V3, providers.TEAMS, providers.GITLAB]
BODY = {"name": "SO-00001"}


def plain() -> httpx.HTTPTransport:
    """Return what sends, without the certificates, which take long to load."""
    return httpx.HTTPTransport(verify=False)


def plain_async() -> httpx.AsyncHTTPTransport:
    """Return what sends, for async clients."""
    return httpx.AsyncHTTPTransport(verify=False)


def signing(scheme: Scheme = SCHEME, **options: Any) -> SignedTransport:
    """Return a transport that signs with the secret of a scheme."""
    return SignedTransport(secret_of(scheme), scheme=scheme, transport=plain(), **options)


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A client that signs, and follows redirects."""
    with httpx.Client(transport=signing(), follow_redirects=True) as client:
        yield client


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    """A receiver that takes everything."""
    with FakeReceiver() as receiver:
        yield receiver


#: Sends a request by a client of its own, and follows redirects.
Send: TypeAlias = Callable[..., httpx.Response]


def directly(scheme: Scheme, method: str, url: str, **arguments: Any) -> httpx.Response:
    """Send by a client."""
    with httpx.Client(transport=signing(scheme), follow_redirects=True) as client:
        return client.request(method, url, **arguments)


def streaming(scheme: Scheme, method: str, url: str, **arguments: Any) -> httpx.Response:
    """Send by a client, and read the response piece by piece."""
    with (
        httpx.Client(transport=signing(scheme), follow_redirects=True) as client,
        client.stream(method, url, **arguments) as response,
    ):
        assert b"".join(response.iter_raw()) == b""
        return response


def in_a_loop(scheme: Scheme, method: str, url: str, **arguments: Any) -> httpx.Response:
    """Send by an async client."""

    async def send() -> httpx.Response:
        transport = AsyncSignedTransport(secret_of(scheme), scheme=scheme, transport=plain_async())
        async with httpx.AsyncClient(transport=transport, follow_redirects=True) as client:
            return await client.request(method, url, **arguments)

    return asyncio.run(send())


each_kind = pytest.mark.parametrize("scheme", KINDS, ids=lambda scheme: scheme.name)
# One way sends each kind, and the others one of them.
each_way = pytest.mark.parametrize(
    ("send", "scheme"),
    [(streaming, SCHEME), (in_a_loop, SCHEME), *((directly, scheme) for scheme in KINDS)],
    ids=["streaming", "async", *(scheme.name for scheme in KINDS)],
)


class TestRedirects:
    """httpx follows a redirect with a new request, which has the headers of the one before."""

    @each_way
    @pytest.mark.parametrize("status", [307, 308])
    def test_same_origin(self, send: Send, scheme: Scheme, status: int) -> None:
        """Method and body are kept, so it is signed anew, for its own URL, with the same id."""
        moved = Answer(status, headers={"Location": "/caf%c3%a9/[1]?a=%7e"})
        with FakeReceiver([moved, moved, 200]) as receiver:
            response = send(scheme, "POST", receiver.url + "old?b=c", json=BODY)
            received = receiver.requests
            deliveries = [verified(each, scheme, receiver.url) for each in received]

        assert response.status_code == 200
        assert [each.path.partition("/caf")[0] for each in received] == ["/old?b=c", "", ""]
        assert [each.json() for each in deliveries] == [BODY] * 3
        assert len({each.id for each in deliveries}) == 1

    @each_way
    @pytest.mark.parametrize("status", [301, 302, 303])
    def test_lost_body(self, send: Send, scheme: Scheme, status: int) -> None:
        """It becomes a GET without a body, so it is not signed."""
        with FakeReceiver([Answer(status, headers={"Location": "/new"}), 200]) as receiver:
            send(scheme, "POST", receiver.url, json=BODY)
            _, second = receiver.requests

        assert (second.method, second.body) == ("GET", b"")
        assert is_bare(second, scheme)

    @each_way
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_other_origin(
        self, receiver: FakeReceiver, send: Send, scheme: Scheme, status: int
    ) -> None:
        """Nobody else gets a signature."""
        with FakeReceiver([Answer(status, headers={"Location": receiver.url})]) as moved:
            send(scheme, "POST", moved.url, json=BODY)

        (stranger,) = receiver.requests
        assert is_bare(stranger, scheme)

    @each_way
    def test_there_and_back(self, send: Send, scheme: Scheme) -> None:
        """A stranger that redirects to the receiver, or to itself, gets nothing signed."""
        back = Answer(307)
        again = Answer(307, headers={"Location": "/again"})
        with (
            FakeReceiver([again, back]) as stranger,
            FakeReceiver([Answer(307, headers={"Location": stranger.url}), 200]) as receiver,
        ):
            back.headers["Location"] = receiver.url + "back"
            send(scheme, "POST", receiver.url, json=BODY)
            first, *others = receiver.requests + stranger.requests

            assert verified(first, scheme, receiver.url)
        assert [each.path for each in others] == ["/back", "/", "/again"]
        assert all(is_bare(each, scheme) for each in others)

    @pytest.mark.parametrize(
        "location",
        [
            "http://localhost:{0}/",
            "http://127.0.0.1:{0}@127.0.0.1:{1}/",
            "//127.0.0.1:{1}/",
            "http://127.0.0.1:{1}/#@127.0.0.1:{0}/",
        ],
    )
    def test_look_alikes(self, client: httpx.Client, location: str) -> None:
        """Another name of the same host is another origin, and so is what looks like the same."""
        moved = Answer(307)
        with FakeReceiver() as other, FakeReceiver([moved, 200]) as receiver:
            ports = [url.rpartition(":")[2].strip("/") for url in (receiver.url, other.url)]
            moved.headers["Location"] = location.format(*ports)
            client.post(receiver.url, json=BODY)
            (second,) = receiver.requests[1:] + other.requests

        assert is_bare(second, SCHEME)

    def test_two_transports(self, receiver: FakeReceiver) -> None:
        """A redirect through another transport has no signature, and that one does not sign it."""
        with FakeReceiver([Answer(307, headers={"Location": receiver.url})] * 3) as moved:
            for other in (plain(), signing(providers.GITHUB)):
                mounts = {moved.url.rstrip("/"): signing(), "all://": other}
                with httpx.Client(mounts=mounts, follow_redirects=True) as client:
                    client.post(moved.url, json=BODY)
                assert receiver.requests[-1].json() == BODY
                names = {name.lower() for name, _ in receiver.requests[-1].headers}
                assert names.isdisjoint({"webhook-signature", "x-hub-signature-256"})
            assert all(verified(each, SCHEME, moved.url) for each in moved.requests)

    @pytest.mark.parametrize("method", ["PUT", "DELETE"])
    def test_kept_by_httpx(self, client: httpx.Client, method: str) -> None:
        """After a 301, httpx sends other methods than POST with their body, so they are signed."""
        with FakeReceiver([Answer(301, headers={"Location": "/new"}), 200]) as receiver:
            client.request(method, receiver.url, json=BODY)
            _, second = receiver.requests

            assert verified(second, SCHEME, receiver.url).json() == BODY

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_nothing_is_lost(self, client: httpx.Client, status: int) -> None:
        """Where there was no body, and GET stays GET, the next request is signed too."""
        with FakeReceiver([Answer(status, headers={"Location": "/new"}), 200]) as receiver:
            client.get(receiver.url)
            _, second = receiver.requests

            assert verified(second, SCHEME, receiver.url).body == b""

    def test_not_followed(self, client: httpx.Client, receiver: FakeReceiver) -> None:
        """`Response.next_request` is what would be sent."""
        moved = Answer(307, headers={"Location": receiver.url})
        with FakeReceiver([moved, Answer(308, headers={"Location": "/new"}), 200]) as first:
            to_other, to_same = (
                client.post(first.url, json=BODY, follow_redirects=False).next_request
                for _ in range(2)
            )
            assert to_other is not None
            assert to_same is not None
            client.send(to_other)
            client.send(to_same)
            assert verified(first.requests[2], SCHEME, first.url)

        assert is_bare(receiver.requests[0], SCHEME)


async def pieces() -> AsyncIterator[bytes]:
    """Yield a body whose length nobody knows."""
    yield b"a"


class Reader:
    """A file that has no length."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self.content

    def read(self, size: int = -1) -> bytes:
        """Return a part of it."""
        content, self.content = self.content[:size], self.content[size:]
        return content


#: What makes a body, and the body.
BODIES: dict[str, tuple[Callable[[], dict[str, Any]], bytes]] = {
    "nothing": (dict, b""),
    "no bytes": (lambda: {"content": b""}, b""),
    "text": (lambda: {"content": "é\U0001f600"}, "é\U0001f600".encode()),
    "latin-1": (lambda: {"content": "é".encode("latin-1")}, b"\xe9"),
    "form": (lambda: {"data": {"a": ["é", "b"]}}, b"a=%C3%A9&a=b"),
    "json": (lambda: {"json": {"a": "é"}}, '{"a":"é"}'.encode()),
    "pieces of a known length": (
        lambda: {"content": [b"a", b"b"], "headers": {"Content-Length": "2"}},
        b"ab",
    ),
}


class TestBodies:
    """Whatever makes the body, it is signed as it is sent, or refused."""

    @pytest.mark.parametrize("kind", BODIES)
    def test_kinds(self, client: httpx.Client, receiver: FakeReceiver, kind: str) -> None:
        """Each has a length, as nothing is sent in pieces."""
        make, body = BODIES[kind]
        for method in ("POST", "PUT", "DELETE", "GET"):
            arguments = make()
            if kind == "json":  # another release of httpx writes spaces
                body = httpx.Request("POST", receiver.url, **arguments).read()
            client.request(method, receiver.url, **arguments)
            received = receiver.requests[-1]

            assert verified(received, SCHEME, receiver.url).body == body
            assert received.method == method
            assert received.header("Transfer-Encoding") is None
            assert int(received.header("Content-Length") or 0) == len(body)

    def test_files(self, client: httpx.Client, receiver: FakeReceiver, tmp_path: Path) -> None:
        """A file is sent as httpx sends it: all of it, or from where it stands."""
        (tmp_path / "a").write_bytes(b"0123\xff")
        with (tmp_path / "a").open("rb") as file:
            client.post(receiver.url, content=file)
        with (tmp_path / "a").open("rb") as file:
            client.post(receiver.url, files={"f": file}, data={"a": "b"})
        client.post(receiver.url, content=io.BytesIO(b"ab"))
        first, second, third = receiver.requests

        assert verified(first, SCHEME, receiver.url).body == b"0123\xff"
        assert b"\r\n\r\n0123\xff\r\n--" in verified(second, SCHEME, receiver.url).body
        assert verified(third, SCHEME, receiver.url).body == b"ab"

    def test_pipe(self, client: httpx.Client, receiver: FakeReceiver) -> None:
        """A pipe, whose length httpx takes for 0, is read to its end."""
        readable, writable = os.pipe()
        os.write(writable, b"abc")
        os.close(writable)
        with open(readable, "rb") as pipe:  # noqa: PTH123
            client.post(receiver.url, content=pipe)

        assert verified(receiver.requests[0], SCHEME, receiver.url).body == b"abc"

    def test_file_that_grows(self, client: httpx.Client, receiver: FakeReceiver) -> None:
        """What was read is what is signed and sent, whatever its length was before."""
        file = io.BytesIO(b"ab")
        request = client.build_request("POST", receiver.url, content=file)
        file.write(b"abcd")
        file.seek(0)
        client.send(request)

        assert verified(receiver.requests[0], SCHEME, receiver.url).body == b"abcd"

    @pytest.mark.parametrize(
        "arguments",
        [
            {"content": (each for each in [b"a"])},
            {"content": [b"a"]},
            {"content": Reader(b"a")},
            {"files": {"f": Reader(b"a")}},
        ],
        ids=["generator", "list", "file", "multipart"],
    )
    def test_no_whole_body(
        self, client: httpx.Client, receiver: FakeReceiver, arguments: dict[str, Any]
    ) -> None:
        """What can only be sent in pieces is refused before anything is sent."""
        with pytest.raises(ConfigurationError, match=r"^content= is a generator, .*Pass bytes"):
            client.post(receiver.url, **arguments)

        assert receiver.requests == []

    def test_no_whole_body_in_a_loop(self, receiver: FakeReceiver) -> None:
        """An async generator is refused too."""
        with pytest.raises(ConfigurationError, match=r"^content= is a generator"):
            in_a_loop(SCHEME, "POST", receiver.url, content=pieces())

        assert receiver.requests == []

    def test_bare_hash(self) -> None:
        """What a scheme cannot sign is refused."""
        with pytest.raises(PayloadError, match="signs only UTF-8"):
            directly(providers.HUBSPOT_V1, "POST", "http://127.0.0.1:1/", content=b"\xff")

    def test_content_type(self, client: httpx.Client, receiver: FakeReceiver) -> None:
        """It is what httpx makes of it, or what the caller says."""
        kinds: list[dict[str, Any]] = [
            {"json": BODY},
            {"data": {"a": "b"}},
            {"content": b"{}"},
            {"content": b"{}", "headers": {"content-type": "text/x"}},
            {"files": {"a": b"b"}},
        ]
        for arguments in kinds:
            client.post(receiver.url, **arguments)

        *others, multipart = [each.header("Content-Type") for each in receiver.requests]
        assert others == ["application/json", "application/x-www-form-urlencoded", None, "text/x"]
        assert (multipart or "").startswith("multipart/form-data; boundary=")

    def test_compressed(self, receiver: FakeReceiver) -> None:
        """A scheme that signs before it compresses signs what is in the body."""
        body, headers = gzip.compress(b"{}"), {"Content-Encoding": "gzip"}
        directly(providers.GETSTREAM, "POST", receiver.url, content=body, headers=headers)
        (received,) = receiver.requests

        assert received.body == body
        assert verified(received, providers.GETSTREAM, receiver.url).body == b"{}"

    def test_request_of_a_stream(self, client: httpx.Client, receiver: FakeReceiver) -> None:
        """A request that was made without a Host and a length gets both."""
        stream = httpx.ByteStream(b"ab")
        client.send(httpx.Request("POST", receiver.url, stream=stream))
        (received,) = receiver.requests

        assert verified(received, SCHEME, receiver.url).body == b"ab"
        assert f"http://{received.header('Host')}/" == receiver.url


class TestIds:
    """Which id is signed, if the scheme signs one."""

    def test_new(self, client: httpx.Client, receiver: FakeReceiver) -> None:
        """Each request has an id of its own, which the response shows."""
        shown = [client.post(receiver.url).request.headers["webhook-id"] for _ in range(2)]

        assert [verified(each, SCHEME, receiver.url).id for each in receiver.requests] == shown
        assert len(set(shown)) == 2

    def test_given(self, client: httpx.Client, receiver: FakeReceiver) -> None:
        """The id of the header is signed, so that another attempt has it too."""
        client.post(receiver.url, headers={"WEBHOOK-ID": "msg_1"})
        (received,) = receiver.requests

        assert verified(received, SCHEME, receiver.url).id == "msg_1"
        assert [name.lower() for name, _ in received.headers].count("webhook-id") == 1

    @pytest.mark.parametrize(
        "given",
        [
            [("webhook-id", "a.b")],
            [("webhook-id", "")],
            [(b"webhook-id", "é".encode())],
            [("webhook-id", "a"), ("webhook-id", "b")],
        ],
        ids=["dot", "empty", "not ASCII", "two"],
    )
    def test_unusable(self, client: httpx.Client, given: Any) -> None:
        """The error names the header."""
        with pytest.raises(ConfigurationError, match=r"^the header webhook-id of the request"):
            client.post("http://127.0.0.1:1/", headers=given)

    def test_sent_again(self) -> None:
        """The same request has the same id in each attempt, and a time of its own."""
        now = [1_700_000_000]
        transport = signing(clock=lambda: now[0])
        with FakeReceiver([500, 200]) as receiver, httpx.Client(transport=transport) as client:
            request = client.build_request("POST", receiver.url, json=BODY)
            for _ in range(2):
                client.send(request)
                now[0] += 60
            first, second = receiver.requests

        assert first.header("webhook-id") == second.header("webhook-id")
        times = [each.header("webhook-timestamp") for each in (first, second)]
        assert times == ["1700000000", "1700000060"]

    def test_after_a_failure(self, client: httpx.Client) -> None:
        """The error shows the id of a request that came nowhere."""
        with pytest.raises(httpx.ConnectError) as caught:
            client.post("http://127.0.0.1:1/", json=BODY)

        assert caught.value.request.headers["webhook-id"].startswith("msg_")

    def test_headers_of_before(self, receiver: FakeReceiver) -> None:
        """What stands in the other headers of the scheme is replaced."""
        scheme = Scheme(
            name="two", signature_header=("X-New", "X-Old"), encoding="hex", digest="sha1"
        )
        directly(scheme, "POST", receiver.url, headers={"x-old": "a", "x-new": "b"})
        (received,) = receiver.requests

        assert received.header("X-Old") is None
        assert len(received.header("X-New") or "") == 40


class TestUrls:
    """The URL that is signed, if the scheme signs it: the one that the receiver sees."""

    @pytest.mark.parametrize(
        ("path", "arguments"),
        [
            ("", {}),
            ("a?b=c#d", {}),
            ("a", {"params": {"e": "f g"}}),
            ("é/%7e/%c3%a9/[1]?a=ü", {}),
            ("a/../b/;c?", {}),
        ],
        ids=["root", "fragment", "params", "escapes", "dots"],
    )
    def test_path(self, receiver: FakeReceiver, path: str, arguments: dict[str, Any]) -> None:
        """The path and the query are as they are sent, whatever was passed."""
        directly(providers.HUBSPOT_V3, "POST", receiver.url + path, **arguments)
        (received,) = receiver.requests

        assert verified(received, providers.HUBSPOT_V3, receiver.url)

    @pytest.mark.parametrize(
        ("url", "headers", "signed"),
        [
            ("http://EXAMPLE.com", {}, "http://example.com/"),
            ("http://example.com:80/a", {}, "http://example.com/a"),
            ("https://example.com:443/a", {}, "https://example.com/a"),
            ("http://example.com:443/a", {}, "http://example.com:443/a"),
            ("https://user:password@example.com/a", {}, "https://example.com/a"),
            ("http://[::1]:80/", {}, "http://[::1]/"),
            ("http://bücher.example/", {}, "http://xn--bcher-kva.example/"),
            ("http://10.0.0.1/a", {"Host": "example.com"}, "http://example.com/a"),
        ],
    )
    def test_authority(self, url: str, headers: dict[str, str], signed: str) -> None:
        """Host and port are those of the Host header."""
        seen: list[httpx.Request] = []

        def answer(request: httpx.Request) -> httpx.Response:
            seen.append(request)
            return httpx.Response(200)

        scheme = providers.HUBSPOT_V3
        inner = httpx.MockTransport(answer)
        transport = SignedTransport(secret_of(scheme), scheme=scheme, transport=inner)
        with httpx.Client(transport=transport) as client:
            client.post(url, headers=headers, json=BODY)

        assert verify_payload(
            seen[0].content,
            seen[0].headers,
            secret_of(scheme),
            scheme=scheme,
            method="POST",
            url=signed,
        )


class TestTransports:
    """A transport that signs stands between a client and another transport."""

    def test_default(self, receiver: FakeReceiver) -> None:
        """Without another one, it sends as httpx does."""
        with httpx.Client(transport=SignedTransport(SECRET, scheme=SCHEME)) as client:
            client.post(receiver.url)

        assert verified(receiver.requests[0], SCHEME, receiver.url)

    def test_default_async(self, receiver: FakeReceiver) -> None:
        """So does the one for async clients."""

        async def send() -> None:
            transport = AsyncSignedTransport(SECRET, scheme=SCHEME)
            client = httpx.AsyncClient(transport=transport)
            await client.post(receiver.url)
            await client.aclose()

        asyncio.run(send())
        assert verified(receiver.requests[0], SCHEME, receiver.url)

    def test_closed(self) -> None:
        """Entering and closing it enters and closes the other one, once each."""
        calls: list[str] = []

        class Inner(httpx.BaseTransport, httpx.AsyncBaseTransport):
            def __enter__(self) -> Self:
                calls.append("enter")
                return self

            def close(self) -> None:
                calls.append("close")

            async def __aenter__(self) -> Self:
                calls.append("aenter")
                return self

            async def aclose(self) -> None:
                calls.append("aclose")

        async def use() -> None:
            async with AsyncSignedTransport(SECRET, scheme=SCHEME, transport=Inner()) as one:
                assert isinstance(one, AsyncSignedTransport)
            await AsyncSignedTransport(SECRET, scheme=SCHEME, transport=Inner()).aclose()

        with SignedTransport(SECRET, scheme=SCHEME, transport=Inner()) as one:
            assert isinstance(one, SignedTransport)
        SignedTransport(SECRET, scheme=SCHEME, transport=Inner()).close()
        asyncio.run(use())

        assert calls == ["enter", "close", "close", "aenter", "aclose", "aclose"]

    @pytest.mark.parametrize("transport", ["http://127.0.0.1", httpx.Client, object()])
    def test_no_transport(self, transport: Any) -> None:
        """Anything else is refused, by the name of its type."""
        with pytest.raises(ConfigurationError, match=r"transport= must be an httpx.BaseTransport"):
            SignedTransport(SECRET, scheme=SCHEME, transport=transport)
        with pytest.raises(ConfigurationError, match=r"must be an httpx.AsyncBaseTransport, not a"):
            AsyncSignedTransport(SECRET, scheme=SCHEME, transport=transport)

    def test_event_hooks(self) -> None:
        """Hooks see each request before it is signed, and no signature behind it."""
        seen: list[httpx.Headers] = []

        def before(request: httpx.Request) -> None:
            request.headers["webhook-id"] = "msg_of_a_hook"

        def after(response: httpx.Response) -> None:
            seen.append(response.request.headers)

        hooks: dict[str, list[Callable[..., Any]]] = {"request": [before], "response": [after]}
        with (
            FakeReceiver([Answer(307, headers={"Location": "/new"}), 200]) as moved,
            httpx.Client(transport=signing(), follow_redirects=True, event_hooks=hooks) as client,
        ):
            client.post(moved.url, json=BODY)
            ids = {verified(each, SCHEME, moved.url).id for each in moved.requests}

        assert ids == {"msg_of_a_hook"}
        assert [headers.get("webhook-signature") for headers in seen] == [None, None]

    def test_auth_flow(self, receiver: FakeReceiver) -> None:
        """A request that an auth sends again is signed again."""

        class Twice(httpx.Auth):
            def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
                yield request
                request.headers["Authorization"] = "Bearer a"
                yield request

        with httpx.Client(transport=signing(), auth=Twice()) as client:
            client.post(receiver.url, json=BODY)
        first, second = receiver.requests

        assert second.header("Authorization") == "Bearer a"
        assert verified(first, SCHEME, receiver.url).id == verified(second, SCHEME, receiver.url).id

    def test_rotation(self, receiver: FakeReceiver) -> None:
        """All secrets sign that the headers have room for."""
        several: list[SecretLike] = [
            Secret(SECRET, id="new"),
            "whsec_" + "NfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ]
        transport = SignedTransport(several, scheme=SCHEME, transport=plain())
        with httpx.Client(transport=transport) as client:
            client.post(receiver.url)
        (received,) = receiver.requests

        for secret in several:
            assert verify_payload(received.body, received.headers, secret, scheme=SCHEME)

    def test_secret_that_is_not_valid(self, receiver: FakeReceiver) -> None:
        """Nothing is sent that nothing has signed."""
        secret = Secret(SECRET, not_after=1)
        transport = SignedTransport(secret, scheme=SCHEME, transport=plain())
        with (
            httpx.Client(transport=transport) as client,
            pytest.raises(ConfigurationError, match="no secret is valid now"),
        ):
            client.post(receiver.url)

        assert receiver.requests == []

    def test_threads(self, client: httpx.Client) -> None:
        """One transport signs for many threads at once."""
        barrier = threading.Barrier(8)
        with FakeReceiver() as receiver, ThreadPoolExecutor(8) as pool:

            def send(number: int) -> None:
                barrier.wait()
                for each in range(5):
                    client.post(receiver.url, json=[number, each], timeout=30)

            list(pool.map(send, range(8)))
            deliveries = [verified(each, SCHEME, receiver.url) for each in receiver.requests]

        found = sorted(each.json() for each in deliveries)
        assert found == [[number, each] for number in range(8) for each in range(5)]
        assert len({each.id for each in deliveries}) == 40

    def test_tasks(self) -> None:
        """So does the one for async clients, for many tasks."""

        async def send(url: str) -> None:
            transport = AsyncSignedTransport(SECRET, scheme=SCHEME, transport=plain_async())
            async with httpx.AsyncClient(transport=transport, timeout=30) as client:
                await asyncio.gather(*(client.post(url, json=[each]) for each in range(20)))

        with FakeReceiver() as receiver:
            asyncio.run(send(receiver.url))
            deliveries = [verified(each, SCHEME, receiver.url) for each in receiver.requests]

        assert sorted(each.json() for each in deliveries) == [[each] for each in range(20)]

    @each_kind
    def test_pickled_request(self, scheme: Scheme) -> None:
        """What the client keeps of a request can go to another process, without a signature."""
        with (
            FakeReceiver() as receiver,
            httpx.Client(transport=signing(scheme)) as client,
        ):
            response = client.post(receiver.url, json=BODY)
        pickled = pickle.dumps(response)

        assert secret_of(scheme).encode() not in pickled
        assert set(scheme.signature_headers).isdisjoint(pickle.loads(pickled).request.headers)

    @pytest.mark.parametrize("kind", [SignedTransport, AsyncSignedTransport])
    def test_not_pickled(self, kind: Any) -> None:
        """A transport would take the secret with it."""
        made = kind(SECRET, scheme=SCHEME, transport=httpx.MockTransport(lambda _: None))  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="cannot be pickled: it contains a secret"):
            pickle.dumps(made)
