"""Signing: the bytes and the headers that leave."""

from __future__ import annotations

import base64
import hmac
import json
from collections import OrderedDict
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from frappe_hooksig import (
    ConfigurationError,
    PayloadError,
    Signer,
    Verifier,
    providers,
    sign_payload,
)
from frappe_hooksig.sign import Payload

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
OLD = "8Kx2Wm5Rt9Yb3Nc6Vf1Zq4Hs"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_700_000_000


def hex_mac(content: bytes, secret: str = SECRET) -> str:
    """Return what any other HMAC implementation gives."""
    return hmac.digest(secret.encode(), content, "sha256").hex()


@pytest.mark.parametrize(
    ("payload", "body"),
    [
        (b"\xff\x00raw", b"\xff\x00raw"),
        (b"", b""),
        ("grün {}", "grün {}".encode()),
        ("", b""),
        ({}, b"{}"),
        ({"b": 1, "a": [1.0, None, True]}, b'{"b": 1, "a": [1.0, null, true]}'),
        ({"é": "🚀"}, rb'{"\u00e9": "\ud83d\ude80"}'),
        ([1, "x"], b'[1, "x"]'),
        (OrderedDict(z=1, a=2), b'{"z": 1, "a": 2}'),
        ({"on": date(2026, 2, 28), "sum": Decimal("1.10")}, b'{"on": "2026-02-28", "sum": "1.10"}'),
        ({"\ud800": 1}, rb'{"\ud800": 1}'),
        (1, b"1"),
        (0.1, b"0.1"),
        (True, b"true"),
        (None, b"null"),
        ({"n": float("nan")}, b'{"n": NaN}'),  # as Frappe does, see frappe_hooksig.delivery
    ],
    ids=repr,
)
def test_body(payload: Payload, body: bytes) -> None:
    """Bytes and text stay as they are; the rest becomes the JSON that Frappe would send."""
    signed = sign_payload(payload, SECRET)

    assert signed.body == body
    expected = base64.b64encode(hmac.digest(SECRET.encode(), body, "sha256")).decode()
    assert signed.signature == expected
    assert signed.headers["X-Frappe-Webhook-Signature"] == expected


@pytest.mark.parametrize("payload", [b"{}", "{}"], ids=repr)
def test_no_content_type_for_ready_bytes(payload: Payload) -> None:
    """Only who serialised knows what it is."""
    assert set(sign_payload(payload, SECRET).headers) == {"X-Frappe-Webhook-Signature"}


def test_content_type_of_json() -> None:
    """What was serialised here is declared."""
    assert sign_payload({}, SECRET).headers["Content-Type"] == "application/json"


class Unprintable:
    """Has no text."""

    def __str__(self) -> str:
        msg = "boom"
        raise RuntimeError(msg)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_buffers_are_signed_as_they_are(kind: Any) -> None:
    """Whatever has raw bytes is sent as bytes, without a Content-Type."""
    signed = sign_payload(kind(b"[1]"), SECRET)

    assert type(signed.body) is bytes
    assert signed.body == b"[1]"
    assert signed.headers == sign_payload(b"[1]", SECRET).headers


LOOP: list[Any] = []
LOOP.append(LOOP)
DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ((1, 2), "cannot be of type tuple"),
        ({1}, "cannot be of type set"),
        (Decimal(1), "cannot be of type Decimal"),
        (datetime(2026, 1, 1, tzinfo=timezone.utc), "cannot be of type datetime"),
        (object(), "cannot be of type object"),
        ("\ud800", "lone surrogate"),
        ({(1, 2): 3}, "serialised as JSON: TypeError"),
        (LOOP, "serialised as JSON: ValueError"),
        (DEEP, "serialised as JSON: RecursionError"),
        ({"x": Unprintable()}, "serialised as JSON: RuntimeError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_unsignable(payload: Any, message: str) -> None:
    """What has no bytes of its own is refused, rather than sent as its quoted repr."""
    with pytest.raises(PayloadError, match=message):
        sign_payload(payload, SECRET)


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("webhook-hex", {"X-Webhook-Signature": hex_mac(b"{}")}),
        ("webhook-sha256", {"X-Webhook-Signature": "sha256=" + hex_mac(b"{}")}),
        (
            "webhook-timestamped",
            {
                "X-Webhook-Signature": "sha256=" + hex_mac(b"1700000000.{}"),
                "X-Webhook-Timestamp": "1700000000",
            },
        ),
        ("github", {"X-Hub-Signature-256": "sha256=" + hex_mac(b"{}")}),
        ("stripe", {"Stripe-Signature": "t=1700000000,v1=" + hex_mac(b"1700000000.{}")}),
        (
            "slack",
            {
                "X-Slack-Signature": "v0=" + hex_mac(b"v0:1700000000:{}"),
                "X-Slack-Request-Timestamp": "1700000000",
            },
        ),
    ],
)
def test_headers(name: str, headers: dict[str, str]) -> None:
    """Each scheme's headers are laid out as its definition says."""
    signed = Signer(SECRET, scheme=providers.get(name), clock=lambda: NOW + 0.9).sign(b"{}")

    assert signed.headers == headers


def test_standard_webhooks() -> None:
    """The specification's own example is what we send."""
    signed = sign_payload(
        b'{"test": 2432232314}',
        WHSEC,
        scheme=providers.STANDARD_WEBHOOKS,
        id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1_614_265_330,
    )

    assert signed.headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert signed.signature == "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_new_id() -> None:
    """Without an id, each delivery gets one of its own."""
    signer = Signer(WHSEC, scheme=providers.STANDARD_WEBHOOKS)
    ids = {signer.sign(b"").headers["webhook-id"] for _ in range(100)}

    assert len(ids) == 100
    assert all(delivery_id.startswith("msg_") for delivery_id in ids)


@pytest.mark.parametrize(
    "timestamp",
    [
        NOW,
        NOW + 0.999,
        datetime.fromtimestamp(NOW, timezone.utc),
        datetime.fromtimestamp(NOW, timezone(timedelta(hours=5, minutes=45))),
    ],
    ids=repr,
)
def test_timestamp(timestamp: float | datetime) -> None:
    """A moment is the same moment in every form and time zone."""
    signed = sign_payload(b"", SECRET, scheme=providers.WEBHOOK_TIMESTAMPED, timestamp=timestamp)

    assert signed.headers["X-Webhook-Timestamp"] == "1700000000"


def test_timestamp_by_default_is_now() -> None:
    """What is signed now verifies now."""
    signed = sign_payload(b"", SECRET, scheme=providers.STRIPE)

    assert Verifier(SECRET, scheme=providers.STRIPE, tolerance=5).verify(b"", signed.headers)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("frappe", {"id": "msg_1"}, "id= has no use"),
        ("frappe", {"timestamp": NOW}, "timestamp= has no use"),
        ("stripe", {"id": "msg_1"}, "id= has no use"),
        (
            "stripe",
            {"timestamp": datetime(2026, 1, 1)},  # noqa: DTZ001  # the point of it
            "without time zone",
        ),
        ("stripe", {"timestamp": float("nan")}, "cannot be written"),
        ("stripe", {"timestamp": 123}, "10 digits of Unix seconds"),
        ("standard-webhooks", {"id": "a.b"}, "id= is not"),
        ("standard-webhooks", {"id": ""}, "id= is not"),
        ("standard-webhooks", {"id": "a\r\nX-Evil: 1"}, "id= is not"),
    ],
)
def test_options_that_do_not_fit(name: str, options: dict[str, Any], message: str) -> None:
    """What the scheme cannot carry is refused, not lost."""
    with pytest.raises(ConfigurationError, match=message):
        sign_payload(b"", WHSEC, scheme=providers.get(name), **options)


def test_several_secrets_where_the_header_carries_several() -> None:
    """During a rotation both secrets sign, so that receivers with either one accept."""
    signed = sign_payload(b"{}", [SECRET, OLD], scheme=providers.STRIPE, timestamp=NOW)

    new, old = hex_mac(b"1700000000.{}"), hex_mac(b"1700000000.{}", OLD)
    assert signed.headers == {"Stripe-Signature": f"t=1700000000,v1={new},v1={old}"}
    assert signed.signature == new


def test_several_secrets_where_the_header_carries_one() -> None:
    """Else the newest signs."""
    assert sign_payload(b"{}", [SECRET, OLD]).headers == sign_payload(b"{}", SECRET).headers


def test_more_secrets_than_the_header_carries() -> None:
    """Who would be left out is told."""
    secrets = [f"{SECRET}{n}" for n in range(17)]

    with pytest.raises(
        ConfigurationError, match="17 secrets, but a request of scheme 'stripe' carries"
    ):
        Signer(secrets, scheme=providers.STRIPE)


@pytest.mark.parametrize("name", ["scheme", "other"])
def test_is_immutable(name: str) -> None:
    """What was checked at start-up stays so."""
    signer = Signer(SECRET, scheme=providers.STRIPE)

    with pytest.raises(AttributeError):
        setattr(signer, name, providers.GITHUB)
    assert signer.scheme is providers.STRIPE


def test_repr_shows_no_signature() -> None:
    """Who reads a log cannot send the request again."""
    signed = sign_payload({"card": "4242"}, SECRET)
    shown = f"{signed!r} {signed} {Signer([SECRET, OLD])!r}"

    assert signed.signature not in shown
    assert "4242" not in shown
    assert SECRET not in shown
    assert "<SignedPayload 16 bytes, headers Content-Type, X-Frappe-Webhook-Signature>" in shown


def test_same_as_what_frappe_sends() -> None:
    """The body is what Frappe's webhook.py would make of the same data."""
    data = {"name": "SINV-0001", "grand_total": 0.1 + 0.2, "items": [{"idx": 1}], "due": None}

    assert sign_payload(data, SECRET).body == json.dumps(data, default=str).encode()


@pytest.mark.parametrize("method", ["post", "", "PO ST", "P\u00d6ST"])
def test_method_that_is_never_verified(method: str) -> None:
    """What no receiver accepts is not signed either."""
    with pytest.raises(ConfigurationError, match="must be upper-case letters"):
        sign_payload(
            b"{}", SECRET, scheme=providers.HUBSPOT_V3, method=method, url="https://a.example"
        )
    assert sign_payload(b"{}", SECRET, method=method)
