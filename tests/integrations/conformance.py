"""What every adapter does over HTTP, whatever its framework: one set of tests for all of them."""

from __future__ import annotations

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from hmac import compare_digest
from typing import Any, ClassVar

import pytest

from frappe_hooksig import (
    Delivery,
    MultiVerifier,
    Signer,
    Verifier,
    _compiled,
    _wire,
    providers,
    sign_payload,
)
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.testing import check_receiver, hostile_requests
from tests.integrations import own_secrets
from tests.loopback import Server
from tests.selection import capture_kind, layout, some_of
from tests.vectors import frappe_captures

SECRET = own_secrets.SECRET
OLD = own_secrets.OLD
WHSEC = own_secrets.WHSEC
CAPTURES = frappe_captures()
# What an adapter is sent, of what the core is: one capture of each kind, one provider of each
# layout. With FULL=1, all.
SENT = some_of(range(len(CAPTURES)), lambda index: capture_kind(CAPTURES[index]))
PROVIDERS = some_of(providers.names(), lambda name: layout(providers.get(name)))
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE"]

TIMESTAMPED = providers.WEBHOOK_TIMESTAMPED
EMPTY = replace(providers.FRAPPE, empty_responses=True)
SIGNATURE = "X-Frappe-Webhook-Signature"
BODY = b'{"order": "SO-00001"}'
TARGET = "/a%20b?x=%C3%A9&y"
URLS = (
    f"http://hooks.example.com/urls{TARGET}",
    "http://plain.example.com/urls/a%20b",
    f"http://other.example.com:8443/urls{TARGET}",
    f"https://hooks.example.com/urls{TARGET}",
)
FORWARDED = tuple(url.replace("/urls", "/forwarded") for url in URLS)
URLENCODED = "application/x-www-form-urlencoded"
LIMIT = 25 * 1024 * 1024
LIMITED = 1024
HOST = "X-Forwarded-Host"
PROTO = "X-Forwarded-Proto"


def own_secret(scheme: Scheme) -> str:
    """Return the secret that a test app has for a scheme."""
    other_forms = {"whsec": WHSEC, "hex": SECRET.encode().hex()}
    return scheme.secret_prefix + other_forms.get(scheme.secret_formats[0], SECRET)


def senders() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Return what an app has to have beside Frappe's webhooks: senders and options, by path."""
    found: dict[str, tuple[Any, dict[str, Any]]] = {}
    for name in PROVIDERS:
        scheme = providers.get(name)
        # Of one URL there is no choice: what the request says does not matter.
        url = {"url": URLS[0]} if "{url}" in scheme.signed else {}
        found[f"providers/{name}"] = (scheme, {"secret": own_secret(scheme), **url})
    found["several"] = ([providers.WEBHOOK_HEX, providers.FRAPPE], {"secret": SECRET})
    found["empty"] = (EMPTY, {"secret": SECRET, "max_body": LIMITED})
    found["one-of"] = (MultiVerifier(Verifier(SECRET), Verifier(OLD, scheme=TIMESTAMPED)), {})
    found["urls/a b"] = (providers.SQUARE, {"secret": SECRET, "url": URLS})
    found["forwarded/a b"] = (
        providers.SQUARE,
        {"secret": SECRET, "url": FORWARDED, "trust_forwarded": True},
    )
    return found


def secret_of_capture(index: int) -> str | None:
    """Return the secret of the site that a path stands for, or None."""
    return CAPTURES[index].secret if index < len(CAPTURES) else None


def seen(delivery: Delivery, raw_body: bytes) -> dict[str, Any]:
    """Return what a view can see of a verified request."""
    return {
        "status": "received",
        "sha256": sha256(delivery.body).hexdigest(),
        "same": raw_body == delivery.body,
        "secret_id": delivery.secret_id,
        "id": delivery.id,
        "timestamp": delivery.timestamp,
        "scheme": delivery.scheme.name,
    }


class Comparisons:
    """Counts the signatures that are compared in this process, from the first question on."""

    def __init__(self) -> None:
        self._count = 0

    def so_far(self) -> int:
        """Return how many there were."""
        for module in (_compiled, _wire):
            vars(module)["compare_digest"] = self._counted
        return self._count

    def _counted(self, expected: bytes, given: bytes) -> bool:
        self._count += 1
        return compare_digest(expected, given)


def signed(body: bytes = BODY, secret: str = SECRET, **headers: str) -> dict[str, str]:
    """Return Frappe's headers for a body, and some more."""
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return sign_payload(body, secret).headers | more


def raw(server: Server, path: str, header: str, body: bytes, *, stops: bool = True) -> bytes:
    """Send a request byte for byte, stop sending, and return the answer."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Connection: close"]
    lines += [f"{SIGNATURE}: {signed()[SIGNATURE]}", header, "", ""]
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall("\r\n".join(lines).encode() + body)
        if stops:
            connection.shutdown(socket.SHUT_WR)
        while received := connection.recv(65_536):
            answer += received
    return answer


WRONG = {SIGNATURE: "A" * 43 + "="}
GITHUBS = {"X-Hub-Signature": f"sha1={'0' * 40}", "X-Hub-Signature-256": f"sha256={'0' * 64}"}


def logged_after(server: Server, before: int, start: str) -> str:
    """Return the first whole line with a text that a server has logged, from a place on."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for line in server.log[before:].splitlines(keepends=True):
            if start in line and line.endswith("\n"):
                return line
        time.sleep(0.01)
    raise AssertionError(server.log[before:])


def header_cases() -> list[Any]:
    """Return what can be wrong with Frappe's header beside hostile_requests(), and the answer."""
    right = signed()[SIGNATURE]
    cases: list[tuple[str, list[tuple[str, str | bytes]], tuple[int, str]]] = [
        ("utf-8", [(SIGNATURE, "é".encode())], (400, "malformed-header")),
        ("doubled-case", [(SIGNATURE, "x"), (SIGNATURE.lower(), right)], (400, "duplicate-header")),
        ("joined", [(SIGNATURE, f"{right}, {right}")], (400, "duplicate-header")),
        ("longest", [(SIGNATURE, "A" * 8000)], (400, "malformed-header")),
        ("lower-case", [(SIGNATURE.lower(), right)], (200, "")),
        ("upper-case", [(SIGNATURE.upper(), right)], (200, "")),
    ]
    return [pytest.param(headers, outcome, id=name) for name, headers, outcome in cases]


BODIES = [BODY, b"", b"\xff\xfe\x00", "\ufeff{}".encode(), b"a=1&a=2&%zz", b"--x\r\n\r\n", b"{"]
CONTENT_TYPES = [
    None,
    "application/json",
    "application/json; charset=utf-8",
    "application/vnd.x+json",
    "text/plain",
    "application/octet-stream",
    URLENCODED,
    "multipart/form-data; boundary=x",
    "nonsense",
]


class Conformance:
    """The conformance tests of the adapters.

    Each adapter's test module inherits from this class, and has a fixture `server` that runs its
    app. The app accepts `SECRET` and `OLD` as Frappe's secrets, and has these routes:

    - `/frappe`, for METHODS: responds with `seen()`.
    - `/limited`: like `/frappe`, with `max_body=LIMITED`.
    - `/captures/<index>`, for METHODS: like `/frappe`, with a function for the secret.
    - each path of `senders()`: like `/frappe`, with the senders and options of that path.
    - `/json`: responds with `{"json": delivery.json()}`.
    - `/form`: responds with `{"form": ..., "files": ...}`, parsed by the framework after
      verification.
    - `/after/<what>`: other code uses the request before it is verified; see KEPT and GONE.
    - `/boom`: the handler raises `ValueError("the handler's own fault")`.
    - `/unverified`: asks for the delivery without a decorator.
    - `/compared`: responds with `{"count": ...}` of a `Comparisons`.

    Attributes:
        READS_CHUNKED: Whether the framework and the server pass on bodies of unknown length.
        KEPT: Uses of a request that keep its body readable, as `<what>` in `/after/<what>`.
        GONE: Uses of a request that consume its body: mistakes of the app, as `<what>` too.
        TOO_LARGE: The status and the reason of the response to a body that exceeds the default
            limit by its Content-Length.
    """

    READS_CHUNKED: ClassVar[bool] = True
    KEPT: ClassVar[tuple[str, ...]] = ()
    GONE: ClassVar[tuple[str, ...]] = ()
    TOO_LARGE: ClassVar[tuple[int, str]] = (413, "body-too-large")

    def of_framework(self, headers: dict[str, str], body: bytes) -> tuple[int, str] | None:  # noqa: ARG002
        """Return the framework's own answer to a request that never comes to a view, if it is one.

        Args:
            headers: With names in lower case.
            body: The body.
        """
        return None

    @pytest.mark.stress
    @pytest.mark.parametrize("index", SENT, ids=lambda index: CAPTURES[index].id)
    def test_capture(self, server: Server, index: int) -> None:
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
        chunked = "transfer-encoding" in names and self.READS_CHUNKED
        body: Any = [capture.body] if chunked else capture.body

        answer = server.send(f"/captures/{index}", body, headers, method=capture.method)

        outcomes = {
            "accept": (200, ""),
            "unsigned": (401, "missing-header"),
            "header-overridden": (400, "malformed-header"),
        }
        expected = outcomes.get(capture.expect, (401, "signature-mismatch"))
        own = self.of_framework({k.lower(): v for k, v in capture.headers}, capture.body)
        assert answer.outcome == (own or expected)
        if answer.status == 200:
            assert answer.json()["sha256"] == sha256(capture.body).hexdigest()
            assert answer.json()["same"]

    def test_unknown_site(self, server: Server) -> None:
        """An unknown path costs and is answered like a wrong signature, word for word."""
        answers = []
        for path in ("/captures/999", "/captures/0"):
            before = server.send("/compared").json()["count"]
            answer = server.send(path, BODY, signed())
            compared = server.send("/compared").json()["count"] - before
            answers.append((answer.outcome, answer.body, compared))

        unknown, wrong = answers
        assert unknown == wrong
        assert unknown[0] == (401, "signature-mismatch")
        assert unknown[2] > 0
        assert server.has_logged("secret= returned no secret for this sender", 1)

    @pytest.mark.parametrize(
        ("headers", "body", "words"),
        [
            ({}, BODY, "which scheme 'frappe' needs: the request is unsigned"),
            (GITHUBS, BODY, "has X-Hub-Signature-256, which the schemes 'github' and 'meta' read"),
            (
                {SIGNATURE: "sha256 " + "0" * 64},
                BODY,
                "a space among them; it begins with 'sha256 '",
            ),
            ({SIGNATURE: "0" * 40}, BODY, "got 40 characters, as long as SHA-1 in hex"),
            (WRONG, BODY, "does not match the body (scheme 'frappe'): another secret was used, or"),
            (WRONG, b"", "no body came (a redirect drops it), or another"),
            (WRONG | {"Content-Encoding": "gzip"}, BODY, "the body came compressed (Content-Encod"),
        ],
        ids=["unsigned", "other", "words", "length", "secret", "empty", "compressed"],
    )
    def test_words(self, server: Server, headers: dict[str, str], body: bytes, words: str) -> None:
        """The response and the log say what the request shows of its mistake."""
        before = len(server.log)

        answer = server.send("/frappe?token=hidden", body, headers)

        assert words in answer.json()["message"]
        line = logged_after(server, before, "webhook refused")
        assert f"webhook refused: {answer.json()['reason']} at POST " in line
        assert "frappe (scheme frappe, header X-Frappe-Webhook-Signature, body " in line
        assert answer.json()["message"] in line
        assert "hidden" not in line

    def test_words_about_a_url(self, server: Server) -> None:
        """Only the log shows URLs: the registered ones, and the one of the request, escaped."""
        signature = sign_payload(BODY, SECRET, scheme=providers.SQUARE, url="https://a.b/c").headers
        shown = [url.replace("?x=%C3%A9&y", "?...") for url in URLS]
        before = len(server.log)

        one = server.send("/providers/square?x", BODY, signature)
        assert "url= is not the URL that the sender has" in one.json()["message"]
        line = logged_after(server, before, "webhook refused")
        assert f"; the URL was {shown[0]}; the request was sent to http://127.0.0.1:" in line
        before = len(server.log)
        several = server.send("/urls/a%20b", BODY, signature | {"Host": "evil.example"})
        assert several.json()["reason"] == "unknown-url"
        line = logged_after(server, before, "webhook refused")
        assert f"registered are {', '.join(shown)}" in line
        assert "it was sent to http://evil.example/urls/a%20b" in line
        for answer in (one, several):
            assert b"://" not in answer.body

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
    def test_methods(self, server: Server, method: str) -> None:
        """Frappe sends any of three, each with a body."""
        assert server.send("/frappe", BODY, signed(), method=method).status == 200
        assert server.send("/frappe", BODY, method=method).status == 401

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_methods_without_a_body(self, server: Server, method: str) -> None:
        """A request without a body is verified over no bytes."""
        assert server.send("/frappe", b"", signed(b""), method=method).status == 200
        assert server.send("/frappe", b"", method=method).status == 401

    @pytest.mark.stress
    @pytest.mark.parametrize("name", PROVIDERS)
    def test_providers(self, server: Server, name: str) -> None:
        """Every scheme verifies over HTTP; without its headers it refuses."""
        scheme = providers.get(name)
        signed = sign_payload(BODY, own_secret(scheme), scheme=scheme, method="POST", url=URLS[0])

        answer = server.send(f"/providers/{name}", BODY, signed.headers)

        assert answer.status == 200
        assert answer.json()["scheme"] == name
        assert (answer.json()["timestamp"] is not None) == scheme.signs_timestamp
        assert answer.json()["id"] == signed.headers.get(scheme.id_header or "")
        refused = server.send(f"/providers/{name}", BODY)
        assert refused.outcome == (401, "" if scheme.empty_responses else "missing-header")
        assert refused.headers["www-authenticate"].startswith("Webhook-Signature header=")

    @pytest.mark.parametrize(
        ("body", "headers", "status"),
        [
            (BODY, {}, 401),
            (BODY, signed(b""), 401),
            (BODY, {SIGNATURE: ""}, 400),
            (b"x" * (LIMITED + 1), signed(), 413),
        ],
        ids=["unsigned", "forged", "malformed", "large"],
    )
    def test_empty_responses(
        self, server: Server, body: bytes, headers: dict[str, str], status: int
    ) -> None:
        """A sender that accepts no body gets none; the challenge stays."""
        answer = server.send("/empty", body, headers)

        assert (answer.status, answer.body) == (status, b"")
        assert answer.headers["content-length"] == "0"
        assert "content-type" not in answer.headers
        assert ("www-authenticate" in answer.headers) == (status == 401)
        assert server.send("/empty", BODY, signed()).json()["status"] == "received"

    def test_several_schemes(self, server: Server) -> None:
        """The headers choose the scheme, and what is wrong under it is not tried under another."""
        hexadecimal = sign_payload(BODY, SECRET, scheme=providers.WEBHOOK_HEX).headers

        assert server.send("/several", BODY, signed()).json()["scheme"] == "frappe"
        assert server.send("/several", BODY, hexadecimal).json()["scheme"] == "webhook-hex"
        wrong = {"X-Webhook-Signature": "0" * 64}
        assert server.send("/several", BODY, signed() | wrong).outcome == (
            401,
            "signature-mismatch",
        )
        assert server.send("/several", BODY).outcome == (401, "missing-header")
        timed = Signer(OLD, scheme=TIMESTAMPED).sign(BODY).headers
        assert server.send("/one-of", BODY, signed() | timed).json()["scheme"] == TIMESTAMPED.name
        assert server.send("/one-of", BODY, signed()).json()["scheme"] == "frappe"
        assert server.send("/one-of", BODY, signed(secret=OLD)).status == 401

    @pytest.mark.parametrize(
        ("sent_to", "signed_for", "headers", "outcome"),
        [
            *((url, url, {}, (200, "")) for url in URLS[:3]),
            (URLS[0], URLS[2], {}, (401, "signature-mismatch")),
            (URLS[0], URLS[3], {}, (401, "signature-mismatch")),
            (URLS[0] + "=", URLS[0], {}, (401, "unknown-url")),
            (URLS[0] + "z", URLS[0] + "z", {}, (401, "unknown-url")),
            (URLS[0].replace("example", "evil"), URLS[0], {}, (401, "unknown-url")),
            (URLS[0], URLS[2], {HOST: "other.example.com:8443"}, (401, "signature-mismatch")),
            (FORWARDED[0], FORWARDED[0], {}, (200, "")),
            (FORWARDED[0], FORWARDED[2], {HOST: "other.example.com:8443"}, (200, "")),
            (FORWARDED[0], FORWARDED[3], {PROTO: "https"}, (200, "")),
            (FORWARDED[2], FORWARDED[3], {PROTO: "https", HOST: "hooks.example.com"}, (200, "")),
            (FORWARDED[0], FORWARDED[3], {PROTO: "http"}, (401, "signature-mismatch")),
            (FORWARDED[0], FORWARDED[0], {HOST: "evil.example.com"}, (401, "unknown-url")),
            (FORWARDED[0], FORWARDED[0], {PROTO: "https,http"}, (401, "unknown-url")),
        ],
    )
    def test_urls(
        self,
        server: Server,
        sent_to: str,
        signed_for: str,
        headers: dict[str, str],
        outcome: tuple[int, str],
    ) -> None:
        """Signed has to be the URL that it was sent to, and that one has to be registered."""
        _, _, host, path = sent_to.split("/", 3)
        signature = sign_payload(BODY, SECRET, scheme=providers.SQUARE, url=signed_for).headers

        answer = server.send(f"/{path}", BODY, {"Host": host, **headers, **signature})

        assert answer.outcome == outcome

    @pytest.mark.parametrize(("headers", "outcome"), header_cases())
    def test_headers(self, server: Server, headers: Any, outcome: tuple[int, str]) -> None:
        """Each mistake in the header has its status and its reason."""
        assert server.send("/frappe", BODY, headers).outcome == outcome

    @pytest.mark.parametrize(
        ("path", "scheme"),
        [("/limited", providers.FRAPPE), (f"/providers/{TIMESTAMPED.name}", TIMESTAMPED)],
        ids=["frappe", "timestamped"],
    )
    def test_hostile(self, server: Server, path: str, scheme: Scheme) -> None:
        """Genuine requests are accepted; each other one is refused, for its own reason."""
        limit = {"/limited": LIMITED}.get(path, LIMIT)
        check_receiver(f"http://127.0.0.1:{server.port}{path}", scheme, SECRET, max_body=limit)

        cases = {case.name: case for case in hostile_requests(scheme, SECRET, max_body=limit)}
        told = {
            name: (case.reason.status, case.reason.value)
            for name, case in cases.items()
            if case.reason and not name.startswith("huge")
        }
        first = {name: cases[name].requests()[0] for name in told}
        answers = {
            name: server.send(path, request.body, request.for_httpx["headers"])
            for name, request in first.items()
        }
        assert {name: answer.outcome for name, answer in answers.items()} == told

    def test_refusal(self, server: Server) -> None:
        """A refusal is JSON that tells the sender's administrator where to look, and no secret."""
        answer = server.send("/frappe", BODY, signed(BODY, "another secret of theirs"))

        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["www-authenticate"] == f'Webhook-Signature header="{SIGNATURE}"'
        assert answer.json()["status"] == "refused"
        assert SIGNATURE in answer.json()["message"]
        assert signed()[SIGNATURE].encode() not in answer.body
        assert SECRET.encode() not in answer.body

    def test_rotation(self, server: Server) -> None:
        """Both secrets verify, and the view learns which."""
        assert server.send("/frappe", BODY, signed()).json()["secret_id"] == "new"
        assert server.send("/frappe", BODY, signed(secret=OLD)).json()["secret_id"] is None
        assert server.send("/frappe", BODY, signed(secret=OLD + "!")).status == 401

    @pytest.mark.parametrize("content_type", CONTENT_TYPES)
    @pytest.mark.parametrize("body", BODIES, ids=repr)
    def test_raw_body(self, server: Server, content_type: str | None, body: bytes) -> None:
        """The bytes that were signed are the bytes that are verified, whatever they are called."""
        typed = {"Content-Type": content_type} if content_type else {}

        answer = server.send("/frappe", body, signed(body) | typed)

        expected = self.of_framework({name.lower(): text for name, text in typed.items()}, body)
        assert answer.outcome == (expected or (200, ""))
        if not expected:
            assert answer.json()["sha256"] == sha256(body).hexdigest()
            assert answer.json()["same"]

    def test_form_stays_readable(self, server: Server) -> None:
        """Fields and files can be read after the verification."""
        urlencoded = b"a=1&b=%C3%A9"
        multipart = (
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
            b'--x\r\nContent-Disposition: form-data; name="f"; filename="f.txt"\r\n\r\nhello\r\n'
            b"--x--\r\n"
        )
        first = server.send("/form", urlencoded, signed(urlencoded, Content_Type=URLENCODED))
        second = server.send(
            "/form", multipart, signed(multipart, Content_Type="multipart/form-data; boundary=x")
        )

        assert first.json() == {"form": {"a": "1", "b": "é"}, "files": {}}
        assert second.json() == {"form": {"a": "1"}, "files": {"f": "hello"}}
        assert server.send("/form", multipart, signed(b"other")).status == 401

    def test_json_without_content_type(self, server: Server) -> None:
        """Frappe sends no Content-Type; the delivery has the JSON all the same."""
        assert server.send("/json", BODY, signed()).json() == {"json": {"order": "SO-00001"}}

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"\xff", b"[" * 100_000], ids=lambda body: body[:3]
    )
    def test_body_that_is_no_json(self, server: Server, body: bytes) -> None:
        """What the handler cannot parse is the sender's mistake, signed or not."""
        assert server.send("/json", body, signed(body)).outcome == (400, "malformed-payload")
        assert server.send("/json", body, signed(b"x")).outcome == (401, "signature-mismatch")

    def test_handler_that_fails(self, server: Server) -> None:
        """The handler's own exceptions stay what they are."""
        before = server.log.count("ValueError: the handler's own fault")

        assert server.send("/boom", BODY, signed()).status == 500
        assert server.has_logged("ValueError: the handler's own fault", before + 1)

    def test_delivery_of_an_unverified_request(self, server: Server) -> None:
        """Where nothing was verified there is no delivery, signed or not."""
        assert server.send("/unverified", BODY).status == 500
        assert server.send("/unverified", BODY, signed()).status == 500

    @pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
    @pytest.mark.parametrize(("path", "limit"), [("/limited", LIMITED), ("/frappe", LIMIT)])
    def test_limit(self, server: Server, path: str, limit: int, chunked: bool) -> None:  # noqa: FBT001
        """Exactly the limit is accepted; one byte more is refused, however it is sent."""
        too_large = (413, "body-too-large")
        if limit == LIMIT and not chunked:
            too_large = self.TOO_LARGE
        for size, outcome in ((limit, (200, "")), (limit + 1, too_large)):
            body = b"x" * size
            pieces = [body[at : at + 70_000] for at in range(0, size, 70_000)]
            unread = chunked and not self.READS_CHUNKED
            expected = (401, "signature-mismatch") if unread else outcome

            answer = server.send(path, pieces if chunked else body, signed(body))
            assert answer.outcome == expected

    def test_announced_length_is_enough(self, server: Server) -> None:
        """A body that is announced as too large is refused without being awaited."""
        head = (
            f"POST /limited HTTP/1.1\r\nHost: x\r\n{SIGNATURE}: {signed()[SIGNATURE]}\r\n"
            f"Content-Length: {LIMITED + 1}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall(head.encode())

            assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")

    def test_unsigned_body_is_not_awaited(self, server: Server) -> None:
        """A request without a signature is refused before its body has come."""
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall(b"POST /frappe HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")

            assert connection.recv(65_536).startswith(b"HTTP/1.1 401 ")

    def test_body_read_before(self, server: Server) -> None:
        """Who has taken the body away is told so; who has kept a copy does no harm."""
        gone = "RawBodyUnavailable: the raw body is gone"
        before = server.log.count(gone)
        form = b"a=1&b=2"
        typed = signed(form, Content_Type=URLENCODED)
        kept = {what: server.send(f"/after/{what}", BODY, signed()).status for what in self.KEPT}
        lost = {what: server.send(f"/after/{what}", form, typed).status for what in self.GONE}

        assert kept == dict.fromkeys(self.KEPT, 200)
        assert lost == dict.fromkeys(self.GONE, 500)
        for what in self.GONE:
            assert server.send(f"/after/{what}", form, {"Content-Type": URLENCODED}).status == 401
        assert server.has_logged(gone, before + len(self.GONE))

    @pytest.mark.parametrize("length", [0, 5, len(BODY), 1000])
    def test_body_framed_twice(self, server: Server, length: int) -> None:
        """Content-Length beside chunks: what is verified is what the view gets, or nothing is."""
        chunk = f"{len(BODY):x}\r\n".encode() + BODY + b"\r\n0\r\n\r\n"
        both = f"Content-Length: {length}\r\nTransfer-Encoding: chunked"

        status, _, text = raw(server, "/frappe", both, chunk, stops=False)[9:].partition(b" ")

        assert int(status) in {200, 400, 401}
        if status == b"200":
            assert sha256(BODY).hexdigest().encode() in text
            assert b'"same":true' in text.replace(b": ", b":")

    def test_client_that_stops_half_way(self, server: Server) -> None:
        """It costs nothing, and no worker hangs."""
        before = server.log.count("Traceback")

        for _ in range(20):
            answer = raw(server, "/frappe", f"Content-Length: {len(BODY)}", BODY[:5])
            assert not answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 5"))

        assert server.send("/frappe", BODY, signed()).status == 200
        assert server.log.count("Traceback") == before

    def test_concurrent_requests(self, server: Server) -> None:
        """Two hundred at a time, each answered for itself."""
        bodies = [json.dumps({"n": n}).encode() for n in range(200)]

        def send(body: bytes) -> tuple[int, str]:
            answer = server.send("/frappe", body, signed(body if b"7" not in body else b""))
            return answer.status, answer.json().get("sha256", "")

        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(send, bodies))

        assert answers == [
            (200, sha256(body).hexdigest()) if b"7" not in body else (401, "") for body in bodies
        ]

    def test_logs_no_secret(self, server: Server) -> None:
        """Whatever happened before: no secret and no signature in what the server wrote."""
        server.send("/frappe", BODY, {SIGNATURE: "forged"})

        for text in (SECRET, OLD, WHSEC, signed()[SIGNATURE]):
            assert text not in server.log
