"""Secrets that may be written in several formats: each is used in all that it can be read in."""

from __future__ import annotations

import hmac
import logging
import warnings
from base64 import b64decode
from typing import Any

import pytest

from frappe_hooksig import (
    ConfigurationError,
    MultiVerifier,
    Scheme,
    Secret,
    SecretWarning,
    Signer,
    VerificationError,
    Verifier,
    generate_secret,
)
from frappe_hooksig._selection import is_one_secret

BODY = b'{"a": 1}'
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
DECODED = b64decode(WHSEC.removeprefix("whsec_"))
TEXT = "polar_whs_Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
CHANGE = 1_700_000_000


def scheme(*formats: Any, **fields: Any) -> Scheme:
    """Return a scheme with some secret formats."""
    options = {"name": "x", "signature_header": "X-Signed", "encoding": "hex", **fields}
    return Scheme(secret_format=formats, **options)


POLAR = scheme("text", "whsec")


def headers(key: bytes) -> dict[str, str]:
    """Return the headers that a key gives."""
    return {"X-Signed": hmac.digest(key, BODY, "sha256").hex()}


@pytest.mark.parametrize("key", [WHSEC.encode(), DECODED], ids=["text", "decoded"])
@pytest.mark.parametrize("others", [[], [TEXT]], ids=["one secret", "two secrets"])
@pytest.mark.parametrize("algorithm", ["hmac", "hash"])
def test_each_format_verifies(key: bytes, others: list[str], algorithm: str) -> None:
    """The secret's text and the key that it encodes are both tried, whole and in chunks."""
    made = scheme("text", "whsec", algorithm=algorithm)
    verifier = Verifier([*others, Secret(WHSEC, id="its")], scheme=made)
    binary = scheme("text", algorithm=algorithm)
    sent = Signer(key, scheme=binary).sign(BODY).headers

    assert verifier.verify(BODY, sent).secret_id == "its"
    verification = verifier.begin(sent)
    verification.update(BODY)
    assert verification.finish().secret_id == "its"
    with pytest.raises(VerificationError):
        verifier.verify(BODY + b" ", sent)


def test_only_one_reading() -> None:
    """A secret that can be read in one of the formats has one key."""
    verifier = Verifier(TEXT, scheme=POLAR)

    assert verifier.verify(BODY, headers(TEXT.encode())).body == BODY
    assert repr(verifier).startswith("Verifier(<1 secrets>")


def test_no_reading() -> None:
    """A secret that can be read in none is refused, and the message says what it may be."""
    with pytest.raises(ConfigurationError) as caught:
        Verifier("neither!", scheme=scheme("hex", "whsec"))
    assert "must be an even number of hex digits, not all 0, or " in str(caught.value)
    assert ": copy all of it from the sender's page. If it is complete" in str(caught.value)


@pytest.mark.parametrize(
    ("formats", "secret", "key"),
    [
        (("text", "whsec"), WHSEC, WHSEC.encode()),
        (("whsec", "text"), WHSEC, DECODED),
        (("whsec", "text"), TEXT, TEXT.encode()),
    ],
)
def test_first_reading_signs(formats: tuple[str, ...], secret: str, key: bytes) -> None:
    """Of the formats that a secret can be read in, a sender uses the first."""
    signer = Signer([secret, "8Kx2Wm5Rt9Yb3Nc6Vf1Zq4Hs"], scheme=scheme(*formats, prefix=""))

    assert signer.sign(BODY).headers == headers(key)
    assert repr(signer).startswith("Signer(<2 secrets>")


def test_secrets_fill_the_header() -> None:
    """Several keys of one secret count as one signature."""
    entries = scheme("text", "whsec", prefix="v1=", separator=",", max_signatures=2)
    signer = Signer([WHSEC, TEXT], scheme=entries)

    expected = [headers(key.encode())["X-Signed"] for key in (WHSEC, TEXT)]
    assert signer.sign(BODY).headers == {"X-Signed": ",".join(f"v1={each}" for each in expected)}


def test_windows() -> None:
    """A secret is valid, or not, in each of its formats alike."""
    secrets = [Secret(TEXT, not_before=CHANGE), Secret(WHSEC, not_after=CHANGE)]
    for now, accepted in ((CHANGE - 1, True), (CHANGE, False)):
        verifier = Verifier(secrets, scheme=POLAR, clock=lambda now=now: now)  # type: ignore[misc]
        for key in (WHSEC.encode(), DECODED):
            if accepted:
                assert verifier.verify(BODY, headers(key)).body == BODY
            else:
                with pytest.raises(VerificationError, match="a secret that is not valid now"):
                    verifier.verify(BODY, headers(key))


@pytest.mark.parametrize(
    ("secrets", "key", "logged"),
    [
        ([WHSEC, TEXT], DECODED, 0),
        ([WHSEC, TEXT], WHSEC.encode(), 0),
        ([WHSEC, TEXT], TEXT.encode(), 1),
        ([TEXT, WHSEC], DECODED, 1),
    ],
)
def test_old_secrets_are_logged(
    secrets: list[str], key: bytes, logged: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The newest secret is no old one in whichever format it is used."""
    with caplog.at_level(logging.WARNING):
        Verifier(secrets, scheme=POLAR).verify(BODY, headers(key))

    assert len(caplog.records) == logged


def test_equal_readings_are_one_key() -> None:
    """Without whsec_, two formats decode a text alike."""
    verifier = Verifier(WHSEC.removeprefix("whsec_"), scheme=scheme("base64", "whsec"))

    assert len(verifier._keys) == 1  # noqa: SLF001
    assert verifier.verify(BODY, headers(DECODED)).body == BODY


@pytest.mark.parametrize(
    ("formats", "secret", "expected"),
    [
        (("text", "whsec"), WHSEC, []),
        (("text", "base64"), "Qv3r0mZ8tYp5Lk2Xw9Bc", []),  # 15 bytes once decoded, but a good text
        (("base64", "text"), "Qv3r0mZ8tYp5Lk2Xw9Bc", ["the secret decodes to 15 bytes only"]),
        (("text", "whsec"), "short", ["the secret is shorter"]),
        (("text", "hex"), "a'b<c>d" * 4, ["the secret contains one of <>"]),
    ],
)
def test_warnings_are_not_doubled(
    formats: tuple[str, ...], secret: str, expected: list[str]
) -> None:
    """A secret is warned of once, as what it is in the first format that it can be read in."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SecretWarning)
        Verifier(secret, scheme=scheme(*formats, rewritten_characters="<>"))

    found = [str(each.message) for each in caught]
    assert len(found) == len(expected)
    for message, start in zip(found, expected, strict=True):
        assert message.startswith(start) or start.removeprefix("the secret ") in message


@pytest.mark.parametrize("secret", [WHSEC, DECODED], ids=["text", "decoded"])
def test_one_secret_in_another_scheme(secret: Any) -> None:
    """A secret is shared if one of its readings is the other scheme's key."""
    other = Scheme(name="other", signature_header="X-Other", encoding="hex", signed="v1:{body}")
    with pytest.raises(ConfigurationError, match="have a secret in common"):
        MultiVerifier(Verifier(WHSEC, scheme=POLAR), Verifier(secret, scheme=other))


@pytest.mark.parametrize(
    ("one", "other", "is_one"),
    [
        (("text", "whsec"), ("whsec",), True),
        (("text", "whsec"), ("base64",), True),
        (("text", "whsec"), ("text",), True),
        (("text", "whsec"), ("hex",), False),
    ],
)
def test_formats_in_common(one: Any, other: Any, is_one: bool) -> None:  # noqa: FBT001
    """Two schemes with one secret use one key if they have a format in common."""
    assert is_one_secret(scheme(*one), scheme(*other, name="y")) is is_one


def test_same_ids() -> None:
    """Two secrets need two ids, also if one of them has several keys."""
    with pytest.raises(ConfigurationError, match="two secrets have the same id"):
        Verifier([Secret(WHSEC, id="a"), Secret(TEXT, id="a")], scheme=POLAR)


def test_new_secret() -> None:
    """A new secret is in the first format."""
    assert generate_secret(("whsec", "text")).startswith("whsec_")
    assert len(generate_secret(POLAR.secret_format)) == 43
    with pytest.raises(ConfigurationError, match="secret_format= must be one of"):
        generate_secret(("other",))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("formats", "message"),
    [
        ((), "secret_format must be one of"),
        (("text", "pem"), "secret_format must be one of"),
        (("text", []), "secret_format must be one of"),
        (("text", "text"), "secret_format contains a format twice"),
    ],
)
def test_contradictions(formats: tuple[Any, ...], message: str) -> None:
    """A tuple has known formats, each once."""
    with pytest.raises(ConfigurationError, match=message):
        scheme(*formats)
    with pytest.raises(ConfigurationError, match='secret_format must be "text"'):
        scheme("text", "whsec", encoding="plain", signed="")
