"""The corpus of mismatches: each is refused, is the same again, and is what its name says."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import warnings
from collections.abc import Callable, Iterator
from itertools import chain
from urllib.parse import parse_qs, quote_plus

import pytest

from frappe_hooksig import Reason, SecretWarning, VerificationError, Verifier
from tests.explain import corpus
from tests.explain.draft import SCHEMES, Mismatch, spellings
from tests.explain.writers import WRITERS, javascript_number, php_number
from tests.selection import FULL

SEED = 20261129
# Requests of each cause; `make stress` takes more.
EACH = 8 if FULL else 1


def outcome(request: Mismatch) -> Reason | None:
    """Return why the verifier refuses a request, or None."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecretWarning)
        verifier = Verifier(request.secret, scheme=request.scheme, clock=lambda: request.now)
    try:
        verifier.verify(request.body, request.headers, method=request.method, url=request.url)
    except VerificationError as refusal:
        return refusal.reason
    return None


def everything(seed: int) -> list[Mismatch]:
    """Return some of each kind."""
    by_cause = corpus.singles, corpus.pairs, corpus.hints, corpus.beyond
    by_number = corpus.without_cause, corpus.genuine
    kinds = *(kind(seed, 2) for kind in by_cause), *(kind(seed, 99) for kind in by_number)
    return [*chain.from_iterable(kinds)]


@pytest.fixture(scope="module")
def some() -> list[Mismatch]:
    """Return what the tests of one request share."""
    return everything(SEED)


@pytest.mark.stress
@pytest.mark.parametrize(
    "requests",
    [
        *(corpus.singles(SEED, EACH), corpus.pairs(SEED, EACH), corpus.hints(SEED, EACH)),
        *(corpus.beyond(SEED, EACH), corpus.without_cause(SEED, 60 * EACH)),
    ],
    ids=["singles", "pairs", "hints", "beyond", "without-cause"],
)
def test_mismatch_is_refused(requests: Iterator[Mismatch]) -> None:
    """The verifier refuses all requests that are not genuine."""
    assert [each.id for each in requests if outcome(each) is None] == []


def test_genuine_is_accepted() -> None:
    """Without a mistake, the requests of all schemes verify: nothing else is wrong with them."""
    requests = [*corpus.genuine(SEED, 3 * len(SCHEMES))]

    assert {each.scheme for each in requests} == {*SCHEMES}
    assert {*map(outcome, requests)} == {None}


def test_ids_are_unique(some: list[Mismatch]) -> None:
    """No two requests have the same id."""
    names = [each.id for each in some]

    assert len(names) == len({*names})


def seen(request: Mismatch) -> tuple[object, ...]:
    """Return all of a request that can be compared."""
    return (
        request.id,
        request.body,
        request.headers,
        repr(request.secret),
        request.also,
        request.key,
    )


def test_seed_decides(some: list[Mismatch]) -> None:
    """The same seed gives the same requests, and another seed gives others."""
    again, others = everything(SEED), everything(SEED + 1)

    assert [*map(seen, some)] == [*map(seen, again)]
    assert not {each.key for each in some} & {each.key for each in others}


def test_there_is_enough() -> None:
    """There are as many causes as the measurement needs, and each is documented."""
    causes = corpus.SINGLES | corpus.HINTS | corpus.BEYOND
    steps = [cause.step for cause in causes.values()]

    assert len(causes) == len(corpus.SINGLES) + len(corpus.HINTS) + len(corpus.BEYOND)
    assert len(corpus.SINGLES) >= 60
    assert len({*corpus.PAIRS}) >= 15
    assert [step.__name__ for step in steps if not step.__doc__] == []


def test_codes(some: list[Mismatch]) -> None:
    """The codes are those of the design; nothing is claimed of requests without a cause."""
    found = {code for each in some for code in each.codes}

    assert found == {
        *("secret-whitespace", "secret-quotes", "secret-html-escaped", "secret-prefix"),
        *("secret-decoded", "secret-window", "secret-other", "signature-encoding"),
        *("signature-prefix", "signature-digest", "signature-truncated", "scheme-other"),
        *("body-reserialised", "body-line-end", "body-charset", "body-escapes"),
        *("body-html-escaped", "body-compressed", "body-base64", "body-form", "body-multipart"),
        *("body-empty", "body-truncated", "url-differs", "method-differs", "id-differs"),
        *("timestamp-unit", "timestamp-in-signed", "timestamp-out-of-tolerance"),
        *("rendered-twice", "header-overridden", "header-missing", "header-doubled", "redirected"),
    }
    assert {each.codes for each in corpus.without_cause(SEED, 99)} == {frozenset()}


def by_hand(key: bytes, content: bytes, digest: str) -> bytes:
    """Return an HMAC, written out from RFC 2104 section 2."""
    block = hashlib.new(digest).block_size
    short = hashlib.new(digest, key).digest() if len(key) > block else key
    padded = short.ljust(block, b"\0")
    inner = hashlib.new(digest, bytes(byte ^ 0x36 for byte in padded) + content).digest()
    return hashlib.new(digest, bytes(byte ^ 0x5C for byte in padded) + inner).digest()


@pytest.mark.stress
def test_signature_is_of_signed_content() -> None:
    """The headers carry the MAC of what `signed`, `key` and `digest` say, computed by hand."""
    requests = [
        each
        for each in chain(corpus.singles(SEED, EACH), corpus.pairs(SEED, EACH))
        if each.scheme.signs_body
        and each.scheme.algorithm == "hmac"
        and "headers-of-other-sender" not in each.cause  # one may send a bare hash
    ]

    assert len(requests) > 140 * EACH
    assert [
        each.id
        for each in requests
        if not any(
            text in " ".join(dict(each.headers).values())
            for text in spellings(by_hand(each.key, each.signed, each.digest))
        )
    ] == []


def test_hidden(some: list[Mismatch]) -> None:
    """What no output may show has the secret, the key and the MAC that was sent."""
    by_hmac = [
        each
        for each in some
        if each.scheme.signs_body
        and each.scheme.algorithm == "hmac"
        and each.cause not in {"bare-hash-for-hmac", "headers-of-other-sender"}
    ]

    assert len(by_hmac) > 500
    assert [each.id for each in some if each.key not in each.hidden] == []
    assert [
        each.id
        for each in by_hmac
        if by_hand(each.key, each.signed, each.digest) not in each.hidden
    ] == []
    assert [
        each.id
        for each in some
        if isinstance(each.secret, str) and each.secret.strip().encode() not in each.hidden
    ] == []


#: How to compute the sender's key from the receiver's secret.
KEYS: dict[str, Callable[[str], bytes]] = {
    "secret-ends-in-newline": lambda secret: secret.removesuffix("\n").encode(),
    "secret-ends-in-crlf": lambda secret: secret.removesuffix("\r\n").encode(),
    "secret-beside-space": lambda secret: secret.strip(" \t").encode(),
    "secret-in-double-quotes": lambda secret: secret.strip('"').encode(),
    "secret-is-repr-of-bytes": lambda secret: secret[2:-1].encode(),
    "secret-escaped-by-sender": lambda secret: html.escape(secret, quote=False).encode(),
    "secret-copied-from-html": lambda secret: html.unescape(secret).encode(),
    "secret-with-whsec-added": lambda secret: secret[len("whsec_") :].encode(),
    "sender-decodes-hex": bytes.fromhex,
    "sender-decodes-base64": base64.b64decode,
    "sender-decodes-base64url": lambda secret: base64.urlsafe_b64decode(secret + "=="),
    "receiver-has-base64-of-secret": base64.b64decode,
    "signature-in-base64-of-hex": str.encode,
    "signature-bytes-cut": str.encode,
    "digest-is-sha1": str.encode,
}

#: How to compute the signed body from the one that arrived.
BODIES: dict[str, Callable[[bytes], bytes]] = {
    "signed-as-python": lambda body: json.dumps(json.loads(body)).encode(),
    "signed-as-python-unicode": lambda body: json.dumps(
        json.loads(body), ensure_ascii=False
    ).encode(),
    "newline-added": bytes.rstrip,
    "newline-removed": lambda body: body + b"\n",
    "lines-arrive-with-crlf": lambda body: body.replace(b"\r", b""),
    "bom-added": lambda body: body[3:],
    "decoded-as-latin-1": lambda body: body.decode().encode("latin-1"),
    "arrives-in-latin-1": lambda body: body.decode("latin-1").encode(),
    "signed-in-utf-16": lambda body: body.decode().encode("utf-16-le"),
    "html-escaped-on-the-way": lambda body: html.unescape(body.decode()).encode(),
    "arrives-as-gzip": gzip.decompress,
    "arrives-in-base64": base64.b64decode,
    "arrives-in-form": lambda body: parse_qs(body.decode())["payload"][0].encode(),
    "form-was-signed": lambda body: b"payload=" + quote_plus(body).encode(),
    "arrives-in-multipart": lambda body: body.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0],
    "nothing-was-signed": lambda _: b"",
}


def plain_requests(cause: str) -> list[tuple[str, Mismatch]]:
    """Return the secrets and requests of one cause, for schemes that sign only the body."""
    return [
        (each.secret, each)
        for each in corpus.of_cause(cause, SEED, 60)
        if isinstance(each.secret, str)
        and each.scheme.signed == "{body}"
        and each.scheme.secret_formats == ("text",)
    ]


@pytest.mark.parametrize("cause", [*KEYS])
def test_key_can_be_computed(cause: str) -> None:
    """What the receiver has is enough to compute the sender's key."""
    requests = plain_requests(cause)

    assert len(requests) > 3
    assert [it.id for secret, it in requests if KEYS[cause](secret) != it.key] == []
    assert [it.id for _, it in requests if it.body != it.signed] == []


@pytest.mark.parametrize("cause", [*BODIES])
def test_body_can_be_computed(cause: str) -> None:
    """What arrived is enough to compute the body that was signed."""
    requests = plain_requests(cause)

    assert len(requests) > 3
    assert [it.id for _, it in requests if BODIES[cause](it.body) != it.signed] == []
    assert [it.id for secret, it in requests if secret.encode() != it.key] == []


# What Node 24 answers to JSON.stringify().
@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1500.0, "1500"),
        (-0.5, "-0.5"),
        (0.30000000000000004, "0.30000000000000004"),
        (0.00001234, "0.00001234"),
        (1e-6, "0.000001"),
        (1.5e-7, "1.5e-7"),
        (1e20, "100000000000000000000"),
        (1.5e21, "1.5e+21"),
        (-0.0, "0"),
        (7, "7"),
    ],
)
def test_number_of_javascript(number: float, text: str) -> None:
    """Numbers are written as ECMAScript demands."""
    assert javascript_number(number) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("javascript", r'{"z":1,"a":["<ü/🎩>",{}],"e":[],"n":null,"l":"\u001b\t\"\\&"}'),
        ("php", r'{"z":1,"a":["<\u00fc\/\ud83c\udfa9>",{}],"e":[],"n":null,"l":"\u001b\t\"\\&"}'),
        (
            "go",
            r'{"a":["\u003cü/🎩\u003e",{}],"e":[],"l":"\u001b\t\"\\\u0026","n":null,"z":1}',
        ),
    ],
)
def test_writer(name: str, text: str) -> None:
    """Each language has its own escapes, and Go sorts the names."""
    value = {"z": 1.0, "a": ["<ü/🎩>", {}], "e": [], "n": None, "l": '\x1b\t"\\&'}

    assert WRITERS[name](value) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(1500.0, "1500"), (0.00012, "0.00012"), (0.00001234, "1.234e-5"), (1e-7, "1.0e-7"), (3, "3")],
)
def test_number_of_php(number: float, text: str) -> None:
    """PHP writes small numbers with an exponent, and then with a fraction."""
    assert php_number(number) == text


def test_indent() -> None:
    """With an indent, each member has a line, and what is empty has none."""
    assert WRITERS["javascript-indent-2"]({"a": [1, {}], "b": []}) == (
        '{\n  "a": [\n    1,\n    {}\n  ],\n  "b": []\n}'
    )
