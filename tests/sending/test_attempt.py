"""Reading what a receiver answers."""

from __future__ import annotations

import pickle

import pytest

from frappe_hooksig.sending import Attempt
from frappe_hooksig.sending._attempt import described, retry_after

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
    ("body", "reason", "message"),
    [
        (b"", "", ""),
        (b'{"reason": "a", "message": "b"}', "a", "b"),
        (b'{"reason": "\\u001b", "message": "\\n"}', "\\x1b", "\\n"),
        (b'{"reason": 1, "message": "b"}', "", '{"reason": 1, "message": "b"}'),
        (b'["reason", "message"]', "", '["reason", "message"]'),
        (b"[" * 4096, "", "[" * 200 + "..."),
        (b'{"reason": "%b", "message": "b"}' % (b"r" * 999), "r" * 200 + "...", "b"),
        (b'{"reason": "a", "message": "%b"}' % (b"m" * 999), "a", "m" * 600 + "..."),
        (b"\xff\x1b[2J", "", "\\ufffd\\x1b[2J"),
        (b"<html><title>\n KeyError: &#39;a&#39;</title>", "", "KeyError: 'a'"),
    ],
)
def test_described(body: bytes, reason: str, message: str) -> None:
    """What an answer says is printable, bounded, and the receiver's own reason if it has one."""
    assert described(body) == (reason, message)


def test_attempt() -> None:
    """It is a value that jobs can pass on, and shows no answer."""
    attempt = Attempt(outcome="refused", id="1", status=500, answer=b"private", seconds=0.1)

    assert pickle.loads(pickle.dumps(attempt)) == attempt
    assert not attempt.is_delivered
    assert "private" not in repr(attempt)
    with pytest.raises(AttributeError):
        attempt.status = 200  # type: ignore[misc]
