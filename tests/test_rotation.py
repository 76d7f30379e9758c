"""Secrets that are used from a moment on, or until one: both sides go by their own clocks."""

from __future__ import annotations

import logging
import math
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from frappe_hooksig import (
    ConfigurationError,
    Scheme,
    Secret,
    Signer,
    VerificationError,
    Verifier,
    providers,
    sign_payload,
)

NEW = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
OLD = "8Kx2Wm5Rt9Yb3Nc6Vf1Zq4Hs"
CHANGE = 1_700_000_000
MOMENT = datetime.fromtimestamp(CHANGE, timezone.utc)
# A day in which both are good.
ROTATION = [
    Secret(NEW, id="new", not_before=CHANGE),
    Secret(OLD, id="old", not_after=CHANGE + 86400),
]
EACH_SCHEME = pytest.mark.parametrize(
    "scheme", [providers.FRAPPE, providers.STRIPE, providers.GITLAB], ids=lambda each: each.name
)


def signed_at(now: float, secret: Any, scheme: Scheme) -> Any:
    """Return what a sender sends at some time."""
    return Signer(secret, scheme=scheme, clock=lambda: now).sign(b"{}")


def outcome(
    now: float, signed: Any, scheme: Scheme, secrets: Any = ROTATION, *, in_pieces: bool = False
) -> str | None:
    """Return which secret a receiver finds at some time, or why it refuses."""
    verifier = Verifier(secrets, scheme=scheme, clock=lambda: now)
    try:
        if in_pieces:
            verification = verifier.begin(signed.headers)
            verification.update(signed.body)
            return verification.finish().secret_id
        return verifier.verify(signed.body, signed.headers).secret_id
    except VerificationError as error:
        return f"{error.reason} {error.message.partition(' ')[2]}"


EXPIRED = (
    "signature-mismatch matches a secret that is not valid now: check its not_before and not_after"
)


@EACH_SCHEME
@pytest.mark.parametrize("in_pieces", [False, True])
@pytest.mark.parametrize(
    ("after", "of_new", "of_old"),
    [
        (-86400, EXPIRED, "old"),
        (-0.001, EXPIRED, "old"),
        (0, "new", "old"),
        (86399, "new", "old"),
        (86400, "new", EXPIRED),
        (10 * 86400, "new", EXPIRED),
    ],
)
def test_window(scheme: Scheme, *, in_pieces: bool, after: float, of_new: str, of_old: str) -> None:
    """Each is good from its first moment on, and no more at its last one."""
    now = CHANGE + after

    found = [
        outcome(now, signed_at(now, secret, scheme), scheme, in_pieces=in_pieces)
        for secret in (NEW, OLD)
    ]

    assert found == [of_new, of_old]


@EACH_SCHEME
def test_nobody_elses(scheme: Scheme) -> None:
    """What no secret signed is not told to be an old secret's."""
    signed = signed_at(CHANGE, "Zb4Nk8Wd2Xq6Tm1Vr9Lc3Hp7", scheme)

    assert "not valid now" not in str(outcome(CHANGE - 5, signed, scheme))


@pytest.mark.parametrize("now", [math.nan, math.inf, -math.inf])
def test_broken_clock(now: float) -> None:
    """A clock that says nothing lets nothing in."""
    secret = Secret(NEW, not_before=0)
    verifier = Verifier(secret, clock=lambda: now)

    with pytest.raises(VerificationError, match="not valid now"):
        verifier.verify(b"{}", sign_payload(b"{}", NEW).headers)


@pytest.mark.parametrize(
    ("window", "found"),
    [
        ({"not_before": MOMENT}, "it"),
        ({"not_before": MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30)))}, "it"),
        ({"not_before": MOMENT + timedelta(microseconds=1)}, EXPIRED),
        ({"not_after": MOMENT}, EXPIRED),
        ({"not_after": MOMENT + timedelta(microseconds=1)}, "it"),
        ({"not_before": 0, "not_after": 1e300}, "it"),
    ],
)
def test_spellings(window: dict[str, Any], found: str) -> None:
    """A moment is Unix seconds, or a datetime that says where."""
    secrets = [Secret(NEW, id="it", **window)]

    assert outcome(CHANGE, sign_payload(b"{}", NEW), providers.FRAPPE, secrets) == found


@pytest.mark.parametrize("name", ["not_before", "not_after"])
@pytest.mark.parametrize(
    "moment", ["2026-11-22", MOMENT.replace(tzinfo=None), True, math.nan, math.inf, 10**400]
)
def test_no_moment(name: str, moment: Any) -> None:
    """What is no moment, or one that depends on where the server stands, is refused."""
    with pytest.raises(ConfigurationError, match=r"Unix seconds or a datetime with its time zone"):
        Secret(NEW, **{name: moment})


@pytest.mark.parametrize("end", [CHANGE, CHANGE - 1])
def test_never_valid(end: float) -> None:
    """A window in the wrong order is a mistake."""
    with pytest.raises(ConfigurationError, match="never valid: not_before must be earlier than"):
        Secret(NEW, not_before=CHANGE, not_after=end)


def test_window_is_a_part_of_it() -> None:
    """A setting whose window changes is another one."""
    assert Secret(NEW, not_after=5) != Secret(NEW, not_after=6)
    assert Secret(NEW, not_after=5) == Secret(NEW, not_after=5)
    assert hash(Secret(NEW, not_after=5)) == hash(Secret(NEW, not_after=5.0))


def test_sender_uses_those_that_are_valid() -> None:
    """The newest that is valid, or all of them where the header has room for several."""
    for scheme, counts in [(providers.GITHUB, [1, 1, 1]), (providers.STRIPE, [1, 2, 1])]:
        found = []
        for now in (CHANGE - 1, CHANGE, CHANGE + 86400):
            signed = signed_at(now, ROTATION, scheme)
            names = [outcome(now, signed, scheme)]
            found.append((names[0], str(signed.headers).count(scheme.prefix)))
        newest = ["old", "new", "new"]
        assert found == list(zip(newest, counts, strict=True))


def test_sender_without_a_valid_secret() -> None:
    """Nothing is sent unsigned, and nothing with a secret whose time is over."""
    with pytest.raises(ConfigurationError, match="no secret is valid now: check their not_before"):
        signed_at(CHANGE, Secret(OLD, not_after=CHANGE), providers.FRAPPE)


def lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what is logged of deliveries."""
    return [record for record in caplog.records if "delivery" in record.getMessage()]


class TestLog:
    """The line that says that a sender still has the old secret."""

    @EACH_SCHEME
    def test_old(self, scheme: Scheme, caplog: pytest.LogCaptureFixture) -> None:
        """One line, with the name and nothing of the secret."""
        outcome(CHANGE, signed_at(CHANGE, OLD, scheme), scheme)

        (record,) = lines(caplog)
        assert (record.name, record.levelno) == ("frappe_hooksig", logging.WARNING)
        assert record.getMessage() == (
            f"scheme {scheme.name!r}: a delivery was signed with the secret 'old' only, which is "
            "not the newest secret"
        )

    def test_both(self, caplog: pytest.LogCaptureFixture) -> None:
        """Who signs with both has the new one."""
        scheme = providers.STRIPE
        outcome(CHANGE, signed_at(CHANGE, [NEW, OLD], scheme), scheme)

        assert not lines(caplog)

    def test_only_valid_one(self, caplog: pytest.LogCaptureFixture) -> None:
        """Before the new one is valid, the old one is the newest."""
        outcome(CHANGE - 1, signed_at(CHANGE, OLD, providers.FRAPPE), providers.FRAPPE)

        assert not lines(caplog)

    def test_forged(self, caplog: pytest.LogCaptureFixture) -> None:
        """What nobody signed writes nothing."""
        outcome(
            CHANGE,
            signed_at(CHANGE, "Zb4Nk8Wd2Xq6Tm1Vr9Lc3Hp7", providers.FRAPPE),
            providers.FRAPPE,
        )

        assert not lines(caplog)
