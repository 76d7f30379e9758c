"""Exceptions: what they say, carry and survive."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from frappe_hooksig import (
    BodyTooLarge,
    ConfigurationError,
    EndpointNotActive,
    HooksigError,
    MalformedPayload,
    PayloadError,
    RawBodyUnavailable,
    Reason,
    TimestampOutOfTolerance,
    UnknownRecord,
    VerificationError,
)

EVERY = [
    ConfigurationError("no secret"),
    EndpointNotActive("ep_1", "paused"),
    PayloadError("a set"),
    MalformedPayload("not JSON"),
    RawBodyUnavailable("gone"),
    VerificationError(Reason.MISSING_HEADER, "X-Signature"),
    VerificationError(Reason.MALFORMED_HEADER, "X-Signature", "it is empty"),
    TimestampOutOfTolerance(301.0, 300, "X-Time"),
    BodyTooLarge(10),
    UnknownRecord("delivery", 7),
]


@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_pickle(error: HooksigError) -> None:
    """An exception that crosses a process boundary is the same afterwards."""
    again = pickle.loads(pickle.dumps(error))

    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_one_to_catch(error: HooksigError) -> None:
    """HooksigError catches them all."""
    assert isinstance(error, HooksigError)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (UnknownRecord("endpoint", "ep_1"), "there is no endpoint 'ep_1'"),
        (UnknownRecord("message", "a\n\x1b\ud800"), "there is no message 'a\\n\\x1b\\ud800'"),
        (UnknownRecord("message", "x" * 1000), f"there is no message '{'x' * 64}'"),
        (UnknownRecord("delivery", 7), "there is no delivery 7"),
        (UnknownRecord("delivery", 10**5000), "there is no delivery with such an id (int)"),
        (UnknownRecord("endpoint", None), "there is no endpoint with such an id (NoneType)"),
    ],
    ids=["text", "control characters", "long", "number", "large", "neither"],
)
def test_unknown_record(error: UnknownRecord, sentence: str) -> None:
    """It says what there is not, and nothing in the id controls a terminal or fills a log."""
    assert isinstance(error, ConfigurationError)
    assert str(error) == sentence


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            VerificationError(Reason.MISSING_HEADER, "X-A"),
            "no X-A header: the request is unsigned, or a proxy dropped it",
        ),
        (
            VerificationError(Reason.MALFORMED_HEADER, "X-A", "it is empty"),
            "X-A cannot be read: it is empty",
        ),
        (
            VerificationError(Reason.DUPLICATE_HEADER, "X-A"),
            "X-A occurs more than once (a server may have joined the two with a comma)",
        ),
        (
            VerificationError(Reason.WRONG_ENCODING, "X-A", "hex"),
            "X-A holds the right signature, but as hex",
        ),
        (
            VerificationError(Reason.SIGNATURE_MISMATCH, "X-A"),
            "X-A does not match the body: another secret was used, "
            "or the body was changed or serialised anew after signing",
        ),
        (
            VerificationError(Reason.MALFORMED_TIMESTAMP, "X-A", "10 digits"),
            "the timestamp in X-A is not 10 digits",
        ),
        (
            TimestampOutOfTolerance(301.4, 300, "X-A"),
            "the timestamp in X-A is 301 s ago, tolerance 300 s",
        ),
        (
            TimestampOutOfTolerance(-3600, 0.5, "X-A"),
            "the timestamp in X-A is 3600 s ahead of this clock, tolerance 0.5 s",
        ),
        (
            VerificationError(Reason.MALFORMED_TIMESTAMP, detail="there"),
            "the timestamp in the body is not there",
        ),
        (
            TimestampOutOfTolerance(90_000, 86_400),
            "the timestamp in the body is 90000 s ago, tolerance 86400 s",
        ),
        (
            BodyTooLarge(1024),
            "the body is larger than 1024 bytes (max_body, or the app's own limit)",
        ),
    ],
    ids=lambda value: value.reason.value if isinstance(value, VerificationError) else "",
)
def test_sentence(error: VerificationError, sentence: str) -> None:
    """Each refusal names the header or the option to look at, and its numbers have units."""
    assert str(error) == error.message == sentence


STATUSES = {
    Reason.MALFORMED_HEADER: 400,
    Reason.DUPLICATE_HEADER: 400,
    Reason.MALFORMED_TIMESTAMP: 400,
    Reason.BODY_TOO_LARGE: 413,
}


@pytest.mark.parametrize("reason", Reason)
def test_status(reason: Reason) -> None:
    """Malformed requests are answered with 400, large ones with 413, the others with 401."""
    assert VerificationError(reason).status == reason.status == STATUSES.get(reason, 401)


@pytest.mark.parametrize(
    ("age", "reason"),
    [(300.1, Reason.TIMESTAMP_TOO_OLD), (-300.1, Reason.TIMESTAMP_IN_FUTURE)],
)
def test_timestamp_reason(age: float, reason: Reason) -> None:
    """The sign of the age decides the reason."""
    assert TimestampOutOfTolerance(age, 300).reason is reason


def test_reason_is_its_code() -> None:
    """A Reason can be compared, formatted and logged as its code."""
    assert {"missing-header": 1}[Reason.MISSING_HEADER] == 1
    assert f"{Reason.MISSING_HEADER}" == "missing-header"
    assert str(Reason.MISSING_HEADER) == "missing-header"


def test_reasons_are_documented() -> None:
    """docs/reasons.md has an address for every reason of a response, and for no other."""
    root = Path(__file__).parents[1]
    page = (root / "docs" / "reasons.md").read_text("utf-8")
    headings = re.findall(r"^### (.*)\n\n\*\*(\d+)\.\*\*", page, re.MULTILINE)
    responses = {
        "malformed-payload": "400",
        "in-flight": "409",
        "store-unavailable": "503",
        "receiver-failed": "500",
    }

    assert dict(headings) == {reason.value: str(reason.status) for reason in Reason} | responses
    assert len(headings) == page.count("\n### ")
    # GitHub and Sphinx make the address of a heading alike if it has no more than this.
    assert all(re.fullmatch("[a-z]+(-[a-z]+)*", reason) for reason, _ in headings)
