"""Django, served by gunicorn and reached over HTTP; and its requests without a server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any

import django
import pytest
from django.conf import global_settings, settings
from django.core.handlers.asgi import ASGIRequest
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import cache_page

from frappe_hooksig import ConfigurationError, VerificationError, Verifier, _keys, providers
from frappe_hooksig.integrations.django import get_delivery, verify_frappe_webhook, verify_webhook
from tests.integrations import django_settings
from tests.integrations.conformance import (
    BODY,
    OLD,
    SECRET,
    SIGNATURE,
    URLENCODED,
    Conformance,
    raw,
    signed,
)
from tests.loopback import Server, gunicorn

SETTINGS = django_settings.__name__
MULTIPART = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'
OF_MULTIPART = "multipart/form-data; boundary=x"
FORGED = (401, "signature-mismatch")

# Not by the environment, which other tests hand on to their servers.
settings.configure(**{name: each for name, each in vars(django_settings).items() if name.isupper()})
django.setup()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A gunicorn with threads."""
    app = "django.core.wsgi:get_wsgi_application()"
    with gunicorn(app, "--threads=8", DJANGO_SETTINGS_MODULE=SETTINGS) as running:
        yield running


class TestConformance(Conformance):
    """Django under gunicorn."""

    READS_CHUNKED = False
    KEPT = ("body", "post", "get", "headers")
    GONE = ("read", "part-of-read", "readline")


@pytest.mark.parametrize(
    "path", ["frappe", "dispatched/x", "decorated/x", "as-view/x", "one-method/x"]
)
def test_every_kind_of_view(server: Server, path: str) -> None:
    """A signed request gets through to any kind of view; an unsigned one to none."""
    answer = server.send(f"/{path}", BODY, signed())

    assert answer.status == 200
    assert answer.json()["sha256"] == sha256(BODY).hexdigest()
    assert server.send(f"/{path}", BODY).outcome == (401, "missing-header")
    assert server.send(f"/{path}", b"{}", signed()).outcome == FORGED


@pytest.mark.parametrize("path", ["dispatched/x", "decorated/x", "as-view/x"])
def test_every_method_of_a_class(server: Server, path: str) -> None:
    """A decorated class lets nothing through, not even a method that it does not have."""
    answer = server.send(f"/{path}", b"", signed(b""), method="GET")

    assert (answer.json()["method"], answer.json()["name"]) == ("get", "x")
    assert server.send(f"/{path}", method="GET").status == 401
    assert server.send(f"/{path}", BODY, signed(), method="PUT").status == 405
    assert server.send(f"/{path}", BODY, method="PUT").status == 401
    assert server.send(f"/{path}", BODY, method="OPTIONS").status == 401


def test_undecorated_method_of_a_class(server: Server) -> None:
    """A decorated method leaves the others alone."""
    assert server.send("/one-method/x", method="GET").body == b"open to everybody"


def test_method_without_method_decorator(server: Server) -> None:
    """A method that gets its instance first is told how to do it; nothing gets through."""
    before = server.log.count("expected a request, but got a Misdecorated: decorate the class")

    assert server.send("/misdecorated", BODY, signed()).status == 500
    assert server.send("/misdecorated", BODY).status == 500
    assert server.has_logged(
        "expected a request, but got a Misdecorated: decorate the class", before + 2
    )


class TestCsrf:
    """With CsrfViewMiddleware on, as `startproject` has it."""

    @pytest.mark.parametrize("path", ["/not-exempt", "/one-method-not-exempt/x"])
    def test_undecorated(self, server: Server, path: str) -> None:
        """Without our decorator on the view, or on its dispatch(), Django refuses any POST."""
        answer = server.send(path, BODY, signed())

        assert answer.status == 403
        assert b"CSRF" in answer.body

    @pytest.mark.parametrize("content_type", [URLENCODED, OF_MULTIPART])
    def test_form(self, server: Server, content_type: str) -> None:
        """Nor does the middleware look into a form, which would take the raw body away."""
        headers = signed(MULTIPART, Content_Type=content_type)

        assert server.send("/frappe", MULTIPART, headers).status == 200


class TestBodyReadBefore:
    """Something in the app reads the body before it is verified."""

    def test_multipart_form(self, server: Server) -> None:
        """Django keeps no copy of a multipart form that it parses."""
        gone = "RawBodyUnavailable: the raw body is gone"
        before = server.log.count(gone)
        typed = signed(MULTIPART, Content_Type=OF_MULTIPART)

        assert server.send("/after/post", MULTIPART, typed).status == 500
        assert server.send("/after/body", MULTIPART, typed).status == 200
        assert server.has_logged(gone, before + 1)

    def test_urlencoded_form(self, server: Server) -> None:
        """It keeps one of any other form."""
        typed = signed(b"a=1", Content_Type=URLENCODED)

        assert server.send("/after/post", b"a=1", typed).status == 200


def test_client_that_went_away(server: Server) -> None:
    """It is told that its body is incomplete, and nobody gets a traceback."""
    before = server.log.count("Traceback")

    answer = raw(server, "/frappe", "Content-Length: 100", b"1234567")

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert server.log.count("Traceback") == before


@pytest.mark.parametrize("chunks", [b"zz\r\n", b"5\r\n123", b"3\r\n1234567\r\n0\r\n\r\n"], ids=repr)
def test_chunked(server: Server, chunks: bytes) -> None:
    """Without Content-Length Django reads nothing under WSGI, and so nothing verifies."""
    before = server.log.count("Traceback")

    answer = raw(server, "/frappe", "Transfer-Encoding: chunked", chunks)

    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 401 "))
    unread = server.send("/frappe", [b"12345"], signed(b"12345"))
    assert unread.outcome == FORGED
    assert "no body came, because this server or framework reads none" in unread.json()["message"]
    assert server.log.count("Traceback") == before


# Without a server, from here on.


@verify_frappe_webhook
def writes(request: HttpRequest) -> HttpResponse:
    """Write a row, and parse the body then."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO noted VALUES (1)")
    return HttpResponse(get_delivery(request).json())


@cache_page(60)
@verify_frappe_webhook
def cached(request: HttpRequest) -> HttpResponse:
    """Answer what Django would keep for a minute."""
    return HttpResponse(get_delivery(request).body)


class OwnUrls:
    """What ROOT_URLCONF may name, too."""

    urlpatterns = [path("writes", writes), path("cached", cached)]  # noqa: RUF012


class TestAmongOthers:
    """Together with what else stands around a view."""

    @override_settings(ROOT_URLCONF=OwnUrls)
    @pytest.mark.parametrize("is_atomic", [True, False])
    @pytest.mark.parametrize(("body", "rows"), [(b"5", 1), (b"{", 0)])
    def test_atomic_requests(
        self,
        monkeypatch: pytest.MonkeyPatch,
        body: bytes,
        rows: int,
        is_atomic: bool,  # noqa: FBT001
    ) -> None:
        """What was written before no JSON was found is undone, as after any failure."""
        monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", is_atomic)
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE noted (id integer)")

            answer = Client(headers=signed(body)).post("/writes", body, "application/json")
            cursor.execute("SELECT COUNT(*) FROM noted")
            count = cursor.fetchone()[0]
            cursor.execute("DROP TABLE noted")

        assert answer.status_code == (200 if rows else 400)
        assert count == (rows if is_atomic else 1)

    @override_settings(ROOT_URLCONF=OwnUrls)
    def test_cache(self) -> None:
        """What a signed request was answered is kept for no other."""
        client = Client()

        assert client.get("/cached", headers=signed(b"")).status_code == 200
        assert client.get("/cached").status_code == 401


def received(request: HttpRequest, **_kwargs: Any) -> HttpResponse:
    """Answer with the verified body."""
    return HttpResponse(get_delivery(request).body)


async def received_later(request: HttpRequest) -> HttpResponse:
    """Do the same, async."""
    return received(request)


def posted(body: bytes = BODY, headers: dict[str, str] | None = None, **environ: Any) -> Any:
    """Return a request, signed or with other headers."""
    names = signed(body) if headers is None else headers
    given = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in names.items()}
    extra: Any = {**given, **environ}
    return RequestFactory().post("/", body, "application/octet-stream", **extra)


@pytest.mark.parametrize("server", ["WSGI", "ASGI"])
def test_meta_without_the_decorator(server: str) -> None:
    """A `Verifier` reads `request.META` too; no header of a stranger stands in for another."""
    right, other = signed()[SIGNATURE], "HTTP-" + SIGNATURE
    requests: dict[str, Any] = {
        "WSGI": lambda name: posted(headers={name: right}),
        "ASGI": lambda name: ASGIRequest(
            {
                "type": "http",
                "method": "POST",
                "path": "/",
                "headers": [(name.lower().encode(), right.encode())],
            },
            BytesIO(BODY),
        ),
    }
    genuine, forged = (requests[server](name).META for name in (SIGNATURE, other))

    assert Verifier(SECRET).verify(BODY, genuine)
    with pytest.raises(VerificationError, match=f"no {SIGNATURE} header"):
        Verifier(SECRET).verify(BODY, forged)


def posted_to_asgi(stream: Any, *headers: tuple[bytes, bytes]) -> Any:
    """Return a request without Content-Length, as an ASGI server makes it."""
    signature = (SIGNATURE.lower().encode(), signed()[SIGNATURE].encode())
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [signature, *headers]}
    return ASGIRequest(scope, stream)


class TestSecret:
    """Where the secret of Frappe's webhooks comes from."""

    def test_override_settings(self) -> None:
        """The setting is read for each request."""
        view = verify_frappe_webhook(received)
        for secrets in ("Gp7Wd1Qs5Zx8Bm2Kv6Yc0Nt4", ["Gp7Wd1Qs5Zx8Bm2Kv6Yc0Nt4", SECRET]):
            with override_settings(FRAPPE_WEBHOOK_SECRET=secrets):
                assert view(posted()).status_code == (401 if isinstance(secrets, str) else 200)
        assert view(posted()).content == BODY

    def test_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without the setting, or if that is None, it is the environment's."""
        monkeypatch.setenv("FRAPPE_WEBHOOK_SECRET", "Gp7Wd1Qs5Zx8Bm2Kv6Yc0Nt4")
        view = verify_frappe_webhook(received)
        request = posted(BODY, signed(secret="Gp7Wd1Qs5Zx8Bm2Kv6Yc0Nt4"))

        assert view(request).status_code == 401
        with override_settings(FRAPPE_WEBHOOK_SECRET=None):
            assert view(request).status_code == 200
        with override_settings():
            del settings.FRAPPE_WEBHOOK_SECRET
            assert view(request).status_code == 200

    @override_settings(FRAPPE_WEBHOOK_SECRET=None)
    def test_no_secret(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Without a secret no request is accepted; the first one says where to set it."""
        monkeypatch.delenv("FRAPPE_WEBHOOK_SECRET", raising=False)

        with pytest.raises(ConfigurationError, match="set FRAPPE_WEBHOOK_SECRET in the settings"):
            verify_frappe_webhook(received)(posted())
        # Django itself would mail it to the admins, if there are any.
        assert "not verified: set FRAPPE_WEBHOOK_SECRET in the settings" in caplog.text

    @pytest.mark.parametrize("useless", ["", "*****", [], 5])
    def test_useless_secret(self, useless: Any) -> None:
        """A secret that is none is no secret."""
        with (
            override_settings(FRAPPE_WEBHOOK_SECRET=useless),
            pytest.raises(ConfigurationError),
        ):
            verify_frappe_webhook(received)(posted())

    def test_verifier_outlives_a_request(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """method_decorator() decorates anew for each request; the key is made once all the same."""
        made: list[Any] = []
        make = _keys.Key.of

        def counted(*args: Any, **options: Any) -> _keys.Key:
            made.append(args[-1])
            return make(*args, **options)

        client = Client(headers=signed(secret=OLD))
        client.post("/dispatched/x")  # imports the views
        monkeypatch.setattr(_keys.Key, "of", counted)

        with override_settings(FRAPPE_WEBHOOK_SECRET=OLD):
            for _ in range(3):
                assert client.post("/dispatched/x", BODY, "application/json").status_code == 200

        assert len(made) == 1

    def test_async_function(self) -> None:
        """A function that nobody would await is refused at once."""

        async def secret_of(_request: object) -> str:
            return SECRET

        decorator = verify_frappe_webhook(secret=secret_of)
        for view in (received, View, View.as_view(), Client):
            with pytest.raises(ConfigurationError, match="a sync view cannot await"):
                decorator(view)
        with pytest.raises(ConfigurationError, match="not with method_decorator"):
            method_decorator(decorator, name="dispatch")(View)


class TestLimit:
    """The largest accepted body."""

    @pytest.mark.parametrize(
        ("max_body", "of_django", "limit"),
        [(10, 20, 10), (20, 10, 10), (10, None, 10), (10, 0, 0), (None, 10, 10)],
    )
    def test_announced(self, max_body: int | None, of_django: int | None, limit: int) -> None:
        """The smaller limit holds, ours or DATA_UPLOAD_MAX_MEMORY_SIZE; the answer names it."""
        view = verify_frappe_webhook(max_body=max_body)(received)

        with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=of_django):
            assert view(posted(b"x" * limit)).status_code == 200
            refused = view(posted(b"x" * (limit + 1)))

        assert refused.status_code == 413
        assert f"larger than {limit} bytes".encode() in refused.content

    def test_default(self) -> None:
        """What Django takes by default is less than what Frappe may send: 2.5 MB."""
        of_django = global_settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=of_django):
            refused = verify_frappe_webhook(received)(posted(b"x" * 2_621_441))

        assert b"larger than 2621440 bytes" in refused.content

    @pytest.mark.parametrize(("max_body", "of_django"), [(20, 50), (50, 20), (20, None)])
    def test_spooled(self, max_body: int, of_django: int | None) -> None:
        """What an ASGI server has sent is not taken into memory if it is too large."""

        class Spooled(SpooledTemporaryFile[bytes]):
            def read(self, *_args: Any) -> bytes:
                msg = "not to be read"
                raise AssertionError(msg)

        view = verify_frappe_webhook(max_body=max_body)(received)
        with (
            Spooled(max_size=10) as stream,
            override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=of_django),
        ):
            stream.write(b"x" * 21)
            stream.seek(0)
            refused = view(posted_to_asgi(stream))

        assert b"larger than 20 bytes" in refused.content

    @pytest.mark.parametrize("size", [5, 50])
    def test_spooled_and_read(self, size: int) -> None:
        """A body in memory or in a file is read from its beginning, and stays readable."""
        body = b"a=" + b"1" * size
        with SpooledTemporaryFile(max_size=10) as stream:
            stream.write(body)
            stream.seek(0)
            request = posted_to_asgi(stream, (b"content-type", URLENCODED.encode()))
            request.META["HTTP_X_FRAPPE_WEBHOOK_SIGNATURE"] = signed(body)[SIGNATURE]

            assert verify_frappe_webhook(received)(request).content == body
            assert request.POST.dict() == {"a": "1" * size}

    def test_stream_of_unknown_size(self) -> None:
        """A stream that tells no size is read, and then refused."""
        refused = verify_frappe_webhook(max_body=10)(received)(posted_to_asgi(BytesIO(b"x" * 11)))

        assert refused.status_code == 413


class TestUnreadable:
    """Bodies that cannot be read are the client's, not a traceback of ours."""

    def test_broken_stream(self) -> None:
        """A server may say so in its own way."""

        class Broken(BytesIO):
            def read(self, *_args: Any) -> bytes:
                msg = "request data read error"
                raise OSError(msg)

        environ: Any = {"wsgi.input": Broken(), "CONTENT_LENGTH": "5"}
        answer = verify_frappe_webhook(received)(posted(**environ))

        assert answer.status_code == 400
        assert answer.content.startswith(b"The body is shorter than its Content-Length")

    @pytest.mark.parametrize("length", ["five", "9" * 5000, "²"])
    def test_content_length_that_is_none(self, length: str) -> None:
        """Servers refuse it; the development server does not."""
        answer = verify_frappe_webhook(received)(posted(CONTENT_LENGTH=length))
        later = asyncio.run(verify_frappe_webhook(received_later)(posted(CONTENT_LENGTH=length)))

        assert answer.status_code == 400
        assert later.status_code == 400


class TestSetUp:
    """Mistakes in the app."""

    def test_secret_where_the_view_belongs(self) -> None:
        """The likeliest slip has a message of its own."""
        with pytest.raises(ConfigurationError, match="by name only: secret="):
            verify_frappe_webhook(SECRET)  # type: ignore[call-overload]

    def test_secret_of_another_scheme(self) -> None:
        """Frappe's secret is not GitHub's: that one has to be named."""
        with pytest.raises(ConfigurationError, match="'github' needs secret="):
            verify_webhook(providers.GITHUB)

    def test_unknown_option(self) -> None:
        """A misspelt option is no option."""
        with pytest.raises(
            ConfigurationError, match=r"unknown option secrets: did you mean secret\?"
        ):
            verify_webhook(providers.GITHUB, secrets=SECRET)  # type: ignore[call-arg]

    def test_class_that_is_no_view(self) -> None:
        """A class without dispatch() is none."""
        with pytest.raises(ConfigurationError, match="int is not a view class: it has no dispatch"):
            verify_frappe_webhook(int)

    def test_view_keeps_its_name(self) -> None:
        """Django shows views by their names."""
        decorated = verify_frappe_webhook(received)

        assert decorated.__name__ == "received"
        assert decorated.__doc__ == received.__doc__
        assert not hasattr(received, "csrf_exempt")

    def test_get_delivery_of_an_unverified_request(self) -> None:
        """The message says what is missing."""
        with pytest.raises(ConfigurationError, match="/: this request was not verified"):
            get_delivery(posted())

    def test_get_delivery_of_something_else(self) -> None:
        """So does this one."""
        with pytest.raises(ConfigurationError, match="expected a request, but got a str"):
            get_delivery("request")  # type: ignore[arg-type]

    def test_async_views_without_an_async_server(self) -> None:
        """Django runs them under WSGI too."""
        client = Client()
        with override_settings(ROOT_URLCONF="tests.integrations.django_async_app"):
            for path in ("frappe", "dispatched/x", "decorated/x", "awaited/x"):
                sent = client.post(f"/{path}", BODY, "text/plain", headers=signed())
                assert sent.status_code == 200
                assert client.post(f"/{path}", BODY, "text/plain").status_code == 401


class TestChecks:
    """`manage.py check`, with our app in INSTALLED_APPS."""

    @staticmethod
    def check(folder: Path, *lines: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run it in a process of its own, with a settings module of these lines."""
        app = 'INSTALLED_APPS = ["frappe_hooksig.integrations.django"]'
        settings = "\n".join(("from frappe_hooksig import Secret", "USE_TZ = True", app, *lines))
        (folder / "of_a_site.py").write_text(settings, "utf-8")
        return subprocess.run(
            [sys.executable, "-m", "django", "check", "--settings=of_a_site"],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), **environment}
            | {name: value for name, value in os.environ.items() if name.startswith("COV")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @pytest.mark.parametrize(
        "value", [f"{SECRET!r}", f"[Secret({SECRET!r}, id='new'), {OLD!r}]"], ids=["one", "two"]
    )
    def test_good(self, tmp_path: Path, value: str) -> None:
        """There is nothing to say."""
        ran = self.check(tmp_path, f"FRAPPE_WEBHOOK_SECRET = {value}")

        assert ran.returncode == 0
        assert ran.stdout == "System check identified no issues (0 silenced).\n"

    def test_good_in_the_environment(self, tmp_path: Path) -> None:
        """That is a place for it too."""
        ran = self.check(tmp_path, FRAPPE_WEBHOOK_SECRET=SECRET)

        assert "no issues" in ran.stdout

    def test_missing(self, tmp_path: Path) -> None:
        """Perhaps each decorator has its own: a warning, which can be silenced."""
        ran = self.check(tmp_path)

        assert ran.returncode == 0
        assert "(frappe_hooksig.W001) FRAPPE_WEBHOOK_SECRET is not set." in ran.stderr
        assert "HINT: Set FRAPPE_WEBHOOK_SECRET in the settings or in the env" in ran.stderr
        silenced = self.check(tmp_path, 'SILENCED_SYSTEM_CHECKS = ["frappe_hooksig.W001"]')
        assert "no issues (1 silenced)" in silenced.stdout

    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            ("''", "is empty"),
            ("'**********'", "is a row of asterisks"),
            ("'-----BEGIN PUBLIC KEY----- Qv3r0mZ8tYp5'", "is a public key"),
            ("[]", "no secret is set"),
            ("5", "must be str or bytes, not int"),
            (f"[{SECRET!r}, '']", "secret 2 of 2 (the secret for scheme 'frappe') is empty"),
        ],
    )
    def test_unusable(self, tmp_path: Path, value: str, problem: str) -> None:
        """No request would be accepted: an error, which stops `manage.py check` and others."""
        ran = self.check(tmp_path, f"FRAPPE_WEBHOOK_SECRET = {value}")

        assert ran.returncode == 1
        assert "(frappe_hooksig.E001) FRAPPE_WEBHOOK_SECRET cannot be used: " in ran.stderr
        assert problem in ran.stderr
        assert "Qv3r0m" not in ran.stdout + ran.stderr

    @pytest.mark.parametrize(
        "value", ["'hunter2<>'", "Secret('hunter2<>')", f"[{SECRET!r}, 'hunter2<>']"]
    )
    def test_weak(self, tmp_path: Path, value: str) -> None:
        """It works, for whoever guesses it too: a warning for each suspicion, and no secret."""
        ran = self.check(tmp_path, f"FRAPPE_WEBHOOK_SECRET = {value}")

        assert ran.returncode == 0
        assert ran.stderr.count("(frappe_hooksig.W002)") == 2
        assert "shorter than 16 bytes" in ran.stderr
        assert "which the sender may replace when it stores the secret" in ran.stderr
        # Python's own warning for a Secret shows the line of the settings that makes it.
        shown = ran.stderr.partition("System check identified")[2]
        assert "hunter2" not in shown
        assert SECRET not in shown
