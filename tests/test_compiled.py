"""The short way of usual requests: which take it, and what an interrupted comparison shows."""

from __future__ import annotations

import base64
import hashlib
import hmac
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import frappe_hooksig
from frappe_hooksig import Scheme, VerificationError, Verifier, providers, sign_payload
from frappe_hooksig._headers import Environ
from frappe_hooksig._wire import wire_of
from tests.senders import WHERE, secret_of

NOW = 1_700_000_000
BODY = b'{"a": 1}'
SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
OLD = "8Kx2Wm5Rt9Yb3Nc6Vf1Zq4Hs"
PACKAGE = str(Path(frappe_hooksig.__file__).parent)
OTHERS = {"Content-Type": "application/json", "Host": "example.com", "X-Other": "1"}


def environ(headers: dict[str, str]) -> Environ:
    """Return headers as a WSGI server hands them over."""
    return Environ({f"HTTP_{name.upper().replace('-', '_')}": headers[name] for name in headers})


KINDS: dict[str, Callable[[dict[str, str]], Any]] = {
    "dict": dict,
    "ASGI": lambda headers: [(each.lower().encode(), headers[each].encode()) for each in headers],
    "environ": environ,
}


def usual_headers(scheme: Scheme) -> dict[str, str]:
    """Return the headers of a genuine request."""
    moment = NOW if scheme.signs_timestamp else None
    signed = sign_payload(BODY, secret_of(scheme), scheme=scheme, timestamp=moment, **WHERE)
    return {**OTHERS, **signed.headers}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", providers.names())
def test_usual_requests_take_the_short_way(name: str, kind: str) -> None:
    """Each provider's do, in what servers hand over, and come out like on the long one.

    A secret that stands for several keys is matched on the long one.
    """
    scheme, wire = providers.get(name), wire_of(providers.get(name))
    headers = KINDS[kind](usual_headers(scheme))
    method, url = WHERE["method"], WHERE["url"]
    matcher = Verifier(secret_of(scheme), scheme=scheme, clock=lambda: NOW)._matcher  # noqa: SLF001
    parsed = wire.parse_quickly(headers, method, url)
    assert parsed is not None
    signatures, envelope = wire.parse_any(headers, method, url)

    assert ([*parsed[0]], parsed[1]) == ([*signatures], envelope)
    is_short = matcher.match(BODY, parsed).__class__.__name__ == "Delivery"
    assert is_short is (len(scheme.secret_formats) == 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", providers.names())
def test_unsigned_requests_do_not(name: str, kind: str) -> None:
    """The long way finds the reason."""
    wire = wire_of(providers.get(name))

    assert wire.parse_quickly(KINDS[kind](OTHERS), "POST", "https://example.com") is None


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Gitlab-Token", "a"), (b"x-gitlab-token", b"a")],
        [(b"X-GITLAB-TOKEN", b"a"), (b"x-gitlab-token", b"a")],
        {"X-Gitlab-Token": "a", "x-gitlab-token": "a"},
    ],
    ids=["str and bytes", "bytes", "dict"],
)
def test_doubled_in_another_spelling(headers: Any) -> None:
    """A header that came twice is seen whatever its spelling."""
    assert wire_of(providers.GITLAB).parse_quickly(headers, None, None) is None
    with pytest.raises(VerificationError, match="X-Gitlab-Token occurs more than once"):
        wire_of(providers.GITLAB).parse(headers)


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([("X-Gitlab-To\u212aen", "b"), ("x-gitlab-token", "a")], "a"),
        ([(b"x-gitlab-token", None), (b"X-Gitlab-Token", b"a")], "a"),
        ([(b"x-gitlab-token", "a")], "a"),
    ],
    ids=["Kelvin sign", "None", "str"],
)
def test_one_pass(headers: Any, found: str) -> None:
    """What looks like a header counts for nothing, nor does a value of None."""
    parsed = wire_of(providers.GITLAB).parse_quickly(headers, None, None)

    assert parsed is not None
    assert parsed[0] == (found.encode(),)


SIGNATURE = "X-Frappe-Webhook-Signature"


@pytest.mark.parametrize(
    ("scheme", "headers"),
    [
        (providers.FRAPPE, {SIGNATURE: "0" * 44, SIGNATURE.lower(): "0" * 44}),
        (providers.FRAPPE, {SIGNATURE: "0" * 43}),
        (providers.FRAPPE, {SIGNATURE: "0" * 43 + "\u00e9"}),
        (providers.FRAPPE, {SIGNATURE: b"0" * 44}),
        (providers.FRAPPE, iter([(SIGNATURE, "0" * 44)])),
        (providers.GITHUB, {"X-Hub-Signature-256": "0" * 71}),
        (providers.WEBHOOK_TIMESTAMPED, {"X-Webhook-Signature": "0" * 71}),
    ],
    ids=["twice", "length", "not ASCII", "bytes", "iterator", "prefix", "prefix and time"],
)
def test_unusual_requests_take_the_long_way(scheme: Scheme, headers: Any) -> None:
    """The short way does not even look whether they are right."""
    headers = {**headers, "X-Webhook-Timestamp": str(NOW)} if type(headers) is dict else headers

    assert wire_of(scheme).parse_quickly(headers, None, None) is None
    assert wire_of(scheme).parse_loosely(headers, None, None) is None


@pytest.mark.parametrize("mark", ["!", "\n", "\x7f", ","])
def test_characters_of_a_signature(mark: str) -> None:
    """They are looked at before the body is read, and where it was read, by the comparison."""
    headers = {SIGNATURE: mark * 44}

    assert wire_of(providers.FRAPPE).parse_quickly(headers, None, None) is None
    assert wire_of(providers.FRAPPE).parse_loosely(headers, None, None) is not None
    expected = {"!": "does not match", ",": "more than once"}.get(mark, "not printable ASCII")
    with pytest.raises(VerificationError, match=expected):
        Verifier(SECRET).begin(headers).verify(BODY)
    with pytest.raises(VerificationError, match=expected):
        Verifier(SECRET).verify(BODY, headers)


class Interrupted(BaseException):
    """What a signal handler raises, such as a soft time limit."""


def interrupted_at(step: int, run: Callable[[], object]) -> list[dict[str, Any]] | None:
    """Raise in our code at some instruction; return the variables of each of our frames.

    Returns:
        None if the code ends before that instruction.
    """
    steps = iter(range(step))

    def trace(frame: FrameType, _event: str, _arg: object) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        frame.f_trace_opcodes = True
        if next(steps, None) is None:
            raise Interrupted
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    except Interrupted as error:
        found: list[dict[str, Any]] = []
        step_back = error.__traceback__
        while step_back is not None:
            if step_back.tb_frame.f_code.co_filename.startswith(PACKAGE):
                found.append(dict(step_back.tb_frame.f_locals))
            step_back = step_back.tb_next
        return found
    except VerificationError:
        return None
    finally:
        sys.settrace(before)
    return None


URL_SAFE = Scheme(name="url-safe", signature_header="X-Signed", encoding="base64url")
BARE = Scheme(name="bare", signature_header="X-Signed", encoding="hex", algorithm="hash")


@pytest.mark.parametrize(
    ("scheme", "secrets"),
    [
        (URL_SAFE, [SECRET]),
        (URL_SAFE, [SECRET, OLD]),
        (BARE, [SECRET]),
        (BARE, [SECRET, OLD]),
        (providers.FRAPPE, [SECRET]),
        (providers.FRAPPE, [SECRET, OLD]),
        (providers.GITHUB, [SECRET]),
        (providers.GITLAB, [SECRET]),
    ],
    ids=[
        *("base64url", "base64url, two secrets", "hash", "hash, two secrets"),
        *("base64", "two secrets", "hex", "token"),
    ],
)
def test_interrupted_comparison(scheme: Scheme, secrets: list[str]) -> None:
    """A signal handler that raises, at any instruction, finds the expected MAC in no variable."""
    verifier = Verifier(secrets, scheme=scheme)
    headers = sign_payload(BODY, "a secret of somebody else", scheme=scheme).headers
    macs = [hmac.digest(secret.encode(), BODY, "sha256") for secret in secrets]
    if scheme is BARE:
        macs = [hashlib.sha256(secret.encode() + BODY).digest() for secret in secrets]
    never = [*secrets, *(repr(mac) for mac in macs), *(mac.hex() for mac in macs)]
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        never += [encode(mac).decode().rstrip("=") for mac in macs]
    never += [mac.hex().upper() for mac in macs]
    seen = step = 0
    while (frames := interrupted_at(step, lambda: verifier.verify(BODY, headers))) is not None:
        shown = repr(frames)
        assert [text for text in never if text in shown] == []
        seen += "signature" in shown
        step += 1

    assert seen > 100, "it was interrupted where signatures are compared"
