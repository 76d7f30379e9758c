"""The named schemes, by requests that are known to be right or wrong."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from operator import attrgetter
from typing import Any

import pytest

from frappe_hooksig import (
    ConfigurationError,
    Reason,
    Scheme,
    VerificationError,
    Verifier,
    generate_secret,
    providers,
    sign_payload,
)
from tests.vectors import Vector, frappe_captures, provider_vectors, rewritten_secrets

OUTCOMES = {
    # frappe-captures.json: why a genuine request does not verify.
    "unsigned": Reason.MISSING_HEADER,
    "rendered-twice": Reason.SIGNATURE_MISMATCH,
    "secret-rewritten": Reason.SIGNATURE_MISMATCH,
    "header-overridden": Reason.MALFORMED_HEADER,
    "redirect-drops-body": Reason.SIGNATURE_MISMATCH,
    "naive-sender": Reason.SIGNATURE_MISMATCH,
    # providers.json and vendors.json have names of their own for the reasons.
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
    "standard-webhooks-bad-base64": Reason.MALFORMED_HEADER,
}
VECTORS = provider_vectors()
SHIPPED = [vector for vector in VECTORS if vector.provider in providers.names()]
NAMES = providers.names()
OURS = ("frappe", "frappe-cloud", "webhook-hex", "webhook-sha256", "webhook-timestamped")
# Headers that are no vendor's, by other receivers' tests.
NO_VENDORS = {"generic-hex-bare", "generic-hex-sha1", "generic-hex-sha256", "generic-hex-sha512"}


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
    rewritten = replace(vector, secret=stored)

    assert outcome(rewritten) == "accept"


@pytest.mark.parametrize("vector", SHIPPED, ids=attrgetter("id"))
def test_provider(vector: Vector) -> None:
    """A provider's own example verifies, and each variation is refused for its reason."""
    expected = OUTCOMES_BY_ID.get(vector.id, OUTCOMES.get(vector.expect, vector.expect))

    assert outcome(vector) == expected


def test_vectors_are_there() -> None:
    """Nothing of the files got lost on the way here, and no provider is only claimed."""
    counts = Counter(vector.provider for vector in VECTORS)
    shown = [f"{name:22}{counts[name] + (name in COMPUTED):4}" for name in NAMES]
    shown += [f"{name:22}{counts[name]:4}  not supported" for name in sorted({*counts} - {*NAMES})]
    print("\n" + "\n".join(shown))  # noqa: T201  # pytest -s shows it

    assert len(frappe_captures()) == 259
    assert len(rewritten_secrets()) == 7
    assert len(VECTORS) == 160
    assert len(SHIPPED) == 145
    assert {*NAMES} - {*counts} == {*COMPUTED}
    assert {*counts} - {*NAMES} <= {*providers.UNSUPPORTED, *NO_VENDORS}


@pytest.mark.parametrize("name", NAMES)
def test_no_vectors_but_right_ones(name: str) -> None:
    """Each provider accepts one of its requests, and so cannot be right by refusing everything."""
    expected = [vector.expect for vector in SHIPPED if vector.provider == name]

    assert "accept" in expected or name in COMPUTED


def test_get() -> None:
    """Each name gives its scheme, and no name is missing: ours first, then in order."""
    assert [providers.get(name).name for name in NAMES] == [*NAMES]
    assert (*OURS, *sorted({*NAMES} - {*OURS})) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_says_where_it_comes_from(name: str) -> None:
    """Each has a title, and all but the conventions a page that defines them."""
    scheme = providers.get(name)

    assert scheme.title
    assert scheme.definition.startswith("https://") != name.startswith("webhook-")
    assert [providers.get(each).title for each in NAMES].count(scheme.title) == 1


def test_no_two_are_the_same() -> None:
    """No scheme has two names, other than those that many vendors share."""
    layouts = [layout(providers.get(name)) for name in NAMES]
    twice = {name for name, each in zip(NAMES, layouts, strict=True) if layouts.count(each) > 1}

    assert twice == {
        *("bitbucket", "jira"),
        *("github", "meta"),
        *("github-sha1", "intercom"),
        *("gitlab-signing", "standard-webhooks"),
    }


def layout(scheme: Scheme) -> Scheme:
    """Return what a scheme says of its requests, without what it says of its sender."""
    named_alike = replace(scheme, name="x", title="", definition="")
    return replace(
        named_alike, body_id=None, retries_differ=False, retry_horizon=60, response_timeout=None
    )


@pytest.mark.parametrize("name", [name for name in NAMES if not providers.get(name).signs_body])
def test_tokens_prove_nothing_of_the_body(name: str) -> None:
    """Where the secret itself is sent, any body is accepted, and the delivery says so."""
    (vector,) = (each for each in SHIPPED if each.provider == name and each.expect == "accept")

    delivery = replace(vector, body=b"another body").verify(providers.get(name))

    assert delivery.body == b"another body"
    assert not delivery.is_signed


def test_sha1_is_no_fallback() -> None:
    """GitHub's old signature is for those who ask for it: beside the new one, or without it."""
    (old,) = (vector for vector in SHIPPED if vector.provider == "github-sha1")

    assert outcome(old) == "accept"
    assert outcome(replace(old, provider="github")) == Reason.MISSING_HEADER
    assert outcome(replace(old, provider="bitbucket")) == Reason.MALFORMED_HEADER


def test_adding_one_takes_data_only() -> None:
    """A provider that nobody has heard of verifies without a line of code of its own."""
    acme = Scheme(
        name="acme",
        title="ACME",
        definition="https://acme.example/webhooks",
        signature_header="X-Acme-Signature",
        signed="acme\n{timestamp}\n{method}\n{url}\n{body}",
        prefix="sig=",
        separator=";",
        timestamp_prefix="at=",
        timestamp_format="unix-ms",
        encoding="hex",
        digest="sha512",
        secret_format="hex",
    )
    where: Any = {"method": "POST", "url": "https://example.com/hook"}
    secret = generate_secret(acme.secret_format)

    signed = sign_payload({"a": 1}, secret, scheme=acme, **where)

    assert Verifier(secret, scheme=acme).verify(signed.body, signed.headers, **where).is_signed
    with pytest.raises(VerificationError):
        Verifier(secret, scheme=acme).verify(b"{}", signed.headers, **where)


def test_constants_are_the_named_ones() -> None:
    """`providers.GITHUB` and `providers.get("github")` are one object."""
    for name in providers.names():
        assert getattr(providers, name.upper().replace("-", "_")) is providers.get(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shopfy", "no provider has this name: did you mean 'shopify'"),
        ("whatsap", "no provider has this name: did you mean 'whatsapp'"),
        ("zzzz", r"no provider has this name: there are adyen, .*, zoom"),
        ("", "no provider has this name: there are adyen, "),
        (None, "a provider's name is a str, not NoneType"),
        ("x" * 100_000, "no provider has this name: there are adyen"),
        (providers.STRIPE, "a provider's name is a str, not Scheme"),
    ],
    ids=lambda each: str(each)[:9],
)
def test_get_unknown(name: Any, message: str) -> None:
    """The error names those that are spelled alike, else all there are."""
    with pytest.raises(ConfigurationError, match=message):
        providers.get(name)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Stripe", "stripe"),
        (" GITHUB ", "github"),
        ("standard_webhooks", "standard-webhooks"),
        ("Standard Webhooks", "standard-webhooks"),
        ("GitHub SHA1", "github-sha1"),
    ],
)
def test_get_folds(name: str, found: str) -> None:
    """Capitals, spaces and underscores do not matter."""
    assert providers.get(name).name == found


def test_aliases() -> None:
    """A second name leads to a provider, and is not the name of another one."""
    assert {alias: providers.get(alias).name for alias in providers.ALIASES} == providers.ALIASES
    assert not {*providers.ALIASES} & {*providers.names(), *providers.UNSUPPORTED}


@pytest.mark.parametrize(("name", "why"), providers.UNSUPPORTED.items())
def test_get_unsupported(name: str, why: str) -> None:
    """A sender that data cannot describe is answered with the reason."""
    assert name not in NAMES
    with pytest.raises(ConfigurationError, match=rf"'{name}' cannot be verified: {re.escape(why)}"):
        providers.get(name)


# Computed with openssl, which knows nothing of this package:
#   printf '{"a": 1}' | openssl dgst -sha256 -hmac 'Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4'
#   printf '1700000000.{"a": 1}' | openssl dgst -sha256 -hmac 'Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4'
PLAIN = "b085d5b0bfca07178a0bab203428f508b38d412d7d1eda6d1d729ad9ce7654e6"
WITH_TIME = "0845dd73e44419a0ad966c97b71b1a8222041ed4a4dd036b5dd153677b759d9a"


# For those of whom there is no vector.
COMPUTED = {
    "webhook-hex": {"X-Webhook-Signature": PLAIN},
    "webhook-sha256": {"X-Webhook-Signature": f"sha256={PLAIN}"},
    "webhook-timestamped": {
        "X-Webhook-Signature": f"sha256={WITH_TIME}",
        "X-Webhook-Timestamp": "1700000000",
    },
    "cloudflare-stream": {"Webhook-Signature": f"time=1700000000,sig1={WITH_TIME}"},
    "gogs": {"X-Gogs-Signature": PLAIN},
    "tailscale": {"Tailscale-Webhook-Signature": f"t=1700000000,v1={WITH_TIME}"},
}


@pytest.mark.parametrize("name", COMPUTED)
def test_computed(name: str) -> None:
    """Those without a published request are what openssl computes, over this body only."""
    vector = Vector(
        id=name,
        provider=name,
        secret="Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4",
        method="POST",
        url=None,
        headers=tuple(COMPUTED[name].items()),
        body=b'{"a": 1}',
        now=1_700_000_000,
        expect="accept",
    )

    assert outcome(vector) == "accept"
    assert outcome(replace(vector, body=b'{"a": 2}')) == Reason.SIGNATURE_MISMATCH
