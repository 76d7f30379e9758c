"""The named schemes, by requests that are known to be right or wrong."""

from __future__ import annotations

from operator import attrgetter

import pytest

from frappe_hooksig import ConfigurationError, Reason, VerificationError, providers
from tests.vectors import Vector, frappe_captures, provider_vectors, rewritten_secrets

OUTCOMES = {
    # frappe-captures.json: why a genuine request does not verify.
    "unsigned": Reason.MISSING_HEADER,
    "rendered-twice": Reason.SIGNATURE_MISMATCH,
    "secret-rewritten": Reason.SIGNATURE_MISMATCH,
    "header-overridden": Reason.SIGNATURE_MISMATCH,
    "redirect-drops-body": Reason.SIGNATURE_MISMATCH,
    "naive-sender": Reason.SIGNATURE_MISMATCH,
    # providers.json has names of its own for the reasons.
    "missing_header": Reason.MISSING_HEADER,
    "malformed_header": Reason.MALFORMED_HEADER,
    "malformed_timestamp": Reason.MALFORMED_TIMESTAMP,
    "signature_mismatch": Reason.SIGNATURE_MISMATCH,
    "bad_encoding": Reason.WRONG_ENCODING,
    "timestamp_too_old": Reason.TIMESTAMP_TOO_OLD,
    "timestamp_in_future": Reason.TIMESTAMP_IN_FUTURE,
    "invalid_secret": "refused at construction",
}
# Where bad_encoding does not mean the right MAC in the wrong alphabet.
OUTCOMES_BY_ID = {
    "frappe-nonascii-signature": Reason.MALFORMED_HEADER,
    "standard-webhooks-bad-base64": Reason.SIGNATURE_MISMATCH,
}
SHIPPED = provider_vectors(providers.names().__contains__)


def outcome(vector: Vector) -> str:
    """Verify a request; return what became of it."""
    try:
        vector.verify(providers.get(vector.provider))
    except VerificationError as error:
        return error.reason
    except ConfigurationError:
        return "refused at construction"
    return "accept"


@pytest.mark.parametrize("vector", frappe_captures(), ids=attrgetter("id"))
def test_frappe_capture(vector: Vector) -> None:
    """What a real site sent has the outcome that it had on the wire."""
    assert outcome(vector) == OUTCOMES.get(vector.expect, vector.expect)


@pytest.mark.parametrize(
    ("vector", "stored"), rewritten_secrets(), ids=lambda each: getattr(each, "id", "")
)
def test_frappe_capture_with_the_stored_secret(vector: Vector, stored: str) -> None:
    """Where Frappe rewrote the secret on saving, what it stored is what it signs with."""
    rewritten = Vector(**{**vars(vector), "secret": stored})

    assert outcome(rewritten) == "accept"


@pytest.mark.parametrize("vector", SHIPPED, ids=attrgetter("id"))
def test_provider(vector: Vector) -> None:
    """A provider's own example verifies, and each variation is refused for its reason."""
    expected = OUTCOMES_BY_ID.get(vector.id, OUTCOMES.get(vector.expect, vector.expect))

    assert outcome(vector) == expected


def test_vectors_are_there() -> None:
    """Nothing of the files got lost on the way here."""
    assert len(frappe_captures()) == 259
    assert len(rewritten_secrets()) == 7
    published = {"frappe", "github", "stripe", "slack", "standard-webhooks"}
    assert {vector.provider for vector in SHIPPED} == published


def test_get() -> None:
    """Each name gives its scheme, and no name is missing."""
    assert [providers.get(name).name for name in providers.names()] == [*providers.names()]
    assert providers.names() == (
        "frappe",
        "webhook-hex",
        "webhook-sha256",
        "webhook-timestamped",
        "github",
        "stripe",
        "slack",
        "standard-webhooks",
    )


def test_constants_are_the_named_ones() -> None:
    """`providers.GITHUB` and `providers.get("github")` are one object."""
    for name in providers.names():
        assert getattr(providers, name.upper().replace("-", "_")) is providers.get(name)


def test_get_unknown() -> None:
    """An unknown name is answered with those there are."""
    with pytest.raises(ConfigurationError, match=r"no provider 'Stripe'; there are .*, stripe"):
        providers.get("Stripe")


# Computed with openssl, which knows nothing of this package:
#   printf '{"a": 1}' | openssl dgst -sha256 -hmac 'Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4'
#   printf '1700000000.{"a": 1}' | openssl dgst -sha256 -hmac 'Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4'
PLAIN = "b085d5b0bfca07178a0bab203428f508b38d412d7d1eda6d1d729ad9ce7654e6"
WITH_TIME = "0845dd73e44419a0ad966c97b71b1a8222041ed4a4dd036b5dd153677b759d9a"


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("webhook-hex", {"X-Webhook-Signature": PLAIN}),
        ("webhook-sha256", {"X-Webhook-Signature": f"sha256={PLAIN}"}),
        (
            "webhook-timestamped",
            {
                "X-Webhook-Signature": f"sha256={WITH_TIME}",
                "X-Webhook-Timestamp": "1700000000",
            },
        ),
    ],
)
def test_conventions(name: str, headers: dict[str, str]) -> None:
    """The conventions without a publisher are what openssl computes."""
    vector = Vector(
        id=name,
        provider=name,
        secret="Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4",
        method="POST",
        url=None,
        headers=tuple(headers.items()),
        body=b'{"a": 1}',
        now=1_700_000_000,
        expect="accept",
    )

    assert outcome(vector) == "accept"
