"""Senders that hash their secret and the content without HMAC: what protects the receiver."""

from __future__ import annotations

import hashlib
import tracemalloc
from typing import Any

import pytest
from fuzz.extension import extended

from frappe_hooksig import (
    ConfigurationError,
    MultiVerifier,
    PayloadError,
    Reason,
    Scheme,
    Secret,
    VerificationError,
    Verifier,
    providers,
    sign_payload,
)
from frappe_hooksig._keys import Key

SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
OTHER = "8Kx2Wm5Rt9Yb3Nc6Vf1Zq4Hs"
BODY = '{"text": "☃"}'.encode()
DIGESTS = ["sha1", "sha256", "sha512"]
WHERE: dict[str, Any] = {"method": "POST", "url": "https://example.com/webhook"}


def scheme(**fields: Any) -> Scheme:
    """Return a scheme without HMAC, with some fields changed."""
    options = {"name": "bare", "signature_header": "X-Signed", "encoding": "hex", **fields}
    return Scheme(algorithm="hash", **options)


def of_hubspot(**fields: Any) -> Scheme:
    """Return a scheme that signs the method, the URL and the body."""
    return scheme(name="parts", signed="{method}{url}{body}", **fields)


def refusal(layout: Scheme, code: bytes, body: bytes, **where: Any) -> VerificationError:
    """Return the error with which a body is refused: whole, in chunks, and by several secrets."""
    headers = {"X-Signed": code.hex()}
    errors: list[VerificationError] = []
    for secrets in (SECRET, [SECRET, OTHER]):
        verifier = Verifier(secrets, scheme=layout)
        with pytest.raises(VerificationError) as caught:
            verifier.verify(body, headers, **where)
        errors.append(caught.value)
        for size in (1, 1000):
            verification = verifier.begin(headers, **where)
            for start in range(0, len(body), size):
                verification.update(memoryview(body)[start : start + size])
            with pytest.raises(VerificationError) as caught:
                verification.finish()
            errors.append(caught.value)
    assert len({error.args for error in errors}) == 1
    return errors[0]


@pytest.mark.parametrize("digest", DIGESTS)
def test_is_the_hash_of_secret_and_content(digest: str) -> None:
    """The secret stands before the content, and that is all."""
    code = hashlib.new(digest, SECRET.encode() + BODY).hexdigest()
    verifier = Verifier(SECRET, scheme=scheme(digest=digest))

    assert sign_payload(BODY, SECRET, scheme=verifier.scheme).headers == {"X-Signed": code}
    assert verifier.verify(BODY, {"X-Signed": code}).is_signed
    verification = verifier.begin({"X-Signed": code})
    for byte in BODY:
        verification.update(bytes([byte]))
    assert verification.finish().is_signed


def test_published_request() -> None:
    """HubSpot's own test of version 2 of its signature (hubspot-api-nodejs, signature.spec.ts)."""
    delivery = Verifier(SECRET, scheme=of_hubspot()).verify(
        b'{"example_field":"example_value"}',
        {"X-Signed": "9569219f8ba981ffa6f6f16aa0f48637d35d728c7e4d93d0d52efaa512af7900"},
        method="POST",
        url="https://www.example.com/webhook_uri",
    )

    assert delivery.json() == {"example_field": "example_value"}


@pytest.mark.parametrize("more", [b"", b"a", b'{"text": "forged"}', bytes(300)])
@pytest.mark.parametrize("digest", DIGESTS)
def test_extension_is_an_attack(digest: str, more: bytes) -> None:
    """Without the secret, the hash of more than was hashed can be computed."""
    for length in (0, 1, 50, 63, 64, 111, 112, 128, 200):
        message = b"m" * length
        code = hashlib.new(digest, message).digest()
        suffix, forged = extended(digest, code, length, more)

        assert hashlib.new(digest, message + suffix).digest() == forged


@pytest.mark.parametrize("layout", [scheme, of_hubspot], ids=["body", "parts"])
@pytest.mark.parametrize("body", [BODY, b"", "☃".encode()], ids=["JSON", "empty", "snowman"])
@pytest.mark.parametrize("digest", DIGESTS)
def test_extension_is_refused(layout: Any, body: bytes, digest: str) -> None:
    """The forged MAC is right, and does not count, because the body is no text any more."""
    made = layout(digest=digest)
    where = WHERE if made.signs_url else {}
    before = "".join(where.values()).encode()
    code = hashlib.new(digest, SECRET.encode() + before + body).digest()
    length = len(SECRET) + len(before) + len(body)
    for more in (b"", b'{"text": "forged"}'):
        suffix, forged = extended(digest, code, length, more)
        all_of_it = SECRET.encode() + before + body + suffix
        assert forged == hashlib.new(digest, all_of_it).digest()

        error = refusal(made, forged, body + suffix, **where)
        assert error.reason is Reason.SIGNATURE_MISMATCH
        assert "the body is not UTF-8 or has a NUL byte, and a bare hash protects" in str(error)


@pytest.mark.parametrize("digest", DIGESTS)
@pytest.mark.parametrize("last", [b"\xdd", b"\xe2\x98", b"\xf0\x90", b"\xf0\x90\x80"])
def test_extension_of_half_a_character(last: bytes, digest: str) -> None:
    """Of a sender that cuts its bodies off, the padding completes the last character: valid UTF-8.

    The NULs in the padding give it away.
    """
    body = b"a" * 10 + last
    code = hashlib.new(digest, SECRET.encode() + body).digest()
    suffix, forged = extended(digest, code, len(SECRET) + len(body), b"forged")

    assert refusal(scheme(digest=digest), forged, body + suffix).args == (
        refusal(scheme(digest=digest), bytes(len(code)), b"\x80").args
    )


@pytest.mark.parametrize("cut", [-1, -5, 4])
def test_extension_across_a_seam(cut: int) -> None:
    """Bytes that move between URL and body do not make room for the padding."""
    made = of_hubspot()
    content = "".join(WHERE.values()).encode() + BODY
    code = hashlib.sha256(SECRET.encode() + content).digest()
    suffix, forged = extended("sha256", code, len(SECRET) + len(content), b"forged")
    url = WHERE["url"]
    # The URL of the forged request is longer or shorter than the one that was signed.
    moved = url[:cut] if cut < 0 else url + BODY[:cut].decode()
    start = len("POST") + len(moved)

    error = refusal(made, forged, content[start:] + suffix, method="POST", url=moved)
    assert error.reason is Reason.SIGNATURE_MISMATCH


@pytest.mark.parametrize(
    "body",
    [
        *(b"\x80", b"a\x80", b"\xff", b"\xe2\x98", b"\xc0\x80", b"\xed\xa0\x80"),
        *(b"\xe2\x98\x83\x80", b"\0", b"a\0b", b"\xe2\x98\x83\0"),
    ],
)
def test_other_bytes_than_text(body: bytes) -> None:
    """What is no text is not signed, and is refused whether its hash is right or not."""
    made = scheme()
    right = refusal(made, hashlib.sha256(SECRET.encode() + body).digest(), body)
    wrong = refusal(made, bytes(32), body)

    assert right.args == wrong.args
    assert right.reason is Reason.SIGNATURE_MISMATCH
    with pytest.raises(PayloadError, match="scheme 'bare' signs only UTF-8 without NUL bytes"):
        sign_payload(body, SECRET, scheme=made)


def test_hmac_needs_no_text() -> None:
    """HMAC cannot be extended, so any bytes may be signed."""
    signed = sign_payload(b"\x80", SECRET, scheme=providers.FRAPPE)

    assert Verifier(SECRET).verify(b"\x80", signed.headers).body == b"\x80"


def test_text_may_have_anything_else() -> None:
    """Other control characters, and characters whose encoding contains byte 0x80, are text."""
    body = "\x01\x7fÀ\u0800\U00010000".encode()
    signed = sign_payload(body, SECRET, scheme=scheme())

    assert b"\x80" in body
    assert Verifier(SECRET, scheme=scheme()).verify(body, signed.headers).body == body


def test_hostile_url() -> None:
    """A URL with a lone surrogate is no text either."""
    signed = sign_payload(BODY, SECRET, scheme=of_hubspot(), **WHERE)
    verifier = Verifier(SECRET, scheme=of_hubspot())

    with pytest.raises(VerificationError) as caught:
        verifier.verify(BODY, signed.headers, method="POST", url="https://example.com/\ud800")
    assert caught.value.reason is Reason.SIGNATURE_MISMATCH


def test_wrong_encoding_is_named() -> None:
    """The usual mistakes are recognised as with HMAC."""
    signed = sign_payload(BODY, SECRET, scheme=scheme(encoding="base64"))

    with pytest.raises(VerificationError, match="right signature, but as base64"):
        Verifier(SECRET, scheme=scheme()).verify(BODY, signed.headers)


def test_rotation() -> None:
    """Old and new secret verify, each with its id."""
    verifier = Verifier([Secret(SECRET, id="new"), Secret(OTHER, id="old")], scheme=scheme())

    for secret, secret_id in ((SECRET, "new"), (OTHER, "old")):
        signed = sign_payload(BODY, secret, scheme=scheme())
        assert verifier.verify(BODY, signed.headers).secret_id == secret_id


def test_comes_behind_hmac() -> None:
    """The headers of HMAC are looked at first, because a bare hash is the weaker one."""
    strong = Scheme(name="strong", signature_header="X-Mac", encoding="hex", digest="sha1")
    both = MultiVerifier(Verifier(SECRET, scheme=scheme()), Verifier(OTHER, scheme=strong))

    assert [each.scheme.name for each in both.verifiers] == ["strong", "bare"]


def test_one_secret_for_two_contents() -> None:
    """The hash of one scheme's content would be that of another content in the other scheme."""
    with pytest.raises(ConfigurationError, match="do not sign the same content"):
        MultiVerifier(
            Verifier(SECRET, scheme=scheme()),
            Verifier(SECRET, scheme=of_hubspot(signature_header="X-Other")),
        )


def test_no_mac() -> None:
    """A scheme that sends its secret itself computes nothing."""
    with pytest.raises(ConfigurationError, match="algorithm has no use"):
        scheme(encoding="plain", signed="")


@pytest.mark.parametrize("text", ["aé", "é", "😀", "a😀"])
def test_large_text_in_pieces(text: str) -> None:
    """Characters are whole across pieces, and a NUL in any of them counts, at once or in chunks."""
    body = (text * 300_000).encode()
    bad = [body[:-1], body + b"\0", b"\0" + body, b"\xff" + body, body + b"\xff"]

    for kind in (bytes, memoryview):
        running = Key.of_prefix(b"secret", "sha256").start()
        running.update(kind(body))
        assert running.digest() == hashlib.sha256(b"secret" + body).digest()
        for each in bad:
            running = Key.of_prefix(b"secret", "sha256").start()
            running.update(kind(each))
            assert running.digest() == b""


def test_large_text_takes_no_memory() -> None:
    """Its text is never there as a whole: with an emoji, it would take four times as much."""
    body = b"a" * 4_000_000 + "😀".encode()
    running = Key.of_prefix(b"secret", "sha256").start()

    tracemalloc.start()
    try:
        running.update(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def test_a_copy_goes_on() -> None:
    """A running hash that is copied knows how its text ends."""
    running = Key.of_prefix(b"secret", "sha256").start()
    running.update("☃".encode()[:2])
    other = running.copy()
    other.update("☃".encode()[2:])

    assert (running.digest(), running.hexdigest()) == (b"", "")
    assert other.hexdigest() == hashlib.sha256(b"secret" + "☃".encode()).hexdigest()
    running.update(b"a")
    running.update("☃".encode())
    assert running.copy().digest() == b""
