"""Whoever sees an explanation learns nothing that helps to forge a signature."""

from __future__ import annotations

import base64
import json
import random
import re
import signal
from collections.abc import Callable
from dataclasses import asdict
from string import hexdigits
from traceback import walk_tb
from typing import Any
from urllib.parse import quote, unquote

import pytest

from frappe_hooksig import ConfigurationError, Scheme, Secret, providers, sign_payload
from frappe_hooksig.explain import explain
from tests.explain.mistakes import (
    MISTAKES,
    NOW,
    OTHER,
    PYTHON,
    SECRET,
    URL,
    WHSEC,
    Mistake,
    base64_of,
    mac,
)
from tests.explain.test_causes import explained
from tests.explain.test_pairs import PAIRS
from tests.selection import FULL, layout, one_of_each

ALL = MISTAKES | {name: mistake for name, (_, mistake) in PAIRS.items()}
# Requests; `make stress` takes more.
GUESSES = 100 if FULL else 16
UNKNOWN = 100 if FULL else 4

SCHEMES = [providers.FRAPPE, providers.GITHUB, providers.STRIPE, providers.SHOPIFY]
OF_SCHEME = {
    "frappe": lambda raw: {"X-Frappe-Webhook-Signature": base64_of(raw)},
    "github": lambda raw: {"X-Hub-Signature-256": f"sha256={raw.hex()}"},
    "stripe": lambda raw: {"Stripe-Signature": f"t={NOW},v1={raw.hex()}"},
    "shopify": lambda raw: {"X-Shopify-Hmac-Sha256": base64_of(raw)},
}


def cut(right: bytes, wrong: bytes, chance: random.Random) -> tuple[bytes, bytes]:
    """Keep up to 15 bytes."""
    length = chance.randint(1, 15)
    return right[:length], wrong[:length]


def continued(right: bytes, wrong: bytes, chance: random.Random) -> tuple[bytes, bytes]:
    """Keep up to 15 bytes, and put others behind them, so that the length is that of a MAC."""
    length = chance.randint(1, 15)
    rest = chance.randbytes(len(right) - length)
    return right[:length] + rest, wrong[:length] + rest


def flipped(right: bytes, wrong: bytes, chance: random.Random) -> tuple[bytes, bytes]:
    """Flip one bit."""
    place, bit = chance.randrange(len(right)), 1 << chance.randrange(7)
    return right[:place] + bytes([right[place] ^ bit]) + right[place + 1 :], wrong


def in_the_middle(right: bytes, wrong: bytes, chance: random.Random) -> tuple[bytes, bytes]:
    """Keep the end, all but a beginning."""
    length = chance.randint(1, 15)
    rest = chance.randbytes(length)
    return rest + right[length:], rest + wrong[length:]


ATTACKS = (cut, continued, flipped, in_the_middle)
ENCODERS: tuple[Callable[[bytes], str], ...] = (
    bytes.hex,
    lambda raw: raw.hex().upper(),
    base64_of,
    lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=").decode(),
    lambda raw: base64_of(raw.hex().encode()),
)
KINDS = one_of_each(map(providers.get, providers.names()), layout)
RAW = bytes(range(128, 160))
KEYS = {"text": SECRET, "hex": RAW.hex(), "base64": base64_of(RAW), "whsec": WHSEC}


def is_like(one: str, other: str) -> bool:
    """Whether two texts are of the same kind: a hint may say that a text is short hex digits."""
    return {*one} <= {*hexdigits} if {*other} <= {*hexdigits} else not {*one} <= {*hexdigits}


def raw_of(text: str, scheme: Scheme) -> bytes:
    """Return the bytes of a signature."""
    if scheme.encoding == "hex":
        return bytes.fromhex(text)
    return base64.urlsafe_b64decode(text.translate(str.maketrans("+/", "-_")) + "==")


def guesses(number: int, scheme: Scheme) -> tuple[list[Any], dict[str, Any]]:
    """Return two lists of headers, one with parts of the right signature, and what both share."""
    chance = random.Random(number)
    secret = scheme.secret_prefix + KEYS[scheme.secret_formats[0]]
    place: dict[str, Any] = {"method": "POST", "url": URL} if scheme.signs_url else {}
    time: dict[str, Any] = {"timestamp": NOW} if scheme.signs_timestamp else {}
    signed = sign_payload(b"[1]", secret, scheme=scheme, **time, **place)
    right = raw_of(signed.signature, scheme)
    texts: tuple[list[str], list[str]] = ([], [])
    while len(texts[0]) < chance.randint(1, 3):
        attacked = chance.choice(ATTACKS)(right, chance.randbytes(len(right)), chance)
        one, other = map(chance.choice(ENCODERS), attacked)
        if len(one) == len(other) and is_like(one, other):
            texts[0].append(one)
            texts[1].append(other)
    several = chance.choice((", ", " ", ";", None))
    more = ["X-Signature", "X-Hub-Signature-256", "X-My-HMAC"]
    headers: list[Any] = []
    for each in texts:
        found = [
            (
                name,
                value.replace(signed.signature, each[0] if several is None else several.join(each)),
            )
            for name, value in signed.headers.items()
        ]
        extra = zip(more, each, strict=False) if several is None else ()
        headers.append([*found, *extra])
    known = chance.choice([(secret, ()), (secret, OTHER), (OTHER, secret)])
    if known[0] == OTHER and scheme.secret_formats != ("text",):
        known = (secret, ())
    return headers, place | {"secret": known[0], "also": known[1]}


@pytest.mark.stress
@pytest.mark.parametrize("number", range(GUESSES))
def test_parts_of_a_signature(number: int) -> None:
    """With less than 128 bits of the right signature, all is as with a random one."""
    signing = [each for each in KINDS if each.signs_body]
    scheme = signing[number % len(signing)]
    headers, options = guesses(number, scheme)

    of_right, of_wrong = (
        explain(b"[1]", each, scheme=scheme, now=NOW, budget=60, **options) for each in headers
    )
    assert headers[0] != headers[1]
    assert of_right == of_wrong
    assert of_right.verdict == "unexplained"
    assert not any(finding.is_proved for finding in of_right.findings)


@pytest.mark.stress
@pytest.mark.parametrize("length", range(1, len(SECRET), 1 if FULL else 7))
def test_beginning_of_a_token(length: int) -> None:
    """A secret that is sent itself counts only as a whole."""
    guess, other = SECRET[:length], SECRET[: length - 1] + "~"
    of_guess, of_other = (
        explain(b"{}", {"X-Gitlab-Token": token}, SECRET, scheme=providers.GITLAB, budget=60)
        for token in (guess, other)
    )
    assert of_guess == of_other


def spellings(raw: bytes) -> set[str]:
    """Return a MAC in all encodings."""
    return {
        raw.hex(),
        raw.hex().upper(),
        base64.b64encode(raw).rstrip(b"=").decode(),
        base64.urlsafe_b64encode(raw).rstrip(b"=").decode(),
        repr(raw)[2:-1],
    }


def texts_of(secret: object) -> set[str]:
    """Return the texts of a secret, or of several."""
    several: Any = secret if isinstance(secret, list | tuple) else [secret]
    plain = [each.reveal().decode() if isinstance(each, Secret) else each for each in several]
    return {text.strip() for text in plain}


@pytest.mark.parametrize("mistake", ALL.values(), ids=ALL)
def test_nothing_secret_is_shown(mistake: Mistake) -> None:
    """No secret and no MAC is in an explanation, not even the one that was presented."""
    shown = repr(asdict(explained(mistake))) + repr(explained(mistake))
    values = " ".join(dict(mistake.headers).values())
    secrets = texts_of(mistake.secret) | texts_of(mistake.also) | {SECRET, OTHER, WHSEC[6:]}
    macs = {mac(body, key) for body in (mistake.body, PYTHON) for key in secrets}
    presented = {*re.findall("[A-Za-z0-9+/_-]{22,}", values)}

    for text in secrets | presented | {each for raw in macs for each in spellings(raw)}:
        assert text not in shown


PRIVATE = "https://user:LEFT%2F%3F%23RIGHT7@example.com/A%20hook?key=QUERY5#BEHIND3"
URLS = [PRIVATE, *(PRIVATE.replace("?", mark) for mark in ("%3F", "%3f", "#", "%23"))]
CHANGES: list[Callable[[str], str]] = [
    lambda url: url.removeprefix("https://"),
    lambda url: url[url.index("/A%20") :],
    lambda url: url.replace("A%20", "a%20"),
    lambda url: url.replace("https", "http"),
    lambda url: url.replace(".com/", ".com:443/"),
    lambda url: url.partition("#")[0],
    lambda url: f"{url}?",
    lambda url: quote(url, safe=""),
    lambda url: quote(url, safe=":/?&=#%"),
    unquote,
    str.lower,
    lambda _: "https://other.example/",
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("url", URLS)
def test_no_private_part_of_a_url(url: str, change: Callable[[str], str]) -> None:
    """Neither password nor query nor fragment of the URL are shown, whatever was signed."""
    signature = base64_of(mac(change(url).encode() + b"{}"))
    headers = {"X-Square-HmacSha256-Signature": signature}

    explanation = explain(b"{}", headers, SECRET, scheme=providers.SQUARE, url=url)
    shown = repr(explanation).lower()
    assert explanation.findings
    for text in ("left", "right7", "query5", "behind3"):
        assert text not in shown


PHRASES = [
    *(mark.join(["correct", "horse", "battery", "staple"]) for mark in "-_.:=, /+@"),
    "550e8400-e29b-41d4-a716-446655440000",
    "correct-horse=battery_staple,correct:horse",
    "abc-horse",
    "sk_live_staple",
    "horse_cart_secrecy=battery-staple-apple",
    "aG9yc2U=/YmF0dGVyeQ==/c3RhcGxl",
    "aG9yc2U_YmF0dGVyeXN0YXBsZXN0YXBsZQ",
    "686f727365_62617474657279737461706c65",
    "h\u00f6rse!b\u00e4ttery!staple!apple",
]


def lenient(decode: Callable[[bytes], bytes], text: bytes) -> bytes:
    """Return a decoded text, or the text if it has another form."""
    try:
        return decode(text)
    except ValueError:
        return text


@pytest.mark.parametrize("phrase", PHRASES)
def test_secret_piece_by_piece(phrase: str) -> None:
    """Who guesses a part of a secret does not learn that the guess is right."""
    whole = phrase.encode()
    pieces = {whole[:end] for end in range(1, len(whole))}
    pieces |= {whole[start:] for start in range(1, len(whole))}
    pieces |= {*re.findall(rb"[A-Za-z0-9]+", whole), re.sub(rb"[^A-Za-z0-9]", b"", whole)}
    pieces |= {re.sub(rb"[^A-Za-z0-9_-]", b"", whole)}
    pieces -= {whole}
    pieces |= {lenient(lambda text: bytes.fromhex(text.decode()), each) for each in pieces}
    pieces |= {lenient(base64.urlsafe_b64decode, each + b"=" * (-len(each) % 4)) for each in pieces}
    guesses = sorted(each for each in pieces if each.strip(b"\0"))  # HMAC adds NULs to a key
    for start in range(0, len(guesses), 60):
        some = enumerate(guesses[start : start + 60])
        headers = [(f"X-Signature-{n}", base64_of(mac(b"{}", guess))) for n, guess in some]
        explanation = explain(b"{}", headers, phrase, budget=60)
        assert explanation.verdict == "unexplained", (phrase, explanation.findings)


class Interrupted(BaseException):
    """What a signal handler raises."""


def interrupt(*_: object) -> None:
    """Raise from a signal handler."""
    raise Interrupted


def error_of_interrupted_search(seconds: float) -> Interrupted | None:
    """Return the error of a search that a signal interrupts, if it comes early enough."""
    body = PYTHON.replace(b"SO-0001", b"SO-" + b"9" * 3000)
    headers = {"X-Frappe-Webhook-Signature": base64_of(mac(b"x"))}
    secret, other = Secret(SECRET), Secret(OTHER)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        explain(body, headers, secret, also=other)
    except Interrupted as error:
        return error
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return None


def test_frames() -> None:
    """An error in the middle of the search has no frame with a secret or a variant of it."""
    before = signal.signal(signal.SIGVTALRM, interrupt)
    chance = random.Random(1)
    try:  # the search begins within the first milliseconds of its own time
        found = [error_of_interrupted_search(chance.uniform(0.005, 0.05)) for _ in range(15)]
    finally:
        signal.signal(signal.SIGVTALRM, before)

    errors = [error for error in found if error is not None]
    assert errors
    assert [error for error in errors if error.__context__ is not None] == []
    frames = [frame for error in errors for frame, _ in walk_tb(error.__traceback__)]
    assert {frame.f_code.co_name for frame in frames} <= {
        "error_of_interrupted_search",
        "explain",
    }
    own = [frame.f_locals for frame in frames if frame.f_code.co_name == "explain"]
    assert SECRET not in repr(own)
    assert "SO-9999" not in repr(own)


def test_request_in_frames() -> None:
    """An error has no frame of this module with the body, the headers or the URL."""
    url, body, header = "https://a.example/in?url-token", b'{"name": "body-text"}', "header-text"
    place: dict[str, Any] = {"scheme": providers.HUBSPOT_V3, "url": url}
    wrong: list[dict[str, Any]] = [{"budget": 0}, {"now": 0}, {"secret": ""}, {"also": ""}, {}]
    for options in wrong:
        with pytest.raises(ConfigurationError) as caught:
            explain(**{"body": body, "headers": {"a": header}, "secret": OTHER} | place | options)
        own = [each.frame for each in caught.traceback if each.frame.code.name == "explain"]
        assert own
        for text in ("body-text", "header-text", "url-token"):
            assert not any(text in repr(frame.f_locals) for frame in own)


def test_frames_of_wrong_use() -> None:
    """A secret that is passed in the wrong place is in no frame."""
    calls: list[Callable[[], object]] = [
        lambda: explain(SECRET, {}, PYTHON),  # type: ignore[arg-type]
        lambda: explain(PYTHON, {}, ""),
        lambda: explain(PYTHON, {}, OTHER, scheme=SECRET),  # type: ignore[arg-type]
        lambda: explain(PYTHON, {}, [OTHER, ""]),
        lambda: explain(PYTHON, {}, OTHER, budget=0),
        lambda: explain(PYTHON, {}, OTHER, scheme=providers.SQUARE),
    ]
    for call in calls:
        with pytest.raises((TypeError, ValueError)) as caught:
            call()
        for entry in caught.traceback:
            if entry.frame.code.path and "frappe_hooksig" in str(entry.frame.code.path):
                assert SECRET not in repr(entry.frame.f_locals)
                assert OTHER not in repr(entry.frame.f_locals)


def random_bodies(chance: random.Random) -> tuple[bytes, bytes]:
    """Return what was signed, and another body that no cause leads to."""
    signed = sign_payload({"number": chance.random(), "text": chance.randbytes(20).hex()}, SECRET)
    changed = bytearray(signed.body)
    place = chance.randrange(40, len(changed) - 2)
    changed[place] = ord("z")
    return signed.body, bytes(changed)


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(UNKNOWN))
def test_nothing_is_made_up(seed: int) -> None:
    """A mismatch without a known cause is not explained, and only hinted at."""
    chance = random.Random(seed)
    signed, received = random_bodies(chance)
    scheme = chance.choice(SCHEMES)
    before = b"%d." % NOW if scheme.signs_timestamp else b""
    headers = OF_SCHEME[scheme.name](mac(before + signed))
    explanation = explain(received, headers, SECRET, scheme=scheme, now=NOW, also=OTHER)

    assert explanation.verdict == "unexplained"
    assert explanation.findings
    assert not any(finding.is_proved for finding in explanation.findings)


@pytest.mark.parametrize("seed", range(10))
def test_any_garbage(seed: int) -> None:
    """Whatever a stranger sends, an explanation comes."""
    chance = random.Random(seed)
    body = chance.choice(
        [chance.randbytes(99), b"[" * 5000, b'{"a":' + b"1" * 5000 + b"}", b"\xff"]
    )
    names = ["X-Frappe-Webhook-Signature", "Stripe-Signature", "Content-Length", "Date", "Host"]
    headers = [
        (chance.choice(names), chance.randbytes(chance.randrange(99)).decode("latin-1"))
        for _ in range(20)
    ]
    explanation = explain(body, headers, SECRET, scheme=chance.choice(SCHEMES))

    assert explanation.verdict == "unexplained"


NAMES = [
    "X-Signature-\x1b[31m" + "a" * 5000,
    "X-Sign-é☃",
    "Content-Length",
    "Content-Encoding",
    "Host",
]
TEXTS = [
    "\x1b]0;a\x07\r\n",
    "é☃\U0001f680" * 99,
    "9" * 4200,
    "１２",
    "\u202e" * 400,
    "\0",
    "gzip\x1b",
]


@pytest.mark.parametrize("number", range(20))
def test_text_of_a_request(number: int) -> None:
    """Whatever a request contains, a finding is one line of ASCII, and not long."""
    chance = random.Random(number)
    right = base64_of(mac(PYTHON))
    headers = [(chance.choice(NAMES), chance.choice([right, *TEXTS])) for _ in range(8)]
    body = json.dumps({chance.choice(TEXTS): right, "at": chance.choice(TEXTS)}).encode()
    explanation = explain(
        chance.choice([body, PYTHON]), headers, SECRET,
        scheme=chance.choice([providers.FRAPPE, providers.HUBSPOT_V3]),
        method=chance.choice(TEXTS), url=f"https://x.example/{chance.choice(TEXTS)}", budget=60,
    )  # fmt: skip

    for finding in explanation.findings:
        assert finding.evidence.isascii()
        assert finding.evidence.isprintable()
        assert len(finding.evidence) < 2500
        assert "9" * 201 not in finding.evidence
