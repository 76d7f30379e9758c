"""Receivers are judged: wrong ones are found, with a sentence that names the mistake."""

from __future__ import annotations

import _operator
import hashlib
import hmac
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from socketserver import ThreadingMixIn
from types import SimpleNamespace
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest

from frappe_hooksig import ConfigurationError, Scheme, VerificationError, Verifier, providers
from frappe_hooksig.testing import Judgement, SignedRequest, check_receiver, judge_receiver
from frappe_hooksig.testing._comparisons import Watch
from tests.senders import secret_of
from tests.testing import wrong_receivers as receivers
from tests.testing.wrong_receivers import LIMIT, URL, App

Receive = Callable[..., tuple[int, str]]

FRAPPE, GITHUB, STRIPE = providers.FRAPPE, providers.GITHUB, providers.STRIPE


def sender_to(app: App) -> Callable[[SignedRequest], tuple[int, bytes]]:
    """Return the function that sends requests to a WSGI app."""

    def send(request: SignedRequest) -> tuple[int, bytes]:
        statuses: list[int] = []

        def start(status: str, headers: Any) -> None:  # noqa: ARG001
            statuses.append(int(status[:3]))

        body = b"".join(app(request.wsgi("/webhook?a=1"), start))
        return statuses[0], body

    return send


def judged(
    receive: Receive, scheme: Scheme, *, counts: bool, secret: str | None = None, **options: Any
) -> Judgement:
    """Judge a receiver, with or without counting what it handles."""
    own = secret_of(scheme)
    app = App(receive, (own if secret is None else secret).encode())
    handled = (lambda: app.handled) if counts else None
    return judge_receiver(sender_to(app), scheme, own, max_body=LIMIT, handled=handled, **options)


@pytest.mark.parametrize("counts", [False, True], ids=["by-answers", "counted"])
@pytest.mark.parametrize(
    ("receive", "scheme", "options"),
    [
        (receivers.frappe, FRAPPE, {}),
        (receivers.frappe_once, FRAPPE, {"handles_once": True}),
        (receivers.github, GITHUB, {}),
        (receivers.gitlab, providers.GITLAB, {}),
        (receivers.stripe, STRIPE, {}),
        (receivers.standard, providers.STANDARD_WEBHOOKS, {"handles_once": True}),
        (receivers.square, providers.SQUARE, {"url": URL}),
    ],
)
def test_right(receive: Receive, scheme: Scheme, options: Any, *, counts: bool) -> None:
    """A right receiver has no mistake, with whatever scheme."""
    judgement = judged(receive, scheme, counts=counts, **options)

    assert judgement == Judgement((), judgement.not_judged), str(judgement)
    assert [each for each in judgement.not_judged if "constant time" not in each] == []


WRONG = [
    (
        receivers.hex_for_base64,
        FRAPPE,
        {},
        "hex-for-base64",
        "compares the hex of the MAC, but Fra",
    ),
    (receivers.no_header_no_check, FRAPPE, {}, "no-header-no-check", "no header, no check"),
    (receivers.no_secret_no_check, FRAPPE, {"secret": ""}, "no-check", "Is its secret set?"),
    (receivers.compares_with_equals, FRAPPE, {}, "timing", "compares signatures with =="),
    (receivers.decodes_body, FRAPPE, {}, "decoded-body", "text that it has decoded"),
    (
        receivers.decodes_body_strictly,
        FRAPPE,
        {},
        "decoded-body",
        "fails on a body that is not UTF",
    ),
    (receivers.parses_body, FRAPPE, {}, "parsed-body", "JSON that it has parsed and serialised"),
    (receivers.parses_body_compactly, FRAPPE, {}, "parsed-body", "JSON that it has parsed and"),
    (receivers.last_signature_wins, STRIPE, {}, "rotated-first", "only at the last of several"),
    (receivers.first_signature_wins, STRIPE, {}, "rotated-last", "only at the first of several"),
    (
        receivers.stripe_with(lambda age: age <= 300),
        STRIPE,
        {},
        "one-sided-tolerance",
        "the future",
    ),
    (receivers.stripe_with(lambda age: age >= -300), STRIPE, {}, "one-sided-tolerance", "the past"),
    (receivers.stripe_with(lambda _: True), STRIPE, {}, "no-time-check", "of any age"),
    (receivers.stripe_with(lambda age: 0 <= age <= 300), STRIPE, {}, "genuine-early", "refuses ti"),
    (
        receivers.recorded_before_verified,
        FRAPPE,
        {"handles_once": True},
        "recorded-before-verified",
        "before it has verified it",
    ),
    (receivers.get_then_set, FRAPPE, {"handles_once": True}, "get-then-set", "must be one step"),
    (
        receivers.locked_at_once,
        FRAPPE,
        {"handles_once": True},
        "fails-at-once",
        "fails if copies of a delivery come at once",
    ),
    (
        receivers.refuses_repeats,
        FRAPPE,
        {"handles_once": True},
        "fails-repeated",
        "fails on a delivery that comes again",
    ),
    (
        receivers.success_on_failure,
        FRAPPE,
        {},
        "success-on-failure",
        "answers 200 to requests that",
    ),
    (
        receivers.crashes_on_non_ascii,
        FRAPPE,
        {},
        "crash-non-ascii",
        "if the signature is not ASCII",
    ),
    (receivers.crashes_without_header, GITHUB, {}, "crash-unsigned", "if a header is absent"),
    (receivers.never_checks, GITHUB, {}, "no-check", "accepts any signature"),
    (receivers.only_presence, GITHUB, {}, "presence-only", "only looks whether the header is"),
    (receivers.parses_first, GITHUB, {}, "parses-first", "reads the body before it verifies"),
    (receivers.compares_beginning, GITHUB, {}, "truncated", "only the beginning"),
    (receivers.prefix_is_optional, GITHUB, {}, "without-prefix", "without 'sha256=' before it"),
    (receivers.expects_no_prefix, GITHUB, {}, "no-prefix", "expects the signature alone, but GitH"),
    (receivers.expects_a_prefix, FRAPPE, {}, "other-prefix", "expects 'sha256=' before the"),
    (receivers.accepts_sha1, GITHUB, {}, "other-digest", "another hash function than sha256"),
    (
        receivers.decodes_signature,
        FRAPPE,
        {},
        "lenient-decoding",
        "one signature has many spellings",
    ),
    (receivers.reveals_signature, FRAPPE, {}, "reveals", "contains the right signature"),
    (receivers.other_secret, FRAPPE, {}, "refuses-genuine", "Does it have the right secret"),
    (receivers.crashes_on_time, STRIPE, {}, "crash", "fails on malformed requests"),
    (receivers.body_only, STRIPE, {}, "body-only", "of the body alone, but the sender signs"),
]


@pytest.mark.parametrize("counts", [False, True], ids=["by-answers", "counted"])
@pytest.mark.parametrize(
    ("receive", "scheme", "options", "code", "words"),
    WRONG,
    ids=[f"{receive.__name__}-{code}" for receive, _, _, code, _ in WRONG],
)
def test_wrong(
    receive: Receive, scheme: Scheme, options: Any, code: str, words: str, *, counts: bool
) -> None:
    """Each mistake has its name, and a sentence that says it."""
    judgement = judged(receive, scheme, counts=counts, **options)

    found = {mistake.code: mistake for mistake in judgement.mistakes}
    assert [*found] == [code], str(judgement)
    assert words in str(found[code])


def test_polite_about_genuine() -> None:
    """A genuine request that is answered like a forgery was not accepted, whatever the status."""
    judgement = judged(receivers.polite_and_parsing, FRAPPE, counts=False)

    codes = [mistake.code for mistake in judgement.mistakes]
    assert codes == ["parsed-body", "success-on-failure"]


@pytest.mark.parametrize(
    ("receive", "scheme", "options", "code"),
    [
        (receivers.handles_twice, FRAPPE, {"handles_once": True}, "handled-twice"),
        (receivers.logs_and_continues, GITHUB, {}, "handles-first"),
        (receivers.handles_first, FRAPPE, {}, "handles-first"),
    ],
)
def test_only_counted(receive: Receive, scheme: Scheme, options: Any, code: str) -> None:
    """What the answers hide is found if somebody counts what is handled."""
    by_answers, counted = (
        judged(receive, scheme, counts=each, **options) for each in (False, True)
    )

    assert by_answers.mistakes == ()
    assert [mistake.code for mistake in counted.mistakes] == [code]


def test_handles_first() -> None:
    """A receiver that refuses, but has done its work, is not said to accept."""
    judgement = judged(receivers.handles_first, FRAPPE, counts=True)

    assert str(judgement.mistakes[0]).startswith(
        "It does its work before it checks the signature, or goes on after a refusal. [handles-fi"
    )
    assert "HTTP 401, handled once" in str(judgement)


def test_huge_body() -> None:
    """A receiver with another limit is told which one was tried, and where to set one."""
    app = App(receivers.github, secret_of(GITHUB).encode())
    judgement = judge_receiver(sender_to(app), GITHUB, app.secret, max_body=1000)
    assert "It accepts a body of 1001 bytes. For another limit, pass max_body=" in str(judgement)
    assert "MAX_CONTENT_LENGTH in Flask, DATA_UPLOAD_MAX_MEMORY_SIZE in" in str(judgement)


def test_log(caplog: pytest.LogCaptureFixture) -> None:
    """While a receiver is judged, refused requests are not logged, but errors and others are."""
    logger = logging.getLogger("frappe_hooksig")
    filters = [*logger.filters]

    def send(_: SignedRequest) -> int:
        logger.warning("webhook refused")
        logger.error("the store failed")
        return 401

    judge_receiver(send, FRAPPE, secret_of(FRAPPE), max_body=LIMIT)
    assert {record.getMessage() for record in caplog.records} == {"the store failed"}
    assert logger.filters == filters


def test_check() -> None:
    """The message of a failure has all mistakes, one a line, and what was not judged."""
    app = App(receivers.parses_first, secret_of(GITHUB).encode())
    check_receiver(sender_to(App(receivers.github, app.secret)), GITHUB, app.secret, max_body=LIMIT)

    with pytest.raises(AssertionError) as raised:
        check_receiver(sender_to(app), GITHUB, app.secret, max_body=LIMIT)
    assert str(raised.value) == (
        "The receiver makes a mistake.\n- It reads the body before it verifies the request. "
        "[parses-first: unsigned-bytes: HTTP 400]"
    )


@pytest.mark.parametrize(
    "response",
    [
        401,
        (401, b""),
        SimpleNamespace(status_code=401, data=b""),
        SimpleNamespace(status_code=401, content=b""),
        SimpleNamespace(status=401, body="refused"),
    ],
)
def test_responses(response: Any) -> None:
    """A response is a status, or what a test client returns."""
    judgement = judge_receiver(lambda _: response, FRAPPE, secret_of(FRAPPE), max_body=LIMIT)

    assert [mistake.code for mistake in judgement.mistakes] == ["refuses-genuine"]
    assert "genuine: HTTP 401" in str(judgement)


def test_exceptions() -> None:
    """What a test client raises is a failure of the receiver."""

    def fail(request: SignedRequest) -> int:
        if len(request.body) > LIMIT:
            return 413
        msg = "of the app\nand more"
        raise LookupError(msg)

    judgement = judge_receiver(fail, FRAPPE, secret_of(FRAPPE), max_body=LIMIT)

    assert [mistake.code for mistake in judgement.mistakes] == ["refuses-genuine"]
    assert "It fails on genuine requests. [refuses-genuine: genuine: HTTP 500" in str(judgement)
    assert "(LookupError: of the app)" in str(judgement)


def test_error_of_the_test() -> None:
    """What is raised for every request comes out as it is."""

    def send(_: SignedRequest) -> int:
        msg = "unexpected keyword argument 'content'"
        raise TypeError(msg)

    with pytest.raises(TypeError, match=r"^unexpected keyword argument 'content'$"):
        check_receiver(send, FRAPPE, secret_of(FRAPPE), max_body=LIMIT)


@pytest.mark.parametrize(
    "response", [None, "200", True, (), ("200", b""), SimpleNamespace(status="200 OK")], ids=repr
)
def test_no_status(response: Any) -> None:
    """A function that returns no status is refused, and told what to return."""
    with pytest.raises(ConfigurationError, match=r"send= returned no HTTP status.*: return the"):
        check_receiver(lambda _: response, FRAPPE, secret_of(FRAPPE), max_body=LIMIT)


@pytest.mark.parametrize("url", ["/webhook", "127.0.0.1:8000/webhook", "ftp://127.0.0.1/", ""])
def test_no_url(url: str) -> None:
    """A path is no URL."""
    with pytest.raises(ConfigurationError, match=r"^URL must be the receiver's whole URL"):
        check_receiver(url, FRAPPE, secret_of(FRAPPE), max_body=LIMIT)


@pytest.mark.parametrize("function", [check_receiver, judge_receiver])
def test_unknown_option(function: Any) -> None:
    """A misspelt option is refused with the right name; no frame keeps its value."""
    misspelt: Any = {"paylod": secret_of(FRAPPE)}

    with pytest.raises(
        ConfigurationError, match=r"option paylod: did you mean payload\?$"
    ) as raised:
        function(lambda _: 200, FRAPPE, "S6D3Kvx1yMJ8Hv5Gm2QzTn4wRb7LpXce", **misspelt)
    own = raised.traceback[1:]
    assert not any(secret_of(FRAPPE) in repr(each.frame.f_locals) for each in own)


def verifying(answer: tuple[int, bytes]) -> Callable[[SignedRequest], tuple[int, bytes]]:
    """Return a function that refuses forgeries, and answers the others."""
    verifier = Verifier(secret_of(FRAPPE), max_body=LIMIT)

    def send(request: SignedRequest) -> tuple[int, bytes]:
        try:
            verifier.verify(request.body, request.headers)
        except VerificationError:
            return 401, b""
        return answer

    return send


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((404, b""), "It does not take POST at this URL. Does the URL exist?"),
        ((405, b"no\n\x1b[1m"), "Does the URL exist? It answered: no \\x1b[1m ["),
        ((403, b"<p>x</p>" * 90 + b"CSRF verification failed"), "use csrf_exempt. It answered: <p"),
        ((403, b"no"), "the right secret and the raw body? It answered: no ["),
        ((400, b'{"reason": "malformed-payload", "message": "No name."}'), "-payload: No name. ["),
        ((422, b'["name"]'), 'cannot use them. It was sent {"event": "test"'),
        ((500, b"{}"), "Pass payload= with what your handler accepts, and headers= for the"),
        ((400, b"not " + b"Ab+/" * 11), "It answered: not *** ["),
        ((400, secret_of(FRAPPE).encode()), "for the sender's event. [refuses"),
        ((200, b""), "with success, but handled= did not count them."),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, tuple) else "",
)
def test_what_would_help(answer: tuple[int, bytes], words: str) -> None:
    """If genuine requests fail, the status decides what is said, and the answer is shown."""
    judgement = judge_receiver(
        verifying(answer), FRAPPE, secret_of(FRAPPE), max_body=LIMIT, handled=lambda: 0
    )

    assert [each.code for each in judgement.mistakes if each.code != "reveals"] == [
        "refuses-genuine"
    ]
    assert words in str(judgement)
    assert secret_of(FRAPPE) not in str(judgement)


def test_fails_before_it_verifies() -> None:
    """A receiver that always fails is not said to dislike the payload."""
    judgement = judge_receiver(lambda _: 500, FRAPPE, secret_of(FRAPPE), max_body=LIMIT)

    assert "- It fails on genuine requests. [refuses-genuine" in str(judgement)


def test_needs_content_type() -> None:
    """A receiver that parses only with a Content-Type is told that Frappe sends none."""
    right = verifying((200, b""))

    def send(request: SignedRequest) -> tuple[int, bytes]:
        status, body = right(request)
        has_type = "Content-Type" in dict(request.headers)
        return (status, body) if status == 401 or has_type else (415, b"")

    options: Any = {"max_body": LIMIT}
    judgement = judge_receiver(send, FRAPPE, secret_of(FRAPPE), **options)
    typed = judge_receiver(
        send, FRAPPE, secret_of(FRAPPE), headers={"Content-Type": "application/json"}, **options
    )

    assert [mistake.code for mistake in judgement.mistakes] == ["needs-content-type"]
    assert "Content-Type, which Frappe (ERPNext) does not send: parse the raw" in str(judgement)
    assert "needs-content-type" not in str(typed)


def test_answers_that_vary() -> None:
    """If no two answers are alike, only the statuses are judged, and it says so."""
    numbers = count()

    def send(_: SignedRequest) -> tuple[int, bytes]:
        return 200, b"%d" % next(numbers)

    judgement = judge_receiver(send, FRAPPE, secret_of(FRAPPE), max_body=LIMIT, handles_once=True)

    assert [mistake.code for mistake in judgement.mistakes] == ["no-check"]
    assert "or only answers 200: its answers vary. Pass handled=" in str(judgement)


def test_repeats_that_do_not_show() -> None:
    """If a repeat is answered like the first delivery, somebody has to count."""
    judgement = judged(receivers.frappe, FRAPPE, counts=False, handles_once=True)

    assert judgement.mistakes == ()
    assert "How often it handles a repeated delivery: its answers do not show it" in str(judgement)


def test_revealed_secret() -> None:
    """A token is not sent back either."""
    secret = secret_of(providers.GITLAB)

    judgement = judge_receiver(
        lambda _: (401, f"not {secret}".encode()), providers.GITLAB, secret, max_body=LIMIT
    )

    assert "Its answer to a forgery contains the secret. [reveals" in str(judgement)


def test_profile_is_restored() -> None:
    """Watching a receiver leaves the profile functions as they were."""
    events: list[str] = []

    def profile(_frame: Any, event: str, _: Any) -> None:
        events.append(event)

    before = threading.getprofile()
    sys.setprofile(profile)
    try:
        judgement = judged(receivers.compares_with_equals, FRAPPE, counts=False)
        assert sys.getprofile() is profile
    finally:
        sys.setprofile(None)

    assert [mistake.code for mistake in judgement.mistakes] == ["timing"]
    assert threading.getprofile() is before
    judged(receivers.frappe, FRAPPE, counts=False)
    assert sys.getprofile() is None


@pytest.mark.parametrize(
    ("event", "called", "seen"),
    [
        ("c_call", hmac.compare_digest, (False, True)),
        ("c_call", _operator._compare_digest, (False, True)),  # noqa: SLF001
        ("c_call", hmac.new(b"", digestmod="sha256").copy()._hmac.digest, (True, False)),  # type: ignore[attr-defined]  # noqa: SLF001
        ("c_call", hashlib.sha512().hexdigest, (True, False)),
        ("c_return", hashlib.sha512().hexdigest, (False, False)),
        ("c_call", [].append, (False, False)),
        ("c_call", len, (False, False)),
        ("call", None, (False, False)),
    ],
)
def test_watch(event: str, called: Any, seen: tuple[bool, bool]) -> None:
    """A MAC and a comparison in constant time are told from all other calls."""
    watch = Watch()

    watch(sys._getframe(), event, called)  # noqa: SLF001

    assert (watch.has_mac, watch.compares) == seen


class Server(ThreadingMixIn, WSGIServer):
    """Serves each request in a thread."""

    daemon_threads = True


class Quiet(WSGIRequestHandler):
    """Logs nothing."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@contextmanager
def serving(app: App) -> Iterator[str]:
    """Serve an app on loopback; the URL of its webhook."""
    with make_server("127.0.0.1", 0, app, Server, Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/webhook?a=1"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("receive", "scheme", "codes"),
    [
        (receivers.frappe_once, FRAPPE, []),
        (receivers.stripe, STRIPE, []),
        (receivers.get_then_set, FRAPPE, ["get-then-set"]),
        (receivers.no_header_no_check, FRAPPE, ["no-header-no-check"]),
        (receivers.last_signature_wins, STRIPE, ["rotated-first"]),
        (receivers.crashes_on_non_ascii, FRAPPE, ["crash-non-ascii"]),
    ],
)
def test_over_http(
    receive: Receive, scheme: Scheme, codes: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """A receiver with a URL is judged over HTTP; how it compares cannot be seen there."""
    app = App(receive, secret_of(scheme).encode())
    with serving(app) as url:
        judgement = judge_receiver(
            url,
            scheme,
            secret_of(scheme),
            max_body=LIMIT,
            handled=lambda: app.handled,
            handles_once=receive in {receivers.frappe_once, receivers.get_then_set},
        )

    assert [mistake.code for mistake in judgement.mistakes] == codes, str(judgement)
    assert "constant time: it computed no MAC in this process" in str(judgement)
    capfd.readouterr()  # tracebacks of the wrong ones


def test_no_answer() -> None:
    """If nobody is there, that is all there is to say."""
    with serving(App(receivers.frappe, b"")) as url:
        pass
    judgement = judge_receiver(url, FRAPPE, secret_of(FRAPPE), max_body=LIMIT)

    assert [mistake.code for mistake in judgement.mistakes] == ["no-answer"]
    assert "no answer (ConnectionRefusedError" in str(judgement)


def test_no_tls() -> None:
    """A server without TLS does not answer at an https URL."""
    with serving(App(receivers.frappe, b"")) as url:
        tls = url.replace("http:", "https:")
        judgement = judge_receiver(tls, FRAPPE, secret_of(FRAPPE), max_body=LIMIT)

    assert "no answer (SSLError" in str(judgement)
