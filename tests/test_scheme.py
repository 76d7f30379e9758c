"""Schemes as data: what they can say, and what is refused when they are made."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from frappe_hooksig import (
    ConfigurationError,
    Reason,
    Scheme,
    VerificationError,
    Verifier,
    providers,
)
from frappe_hooksig._wire import wire_of
from frappe_hooksig.sign import sign_payload

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"


def scheme(**fields: Any) -> Scheme:
    """Return a plain scheme with some fields changed."""
    return Scheme(**{"name": "x", "signature_header": "X-A", "encoding": "hex", **fields})


@pytest.mark.parametrize("layout", ["hubspot-v3", "square", "trello"])
def test_method_and_url_must_be_given(layout: str) -> None:
    """A scheme that signs the URL says so when it is not told which."""
    where: Any = {"method": "POST", "url": "https://example.com/"}
    signed = sign_payload(b"", SECRET, scheme=providers.get(layout), **where)

    with pytest.raises(ConfigurationError, match=r"pass (method|url)="):
        Verifier(SECRET, scheme=providers.get(layout)).verify(signed.body, signed.headers)
    with pytest.raises(ConfigurationError, match=r"pass (method|url)="):
        sign_payload(b"", SECRET, scheme=providers.get(layout))


@pytest.mark.parametrize("url", ["https://example.com/é", "https://example.com/\ud800", ""])
def test_hostile_url(url: str) -> None:
    """A URL that a stranger chose ends in a mismatch."""
    signed = sign_payload(b"", SECRET, scheme=providers.SQUARE, url="https://example.com/")

    with pytest.raises(VerificationError) as caught:
        Verifier(SECRET, scheme=providers.SQUARE).verify(b"", signed.headers, url=url)
    assert caught.value.reason is Reason.SIGNATURE_MISMATCH


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"timestamp_format": []}, "timestamp_format must be one of"),
        ({"name": None}, "name must be a str"),
        ({"signed": None}, "signed must be a str"),
        ({"prefix": b"a="}, "prefix must be a str"),
        ({"timestamp_prefix": None}, "timestamp_prefix must be a str"),
        ({"rewritten_characters": None}, "rewritten_characters must be a str"),
        ({"timestamp_header": 1}, "timestamp_header must be a str or None"),
        ({"signature_header": None}, "signature_header must be a str or a tuple"),
        ({"signature_header": (1,)}, "signature_header must be a str or a tuple"),
        ({"tolerance": "300"}, "tolerance must be a positive number"),
        ({"max_signatures": "5"}, "max_signatures must be an int"),
        ({"max_signatures": True}, "max_signatures must be an int"),
        ({"name": ""}, "name must"),
        ({"name": "Has Space"}, "name must"),
        ({"encoding": "base32"}, "encoding must be one of"),
        ({"digest": "md5"}, "digest must be one of"),
        ({"algorithm": "ed25519"}, "algorithm must be one of"),
        ({"algorithm": None}, "algorithm must be one of"),
        ({"separator": "|", "prefix": "a="}, "separator must be one of"),
        ({"timestamp_format": "http"}, "timestamp_format must be one of"),
        ({"secret_format": "pem"}, "secret_format must be one of"),
        ({"signature_header": ()}, "must be a str or a tuple of them"),
        ({"signature_header": ""}, "must be names of headers"),
        ({"signature_header": "X A"}, "must be names of headers"),
        ({"signature_header": "X-Ä"}, "must be names of headers"),
        ({"signature_header": ("X-A", "x-a")}, "different headers"),
        (
            {"timestamp_header": "x-a", "signed": "{timestamp}.{body}"},
            "different headers",
        ),
        ({"prefix": "é="}, "prefix must be printable"),
        ({"prefix": "a\n"}, "prefix must be printable"),
        ({"tolerance": 0}, "tolerance must be"),
        ({"tolerance": float("inf")}, "tolerance must be"),
        ({"tolerance": float("nan")}, "tolerance must be"),
        ({"max_signatures": 0}, "max_signatures is less"),
        ({"signature_header": ("X-A", "X-B"), "max_signatures": 1}, "max_signatures is less"),
        ({"signed": ""}, r"signed must contain {body}"),
        ({"signed": "{timestamp}"}, r"signed must contain {body}"),
        ({"signed": "{body}.{body}"}, "each part at most once"),
        ({"signed": "{body"}, "unbalanced braces"),
        ({"signed": "{{body}}{body}"}, "no other braces"),
        ({"signed": "{body:}"}, "no other braces"),
        (
            {"signed": "{timestamp:}.{body}", "timestamp_header": "X-Time"},
            "no other braces",
        ),
        ({"signed": "{url:}{body}"}, "no other braces"),
        ({"signed": "{method}X{body}"}, "cannot stand beside an upper-case letter"),
        ({"prefix": " v1=", "separator": ","}, "prefix must be .* not start with a space"),
        ({"prefix": " "}, "prefix must be .* not start with a space"),
        ({"timestamp_prefix": " t="}, "timestamp_prefix must be .* not start with a space"),
        ({"signed": "{body}{nonce}"}, "signed may contain only"),
        ({"signed": "{body}{0}"}, "signed may contain only"),
        ({"signed": "{body!r}"}, "signed may contain only"),
        ({"signed": "{body:>9}"}, "signed may contain only"),
        ({"signed": "{timestamp}.{body}"}, "needs timestamp_header or timestamp_prefix"),
        ({"timestamp_header": "X-Time"}, "needs timestamp_header or timestamp_prefix"),
        ({"id_header": "X-Id"}, "an unsigned id proves nothing"),
        ({"signed": "{id}.{body}"}, "needs id_header"),
        (
            {
                "signed": "{timestamp}.{body}",
                "timestamp_header": "X-Time",
                "timestamp_prefix": "t=",
                "prefix": "v1=",
                "separator": ",",
            },
            "only one of timestamp_header, timestamp_prefix and timestamp_is_first",
        ),
        ({"separator": ","}, "separator needs a prefix"),
        ({"timestamp_is_first": 1}, "timestamp_is_first must be a bool"),
        (
            {"timestamp_is_first": True, "separator": ","},
            "timestamp_is_first, and each of these needs {timestamp} in signed",
        ),
        (
            {"timestamp_is_first": True, "signed": "{timestamp}.{body}"},
            "timestamp_is_first needs a separator",
        ),
        (
            {
                "timestamp_is_first": True,
                "signed": "{timestamp}.{body}",
                "separator": ",",
                "prefix": "v1=",
            },
            "timestamp_is_first needs a separator, and entries without a prefix",
        ),
        (
            {
                "timestamp_is_first": True,
                "signed": "{timestamp}.{body}",
                "separator": ",",
                "timestamp_header": "X-Time",
            },
            "only one of timestamp_header, timestamp_prefix and timestamp_is_first",
        ),
        ({"separator": "&", "prefix": "a&"}, "cannot contain the separator"),
        ({"signed": "\ud800{body}"}, "lone surrogate"),
        ({"separator": None}, "separator must be a str"),
        ({"tolerance": 10**400}, "tolerance must be a positive number"),
        ({"empty_responses": 1}, "empty_responses must be a bool"),
        ({"retry_horizon": 0}, "retry_horizon must be a positive number"),
        ({"response_timeout": 0}, "response_timeout must be a positive number of seconds, or None"),
        ({"response_timeout": "5"}, "response_timeout must be a positive number"),
        ({"retries_differ": None}, "retries_differ must be a bool"),
        ({"retry_delays": [1]}, "retry_delays must be a tuple of positive numbers"),
        ({"retry_delays": (1, 0)}, "retry_delays must be a tuple of positive numbers"),
        ({"body_id": "id"}, "body_id must be a JSON Pointer"),
        ({"body_id": 5}, "body_id must be a JSON Pointer"),
        ({"prefix": "v" * 65}, "at most 64 characters"),
        ({"timestamp_prefix": "t,"}, "timestamp_prefix cannot contain a comma"),
        ({"signed": "{body}X{method}"}, "cannot stand beside an upper-case letter"),
        ({"separator": " ", "prefix": "v1 "}, "cannot contain the separator"),
        (
            {"signed": "{timestamp}.{body}", "timestamp_prefix": "t="},
            "timestamp_prefix needs a separator",
        ),
        (
            {
                "signed": "{timestamp}.{body}",
                "signature_header": ("X-A", "X-B"),
                "timestamp_prefix": "t=",
                "prefix": "v1=",
                "separator": ",",
            },
            "separator needs a single signature_header",
        ),
        (
            {
                "signed": "{timestamp}.{body}",
                "timestamp_prefix": "v1=t",
                "prefix": "v1=",
                "separator": ",",
            },
            "cannot be told apart",
        ),
        (
            {
                "signed": "{timestamp}.{body}",
                "timestamp_prefix": "t=",
                "prefix": "t=1",
                "separator": ",",
            },
            "cannot be told apart",
        ),
        # Seams: bytes could be moved from one part to its neighbour under the same signature.
        (
            {"signed": "{id}{body}", "id_header": "X-Id"},
            "{id} and {body} need fixed text between",
        ),
        (
            {"signed": "{id}{timestamp}.{body}", "id_header": "X-Id", "timestamp_header": "X-T"},
            "{id} and {timestamp} need fixed text between",
        ),
        ({"signed": "{method}{body}"}, "{method} and {body} need fixed text between"),
        (
            {"signed": "{body}{id}", "id_header": "X-Id"},
            "{body} and {id} need fixed text between",
        ),
        (
            {"signed": "{url}{id}.{body}", "id_header": "X-Id"},
            "{url} and {id} need fixed text between",
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else repr(value),
)
def test_contradictions(fields: dict[str, Any], message: str) -> None:
    """A scheme that contradicts itself is refused when it is made, and the field is named."""
    with pytest.raises(ConfigurationError, match=message):
        scheme(**fields)


def test_is_immutable() -> None:
    """A scheme is shared, so nobody changes it."""
    with pytest.raises(FrozenInstanceError):
        scheme().prefix = "y"  # type: ignore[misc]


def test_equality_and_hash() -> None:
    """Two schemes that say the same are the same."""
    assert scheme() == scheme()
    assert len({scheme(), scheme(), scheme(prefix="a")}) == 2


def test_list_of_headers_becomes_a_tuple() -> None:
    """A scheme made of a list is as immutable as any other."""
    assert hash(scheme(signature_header=["X-A", "X-B"])) == hash(
        scheme(signature_header=("X-A", "X-B"))
    )


@pytest.mark.parametrize(
    ("signed", "delivery_id", "is_id"),
    [
        ("v0:{id}:{body}", "msg_v0", True),
        ("v0:{id}:{body}", "msg:1", False),
        ("{timestamp}.{id}-{body}", "a.b", False),
        ("{timestamp}.{id}-{body}", "a-b", False),
        ("{body}|{id}", "a|b", False),
        ("{body}|{id}", "a.b", True),
    ],
)
def test_what_ids_are_joined_with(signed: str, delivery_id: str, is_id: bool) -> None:  # noqa: FBT001
    """Only the character at the seam is forbidden, so that the seam is where it seems to be."""
    timed = {"timestamp_header": "X-Time"} if "{timestamp}" in signed else {}

    joined = scheme(signed=signed, id_header="X-Id", **timed)

    assert wire_of(joined).is_id(delivery_id) is is_id


@pytest.mark.parametrize("signed", ["v0:{id}:{body}", "{id}.{body}", "{body}.{id}"])
def test_new_ids_fit(signed: str) -> None:
    """An id that the library makes is one that it accepts."""
    joined = scheme(signed=signed, id_header="X-Id")
    sent = sign_payload(b"body", SECRET, scheme=joined)

    assert Verifier(SECRET, scheme=joined).verify(b"body", sent.headers).id


def test_new_ids_that_cannot_fit() -> None:
    """Where ours would be read otherwise, the sender has to bring its own."""
    joined = scheme(signed="{id}_{body}", id_header="X-Id")

    with pytest.raises(ConfigurationError, match="id= is not"):
        sign_payload(b"body", SECRET, scheme=joined)
    assert sign_payload(b"body", SECRET, scheme=joined, id="msg-1")


def test_id_that_holds_a_time() -> None:
    """Where an id touches a time, it cannot swallow it and leave the body to begin with another."""
    twitch = providers.TWITCH
    sent = sign_payload(
        b"2030-01-01T00:00:00Z rest", SECRET, scheme=twitch, id="msg1", timestamp=1_700_000_000
    )
    moved = sent.headers | {
        "Twitch-Eventsub-Message-Id": "msg1" + sent.headers["Twitch-Eventsub-Message-Timestamp"],
        "Twitch-Eventsub-Message-Timestamp": "2030-01-01T00:00:00Z",
    }
    verifier = Verifier(SECRET, scheme=twitch, clock=lambda: 1_893_456_000)

    with pytest.raises(VerificationError) as caught:
        verifier.verify(b" rest", moved)
    assert caught.value.reason is Reason.MALFORMED_HEADER


@pytest.mark.parametrize("method", ["POST.foo", "post", "", "POST ", "PÖST"])
def test_hostile_method(method: str) -> None:
    """A method that a stranger chose cannot swallow what stands behind it."""
    dotted = scheme(signed="{method}.{body}")
    sent = sign_payload(b"foo.bar", SECRET, scheme=dotted, method="POST")

    assert Verifier(SECRET, scheme=dotted).verify(b"foo.bar", sent.headers, method="POST")
    with pytest.raises(VerificationError) as caught:
        Verifier(SECRET, scheme=dotted).verify(b"bar", sent.headers, method=method)
    assert caught.value.reason is Reason.SIGNATURE_MISMATCH


@pytest.mark.parametrize("url", [None, b"https://example.com/"])
def test_url_is_a_str(url: Any) -> None:
    """What would be signed as its repr is refused."""
    with pytest.raises(ConfigurationError, match="pass url= as a str"):
        sign_payload(b"", SECRET, scheme=providers.SQUARE, url=url)


@pytest.mark.parametrize(
    "text", ["v1,A,v1,B", "v1,A, v1,B", "v2,A,v1,B", "junk,v1,A v1,B", "v1,B junk,v1,A"]
)
def test_joined_headers_between_spaces(text: str) -> None:
    """Headers that a server joined with a comma show, where a comma means something else."""
    with pytest.raises(VerificationError) as caught:
        wire_of(providers.STANDARD_WEBHOOKS).parse(
            {"webhook-signature": text, "webhook-id": "a", "webhook-timestamp": "1700000000"}
        )
    assert caught.value.reason is Reason.DUPLICATE_HEADER


@pytest.mark.parametrize(
    ("text", "is_id"),
    [
        ("msg_1", True),
        ("a" * 256, True),
        ("!~", True),
        ("", False),
        ("a" * 257, False),
        ("a.b", False),  # the scheme joins with dots
        ("a,b", False),  # two headers, joined
        ("a b", False),
        ("é", False),
        ("a\n", False),
    ],
)
def test_is_id(text: str, is_id: bool) -> None:  # noqa: FBT001
    """An id cannot contain what would let bytes move between it and its neighbours."""
    joined = scheme(signed="{id}.{body}", id_header="X-Id")

    assert wire_of(joined).is_id(text) is is_id


@pytest.mark.parametrize(
    ("text", "is_id"),
    [
        ("e76c6bd4-55c9-4987-8304-da1588d8988b", True),
        ("at-10:00:00", True),
        ("2026-11-22", True),
        ("x2026-11-22T08:00:00Z", False),
        ("x2026-11-22T08:00:00+08:", False),  # the time's year ends the offset
        ("x2026-11-22T08:00:00.5-08:2", False),
        ("26-11-22T08:00:00Z", False),  # an offset before it took the century
    ],
)
def test_is_id_beside_a_time(text: str, is_id: bool) -> None:  # noqa: FBT001
    """Nor can bytes move between an id and a time of which one ends as the other begins."""
    assert wire_of(providers.TWITCH).is_id(text) is is_id


class Special(Scheme):
    """A scheme with a name of its own."""

    __slots__ = ()


def test_equality() -> None:
    """Schemes are equal if their classes and all their fields are."""
    one, other = (
        {"name": "one", "signature_header": "X-S", "encoding": "hex", "digest": digest}
        for digest in ("sha1", "sha256")
    )

    assert scheme(**one) == scheme(**one)
    assert scheme(**one) != scheme(**other)
    assert scheme(**one) != "one"
    assert Special(**one) != Scheme(**one)  # type: ignore[arg-type]
    assert Special(**one) != Special(**other)  # type: ignore[arg-type]
    assert Special(**one) == Special(**one)  # type: ignore[arg-type]


def test_repr_shows_what_is_special() -> None:
    """The defaults are left out, so that a signature with a scheme in it can be read."""
    made = Scheme(name="one", signature_header="X-S", encoding="hex", digest="sha1")

    assert repr(made) == (
        "Scheme(name='one', signature_header='X-S', encoding='hex', digest='sha1')"
    )
    assert eval(repr(made)) == made
