"""Layouts of signatures: each verifies as it is signed, and nothing else does."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from typing import Any

import pytest

from frappe_hooksig import (
    MultiVerifier,
    Reason,
    Scheme,
    VerificationError,
    VerifiedRequest,
    Verifier,
    sign_payload,
)
from frappe_hooksig._wire import wire_of

NOW = 1_700_000_000
SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
BODY = b'{"text":"\xe2\x98\x83"}'


def scheme(**fields: Any) -> Scheme:
    """Return a plain scheme with some fields changed."""
    return Scheme(**{"name": "x", "signature_header": "X-Signed", "encoding": "hex", **fields})


def mac(content: bytes = BODY, digest: str = "sha256") -> bytes:
    """Return the HMAC of some bytes, as this module's sender computes it."""
    return hmac.digest(SECRET.encode(), content, digest)


def in_chunks(verifier: Verifier, headers: Any, body: bytes = BODY) -> VerifiedRequest:
    """Verify a body byte by byte."""
    verification = verifier.begin(headers)
    for start in range(len(body)):
        verification.update(body[start : start + 1])
    return verification.finish()


def refusal(layout: Scheme, headers: Any, body: bytes = BODY) -> VerificationError:
    """Return the error with which a request is refused, whole and in chunks."""
    verifier = Verifier(SECRET, scheme=layout, clock=lambda: NOW)
    with pytest.raises(VerificationError) as whole:
        verifier.verify(body, headers)
    with pytest.raises(VerificationError) as chunks:
        in_chunks(verifier, headers, body)
    assert whole.value.args == chunks.value.args
    return whole.value


TEAMS = scheme(signature_header="Authorization", prefix="HMAC ", encoding="base64")
GREENHOUSE = scheme(prefix="sha256 ")
HALO = scheme(prefix="sha256= ", encoding="base64")


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        (TEAMS, f"HMAC {base64.b64encode(mac()).decode()}"),
        (GREENHOUSE, f"sha256 {mac().hex()}"),
        (HALO, f"sha256= {base64.b64encode(mac()).decode()}"),
    ],
    ids=["HMAC", "sha256", "sha256="],
)
def test_prefix_with_a_space(layout: Scheme, text: str) -> None:
    """A space in a prefix is part of it: once, and where it stands."""
    (name,) = layout.signature_headers
    verifier = Verifier(SECRET, scheme=layout)

    assert sign_payload(BODY, SECRET, scheme=layout).headers == {name: text}
    assert wire_of(layout).parse_quickly({name: text}, None, None) is not None
    assert verifier.verify(BODY, {name: text}).body == BODY
    for other in (text.replace(" ", ""), text.replace(" ", "\t"), f" {text}"):
        assert refusal(layout, {name: other}).reason is Reason.MALFORMED_HEADER
    doubled = refusal(layout, {name: text.replace(" ", "  ")})
    assert doubled.reason is Reason.MALFORMED_HEADER
    assert doubled.message.endswith(" characters with a space among them")


def test_prefix_alone() -> None:
    """Servers remove the space at the end, so the message shows where it belongs."""
    assert "no signature that starts with 'HMAC '" in str(refusal(TEAMS, {"Authorization": "HMAC"}))


def test_prefixes_with_spaces_in_entries() -> None:
    """Entries may have spaces before them, whatever their prefixes."""
    layout = scheme(
        signed="{timestamp}.{body}", prefix="mac ", timestamp_prefix="at ", separator=","
    )
    text = f"at {NOW},  mac {mac(b'1700000000.' + BODY).hex()}"
    verifier = Verifier(SECRET, scheme=layout, clock=lambda: NOW)

    assert verifier.verify(BODY, {"X-Signed": text}).timestamp == NOW
    assert verifier.verify(BODY, sign_payload(BODY, SECRET, scheme=layout, timestamp=NOW).headers)


def telling_body(digest: str) -> bytes:
    """Return a body whose MAC has characters in which the two alphabets of base64 differ."""
    bodies = map(b"%d".__mod__, range(10_000))
    return next(each for each in bodies if {*b"+/"} <= {*base64.b64encode(mac(each, digest))})


SPELLINGS: dict[str, Callable[[bytes], str]] = {
    "hex": lambda mac: mac.hex(),
    "upper-case hex": lambda mac: mac.hex().upper(),
    "base64": lambda mac: base64.b64encode(mac).decode(),
    "base64 without padding": lambda mac: base64.b64encode(mac).decode().rstrip("="),
    "URL-safe base64 with padding": lambda mac: base64.urlsafe_b64encode(mac).decode(),
    "URL-safe base64 without padding": lambda mac: (
        base64.urlsafe_b64encode(mac).decode().rstrip("=")
    ),
}
IN_THE_SCHEME = {
    "hex": {"hex", "upper-case hex"},
    "base64": {"base64"},
    "base64url": {"URL-safe base64 without padding"},
}


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("encoding", IN_THE_SCHEME)
def test_encodings(encoding: str, digest: str) -> None:
    """A MAC verifies in one encoding; in any other, the error names that one."""
    layout = scheme(encoding=encoding, digest=digest)
    body = telling_body(digest)
    verifiers = [Verifier(SECRET, scheme=layout), Verifier([SECRET, "O" + SECRET], scheme=layout)]

    for name, spelling in SPELLINGS.items():
        headers = {"X-Signed": spelling(mac(body, digest))}
        if name in IN_THE_SCHEME[encoding]:
            assert [each.verify(body, headers).body for each in verifiers] == [body, body]
            assert in_chunks(verifiers[0], headers, body)
        else:
            error = refusal(layout, headers, body)
            assert error.reason is Reason.WRONG_ENCODING
            assert f"but as {name.removeprefix('upper-case ')}, not {encoding} (" in str(error)


def test_base64url_in_entries() -> None:
    """A hyphen in a signature does not lead the request off the short way."""
    layout = scheme(
        signed="{timestamp}.{body}",
        timestamp_prefix="t=",
        timestamp_format="unix-ms",
        prefix="v1=",
        separator=",",
        encoding="base64url",
    )
    headers = sign_payload(BODY, SECRET, scheme=layout, timestamp=NOW).headers
    assert "-" in headers["X-Signed"]

    assert wire_of(layout).parse_quickly(headers, None, None) is not None
    assert Verifier(SECRET, scheme=layout, clock=lambda: NOW).verify(BODY, headers).timestamp == NOW


def test_alphabets_are_not_mixed() -> None:
    """Characters of the other alphabet verify in no place, although they decode to the same."""
    layout = scheme(encoding="base64url")
    body = telling_body("sha256")
    text = sign_payload(body, SECRET, scheme=layout).headers["X-Signed"]

    for one, other in ("-+", "_/"):
        error = refusal(layout, {"X-Signed": text.replace(one, other)}, body)
        assert error.reason is Reason.SIGNATURE_MISMATCH


INNGEST = scheme(
    signed="{body}{timestamp}", timestamp_prefix="t=", prefix="s=", separator="&", encoding="hex"
)
RECURLY = scheme(
    signed="{timestamp}.{body}",
    timestamp_is_first=True,
    timestamp_format="unix-ms",
    separator=",",
    encoding="hex",
)
MS = f"{NOW}000"
RIGHT = mac(f"{MS}.".encode() + BODY).hex()
WRONG = mac(b"other").hex()


def test_ampersands() -> None:
    """An ampersand can separate entries."""
    headers = {"X-Signed": f"t={NOW}&s={mac(BODY + b'1700000000').hex()}"}

    assert sign_payload(BODY, SECRET, scheme=INNGEST, timestamp=NOW).headers == headers
    assert wire_of(INNGEST).parse_quickly(headers, None, None) is not None
    verifier = Verifier(SECRET, scheme=INNGEST, clock=lambda: NOW)
    assert verifier.verify(BODY, headers).timestamp == NOW


@pytest.mark.parametrize(
    "text",
    [f"{MS},{RIGHT}", f"{MS},{WRONG},{RIGHT}", f"{MS}, {RIGHT}, {WRONG}", f"{MS},{RIGHT.upper()}"],
    ids=["one", "two", "spaces", "upper case"],
)
def test_entries_without_names(text: str) -> None:
    """The first entry is the timestamp, and one of the others has to match."""
    verifier = Verifier(SECRET, scheme=RECURLY, clock=lambda: NOW)

    assert wire_of(RECURLY).parse_quickly({"X-Signed": text}, None, None) is not None
    assert verifier.verify(BODY, {"X-Signed": text}).timestamp == NOW
    assert in_chunks(verifier, {"X-Signed": text}).timestamp == NOW


def test_entries_without_names_are_signed() -> None:
    """Each secret of a rotation signs one entry behind the timestamp."""
    signed = sign_payload(BODY, [SECRET, "O" + SECRET], scheme=RECURLY, timestamp=NOW)
    first, second, third = signed.headers["X-Signed"].split(",")

    assert (first, second, len(third)) == (MS, RIGHT, 64)


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        (f"{RIGHT},{MS}", Reason.DUPLICATE_HEADER, "more than once"),
        (f"{MS},{RIGHT},{MS},{RIGHT}", Reason.DUPLICATE_HEADER, "more than once"),
        (f"{RIGHT},{RIGHT}", Reason.MALFORMED_TIMESTAMP, "timestamp in X-Signed is not 13 digits"),
        (f",{RIGHT}", Reason.MALFORMED_TIMESTAMP, "13 digits"),
        (f"{NOW},{RIGHT}", Reason.MALFORMED_TIMESTAMP, "13 digits"),
        (MS, Reason.MALFORMED_HEADER, "no signature after its first entry"),
        (f"{MS},,", Reason.MALFORMED_HEADER, "no signature after its first entry"),
        ("", Reason.MALFORMED_HEADER, "no signature after its first entry"),
        (",".join([MS, *[RIGHT] * 17]), Reason.MALFORMED_HEADER, "more than 16 signatures"),
        (",".join([MS, *["a"] * 99]), Reason.MALFORMED_HEADER, "more than 80 entries"),
        (f"{MS},{'a' * 129}", Reason.MALFORMED_HEADER, "longer than 128 characters"),
        (f"{MS},{WRONG}", Reason.SIGNATURE_MISMATCH, ""),
        (f"{MS},{mac(BODY).hex()}", Reason.SIGNATURE_MISMATCH, ""),
        (f"{NOW + 1}000,{RIGHT}", Reason.SIGNATURE_MISMATCH, ""),
        (
            f"{MS},{base64.b64encode(bytes.fromhex(RIGHT)).decode()}",
            Reason.WRONG_ENCODING,
            "as base64",
        ),
    ],
)
def test_wrong_entries_without_names(text: str, reason: Reason, message: str) -> None:
    """The first entry is a time and nothing else is; the message says what is missing."""
    error = refusal(RECURLY, {"X-Signed": text})

    assert error.reason is reason
    assert message in str(error)


def test_entries_without_names_are_told_apart() -> None:
    """A scheme with the same header is selected by the form of the signature."""
    plain = scheme(name="plain")
    both = MultiVerifier(
        Verifier(SECRET, scheme=RECURLY, clock=lambda: NOW),
        Verifier("O" + SECRET, scheme=plain),
    )
    unsigned = sign_payload(BODY, "O" + SECRET, scheme=plain)

    assert both.verify(BODY, {"X-Signed": f"{MS},{RIGHT}"}).scheme is RECURLY
    assert both.verify(BODY, unsigned.headers).scheme is plain
    with pytest.raises(VerificationError, match="13 digits"):
        both.verify(BODY, {"X-Signed": f"{RIGHT},{RIGHT}"})


@pytest.mark.parametrize(
    "text",
    [b"1", "1" * 9000, f"{MS},{RIGHT}é", f"{MS},{RIGHT[1:]}", f"{MS}, {RIGHT}\t", MS],
    ids=["bytes", "too long", "not ASCII", "length", "tab", "no signature"],
)
def test_unusual_entries_without_names(text: Any) -> None:
    """The short way leaves them to the long one."""
    assert wire_of(RECURLY).parse_quickly({"X-Signed": text}, None, None) is None


def test_joined_headers_without_names() -> None:
    """A comma shows that a server joined two headers, where another separator is expected."""
    spaced = scheme(signed="{timestamp}.{body}", timestamp_is_first=True, separator=" ")
    right = mac(b"1700000000." + BODY).hex()

    assert Verifier(SECRET, scheme=spaced, clock=lambda: NOW).verify(
        BODY, {"X-Signed": f"{NOW} {right}"}
    )
    for text in (f"{NOW} {right},{NOW} {right}", f"{NOW},{NOW} {right}"):
        assert wire_of(spaced).parse_quickly({"X-Signed": text}, None, None) is None
        assert refusal(spaced, {"X-Signed": text}).reason is Reason.DUPLICATE_HEADER
