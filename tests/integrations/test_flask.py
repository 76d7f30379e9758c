"""Flask, served by gunicorn and reached over HTTP."""

from __future__ import annotations

import json
import socket
from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from operator import attrgetter
from typing import Any

import pytest
from flask import Flask

from frappe_hooksig import ConfigurationError, providers, sign_payload
from frappe_hooksig.integrations.flask import get_delivery, verify_frappe_webhook, verify_webhook
from tests.integrations.flask_app import CAPTURES, OLD, OTHER_APPS, SECRET, WHSEC
from tests.loopback import Server, gunicorn
from tests.vectors import Vector

ENVIRONMENTS = "Gp7Wd1Qs5Zx8Bm2Kv6Yc0Nt4"
SIGNATURE = "X-Frappe-Webhook-Signature"
BODY = b'{"order": "SO-00001"}'
LIMIT = 25 * 1024 * 1024


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A gunicorn with threads."""
    with gunicorn(
        "tests.integrations.flask_app:app_and_others",
        "--threads=8",
        FRAPPE_WEBHOOK_SECRET=ENVIRONMENTS,
    ) as running:
        yield running


def signed(body: bytes = BODY, secret: str = SECRET, **headers: str) -> dict[str, str]:
    """Return Frappe's headers for a body, and some more."""
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return sign_payload(body, secret).headers | more


@pytest.mark.parametrize("index", range(len(CAPTURES)), ids=lambda index: CAPTURES[index].id)
def test_capture(server: Server, index: int) -> None:
    """What a real Frappe site sent has its outcome, sent again to a real server."""
    capture = CAPTURES[index]
    # The framing is the connection's; the one capture with both of them is sent chunked.
    framing = {"host", "content-length", "transfer-encoding", "connection"}
    names = {name.lower() for name, _ in capture.headers}
    headers = [
        (name, value.encode("utf-8"))
        for name, value in capture.headers
        if name.lower() not in framing
    ]
    body: Any = [capture.body] if "transfer-encoding" in names else capture.body

    answer = server.send(f"/captures/{index}", body, headers, method=capture.method)

    if capture.expect == "accept":
        assert answer.status == 200
        assert answer.json()["sha256"] == sha256(capture.body).hexdigest()
        assert answer.json()["same"]
    elif capture.expect == "unsigned":
        assert answer.outcome == (401, "missing-header")
    else:
        assert answer.outcome == (401, "signature-mismatch")


def test_unknown_site(server: Server) -> None:
    """An unknown path is answered like a wrong signature, word for word."""
    unknown = server.send("/captures/999", BODY, signed())
    wrong = server.send("/captures/0", BODY, signed())

    assert unknown.outcome == (401, "signature-mismatch")
    assert (unknown.status, unknown.body) == (wrong.status, wrong.body)


@pytest.mark.parametrize(
    "path",
    ["/frappe", "/called/x", "/async", "/class", "/half-class", "/blueprint/hook", "/form"],
)
def test_every_kind_of_view(server: Server, path: str) -> None:
    """A signed request gets through to any kind of view; an unsigned one to none."""
    answer = server.send(path, BODY, signed())

    assert answer.status == 200
    assert answer.json()["sha256"] == sha256(BODY).hexdigest()
    assert server.send(path, BODY).outcome == (401, "missing-header")
    assert server.send(path, b"{}", signed()).outcome == (401, "signature-mismatch")


@pytest.mark.parametrize("path", ["/class", "/half-class"])
def test_async_method_of_a_class(server: Server, path: str) -> None:
    """An async method of a class view is verified too."""
    assert server.send(path, BODY, signed(), method="PUT").json()["method"] == "put"
    assert server.send(path, BODY, method="PUT").status == 401


def test_undecorated_method_of_a_class(server: Server) -> None:
    """A decorated method leaves the others alone."""
    assert server.send("/half-class", method="GET").body == b"open to everybody"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_methods(server: Server, method: str) -> None:
    """Frappe sends any of three, each with a body."""
    assert server.send("/frappe", BODY, signed(), method=method).status == 200
    assert server.send("/frappe", BODY, method=method).status == 401


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_methods_without_a_body(server: Server, method: str) -> None:
    """A request without a body is verified over no bytes."""
    assert server.send("/frappe", b"", signed(b""), method=method).status == 200
    assert server.send("/frappe", b"", method=method).status == 401


@pytest.mark.parametrize("name", providers.names())
def test_providers(server: Server, name: str) -> None:
    """Every scheme verifies over HTTP; without its headers it refuses."""
    scheme = providers.get(name)
    secret = WHSEC if scheme.secret_format == "whsec" else SECRET
    headers = sign_payload(BODY, secret, scheme=scheme).headers

    answer = server.send(f"/providers/{name}", BODY, headers)

    assert answer.status == 200
    assert answer.json()["scheme"] == name
    assert (answer.json()["timestamp"] is not None) == scheme.signs_timestamp
    assert answer.json()["id"] == headers.get(scheme.id_header or "")
    refused = server.send(f"/providers/{name}", BODY)
    assert refused.outcome == (401, "missing-header")
    assert refused.headers["www-authenticate"].startswith("Webhook-Signature header=")


def header_cases() -> list[tuple[str, list[tuple[str, str | bytes]], tuple[int, str]]]:
    """Return what can be wrong with Frappe's header, and the answer to it."""
    right = signed()[SIGNATURE]
    return [
        ("empty", [(SIGNATURE, "")], (400, "malformed-header")),
        ("utf-8", [(SIGNATURE, "é".encode())], (400, "malformed-header")),
        ("latin-1", [(SIGNATURE, "é".encode("latin-1"))], (400, "malformed-header")),
        ("doubled", [(SIGNATURE, right), (SIGNATURE, right)], (400, "duplicate-header")),
        ("doubled-case", [(SIGNATURE, "x"), (SIGNATURE.lower(), right)], (400, "duplicate-header")),
        ("joined", [(SIGNATURE, f"{right}, {right}")], (400, "duplicate-header")),
        ("hex", [(SIGNATURE, hex_of(right))], (401, "wrong-encoding")),
        ("forged", [(SIGNATURE, "forged")], (401, "signature-mismatch")),
        ("longest", [(SIGNATURE, "A" * 8000)], (401, "signature-mismatch")),
        ("other-name", [("X-Webhook-Signature", right)], (401, "missing-header")),
        ("lower-case", [(SIGNATURE.lower(), right)], (200, "")),
        ("upper-case", [(SIGNATURE.upper(), right)], (200, "")),
    ]


def hex_of(signature: str) -> str:
    """Return a base64 signature in hex."""
    return b64decode(signature).hex()


@pytest.mark.parametrize(
    ("headers", "outcome"),
    [case[1:] for case in header_cases()],
    ids=[case[0] for case in header_cases()],
)
def test_headers(server: Server, headers: Any, outcome: tuple[int, str]) -> None:
    """Each mistake in the header has its status and its reason."""
    assert server.send("/frappe", BODY, headers).outcome == outcome


def test_refusal(server: Server) -> None:
    """A refusal is JSON that tells the sender's administrator what to look at, and no secret."""
    answer = server.send("/frappe", BODY, signed(BODY, "another secret of theirs"))

    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["www-authenticate"] == f'Webhook-Signature header="{SIGNATURE}"'
    assert answer.json()["status"] == "refused"
    assert SIGNATURE in answer.json()["message"]
    assert signed()[SIGNATURE].encode() not in answer.body
    assert SECRET.encode() not in answer.body


def test_rotation(server: Server) -> None:
    """Both secrets of the list verify, and the view learns which."""
    assert server.send("/frappe", BODY, signed()).json()["key_id"] == "new"
    assert server.send("/frappe", BODY, signed(secret=OLD)).json()["key_id"] == 1
    assert server.send("/frappe", BODY, signed(secret=OLD + "!")).status == 401


def test_two_apps_share_a_blueprint(server: Server) -> None:
    """Each app's own setting holds for a view that both of them have."""
    answers = {
        (path, secret): server.send(path, BODY, signed(secret=secret)).status
        for path in ("/blueprint/hook", "/other/hook", "/environment/hook")
        for secret in (SECRET, OTHER_APPS, ENVIRONMENTS)
    }

    assert answers == {
        ("/blueprint/hook", SECRET): 200,
        ("/blueprint/hook", OTHER_APPS): 401,
        ("/blueprint/hook", ENVIRONMENTS): 401,
        ("/other/hook", SECRET): 413,
        ("/other/hook", OTHER_APPS): 413,
        ("/other/hook", ENVIRONMENTS): 413,
        ("/environment/hook", SECRET): 401,
        ("/environment/hook", OTHER_APPS): 401,
        ("/environment/hook", ENVIRONMENTS): 200,
    }


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/json",
        "application/json; charset=utf-8",
        "application/vnd.x+json",
        "text/plain",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "nonsense",
    ],
)
@pytest.mark.parametrize(
    "body",
    [BODY, b"", b"\xff\xfe\x00", "\ufeff{}".encode(), b"a=1&a=2&%zz", b"--x\r\n\r\n", b"{"],
    ids=repr,
)
def test_raw_body(server: Server, content_type: str | None, body: bytes) -> None:
    """The bytes that were signed are the bytes that are verified, whatever they are called."""
    typed = {"Content-Type": content_type} if content_type else {}

    answer = server.send("/frappe", body, signed(body) | typed)

    assert answer.status == 200
    assert answer.json()["sha256"] == sha256(body).hexdigest()
    assert answer.json()["same"]


def test_form_stays_readable(server: Server) -> None:
    """Fields and files can be read after the verification."""
    urlencoded = b"a=1&a=2&b=%C3%A9"
    multipart = (
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="f.txt"\r\n\r\nhello\r\n'
        b"--x--\r\n"
    )
    first = server.send(
        "/form",
        urlencoded,
        signed(urlencoded, Content_Type="application/x-www-form-urlencoded"),
    )
    second = server.send(
        "/form", multipart, signed(multipart, Content_Type="multipart/form-data; boundary=x")
    )

    assert first.json()["form"] == {"a": ["1", "2"], "b": ["é"]}
    assert second.json()["form"] == {"a": ["1"]}
    assert second.json()["files"] == {"f": "hello"}
    assert first.json()["same"]
    assert second.json()["same"]


def test_json_without_content_type(server: Server) -> None:
    """Frappe sends no Content-Type: Flask's get_json() gives 415, the delivery its JSON."""
    assert server.send("/json", BODY, signed()).json() == {
        "json": {"order": "SO-00001"},
        "flask": None,
    }
    assert server.send("/flask-json", BODY, signed()).status == 415
    typed = signed(Content_Type="application/json")
    assert server.send("/flask-json", BODY, typed).json() == {"flask": {"order": "SO-00001"}}


@pytest.mark.parametrize("path", ["/json", "/async-json"])
@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000], ids=lambda body: body[:3])
def test_body_that_is_no_json(server: Server, path: str, body: bytes) -> None:
    """What the handler cannot parse is the sender's mistake, signed or not."""
    assert server.send(path, body, signed(body)).outcome == (400, "malformed-payload")
    assert server.send(path, body, signed(b"other")).outcome == (401, "signature-mismatch")


def test_handler_that_fails(server: Server) -> None:
    """The handler's own exceptions stay what they are."""
    assert server.send("/boom", BODY, signed()).status == 500
    assert server.has_logged("ValueError: the handler's own fault", 1)


@pytest.mark.parametrize("path", ["/unverified", "/upside-down"])
def test_delivery_of_an_unverified_request(server: Server, path: str) -> None:
    """Where nothing was verified there is no delivery, signed or not: the view cannot run on."""
    before = server.log.count("this request was not verified")

    assert server.send(path, BODY).status == 500
    assert server.send(path, BODY, signed()).status == 500
    assert server.has_logged("this request was not verified", before + 2)


class TestLimit:
    """The largest accepted body."""

    @pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
    @pytest.mark.parametrize(
        ("path", "secret", "limit"),
        [
            ("/called/x", SECRET, 1024),
            ("/verifier", OLD, 10),
            ("/other/hook", OTHER_APPS, 20),
            ("/frappe", SECRET, LIMIT),
        ],
        ids=["max_body", "verifier", "app", "default"],
    )
    def test_limit(
        self,
        server: Server,
        path: str,
        secret: str,
        limit: int,
        chunked: bool,  # noqa: FBT001
    ) -> None:
        """Exactly the limit is accepted; one byte more is refused, however it is sent."""
        for size, outcome in ((limit, (200, "")), (limit + 1, (413, "body-too-large"))):
            body = b"x" * size
            pieces = [body[at : at + 70_000] for at in range(0, size, 70_000)]
            sent: Any = pieces if chunked else body

            assert server.send(path, sent, signed(body, secret)).outcome == outcome

    @pytest.mark.parametrize("body", [b"x", [b"x"], [b"x" * 100_000]], ids=["1", "c1", "c100000"])
    def test_no_body_at_all(self, server: Server, body: Any) -> None:
        """An app that allows no body gets none."""
        answer = server.send("/tiny/hook", body, signed(b"".join(body) if body != b"x" else body))

        assert answer.outcome == (413, "body-too-large")

    def test_announced_length_is_enough(self, server: Server) -> None:
        """A body that is announced as too large is refused without being awaited."""
        head = (
            f"POST /frappe HTTP/1.1\r\nHost: x\r\n{SIGNATURE}: {signed()[SIGNATURE]}\r\n"
            f"Content-Length: {LIMIT + 1}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall(head.encode())

            assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")

    def test_unsigned_body_is_not_awaited(self, server: Server) -> None:
        """A request without a signature is refused before its body has come."""
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall(b"POST /frappe HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")

            assert connection.recv(65_536).startswith(b"HTTP/1.1 401 ")


class TestBodyReadBefore:
    """Something in the app reads the body before it is verified."""

    FORM = b"a=1&b=2"
    TYPED = "application/x-www-form-urlencoded"

    @pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
    @pytest.mark.parametrize("what", ["form", "files", "stream", "data-uncached"])
    def test_gone(self, server: Server, what: str, chunked: bool) -> None:  # noqa: FBT001
        """Who reads the body for good is told so: the app's error, not a wrong signature."""
        before = server.log.count("RawBodyUnavailable: the raw body is gone")
        sent: Any = [self.FORM] if chunked else self.FORM

        answer = server.send(f"/after/{what}", sent, signed(self.FORM, Content_Type=self.TYPED))

        assert answer.status == 500
        assert server.has_logged("RawBodyUnavailable: the raw body is gone", before + 1)

    def test_partly_gone(self, server: Server) -> None:
        """A part that is missing is noticed too."""
        answer = server.send("/after/part-of-stream", BODY, signed())

        assert answer.status == 500

    @pytest.mark.parametrize("what", ["data", "json", "values-of-url", "stream-unread"])
    @pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
    def test_kept(self, server: Server, what: str, chunked: bool) -> None:  # noqa: FBT001
        """Who leaves a copy does no harm."""
        sent: Any = [BODY] if chunked else BODY

        assert server.send(f"/after/{what}", sent, signed()).status == 200

    @pytest.mark.parametrize("what", ["form", "stream", "data"])
    def test_nothing_to_read(self, server: Server, what: str) -> None:
        """An empty body cannot be lost."""
        assert server.send(f"/after/{what}", b"", signed(b"")).status == 200

    def test_kept_but_cut_short(self, server: Server) -> None:
        """Where a copy is kept, a client that stops half-way is a client, not an error of ours."""
        answer = raw(server, "/after/data", "Content-Length: 100", b"1234567")

        assert answer.startswith(b"HTTP/1.1 400 ")

    def test_kept_and_empty(self, server: Server) -> None:
        """An empty chunked body is an empty body."""
        assert server.send("/after/data", [], signed()).outcome == (401, "signature-mismatch")
        assert server.send("/after/data", [], signed(b"")).status == 200

    @pytest.mark.parametrize("what", ["stream-unread", "data"])
    def test_limit(self, server: Server, what: str) -> None:
        """Who has looked at the stream has not lifted the limit."""
        pieces = [b"x" * 65_536] * (LIMIT // 65_536 + 2)

        assert server.send(f"/after/{what}", pieces, signed()).outcome == (413, "body-too-large")

    def test_unsigned(self, server: Server) -> None:
        """A stranger gets no 500 out of it: the headers come first."""
        assert server.send("/after/form", self.FORM, {"Content-Type": self.TYPED}).status == 401

    def test_swallowed_by_a_middleware(self, server: Server) -> None:
        """What looks like a client that went away is answered like one."""
        answer = server.send("/swallow/frappe", BODY, signed())

        assert answer.status == 400
        assert b"shorter than its Content-Length" in answer.body


def test_chunked_where_the_server_marks_no_end(server: Server) -> None:
    """Without an end to look for, nothing is read, and so nothing verified."""
    answer = server.send("/without-length/frappe", [BODY], signed())

    assert answer.outcome == (401, "signature-mismatch")


@pytest.mark.parametrize(
    "chunks",
    [
        b"zz\r\n",
        b"-1\r\nx\r\n0\r\n\r\n",
        b"0x7\r\n1234567\r\n0\r\n\r\n",
        b"\r\n\r\n",
        b"3\r\n1234567\r\n0\r\n\r\n",
        b"3\r\n123\r\nnonsense\r\n\r\n",
        b"5\r\n123",
    ],
    ids=repr,
)
def test_broken_chunks(server: Server, chunks: bytes) -> None:
    """A body that a server cannot read is the client's mistake, whatever the server raises."""
    before = server.log.count("Traceback")

    answer = raw(server, "/frappe", "Transfer-Encoding: chunked", chunks)

    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 401 "))
    assert server.log.count("Traceback") == before


def raw(server: Server, path: str, header: str, body: bytes) -> bytes:
    """Send a request byte for byte, stop sending, and return the beginning of the answer."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\n{SIGNATURE}: {signed()[SIGNATURE]}\r\n{header}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(head.encode() + body)
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(65_536)


def test_client_that_stops_half_way(server: Server) -> None:
    """It costs nothing, and no worker hangs."""
    for _ in range(20):
        answer = raw(server, "/frappe", f"Content-Length: {len(BODY)}", BODY[:5])
        assert answer.startswith(b"HTTP/1.1 400 ")

    assert server.send("/frappe", BODY, signed()).status == 200


def test_concurrent_requests(server: Server) -> None:
    """Two hundred at a time, each answered for itself."""
    bodies = [json.dumps({"n": n}).encode() for n in range(200)]

    def send(body: bytes) -> tuple[int, str]:
        answer = server.send("/frappe", body, signed(body) if b"7" not in body else signed(b""))
        return answer.status, answer.json().get("sha256", "")

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(send, bodies))

    assert answers == [
        (200, sha256(body).hexdigest()) if b"7" not in body else (401, "") for body in bodies
    ]


def test_server_that_breaks_off_behind_the_limit() -> None:
    """Whatever a server raises when the byte behind the limit is asked for is the client's."""

    class Breaking:
        """Fourteen good bytes, then an exception of the server's own."""

        def __init__(self) -> None:
            self.pieces = [BODY[:14]]

        def read(self, size: int = -1) -> bytes:
            del size
            if not self.pieces:
                msg = "of the server's own"
                raise EOFError(msg)
            return self.pieces.pop()

    app = Flask(__name__)
    app.config |= {"FRAPPE_WEBHOOK_SECRET": SECRET, "MAX_CONTENT_LENGTH": 14}
    app.post("/")(verify_frappe_webhook(lambda: "never"))

    answer = app.test_client().post(
        "/",
        headers=signed(BODY[:14]),
        environ_overrides={"wsgi.input": Breaking(), "wsgi.input_terminated": True},
    )
    assert answer.status_code == 400


def test_the_smaller_limit_is_named() -> None:
    """The app's own limit is the one to look at if it is the smaller one."""
    app = Flask(__name__)
    app.config |= {"FRAPPE_WEBHOOK_SECRET": SECRET, "MAX_CONTENT_LENGTH": 5}
    app.post("/")(verify_frappe_webhook(max_body=14)(lambda: "never"))

    for size in (6, 15):
        answer = app.test_client().post("/", data=b"x" * size, headers=signed())
        assert answer.status_code == 413
        assert "larger than 5 bytes" in answer.get_json()["message"]


class TestSetUp:
    """Mistakes in the app, without a server."""

    def test_no_secret(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a secret no request is accepted; the first one says where to set it."""
        monkeypatch.delenv("FRAPPE_WEBHOOK_SECRET", raising=False)
        app = Flask(__name__)
        app.post("/")(verify_frappe_webhook(lambda: "never"))
        app.testing = True

        with pytest.raises(ConfigurationError, match=r"app\.config\['FRAPPE_WEBHOOK_SECRET'\]"):
            app.test_client().post("/", data=BODY, headers=signed())

    @pytest.mark.parametrize("secret", ["", "*****", [], 5])
    def test_useless_secret(self, secret: Any) -> None:
        """A secret that is none is no secret."""
        app = Flask(__name__)
        app.config["FRAPPE_WEBHOOK_SECRET"] = secret
        app.post("/")(verify_frappe_webhook(lambda: "never"))
        app.testing = True

        with pytest.raises(ConfigurationError):
            app.test_client().post("/", data=BODY, headers=signed())

    def test_setting_of_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A setting of None is no setting: what the environment has counts."""
        monkeypatch.setenv("FRAPPE_WEBHOOK_SECRET", SECRET)
        app = Flask(__name__)
        app.config["FRAPPE_WEBHOOK_SECRET"] = None
        app.post("/")(verify_frappe_webhook(lambda: "received"))

        assert app.test_client().post("/", data=BODY, headers=signed()).status_code == 200

    def test_secret_where_the_view_belongs(self) -> None:
        """The likeliest slip has a message of its own."""
        with pytest.raises(ConfigurationError, match="by name only: secret="):
            verify_frappe_webhook(SECRET)  # type: ignore[call-overload]

    def test_async_secret(self) -> None:
        """A function that nobody would await is refused."""

        async def secret_of(_request: object) -> str:
            return SECRET

        with pytest.raises(ConfigurationError, match="async"):
            verify_frappe_webhook(secret=secret_of)

    def test_secret_of_another_scheme(self) -> None:
        """Frappe's secret is not GitHub's: that one has to be named."""
        with pytest.raises(ConfigurationError, match="'github' needs secret="):
            verify_webhook(providers.GITHUB)

    def test_unknown_option(self) -> None:
        """A misspelt option is no option."""
        with pytest.raises(TypeError, match="secrets"):
            verify_webhook(providers.GITHUB, secrets=SECRET)  # type: ignore[call-arg]

    def test_view_keeps_its_name(self) -> None:
        """Flask names endpoints after views."""

        def view() -> str:
            """Do something."""
            return ""

        decorated = verify_frappe_webhook(view)

        assert (decorated.__name__, decorated.__doc__) == ("view", "Do something.")

    def test_stale_delivery(self) -> None:
        """A delivery does not outlive its request, not even within one app context."""
        app = Flask(__name__)
        app.config["FRAPPE_WEBHOOK_SECRET"] = SECRET
        app.post("/verified")(verify_frappe_webhook(lambda: get_delivery().body))
        app.add_url_rule("/not", "not", lambda: get_delivery().body, methods=["POST"])
        app.testing = True

        with app.app_context():
            client = app.test_client()
            assert client.post("/verified", data=BODY, headers=signed()).data == BODY
            with pytest.raises(ConfigurationError, match="was not verified"):
                client.post("/not", data=BODY, headers=signed())


def test_captures_are_all_there() -> None:
    """The table above is the whole file."""
    assert len(CAPTURES) == 259
    assert len(set(map(attrgetter("id"), CAPTURES))) == 259
    assert isinstance(CAPTURES[0], Vector)
