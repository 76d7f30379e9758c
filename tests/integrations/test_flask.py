"""Flask, served by gunicorn and reached over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
from flask import Flask
from flask.views import MethodView

from frappe_hooksig import ConfigurationError, providers
from frappe_hooksig.integrations.flask import get_delivery, verify_frappe_webhook, verify_webhook
from tests.integrations.conformance import BODY, LIMIT, OLD, SECRET, Conformance, raw, signed
from tests.integrations.flask_app import OTHER_APPS
from tests.loopback import Server, gunicorn

ENVIRONMENTS = "Gp7Wd1Qs5Zx8Bm2Kv6Yc0Nt4"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A gunicorn with threads."""
    app = "tests.integrations.flask_app:app_and_others"
    with gunicorn(app, "--threads=8", FRAPPE_WEBHOOK_SECRET=ENVIRONMENTS) as running:
        yield running


class TestConformance(Conformance):
    """Flask under gunicorn."""

    KEPT = ("data", "json", "values-of-url", "stream-unread")
    GONE = ("form", "files", "stream", "part-of-stream", "data-uncached")


@pytest.mark.parametrize(
    "path",
    ["/frappe", "/called/x", "/async", "/class", "/half-class", "/blueprint/hook"],
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


def test_json_of_flask(server: Server) -> None:
    """Frappe sends no Content-Type, so Flask's own get_json() gives 415."""
    typed = signed(Content_Type="application/json")

    assert server.send("/flask-json", BODY, signed()).status == 415
    assert server.send("/flask-json", BODY, typed).json() == {"flask": {"order": "SO-00001"}}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000], ids=lambda body: body[:3])
def test_async_view_and_no_json(server: Server, body: bytes) -> None:
    """What an async view cannot parse is the sender's mistake too."""
    answer = server.send("/async-json", body, signed(body))

    assert answer.outcome == (400, "malformed-payload")


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
            ("/verifier", OLD, 10),
            ("/other/hook", OTHER_APPS, 20),
        ],
        ids=["verifier", "app"],
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

    @pytest.mark.parametrize("sent", [FORM, [FORM]], ids=["length", "chunked"])
    @pytest.mark.parametrize("body", [FORM, b""], ids=["signed", "signed-empty"])
    def test_parsed_and_kept_as_empty(self, server: Server, sent: Any, body: bytes) -> None:
        """request.data of a form is empty, however long the form was: no copy of it."""
        before = server.log.count("RawBodyUnavailable: the raw body is gone")

        answer = server.send("/after/data", sent, signed(body, Content_Type=self.TYPED))

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

    def test_class(self) -> None:
        """A class is told where its decorators go."""

        class Hook(MethodView):
            pass

        with pytest.raises(ConfigurationError, match=r"Hook is a class: .* `decorators = "):
            verify_frappe_webhook(Hook)

    def test_unknown_option(self) -> None:
        """A misspelt option is no option."""
        with pytest.raises(
            ConfigurationError, match=r"unknown option secrets: did you mean secret\?"
        ):
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
