"""Deliveries: what a handler can do with one."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from frappe_hooksig import (
    Delivery,
    MalformedPayload,
    PayloadError,
    Scheme,
    VerifiedRequest,
    Verifier,
    providers,
    sign_payload,
)
from tests.senders import WHERE, secret_of

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
OLD = "8Kx2Wm5Rt9Yb3Nc6Vf1Zq4Hs"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_700_000_000


TAIL = Scheme(
    name="tail",
    signature_header="X-A",
    timestamp_header="X-Time",
    signed="{body}.{timestamp}",
    encoding="hex",
)


def deliver(
    payload: Any, secret: Any = SECRET, scheme: Scheme = providers.FRAPPE, **options: Any
) -> Delivery:
    """Return what a receiver gets of a payload."""
    signed = sign_payload(payload, secret, scheme=scheme, **options)
    return Verifier(secret, scheme=scheme, clock=lambda: NOW).verify(signed.body, signed.headers)


@pytest.mark.parametrize("payload", [{}, {"a": [1, {"b": None}]}, [1], 1, None, True], ids=repr)
def test_json(payload: Any) -> None:
    """What a sender signed comes out, objects or not."""
    assert deliver(payload).json() == payload


def test_json_of_frappes_dialect() -> None:
    """Frappe can send NaN and Infinity, which Python reads."""
    parsed = deliver(b'{"a": NaN, "b": -Infinity}').json()

    assert math.isnan(parsed["a"])
    assert parsed["b"] == -math.inf


@pytest.mark.parametrize(
    "body",
    [b" ", b"{", b"=1", b"a=<1>", b"\xff\xfe", b"{'a': 1}", b"[" * 100_000, b"1" * 5_000],
    ids=lambda body: repr(body[:10]),
)
def test_not_json(body: bytes) -> None:
    """A body that is no JSON is one error, whatever the parser thinks of it."""
    with pytest.raises(MalformedPayload, match=f"body of {len(body)} bytes is not JSON") as caught:
        deliver(body).json()
    assert isinstance(caught.value, PayloadError)
    assert caught.value.__context__ is None, "the parser's error holds the body"


FORM = "is a form, not JSON: "


@pytest.mark.parametrize(
    ("scheme", "body", "words"),
    [
        ("frappe", b"", "is empty, not JSON"),
        ("frappe", b"order=1", FORM + "read delivery.body as a form"),
        (
            "github",
            b"payload=%7B%22a%22%3A1%7D",
            FORM + "in GitHub, set the webhook's content type",
        ),
        ("github-sha1", b"payload=" + b"%7B" * 9999, FORM + "in GitHub, set the webhook's content"),
        ("slack", b"token=a&command=%2Fx&text=a+b", FORM),
        ("frappe", b"\x1f\x8b\x08\0", "is compressed (gzip), not JSON: decompress delivery.body"),
        ("frappe", b"\n <order/>", "is XML or HTML, not JSON"),
    ],
)
def test_kind_that_is_not_json(scheme: str, body: bytes, words: str) -> None:
    """A form, compressed data and the like are called by their names, without their text."""
    with pytest.raises(MalformedPayload) as caught:
        Delivery(body, None, (providers.get(scheme), None, None, b"", b"")).json()

    assert str(caught.value).startswith(f"the verified body of {len(body)} bytes {words}")


def test_json_is_parsed_anew() -> None:
    """What one caller changes, the next does not see."""
    delivery = deliver({"a": 1})
    delivery.json()["a"] = 2

    assert delivery.json() == {"a": 1}


@pytest.mark.parametrize(
    "name", ["body", "scheme", "secret_id", "id", "timestamp", "dedup_key", "other"]
)
def test_is_immutable(name: str) -> None:
    """What was verified stays what was verified."""
    with pytest.raises(AttributeError):
        setattr(deliver(b""), name, b"forged")


def test_key_of_the_same_delivery() -> None:
    """A retry has the same key: same content, whichever secret signed."""
    keys = {
        deliver(b"a").dedup_key,
        deliver(b"a", [OLD, SECRET]).dedup_key,
        deliver(b"a", OLD).dedup_key,
    }

    assert len(keys) == 1
    assert len(keys.pop()) == 64


def test_key_of_different_deliveries() -> None:
    """Nothing that differs in what was signed shares a key."""
    stripe, slack = providers.STRIPE, providers.SLACK
    deliveries = [
        deliver(b""),
        deliver(b"a"),
        deliver(b"ab"),
        deliver(b"a", scheme=stripe, timestamp=NOW),
        deliver(b"a", scheme=stripe, timestamp=NOW + 1),
        deliver(b"a", scheme=slack, timestamp=NOW),
        deliver(b"1700000000.a"),
        deliver(b"0.a", scheme=TAIL, timestamp=NOW),
        deliver(b"0.", scheme=TAIL, timestamp=NOW),
    ]

    assert len({delivery.dedup_key for delivery in deliveries}) == len(deliveries)


def test_key_knows_its_seams() -> None:
    """What is signed around the body does not run into it."""
    around = [(b"ab", b"cd"), (b"a", b"cd"), (b"abc", b"d"), (b"", b"abcd"), (b"abcd", b"")]
    keys = {Delivery(b"", None, (TAIL, None, None, *each)).dedup_key for each in around}

    assert len(keys) == len(around)


def test_key_of_a_scheme_that_changes() -> None:
    """A sender that moves to another header sends the same delivery again."""
    assert deliver(b"a").dedup_key == deliver(b"a", scheme=providers.GITHUB).dedup_key


def test_key_of_a_signed_id() -> None:
    """Where an id is signed, it alone tells deliveries apart: a retry may be signed anew."""
    scheme = providers.STANDARD_WEBHOOKS
    first = deliver(b"a", WHSEC, scheme, id="msg_1", timestamp=NOW)
    retry = deliver(b"a", WHSEC, scheme, id="msg_1", timestamp=NOW + 60)
    other = deliver(b"a", WHSEC, scheme, id="msg_2", timestamp=NOW)

    assert first.dedup_key == retry.dedup_key != other.dedup_key


COPIES: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    *(lambda each, at=at: pickle.loads(pickle.dumps(each, at)) for at in (2, 4, 5)),
]


@pytest.mark.parametrize("name", providers.names())
def test_copies_keep_no_signature(name: str) -> None:
    """What a job queue stores has neither the token nor the signature, and is as good otherwise."""
    scheme = providers.get(name)
    secret = secret_of(scheme)
    verifier = Verifier(secret, scheme=scheme, clock=lambda: NOW)
    moment = NOW if scheme.signs_timestamp else None
    signed = sign_payload({"id": "7"}, secret, scheme=scheme, timestamp=moment, **WHERE)
    delivery = verifier.verify(signed.body, signed.headers, **WHERE)
    verification = verifier.begin(signed.headers, **WHERE)
    verification.update(signed.body)
    request = verification.finish()

    for each in (make(found) for make in COPIES for found in (delivery, request)):
        assert signed.signature.encode() not in pickle.dumps(each)
        assert signed.signature not in repr([getattr(each, slot, "") for slot in SLOTS])
        for attribute in ("id", "timestamp", "secret_id", "scheme", "is_signed"):
            assert getattr(each, attribute) == getattr(delivery, attribute)
    for each in (make(delivery) for make in COPIES):
        assert (each.body, each.dedup_key, each.json()) == (
            *(delivery.body, delivery.dedup_key, delivery.json()),
        )


SLOTS = [*Delivery.__slots__, *VerifiedRequest.__slots__]


def test_repr_shows_no_content() -> None:
    """A delivery can be logged."""
    delivery = deliver({"card": "4242"}, WHSEC, providers.STANDARD_WEBHOOKS, id="m1", timestamp=NOW)

    assert repr(delivery) == (
        "<Delivery standard-webhooks, secret_id=None, id='m1', timestamp=1700000000.0, 16 bytes>"
    )
