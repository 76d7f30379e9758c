"""Events that only an unsigned header tells apart: which are accepted, and what must be said."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from frappe_hooksig import (
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
    verify_payload,
)
from frappe_hooksig._headers import Environ
from frappe_hooksig.replay import MemoryStore
from tests.receivers import Incoming, make_receiver, receive
from tests.senders import secret_of

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
OLD = "8Kx2Wm5Rt9Yb3Nc6Vf1Zq4Hs"
TOPIC = "X-WC-Webhook-Topic"
LISTED = ["order.created", "order.updated"]
BODY = b'{"id": 1}'
SIGNED = sign_payload(BODY, SECRET, scheme=providers.WOOCOMMERCE).headers
WITH_EVENTS = [each for each in map(providers.get, providers.names()) if each.event_header]


def listing(*events: Any, scheme: Scheme = providers.WOOCOMMERCE) -> Verifier:
    """Return a verifier of a list of events."""
    return Verifier(SECRET, scheme=scheme, unsigned_events=list(events))


def headers_of(event: str | None) -> dict[str, Any]:
    """Return WooCommerce's headers."""
    return SIGNED | {TOPIC: event}


def whole(verifier: Any, headers: Any) -> VerifiedRequest:
    """Verify a whole body."""
    found: Delivery = verifier.verify(BODY, headers)
    return found


def begun(verifier: Any, headers: Any) -> VerifiedRequest:
    """Verify a whole body after the headers."""
    found: Delivery = verifier.begin(headers).verify(BODY)
    return found


def in_chunks(verifier: Any, headers: Any) -> VerifiedRequest:
    """Verify a body in chunks."""
    verification = verifier.begin(headers)
    for byte in BODY:
        verification.update(bytes([byte]))
    found: VerifiedRequest = verification.finish()
    return found


def once(verifier: Any, headers: Any) -> VerifiedRequest:
    """Verify with the one-off function."""
    assert verifier.unsigned_events == tuple(LISTED)
    scheme = providers.WOOCOMMERCE
    return verify_payload(BODY, headers, SECRET, scheme=scheme, unsigned_events=LISTED)


WAYS = pytest.mark.parametrize("verify", [whole, begun, in_chunks, once])


@WAYS
@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("order.created", "order.created"),
        ("order.updated", "order.updated"),
        ("order.deleted", None),
        ("Order.Created", None),
        ("order.created ", None),
        ("order.create", None),
        ("é", None),
        ("", None),
        (None, None),
    ],
)
def test_event(verify: Callable[..., VerifiedRequest], event: Any, expected: str | None) -> None:
    """It is the listed one, character for character, or None."""
    assert verify(listing(*LISTED), headers_of(event)).unsigned_event == expected


@WAYS
def test_doubled_event(verify: Callable[..., VerifiedRequest]) -> None:
    """Two headers, or one that a server has joined, are refused."""
    twice = [*SIGNED.items(), (TOPIC, "order.created"), (TOPIC, "order.created")]
    for headers in (twice, headers_of("order.created, order.updated")):
        with pytest.raises(VerificationError) as caught:
            verify(listing(*LISTED), headers)
        assert (caught.value.reason, caught.value.header) == (Reason.DUPLICATE_HEADER, TOPIC)


@WAYS
def test_wrong_signature(verify: Callable[..., VerifiedRequest]) -> None:
    """A listed event does not make a request genuine."""
    headers = headers_of("order.created") | {"X-WC-Webhook-Signature": "A" * 43 + "="}

    with pytest.raises(VerificationError) as caught:
        verify(listing(*LISTED), headers)
    assert caught.value.reason is Reason.SIGNATURE_MISMATCH


@pytest.mark.parametrize(
    "headers",
    [
        iter,
        lambda pairs: [(name.encode(), value.encode()) for name, value in pairs],
        lambda pairs: Headers(dict(pairs)),
        lambda pairs: Environ({f"HTTP_{k.upper().replace('-', '_')}": v for k, v in pairs}),
    ],
    ids=["iterator", "asgi", "starlette", "wsgi"],
)
@pytest.mark.parametrize("verify", [whole, begun, in_chunks])
def test_any_headers(verify: Callable[..., VerifiedRequest], headers: Any) -> None:
    """It is found in the headers of any framework, also if they can be read once only."""
    pairs = [*headers_of("order.updated").items()]

    assert verify(listing(*LISTED), headers(pairs)).unsigned_event == "order.updated"


@WAYS
def test_without_a_list(verify: Callable[..., VerifiedRequest]) -> None:
    """Without a list there is no event, not even if the header is there twice."""
    if verify is not once:
        verifier = Verifier(SECRET, scheme=providers.WOOCOMMERCE)
        doubled = [*headers_of("order.created").items(), (TOPIC, "x")]

        assert verify(verifier, doubled).unsigned_event is None
        assert verifier.unsigned_events == ()


def test_limit() -> None:
    """A body that is too large is refused with events, too."""
    verifier = Verifier(
        SECRET, scheme=providers.WOOCOMMERCE, unsigned_events=LISTED, max_body=len(BODY) - 1
    )

    with pytest.raises(VerificationError, match="larger than"):
        verifier.verify(BODY, headers_of("order.created"))


def test_dedup_key() -> None:
    """Each listed event is a delivery of its own; without a list only what is signed counts."""
    verifier = listing(*LISTED)
    keys = [
        verifier.verify(BODY, headers_of(event)).dedup_key
        for event in ("order.created", "order.updated", "order.deleted", None, "order.created")
    ]
    plain = Verifier(SECRET, scheme=providers.WOOCOMMERCE).verify(BODY, SIGNED).dedup_key

    assert len(set(keys)) == 3
    assert keys[0] == keys[4]
    assert keys[2] == keys[3] == plain


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("event", ["order.created", "order.deleted"])
def test_pickled(protocol: int, event: str) -> None:
    """A job queue carries the event, and the key that comes from it."""
    delivery = listing(*LISTED).verify(BODY, headers_of(event))
    copied = pickle.loads(pickle.dumps(delivery, protocol))

    assert copied.unsigned_event == delivery.unsigned_event
    assert copied.dedup_key == delivery.dedup_key


def test_several_verifiers() -> None:
    """Each verifier has a list of its own."""
    shopify = Verifier(OLD, scheme=providers.SHOPIFY, unsigned_events=["orders/create"])
    multi = MultiVerifier(listing(*LISTED), shopify)
    signed = sign_payload(BODY, OLD, scheme=providers.SHOPIFY).headers
    one, other = headers_of("order.created"), signed | {"X-Shopify-Topic": "orders/create"}

    assert multi.verify(BODY, one).unsigned_event == "order.created"
    assert multi.verify(BODY, other).unsigned_event == "orders/create"
    assert multi.begin(other).verify(BODY).unsigned_event == "orders/create"
    assert multi.verify(BODY, headers_of("orders/create")).unsigned_event is None


def test_one_secret_with_two_lists() -> None:
    """The signature could be moved to the header of the scheme that has the other list."""
    shopify = Verifier(SECRET, scheme=providers.SHOPIFY, unsigned_events=["orders/create"])

    with pytest.raises(ConfigurationError, match="but not the same unsigned_events"):
        MultiVerifier(listing(*LISTED), shopify)
    with pytest.raises(ConfigurationError, match="but not the same unsigned_events"):
        MultiVerifier(listing(*LISTED), Verifier(SECRET))


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ("order.created", "must be a list of the events that you handle, .*, not a str"),
        ({"order.created"}, "not a set"),
        (5, "not a int"),
        ([], "not an empty one"),
        ((), "not an empty one"),
        ([b"order.created"], f"must have values of {TOPIC}"),
        ([None], f"must have values of {TOPIC}"),
        ([""], "as the sender writes them"),
        (["é"], "as the sender writes them"),
        ([" order.created"], "without spaces around it"),
        (["order.created,order.updated"], "without commas"),
        (["x" * 10_000], "as the sender writes them"),
        (["order.created", "order.created"], "lists an event twice"),
    ],
)
def test_wrong_list(events: Any, message: str) -> None:
    """A list that cannot be meant is refused at start."""
    with pytest.raises(ConfigurationError, match=message):
        Verifier(SECRET, scheme=providers.WOOCOMMERCE, unsigned_events=events)
    with pytest.raises(ConfigurationError, match=message):
        make_receiver(providers.WOOCOMMERCE, secret=SECRET, unsigned_events=events)


def test_list_without_use() -> None:
    """What signs its events, or has none, has no list of them."""
    for scheme in (providers.FRAPPE, providers.GITHUB, providers.STRIPE):
        with pytest.raises(ConfigurationError, match="unsigned_events= has no use: scheme"):
            Verifier(secret_of(scheme), scheme=scheme, unsigned_events=LISTED)


@pytest.mark.parametrize("scheme", WITH_EVENTS, ids=lambda scheme: scheme.name)
def test_store_needs_a_list(scheme: Scheme) -> None:
    """Otherwise the second of two events with one body would be lost."""
    store = MemoryStore()
    routes: list[tuple[Any, dict[str, Any]]] = [
        (scheme, {"secret": secret_of(scheme), "unsigned_events": None}),
        (Verifier(secret_of(scheme), scheme=scheme), {}),
        (MultiVerifier(Verifier(OLD), Verifier(SECRET, scheme=scheme)), {}),
    ]
    for senders, options in routes:
        with pytest.raises(ConfigurationError) as caught:
            make_receiver(senders, store=store, **options)
        assert f"values of {scheme.event_header} that you handle" in str(caught.value)
        assert 'unsigned_events=["order.created", "order.updated"]' in str(caught.value)
        make_receiver(senders, **options)  # without a store, nothing is lost


@pytest.mark.parametrize(
    ("senders", "message"),
    [
        (listing(*LISTED), "belong to the Verifier"),
        ([providers.WOOCOMMERCE, providers.FRAPPE], "belong to one scheme"),
        (providers.FRAPPE, "has no use"),
    ],
)
def test_option_in_the_wrong_place(senders: Any, message: str) -> None:
    """The list belongs to one scheme, or to its verifier."""
    secret: dict[str, Any] = {} if isinstance(senders, Verifier) else {"secret": SECRET}

    with pytest.raises(ConfigurationError, match=message):
        make_receiver(senders, unsigned_events=LISTED, **secret)


def test_large_body_of_a_route() -> None:
    """Also a body that is hashed outside the event loop has its event."""
    signed = sign_payload(b"x" * 1_000_000, SECRET, scheme=providers.WOOCOMMERCE)
    receiver = make_receiver(providers.WOOCOMMERCE, secret=SECRET, unsigned_events=LISTED)
    incoming = Incoming(signed.headers | {TOPIC: "order.created"}, signed.body)

    assert receive(receiver, incoming).unsigned_event == "order.created"


def test_scheme() -> None:
    """The header is a header of its own, and has no use beside an id."""
    for header, message in (
        ("X WC", "must be names of headers"),
        ("", "must be names of headers"),
        ("x-wc-webhook-signature", "must be different headers"),
        (5, "event_header must be a str or None"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            replace(providers.WOOCOMMERCE, event_header=header)  # type: ignore[arg-type]
    for scheme in (providers.STRIPE, providers.SVIX):
        with pytest.raises(ConfigurationError, match="event_header has no use with id_header or"):
            replace(scheme, event_header="X-Topic")
    assert providers.WOOCOMMERCE.header_names == ["X-WC-Webhook-Signature"]


@given(st.text() | st.sampled_from(LISTED) | st.binary(max_size=9))
def test_any_event(event: Any) -> None:
    """Whatever the header says, it is a listed event, or none, or refused as doubled."""
    verifier = listing(*LISTED)
    pairs = [*SIGNED.items(), (TOPIC, event)]
    text = event.decode("latin-1") if isinstance(event, bytes) else event
    expected = text if text in LISTED else None

    if "," in text:
        with pytest.raises(VerificationError, match=f"{TOPIC} occurs more than once"):
            verifier.verify(BODY, pairs)
    else:
        assert verifier.verify(BODY, pairs).unsigned_event == expected


def test_frozen_text() -> None:
    """A subclass of str cannot change what was checked."""

    class Sly(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = str.__hash__

    verifier = listing(Sly("order.created"))

    assert verifier.verify(BODY, headers_of("order.deleted")).unsigned_event is None
    assert all(type(each) is str for each in verifier.unsigned_events)
