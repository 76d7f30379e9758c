"""Nothing secret in any text that leaves the process by mistake."""

from __future__ import annotations

import base64
import hmac
import logging
import pickle
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

import frappe_hooksig
from frappe_hooksig import (
    ConfigurationError,
    MultiVerifier,
    PayloadError,
    Secret,
    SecretWarning,
    Signer,
    VerificationError,
    Verifier,
    providers,
    sign_payload,
    verify_payload,
)
from frappe_hooksig.integrations._responses import refusal
from frappe_hooksig.replay import Deduplicator
from tests.receivers import Incoming, make_receiver
from tests.receivers import receive as receive_at

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
WHSEC = "whsec_" + base64.b64encode(SECRET.encode()).decode()
PACKAGE = str(Path(frappe_hooksig.__file__).parent)
BODY = b"the body of a request"
MAC = hmac.digest(SECRET.encode(), BODY, "sha256")
NEVER = [
    SECRET,
    SECRET.lower(),
    SECRET.encode().hex(),
    base64.b64encode(SECRET.encode()).decode(),
    MAC.hex(),
    repr(MAC),
    base64.b64encode(MAC).decode(),
]


def assert_nothing_secret(text: str) -> None:
    """Look for the secret and the expected MAC in all their spellings."""
    assert [spelling for spelling in NEVER if spelling in text] == []


def test_the_check_can_fail() -> None:
    """What is looked for would be found."""
    with pytest.raises(AssertionError):
        assert_nothing_secret(f"expected {MAC.hex()}")


@pytest.mark.parametrize(
    "secret", [Secret(SECRET), Secret(SECRET.encode(), id="a")], ids=["0", "a"]
)
def test_secret_shows_itself_to_nobody(secret: Secret, caplog: pytest.LogCaptureFixture) -> None:
    """repr, str, format and logging show a mask."""
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("app").warning("secret %s %r", secret, secret)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", f"{[secret]}", caplog.text]

    assert_nothing_secret("\n".join(shown))
    assert all("*****" in text for text in shown)
    assert not hasattr(secret, "__dict__")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_secret_is_not_pickled(protocol: int) -> None:
    """A job queue cannot carry it off."""
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps({"secret": Secret(SECRET)}, protocol)


@pytest.mark.parametrize(
    "made",
    [
        Verifier(SECRET),
        Signer(SECRET),
        Verifier(SECRET, scheme=providers.GITLAB),
        Signer(SECRET, scheme=providers.GITLAB),
    ],
    ids=["Verifier", "Signer", "Verifier of tokens", "Signer of tokens"],
)
def test_what_is_made_of_it_shows_nothing(made: object) -> None:
    """Neither do the objects that hold its key, attributes included, nor can they be pickled."""
    slots = {name: getattr(made, name) for name in made.__slots__}  # type: ignore[attr-defined]

    assert_nothing_secret(f"{made!r} {made} {slots!r} {[vars_of(key) for key in slots['_keys']]!r}")
    with pytest.raises(TypeError):
        pickle.dumps(made)


def vars_of(key: Any) -> dict[str, object]:
    """Return what a slotted object holds."""
    return {name: getattr(key, name) for name in key.__slots__}


def verify_once(headers: dict[str, str]) -> object:
    """Verify with the one-off function."""
    return verify_payload(BODY, headers, Secret(SECRET))


def verify_often(headers: dict[str, str]) -> object:
    """Verify with a kept verifier."""
    return Verifier(Secret(SECRET)).verify(BODY, headers)


def verify_in_pieces(headers: dict[str, str]) -> object:
    """Verify what comes in chunks."""
    verification = Verifier(Secret(SECRET)).begin(headers)
    verification.update(BODY)
    return verification.finish()


def receive(headers: dict[str, str]) -> object:
    """Verify as an adapter does."""
    receiver = make_receiver(providers.FRAPPE, secret=lambda _request: Secret(SECRET))
    return receive_at(receiver, Incoming(headers, BODY))


@pytest.mark.parametrize("verify", [verify_once, verify_often, verify_in_pieces, receive])
@pytest.mark.parametrize(
    "text", ["x", "", "é", base64.b64encode(b"0" * 32).decode(), MAC.hex()[:-1], "a,b"]
)
def test_traceback_with_local_variables(verify: Callable[[Any], object], text: str) -> None:
    """Error reporters that record the local variables of every frame learn nothing."""
    headers = {"X-Frappe-Webhook-Signature": text}

    with pytest.raises(VerificationError) as caught:
        verify(headers)

    shown = "".join(
        traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    )
    assert "headers = {'X-Frappe" in shown, "local variables are there to be looked at"
    assert_nothing_secret(shown)
    assert_nothing_secret(f"{caught.value!r} {caught.value} {vars(caught.value)} {pickled(caught)}")
    assert_nothing_secret(f"{refusal(caught.value)!r} {caught.value.log_message}")


def pickled(caught: pytest.ExceptionInfo[VerificationError]) -> str:
    """Return what would be sent to another process."""
    return repr(pickle.dumps(caught.value))


def frames_of_ours(error: BaseException) -> str:
    """Return the local variables of our frames, as an error reporter would record them."""
    stack = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    ours = [str(frame.locals) for frame in stack if frame.filename.startswith(PACKAGE)]
    assert ours
    return "\n".join(ours)


@pytest.mark.parametrize("make", [Verifier, Signer], ids=lambda make: make.__name__)
@pytest.mark.parametrize(
    "secret",
    [[SECRET, ""], [SECRET, "*****"], [SECRET, 1], [Secret(SECRET, id="a"), Secret("b", id="a")]],
    ids=["empty", "mask", "type", "id"],
)
def test_a_good_secret_beside_a_bad_one(make: Any, secret: Any) -> None:
    """When one of several secrets is refused, the others do not show, nor does the half-made."""
    with pytest.raises(ConfigurationError) as caught:
        make(secret)

    assert_nothing_secret(frames_of_ours(caught.value))


def test_warning_as_error() -> None:
    """Nor do they under python -W error."""
    for secret in ("<" + SECRET, SECRET[:10]):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(SecretWarning) as caught:
                Verifier(secret)

        assert secret[:10] not in frames_of_ours(caught.value)


@pytest.mark.parametrize("setting", [[SECRET, ""], [SECRET, "****"], [SECRET, 1]], ids=repr)
def test_setting_that_breaks_while_running(setting: Any) -> None:
    """A setting that is changed for the worse shows neither its old nor its new secrets."""
    settings: list[Any] = [SECRET, setting]
    by_setting = make_receiver(providers.FRAPPE, lambda: settings[0])
    by_request = make_receiver(providers.FRAPPE, secret=lambda _request: settings[0])
    headers = sign_payload(BODY, SECRET).headers
    for receiver in (by_setting, by_request):
        assert receive_at(receiver, Incoming(headers, BODY))
    settings.pop(0)
    forged = sign_payload(BODY, "another secret of some length").headers

    for receiver in (by_setting, by_request):
        with pytest.raises(ConfigurationError) as caught:
            receive_at(receiver, Incoming(forged, BODY))
        assert_nothing_secret(frames_of_ours(caught.value))


def test_stand_in_for_unknown_senders() -> None:
    """A useless secret does not reveal the one that stands in for an unknown sender's."""
    receiver = make_receiver(providers.FRAPPE, secret=lambda _request: "")

    with pytest.raises(ConfigurationError) as caught:
        receive_at(receiver, sign_payload(BODY, SECRET))
    assert "stand_in" in frames_of_ours(caught.value)
    assert "Secret('**********')" in frames_of_ours(caught.value).replace("\\", "")


def test_one_off_drops_a_plain_secret() -> None:
    """Not even a plain str is left in a frame of ours."""
    with pytest.raises(VerificationError) as caught:
        verify_payload(BODY, {}, SECRET)
    with pytest.raises(ConfigurationError) as unsigned:
        sign_payload(BODY, SECRET, id="msg_1")

    for error in (caught.value, unsigned.value):
        assert_nothing_secret(frames_of_ours(error))


@pytest.mark.parametrize(
    "options",
    [
        {"tolerance": 5},
        {"max_body": -1},
        {"scheme": "github"},
        {"timestamp_from": 1},
        {"secret": [SECRET, ""]},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "make", [partial(verify_payload, BODY, {}), Verifier], ids=["once", "kept"]
)
def test_refused_options_of_a_verifier(make: Any, options: dict[str, Any]) -> None:
    """A wrong option does not show the secret beside it."""
    with pytest.raises(ConfigurationError) as caught:
        make(**{"secret": SECRET} | options)

    assert_nothing_secret(frames_of_ours(caught.value))


@pytest.mark.parametrize(
    "options",
    [{"scheme": "github"}, {"id": "a"}, {"timestamp": 1}, {"secret": [SECRET, ""]}],
    ids=str,
)
def test_refused_options_of_a_signer(options: dict[str, Any]) -> None:
    """Nor does one of a signer."""
    with pytest.raises(ConfigurationError) as caught:
        sign_payload(BODY, **{"secret": SECRET} | options)

    assert_nothing_secret(frames_of_ours(caught.value))


MISPLACED: dict[str, Callable[[Any], object]] = {
    "sign_payload scheme": lambda secret: sign_payload(BODY, "Kz5RtYb3Nc6Vf1Zq4H", scheme=secret),
    "sign_payload with a dict": lambda secret: sign_payload(secret, cast("Any", {"a": 1})),
    "sign_payload with a scheme": lambda secret: sign_payload(
        secret, cast("Any", providers.GITHUB), scheme=secret
    ),
    "sign_payload without a secret": lambda secret: sign_payload(secret, None),
    "Signer": lambda secret: Signer(cast("Any", providers.GITHUB), scheme=secret),
    "Signer scheme": lambda secret: Signer("Kz5RtYb3Nc6Vf1Zq4H", scheme=secret),
    "get": providers.get,
    "Verifier": lambda secret: Verifier(cast("Any", providers.GITHUB), scheme=secret),
    "Verifier scheme": lambda secret: Verifier("Kz5RtYb3Nc6Vf1Zq4H", scheme=secret),
    "verify_payload": lambda secret: verify_payload(BODY, {}, "Kz5RtYb3Nc6Vf1Z", scheme=secret),
    "MultiVerifier": lambda secret: MultiVerifier(secret, Verifier("Kz5RtYb3Nc6Vf1Zq4H")),
    "Deduplicator": lambda secret: Deduplicator(str(secret)),  # type: ignore[arg-type]
    "generate_secret": frappe_hooksig.generate_secret,
}


@pytest.mark.parametrize("place", MISPLACED)
@pytest.mark.parametrize(
    "secret",
    [SECRET, SECRET.encode(), "stripe" + SECRET, SECRET * 9],
    ids=["str", "bytes", "near", "long"],
)
def test_secret_in_the_place_of_something_else(place: str, secret: str | bytes) -> None:
    """Neither the error nor a frame of ours shows a secret in the place of a scheme or a name."""
    with pytest.raises(ConfigurationError) as caught:
        MISPLACED[place](secret)

    assert_nothing_secret(f"{caught.value!r} {caught.value.__context__!r}")
    assert_nothing_secret(frames_of_ours(caught.value))


@pytest.mark.parametrize("secret", ["v1," + WHSEC, f"whpk_{SECRET}", f"Secret('****') {SECRET}"])
def test_refused_secret_is_not_shown(secret: str) -> None:
    """The error about a secret does not hold it, nor does the frame that raised it."""
    with pytest.raises(ConfigurationError) as caught:
        Secret(secret)

    stack = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    assert_nothing_secret(f"{caught.value!r} {caught.value.__context__!r} {stack[-1].locals}")


def test_a_secret_of_broken_unicode_is_not_shown() -> None:
    """Python's own error would hold all of it."""
    with pytest.raises(ConfigurationError) as caught:
        Secret(SECRET + "\ud800")

    assert caught.value.__context__ is None
    assert_nothing_secret(repr(caught.value))


class Unprintable:
    """A value that shows what is beside it."""

    def __str__(self) -> str:
        raise RuntimeError(SECRET)


@pytest.mark.parametrize(
    ("scheme", "payload", "options"),
    [
        (providers.STANDARD_WEBHOOKS, {"a": SECRET, "b": Unprintable()}, {}),
        (providers.STANDARD_WEBHOOKS, {"a": SECRET, ("b",): 1}, {}),
        (providers.STANDARD_WEBHOOKS, {SECRET}, {}),
        (providers.STANDARD_WEBHOOKS, SECRET + "\ud800", {}),
        (providers.STANDARD_WEBHOOKS, SECRET, {"id": "a b"}),
        (providers.STANDARD_WEBHOOKS, SECRET, {"timestamp": 1}),
        (providers.HUBSPOT_V2, SECRET + "\0", {"url": f"https://a.example/{SECRET}"}),
        (providers.HUBSPOT_V2, SECRET, {"url": f"https://a.example/{SECRET}", "method": "post"}),
        (providers.HUBSPOT_V2, SECRET, {"url": f"https://a.example/{SECRET}", "method": None}),
        (providers.SQUARE, SECRET, {"url": f"https://a.example/{SECRET}".encode()}),
        (providers.TWITCH, {"a": SECRET}, {"id": ""}),
    ],
    ids=[
        *("value", "key", "type", "surrogate", "id", "timestamp"),
        *("NUL", "method", "no method", "bytes of a URL", "no id"),
    ],
)
@pytest.mark.parametrize("is_kept", [True, False], ids=["Signer", "sign_payload"])
def test_payload_that_cannot_be_signed(
    scheme: Any, payload: Any, options: dict[str, Any], *, is_kept: bool
) -> None:
    """No frame shows the payload or the URL, nor does the cause of the error."""
    other = "Kz5RtYb3Nc6Vf1Zq4HKz5RtYb3Nc6Vf1"
    sign = (
        Signer(other, scheme=scheme).sign
        if is_kept
        else partial(sign_payload, secret=other, scheme=scheme)
    )

    with pytest.raises((PayloadError, ConfigurationError)) as caught:
        sign(payload, **{"method": "POST"} | options)

    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert_nothing_secret(f"{caught.value!r} {frames_of_ours(caught.value)}")
