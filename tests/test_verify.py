"""Verifying: what is accepted, and why the rest is not."""

from __future__ import annotations

import base64
import hmac
import logging
import math
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from frappe_hooksig import (
    BodyTooLarge,
    ConfigurationError,
    Delivery,
    MalformedPayload,
    MultiVerifier,
    Reason,
    Scheme,
    Secret,
    Signer,
    TimestampOutOfTolerance,
    VerificationError,
    Verifier,
    providers,
    sign_payload,
    verify_payload,
)
from frappe_hooksig._keys import make_keys
from frappe_hooksig.verify import MAX_BODY
from tests.senders import WHERE, secret_of

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
OLD = "8Kx2Wm5Rt9Yb3Nc6Vf1Zq4Hs"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_700_000_000
BODY = b'{"order": "SO-00001"}'
SIGNATURE = "X-Frappe-Webhook-Signature"


def reason_of(verifier: Verifier, headers: Any, body: bytes = BODY) -> Reason:
    """Return why a request is refused."""
    with pytest.raises(VerificationError) as caught:
        verifier.verify(body, headers)
    return caught.value.reason


def at(now: float, name: str = "stripe", **options: Any) -> Verifier:
    """Return a verifier whose clock stands still."""
    return Verifier(SECRET, scheme=providers.get(name), clock=lambda: now, **options)


def test_accepts() -> None:
    """What was signed is handed over."""
    signed = sign_payload(BODY, SECRET)

    delivery = verify_payload(signed.body, signed.headers, SECRET)

    assert delivery.body == BODY
    assert delivery.json() == {"order": "SO-00001"}
    assert delivery.scheme is providers.FRAPPE
    assert delivery.secret_id is None
    assert (delivery.id, delivery.timestamp) == (None, None)


@pytest.mark.parametrize(
    "body",
    ["{}", {}, None, [123, 125]],
    ids=lambda body: type(body).__name__,
)
def test_body_must_be_bytes(body: Any) -> None:
    """Anything that has been through a parser is the caller's mistake, and the message says so."""
    headers = sign_payload(b"{}", SECRET).headers
    verifier = Verifier(SECRET)
    for verify in (
        lambda: verifier.verify(body, headers),
        lambda: verify_payload(body, headers, SECRET),
        lambda: verifier.begin(headers).verify(body),
        lambda: verifier.begin(headers).update(body),
    ):
        with pytest.raises(TypeError, match="not bytes: pass the raw body") as caught:
            verify()
        assert "request.get_data()" in str(caught.value)


@pytest.mark.parametrize("kind", [bytearray, memoryview, lambda body: memoryview(bytearray(body))])
@pytest.mark.parametrize("secrets", [SECRET, [OLD, SECRET]], ids=["one", "two"])
def test_other_buffers(kind: Any, secrets: Any) -> None:
    """A bytearray or a memoryview has raw bytes too. The delivery has bytes."""
    headers = sign_payload(BODY, SECRET).headers
    verifier = Verifier(secrets)
    gitlab = Verifier("glpat of " + SECRET[::-1], scheme=providers.GITLAB)
    both = MultiVerifier(verifier, gitlab)
    ways: tuple[Callable[[Any], Delivery], ...] = (
        lambda body: verifier.verify(body, headers),
        lambda body: both.verify(body, [*headers.items()]),
        lambda body: verify_payload(body, headers, secrets),
        lambda body: verifier.begin(headers).verify(body),
    )
    for verify in ways:
        delivery = verify(kind(BODY))
        assert type(delivery.body) is bytes
        assert delivery.body == BODY
    with pytest.raises(VerificationError) as caught:
        verifier.verify(kind(BODY + b" "), headers)
    assert caught.value.reason is Reason.SIGNATURE_MISMATCH
    with pytest.raises(BodyTooLarge):
        Verifier(secrets, max_body=1).verify(kind(BODY), headers)


def test_a_buffer_may_change_later() -> None:
    """What was verified stays as it was."""
    buffer = bytearray(BODY)
    delivery = Verifier(SECRET).verify(buffer, sign_payload(buffer, SECRET).headers)
    buffer[:] = bytes(len(BODY))

    assert delivery.body == BODY


def test_a_buffer_of_integers() -> None:
    """A memoryview of larger elements, or with gaps, is its bytes."""
    buffer = memoryview(bytearray(b"abcdefgh"))
    for view, raw in ((buffer.cast("I"), b"abcdefgh"), (buffer[::2], b"aceg")):
        signed = sign_payload(raw, SECRET)

        assert sign_payload(view, SECRET).headers == signed.headers
        assert Verifier(SECRET, max_body=len(raw)).verify(view, signed.headers).body == raw


def mac(secret: str = SECRET, content: bytes = BODY) -> bytes:
    """Return the right MAC, from the standard library."""
    return hmac.digest(secret.encode(), content, "sha256")


RIGHT = base64.b64encode(mac()).decode()


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, Reason.MISSING_HEADER),
        ({SIGNATURE: None}, Reason.MISSING_HEADER),
        ({SIGNATURE + "-256": RIGHT}, Reason.MISSING_HEADER),
        ({SIGNATURE: ""}, Reason.MALFORMED_HEADER),
        ({SIGNATURE: "é" + RIGHT}, Reason.MALFORMED_HEADER),
        ({SIGNATURE: RIGHT + "\n"}, Reason.MALFORMED_HEADER),
        ({SIGNATURE: "A" * 8193}, Reason.MALFORMED_HEADER),
        ({SIGNATURE: f"{RIGHT},{RIGHT}"}, Reason.DUPLICATE_HEADER),
        ({SIGNATURE: f"{RIGHT}, {RIGHT}"}, Reason.DUPLICATE_HEADER),
        ({SIGNATURE: f",{RIGHT}"}, Reason.DUPLICATE_HEADER),
        ([(SIGNATURE, RIGHT), (SIGNATURE.lower(), "x")], Reason.DUPLICATE_HEADER),
        ({SIGNATURE: mac().hex()}, Reason.WRONG_ENCODING),
        ({SIGNATURE: mac().hex().upper()}, Reason.WRONG_ENCODING),
        ({SIGNATURE: RIGHT.rstrip("=")}, Reason.WRONG_ENCODING),
        ({SIGNATURE: mac(OLD).hex()}, Reason.SIGNATURE_MISMATCH),
        ({SIGNATURE: base64.b64encode(mac(OLD)).decode()}, Reason.SIGNATURE_MISMATCH),
        ({SIGNATURE: " " + RIGHT}, Reason.MALFORMED_HEADER),
        ({SIGNATURE: RIGHT + " "}, Reason.MALFORMED_HEADER),
        ({SIGNATURE: RIGHT + "AAAA"}, Reason.MALFORMED_HEADER),
        ({SIGNATURE: RIGHT.swapcase()}, Reason.SIGNATURE_MISMATCH),
        ({SIGNATURE: "sha256=" + RIGHT}, Reason.MALFORMED_HEADER),
        ({SIGNATURE: "forged"}, Reason.MALFORMED_HEADER),
        ({SIGNATURE: SECRET}, Reason.MALFORMED_HEADER),
    ],
    ids=lambda value: ascii(value)[:70],
)
def test_frappe_refusals(headers: Any, reason: Reason) -> None:
    """Each thing that can be wrong with Frappe's header has its reason."""
    assert reason_of(Verifier(SECRET), headers) is reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sha256=" + base64.b64encode(mac()).decode(), Reason.WRONG_ENCODING),
        ("sha256=" + base64.urlsafe_b64encode(mac()).decode().rstrip("="), Reason.WRONG_ENCODING),
        (mac().hex(), Reason.MALFORMED_HEADER),
        ("SHA256=" + mac().hex(), Reason.MALFORMED_HEADER),
        ("sha1=" + mac().hex(), Reason.MALFORMED_HEADER),
        ("sha256=", Reason.MALFORMED_HEADER),
        ("sha256= " + mac().hex(), Reason.MALFORMED_HEADER),
        (f"sha256={mac().hex()},sha256={mac().hex()}", Reason.DUPLICATE_HEADER),
        ("sha256=" + mac().hex()[:-1], Reason.MALFORMED_HEADER),
        ("sha256=" + mac().hex() + "00", Reason.MALFORMED_HEADER),
    ],
)
def test_github_refusals(text: str, reason: Reason) -> None:
    """The prefix belongs to the signature, letter for letter."""
    assert reason_of(at(NOW, "github"), {"X-Hub-Signature-256": text}) is reason


MISSPELT = [
    ("frappe", lambda mac: mac.hex()),
    ("frappe", lambda mac: mac.hex().upper()),
    ("frappe", lambda mac: base64.b64encode(mac).decode().rstrip("=")),
    ("frappe", lambda mac: base64.urlsafe_b64encode(mac).decode()),
    ("frappe", lambda mac: base64.urlsafe_b64encode(mac).decode().rstrip("=")),
    ("webhook-hex", lambda mac: base64.b64encode(mac).decode()),
    ("webhook-hex", lambda mac: base64.b64encode(mac).decode().rstrip("=")),
    ("webhook-hex", lambda mac: base64.urlsafe_b64encode(mac).decode()),
    ("webhook-hex", lambda mac: base64.urlsafe_b64encode(mac).decode().rstrip("=")),
]


@pytest.mark.parametrize(("name", "misspell"), MISSPELT)
def test_every_misspelling(name: str, misspell: Any) -> None:
    """Each usual mistake is recognised, for a MAC in which all of them differ."""
    bodies = (b"%d" % n for n in range(99))
    body = next(each for each in bodies if {*b"+/"} <= {*base64.b64encode(mac(content=each))})
    header = providers.get(name).signature_headers[0]

    text = misspell(mac(content=body))
    assert reason_of(at(NOW, name), {header: text}, body) is Reason.WRONG_ENCODING


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("circleci", "circleci-signature"),
        ("stripe", "Stripe-Signature"),
        ("slack", "X-Slack-Request-Timestamp"),
        ("standard-webhooks", "webhook-id"),
    ],
)
def test_unreadable_header(name: str, header: str) -> None:
    """A header with a character beyond ASCII is refused, and named."""
    scheme = providers.get(name)
    headers = sign_payload(BODY, secret_of(scheme), scheme=scheme).headers
    assert header in headers

    with pytest.raises(VerificationError) as caught:
        Verifier(secret_of(scheme), scheme=scheme).verify(BODY, headers | {header: "1\u00e9"})
    assert (caught.value.reason, caught.value.header) == (Reason.MALFORMED_HEADER, header)


def test_none_of_many_headers() -> None:
    """Of many headers that may have the signature, the first is the one that is missing."""
    with pytest.raises(VerificationError) as caught:
        Verifier(SECRET, scheme=providers.DOCUSIGN).verify(BODY, {})
    assert caught.value.reason is Reason.MISSING_HEADER
    assert caught.value.header == "X-DocuSign-Signature-1"


@pytest.mark.parametrize("secrets", [[SECRET], [SECRET, OLD]], ids=["one", "two"])
def test_a_mismatch_is_hashed_once(monkeypatch: pytest.MonkeyPatch, secrets: list[str]) -> None:
    """Who sends a wrong signature gets no more hashing out of it than with a right one."""
    started: list[int] = []

    def counting(start: Any, position: int) -> Any:
        def counted() -> Any:
            started.append(position)
            return start()

        return counted

    def counted_keys(*args: Any, **options: Any) -> Any:
        keys = make_keys(*args, **options)
        for position, key in enumerate(keys):
            key.start = counting(key.start, position)
        return keys

    monkeypatch.setattr("frappe_hooksig._matching.make_keys", counted_keys)
    for text in ("0" * 64, "0" * 44, mac(SECRET).hex()):
        started.clear()
        assert reason_of(Verifier(secrets), {SIGNATURE: text}) in {
            *(Reason.SIGNATURE_MISMATCH, Reason.WRONG_ENCODING),
        }
        assert started == [*range(len(secrets))]


@pytest.mark.parametrize("name", ["scheme", "tolerance", "max_body", "other"])
def test_is_immutable(name: str) -> None:
    """What was checked at start-up cannot be lifted later."""
    with pytest.raises(AttributeError):
        setattr(at(NOW), name, None)


@pytest.mark.parametrize("make", [Verifier, Signer])
@pytest.mark.parametrize("scheme", ["github", None, providers])
def test_scheme_that_is_none(make: Any, scheme: Any) -> None:
    """The name of a provider is no scheme."""
    with pytest.raises(ConfigurationError, match=r"such as providers\.GITHUB"):
        make(SECRET, scheme=scheme)


def test_upper_case_hex() -> None:
    """The one thing that may differ is the case of hex digits."""
    text = "sha256=" + mac().hex().upper()

    assert at(NOW, "github").verify(BODY, {"X-Hub-Signature-256": text}).body == BODY


TIMED = mac(content=b"1700000000." + BODY).hex()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Reason.MALFORMED_HEADER),
        ("t=1700000000", Reason.MALFORMED_HEADER),
        ("t=1700000000,v1=", Reason.MALFORMED_HEADER),
        ("t=1700000000,v0=" + TIMED, Reason.MALFORMED_HEADER),
        ("t=1700000000,V1=" + TIMED, Reason.MALFORMED_HEADER),
        (f"v1={TIMED}", Reason.MALFORMED_HEADER),
        (f"t=1700000000,t=1700000000,v1={TIMED}", Reason.MALFORMED_HEADER),
        (f"T=1700000000,v1={TIMED}", Reason.MALFORMED_HEADER),
        (f"t=,v1={TIMED}", Reason.MALFORMED_TIMESTAMP),
        (f"t= 1700000000,v1={TIMED}", Reason.MALFORMED_TIMESTAMP),
        (f"t=1700000000 ,v1={TIMED}", Reason.MALFORMED_TIMESTAMP),
        (f"t=+1700000000,v1={TIMED}", Reason.MALFORMED_TIMESTAMP),
        (f"t=01700000000,v1={TIMED}", Reason.MALFORMED_TIMESTAMP),
        (f"t=1700000000.0,v1={TIMED}", Reason.MALFORMED_TIMESTAMP),
        (f"t=1_700000000,v1={TIMED}", Reason.MALFORMED_TIMESTAMP),
        (f"t=1700000000000,v1={TIMED}", Reason.MALFORMED_TIMESTAMP),
        (f"t=1700000001,v1={TIMED}", Reason.SIGNATURE_MISMATCH),
        (f"t=1700000000;v1={TIMED}", Reason.MALFORMED_HEADER),
        (f"t=1700000000,v1={'0' * 64}", Reason.SIGNATURE_MISMATCH),
        ("t=1700000000," + ",".join([f"v1={TIMED}"] * 17), Reason.MALFORMED_HEADER),
        ("," * 8192, Reason.MALFORMED_HEADER),
    ],
    ids=lambda value: str(value)[:60],
)
def test_stripe_refusals(text: str, reason: Reason) -> None:
    """A header with several entries is read strictly: no second spelling of anything."""
    assert reason_of(at(NOW), {"Stripe-Signature": text}) is reason


@pytest.mark.parametrize(
    "text",
    [
        f"t=1700000000,v1={TIMED}",
        f"v1={TIMED},t=1700000000",
        f"t=1700000000, v1={TIMED}",
        f"t=1700000000,v1={TIMED},v1={'0' * 64}",
        f"t=1700000000,v1={'0' * 64},v1={TIMED}",
        f"t=1700000000,v0={'0' * 64},v1={TIMED},v2=x,,unknown",
        f"t=1700000000,v1=,v1={TIMED}",
        "t=1700000000," + ",".join([f"v1={'0' * 64}"] * 15 + [f"v1={TIMED}"]),
    ],
    ids=lambda value: str(value)[:60],
)
def test_stripe_accepts(text: str) -> None:
    """Every candidate is looked at, whatever stands beside it."""
    delivery = at(NOW).verify(BODY, {"Stripe-Signature": text})

    assert delivery.timestamp == NOW


def standard_webhooks(**changed: Any) -> dict[str, Any]:
    """Return the headers of the specification's example, some of them changed."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    return headers | {f"webhook-{name}": value for name, value in changed.items()}


SW = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("changed", "reason", "header"),
    [
        ({"id": None}, Reason.MISSING_HEADER, "id"),
        ({"timestamp": None}, Reason.MISSING_HEADER, "timestamp"),
        ({"signature": None}, Reason.MISSING_HEADER, "signature"),
        ({"id": ""}, Reason.MALFORMED_HEADER, "id"),
        ({"id": "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330"}, Reason.MALFORMED_HEADER, "id"),
        ({"id": "msg_p5jXN8AQM9LWM0D4loKWxJek "}, Reason.MALFORMED_HEADER, "id"),
        ({"id": "msg_1,msg_2"}, Reason.DUPLICATE_HEADER, "id"),
        ({"id": "msg_other"}, Reason.SIGNATURE_MISMATCH, "signature"),
        ({"timestamp": "1614265330,1614265330"}, Reason.DUPLICATE_HEADER, "timestamp"),
        ({"timestamp": "1614265330.7"}, Reason.MALFORMED_TIMESTAMP, "timestamp"),
        ({"timestamp": "1614265331"}, Reason.SIGNATURE_MISMATCH, "signature"),
        ({"signature": SW + "," + SW}, Reason.DUPLICATE_HEADER, "signature"),
        ({"signature": SW + ", " + SW}, Reason.DUPLICATE_HEADER, "signature"),
        ({"signature": "v2" + SW[2:]}, Reason.MALFORMED_HEADER, "signature"),
        ({"signature": SW[3:]}, Reason.MALFORMED_HEADER, "signature"),
        ({"signature": SW[:-1]}, Reason.WRONG_ENCODING, "signature"),
        ({"signature": SW.replace("/", "_")}, Reason.SIGNATURE_MISMATCH, "signature"),
        ({"signature": SW[:-2] + "F="}, Reason.SIGNATURE_MISMATCH, "signature"),
        ({"signature": " ".join(["v1,AAAA"] * 16 + [SW])}, Reason.MALFORMED_HEADER, "signature"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_standard_webhooks_refusals(changed: dict[str, Any], reason: Reason, header: str) -> None:
    """Each of three headers is needed, once, and strictly spelled; the error names it."""
    verifier = Verifier(WHSEC, scheme=providers.STANDARD_WEBHOOKS, clock=lambda: 1_614_265_330)

    with pytest.raises(VerificationError) as caught:
        verifier.verify(b'{"test": 2432232314}', standard_webhooks(**changed))
    assert caught.value.reason is reason
    assert caught.value.header == f"webhook-{header}"


def test_standard_webhooks_delivery() -> None:
    """Id and time are handed over because they were signed."""
    verifier = Verifier(WHSEC, scheme=providers.STANDARD_WEBHOOKS, clock=lambda: 1_614_265_330)
    delivery = verifier.verify(b'{"test": 2432232314}', standard_webhooks())

    assert delivery.id == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    assert delivery.timestamp == 1_614_265_330


@pytest.mark.parametrize("name", ["stripe", "slack", "webhook-timestamped"])
@pytest.mark.parametrize(
    ("age", "reason"),
    [
        (-301, Reason.TIMESTAMP_IN_FUTURE),
        (-300.001, Reason.TIMESTAMP_IN_FUTURE),
        (-300, None),
        (0, None),
        (300, None),
        (300.001, Reason.TIMESTAMP_TOO_OLD),
        (3_153_600_000, Reason.TIMESTAMP_TOO_OLD),
        (-3_153_600_000, Reason.TIMESTAMP_IN_FUTURE),
        (math.nan, Reason.TIMESTAMP_IN_FUTURE),
    ],
)
def test_tolerance(name: str, age: float, reason: Reason | None) -> None:
    """The time may be 300 s away on either side, and not a moment more."""
    scheme = providers.get(name)
    signed = sign_payload(BODY, SECRET, scheme=scheme, timestamp=NOW)
    verifier = at(NOW + age, name)
    outcome: Reason | None = None
    try:
        verifier.verify(BODY, signed.headers)
    except TimestampOutOfTolerance as error:
        outcome = error.reason

    assert outcome is reason


def test_own_tolerance() -> None:
    """The tolerance is the receiver's to choose, and the error says by how much it failed."""
    signed = sign_payload(BODY, SECRET, scheme=providers.STRIPE, timestamp=NOW)
    verifier = at(NOW + 6, tolerance=5.5)

    with pytest.raises(TimestampOutOfTolerance, match=r"is 6 s ago, tolerance 5\.5 s") as caught:
        verifier.verify(BODY, signed.headers)
    assert (caught.value.age, caught.value.tolerance) == (6, 5.5)
    assert verifier.tolerance == 5.5


def test_signature_comes_before_the_clock() -> None:
    """An old forgery is a forgery: nobody learns about the clock without the secret."""
    signed = sign_payload(BODY, OLD, scheme=providers.STRIPE, timestamp=1_000_000_000)

    assert reason_of(at(NOW), signed.headers) is Reason.SIGNATURE_MISMATCH


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("frappe", {"tolerance": 300}, "signs no timestamp"),
        ("stripe", {"tolerance": 0}, "positive number of seconds"),
        ("stripe", {"tolerance": -1}, "positive number of seconds"),
        ("stripe", {"tolerance": math.inf}, "positive number of seconds"),
        ("stripe", {"tolerance": math.nan}, "positive number of seconds"),
        ("stripe", {"tolerance": timedelta(minutes=5)}, "positive number of seconds"),
        ("frappe", {"max_body": -1}, "max_body"),
        ("frappe", {"max_body": None}, "max_body"),
        ("frappe", {"max_body": math.inf}, "max_body"),
    ],
)
def test_options_that_make_no_sense(name: str, options: dict[str, Any], message: str) -> None:
    """A limit that would protect nothing is refused, not ignored."""
    with pytest.raises(ConfigurationError, match=message):
        Verifier(SECRET, scheme=providers.get(name), **options)


class TestTimeInTheBody:
    """Where the scheme signs no time, and a function finds one in the body."""

    @staticmethod
    def verify(found: Any, now: float = NOW, **options: Any) -> Delivery:
        """Verify a body whose time is what is given, as the function finds it."""

        def timestamp_from(_delivery: Delivery) -> Any:
            if isinstance(found, BaseException):
                raise found
            return found

        signed = sign_payload(BODY, SECRET)
        verifier = Verifier(SECRET, timestamp_from=timestamp_from, clock=lambda: now, **options)
        return verifier.verify(BODY, signed.headers)

    @pytest.mark.parametrize(
        "found",
        [
            NOW,
            float(NOW),
            datetime.fromtimestamp(NOW, timezone.utc),
            datetime.fromtimestamp(NOW, timezone(timedelta(hours=5, minutes=30))),
            datetime.fromtimestamp(NOW, ZoneInfo("America/New_York")),
        ],
        ids=str,
    )
    def test_becomes_the_deliverys(self, found: Any) -> None:
        """Unix seconds or an aware datetime; all else of the delivery is as without."""
        delivery = self.verify(found)
        signed = sign_payload(BODY, SECRET)
        without = verify_payload(BODY, signed.headers, SECRET)

        assert delivery.timestamp == NOW
        assert type(delivery.timestamp) is float
        assert without.timestamp is None
        for field in ("body", "scheme", "secret_id", "id", "dedup_key"):
            assert getattr(delivery, field) == getattr(without, field)

    def test_function_gets_the_verified_delivery(self) -> None:
        """It sees what a handler sees, and never a forgery."""
        seen: list[Delivery] = []

        def timestamp_from(delivery: Delivery) -> float:
            seen.append(delivery)
            return time.time()

        verifier = Verifier([SECRET, Secret(OLD, id="old")], timestamp_from=timestamp_from)
        forged = sign_payload(BODY, "Zx9Cv8Bn7Ml6Kj5Hg4Fd3Sa2")
        assert reason_of(verifier, forged.headers) is Reason.SIGNATURE_MISMATCH
        assert seen == []
        verifier.verify(BODY, sign_payload(BODY, OLD).headers)

        assert [(each.json(), each.secret_id) for each in seen] == [({"order": "SO-00001"}, "old")]

    @pytest.mark.parametrize(
        ("options", "tolerance"), [({}, 36 * 3600), ({"tolerance": 300}, 300)], ids=["36-h", "own"]
    )
    def test_tolerance(self, options: dict[str, Any], tolerance: int) -> None:
        """36 hours on either side, or one's own, and not a moment more."""
        for age in (-tolerance, 0, tolerance):
            assert self.verify(NOW, NOW + age, **options).timestamp == NOW
        for away, reason in (
            (tolerance + 0.1, Reason.TIMESTAMP_TOO_OLD),
            (-tolerance - 0.1, Reason.TIMESTAMP_IN_FUTURE),
            (math.nan, Reason.TIMESTAMP_IN_FUTURE),
        ):
            with pytest.raises(
                TimestampOutOfTolerance, match="the timestamp in the body"
            ) as caught:
                self.verify(NOW, NOW + away, **options)
            assert (caught.value.reason, caught.value.header) == (reason, None)

    @pytest.mark.parametrize(
        "found",
        [
            *(None, True, False, math.nan, math.inf, -math.inf, 10**400, str(NOW), b"", [], (NOW,)),
            *(Decimal(NOW), timedelta(0), Ellipsis),
            datetime.fromtimestamp(NOW),  # noqa: DTZ006  # naive is the point
            *(LookupError("x"), KeyError("modified"), IndexError(), TypeError(), ValueError("x")),
            *(OverflowError(), MalformedPayload("no JSON"), UnicodeDecodeError("x", b"", 0, 0, "")),
        ],
        ids=lambda found: ascii(found)[:30],
    )
    def test_no_time(self, found: Any) -> None:
        """What is no time, and what a body without it raises, is the sender's mistake."""
        with pytest.raises(VerificationError) as caught:
            self.verify(found)

        error = caught.value
        assert (error.reason, error.header) == (Reason.MALFORMED_TIMESTAMP, None)
        assert str(error) == (
            "the timestamp in the body is not there, or timestamp_from= cannot read it"
        )
        assert error.__context__ is None  # which might hold what the body says

    @pytest.mark.parametrize(
        "error",
        [
            *(AttributeError("x"), RuntimeError("x"), ConfigurationError("x"), KeyboardInterrupt()),
            VerificationError(Reason.MALFORMED_TIMESTAMP, detail="written so"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_other_errors_are_the_functions(self, error: BaseException) -> None:
        """What does not come from a body is raised as it is."""
        with pytest.raises(type(error)) as caught:
            self.verify(error)

        assert caught.value is error

    def test_clocks_that_were_put_back(self) -> None:
        """Of the two moments that such a datetime can be, the nearer one counts."""
        first = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
        for found in (first, first.replace(fold=1)):
            for now in (1_792_888_200, 1_792_888_200 + 3600):
                assert self.verify(found, now + 1, tolerance=5).timestamp == now

    def test_one_off(self) -> None:
        """verify_payload() takes it too."""
        signed = sign_payload({"modified": 1}, SECRET)

        with pytest.raises(TimestampOutOfTolerance):
            verify_payload(
                *(signed.body, signed.headers, SECRET),
                timestamp_from=lambda delivery: delivery.json()["modified"],
            )

    def test_needs_the_whole_body(self) -> None:
        """Headers first and then the whole body is fine; of chunks nothing is kept to look at."""
        headers = sign_payload(BODY, SECRET).headers
        verifier = Verifier(SECRET, timestamp_from=lambda _delivery: NOW, clock=lambda: NOW)

        assert verifier.begin(headers).verify(BODY).timestamp == NOW
        with pytest.raises(ConfigurationError, match=r"needs the whole body: call verify\(\)"):
            verifier.begin(headers).update(BODY)
        verification = verifier.begin(headers)
        with pytest.raises(ConfigurationError, match=r"needs the whole body: call verify\(\)"):
            verification.finish()
        with pytest.raises(RuntimeError, match="is over"):
            verification.verify(BODY)

    def test_wrong_set_up(self) -> None:
        """What would protect nothing is found when the program starts."""

        async def waits(_delivery: Delivery) -> float:
            return 0

        cases: list[tuple[str, Any, Any, str]] = [
            ("stripe", lambda _delivery: NOW, None, "'stripe' signs a timestamp"),
            ("frappe", "modified", None, "a function that takes the delivery"),
            ("frappe", waits, None, "and not async"),
            ("frappe", lambda _delivery: NOW, 0, "positive number of seconds"),
        ]
        for name, timestamp_from, tolerance, message in cases:
            with pytest.raises(ConfigurationError, match=message):
                Verifier(
                    SECRET,
                    scheme=providers.get(name),
                    timestamp_from=timestamp_from,
                    tolerance=tolerance,
                )


def test_max_body() -> None:
    """A body of exactly the limit is accepted, one byte more is not."""
    signed = sign_payload(b"x" * 10, SECRET)

    assert Verifier(SECRET, max_body=10).verify(signed.body, signed.headers)
    with pytest.raises(BodyTooLarge, match="larger than 9 bytes") as caught:
        Verifier(SECRET, max_body=9).verify(signed.body, signed.headers)
    assert caught.value.reason is Reason.BODY_TOO_LARGE
    assert caught.value.limit == 9
    assert Verifier(SECRET).max_body == MAX_BODY == 26_214_400


def test_headers_come_before_the_body() -> None:
    """An unsigned request is refused for that, however large it is."""
    assert reason_of(Verifier(SECRET, max_body=0), {}) is Reason.MISSING_HEADER


def test_rotation() -> None:
    """Each of several secrets verifies, and the delivery tells which."""
    verifier = Verifier([Secret(SECRET, id="2026"), OLD])
    by_new, by_old = sign_payload(BODY, SECRET), sign_payload(BODY, OLD)

    assert verifier.verify(BODY, by_new.headers).secret_id == "2026"
    assert verifier.verify(BODY, by_old.headers).secret_id is None
    retired = sign_payload(BODY, SECRET + "!")
    assert reason_of(verifier, retired.headers) is Reason.SIGNATURE_MISMATCH


def test_rotation_on_both_sides() -> None:
    """If both signatures of a rotating sender are right, the newest secret is the one named."""
    signed = sign_payload(BODY, [OLD, SECRET], scheme=providers.STRIPE, timestamp=NOW)
    secrets = [Secret(SECRET, id="new"), Secret(OLD, id="old")]
    verifier = Verifier(secrets, scheme=providers.STRIPE, clock=lambda: NOW)

    assert verifier.verify(BODY, signed.headers).secret_id == "new"


def test_wrong_encoding_with_the_old_secret() -> None:
    """A misspelt signature is recognised under each secret."""
    assert reason_of(Verifier([SECRET, OLD]), {SIGNATURE: mac(OLD).hex()}) is Reason.WRONG_ENCODING


@pytest.mark.parametrize(
    ("module", "secrets"), [("_compiled", [SECRET]), ("_wire", [SECRET, OLD])], ids=["one", "two"]
)
def test_every_secret_and_candidate_is_compared(
    monkeypatch: pytest.MonkeyPatch, module: str, secrets: list[str]
) -> None:
    """The work does not tell which secret or candidate matched, or whether one did."""
    compared: list[bytes] = []

    def compare(expected: bytes, presented: bytes) -> bool:
        compared.append(presented)
        return hmac.compare_digest(expected, presented)

    monkeypatch.setattr(f"frappe_hooksig.{module}.compare_digest", compare)
    verifier = Verifier(secrets, scheme=providers.STRIPE, clock=lambda: NOW)
    zero = "0" * 64
    for text in (f"v1={TIMED},v1={zero}", f"v1={zero},v1={TIMED}"):
        compared.clear()
        verifier.verify(BODY, {"Stripe-Signature": f"t=1700000000,{text}"})
        assert len(compared) == 2 * len(secrets)


class TestRegisteredUrls:
    """Schemes that sign the URL, and a verifier that knows which there are."""

    ONE = "https://example.com/hook?a=1"
    OTHER = "https://example.com/hook?a=2"

    def signed(self, url: str) -> Any:
        return sign_payload(BODY, SECRET, scheme=providers.SQUARE, url=url).headers

    def test_one(self) -> None:
        """It need not be said where a request was sent to, and nothing else may be."""
        verifier = Verifier(SECRET, scheme=providers.SQUARE, url=self.ONE)

        assert verifier.urls == (self.ONE,)
        assert verifier.verify(BODY, self.signed(self.ONE))
        assert verifier.verify(BODY, self.signed(self.ONE), url=self.ONE)
        assert verifier.begin(self.signed(self.ONE)).verify(BODY)
        assert reason_of(verifier, self.signed(self.OTHER)) is Reason.SIGNATURE_MISMATCH
        with pytest.raises(VerificationError, match="URL is not one of the registered"):
            verifier.verify(BODY, self.signed(self.OTHER), url=self.OTHER)

    def test_several(self) -> None:
        """It has to be signed for the one that it was sent to."""
        verifier = Verifier(SECRET, scheme=providers.SQUARE, url=[self.ONE, self.OTHER])

        assert verifier.verify(BODY, self.signed(self.OTHER), url=self.OTHER)
        with pytest.raises(VerificationError) as caught:
            verifier.verify(BODY, self.signed(self.OTHER), url=self.ONE)
        assert caught.value.reason is Reason.SIGNATURE_MISMATCH
        with pytest.raises(ConfigurationError, match="pass url=, the URL that the request"):
            verifier.verify(BODY, self.signed(self.ONE))

    @pytest.mark.parametrize(
        ("signed", "longer", "shorter", "where"),
        [
            ("{url}{body}", "https://r.example/hook/2", "https://r.example/hook", "begins with"),
            ("{url}{body}", "https://r.example/hook?a=1", "https://r.example/hook", "begins with"),
            ("{url}.{body}", "https://r.example/a.b", "https://r.example/a", "begins with"),
            ("{url}/{body}", "https://r.example/hook/2", "https://r.example/hook", "begins with"),
            ("v1{url}aa{body}", "https://r.example/aa", "https://r.example/a", "begins with"),
            (
                "{method}{url}{body}{timestamp}",
                *("https://r.example/hook/2", "https://r.example/hook", "begins with"),
            ),
            (
                "{url}.{timestamp}.{body}",
                *("https://r.example/a.1700000000.", "https://r.example/a", "begins with"),
            ),
            (
                "{body}{url}",
                *("https://r.example/?to=https://s.example/", "https://s.example/", "ends with"),
            ),
            (
                "{body}:{url}",
                *("https://r.example/?to:https://s.example/", "https://s.example/", "ends with"),
            ),
            ("{body}aa{url}", "https://r.example/aahttp://b", "http://b", "ends with"),
        ],
    )
    def test_urls_that_continue_one_another(
        self, signed: str, longer: str, shorter: str, where: str
    ) -> None:
        """A signature for one would verify another body at the other: refused at construction."""
        timed = "{timestamp}" in signed
        scheme = Scheme(
            name="made-up",
            signature_header="X-Signed",
            timestamp_header="X-Time" if timed else None,
            signed=signed,
            encoding="hex",
        )
        for urls in ([longer, shorter], [shorter, "https://other.example/", longer]):
            with pytest.raises(ConfigurationError) as caught:
                Verifier(SECRET, scheme=scheme, url=urls)
            assert f"url= has {longer!r}, which {where} {shorter!r}" in str(caught.value)

    def test_seam_that_such_urls_would_leave_open(self) -> None:
        """Without registered URLs it shows what they are refused for: bytes move into the body."""
        verifier, hook = Verifier(SECRET, scheme=providers.SQUARE), "https://r.example/hook"
        headers = sign_payload(b"{}", SECRET, scheme=providers.SQUARE, url=f"{hook}/2").headers

        assert verifier.verify(b"/2{}", headers, url=hook).body == b"/2{}"
        with pytest.raises(ConfigurationError, match="begins with"):
            Verifier(SECRET, scheme=providers.SQUARE, url=[hook, f"{hook}/2"])

    @pytest.mark.parametrize(
        ("signed", "urls"),
        [
            ("{url}{body}", ["https://r.example/hook/1", "https://r.example/hook/2"]),
            ("{url}{body}", ["https://r.example/hook", "https://r.example/hook"]),
            ("{url}{body}", ["https://a.example/hook", "https://b.a.example/hook"]),
            ("{url}\n{body}", ["https://r.example/hook", "https://r.example/hook/2"]),
            ("{url}.{body}", ["https://r.example/hook", "https://r.example/hook/2"]),
            ("{body}{url}", ["https://r.example/hook", "https://r.example/hook/2"]),
            ("{body}\n{url}", ["http://b", "http://a?http://b"]),
        ],
    )
    def test_urls_with_a_clear_seam(self, signed: str, urls: list[str]) -> None:
        """URLs that cannot take bytes from a body may be registered together."""
        scheme = Scheme(name="made-up", signature_header="X-Signed", signed=signed, encoding="hex")
        verifier = Verifier(SECRET, scheme=scheme, url=urls)

        for url in urls:
            headers = sign_payload(BODY, SECRET, scheme=scheme, url=url).headers
            assert verifier.verify(BODY, headers, url=url)

    @pytest.mark.parametrize(
        "url",
        ["", "/hook", "example.com/hook", "https://", "https://a b", "https://\u00e9", [], [5]],
    )
    def test_none(self, url: Any) -> None:
        """What is no URL would match nothing."""
        with pytest.raises(ConfigurationError, match="url= must be the whole URL"):
            Verifier(SECRET, scheme=providers.SQUARE, url=url)

    def test_no_use(self) -> None:
        """A scheme that does not sign it would not notice another one."""
        with pytest.raises(ConfigurationError, match="url= has no use: scheme 'frappe' does not"):
            Verifier(SECRET, url=self.ONE)


def test_method_and_url_are_not_looked_at() -> None:
    """An adapter may always pass them; a scheme that does not sign them does not care."""
    signed = sign_payload(BODY, SECRET, method="POST", url="https://example.com")

    assert Verifier(SECRET).verify(BODY, signed.headers, method="PUT", url="")


def test_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The core is silent."""
    with caplog.at_level(logging.DEBUG):
        reason_of(Verifier(SECRET), {SIGNATURE: "x"})
    assert not caplog.records


def test_repr() -> None:
    """A verifier shows its settings and no secret."""
    shown = repr(Verifier([SECRET, OLD], scheme=providers.STRIPE))

    assert shown == "Verifier(<2 secrets>, scheme='stripe', tolerance=300, max_body=26214400)"


class TestInPieces:
    """A body that comes in chunks."""

    @pytest.mark.parametrize("name", providers.names())
    @pytest.mark.parametrize("size", [1, 7, 64, 1000])
    def test_same_as_whole(self, name: str, size: int) -> None:
        """However it is cut, it is verified as the whole body is."""
        scheme = providers.get(name)
        secret = secret_of(scheme)
        characters = "".join(map(chr, range(1, 256))).encode()
        body = 3 * (bytes(range(256)) if scheme.algorithm == "hmac" else characters)
        signed = Signer(secret, scheme=scheme, clock=lambda: NOW).sign(body, **WHERE)
        verifier = Verifier(secret, scheme=scheme, clock=lambda: NOW)
        delivery = verifier.verify(body, signed.headers, **WHERE)

        verification = verifier.begin(signed.headers, **WHERE)
        for start in range(0, len(body), size):
            verification.update(body[start : start + size])
        request = verification.finish()

        assert not hasattr(request, "body")
        for field in ("scheme", "secret_id", "id", "timestamp"):
            assert getattr(request, field) == getattr(delivery, field)

    def test_whole_body_later(self) -> None:
        """Headers first, then the whole body: what adapters do."""
        signed = sign_payload(BODY, SECRET)

        delivery = Verifier(SECRET).begin(signed.headers).verify(BODY)

        assert (delivery.body, delivery.secret_id) == (BODY, None)

    def test_empty_body(self) -> None:
        """A body without chunks is an empty one."""
        signed = sign_payload(b"", SECRET)

        assert Verifier(SECRET).begin(signed.headers).finish().secret_id is None

    @pytest.mark.parametrize(
        ("headers", "reason"),
        [({}, Reason.MISSING_HEADER), ({SIGNATURE: "\x7f"}, Reason.MALFORMED_HEADER)],
    )
    def test_bad_headers(self, headers: Any, reason: Reason) -> None:
        """Nobody has to read a body to refuse the headers."""
        with pytest.raises(VerificationError) as caught:
            Verifier(SECRET).begin(headers)

        assert caught.value.reason is reason

    def test_changed_chunk(self) -> None:
        """One other byte, one missing chunk, and it is a mismatch."""
        verifier = Verifier(SECRET)
        signed = sign_payload(b"abcd", SECRET)
        for chunks in ([b"ab", b"cD"], [b"ab"], [b"ab", b"cd", b"e"], [b"cd", b"ab"]):
            verification = verifier.begin(signed.headers)
            for chunk in chunks:
                verification.update(chunk)
            with pytest.raises(VerificationError) as caught:
                verification.finish()
            assert caught.value.reason is Reason.SIGNATURE_MISMATCH

    def test_the_diagnosis_is_the_same(self) -> None:
        """A misspelt signature is told from a wrong one here too."""
        verification = Verifier([OLD, SECRET]).begin({SIGNATURE: mac().hex()})
        verification.update(BODY[:5])
        verification.update(BODY[5:])

        with pytest.raises(VerificationError) as caught:
            verification.finish()
        assert caught.value.reason is Reason.WRONG_ENCODING

    def test_old_secret(self) -> None:
        """The one that matched is known."""
        verification = Verifier([OLD, Secret(SECRET, id="b")]).begin({SIGNATURE: RIGHT})
        verification.update(BODY)

        assert verification.finish().secret_id == "b"

    def test_too_large(self) -> None:
        """It is refused by the chunk that goes beyond the limit, and for good."""
        body = b"x" * 10
        headers = sign_payload(body, SECRET).headers
        enough, less = (Verifier(SECRET, max_body=limit) for limit in (10, 9))
        verification = enough.begin(headers)
        verification.update(body[:9])
        verification.update(body[9:])
        assert verification.finish()

        verification = less.begin(headers)
        verification.update(body[:9])
        with pytest.raises(BodyTooLarge) as caught:
            verification.update(body[9:])
        assert caught.value.limit == 9
        for use in (
            verification.finish,
            lambda: verification.update(b""),
            lambda: verification.verify(body[:9]),
        ):
            with pytest.raises(RuntimeError, match="is over"):
                use()
        with pytest.raises(BodyTooLarge):
            less.begin(headers).verify(body)

    def test_buffers(self) -> None:
        """A buffer that is filled again and again needs no copy; items wider than a byte count."""
        signed = sign_payload(b"abcdefgh", SECRET)
        buffer = bytearray(b"abcd")
        verification = Verifier(SECRET, max_body=8).begin(signed.headers)
        verification.update(buffer)
        buffer[:] = b"efgh"
        verification.update(memoryview(buffer).cast("I"))

        assert verification.finish()
        with pytest.raises(BodyTooLarge):
            Verifier(SECRET, max_body=3).begin(signed.headers).update(memoryview(buffer).cast("I"))

    @pytest.mark.parametrize("chunk", ["text", None, [1], {}], ids=repr)
    def test_chunks_are_bytes(self, chunk: Any) -> None:
        """Anything else is the caller's mistake."""
        verification = Verifier(SECRET).begin({SIGNATURE: RIGHT})
        with pytest.raises(TypeError, match="not bytes"):
            verification.update(chunk)
        with pytest.raises(TypeError, match="not bytes"):
            verification.verify(chunk)

    def test_is_used_up(self) -> None:
        """After its outcome nothing can be added; chunks and a whole body do not mix."""
        verifier = Verifier(SECRET)
        verification = verifier.begin({SIGNATURE: RIGHT})
        assert verification.verify(BODY)
        for use in (
            verification.finish,
            lambda: verification.verify(b""),
            lambda: verification.update(b""),
        ):
            with pytest.raises(RuntimeError):
                use()

        verification = verifier.begin({SIGNATURE: RIGHT})
        verification.update(BODY[:1])
        with pytest.raises(RuntimeError, match="only finish"):
            verification.verify(BODY[1:])

    def test_error_in_the_middle(self) -> None:
        """A chunk that was not hashed for every secret is never passed over."""
        verifier = Verifier([OLD, SECRET])
        signed = sign_payload(b"signed", SECRET)
        verification = verifier.begin(signed.headers)
        verification.update(b"signed")
        with pytest.raises(BufferError):
            verification.update(memoryview(b"--evil--")[::2])

        with pytest.raises(RuntimeError, match="is over"):
            verification.finish()

    def test_time_is_judged_at_the_end(self) -> None:
        """A slow body cannot stretch the tolerance."""
        now = NOW
        signed = sign_payload(BODY, SECRET, scheme=providers.STRIPE, timestamp=NOW)
        verification = Verifier(SECRET, scheme=providers.STRIPE, clock=lambda: now).begin(
            signed.headers
        )
        verification.update(BODY)
        now += 301

        with pytest.raises(TimestampOutOfTolerance):
            verification.finish()

    def test_two_at_once(self) -> None:
        """Requests do not mix, though they share a verifier."""
        verifier = Verifier(SECRET)
        first = verifier.begin(sign_payload(b"aa", SECRET).headers)
        second = verifier.begin(sign_payload(b"bb", SECRET).headers)
        for _ in range(2):
            first.update(b"a")
            second.update(b"b")

        assert first.finish()
        assert second.finish()

    def test_repr(self) -> None:
        """What is under way says how far it is, and that it proves nothing yet."""
        verification = Verifier(SECRET).begin({SIGNATURE: RIGHT})
        verification.update(BODY)

        assert repr(verification) == "<Verification frappe, 21 bytes so far, not verified>"
        verification.finish()
        assert repr(verification) == "<Verification frappe, 21 bytes so far, over>"
        request = Verifier(SECRET).begin({SIGNATURE: RIGHT})
        request.update(BODY)
        assert repr(request.finish()) == (
            "<VerifiedRequest frappe, secret_id=None, id=None, timestamp=None>"
        )
