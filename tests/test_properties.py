"""The security contract, for every scheme: round trip, nothing else, no other exception."""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from frappe_hooksig import (
    Delivery,
    Scheme,
    SignedPayload,
    VerificationError,
    VerifiedRequest,
    Verifier,
    generate_secret,
    providers,
    sign_payload,
)
from tests.selection import FULL, layout, one_of_each
from tests.senders import WHERE

pytestmark = pytest.mark.stress

NOW = 1_700_000_000
# Layouts that no provider has by name yet.
OTHER_LAYOUTS = [
    Scheme(
        name="time-behind",
        signature_header="X-A",
        timestamp_header="X-B",
        timestamp_format="unix-ms",
        signed="{body}{timestamp}",
        encoding="base64",
        digest="sha512",
    ),
    Scheme(
        name="time-before-id",
        signature_header="X-A",
        timestamp_prefix="ts=",
        id_header="X-C",
        signed="{timestamp}:{id}:{body}",
        prefix="h1=",
        separator=";",
        encoding="hex",
        digest="sha1",
    ),
]
SCHEMES = [*(providers.get(name) for name in providers.names()), *OTHER_LAYOUTS]
# The schemes that get many examples: one for each layout.
THOROUGH = {scheme.name for scheme in one_of_each(SCHEMES, layout)}
MOST = settings.default.max_examples  # type: ignore[union-attr]
SOME = min(24, MOST)
MANY = MOST if FULL else SOME  # examples for one scheme of each layout
FEW = SOME if FULL else min(5, MOST)  # for a scheme whose layout another one has
OF_THE_URL = [scheme for scheme in SCHEMES if "{url}" in scheme.signed]
OF_SEVERAL_HEADERS = [scheme for scheme in SCHEMES if len(scheme.signature_headers) > 1]
SECRETS = {scheme.name: generate_secret(scheme.secret_format) for scheme in SCHEMES}
OTHERS = {scheme.name: generate_secret(scheme.secret_format) for scheme in SCHEMES}

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).map(str.encode)
bodies = st.binary(max_size=300) | st.sampled_from([b"", b"{}", b"[]", b"\xef\xbb\xbf{}", b"\x00"])
ids = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=".,:"),
    min_size=1,
    max_size=40,
)


def each_scheme(**drawn: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """Check a property as `given()` does, for each scheme; with few examples for a known layout."""

    def decorator(test: Callable[..., None]) -> Any:
        with_many = settings(max_examples=MANY)(given(**drawn)(test))
        with_few = settings(max_examples=FEW)(given(**drawn)(test))
        # A bare hash signs nothing but text.
        with_texts = settings(max_examples=MANY)(given(**drawn | {"body": texts})(test))

        @pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
        def check(scheme: Scheme) -> None:
            run = with_many if scheme.name in THOROUGH else with_few
            run = run if scheme.algorithm == "hmac" else with_texts
            run(scheme=scheme)

        check.__doc__ = test.__doc__
        return check

    return decorator


def sign(scheme: Scheme, body: bytes, secret: str | None = None, **options: Any) -> SignedPayload:
    """Sign under a scheme, with a time and an id where it has them."""
    if scheme.signs_timestamp:
        options.setdefault("timestamp", NOW)
    if not scheme.id_header:
        options.pop("id", None)
    return sign_payload(body, secret or SECRETS[scheme.name], scheme=scheme, **WHERE, **options)


def verify(scheme: Scheme, body: bytes, headers: Any, where: Any = WHERE) -> Delivery:
    """Verify as a receiver would whose clock stands still; in two pieces, it comes out the same."""
    verifier = Verifier(SECRETS[scheme.name], scheme=scheme, clock=lambda: NOW)
    try:
        delivery = verifier.verify(body, headers, **where)
    except VerificationError as refused:
        with pytest.raises(VerificationError, match=f"^{re.escape(str(refused))}$"):
            verify_in_pieces(verifier, body, headers, where)
        raise
    request = verify_in_pieces(verifier, body, headers, where)
    assert (request.secret_id, request.id, request.timestamp) == (
        delivery.secret_id,
        delivery.id,
        delivery.timestamp,
    )
    return delivery


def verify_in_pieces(verifier: Verifier, body: bytes, headers: Any, where: Any) -> VerifiedRequest:
    """Verify as a receiver would that does not hold the body."""
    verification = verifier.begin(headers, **where)
    verification.update(body[:2])
    verification.update(body[2:])
    return verification.finish()


def is_accepted(scheme: Scheme, body: bytes, headers: Any, where: Any = WHERE) -> bool:
    """Tell whether a request is accepted; let everything but VerificationError through."""
    try:
        verify(scheme, body, headers, where)
    except VerificationError as error:
        event(str(error.reason))
        return False
    event("accepted")
    return True


@each_scheme(body=bodies, delivery_id=ids)
def test_round_trip(scheme: Scheme, body: bytes, delivery_id: str) -> None:
    """What was signed verifies, and comes out as it went in."""
    signed = sign(scheme, body, id=delivery_id)

    delivery = verify(scheme, signed.body, signed.headers)

    assert delivery.body == body
    assert delivery.is_signed is scheme.signs_body
    assert delivery.timestamp == (NOW if scheme.signs_timestamp else None)
    assert delivery.id == (delivery_id if scheme.id_header else None)


@each_scheme(body=bodies, other=bodies)
def test_another_body(scheme: Scheme, body: bytes, other: bytes) -> None:
    """A signature is good for one body; a secret that is sent as it is, for any."""
    assume(body != other)

    assert is_accepted(scheme, other, sign(scheme, body).headers) is not scheme.signs_body


@each_scheme(body=st.binary(min_size=1, max_size=300), data=st.data())
def test_one_bit_of_the_body(scheme: Scheme, body: bytes, data: st.DataObject) -> None:
    """Any change of one bit of the body is refused, if there is a signature that covers it."""
    signed = sign(scheme, body)

    assert is_accepted(scheme, flip(body, data), signed.headers) is not scheme.signs_body


@each_scheme(body=bodies, delivery_id=ids, data=st.data())
def test_one_bit_of_a_header(
    scheme: Scheme, body: bytes, delivery_id: str, data: st.DataObject
) -> None:
    """Any change of one bit of signature, time or id is refused, but for the case of hex digits."""
    signed = sign(scheme, body, id=delivery_id)
    headers = signed.headers
    name = data.draw(st.sampled_from([each for each in scheme.header_names if each in headers]))
    text = flip(headers[name].encode(), data).decode("latin-1")

    accepted = is_accepted(scheme, body, headers | {name: text})

    beginning = headers[name].removesuffix(signed.signature)
    only_case = text.startswith(beginning) and text.lower() == headers[name].lower()
    assert accepted == (scheme.encoding == "hex" and only_case)


@pytest.mark.parametrize("scheme", OF_THE_URL, ids=lambda scheme: scheme.name)
@given(
    body=texts,
    method=st.sampled_from(["POST", "PUT", "post", "", "POST "]) | st.text(max_size=5),
    url=st.sampled_from([WHERE["url"], "http://example.com/hook?a=1", ""]) | st.text(max_size=30),
)
def test_another_method_or_url(scheme: Scheme, body: bytes, method: str, url: str) -> None:
    """Where they are signed, a signature is good for one method and one URL."""
    where = {"method": method, "url": url}
    signed = [name for name in where if f"{{{name}}}" in scheme.signed]

    accepted = is_accepted(scheme, body, sign(scheme, body).headers, where)

    assert accepted == all(where[name] == dict(WHERE)[name] for name in signed)


@pytest.mark.parametrize("scheme", OF_SEVERAL_HEADERS, ids=lambda scheme: scheme.name)
@given(body=bodies, data=st.data())
def test_any_of_several_headers(scheme: Scheme, body: bytes, data: st.DataObject) -> None:
    """The right signature may stand in any of the headers, beside wrong ones, but in one of them.

    Which is why it is no matter in which order a sender has its secrets.
    """
    headers = sign(scheme, body).headers
    wrong = sign(scheme, body, OTHERS[scheme.name]).headers
    place, *others = data.draw(st.permutations(scheme.signature_headers[:9]))
    others = others[: data.draw(st.integers(0, len(others)))]
    first = scheme.signature_headers[0]
    right, misplaced = headers.pop(first), wrong.pop(first)
    beside = dict.fromkeys(others, misplaced)

    assert is_accepted(scheme, body, {**headers, place: right, **beside})
    assert not is_accepted(scheme, body, {**headers, place: misplaced, **beside})


def flip(content: bytes, data: st.DataObject) -> bytes:
    """Return some bytes with one bit changed."""
    bit = data.draw(st.integers(0, len(content) * 8 - 1))
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@each_scheme(body=bodies, secret=st.binary(min_size=1, max_size=200))
def test_another_secret(scheme: Scheme, body: bytes, secret: bytes) -> None:
    """Who does not have the secret cannot sign."""
    theirs = generate_other(scheme, secret)
    assume(hmac_key(scheme, theirs) != hmac_key(scheme, SECRETS[scheme.name]))

    assert not is_accepted(scheme, body, sign(scheme, body, theirs).headers)


def generate_other(scheme: Scheme, seed: bytes) -> str:
    """Return a secret in the scheme's format."""
    text = hashlib.sha256(seed).hexdigest()
    return f"whsec_{text}" if scheme.secret_formats[0] == "whsec" else text


def hmac_key(scheme: Scheme, secret: str) -> bytes:
    """Return the key block that HMAC makes of a secret (RFC 2104 section 2)."""
    key = secret.encode()
    if scheme.secret_formats[0] == "whsec":
        key = b64decode(secret.removeprefix("whsec_"))
    if scheme.secret_formats[0] == "hex":
        key = bytes.fromhex(secret)
    if len(key) > hashlib.new(scheme.digest).block_size:
        key = hashlib.new(scheme.digest, key).digest()
    return key.rstrip(b"\0")


# What a header that decides may be turned into on its way.
any_text = st.text(max_size=60) | st.text(st.characters(max_codepoint=0x7F), max_size=60)
junk = any_text | st.binary(max_size=60) | st.none() | st.sampled_from(["", " ", ",", "=", "\x00"])
edits: st.SearchStrategy[Callable[[str], Any]] = st.one_of(
    st.sampled_from(
        [
            str.lower,
            str.upper,
            str.swapcase,
            str.title,
            lambda text: f" {text}",
            lambda text: f"{text} ",
            lambda text: f"{text}\n",
            lambda text: f"+{text}",
            lambda text: f"0{text}",
            lambda text: f"{text}.0",
            lambda text: f"{text}=",
            lambda text: text.rstrip("="),
            lambda text: text[:-1],
            lambda text: text[1:],
            lambda text: f"{text},{text}",
            lambda text: f"{text}, {text}",
            lambda text: f"{text} {text}",
            lambda text: text.translate(str.maketrans("+/", "-_")),
            lambda text: text.translate(str.maketrans("0123456789", "０１２３４５６７８９")),
            lambda text: text.encode(),
            lambda text: [text, text],
        ]
    ),
    junk.map(lambda value: lambda _text: value),
    any_text.map(lambda inserted: lambda text: inserted + text),
    any_text.map(lambda inserted: lambda text: text + inserted),
    st.tuples(any_text, st.integers(0, 60)).map(
        lambda cut: lambda text: text[: cut[1]] + cut[0] + text[cut[1] :]
    ),
)


@each_scheme(
    body=bodies,
    other=st.none() | bodies,
    stranger=st.booleans(),
    moment=st.sampled_from([NOW, NOW - 300, NOW + 301, NOW - 10_000]),
    data=st.data(),
)
def test_half_valid_requests(
    scheme: Scheme,
    body: bytes,
    other: bytes | None,
    stranger: bool,  # noqa: FBT001
    moment: int,
    data: st.DataObject,
) -> None:
    """Whatever is done to a signed request: a VerificationError, or exactly what was signed."""
    secret = (OTHERS if stranger else SECRETS)[scheme.name]
    timed = {"timestamp": moment} if scheme.signs_timestamp else {}
    signed = sign(scheme, body, secret, **timed)
    headers: dict[Any, Any] = dict(signed.headers)
    for name in [each for each in scheme.header_names if each in headers]:
        for edit in data.draw(st.lists(edits, max_size=2)):
            if isinstance(headers[name], str):
                headers[name] = edit(headers[name])
    presented: Any = headers
    if data.draw(st.booleans()):
        presented = [*headers.items(), *data.draw(st.lists(st.tuples(st.text(), any_text)))]
    sent = body if other is None else other

    try:
        delivery = verify(scheme, sent, presented)
    except VerificationError as error:
        event(str(error.reason))
        return

    event("accepted")
    assert not stranger
    assert sent == body or not scheme.signs_body
    assert delivery.body == sent
    assert delivery.timestamp == timed.get("timestamp")
    assert delivery.id == signed.headers.get(scheme.id_header or "")


@each_scheme(
    body=bodies,
    headers=st.dictionaries(any_text, junk) | st.lists(st.tuples(any_text, any_text)),
    data=st.data(),
)
def test_garbage(scheme: Scheme, body: bytes, headers: Any, data: st.DataObject) -> None:
    """Nothing that was not signed is accepted, and nothing but VerificationError is raised."""
    names = data.draw(st.lists(st.sampled_from(scheme.header_names)))
    made_up = [(name, data.draw(junk)) for name in names]
    if isinstance(headers, dict):
        headers |= dict(made_up)
    else:
        headers += made_up

    assert not is_accepted(scheme, body, headers)


BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


@given(body=bodies)
def test_unused_bits_of_base64(body: bytes) -> None:
    """Of the four last letters that decode to the same bytes, one verifies."""
    headers = sign(providers.FRAPPE, body).headers
    ((name, text),) = headers.items()
    alike = [
        text[:-2] + letter + "="
        for letter in BASE64
        if b64decode(text[:-2] + letter + "=") == b64decode(text)
    ]

    assert len(alike) == 4
    assert [t for t in alike if is_accepted(providers.FRAPPE, body, {name: t})] == [text]
