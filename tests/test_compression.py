"""Senders that compress a body after they have signed it: what is decompressed, and what is not."""

from __future__ import annotations

import gzip
import hmac
import tracemalloc
import zlib
from typing import Any

import pytest

from frappe_hooksig import (
    BodyTooLarge,
    ConfigurationError,
    Delivery,
    MultiVerifier,
    Reason,
    Scheme,
    VerificationError,
    VerifiedRequest,
    Verifier,
    providers,
    sign_payload,
)
from frappe_hooksig._headers import Environ
from frappe_hooksig._wire import wire_of

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
OLD = "8Kx2Wm5Rt9Yb3Nc6Vf1Zq4Hs"
BODY = b'{"text": "\xe2\x98\x83", "filler": "%s"}' % (b"." * 2000)
ZIPPED = gzip.compress(BODY, mtime=0)


def scheme(**fields: Any) -> Scheme:
    """Return a scheme that signs decoded bodies, with some fields changed."""
    options = {"name": "zipped", "signature_header": "X-Signed", "encoding": "hex", **fields}
    return Scheme(signs_decoded_body=True, **options)


def headers(coding: str | None = "gzip", body: bytes = BODY) -> dict[str, str]:
    """Return the headers that a sender makes for a body that is not compressed yet."""
    code = hmac.digest(SECRET.encode(), body, "sha256").hex()
    return {"X-Signed": code} if coding is None else {"X-Signed": code, "Content-Encoding": coding}


def in_chunks(verifier: Verifier, sent: Any, body: bytes, size: int = 1) -> VerifiedRequest:
    """Verify a body in chunks of a size."""
    verification = verifier.begin(sent)
    for start in range(0, len(body), size):
        verification.update(memoryview(body)[start : start + size])
    return verification.finish()


def refusal(body: bytes, sent: Any, **options: Any) -> VerificationError:
    """Return the error with which a request is refused, whole and in chunks."""
    verifier = Verifier(SECRET, scheme=scheme(), **options)
    with pytest.raises(VerificationError) as caught:
        verifier.verify(body, sent)
    for size in (1, 7, 10**9):
        with pytest.raises(VerificationError) as other:
            in_chunks(verifier, sent, body, size)
        assert (type(other.value), other.value.args) == (type(caught.value), caught.value.args)
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return caught.value


@pytest.mark.parametrize("coding", ["gzip", "GZip"])
@pytest.mark.parametrize("secrets", [SECRET, [OLD, SECRET]], ids=["one", "two"])
def test_decompressed_body_is_signed(coding: str, secrets: Any) -> None:
    """The delivery has the body as it was signed, whole and in chunks."""
    verifier = Verifier(secrets, scheme=scheme())

    assert verifier.verify(ZIPPED, headers(coding)).body == BODY
    assert verifier.begin(headers(coding)).verify(ZIPPED).body == BODY
    assert isinstance(in_chunks(verifier, headers(coding), ZIPPED), VerifiedRequest)
    assert in_chunks(verifier, headers(coding), ZIPPED, 100).is_signed


def test_not_compressed() -> None:
    """Without Content-Encoding, the body is verified as it came."""
    verifier = Verifier(SECRET, scheme=scheme())

    assert verifier.verify(BODY, headers(None)).body == BODY
    assert in_chunks(verifier, headers(None), BODY, 100).is_signed
    assert refusal(ZIPPED, headers(None)).reason is Reason.SIGNATURE_MISMATCH
    assert refusal(BODY, {"Content-Encoding": "gzip"}).reason is Reason.MISSING_HEADER


def test_compressed_in_another_way() -> None:
    """How strongly a body was compressed does not matter: it is the same delivery."""
    verifier = Verifier(SECRET, scheme=scheme())
    several = [verifier.verify(gzip.compress(BODY, level), headers()) for level in (0, 1, 9)]
    several.append(verifier.verify(BODY, headers(None)))

    assert len({each.dedup_key for each in several}) == 1


def test_other_schemes_decompress_nothing() -> None:
    """Most senders sign what they send, whatever its Content-Encoding."""
    signed = sign_payload(ZIPPED, SECRET)
    sent = signed.headers | {"Content-Encoding": "gzip"}

    assert Verifier(SECRET).verify(ZIPPED, sent).body == ZIPPED


@pytest.mark.parametrize(
    "body",
    [
        BODY,
        b"",
        ZIPPED[:-1],
        ZIPPED[:20],
        ZIPPED + b"\0",
        ZIPPED + b"x",
        ZIPPED + gzip.compress(b""),
        gzip.compress(BODY[:9]) + gzip.compress(BODY[9:]),
        ZIPPED[:-8] + bytes(4) + ZIPPED[-4:],
        ZIPPED[:-4] + bytes(4),
        zlib.compress(BODY),
        zlib.compress(BODY)[2:-4],
    ],
    ids=[
        *("not compressed", "empty", "without its last byte", "cut off", "NUL behind it"),
        *("text behind it", "empty member behind it", "two members", "checksum", "length"),
        *("zlib", "deflate"),
    ],
)
def test_malformed_bodies(body: bytes) -> None:
    """A body is exactly one whole gzip member."""
    error = refusal(body, headers())

    assert (error.reason, error.header) == (Reason.MALFORMED_HEADER, "Content-Encoding")
    assert "it says gzip, but the body is not exactly one whole gzip member" in str(error)


@pytest.mark.parametrize(
    "coding", ["deflate", "br", "gzip, gzip", "gzip,", "identity", "x-gzip", "", " gzip", "g\0zip"]
)
def test_other_codings(coding: str) -> None:
    """A body is compressed once, with gzip, or not at all."""
    error = refusal(ZIPPED, headers(coding))

    assert (error.reason, error.header) == (Reason.MALFORMED_HEADER, "Content-Encoding")
    assert "compressed once, with gzip, or not at all" in str(error)


@pytest.mark.parametrize(
    "coding", [["gzip", "gzip"], ["gzip", "br"]], ids=["the same", "different"]
)
def test_doubled_coding(coding: list[str]) -> None:
    """Two Content-Encoding headers are refused."""
    sent = [*headers(None).items(), *(("content-encoding", each) for each in coding)]
    error = refusal(ZIPPED, sent)

    assert (error.reason, error.header) == (Reason.DUPLICATE_HEADER, "Content-Encoding")


def test_another_body_is_refused() -> None:
    """The signature covers what the body decompresses to."""
    other = gzip.compress(BODY + b" ")

    assert refusal(other, headers()).reason is Reason.SIGNATURE_MISMATCH


@pytest.mark.parametrize("spare", [0, 1])
def test_limit(spare: int) -> None:
    """`max_body` bounds a body before and after it is decompressed."""
    verifier = Verifier(SECRET, scheme=scheme(), max_body=len(BODY) + spare)
    assert verifier.verify(ZIPPED, headers()).body == BODY
    assert in_chunks(verifier, headers(), ZIPPED, 5).is_signed

    error = refusal(ZIPPED, headers(), max_body=len(BODY) - 1 - spare)
    assert isinstance(error, BodyTooLarge)
    stored = gzip.compress(BODY, 0)
    verifier = Verifier(SECRET, scheme=scheme(), max_body=len(BODY) + spare)
    with pytest.raises(BodyTooLarge):
        verifier.verify(stored, headers())
    with pytest.raises(BodyTooLarge):
        in_chunks(verifier, headers(), stored, 100)


def test_empty_limit() -> None:
    """With a limit of 0, nothing can be compressed, and nothing is decompressed."""
    verifier = Verifier(SECRET, scheme=scheme(), max_body=0)

    with pytest.raises(BodyTooLarge):
        verifier.verify(gzip.compress(b""), headers(body=b""))
    assert verifier.verify(b"", headers(None, b"")).body == b""


@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "in chunks"])
def test_bomb(is_whole: bool) -> None:  # noqa: FBT001
    """Of a body that becomes too large, no more is decompressed than fits."""
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    verifier = Verifier(SECRET, scheme=scheme(), max_body=100_000)
    run = verifier.verify if is_whole else lambda body, sent: in_chunks(verifier, sent, body, 65536)
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            run(bomb, headers())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 1_000_000


def test_a_flaw_ends_the_verification() -> None:
    """After a chunk that cannot be decompressed, nothing more is taken."""
    verification = Verifier(SECRET, scheme=scheme()).begin(headers())
    with pytest.raises(VerificationError):
        verification.update(b"no gzip")

    with pytest.raises(RuntimeError, match="is over"):
        verification.finish()


def test_time_in_the_body() -> None:
    """A function for the time sees the decompressed body."""

    def time_of(delivery: Delivery) -> float:
        return float(delivery.json()["at"])

    body = b'{"at": 1700000000}'
    verifier = Verifier(
        SECRET, scheme=scheme(), timestamp_from=time_of, clock=lambda: 1_700_000_000
    )
    assert verifier.verify(gzip.compress(body), headers(body=body)).timestamp == 1_700_000_000


def test_several_schemes() -> None:
    """Beside another scheme, the headers select it as ever."""
    both = MultiVerifier(Verifier(SECRET, scheme=scheme()), Verifier(OLD, scheme=providers.FRAPPE))

    assert both.verify(ZIPPED, headers()).body == BODY
    assert both.begin([*headers().items()]).verify(ZIPPED).body == BODY


@pytest.mark.parametrize(
    "convert",
    [
        dict,
        lambda sent: [(name.lower().encode(), sent[name].encode()) for name in sent],
        lambda sent: Environ(
            {f"HTTP_{name.upper().replace('-', '_')}": sent[name] for name in sent}
        ),
        lambda sent: iter(sent.items()),
    ],
    ids=["dict", "ASGI", "environ", "iterator"],
)
@pytest.mark.parametrize("layout", [{}, {"signed": "v1:{body}", "prefix": "v1="}])
def test_kinds_of_headers(convert: Any, layout: dict[str, str]) -> None:
    """Content-Encoding is found in what every server hands over."""
    made = scheme(**layout)
    sent = sign_payload(BODY, SECRET, scheme=made).headers | {"Content-Encoding": "gzip"}

    assert Verifier(SECRET, scheme=made).verify(ZIPPED, convert(sent)).body == BODY


def test_short_way() -> None:
    """Before the body is read, usual headers take it, compressed or not."""
    wire = wire_of(scheme())
    for coding in ("gzip", None):
        quickly = wire.parse_quickly(headers(coding), None, None)
        slowly = wire.parse_any(headers(coding))
        assert quickly is not None
        assert (type(quickly), [*quickly[0]]) == (type(slowly), [*slowly[0]])
    assert wire.parse_quickly(headers("br"), None, None) is None
    assert wire.parse_loosely(headers("gzip"), None, None) is None
    assert wire.parse_loosely(headers(None), None, None) is not None


def test_sender_signs_before_it_compresses() -> None:
    """`sign_payload()` returns the body to compress: its headers are those of both."""
    signed = sign_payload(BODY, SECRET, scheme=scheme())

    assert signed.body == BODY
    assert signed.headers == headers(None)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"signs_decoded_body": 1}, "signs_decoded_body must be a bool"),
        (
            {"signs_decoded_body": True, "encoding": "plain", "signed": ""},
            "no body is signed: signs_decoded_body has no use",
        ),
    ],
)
def test_contradictions(fields: dict[str, Any], message: str) -> None:
    """Only a body that is signed can be signed before it is compressed."""
    with pytest.raises(ConfigurationError, match=message):
        Scheme(**{"name": "x", "signature_header": "X-A", "encoding": "hex", **fields})


def test_other_spelling_of_the_header() -> None:
    """In a plain dict, the header may be spelled in any way."""
    sent = headers(None) | {"Content-encoding": "gzip"}

    assert Verifier(SECRET, scheme=scheme()).verify(ZIPPED, sent).body == BODY
