"""Reading what a receiver answers."""

from __future__ import annotations

import json
import pickle

import pytest

from frappe_hooksig.exceptions import BodyTooLarge, ConfigurationError, MalformedPayload, Reason
from frappe_hooksig.integrations._responses import (
    WebhookResponse,
    failure,
    in_flight,
    refusal,
    unavailable,
)
from frappe_hooksig.sending import Attempt
from frappe_hooksig.sending._attempt import reported, retry_after, said

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT, of RFC 9110


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        (None, None),
        ([], None),
        (["0"], 0),
        (["120"], 120),
        ([" 7 "], 7),
        (["007"], 7),
        (["86400"], 86400),
        (["86401"], 86400),
        (["9" * 20], 86400),
        (["9" * 5000], None),
        (["1", "1"], None),
        (["1, 1"], None),
        (["-1"], None),
        (["1.5"], None),
        (["NaN"], None),
        (["inf"], None),
        (["1e309"], None),
        (["1_0"], None),
        (["٣"], None),
        ([""], None),
        (["soon"], None),
        (["Sun, 06 Nov 1994 08:49:37 GMT"], 0),
        (["Sun, 06 Nov 1994 08:50:37 GMT"], 60),
        (["Sun, 06 Nov 1994 08:48:37 GMT"], 0),
        (["Sunday, 06-Nov-94 08:50:37 GMT"], 60),
        (["Sun Nov  6 08:50:37 1994"], 60),
        (["Fri, 31 Dec 9999 23:59:59 GMT"], 86400),
        (["Fri, 31 Dec 99999 23:59:59 GMT"], None),
        (["Sun, 06 Nov 1994 08:49:99 GMT"], None),
        (["Sun, 99 Nov 1994 08:49:37 GMT"], None),
        (["Xyz, 06 Abc 1994 08:49:37 GMT"], None),
        (["Sun, 06 Nov 1994 08:49:37 GMT" * 9], None),
    ],
)
def test_retry_after(values: list[str] | None, seconds: float | None) -> None:
    """It is a number of seconds or a date, once, and up to a day."""
    assert retry_after(values, NOW) == seconds


@pytest.mark.parametrize(
    ("reason", "message", "told"),
    [
        *((reason.value, "b", "b") for reason in Reason),
        ("unknown-url", "\x1b[2J\n\xe9", "\\x1b[2J\\n\\xe9"),
        ("unknown-url", "m" * 999, "m" * 600 + "..."),
        ("unknown-url", "", ""),
    ],
)
def test_reported(reason: str, message: str, told: str) -> None:
    """A receiver that answers like this package chooses the sentence, which is printable."""
    body = json.dumps({"reason": reason, "message": message}).encode()

    assert reported(body) == (reason, told)


@pytest.mark.parametrize(
    "response",
    [
        refusal(BodyTooLarge(7)),
        refusal(MalformedPayload("it is no JSON")),
        failure(ConfigurationError("no secret")),
        in_flight(),
        unavailable(),
    ],
    ids=lambda response: response.content["reason"],
)
def test_reported_by_this_package(response: WebhookResponse) -> None:
    """Each reason that receivers of this package answer with is known."""
    assert reported(response.body) == (response.content["reason"], response.content["message"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no /hook/token-of-the-url",
        b"<title>no /hook/token-of-the-url</title>",
        b'{"message": "no token-of-the-url"}',
        b'{"reason": "signature-mismatch"}',
        b'{"reason": "signature-mismatch", "message": ["token-of-the-url"]}',
        b'{"reason": "token-of-the-url", "message": "no"}',
        b'{"reason": "Signature-Mismatch", "message": "no token-of-the-url"}',
        b'{"reason": ["signature-mismatch"], "message": "no"}',
        b'{"reason": 1, "message": "b"}',
        b'["reason", "message"]',
        b'"reason"',
        b"[" * 4096,
        b"\xff\x1b[2J",
    ],
)
@pytest.mark.parametrize(
    ("status", "message"),
    [
        (200, ""),
        (307, "HTTP 307 is a redirect, which is not followed"),
        (404, "the receiver answered HTTP 404"),
        (410, "the receiver answered HTTP 410"),
    ],
)
def test_said_by_a_stranger(body: bytes, status: int, message: str) -> None:
    """Any other answer is not quoted: it may repeat the path, which may have a token."""
    assert said(status, body) == ("", message)


def test_said_by_this_package() -> None:
    """A redirect says so, whatever is in it."""
    body = refusal(BodyTooLarge(7)).body

    assert said(413, body) == ("body-too-large", str(BodyTooLarge(7)))
    assert said(302, body)[1] == "HTTP 302 is a redirect, which is not followed"
    assert said(401, b'{"reason": "unknown-url", "message": ""}') == (
        "unknown-url",
        "the receiver answered HTTP 401",
    )


def test_attempt() -> None:
    """It is a value that jobs can pass on, and shows no answer."""
    attempt = Attempt(outcome="refused", id="1", status=500, answer=b"private", seconds=0.1)

    assert pickle.loads(pickle.dumps(attempt)) == attempt
    assert not attempt.is_delivered
    assert "private" not in repr(attempt)
    with pytest.raises(AttributeError):
        attempt.status = 200  # type: ignore[misc]
