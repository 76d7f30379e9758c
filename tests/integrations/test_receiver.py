"""The flow that adapters share, without a framework."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from functools import partial
from time import time
from typing import Any, cast

import pytest

from frappe_hooksig import (
    BodyTooLarge,
    ConfigurationError,
    MalformedPayload,
    MultiVerifier,
    Reason,
    Scheme,
    Secret,
    SignedPayload,
    StoreError,
    TimestampOutOfTolerance,
    VerificationError,
    Verifier,
    generate_secret,
    providers,
    sign_payload,
)
from frappe_hooksig._keys import make_keys
from frappe_hooksig.integrations._options import hide_secret
from frappe_hooksig.integrations._receiver import Receiver
from frappe_hooksig.integrations._responses import refusal
from frappe_hooksig.replay import Deduplicator, MemoryStore, State
from frappe_hooksig.replay._callers import BLOCKING, Awaiting
from frappe_hooksig.replay._steps import run, run_async
from tests.receivers import Incoming, make_receiver, receive
from tests.senders import secret_of

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
OLD = "8Kx2Wm5Rt9Yb3Nc6Vf1Zq4Hs"


SEVERAL = [providers.FRAPPE, providers.WEBHOOK_HEX]
HEX = Verifier(OLD, scheme=providers.WEBHOOK_HEX)


def no_default() -> None:
    """Stand for any function."""


def test_body_is_read_after_the_headers() -> None:
    """A request whose headers are refused costs no body."""
    receiver = make_receiver(providers.FRAPPE, secret=SECRET)

    for headers in ({}, {"X-Frappe-Webhook-Signature": "é"}):
        limits: list[int] = []
        with pytest.raises(VerificationError):
            receive(receiver, Incoming(headers), limits=limits)
        assert limits == []


def test_secret_is_looked_up_after_the_headers() -> None:
    """A request whose headers are refused costs no look-up."""
    receiver = make_receiver(providers.FRAPPE, secret=pytest.fail)

    with pytest.raises(VerificationError):
        receive(receiver, Incoming({}))


def test_limit_is_handed_to_the_reader() -> None:
    """The adapter learns how much to read at most, 25 MiB by default."""
    limits: list[int] = []
    signed = sign_payload(b"", SECRET)
    for max_body in (None, 10):
        receiver = make_receiver(providers.FRAPPE, secret=SECRET, max_body=max_body)
        receive(receiver, signed, limits=limits)

    assert limits == [25 * 1024 * 1024, 10]


def test_reader_that_ignores_the_limit() -> None:
    """What is too large is refused even if it was read."""
    signed = sign_payload(b"12345678901", SECRET)

    with pytest.raises(BodyTooLarge):
        receive(make_receiver(providers.FRAPPE, secret=SECRET, max_body=10), signed)


def test_reader_that_returns_text() -> None:
    """A str is not a raw body, wherever it comes from."""
    receiver = make_receiver(providers.FRAPPE, secret=SECRET)
    text: Any = "{}"

    with pytest.raises(TypeError, match="the body is str, not bytes"):
        receive(receiver, Incoming(sign_payload(text, SECRET).headers, text))


def test_ready_verifier() -> None:
    """A Verifier brings its own secret and limits."""
    receiver = make_receiver(Verifier([SECRET, Secret(OLD, id="old")], max_body=10))

    assert receive(receiver, sign_payload(b"", OLD)).secret_id == "old"
    with pytest.raises(BodyTooLarge):
        receive(receiver, sign_payload(b"12345678901", OLD))


@pytest.mark.parametrize(
    ("scheme_or_verifier", "options", "message"),
    [
        (Verifier(SECRET), {"secret": SECRET}, "belong to the Verifier"),
        (Verifier(SECRET), {"max_body": 1}, "belong to the Verifier"),
        (Verifier(SECRET), {"tolerance": 1}, "belong to the Verifier"),
        (Verifier(SECRET), {"timestamp_from": no_default}, "belong to the Verifier"),
        ("github", {"secret": SECRET}, "a Verifier, not a str"),
        (no_default, {}, "not a function"),
        (providers.GITHUB, {}, "'github' needs secret="),
        (providers.GITHUB, {"secret": ""}, "empty"),
        (providers.FRAPPE, {"tolerance": 1}, "signs no timestamp"),
        (providers.STRIPE, {"secret": SECRET, "timestamp_from": no_default}, "signs a timestamp"),
        (providers.FRAPPE, {"timestamp_from": "modified"}, "must be a function"),
        (
            providers.FRAPPE,
            {"secret": no_default, "timestamp_from": "modified"},
            "must be a function",
        ),
        (providers.FRAPPE, {"max_body": -1}, "max_body"),
        (providers.FRAPPE, {"secret": no_default, "max_body": -1}, "max_body"),
        (
            Scheme(name="x", signature_header="X", signed="{url}{body}", encoding="hex"),
            {"secret": SECRET},
            "signs the URL",
        ),
        ([], {"secret": SECRET}, "expected a Scheme such as providers.GITHUB"),
        ([providers.FRAPPE, "github"], {"secret": SECRET}, "expected a Scheme such as"),
        (SEVERAL, {}, "'webhook-hex' needs secret="),
        (SEVERAL, {"secret": SECRET, "tolerance": 5}, "belong to one scheme: for"),
        (SEVERAL, {"secret": SECRET, "timestamp_from": no_default}, "belong to one scheme: for"),
        (SEVERAL, {"secret": SECRET, "url": "https://a.example/"}, "url= has no use"),
        (SEVERAL[:1] * 2, {"secret": SECRET}, "a scheme occurs twice"),
        ([providers.STRIPE, providers.FRAPPE], {"secret": SECRET}, "have a secret in common"),
        (MultiVerifier(Verifier(SECRET), HEX), {"secret": SECRET}, "belong to the Verifier"),
        (providers.FRAPPE, {"secret": SECRET, "url": "https://a.example/"}, "url= has no use"),
        (providers.FRAPPE, {"secret": SECRET, "trust_forwarded": True}, "has no use"),
        (
            providers.SQUARE,
            {"secret": SECRET, "url": "https://a.example/", "trust_forwarded": True},
            "trust_forwarded= has no use",
        ),
        (providers.SQUARE, {"secret": SECRET, "url": "/hook"}, "the whole URL"),
        (providers.SQUARE, {"secret": SECRET, "url": []}, "the whole URL"),
        (Verifier(SECRET, scheme=providers.SQUARE), {}, "'square' signs the URL"),
    ],
)
def test_wrong_set_up(scheme_or_verifier: Any, options: dict[str, Any], message: str) -> None:
    """A mistake in the set-up is found when the program starts."""
    with pytest.raises(ConfigurationError, match=message):
        make_receiver(scheme_or_verifier, lambda: None, **options)


def test_one_text_that_is_two_keys() -> None:
    """Where a secret is decoded for one scheme and not for the other, it is no common one."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    both = [providers.STRIPE, providers.STANDARD_WEBHOOKS]
    for given in (secret, lambda _request: secret):
        receiver = make_receiver(both, secret=given)
        for scheme in both:
            assert receive(receiver, sign_payload(b"", secret, scheme=scheme)).scheme is scheme


@pytest.mark.parametrize("secret", [None, SECRET, lambda _request: SECRET], ids=type)
def test_time_in_the_body(secret: Any) -> None:
    """Wherever the secret comes from, an old body is refused, and one without a time."""
    options = {} if secret is None else {"secret": secret}
    receiver = make_receiver(
        providers.FRAPPE,
        lambda: SECRET,
        timestamp_from=lambda delivery: delivery.json()["modified"],
        tolerance=60,
        **options,
    )
    now = time()

    assert receive(receiver, sign_payload({"modified": now}, SECRET)).timestamp == now
    for payload, status in (({"modified": now - 70}, 401), ({}, 400)):
        with pytest.raises(VerificationError) as caught:
            receive(receiver, sign_payload(payload, SECRET))
        assert refusal(caught.value).status == status


@pytest.mark.parametrize(("tolerance", "least"), [(None, 270_000), (300, 11_400)])
def test_how_long_a_delivery_with_a_time_is_kept(tolerance: float | None, least: int) -> None:
    """For twice the tolerance, and for as long as clocks can be put back: it may be fresh twice."""

    def timestamp_from(_delivery: object) -> float:
        return 0

    options: dict[str, Any] = {"timestamp_from": timestamp_from, "tolerance": tolerance}
    for receiver in (
        partial(make_receiver, providers.FRAPPE, secret=SECRET, **options),
        partial(make_receiver, Verifier(SECRET, **options)),
    ):
        assert receiver(store=Deduplicator(MemoryStore(), retention=least)).deduplicates
        with pytest.raises(ConfigurationError, match=f"can be repeated for {least} seconds"):
            receiver(store=Deduplicator(MemoryStore(), retention=least - 1))


def test_default_secret_is_read_when_a_request_comes() -> None:
    """A setting that changes takes effect: the new secret verifies, the old one does not."""
    settings: dict[str, Any] = {"secret": SECRET}
    receiver = make_receiver(providers.FRAPPE, lambda: settings["secret"])
    new, old = sign_payload(b"", SECRET), sign_payload(b"", OLD)

    assert receive(receiver, new)
    settings["secret"] = [Secret(OLD, id="old")]
    assert receive(receiver, old).secret_id == "old"
    settings["secret"].insert(0, SECRET)
    assert receive(receiver, old).secret_id == "old"
    assert receive(receiver, new).secret_id is None
    settings["secret"].pop()
    with pytest.raises(VerificationError):
        receive(receiver, old)
    settings["secret"] = None
    with pytest.raises(ConfigurationError, match="no secret is set"):
        receive(receiver, new)


def test_default_verifier_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key schedule is done once, not for each request."""
    receiver = make_receiver(providers.FRAPPE, lambda: SECRET)
    signed = sign_payload(b"", SECRET)
    receive(receiver, signed)
    monkeypatch.setattr("frappe_hooksig._matching.make_keys", pytest.fail)

    assert receive(receiver, signed)


def test_one_url() -> None:
    """Where one URL is registered, that one is signed, whatever the request says of itself."""
    url = "https://a.example/hook"
    receiver = make_receiver(providers.SQUARE, secret=SECRET, url=url)

    def signed(url: str) -> SignedPayload:
        return sign_payload(b"{}", SECRET, scheme=providers.SQUARE, url=url)

    assert receive(receiver, signed(url)).body == b"{}"
    with pytest.raises(VerificationError):
        receive(receiver, signed(f"{url}/"))


def test_many_senders() -> None:
    """A function finds the secret of whoever the request is said to come from."""
    named = [OLD, Secret(SECRET, id="b's")]
    secrets: dict[object, Any] = {"a": SECRET, "b": named, "broken": ""}
    receiver = make_receiver(providers.FRAPPE, secret=lambda request: secrets[request.who])
    signed = sign_payload(b"", SECRET)

    assert receive(receiver, signed, who="a").secret_id is None
    assert receive(receiver, signed, who="b").secret_id == "b's"
    with pytest.raises(VerificationError):
        receive(receiver, sign_payload(b"", OLD), who="a")
    with pytest.raises(ConfigurationError):
        receive(receiver, signed, who="broken")


BASE64_KEY = Scheme(
    name="base64-key", signature_header="X-Signature", encoding="hex", secret_format="base64"
)


@pytest.mark.parametrize(
    ("one", "other", "secret"),
    [
        (providers.GITLAB, providers.GITHUB, SECRET),
        (providers.GITLAB, providers.ADYEN, "1f8b03c9d27ae46550b19f3cd8e7720a64fd91b8253ce07a"),
        (providers.GITLAB, providers.STANDARD_WEBHOOKS, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        (BASE64_KEY, providers.STANDARD_WEBHOOKS, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
@pytest.mark.parametrize("is_function", [False, True])
def test_one_secret_for_two_schemes(
    one: Scheme,
    other: Scheme,
    secret: str,
    is_function: bool,  # noqa: FBT001
) -> None:
    """Refused if whoever sees a request of one sender could make one of the other's."""
    for senders in ([one, other], [other, one]):
        with pytest.raises(ConfigurationError, match="have a secret in common"):
            make_receiver(senders, secret=(lambda _request: secret) if is_function else secret)


def test_one_key_in_two_formats_of_a_list() -> None:
    """Each secret of a list is read in each scheme's format: two of them may be one key."""
    text = "1f8b03c9d27ae46550b19f3cd8e7720a"
    with pytest.raises(ConfigurationError, match="have a secret in common"):
        make_receiver(
            [providers.SLACK, providers.ADYEN],
            secret=[text, text.encode().hex()],
        )


def test_unknown_option() -> None:
    """A misspelt option is named, and what it held is in no frame."""
    options: Any = {"secrets": SECRET}
    with pytest.raises(ConfigurationError, match=r"unknown option secrets: did you mean secret\?"):
        hide_secret(options)
    assert options == {}
    with pytest.raises(ConfigurationError, match="unknown option x: the options are max_body, "):
        hide_secret(cast("Any", {"x": SECRET}))


@pytest.mark.parametrize("nothing", [None, [], ()])
@pytest.mark.parametrize(
    "name", [name for name in providers.names() if "{url}" not in providers.get(name).signed]
)
@pytest.mark.filterwarnings("error")
def test_unknown_sender_is_a_mismatch(name: str, nothing: Any) -> None:
    """Nobody can tell an unknown sender from a wrong signature; no warning of its secret does."""
    scheme = providers.get(name)
    secret = secret_of(scheme)
    known = make_receiver(scheme, secret=lambda _request: secret.replace("8", "9"))
    unknown = make_receiver(scheme, secret=lambda _request: nothing)
    signed = sign_payload(b"", secret, scheme=scheme)
    answers = []
    for receiver in (known, unknown):
        with pytest.raises(VerificationError) as caught:
            receive(receiver, signed)
        answers.append(refusal(caught.value))

    assert answers[0] == answers[1]
    assert json.loads(answers[0].body)["reason"] == "signature-mismatch"


def test_unknown_sender_costs_what_a_known_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many keys are made and as many MACs, with a secret that nobody knows."""
    made: list[object] = []
    make = make_keys

    def count(*args: Any, **options: Any) -> Any:
        made.append(args[0])
        return make(*args, **options)

    receivers = [
        make_receiver(providers.FRAPPE, secret=lambda _request, secret=secret: secret)
        for secret in (None, None, OLD)
    ]
    signed = sign_payload(b"", SECRET)
    monkeypatch.setattr("frappe_hooksig._matching.make_keys", count)
    for receiver in receivers:
        with pytest.raises(VerificationError):
            receive(receiver, signed)

    assert len(made) == len(set(made)) == 3


def test_unknown_sender_costs_as_many_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret of a scheme with two formats costs two MACs, however it is written, known or not."""
    macs: list[int] = []
    make = make_keys

    def count(*args: Any, **options: Any) -> Any:
        keys = make(*args, **options)
        macs.append(len(keys))
        return keys

    written = [None, "polar_whs_Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4", generate_secret("whsec")]
    receivers = [
        make_receiver(providers.POLAR, secret=lambda _request, secret=secret: secret)
        for secret in written
    ]
    signed = sign_payload(b"", generate_secret(), scheme=providers.POLAR)
    monkeypatch.setattr("frappe_hooksig._matching.make_keys", count)
    for receiver in receivers:
        with pytest.raises(VerificationError):
            receive(receiver, signed)

    assert macs == [2, 2, 2]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (VerificationError(Reason.MISSING_HEADER, "X-A"), 401),
        (VerificationError(Reason.WRONG_ENCODING, "X-A", "hex"), 401),
        (VerificationError(Reason.SIGNATURE_MISMATCH, "X-A"), 401),
        (TimestampOutOfTolerance(301, 300, "X-A"), 401),
        (TimestampOutOfTolerance(-301, 300, "X-A"), 401),
        (VerificationError(Reason.MALFORMED_HEADER, "X-A", "it is empty"), 400),
        (VerificationError(Reason.DUPLICATE_HEADER, "X-A"), 400),
        (VerificationError(Reason.MALFORMED_TIMESTAMP, "X-A", "10 digits"), 400),
        (BodyTooLarge(10), 413),
    ],
    ids=lambda value: getattr(value, "reason", ""),
)
def test_refusal(error: VerificationError, status: int) -> None:
    """Each reason has its status, and a JSON body with its code."""
    answer = refusal(error)

    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/json"
    assert json.loads(answer.body) == {
        "status": "refused",
        "reason": error.reason.value,
        "message": str(error),
    }
    challenge = answer.headers.get("WWW-Authenticate")
    assert challenge == ('Webhook-Signature header="X-A"' if status == 401 else None)


def test_refusal_for_a_time_in_the_body() -> None:
    """The challenge names no header where none is to blame."""
    answer = refusal(TimestampOutOfTolerance(90_000, 86_400))

    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Webhook-Signature"


def test_refusal_of_a_body_that_is_no_json() -> None:
    """A rightly signed body that the handler cannot read is the sender's mistake."""
    answer = refusal(MalformedPayload("the verified body of 1 bytes is not JSON"))

    assert answer.status == 400
    assert json.loads(answer.body)["reason"] == "malformed-payload"


def test_every_reason_has_a_status() -> None:
    """No reason is left without an answer."""
    assert all(refusal(VerificationError(reason, "X-A")).status for reason in Reason)


def responses(senders: Any, *, store: Any, view: Any = lambda: 200) -> dict[bool, Any]:
    """Return the responses to a genuine request, without and with a scheme of empty responses."""
    found = {}
    for scheme in (senders, replace(senders, empty_responses=True)):
        signed = sign_payload(b"{}", SECRET, scheme=scheme)
        receiver = make_receiver(scheme, secret=SECRET, store=store)
        request = Incoming(signed.headers, signed.body)
        found[scheme.empty_responses] = run(receiver.handle(BLOCKING, request, "view", view))
    return found


class StoreOf:
    """A store that answers each claim alike."""

    def __init__(self, answer: State | StoreError) -> None:
        self.answer = answer

    def claim(self, _key: str, _token: str, _lease: float) -> State:
        if isinstance(self.answer, StoreError):
            raise self.answer
        return self.answer

    def renew(self, claims: Any, _lease: float) -> list[bool]:
        return [True for _ in claims]

    def complete(self, *_: Any) -> bool:
        return True

    release = complete


def no_json() -> int:
    """Stand for a view."""
    raise MalformedPayload


@pytest.mark.parametrize(
    ("store", "view", "status"),
    [
        (StoreOf(State.DONE), pytest.fail, 200),
        (StoreOf(State.IN_FLIGHT), pytest.fail, 409),
        (StoreOf(StoreError("away")), pytest.fail, 503),
        (None, no_json, 400),
    ],
    ids=["duplicate", "in flight", "no store", "no JSON"],
)
def test_empty_responses(store: Any, view: Any, status: int) -> None:
    """Whatever is told to a sender that accepts no body, is told by status and headers alone."""
    found = responses(providers.FRAPPE, store=store, view=view)

    assert [each.status for each in found.values()] == [status] * 2
    assert json.loads(found[False].body)["status"] in {"duplicate", "refused"}
    headers = {name: value for name, value in found[False].headers.items() if name[:2] != "Co"}
    assert found[True].headers == {**headers, "Content-Length": "0"}
    assert found[True].body == b""


def test_empty_response_to_an_unlisted_event() -> None:
    """An event that is not handled is answered without a body too."""
    shop = replace(providers.WOOCOMMERCE, empty_responses=True)
    receiver = make_receiver(
        shop, secret=SECRET, store=StoreOf(State.DONE), unsigned_events=["order.created"]
    )
    headers = sign_payload(b"{}", SECRET, scheme=shop).headers | {"X-WC-Webhook-Topic": "other"}

    answer = run(receiver.handle(BLOCKING, Incoming(headers, b"{}"), "view", pytest.fail))

    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"X-Webhook-Signature": "0" * 64}, b""),
        ({"X-Frappe-Webhook-Signature": "0" * 44}, b"{"),
        ({}, b"{"),
        ([("X-Frappe-Webhook-Signature", "0")] * 2, b""),
        ([("X-Webhook-Signature", "0")] * 2, b""),
    ],
    ids=["selected", "another selected", "none selected", "doubled", "another doubled"],
)
def test_empty_responses_of_several_schemes(headers: Any, body: bytes) -> None:
    """The selected scheme decides; if none can be selected, any that accepts no body."""
    empty = replace(providers.WEBHOOK_HEX, empty_responses=True)
    receiver = make_receiver([providers.FRAPPE, empty], secret=SECRET)

    answer = run(receiver.handle(BLOCKING, Incoming(headers), "view", pytest.fail))

    assert answer.body[:1] == body


class TestWaiting:
    """The same, for frameworks that wait."""

    @staticmethod
    def receive(receiver: Receiver, signed: Any) -> tuple[Any, list[str]]:
        """Run a signed payload through a receiver; return the delivery and what ran in threads."""
        threads: list[str] = []

        async def in_thread(function: Any, *arguments: Any) -> Any:
            threads.append(getattr(function, "__name__", "?"))
            return await asyncio.to_thread(function, *arguments)

        request = Incoming(signed.headers, signed.body)
        verifying = receiver.verify(Awaiting(in_thread), request, "view")
        return asyncio.run(run_async(verifying)).delivery, threads

    def test_kinds_of_secrets(self) -> None:
        """An async function is awaited, another one runs in a thread, and so does a lambda."""
        signed = sign_payload(b"{}", SECRET)

        async def waits(_request: object) -> str:
            return SECRET

        def blocks(_request: object) -> str:
            return SECRET

        for secret, expected in (
            (SECRET, []),
            (waits, []),
            (blocks, ["blocks"]),
            (lambda request: waits(request), ["<lambda>"]),  # noqa: PLW0108
        ):
            receiver = make_receiver(providers.FRAPPE, secret=secret)
            delivery, threads = self.receive(receiver, signed)
            assert (delivery.body, threads) == (b"{}", expected)
            assert receiver.needs_to_wait == (secret is waits)

    def test_large_body(self) -> None:
        """What takes a while to hash does not hold up the event loop; the outcome is the same."""
        receiver = make_receiver(providers.FRAPPE, secret=SECRET)
        body = b"x" * 2_000_000

        delivery, threads = self.receive(receiver, sign_payload(body, SECRET))

        assert (delivery.body == body, threads) == (True, ["verify"])
        with pytest.raises(VerificationError, match="does not match"):
            self.receive(receiver, sign_payload(body, OLD))
