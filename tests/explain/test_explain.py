"""Verdicts, hints, bounds and wrong use of `explain()`."""

from __future__ import annotations

import gzip
import itertools
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from frappe_hooksig import ConfigurationError, Scheme, Verifier, providers, sign_payload
from frappe_hooksig._headers import Index
from frappe_hooksig._keys import redacted
from frappe_hooksig.explain import _hints, _search, _tries, explain
from frappe_hooksig.explain._body_causes import BodyCause
from frappe_hooksig.explain._request import Request
from frappe_hooksig.explain._search import Budget, Search
from frappe_hooksig.explain._tries import Keyring
from tests.explain.mistakes import (
    NOW,
    PYTHON,
    SECRET,
    URL,
    WHSEC,
    base64_of,
    frappe,
    hubspot,
    mac,
    stripe,
)

SIGNATURE = "X-Frappe-Webhook-Signature"
WRONG = {SIGNATURE: base64_of(mac(b"something else"))}
RAW = bytes(range(128, 160))
KEYS = {"text": SECRET, "hex": RAW.hex(), "base64": base64_of(RAW), "whsec": WHSEC}


@pytest.mark.parametrize("name", providers.names())
def test_genuine(name: str) -> None:
    """What `Verifier` accepts is genuine, for every scheme."""
    scheme = providers.get(name)
    secret = scheme.secret_prefix + KEYS[scheme.secret_formats[0]]
    place: dict[str, Any] = {"method": "POST", "url": URL} if scheme.signs_url else {}
    signed = sign_payload(b"{}", secret, scheme=scheme, **place)

    assert Verifier(secret, scheme=scheme).verify(b"{}", signed.headers, **place)
    explanation = explain(b"{}", signed.headers, secret, scheme=scheme, **place)
    assert (explanation.verdict, explanation.findings) == ("genuine", ())


def test_genuine_and_compressed() -> None:
    """A body that was signed before it was compressed is genuine; one that was cut off is not."""
    body, headers = gzip.compress(PYTHON), {"X-Signature": mac(PYTHON).hex()}
    headers["Content-Encoding"] = "gzip"

    assert explain(body, headers, SECRET, scheme=providers.GETSTREAM).verdict == "genuine"
    explanation = explain(body[:-1], headers, SECRET, scheme=providers.GETSTREAM)
    assert explanation.verdict == "unexplained"


def hint_of(body: bytes, headers: Any, **options: Any) -> list[str]:
    """Return the codes of the hints for a request."""
    explanation = explain(body, headers, SECRET, now=NOW, **options)
    assert explanation.verdict == "unexplained"
    assert not any(finding.is_proved for finding in explanation.findings)
    return [finding.code for finding in explanation.findings]


@pytest.mark.parametrize(
    ("code", "body", "headers"),
    [
        ("header-missing", PYTHON, {}),
        ("header-overridden", PYTHON, {SIGNATURE: "my own token"}),
        ("signature-truncated", PYTHON, {SIGNATURE: "1CsX8a"}),
        ("redirected", b"", WRONG),
        ("body-truncated", PYTHON, WRONG | {"Content-Length": "999999"}),
        ("body-truncated", b'{"a": tru', WRONG),
        ("body-truncated", b'{"a": {"b": 1} ', WRONG),
        ("body-truncated", b"x" * 4096, WRONG),
        ("body-compressed", b"abc", WRONG | {"Content-Encoding": "br"}),
        ("body-compressed", b"\x1f\x8b and no more", WRONG),
        ("body-charset", '{"a": "\ufffd"}'.encode(), WRONG),
        ("body-multipart", b"--x\r\nContent-Disposition: form-data\r\n", WRONG),
        ("rendered-twice", b'{"at": "10:00:00"}', WRONG),
        ("secret-other", PYTHON, WRONG),
        ("header-doubled", PYTHON, [(SIGNATURE, "a"), (SIGNATURE, "b")]),
    ],
)
def test_hints(code: str, body: bytes, headers: Any) -> None:
    """What cannot be computed is hinted at."""
    assert code in hint_of(body, headers)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1}',
        b'{"a" 1}',
        b'{"\xff": 1}',
        b"[" * 15_000 + b"]",
        b'{"a": "' + b"x" * 30_000 + b'"}',
    ],
    ids=["whole", "wrong", "no text", "deep", "large"],
)
def test_no_hint_of_an_end(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not known to be cut off is not said to be, and large bodies are not parsed."""
    monkeypatch.setattr(_hints, "REWRITTEN", 20_000)
    assert "body-truncated" not in hint_of(body, WRONG)


def test_order_of_hints() -> None:
    """A time in the body is a reason to think of two renderings first."""
    assert hint_of(b'{"at": "10:00:00"}', WRONG) == ["rendered-twice", "secret-other"]
    assert hint_of(b'{"at": 1}', WRONG) == ["secret-other", "rendered-twice"]


@pytest.mark.parametrize(
    ("value", "first"),
    [
        ("1CsX8aQ0", "header-overridden"),
        ("token oeEs7G975As2om4MOVoR", "header-overridden"),
        ("Bearer 293wjV41i4BVCygawNSr", "header-overridden"),
        ("sha256=1c8aa0", "signature-truncated"),
    ],
)
def test_hint_of_short_text(value: str, first: str) -> None:
    """A short text is a signature that was cut off if it is hex, and otherwise rather a token."""
    assert hint_of(PYTHON, {SIGNATURE: value})[0] == first


@pytest.mark.parametrize(
    ("headers", "first"),
    [
        ({}, "redirected"),
        ({"Content-Length": "0"}, "redirected"),
        ({"Content-Length": "80"}, "body-empty"),
        ({"Transfer-Encoding": "chunked"}, "body-empty"),
    ],
)
def test_hint_of_empty_body(headers: dict[str, str], first: str) -> None:
    """An empty body was read before if the headers announce one, or was lost in a redirect."""
    codes = hint_of(b"", WRONG | headers)

    assert codes[0] == first
    assert {"redirected", "body-empty"} <= {*codes}


def test_hint_of_url() -> None:
    """If no variant of the URL matches, the hint shows it without its query."""
    explanation = explain(
        PYTHON, hubspot("https://x.example/"), SECRET,
        scheme=providers.HUBSPOT_V3, method="POST", url=URL, now=NOW,
    )  # fmt: skip

    assert explanation.findings[0].code == "url-differs"
    assert "https://hooks.example.com/in?..." in explanation.findings[0].evidence


def test_no_time() -> None:
    """What there was no time for is named."""
    explanation = explain(PYTHON + b"\n", frappe(PYTHON), SECRET, budget=1e-9)

    assert explanation.verdict == "unexplained"
    assert {"body-line-end", "changed secrets", "pairs of causes"} <= {*explanation.untried}


def test_time_that_is_none() -> None:
    """What only looks like a time is left alone."""
    hints = hint_of(b'{"at": "2026-99-99 99:99:99.999999"}', WRONG)

    assert "rendered-twice" in hints


def test_time_that_ends() -> None:
    """The time may end in the middle of a stage, which is then named."""
    request = Request(PYTHON, Index(WRONG.items()), None, None, NOW)
    keyring = Keyring(redacted(SECRET), (), NOW)
    budget = Budget(100, clock=itertools.count().__next__)  # a second passes with each look
    search = Search(request, providers.FRAPPE, keyring, budget)

    assert search.matches() == []
    assert "body-reserialised" in search.untried
    assert "body-line-end" not in search.untried


def test_large_body() -> None:
    """A body beyond 2 MiB is not parsed, which is named; its line ends are tried all the same."""
    body = b'{"a": "' + b"x" * (2 * 1024 * 1024) + b'"}'

    explanation = explain(body, WRONG, SECRET, budget=60)
    assert "body-reserialised: the body is larger than 2097152 bytes" in explanation.untried
    explanation = explain(body + b"\n", frappe(body), SECRET, budget=60)
    assert explanation.findings[0].code == "body-line-end"


def test_large_headers() -> None:
    """Headers cost little memory, however many a stranger sends. What is left out is named."""
    text = "A1b2C3d4E5f6G7h8I9j0K1l2 " * 327
    headers = [(f"X-Sign-{number}", text) for number in range(127)] * 8

    tracemalloc.start()
    explanation = explain(b"{}", headers, SECRET, budget=1e-9)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * 1024 * 1024
    assert "126 more headers" in explanation.untried


def test_own_header_among_large_ones() -> None:
    """The scheme's own header is read first; small headers are read beside large ones."""
    large = [(f"X-Other-{number}", "x" * 8000) for number in range(120)]
    headers = [*large, ("X-Request-Id", "a"), *frappe(PYTHON).items()]

    explanation = explain(PYTHON + b"\n", headers, SECRET)
    assert explanation.findings[0].code == "body-line-end"
    request, left_out = Request(b"", Index(headers), None, None, NOW).bounded([SIGNATURE])
    assert next(iter(request.names())) == SIGNATURE.lower()
    assert request.text("x-request-id") == "a"
    assert left_out == 112


@pytest.mark.parametrize(
    ("scheme", "body", "headers"),
    [
        (providers.FRAPPE, b"{}", {"X-Any": "9999-12-31T23:59:59.999999-12:00"}),
        (providers.SLACK, b"{}", {"Date": "Mon, 01 Jan 2024 99999999999999999999:00:00 -0000"}),
        (providers.FRAPPE, b"a=" + b"[" * 984 + b"1.10" + b"]" * 984, {}),
    ],
    ids=["year 10000", "endless day", "deep form"],
)
def test_hostile_request(scheme: Scheme, body: bytes, headers: dict[str, str]) -> None:
    """Times beyond the calendar and nested data beyond the stack are no error."""
    explanation = explain(body, headers | WRONG, SECRET, scheme=scheme, budget=1)

    assert explanation.verdict == "unexplained"


@pytest.mark.parametrize("error", [ValueError, OverflowError, RecursionError])
@pytest.mark.parametrize(
    ("module", "causes", "name"),
    [
        (_search, "BODY_CAUSES", "body-form"),
        (_search, "LONG_BODY_CAUSES", "body-form"),
        (_tries, "CONTENT_CAUSES", "other times, ids, URLs and methods"),
        (_tries, "LONG_CONTENT_CAUSES", "other times"),
    ],
)
def test_cause_that_fails(
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    causes: str,
    name: str,
    error: type[Exception],
) -> None:
    """A cause that cannot cope with a hostile request is named as not tried, and is no error."""

    def failing(*_: object) -> Iterator[Any]:
        yield from ()
        raise error

    is_of_body = module is _search
    cause = BodyCause("body-form", failing) if is_of_body else failing
    monkeypatch.setattr(module, causes, (cause,))

    explanation = explain(PYTHON, WRONG, SECRET)
    assert explanation.verdict == "unexplained"
    assert f"{name}: some cannot be computed for this request" in explanation.untried


def test_large_content() -> None:
    """What the content of a compressed body may need is not begun if too little time is left."""
    content = b"[" + b"1.10," * 400_000 + b"1.10]"
    request = Request(gzip.compress(content), Index(WRONG.items()), None, None, NOW)
    asked: list[float] = []

    class Watched(Budget):
        def is_left(self, needed: float = 0.0) -> bool:
            asked.append(needed)
            return needed < 1  # as if one second was left

    search = Search(request, providers.FRAPPE, Keyring(redacted(SECRET), (), NOW), Watched(60))
    assert search.matches() == []
    assert max(asked) > 1
    assert "body-reserialised" in search.untried


def test_several_secrets() -> None:
    """Of several secrets, the evidence says which one."""
    explanation = explain(PYTHON, frappe(PYTHON), ["x" * 20, f"{SECRET}\n"])

    assert "secret 2 of 2" in explanation.findings[0].evidence


def test_capital_letters() -> None:
    """A method in small letters is refused although it was signed."""
    explanation = explain(
        PYTHON, hubspot(method="post"), SECRET,
        scheme=providers.HUBSPOT_V3, method="post", url=URL, now=NOW,
    )  # fmt: skip

    assert [finding.code for finding in explanation.findings] == ["method-differs"]


def test_bare_hash_of_binary() -> None:
    """A bare hash proves nothing about a body with NULs."""
    from hashlib import sha256

    body = b"\0\xff"
    headers = {"X-HubSpot-Signature": sha256(SECRET.encode() + body).hexdigest()}

    explanation = explain(body, headers, SECRET, scheme=providers.HUBSPOT_V1)
    assert [finding.code for finding in explanation.findings] == ["body-charset"]


def test_secret_that_cannot_be_decoded() -> None:
    """A secret that its scheme cannot decode is a mistake to explain, not an error."""
    signed = sign_payload(b"{}", WHSEC, scheme=providers.STANDARD_WEBHOOKS)

    explanation = explain(b"{}", signed.headers, f'"{WHSEC}"', scheme=providers.STANDARD_WEBHOOKS)
    assert explanation.findings[0].code == "secret-quotes"


def test_now() -> None:
    """Without `now`, the clock of this machine counts."""
    explanation = explain(PYTHON, stripe(PYTHON), SECRET, scheme=providers.STRIPE)

    assert explanation.findings[0].code == "timestamp-out-of-tolerance"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"secret": ""}, "secret=: a secret is empty"),
        ({"secret": []}, "no secret is set: pass it with secret="),
        ({"also": [""]}, "also=: a secret is empty"),
        ({"also": 5}, "also=: a secret must be str or bytes, not int"),
        ({"budget": -1}, "budget="),
        ({"now": "2026-11-22"}, "now="),
        ({"now": float("nan")}, "now="),
        ({"scheme": providers.SQUARE}, "scheme 'square' signs the request's url: pass url="),
        ({"scheme": providers.HUBSPOT_V3, "url": URL}, "signs the request's method: pass method="),
        ({"scheme": providers.HUBSPOT_V3, "method": "POST"}, "url: pass url="),
        ({"scheme": "github"}, "scheme="),
        ({"headers": "text"}, "headers"),
    ],
)
def test_wrong_use(options: dict[str, Any], words: str) -> None:
    """Mistakes of the caller are errors that name the argument."""
    with pytest.raises(ConfigurationError, match=words):
        explain(**{"body": PYTHON, "headers": {}, "secret": SECRET} | options)


def test_body_that_is_no_bytes() -> None:
    """Text and parsed JSON are refused."""
    with pytest.raises(TypeError, match="not bytes"):
        explain({}, {}, SECRET)  # type: ignore[arg-type]


def test_bytes_like_body() -> None:
    """A buffer is a raw body."""
    assert explain(bytearray(PYTHON), frappe(PYTHON), SECRET).verdict == "genuine"
    assert explain(memoryview(PYTHON), frappe(PYTHON), SECRET).verdict == "genuine"


def test_url_that_cannot_be_split() -> None:
    """A URL that is no URL has no variants, and is not an error."""
    explanation = explain(
        PYTHON, hubspot(), SECRET, scheme=providers.HUBSPOT_V3, method="POST", url="https://[1"
    )

    assert explanation.verdict == "unexplained"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("my own words {}", "other text (13 characters) before it"),
        ('"{}"', "'\"' before it and '\"' behind it"),
        ("{};", "nothing before it and other text (1 characters) behind it"),
    ],
)
def test_text_around_a_signature(value: str, shown: str) -> None:
    """The text of a header is shown only if it is a usual prefix, because it may be a secret."""
    headers = {SIGNATURE: value.format(base64_of(mac(PYTHON)))}

    (finding,) = explain(PYTHON, headers, SECRET).findings
    assert finding.code == "signature-prefix"
    assert shown in finding.evidence


VALUES = ["A" * 128, "0" * 64, "0" * 65, "=" * 64, "%" * 30, "\0" * 30, "a1" * 11]
VALUES += ["YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg=="]  # base64 of 22 hex digits


@pytest.mark.parametrize("value", VALUES)
def test_values_that_are_no_signatures(value: str) -> None:
    """Any value of a header can be read."""
    assert explain(b"{}", {SIGNATURE: value}, SECRET).verdict == "unexplained"


def test_words() -> None:
    """The evidence names the scheme and the place of a timestamp, and the URL that was signed."""
    sender = explain(PYTHON, {"X-Hub-Signature-256": f"sha256={mac(PYTHON).hex()}"}, SECRET)
    late = explain(PYTHON, stripe(PYTHON), SECRET, scheme=providers.STRIPE, now=NOW + 600)
    signed = f"{URL.partition('?')[0]}/?b=2&a=1"
    place = explain(
        PYTHON, hubspot(signed), SECRET,
        scheme=providers.HUBSPOT_V3, method="POST", url=URL, now=NOW,
    )  # fmt: skip

    assert "scheme 'github'" in sender.findings[0].evidence
    assert late.findings[0].evidence == (
        "the timestamp in Stripe-Signature is 600 s ago, tolerance 300 s"
    )
    assert place.findings[0].evidence.endswith("is signed: https://hooks.example.com/in/?...")


@pytest.mark.parametrize("field", ["modified", "creation"])
def test_stored_time(field: str) -> None:
    """A time that Frappe stores is the same in both renderings, so another secret is likelier."""
    codes = hint_of(f'{{"{field}": "2026-11-22 08:49:40.461310"}}'.encode(), WRONG)

    assert codes == ["secret-other", "rendered-twice"]
