"""Senders that sign nothing, and send the secret itself."""

from __future__ import annotations

from typing import Any

import pytest

from frappe_hooksig import (
    ConfigurationError,
    Reason,
    Scheme,
    Secret,
    VerificationError,
    Verifier,
    providers,
    sign_payload,
)
from frappe_hooksig._keys import Key

TOKEN = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
OLD = "8Kx2Wm5Rt9Yb3Nc6Vf1Zq4Hs"
HEADER = "X-Gitlab-Token"


def refusal(headers: Any, secret: Any = TOKEN) -> VerificationError:
    """Return why a request is refused."""
    with pytest.raises(VerificationError) as caught:
        Verifier(secret, scheme=providers.GITLAB).verify(b"{}", headers)
    return caught.value


def test_accepts_any_body() -> None:
    """Who has the token can send what he likes, and the delivery says so."""
    verifier = Verifier([Secret(TOKEN, id="new"), OLD], scheme=providers.GITLAB)

    for body in (b"", b'{"a": 1}', b"\xff"):
        delivery = verifier.verify(body, {HEADER: TOKEN})
        assert (delivery.body, delivery.secret_id, delivery.is_signed) == (body, "new", False)
        assert "gitlab, body not signed, secret_id='new'" in repr(delivery)
        assert TOKEN not in repr(delivery)
    assert verifier.verify(b"", {HEADER: OLD}).secret_id is None


def test_others_are_signed() -> None:
    """And those say so."""
    signed = sign_payload(b"{}", TOKEN)

    assert Verifier(TOKEN).verify(b"{}", signed.headers).is_signed


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, Reason.MISSING_HEADER),
        ({HEADER: ""}, Reason.MALFORMED_HEADER),
        ({HEADER: "\u00e9" * 8}, Reason.MALFORMED_HEADER),
        ({HEADER: "a" * 9000}, Reason.MALFORMED_HEADER),
        ({HEADER: f"{TOKEN},{TOKEN}"}, Reason.DUPLICATE_HEADER),
        ([(HEADER, TOKEN), (HEADER, TOKEN)], Reason.DUPLICATE_HEADER),
        ({HEADER: TOKEN.lower()}, Reason.SIGNATURE_MISMATCH),
        ({HEADER: TOKEN[:-1]}, Reason.SIGNATURE_MISMATCH),
        ({HEADER: f"{TOKEN} "}, Reason.SIGNATURE_MISMATCH),
        ({HEADER: f" {TOKEN}"}, Reason.SIGNATURE_MISMATCH),
    ],
)
def test_refusals(headers: Any, reason: Reason) -> None:
    """Nothing but the token will do."""
    assert refusal(headers).reason is reason


def test_refusal_says_what_to_look_at() -> None:
    """A body that was changed would not be noticed, so nothing is said of it."""
    assert str(refusal({HEADER: OLD})) == (
        "X-Gitlab-Token does not match the secret (scheme 'gitlab'): the sender sent another one"
    )


@pytest.mark.parametrize(
    "token",
    [
        "two,three,four,five,six",
        " Qv3r0mZ8tYp5Lk2Xw9Bc7",
        "Qv3r0mZ8tYp5Lk2Xw9\n",
        "\u00fc" * 16,
        "Qv3r0mZ8tYp5Lk2Xw9Bc7\r\nX-Other: 1",
        "Qv3r0mZ8tYp5Lk2Xw9Bc7\0",
        b"\xffQv3r0mZ8tYp5Lk2Xw9Bc7",
    ],
    ids=repr,
)
def test_token_that_no_header_can_carry(token: str | bytes) -> None:
    """It could never match, or be two headers that a server has joined."""
    with pytest.raises(ConfigurationError, match="gitlab' cannot be sent in a header") as caught:
        Verifier(token, scheme=providers.GITLAB)
    assert "Qv3r0" not in str(caught.value)


def test_round_trip() -> None:
    """What is sent is the newest token, whatever the body."""
    signed = sign_payload({"a": 1}, [TOKEN, OLD], scheme=providers.GITLAB)

    assert signed.headers == {"Content-Type": "application/json", HEADER: TOKEN}
    assert TOKEN not in repr(signed)
    assert Verifier(TOKEN, scheme=providers.GITLAB).verify(signed.body, signed.headers)


def test_key_is_the_bodys() -> None:
    """A repeat is recognised by what it brings."""
    verifier = Verifier([TOKEN, OLD], scheme=providers.GITLAB)

    keys = [
        verifier.verify(body, {HEADER: token}).dedup_key
        for body, token in [(b"1", TOKEN), (b"1", OLD), (b"2", TOKEN)]
    ]

    assert keys[0] == keys[1] != keys[2]


def test_in_pieces() -> None:
    """It makes no difference how the body comes."""
    verification = Verifier(TOKEN, scheme=providers.GITLAB).begin({HEADER: TOKEN})
    verification.update(b"{")

    assert not verification.finish().is_signed


def test_time_in_the_body() -> None:
    """It would be checked although anybody can have written it."""
    with pytest.raises(
        ConfigurationError, match="timestamp_from= has no use: scheme 'gitlab' does not"
    ):
        Verifier(TOKEN, scheme=providers.GITLAB, timestamp_from=lambda _delivery: 0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"signed": "{body}"}, "signed and separator must be empty"),
        ({"separator": ",", "prefix": "v1="}, "signed and separator must be empty"),
        ({"secret_format": "hex"}, 'secret_format must be "text"'),
        ({"timestamp_header": "X-Time"}, "{timestamp} in signed needs timestamp_header"),
        ({"id_header": "X-Id"}, "{id} in signed needs id_header"),
        ({"encoding": "hex"}, "signed must contain {body}"),
    ],
)
def test_contradictions(fields: dict[str, Any], message: str) -> None:
    """A scheme without a signature has nothing else to sign."""
    options: dict[str, Any] = {"encoding": "plain", "signed": "", **fields}

    with pytest.raises(ConfigurationError) as caught:
        Scheme(name="made-up", signature_header="X-Token", **options)
    assert message in str(caught.value)


def test_prefix() -> None:
    """A word before the token belongs to the scheme."""
    scheme = Scheme(
        name="made-up", signature_header="X-Token", prefix="token:", encoding="plain", signed=""
    )
    verifier = Verifier(TOKEN, scheme=scheme)

    assert verifier.verify(b"", {"X-Token": f"token:{TOKEN}"})
    with pytest.raises(VerificationError, match="it has no signature that starts with token:"):
        verifier.verify(b"", {"X-Token": TOKEN})


def test_several_headers() -> None:
    """A token may be in any of them, and both are looked at."""
    headers = ("X-Token-1", "X-Token-2")
    scheme = Scheme(name="made-up", signature_header=headers, encoding="plain", signed="")
    verifier = Verifier(TOKEN, scheme=scheme)

    assert verifier.verify(b"", {"X-Token-1": OLD, "X-Token-2": TOKEN})
    assert verifier.verify(b"", {"X-Token-2": TOKEN})
    with pytest.raises(VerificationError, match="X-Token-1 does not match the secret"):
        verifier.verify(b"", {"X-Token-1": OLD, "X-Token-2": OLD})


def test_mac_is_the_token() -> None:
    """A token is a MAC that ignores its message, and that shows in no repr."""
    key = Key.of_token(TOKEN.encode(), None)
    macs = [key.mac(b"", body, b"") for body in (b"", b"{}")]

    assert [(mac.digest(), mac.hexdigest()) for mac in macs] == [
        (TOKEN.encode(), TOKEN.encode().hex())
    ] * 2
    assert TOKEN not in repr((key, macs, key.start, key.end))
