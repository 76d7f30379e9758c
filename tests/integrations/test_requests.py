"""`SignedAuth`, with real servers: what is signed, and what a redirect carries."""

from __future__ import annotations

import copy
import gzip
import io
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from frappe_hooksig import (
    ConfigurationError,
    PayloadError,
    Scheme,
    Secret,
    providers,
    verify_payload,
)
from frappe_hooksig.integrations.requests import SignedAuth, _have_one_origin
from frappe_hooksig.secret import SecretLike
from frappe_hooksig.testing import Answer, FakeReceiver
from tests.senders import SECRETS, secret_of
from tests.verifying import is_bare, verified

SCHEME = providers.STANDARD_WEBHOOKS
SECRET = SECRETS["whsec"]
# One that signs an id and a time, one that signs the method and the URL, one that stands where
# credentials stand, and one that sends the secret itself.
KINDS = [SCHEME, providers.HUBSPOT_V3, providers.TEAMS, providers.GITLAB]
BODY = {"name": "SO-00001"}


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A session that signs."""
    with requests.Session() as session:
        session.auth = SignedAuth(SECRET, scheme=SCHEME)
        yield session


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    """A receiver that takes everything."""
    with FakeReceiver() as receiver:
        yield receiver


def through_session(url: str, auth: SignedAuth, **arguments: Any) -> requests.Response:
    """Send with a session that signs everything."""
    with requests.Session() as session:
        session.auth = auth
        return session.post(url, json=BODY, timeout=5, **arguments)


def through_request(url: str, auth: SignedAuth, **arguments: Any) -> requests.Response:
    """Send one request that is signed."""
    return requests.post(url, json=BODY, auth=auth, timeout=5, **arguments)


each_kind = pytest.mark.parametrize("scheme", KINDS, ids=lambda scheme: scheme.name)
# The session signs for each kind, and a single request for one of them.
each_way = pytest.mark.parametrize(
    ("post", "scheme"),
    [(through_request, SCHEME), *((through_session, scheme) for scheme in KINDS)],
    ids=["request", *(scheme.name for scheme in KINDS)],
)
Post = Callable[..., requests.Response]


class TestRedirects:
    """requests follows a redirect with a copy of the request, and calls no auth for it."""

    @each_way
    @pytest.mark.parametrize("status", [307, 308])
    def test_same_origin(self, post: Post, scheme: Scheme, status: int) -> None:
        """Method and body are kept, so it is signed anew, for its own URL, with the same id."""
        moved = Answer(status, headers={"Location": "/caf%c3%a9/[1]?a=%7e"})
        with FakeReceiver([moved, moved, 200]) as receiver:
            response = post(receiver.url + "old?b=c", SignedAuth(secret_of(scheme), scheme=scheme))
            received = receiver.requests
            deliveries = [verified(each, scheme, receiver.url) for each in received]

        assert [each.path for each in received] == ["/old?b=c", *["/caf%C3%A9/%5B1%5D?a=~"] * 2]
        assert [each.json() for each in deliveries] == [BODY] * 3
        assert len({each.id for each in deliveries}) == 1
        sent = [each.request for each in (*response.history, response)]
        name = scheme.signature_headers[0]
        assert [each.headers[name] for each in sent] == [each.header(name) for each in received]

    @each_way
    @pytest.mark.parametrize("status", [301, 302, 303])
    def test_lost_body(self, post: Post, scheme: Scheme, status: int) -> None:
        """It becomes a GET without a body, so it is not signed."""
        with FakeReceiver([Answer(status, headers={"Location": "/new"}), 200]) as receiver:
            post(receiver.url, SignedAuth(secret_of(scheme), scheme=scheme))
            _, second = receiver.requests

        assert (second.method, second.body) == ("GET", b"")
        assert is_bare(second, scheme)

    @each_way
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_other_origin(
        self, receiver: FakeReceiver, post: Post, scheme: Scheme, status: int
    ) -> None:
        """Nobody else gets a signature."""
        with FakeReceiver([Answer(status, headers={"Location": receiver.url})]) as moved:
            post(moved.url, SignedAuth(secret_of(scheme), scheme=scheme))

        (stranger,) = receiver.requests
        assert is_bare(stranger, scheme)

    @each_way
    def test_there_and_back(self, post: Post, scheme: Scheme) -> None:
        """A stranger that redirects to the receiver, or to itself, gets nothing signed."""
        back = Answer(307)
        again = Answer(307, headers={"Location": "/again"})
        with (
            FakeReceiver([again, back]) as stranger,
            FakeReceiver([Answer(307, headers={"Location": stranger.url}), 200]) as receiver,
        ):
            back.headers["Location"] = receiver.url + "back"
            post(receiver.url, SignedAuth(secret_of(scheme), scheme=scheme))
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
            "http://127.0.0.1:{0}\\@127.0.0.1:{1}/",
        ],
    )
    def test_look_alikes(self, session: requests.Session, location: str) -> None:
        """Another name of the same host is another origin, and so is what looks like the same."""
        moved = Answer(307)
        with FakeReceiver() as other, FakeReceiver([moved, 200]) as receiver:
            ports = [url.rpartition(":")[2].strip("/") for url in (receiver.url, other.url)]
            moved.headers["Location"] = location.format(*ports)
            session.post(receiver.url, json=BODY, timeout=5)
            (second,) = receiver.requests[1:] + other.requests

        assert is_bare(second, SCHEME)

    @pytest.mark.parametrize("method", ["PUT", "DELETE"])
    def test_body_is_lost_alone(self, session: requests.Session, method: str) -> None:
        """A 301 leaves other methods than POST as they are, and takes the body nevertheless."""
        with FakeReceiver([Answer(301, headers={"Location": "/new"}), 200]) as receiver:
            session.request(method, receiver.url, json=BODY, timeout=5)
            _, second = receiver.requests

        assert (second.method, second.body) == (method, b"")
        assert is_bare(second, SCHEME)

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_nothing_is_lost(self, session: requests.Session, status: int) -> None:
        """Where there was no body, and GET stays GET, the next request is signed too."""
        with FakeReceiver([Answer(status, headers={"Location": "/new"}), 200]) as receiver:
            session.get(receiver.url, timeout=5)
            _, second = receiver.requests

            assert verified(second, SCHEME, receiver.url).body == b""

    def test_not_followed(self, session: requests.Session, receiver: FakeReceiver) -> None:
        """`Response.next` is what would be sent."""
        moved = Answer(307, headers={"Location": receiver.url})
        with FakeReceiver([moved, Answer(308, headers={"Location": "/new"}), 200]) as first:
            to_other, to_same = (
                session.post(first.url, json=BODY, timeout=5, allow_redirects=False).next
                for _ in range(2)
            )
            assert to_other is not None
            assert to_same is not None
            session.send(to_other, timeout=5)
            session.send(to_same, timeout=5)
            assert verified(first.requests[2], SCHEME, first.url)

        assert is_bare(receiver.requests[0], SCHEME)

    def test_file(self, session: requests.Session) -> None:
        """A file is sent again from where it was read, though nobody can rewind it."""
        with FakeReceiver([Answer(307, headers={"Location": "/new"}), 200]) as receiver:
            file = io.BytesIO(b"not this, but this")
            file.seek(10)
            session.post(receiver.url, data=file, timeout=5)
            bodies = [verified(each, SCHEME, receiver.url).body for each in receiver.requests]

        assert bodies == [b"but this"] * 2

    @pytest.mark.parametrize(
        ("one", "other", "is_same"),
        [
            ("http://a/", "http://a:80/x?y#z", True),
            ("https://a/", "https://A:443/", True),
            ("http://[::1]/", "http://[::1]:80/", True),
            ("http://a/", "http://user:password@a/", True),
            ("http://a/", "https://a/", False),
            ("http://a:443/", "https://a/", False),
            ("http://a/", "http://a:8080/", False),
            ("http://a/", "http://a./", False),
            ("http://a/", "http://a.b/", False),
            ("http://a/", "http://[::1]/", False),
            ("http://a/", "http://a:99999/", False),
            ("http://[a/", "http://[a/", False),
            # The standard library reads the host b, and urllib3 the host a.
            ("http://a/", "http://a\\@b/", False),
            ("http://b/", "http://a\\@b/", False),
        ],
    )
    def test_origins(self, one: str, other: str, is_same: bool) -> None:  # noqa: FBT001
        """An origin is a scheme, a host and a port, and both parsers have to agree on it."""
        assert _have_one_origin(one, other) is is_same


@each_way
def test_netrc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, post: Post, scheme: Scheme) -> None:
    """Credentials of .netrc neither replace a signature nor join it; others get theirs as ever."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    to_same, to_other = (Answer(307, headers={"Location": "/new"}) for _ in range(2))
    with FakeReceiver() as other, FakeReceiver([to_same, to_other]) as receiver:
        to_other.headers["Location"] = other.url
        post(receiver.url, SignedAuth(secret_of(scheme), scheme=scheme))
        (stranger,) = other.requests

        for each in receiver.requests:
            assert verified(each, scheme, receiver.url)
            assert not (each.header("Authorization") or "").startswith("Basic")
    assert (stranger.header("Authorization") or "").startswith("Basic")
    names = {name for name, _ in stranger.headers} - {"Authorization"}
    assert names.isdisjoint(scheme.header_names)


class Reader:
    """A file that only has what requests needs of one."""

    def __init__(self, content: Any) -> None:
        self.content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self.read()

    def read(self, size: int = -1) -> Any:
        """Return all of it."""
        assert size == -1
        return self.content


#: What `data=` can be, and the body that it makes.
BODIES: dict[str, tuple[Callable[[], Any], bytes]] = {
    "None": (lambda: None, b""),
    "no bytes": (lambda: b"", b""),
    "no text": (lambda: "", b""),
    "no form": (dict, b""),
    "text": (lambda: "é\U0001f600", "é\U0001f600".encode()),
    "latin-1": (lambda: "é".encode("latin-1"), b"\xe9"),
    "bytearray": (lambda: bytearray(b"ab"), b"ab"),
    "memoryview": (lambda: memoryview(b"ab"), b"ab"),
    "form": (lambda: [("a", "é"), ("a", "b")], b"a=%C3%A9&a=b"),
    "file": (lambda: io.BytesIO(b"ab"), b"ab"),
    "empty file": (io.BytesIO, b""),
    "text file": (lambda: io.StringIO("é"), "é".encode()),
    "reader": (lambda: Reader(b"ab"), b"ab"),
    "reader of bytearray": (lambda: Reader(bytearray(b"ab")), b"ab"),
    "reader of nothing": (lambda: Reader(b""), b""),
}


class TestBodies:
    """Whatever `data=` is, it is signed as it is sent, or refused."""

    @pytest.mark.parametrize("kind", BODIES)
    def test_kinds(self, session: requests.Session, receiver: FakeReceiver, kind: str) -> None:
        """Each has a length, as nothing is sent in pieces."""
        make, body = BODIES[kind]
        for method in ("POST", "PUT", "DELETE", "GET"):
            session.request(method, receiver.url, data=make(), timeout=5)
            received = receiver.requests[-1]

            assert verified(received, SCHEME, receiver.url).body == body
            assert received.method == method
            assert received.header("Transfer-Encoding") is None
            assert int(received.header("Content-Length") or 0) == len(body)

    def test_open_file(self, session: requests.Session, tmp_path: Path) -> None:
        """A real file is read from where it stands, and a pipe to its end."""
        (tmp_path / "a").write_bytes(b"0123\xff")
        readable, writable = os.pipe()
        with FakeReceiver() as receiver, (tmp_path / "a").open("rb") as file:
            file.seek(2)
            session.post(receiver.url, data=file, timeout=5)
            os.write(writable, b"abc")
            os.close(writable)
            with open(readable, "rb") as pipe:  # noqa: PTH123
                session.post(receiver.url, data=pipe, timeout=5)
            bodies = [verified(each, SCHEME, receiver.url).body for each in receiver.requests]

        assert bodies == [b"23\xff", b"abc"]

    @pytest.mark.parametrize(
        ("data", "named"),
        [
            ((each for each in [b"a"]), "generator"),
            (iter([b"a"]), "list_iterator"),
            (Reader(None), r"a file whose read\(\) returns NoneType"),
            (Reader(1), r"a file whose read\(\) returns int"),
        ],
        ids=["generator", "iterator", "None", "int"],
    )
    def test_no_whole_body(
        self, session: requests.Session, receiver: FakeReceiver, data: Any, named: str
    ) -> None:
        """What can only be sent in pieces is refused before anything is sent."""
        with pytest.raises(ConfigurationError, match=f"^data= is .*{named}.* Pass bytes"):
            session.post(receiver.url, data=data, timeout=5)

        assert receiver.requests == []

    def test_no_text(self, session: requests.Session) -> None:
        """Half a character has no bytes."""
        with pytest.raises(PayloadError, match="lone surrogate"):
            session.post("http://127.0.0.1:1/", data=io.StringIO("\ud800"), timeout=5)

    @pytest.mark.parametrize("data", [b"\0", b"\xff"])
    def test_bare_hash(self, data: bytes) -> None:
        """What a scheme cannot sign is refused."""
        auth = SignedAuth(SECRETS["text"], scheme=providers.HUBSPOT_V1)
        with pytest.raises(PayloadError, match="signs only UTF-8"):
            requests.post("http://127.0.0.1:1/", data=data, auth=auth, timeout=5)

    def test_content_type(self, session: requests.Session, receiver: FakeReceiver) -> None:
        """It is what requests makes of it, or what the caller says."""
        kinds: list[dict[str, Any]] = [
            {"json": BODY},
            {"data": {"a": "b"}},
            {"data": b"{}"},
            {"data": b"{}", "headers": {"content-type": "text/x"}},
            {"files": {"a": b"b"}},
        ]
        for arguments in kinds:
            session.post(receiver.url, timeout=5, **arguments)

        *others, multipart = [each.header("Content-Type") for each in receiver.requests]
        assert others == ["application/json", "application/x-www-form-urlencoded", None, "text/x"]
        assert (multipart or "").startswith("multipart/form-data; boundary=")

    def test_compressed(self, receiver: FakeReceiver) -> None:
        """A scheme that signs before it compresses signs what is in the body."""
        scheme = providers.GETSTREAM
        auth = SignedAuth(secret_of(scheme), scheme=scheme)
        headers = {"Content-Encoding": "gzip"}
        body = gzip.compress(b"{}")
        requests.post(receiver.url, data=body, headers=headers, auth=auth, timeout=5)
        requests.post(receiver.url, data=b"[]", auth=auth, timeout=5)
        first, second = receiver.requests

        assert first.body == body
        assert verified(first, scheme, receiver.url).body == b"{}"
        assert verified(second, scheme, receiver.url).body == b"[]"

    @pytest.mark.parametrize(
        ("coding", "body"),
        [("gzip", b"{}"), ("gzip", gzip.compress(b"{}")[:-1]), ("br", b"{}")],
        ids=["not compressed", "cut off", "another coding"],
    )
    def test_not_compressed(self, coding: str, body: bytes) -> None:
        """It has to be compressed in the only way that receivers understand."""
        scheme = providers.GETSTREAM
        auth = SignedAuth(secret_of(scheme), scheme=scheme)
        with pytest.raises(PayloadError, match="Content-Encoding, but its body is not one whole"):
            requests.post(
                "http://127.0.0.1:1/",
                data=body,
                headers={"Content-Encoding": coding},
                auth=auth,
                timeout=5,
            )


class TestIds:
    """Which id is signed, if the scheme signs one."""

    def test_new(self, session: requests.Session, receiver: FakeReceiver) -> None:
        """Each request has an id of its own, which the response shows."""
        shown = [
            session.post(receiver.url, timeout=5).request.headers["webhook-id"] for _ in range(2)
        ]

        assert [verified(each, SCHEME, receiver.url).id for each in receiver.requests] == shown
        assert len(set(shown)) == 2

    @pytest.mark.parametrize("given", ["msg_1", b"msg_1"])
    def test_given(
        self, session: requests.Session, receiver: FakeReceiver, given: str | bytes
    ) -> None:
        """The id of the header is signed, so that another attempt has it too."""
        session.post(receiver.url, headers={"WEBHOOK-ID": given}, timeout=5)
        (received,) = receiver.requests

        assert verified(received, SCHEME, receiver.url).id == "msg_1"
        assert [name.lower() for name, _ in received.headers].count("webhook-id") == 1

    @pytest.mark.parametrize("given", ["a.b", "a b", "", "é"])
    def test_unusable(self, session: requests.Session, given: str) -> None:
        """The error names the header."""
        with pytest.raises(ConfigurationError, match=r"^the header webhook-id of the request"):
            session.post("http://127.0.0.1:1/", headers={"webhook-id": given}, timeout=5)

    def test_headers_of_before(self, receiver: FakeReceiver) -> None:
        """What stands in the other headers of the scheme is replaced."""
        scheme = Scheme(
            name="two", signature_header=("X-New", "X-Old"), encoding="hex", digest="sha1"
        )
        auth = SignedAuth(SECRETS["text"], scheme=scheme)
        requests.post(receiver.url, headers={"x-old": "a", "x-new": "b"}, auth=auth, timeout=5)
        (received,) = receiver.requests

        assert received.header("X-Old") is None
        assert len(received.header("X-New") or "") == 40


class TestUrls:
    """The URL that is signed, if the scheme signs it: the one that the receiver sees."""

    @pytest.mark.parametrize(
        ("path", "arguments", "seen"),
        [
            ("", {}, "/"),
            ("a?b=c#d", {"params": {"e": "f g"}}, "/a?b=c&e=f+g"),
            ("é/%7e/%c3%a9?a=ü", {}, "/%C3%A9/~/%C3%A9?a=%C3%BC"),
            ("a/../b/;c?", {}, "/b/;c"),
        ],
        ids=["root", "params", "escapes", "dots"],
    )
    def test_path(
        self, receiver: FakeReceiver, path: str, arguments: dict[str, Any], seen: str
    ) -> None:
        """The path and the query are as they are sent, whatever was passed."""
        scheme = providers.HUBSPOT_V3
        auth = SignedAuth(secret_of(scheme), scheme=scheme)
        requests.post(receiver.url + path, auth=auth, timeout=5, **arguments)
        (received,) = receiver.requests

        assert received.path == seen
        assert verified(received, scheme, receiver.url)

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
            ("http://10.0.0.1/a", {"Host": b"example.com"}, "http://example.com/a"),
        ],
    )
    def test_authority(self, url: str, headers: dict[str, Any], signed: str) -> None:
        """Host and port are those of the Host header."""
        scheme = providers.HUBSPOT_V3
        auth = SignedAuth(secret_of(scheme), scheme=scheme)
        prepared = requests.Request("POST", url, headers=headers, json=BODY, auth=auth).prepare()
        assert isinstance(prepared.body, bytes)

        assert verify_payload(
            prepared.body,
            prepared.headers,
            secret_of(scheme),
            scheme=scheme,
            method="POST",
            url=signed,
        )


class TestPrepared:
    """What becomes of a request after it was signed."""

    def test_sent_twice(self, session: requests.Session) -> None:
        """It keeps its signature, also if it was redirected."""
        moved = Answer(307, headers={"Location": "/new"})
        with FakeReceiver([moved, 200]) as receiver:
            request = requests.Request("POST", receiver.url, json=BODY)
            prepared = session.prepare_request(request)
            for _ in range(2):
                session.send(prepared, timeout=5)
            ids = [verified(each, SCHEME, receiver.url).id for each in receiver.requests]

        assert len(ids) == 3
        assert len(set(ids)) == 1

    def test_retry(self, session: requests.Session) -> None:
        """urllib3 sends the same signature again."""
        retry = Retry(3, status_forcelist=[503], allowed_methods=None, backoff_factor=0)
        session.mount("http://", HTTPAdapter(max_retries=retry))
        with FakeReceiver([503, 503, 200]) as receiver:
            assert session.post(receiver.url, data=io.BytesIO(b"a"), timeout=5).ok
            first, *others = receiver.requests

            assert verified(first, SCHEME, receiver.url).body == b"a"
        assert [(each.headers, each.body) for each in others] == [(first.headers, b"a")] * 2

    def test_copies(self, session: requests.Session, receiver: FakeReceiver) -> None:
        """No copy has a signature, until it is signed; so nobody sends it elsewhere by mistake."""
        prepared = session.prepare_request(requests.Request("POST", receiver.url, json=BODY))
        copies = [
            prepared.copy(),
            prepared.copy().copy(),
            copy.copy(prepared),
            copy.deepcopy(prepared),
            pickle.loads(pickle.dumps(prepared)),
            pickle.loads(pickle.dumps(prepared.copy())),
        ]
        for each in copies:
            session.send(each, timeout=5)
            assert is_bare(receiver.requests[-1], SCHEME)
            assert session.auth is not None
            session.send(session.auth(each), timeout=5)  # type: ignore[operator]
            assert verified(receiver.requests[-1], SCHEME, receiver.url).json() == BODY

    @each_kind
    def test_pickled_response(self, receiver: FakeReceiver, scheme: Scheme) -> None:
        """A response can go to another process, with nothing that is worth stealing."""
        secret = secret_of(scheme)
        response = through_request(receiver.url, SignedAuth(secret, scheme=scheme))
        pickled = pickle.dumps(response)

        assert secret.encode() not in pickled
        assert pickle.loads(pickled).request.body == response.request.body
        assert set(scheme.header_names).isdisjoint(pickle.loads(pickled).request.headers)


def test_rotation(receiver: FakeReceiver) -> None:
    """All secrets sign that the headers have room for."""
    several: list[SecretLike] = [
        Secret(SECRET, id="new"),
        "whsec_" + "NfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    ]
    requests.post(receiver.url, auth=SignedAuth(several, scheme=SCHEME), timeout=5)
    (received,) = receiver.requests

    for secret in several:
        assert verify_payload(received.body, received.headers, secret, scheme=SCHEME)


def test_clock(receiver: FakeReceiver) -> None:
    """The time is that of a clock, which also says which secret is valid."""
    now = [1_700_000_000.0]
    limited = Secret(SECRET, not_after=now[0] + 1)
    auth = SignedAuth(limited, scheme=SCHEME, clock=lambda: now[0])
    requests.post(receiver.url, auth=auth, timeout=5)
    assert receiver.requests[0].header("webhook-timestamp") == "1700000000"

    now[0] += 1
    with pytest.raises(ConfigurationError, match="no secret is valid now"):
        requests.post(receiver.url, auth=auth, timeout=5)
    assert len(receiver.requests) == 1


def test_threads(session: requests.Session) -> None:
    """One auth signs for many threads at once."""
    barrier = threading.Barrier(8)
    with FakeReceiver() as receiver, ThreadPoolExecutor(8) as pool:

        def send(number: int) -> None:
            barrier.wait()
            auth = session.auth
            for each in range(5):
                requests.post(receiver.url, json=[number, each], auth=auth, timeout=30)

        list(pool.map(send, range(8)))
        deliveries = [verified(each, SCHEME, receiver.url) for each in receiver.requests]

    found = sorted(each.json() for each in deliveries)
    assert found == [[number, each] for number in range(8) for each in range(5)]
    assert len({each.id for each in deliveries}) == 40


def test_method_that_cannot_be_signed() -> None:
    """A scheme that signs the method wants a plain one."""
    scheme = providers.HUBSPOT_V3
    auth = SignedAuth(secret_of(scheme), scheme=scheme)
    with pytest.raises(ConfigurationError, match="method="):
        requests.request("A-B", "http://127.0.0.1:1/", auth=auth, timeout=5)


def test_session_is_not_pickled(session: requests.Session) -> None:
    """A session would take the secret with it."""
    with pytest.raises(TypeError, match="cannot be pickled: it contains a secret"):
        pickle.dumps(session)
