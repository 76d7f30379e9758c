"""Frappe: whitelisted methods in a stand-in of 14, 15 and 16, reached over HTTP."""

from __future__ import annotations

import json
import pickle
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial, wraps
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from inspect import signature
from pathlib import Path
from threading import Event, Thread
from typing import Any, ClassVar
from urllib.parse import urlsplit

import frappe
import pytest
import redis

import frappe_hooksig
from frappe_hooksig import (
    ConfigurationError,
    PayloadError,
    Scheme,
    Verifier,
    providers,
    sign_payload,
)
from frappe_hooksig.integrations.frappe import (
    enqueue_webhook,
    get_delivery,
    password,
    send_webhook,
    site_config,
    verify_frappe_webhook,
    verify_webhook,
)
from frappe_hooksig.replay import MemoryStore
from frappe_hooksig.testing import Answer, FakeReceiver
from tests.frappe_bench import Bench, Site, bench, valkey_url
from tests.integrations.conformance import (
    BODY,
    OLD,
    PROVIDERS,
    SECRET,
    SIGNATURE,
    URLENCODED,
    WHSEC,
    Conformance,
    own_secret,
    signed,
)
from tests.loopback import Answer as Received
from tests.loopback import Server, free_port

__all__ = ["bench", "valkey_url"]  # fixtures

APP = "tests.integrations.frappe_app:application"
OF_SITES = {"one.localhost": "Gp7Wd1Qs5Zx8Bm2Kv6Yc0Nt4", "two.localhost": "Tz5Hn8Vb2Jk6Pd0Lw4Xc9"}
WERKZEUG = version("werkzeug")
PATH = "tests.integrations.frappe_app."
FORGED = (401, "signature-mismatch")
FAILED = (500, "receiver-failed")


@pytest.fixture(scope="module")
def site(bench: Bench) -> Site:
    """The site that is called by its address."""
    hooks = {"github": [SECRET, OLD], "empty": "", "none": {}}
    site = bench.new_site(
        "127.0.0.1",
        webhook_secret=[SECRET, OLD],
        hooks=hooks,
        sending=WHSEC,
        frappe_hooksig_allowed_hosts=["127.0.0.0/8"],
    )
    site.sql("create table noted (what)")
    return site


@pytest.fixture(scope="module")
def server(bench: Bench, site: Site) -> Iterator[Server]:
    """A gunicorn with threads."""
    assert site.name == "127.0.0.1"
    with bench.serve("--threads=8", app=APP) as running:
        yield running


def is_utf8(body: bytes) -> bool:
    """Tell whether a body is text."""
    with suppress(UnicodeDecodeError):
        return bool(body.decode()) or not body
    return False


class TestConformance(Conformance):
    """A stand-in of Frappe under gunicorn, three versions."""

    KEPT = ("data", "form", "form-dict", "stream", "input")
    TOO_LARGE = (413, "")
    version: ClassVar[str]

    # Frappe has read the body before it looks for the method: nothing can be said before that.
    test_announced_length_is_enough = None  # type: ignore[assignment]
    test_unsigned_body_is_not_awaited = None  # type: ignore[assignment]

    @pytest.fixture(autouse=True)
    def _version(self, bench: Bench) -> None:
        type(self).version = bench.version

    @pytest.mark.stress
    @pytest.mark.parametrize("name", [name for name in PROVIDERS if name != "teams"])
    def test_providers(self, server: Server, name: str) -> None:
        """Every scheme verifies over HTTP, apart from the one that signs in Authorization."""
        super().test_providers(server, name)

    def test_authorization(self, server: Server) -> None:
        """Frappe refuses an Authorization of two words that names no user: Teams cannot sign in."""
        signed = sign_payload(BODY, own_secret(providers.TEAMS), scheme=providers.TEAMS)

        answer = server.send("/providers/teams", BODY, signed.headers)

        assert answer.status == 401
        assert "www-authenticate" not in answer.headers

    def of_framework(self, headers: dict[str, str], body: bytes) -> tuple[int, str] | None:
        """Frappe looks at keys for its API, and parses JSON before it calls the method."""
        if len(headers.get("authorization", "").split(" ")) == 2:
            return 401, ""
        mimetype = headers.get("content-type", "").partition(";")[0].strip().lower()
        if mimetype == URLENCODED and WERKZEUG.startswith("2.") and not is_utf8(body):
            return 413, ""  # in its own words, too large
        if not body or not (mimetype == "application/json" or mimetype.endswith("+json")):
            return None
        try:
            parsed = json.loads(body.decode(errors="replace"))
        except ValueError:
            return 500, ""
        is_taken = isinstance(parsed, dict if self.version == "14" else dict | list)
        return None if is_taken else (417, "")


def github(secret: str) -> dict[str, str]:
    """Return GitHub's headers."""
    return sign_payload(BODY, secret, scheme=providers.GITHUB).headers


class TestSecret:
    """Where a site keeps its secrets."""

    def test_site_config(self, server: Server) -> None:
        """A key of site_config.json, by itself or in an object, and a list in either."""
        for secret in (SECRET, OLD):
            assert server.send("/bare", BODY, signed(secret=secret)).status == 200
            assert server.send("/dotted", BODY, github(secret)).status == 200
        assert server.send("/bare", BODY, signed(secret=WHSEC)).outcome == FORGED
        assert server.send("/dotted", BODY, github(WHSEC)).outcome == FORGED

    def test_password(self, server: Server, site: Site) -> None:
        """A Password field of a Single, as it is when the request comes."""
        for secret in (SECRET, OLD):
            site.set_password("Hook Settings", "Hook Settings", "github", secret)

            assert server.send("/password", BODY, github(secret)).status == 200
        assert server.send("/password", BODY, github(SECRET)).outcome == FORGED

    def test_several_passwords(self, server: Server, site: Site) -> None:
        """Several fields of a named document are a rotation; an empty one is passed over."""
        before = server.log.count("set new or old in Hook Settings named of 127.0.0.1")
        site.set_password("Hook Settings", "named", "old", OLD)

        assert server.send("/passwords", BODY, github(OLD)).json()["secret_id"] == "old"
        site.set_password("Hook Settings", "named", "new", SECRET)
        assert server.send("/passwords", BODY, github(OLD)).json()["secret_id"] == "old"
        assert server.send("/passwords", BODY, github(SECRET)).json()["secret_id"] == "new"
        site.sql("delete from __Auth where name = 'named'")
        assert server.send("/passwords", BODY, github(SECRET)).outcome == FAILED
        assert server.has_logged("set new or old in Hook Settings named of 127.0.0.1", before + 1)

    @pytest.mark.parametrize("key", [None, "another", "malformed"])
    def test_password_that_cannot_be_decrypted(
        self, server: Server, site: Site, key: str | None
    ) -> None:
        """A site that was restored without its encryption_key is told so; the key mends it."""
        explained = (
            "github in Hook Settings of 127.0.0.1: a secret is there and cannot be decrypted: "
            "check encryption_key in site_config.json"
        )
        before = server.log.count(explained)
        site.set_password("Hook Settings", "Hook Settings", "github", SECRET)
        site_key = site.config()["encryption_key"]

        site.config(encryption_key=key)
        try:
            answer = server.send("/password", BODY, github(SECRET))
        finally:
            site.config(encryption_key=site_key)

        assert answer.outcome == FAILED
        assert answer.json().keys() == {"status", "reason", "message"}
        assert server.has_logged(explained, before + 1)
        assert server.send("/password", BODY, github(SECRET)).status == 200

    def test_one_password_that_cannot_be_decrypted(self, server: Server, site: Site) -> None:
        """Of several, those that can be are used, and the answer has no message of Frappe's."""
        for fieldname, secret in (("new", SECRET), ("old", OLD)):
            site.set_password("Hook Settings", "named", fieldname, secret)
        site.sql("update __Auth set password = 'x:' || password where fieldname = 'new'")

        answer = server.send("/passwords-told", BODY, github(OLD))
        site.sql("delete from __Auth where name = 'named'")

        assert answer.json() == {"message": "old"}
        assert server.send("/passwords-told", BODY, github(SECRET)).outcome == FAILED

    def test_verifier(self, server: Server) -> None:
        """A Verifier has its own secret."""
        assert server.send("/verifier", BODY, github(SECRET)).status == 200
        assert server.send("/verifier", BODY, github(OLD)).outcome == FORGED

    def test_sites_of_one_process(self, bench: Bench) -> None:
        """Each site knows its own secret only, whichever thread did what before."""
        for name, secret in OF_SITES.items():
            bench.new_site(name, webhook_secret=secret)
        bench.new_site("three.localhost")

        def send(pair: tuple[str, str]) -> tuple[int, str]:
            name, secret = pair
            return running.send("/bare", BODY, signed(secret=secret, Host=name)).outcome

        pairs = [(name, secret) for name in OF_SITES for secret in OF_SITES.values()]
        pairs += [("three.localhost", secret) for secret in OF_SITES.values()]
        with bench.serve("--threads=8", app=APP) as running, ThreadPoolExecutor(12) as pool:
            outcomes = list(pool.map(send, pairs * 30))
            assert "set webhook_secret in the site_config.json of three.localhost" in running.log

        accepted = (200, "")
        assert outcomes == [accepted, FORGED, FORGED, accepted, FAILED, FAILED] * 30


class TestRefusal:
    """What a request gets that is not let through, and what is left of it."""

    @pytest.mark.parametrize("accept", ["*/*", "text/html", "application/json"])
    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
    def test_answer(self, server: Server, method: str, accept: str) -> None:
        """JSON with its status, whatever the sender accepts."""
        body = b"" if method == "GET" else BODY
        answer = server.send("/bare", body, {"Accept": accept}, method=method)

        assert answer.outcome == (401, "missing-header")
        assert answer.headers["www-authenticate"].startswith("Webhook-Signature header=")
        assert answer.headers["content-type"] == "application/json"

    @pytest.mark.parametrize(
        ("where", "body", "typed"),
        [
            ("/?cmd=", b"x", "text/plain"),
            ("/", b"cmd=", URLENCODED),
            ("/api/method/ping?cmd=", b"x", "text/plain"),
        ],
    )
    def test_method_named_by_cmd(self, server: Server, where: str, body: bytes, typed: str) -> None:
        """There, Frappe drops what a method returns; the status is right all the same."""
        name = "tests.integrations.frappe_app.serve_noted"
        path = where + name if where.endswith("=") else where
        body = body + name.encode() if body.endswith(b"=") else body
        headers = {"Content-Type": typed, "Host": "127.0.0.1"}

        def send(**more: str) -> Received:
            # Not under /api, where the app of the tests has paths of its own.
            return server.send(path, body, headers | more)

        assert send().outcome == (401, "missing-header")
        assert send(**signed(b"other")).outcome == FORGED
        refused = send(**signed(body))
        assert refused.outcome == (400, "malformed-payload")
        assert refused.json().keys() == {"status", "reason", "message"}

    def test_nothing_is_written(self, server: Server, site: Site) -> None:
        """Not even by a function that looks for the secret, or before no JSON was found."""
        for headers, body, rows in (
            ({}, BODY, []),
            (signed(b"other"), BODY, []),
            (signed(b"{"), b"{", []),
            (signed(b"1"), b"1", ["a secret was looked up", "a delivery came"]),
        ):
            server.send("/noted", body, headers)
            assert [what for (what,) in site.sql("select what from noted")] == rows
        site.sql("delete from noted")

    @pytest.mark.parametrize(
        "path", ["/broken", "/?cmd=tests.integrations.frappe_app.serve_broken"]
    )
    def test_secret_that_breaks(self, server: Server, site: Site, path: str) -> None:
        """A stranger learns nothing of what was raised, and nothing is written; the log has it."""
        before = server.log.count("Traceback")

        answer = server.send(path, BODY, signed() | {"Content-Type": "text/plain"})

        assert answer.outcome == FAILED
        assert answer.json().keys() == {"status", "reason", "message"}
        assert SECRET.encode() not in answer.body
        assert site.sql("select * from noted") == []
        assert site.sql("select * from `tabError Log` where error like '%ValidationError%'") == []
        assert server.has_logged("Traceback", before + 1)

    def test_empty_failure(self, server: Server) -> None:
        """A failure is told without a body too, if the sender accepts none."""
        answer = server.send("/broken-empty", BODY, signed())

        assert (answer.status, answer.body) == (500, b"")
        assert "content-type" not in answer.headers

    @pytest.mark.parametrize("headers", [{}, signed(b"other"), {SIGNATURE: ""}])
    def test_other_words(self, server: Server, headers: dict[str, str]) -> None:
        """A decorator above ours can replace a refusal; it does not make the method run."""
        answer = server.send("/other-words", BODY, headers)

        assert answer.status == 403
        assert answer.body.startswith(b"no: ")
        assert server.send("/other-words", BODY, signed()).json()["status"] == "received"

    def test_two_methods(self, server: Server) -> None:
        """One request is verified once: what the second method would do is not done."""
        before = server.log.count("only one decorated method can verify a request")

        assert server.send("/either", BODY, signed()).status == 200
        assert server.send("/either", BODY, signed(secret=WHSEC)).outcome == FAILED
        assert server.has_logged("only one decorated method can verify a request", before + 1)

    def test_arguments(self, server: Server) -> None:
        """Nobody can fill in a parameter, signed or not."""
        path = "/arguments?args=1&self=2&a=3"
        typed = {"Content-Type": "application/json"}

        answer = server.send(path, BODY, signed() | typed)

        assert answer.json() == {"args": [], "kwargs": {}}

    def test_decorator_between(self, server: Server, valkey_url: str) -> None:
        """What counts requests stands above, and counts those that are refused too."""
        connection = redis.Redis.from_url(valkey_url)
        before = int(connection.get("calls") or 0)

        assert server.send("/counted", BODY, signed()).status == 200
        assert server.send("/counted", BODY).status == 401
        assert int(connection.get("calls") or 0) == before + 2


class TestLog:
    """What an administrator finds in the log of the site."""

    def test_refused(self, bench: Bench) -> None:
        """Each refusal has a line in the log of its own site, without anything that was sent."""
        one = bench.new_site("one.log", webhook_secret=SECRET)
        other = bench.new_site("other.log", webhook_secret=SECRET)
        with bench.serve(app=APP) as running:
            for headers in ({}, signed(b"other")):
                path = "/bare?token=of-the-url"
                assert running.send(path, BODY, {"Host": one.name} | headers).status == 401
            assert running.send("/bare", BODY, signed(Host=one.name)).status == 200

        lines = one.log().splitlines()
        reasons = ["missing-header", "signature-mismatch"]
        for line, reason in zip(lines, reasons, strict=True):
            at = "at POST /bare (scheme frappe, "
            assert f" WARNING frappe_hooksig webhook refused: {reason} {at}" in line
        for hidden in ("of-the-url", BODY.decode(), SECRET, *signed(b"other").values()):
            assert hidden not in one.log()
        assert other.log() == ""

    def test_failed(self, bench: Bench) -> None:
        """The cause of a 500 is there, and of a foreign error its kind only."""
        site = bench.new_site("failed.log")
        site.sql("create table noted (what)")
        with bench.serve(app=APP) as running:
            for path in ("/bare", "/broken"):
                assert running.send(path, BODY, signed(Host=site.name)).outcome == FAILED

        explained, foreign = site.log().splitlines()
        assert explained.endswith(
            f" ERROR frappe_hooksig webhook not verified at POST /api/method/{PATH}serve_bare: "
            f"set webhook_secret in the site_config.json of {site.name}"
        )
        assert foreign.endswith("serve_broken: ValidationError")
        assert SECRET not in site.log()

    def test_forged_lines(self, bench: Bench) -> None:
        """A path cannot begin a line of its own, nor fill the log."""
        site = bench.new_site("forged.log", webhook_secret=SECRET)
        end = "%0A2026-11-28 ERROR forged%1B%E2%80%A8" + "x" * 3_000
        with bench.serve(app=APP) as running:
            url = f"/?cmd={PATH}serve_bare"
            path = f"/{end}{url[1:]}".replace(" ", "%20")
            answer = running.send(path, BODY, {"Host": site.name, "X-Frappe-Site-Name": site.name})

        assert answer.status in {401, 404}
        assert len(site.log()) < 600
        assert [line[:2] for line in site.log().splitlines()] == ["20"] * (answer.status == 401)

    def test_log_that_cannot_be_written(self, bench: Bench) -> None:
        """The request is answered all the same."""
        site = bench.new_site("unwritable.log", webhook_secret=SECRET)
        folder = site.database.parent / "logs"
        folder.rmdir()
        folder.write_text("no folder")
        with bench.serve(app=APP) as running:
            assert running.send("/bare", BODY, {"Host": site.name}).status == 401
            assert "Traceback" not in running.log


@pytest.mark.parametrize("path", ["/once", "/cached"])
class TestOnce:
    """Each delivery handled once, inside of a site, in memory and in the site's cache."""

    def send(self, server: Server, path: str, number: str, first: Any, takes: float = 0) -> int:
        """Have something done, and return with which status it ended."""
        body = json.dumps({"n": number, "first": first, "takes": takes}).encode()
        return server.send(path, body, signed(body)).status

    def noted(self, site: Site, number: str) -> int:
        """Return how often it was done, and committed."""
        return len(site.sql("select * from noted where what = ?", number))

    def test_repeat(self, server: Server, bench: Bench, site: Site, path: str) -> None:
        """What was done is not done again."""
        number = f"repeat {bench.version} {path}"
        statuses = [self.send(server, path, number, 201) for _ in range(3)]

        assert statuses == [201, 200, 200]
        assert self.noted(site, number) == 1

    @pytest.mark.parametrize(
        ("first", "status"),
        [("raises", 500), ("commit fails", 500), ("response", 500), (404, 404), (302, 302)],
    )
    def test_failure(
        self, server: Server, bench: Bench, site: Site, path: str, first: Any, status: int
    ) -> None:
        """What was not done, or not committed, is done at the next attempt, and then no more."""
        number = f"{first} {bench.version} {path}"

        statuses = [self.send(server, path, number, first) for _ in range(3)]

        assert statuses == [status, 200, 200]
        # Frappe commits what is returned, whatever it says.
        assert self.noted(site, number) == (1 if first in {"raises", "commit fails"} else 2)

    def test_in_flight(self, server: Server, bench: Bench, site: Site, path: str) -> None:
        """A repeat waits, for longer than a lease, and is none the worse for it."""
        number = f"slow {bench.version} {path}"
        with ThreadPoolExecutor(4) as pool:
            statuses = list(pool.map(lambda _: self.send(server, path, number, 200, 2), range(4)))

        assert statuses == [200] * 4
        assert self.noted(site, number) == 1


def test_unsigned_events(server: Server, bench: Bench) -> None:
    """Two events with one body are two deliveries; one that is not listed comes to no handler."""
    signed = sign_payload({"version": bench.version}, SECRET, scheme=providers.WOOCOMMERCE)
    topics = ["order.created", "order.updated", "order.updated", "order.deleted"]

    answers: list[Any] = [
        server.send("/events", signed.body, signed.headers | {"X-WC-Webhook-Topic": topic})
        for topic in topics
    ]

    assert [each.status for each in answers] == [200] * 4
    assert [each.json() for each in answers[:2]] == [{"handled": topic} for topic in topics[:2]]
    assert [each.json()["status"] for each in answers[2:]] == ["duplicate", "ignored"]


class TestStores:
    """Whose deliveries are whose."""

    def test_keys(self, server: Server, bench: Bench, valkey_url: str) -> None:
        """In the cache, a site's keys begin as all of its keys do."""
        connection: Any = redis.Redis.from_url(valkey_url)
        body = b'{"n": "keys %s", "first": 200, "takes": 0}' % bench.version.encode()
        before = set(connection.keys("*"))

        assert server.send("/cached", body, signed(body)).status == 200
        (key,) = set(connection.keys("*")) - before
        assert key.startswith(b"127_0_0_1|hooksig:")
        assert 50_000 < connection.pttl(key) <= 60_000

    def test_no_cache(self, bench: Bench, tmp_path: Path) -> None:
        """If the cache cannot be reached, nothing is done."""
        body = b'{"n": "none", "first": 200, "takes": 0}'
        lonely = Bench(tmp_path, bench.version, "redis://127.0.0.1:9")
        site = lonely.new_site("127.0.0.1", webhook_secret=SECRET)
        site.sql("create table noted (what)")
        with lonely.serve(app=APP) as server:
            answer = server.send("/cached", body, signed(body))
            assert server.has_logged("the cache of 127.0.0.1 failed: ConnectionError", 1)

        assert answer.outcome == (503, "store-unavailable")
        assert site.sql("select * from noted") == []

    def test_frappe_14(self, valkey_url: str, tmp_path: Path) -> None:
        """It says nothing of its commits, so the adapter commits before it completes a claim."""
        body = b'{"n": "of 14", "first": 200, "takes": 0}'
        bench = Bench(tmp_path, "14", valkey_url)
        site = bench.new_site("127.0.0.1", webhook_secret=SECRET)
        site.sql("create table noted (what)")
        with bench.serve(app=APP) as server:
            answers = [server.send("/cached", body, signed(body)) for _ in range(2)]

        assert [answer.status for answer in answers] == [200, 200]
        assert answers[1].json()["status"] == "duplicate"
        assert len(site.sql("select * from noted")) == 1

    def test_transaction(self, server: Server) -> None:
        """A repeat that has waited sees what the first attempt has committed meanwhile."""
        answer = server.send("/looked-up", BODY, signed())

        assert answer.json()["message"] == {"in_transaction": False, "is_claimed": True}

    def test_tenants(self, server: Server) -> None:
        """Two of them never share a delivery, nor do two sites."""
        answers = [
            server.send(f"/once-too?tenant={tenant}", BODY, signed()).json()
            for tenant in ("a", "b", "a")
        ]

        assert ["sha256" in answer for answer in answers] == [True, True, False]
        assert answers[2]["status"] == "duplicate"


class Receiver(BaseHTTPRequestHandler):
    """Takes down what it is sent, and answers with the next of its statuses."""

    statuses: ClassVar[list[int]]
    received: ClassVar[list[tuple[dict[str, str], bytes]]]
    done: ClassVar[Event]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.append(({name.lower(): text for name, text in self.headers.items()}, body))
        self.send_response(self.statuses[0])
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        if len(self.statuses) > 1:
            del self.statuses[0]
        else:
            self.done.set()

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@contextmanager
def receiver(*statuses: int, port: int = 0) -> Iterator[tuple[str, type[Receiver]]]:
    """Run a receiver until the block ends; return its URL."""
    kind = type("_", (Receiver,), {"statuses": [*statuses], "received": [], "done": Event()})
    with ThreadingHTTPServer(("127.0.0.1", port), kind) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/hook?token=of-the-url", kind
        running.shutdown()


def queue(server: Server, url: str, scheme: str = "frappe", *, fails: bool = False) -> int:
    """Have the site queue a webhook."""
    payload = {"name": "SO-00001", "customer": "Ünï"}
    order = json.dumps({"url": url, "scheme": scheme, "payload": payload, "fails": fails}).encode()
    return server.send("/send", order, signed(order)).status


@pytest.fixture(scope="class")
def worker(bench: Bench) -> Iterator[Server]:
    """A worker that does the jobs of a bench, for all tests of a class."""
    with bench.work() as running:
        yield running


@pytest.mark.usefixtures("worker")
class TestSending:
    """`enqueue_webhook()`, with a worker."""

    EXPECTED = b'{"name": "SO-00001", "customer": "\\u00dcn\\u00ef"}'

    @pytest.mark.parametrize(
        "name", ["frappe", "webhook-timestamped", "gitlab", "hubspot-v3", "standard-webhooks"]
    )
    def test_received(self, server: Server, name: str) -> None:
        """What is sent verifies, by any scheme; after the transaction, not from one that fails."""
        with receiver(200) as (url, received):
            assert queue(server, url, name, fails=True) == 500
            assert queue(server, url, name) == 200
            assert received.done.wait(10)

        ((headers, body),) = received.received
        assert body == self.EXPECTED
        assert headers["content-type"] == "application/json"
        verifier = Verifier(WHSEC, scheme=providers.get(name))
        assert verifier.verify(body, headers, method="POST", url=url)

    def test_tried_again(self, server: Server) -> None:
        """The second attempt has the body and the id of the first."""
        with receiver(503, 200) as (url, received):
            assert queue(server, url, "standard-webhooks") == 200
            assert received.done.wait(10)

        (first, body), (second, same) = received.received
        assert body == same == self.EXPECTED
        assert first["webhook-id"] == second["webhook-id"]
        assert first["webhook-timestamp"] < second["webhook-timestamp"]

    def test_gone(self, server: Server, worker: Server, site: Site) -> None:
        """A receiver that wants no more is left alone; the error names the host, not the URL."""
        with receiver(410) as (url, received):
            assert queue(server, url) == 200
            assert worker.has_logged("RuntimeError: webhook to 127.0.0.1 failed: ", 1)

        assert len(received.received) == 1
        (logged,) = site.sql("select error from `tabError Log` order by rowid desc limit 1")
        assert "410" in logged[0]
        assert "of-the-url" not in logged[0]

    @pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "http://[::1]:9/?token=1"])
    def test_address_that_is_not_allowed(self, server: Server, worker: Server, url: str) -> None:
        """An address that is not public is refused before anything is queued."""
        before = worker.log

        assert queue(server, url) == 500
        assert server.has_logged("list it in frappe_hooksig_allowed_hosts in site_config.json", 1)
        server.log = ""
        assert worker.log == before

    def test_nobody_there(self, server: Server) -> None:
        """A connection that fails is tried again."""
        with receiver(200) as (url, gone):
            pass
        assert queue(server, url) == 200
        gone.done.wait(0.5)  # the first attempt is made while nobody listens
        with receiver(200, port=urlsplit(url).port or 0) as (_, received):
            assert received.done.wait(10)

        assert not gone.received
        assert len(received.received) == 1


def test_job_holds_no_secret(server: Server, valkey_url: str) -> None:
    """What lies in Redis says where the secret is."""
    connection = redis.Redis.from_url(valkey_url)
    assert queue(server, "http://127.0.0.1:9/") == 200

    job: Any = connection.lpop("rq:queue:short")

    assert b"sending" in job
    assert WHSEC.encode() not in job
    # As Frappe shows it to administrators.
    shown = json.loads(json.dumps(pickle.loads(job)["kwargs"], default=repr))
    assert shown["scheme"]["name"] == "frappe"
    assert shown["body"].encode() == TestSending.EXPECTED
    assert shown["secret"] == "InSiteConfig(sending)"


@contextmanager
def changed_config(site: Site, **changes: Any) -> Iterator[None]:
    """Change a site's configuration until the block ends."""
    before = site.config()
    site.config(**changes)
    try:
        yield
    finally:
        site.config(**dict.fromkeys(changes) | before)


def test_address_that_is_not_allowed_any_more(bench: Bench, server: Server, site: Site) -> None:
    """A job asks its site again; nothing is sent, and the Error Log says what to set."""
    with receiver(200) as (url, received):
        assert queue(server, url) == 200
        with changed_config(site, frappe_hooksig_allowed_hosts=["10.0.0.0/8"]), bench.work() as job:
            job.wait_for("RuntimeError: webhook to 127.0.0.1 failed: ", 1)

    assert not received.received
    (logged,) = site.sql("select error from `tabError Log` order by rowid desc limit 1")
    assert "list it in frappe_hooksig_allowed_hosts in site_config.json" in logged[0]
    assert "of-the-url" not in logged[0]


def test_rotation_while_sending(bench: Bench, server: Server, site: Site) -> None:
    """A job that waits signs with the secret that is there when it runs."""
    with receiver(200) as (url, received):
        assert queue(server, url) == 200
        with changed_config(site, sending=OLD), bench.work():
            assert received.done.wait(10)

    ((headers, body),) = received.received
    assert Verifier(OLD).verify(body, headers)


# Without a server, from here on.


def handler() -> str:
    """Stand for a whitelisted method."""
    return "handled"


def decorated_by_another(function: Callable[[], str]) -> Callable[[], str]:
    """Do as decorators do."""

    @wraps(function)
    def inner() -> str:
        return function()

    return inner


async def waits() -> None:
    """Stand for a method that Frappe would not wait for."""


async def yields() -> AsyncIterator[int]:
    """Stand for one that would never end."""
    yield 1


async def secret_later(_request: object) -> str:
    """Stand for a secret that Frappe would not wait for."""
    return SECRET


def takes(order: str, *_args: str, limit: int = 5, **_kwargs: str) -> str:
    """Stand for a method that would be called with what a stranger sends."""
    return order * limit


@pytest.fixture
def configuration(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A site's configuration, without a site."""
    found: dict[str, Any] = {"frappe_hooksig_allowed_hosts": ["127.0.0.1"]}
    monkeypatch.setattr(frappe.local, "conf", found, raising=False)
    return found


class Job:
    """The job that sends, without Frappe around it.

    Attributes:
        steps: What it did between attempts: "rollback", and how long it slept.
    """

    def __init__(self) -> None:
        self.steps: list[Any] = []

    def rollback(self) -> None:
        """Do as the database does."""
        self.steps.append("rollback")

    def has_paused(self, *pauses: int) -> bool:
        """Tell whether it slept so many seconds each time, and a tenth more at most."""
        assert self.steps[::2] == ["rollback"] * len(pauses)
        slept = self.steps[1::2]
        return all(least <= each <= least * 1.1 for least, each in zip(pauses, slept, strict=True))

    def send(self, url: str, body: str | bytes = "{}", secret: Any = lambda: SECRET) -> None:
        """Do it."""
        scheme = {"name": "mine", "signature_header": "X-Mine", "encoding": "hex"}
        send_webhook(
            url=url,
            body=body,
            headers={"Content-Type": "application/json"},
            secret=secret,
            scheme=scheme,
            delivery_id=None,
        )


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch, configuration: dict[str, Any]) -> Job:
    """A job that takes no time between its attempts."""
    assert configuration
    made = Job()
    monkeypatch.setattr(time, "sleep", made.steps.append)
    monkeypatch.setattr(frappe.local, "db", made, raising=False)
    return made


PACKAGE = str(Path(frappe_hooksig.__file__).parent)


def frames_of_ours(error: BaseException) -> str:
    """Return the local variables of our frames, as Frappe's Error Log shows them."""
    stack = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    return "\n".join(str(each.locals) for each in stack if each.filename.startswith(PACKAGE))


class TestJob:
    """`send_webhook()`, without Frappe around it."""

    @pytest.mark.parametrize("status", [302, 400, 401, 404, 429, 500, 503])
    def test_given_up(self, job: Job, status: int) -> None:
        """It is tried four times, and never sent elsewhere; the last failure is the job's."""
        with (
            FakeReceiver([Answer(status, headers={"Location": "/elsewhere"})]) as received,
            pytest.raises(RuntimeError, match=rf"^webhook to 127\.0\.0\.1 failed: .*{status}"),
        ):
            job.send(f"{received.url}hook")

        assert job.has_paused(1, 4, 10)
        assert [each.path for each in received.requests] == ["/hook"] * 4

    def test_gone(self, job: Job) -> None:
        """A receiver that wants no more is not asked again."""
        with FakeReceiver([410]) as received, pytest.raises(RuntimeError, match="410"):
            job.send(received.url)

        assert len(received.requests) == 1
        assert job.steps == []

    def test_reason_of_a_receiver(self, job: Job) -> None:
        """A reason that this package answers with is in the error, and no text of a receiver."""
        refusal = b'{"reason": "signature-mismatch", "message": "It does not match"}'
        answer = Answer(401, refusal, {"Content-Type": "application/json"})
        with FakeReceiver([answer]) as received, pytest.raises(RuntimeError) as caught:
            job.send(received.url)

        assert str(caught.value).endswith(" failed: HTTP 401 signature-mismatch")

    def test_answer_of_a_stranger(self, job: Job) -> None:
        """Its text is not in the error: it may repeat the path, which may have a token."""
        with (
            FakeReceiver([Answer(404, b"no /hook/t0ken")]) as received,
            pytest.raises(RuntimeError, match=r" failed: the receiver answered HTTP 404$"),
        ):
            job.send(f"{received.url}hook/t0ken")

    @pytest.mark.parametrize(
        ("retry_after", "pause"), [("0", 1), ("30", 30), ("90", 90), ("never", 1)]
    )
    def test_retry_after(self, job: Job, retry_after: str, pause: int) -> None:
        """A receiver may ask for more time."""
        with FakeReceiver([Answer(503, headers={"Retry-After": retry_after}), 200]) as received:
            job.send(received.url)

        assert job.has_paused(pause)
        assert len(received.requests) == 2

    @pytest.mark.parametrize("retry_after", ["101", "3600", "Fri, 31 Dec 2100 23:59:59 GMT"])
    def test_retry_after_the_job(self, job: Job, retry_after: str) -> None:
        """A receiver that asks for more time than the job has gets no other attempt."""
        busy = Answer(503, headers={"Retry-After": retry_after})
        with FakeReceiver([busy, 200]) as received, pytest.raises(RuntimeError, match=r"HTTP 503$"):
            job.send(received.url)

        assert len(received.requests) == 1
        assert job.steps == []

    def test_secret_that_is_changed(self, job: Job) -> None:
        """Each attempt signs with the secret that is there then, in a new transaction."""
        secrets = iter([SECRET, OLD])
        with FakeReceiver([401, 200]) as received:
            job.send(received.url, secret=lambda: next(secrets))

        scheme = Scheme(name="mine", signature_header="X-Mine", encoding="hex")
        for request, secret in zip(received.requests, [SECRET, OLD], strict=True):
            assert Verifier(secret, scheme=scheme).verify(request.body, request.headers)
            assert request.header("Content-Type") == "application/json"

    @pytest.mark.parametrize("body", [b"\xff\x00", "Ü", ""])
    def test_body(self, job: Job, body: str | bytes) -> None:
        """A body that is no text goes as it is, and text as UTF-8."""
        with FakeReceiver() as received:
            job.send(received.url, body)

        assert received.requests[0].body == (body.encode() if isinstance(body, str) else body)
        assert job.steps == []

    @pytest.mark.parametrize(
        ("url", "secret"),
        [
            ("http://127.0.0.1:{}/of-the-url", lambda: SECRET),
            ("http://10.0.0.1:{}/of-the-url", lambda: SECRET),
            ("http://127.0.0.1:{}/of-the-url", lambda: ""),
            ("http://127.0.0.1:{}/of-the-url ", lambda: SECRET),
        ],
        ids=["refused", "blocked", "no secret", "no URL"],
    )
    def test_frames(self, job: Job, url: str, secret: Any) -> None:
        """The Error Log shows the local variables of each frame: ours have neither URL nor body."""
        with (
            FakeReceiver([400]) as received,
            pytest.raises((RuntimeError, ConfigurationError)) as caught,
        ):
            job.send(url.format(urlsplit(received.url).port), "of-the-body", secret)

        assert "_Webhook" in frames_of_ours(caught.value)
        assert "of-the-" not in frames_of_ours(caught.value)

    @pytest.mark.parametrize("url", ["http://127.0.0.1:{nobody}/", "https://127.0.0.1:{plain}/"])
    def test_unreachable(self, job: Job, url: str) -> None:
        """What fails without an answer may pass too."""
        with FakeReceiver() as receiver, pytest.raises(RuntimeError, match=r"127\.0\.0\.1 failed"):
            job.send(url.format(nobody=free_port(), plain=urlsplit(receiver.url).port))

        assert job.has_paused(1, 4, 10)
        assert not receiver.requests

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
    @pytest.mark.parametrize("allowed", [None, [], ["10.0.0.0/8", "erp.internal"]], ids=str)
    def test_blocked(
        self, job: Job, configuration: dict[str, Any], host: str, allowed: object
    ) -> None:
        """It ends at once, and says what to set."""
        configuration["frappe_hooksig_allowed_hosts"] = allowed
        with (
            FakeReceiver() as receiver,
            pytest.raises(RuntimeError, match="frappe_hooksig_allowed_hosts in site_config") as e,
        ):
            job.send(f"http://{host}:{urlsplit(receiver.url).port}/?token=of-the-url")

        assert "of-the-url" not in str(e.value)
        assert not receiver.requests
        assert job.steps == []

    @pytest.mark.parametrize(
        ("allowed", "host"),
        [
            (["127.0.0.0/8"], "127.0.0.1"),
            (["localhost"], "localhost"),
            (("127.0.0.1",), "localhost"),
        ],
    )
    def test_allowed(
        self, job: Job, configuration: dict[str, Any], allowed: object, host: str
    ) -> None:
        """Addresses, networks and names of one's own may be sent to."""
        configuration["frappe_hooksig_allowed_hosts"] = allowed
        with FakeReceiver() as receiver:
            job.send(f"http://{host}:{urlsplit(receiver.url).port}/")

        assert len(receiver.requests) == 1


class TestSetUp:
    """Mistakes in an app, found when it is imported."""

    def test_whitelisted_before(self) -> None:
        """Our decorator above Frappe's would not be called."""
        whitelisted = frappe.whitelist(allow_guest=True)(handler)

        with pytest.raises(ConfigurationError, match=r"handler: put @frappe\.whitelist.* above"):
            verify_frappe_webhook(whitelisted)
        with pytest.raises(ConfigurationError, match=r"handler: put @frappe\.whitelist.* above"):
            verify_frappe_webhook(decorated_by_another(whitelisted))

    def test_parameters(self) -> None:
        """A method that takes arguments would get what nobody has verified."""
        view: Any = takes

        with pytest.raises(ConfigurationError, match="would fill order, limit with unverified"):
            verify_frappe_webhook(view)

    @pytest.mark.parametrize(
        "view",
        [waits, wraps(waits)(lambda: waits()), yields, Receiver, partial(handler)],  # noqa: PLW0108
        ids=["async", "decorated", "generator", "class", "partial"],
    )
    def test_what_is_no_method(self, view: Any) -> None:
        """Neither async functions nor classes are."""
        with pytest.raises(ConfigurationError, match="decorate a plain function"):
            verify_frappe_webhook(view)

    def test_async_secret(self) -> None:
        """Nobody would wait for it."""
        with pytest.raises(ConfigurationError, match="the Frappe adapter cannot await"):
            verify_frappe_webhook(secret=secret_later)

    def test_async_store(self) -> None:
        """Nobody would wait for that either."""

        class Later(MemoryStore):
            async def claim(self, *_: object) -> None: ...  # type: ignore[override]

        store: Any = Later()
        with pytest.raises(ConfigurationError, match="store= is an async store"):
            verify_frappe_webhook(store=store)

    def test_senders_without_tenants(self) -> None:
        """A function for the secret may know many senders, which have to be told apart."""
        with pytest.raises(
            ConfigurationError, match=r"use store=Deduplicator\(\.\.\., tenant=\.\.\.\)"
        ):
            verify_frappe_webhook(secret=lambda _request: SECRET, store=MemoryStore())

    def test_secret_of_another_scheme(self) -> None:
        """Frappe's secret is not GitHub's: that one has to be named."""
        with pytest.raises(ConfigurationError, match="'github' needs secret="):
            verify_webhook(providers.GITHUB)

    def test_unknown_option(self) -> None:
        """A misspelt option is no option."""
        with pytest.raises(
            ConfigurationError, match=r"unknown option secrets: did you mean secret\?"
        ):
            verify_frappe_webhook(secrets=SECRET)  # type: ignore[call-overload]

    def test_what_frappe_sees(self) -> None:
        """A name, no parameters to fill, no types to convert them to."""
        view = verify_frappe_webhook(handler)

        assert view.__name__ == "handler"
        assert not signature(view).parameters
        assert view.__annotations__ == {}
        assert handler.__annotations__ == {"return": "str"}

    def test_delivery_of_no_request(self) -> None:
        """A background job has none."""
        with pytest.raises(ConfigurationError, match="this request was not verified"):
            get_delivery()

    def test_call_of_no_request(self) -> None:
        """Nor can a method that verifies be called by one."""
        with pytest.raises(ConfigurationError, match="there is no request to verify"):
            verify_frappe_webhook(handler)()

    @pytest.mark.parametrize("body", ['{"a": "Ü"}', b"\xff\x00"])
    @pytest.mark.usefixtures("configuration")
    def test_arguments_of_a_job(self, monkeypatch: pytest.MonkeyPatch, body: Any) -> None:
        """A body is text, for whoever looks at the job, unless it is none."""
        queued: dict[str, Any] = {}
        monkeypatch.setattr(frappe, "enqueue", lambda _job, **options: queued.update(options))

        given = body.encode() if isinstance(body, str) else body
        enqueue_webhook("https://example.com", given, site_config("sending"))

        assert queued["body"] == body

    @pytest.mark.parametrize("url", ["", "example.com", "ftp://a/b", "http://", "http://[::1"])
    @pytest.mark.usefixtures("configuration")
    def test_no_url(self, url: str) -> None:
        """What cannot be sent to is refused before anything is committed."""
        with pytest.raises(ConfigurationError, match="url= must be an HTTP URL: "):
            enqueue_webhook(url, {}, site_config("sending"))

    @pytest.mark.parametrize("host", ["10.0.0.5", "[fd00::1]", "169.254.169.254", "localhost"])
    def test_url_of_an_address_that_is_not_allowed(
        self, configuration: dict[str, Any], host: str
    ) -> None:
        """An address that is known already is judged, and the error says what to set."""
        configuration["frappe_hooksig_allowed_hosts"] = ["10.1.0.0/16", "erp.internal"]
        with pytest.raises(
            ConfigurationError,
            match=r"url= has an address that is not allowed: .*list it in frappe_hooksig_allowed_",
        ) as caught:
            enqueue_webhook(f"https://{host}/?token=of-the-url", {}, site_config("sending"))

        assert "of-the-url" not in str(caught.value)

    @pytest.mark.parametrize(
        ("url", "payload"),
        [
            ("https://10.0.0.5/of-the-url", ["of-the-payload"]),
            ("https://example.com/of-the-url ", ["of-the-payload"]),
            ("https://example.com/of-the-url", {"of-the-payload"}),
        ],
    )
    @pytest.mark.usefixtures("configuration")
    def test_frames(self, url: str, payload: Any) -> None:
        """What cannot be queued is in no frame of ours."""
        with pytest.raises((ConfigurationError, PayloadError)) as caught:
            enqueue_webhook(url, payload, site_config("sending"))

        assert "InSiteConfig" in frames_of_ours(caught.value)
        assert "of-the-" not in frames_of_ours(caught.value)

    @pytest.mark.parametrize("allowed", ["10.0.0.5", '["10.0.0.5"]', ["10.0.0.5/x"], [5], 5])
    def test_wrong_list_of_hosts(self, configuration: dict[str, Any], allowed: object) -> None:
        """A list that cannot be read is named; `bench set-config` makes a text of one."""
        configuration["frappe_hooksig_allowed_hosts"] = allowed

        with pytest.raises(ConfigurationError, match=r"^frappe_hooksig_allowed_hosts in site_con"):
            enqueue_webhook("https://example.com/", {}, site_config("sending"))

    @pytest.mark.parametrize(
        ("config", "found"),
        [
            ({"a.b": "dotted", "a": {"b": "deep"}}, "dotted"),
            ({"a": {"b": ["new", "old"]}}, ["new", "old"]),
        ],
    )
    def test_path(self, monkeypatch: pytest.MonkeyPatch, config: Any, found: Any) -> None:
        """A key may have dots in it, as `bench set-config` makes it."""
        monkeypatch.setattr(frappe.local, "conf", config, raising=False)

        assert site_config("a.b")() == found

    @pytest.mark.parametrize("config", [{}, {"a": "x"}, {"a": {"b": ""}}, {"a": ["b"]}])
    def test_nothing_at_a_path(self, monkeypatch: pytest.MonkeyPatch, config: Any) -> None:
        """What is not there is named."""
        monkeypatch.setattr(frappe.local, "conf", config, raising=False)
        monkeypatch.setattr(frappe.local, "site", "one.localhost", raising=False)

        with pytest.raises(ConfigurationError, match=r"set a\.b in the site_config\.json of one\."):
            site_config("a.b")()

    @pytest.mark.parametrize("path", ["GITHUB_SECRET1", "webhooks.github-2", "a"])
    def test_shown_path(self, path: str) -> None:
        """What can only be a key is shown, as in the arguments of a job."""
        assert repr(site_config(path)) == f"InSiteConfig({path})"

    @pytest.mark.parametrize(
        "path", [SECRET, WHSEC, "1f8b03c9d27ae46550b19f3cd8e7720a", "a" * 32, "a." * 32 + "a", ""]
    )
    def test_secret_for_a_path(self, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
        """A secret that is passed in place of its key is shown nowhere."""
        monkeypatch.setattr(frappe.local, "conf", {}, raising=False)
        monkeypatch.setattr(frappe.local, "site", "one.localhost", raising=False)

        with pytest.raises(ConfigurationError, match=r"set a key .it is not shown") as caught:
            site_config(path)()
        assert not path or path not in f"{caught.value} {site_config(path)!r}"

    @pytest.mark.parametrize("fieldname", ["", [], ["a", ""]])
    def test_no_field(self, fieldname: Any) -> None:
        """A reference names a place."""
        with pytest.raises(ConfigurationError, match="needs the name of a field"):
            password("Settings", fieldname)

    @pytest.mark.parametrize(
        "secret", [SECRET, [SECRET], lambda _request: SECRET, partial(str, SECRET)]
    )
    def test_secret_in_a_job(self, secret: Any) -> None:
        """A job takes a reference only."""
        with pytest.raises(ConfigurationError, match="a job must not contain a secret"):
            enqueue_webhook("http://127.0.0.1:9/", {}, secret)
