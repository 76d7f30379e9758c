"""The fuzzer runs, accepts and refuses, and finds what it looks for."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from fuzz.__main__ import main
from fuzz.campaign import repeat, run, targets
from fuzz.carriers import CARRIERS, MISSING
from fuzz.layouts import SCHEMES
from fuzz.oracle import Message, mac, read_seconds
from fuzz.requests import NOW

from frappe_hooksig import (
    ConfigurationError,
    Delivery,
    Reason,
    Verification,
    VerificationError,
    _compiled,
    _keys,
    _template,
    _timestamp,
    _wire,
    providers,
    secret,
)
from frappe_hooksig._headers import Header
from frappe_hooksig._matching import Matcher
from frappe_hooksig._wire import Wire
from frappe_hooksig.cli import _verify as verify_command
from tests.selection import FULL

ROOT = Path(__file__).parents[1]
SEED = 20_260_722
COUNT = 150


@pytest.fixture(autouse=True)
def _log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the log be as it was, once the fuzzer has silenced it."""
    monkeypatch.setattr(logging.getLogger("frappe_hooksig"), "disabled", False)


@pytest.mark.parametrize("name", targets())
def test_target(name: str) -> None:
    """Nothing escapes; some is accepted, some is refused."""
    tally = run(name, SEED, count=COUNT)

    assert tally.found == []
    assert tally.cases == COUNT
    assert 0 < tally.outcomes["accepted"] < COUNT


@pytest.mark.stress
def test_both_ways() -> None:
    """The short way of usual requests ends like the long way of all, for many requests."""
    tally = run("both-ways", SEED, count=200_000 if FULL else 3_000)

    assert tally.found == []


def test_every_provider_is_a_target() -> None:
    """A new provider is fuzzed from its first day, and names of targets are unique."""
    assert {*providers.names()} < {*targets()}
    assert len(targets()) == len(SCHEMES) + 7


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    """It says the seed, a line for each target, and the sum; both processes do their share."""
    status = main(["--seed", "5", "--count", "200", "--jobs", "2", "github", "times"])
    first, *_, github, times, last = capsys.readouterr().out.splitlines()

    assert status == 0
    assert first == "seed 5, 2 targets, 2 processes"
    assert github.split()[:2] == ["github", "200"]
    assert times.split()[:2] == ["times", "200"]
    assert last.startswith("400 cases in ")
    assert last.endswith("; 0 escapes")


def test_command_bounded_by_time() -> None:
    """`python -m fuzz` ends when its time is over."""
    command = [sys.executable, "-m", "fuzz", "--seconds", "0.2", "--jobs", "1", "slack"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_unknown_target(capsys: pytest.CaptureFixture[str]) -> None:
    """A target that there is not is wrong use, and those there are are named."""
    assert main(["no-such"]) == 2
    assert "no target no-such; there are frappe" in capsys.readouterr().out


def test_missing_frameworks() -> None:
    """What is not installed is said, and left out."""
    for framework in ("starlette", "werkzeug"):
        assert (framework in MISSING) is not (framework in CARRIERS)


def test_same_cases_whatever_the_package_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A case depends on seed, target and number alone."""
    before = [repeat("stripe", SEED, number)[0].case for number in (0, 63, 64, 1000)]
    monkeypatch.setattr(Matcher, "_matching_keys", first_key)

    assert [repeat("stripe", SEED, number)[0].case for number in (0, 63, 64, 1000)] == before
    assert [repeat("stripe", 2, number)[0].case for number in (0, 63, 64, 1000)] != before


def raise_value_error(*_: object, **__: object) -> Any:
    raise ValueError


def first_value(_: object, values: list[Any]) -> object:
    return values[0] if values else None


def show_the_mac(_: object, macs: Any, _signatures: object) -> Any:
    raise VerificationError(Reason.SIGNATURE_MISMATCH, "X-Signed", macs[0].digest().hex())


def show_the_secret(value: Any) -> Any:
    raise ConfigurationError(str(value))


def half_a_body(self: Any) -> bytes:
    return bytes(self._body[1:])


def first_key(matcher: Any, *_: object) -> Any:
    return matcher.keys[:1]


def no_key(*_: object) -> Any:
    return []


def any_time(*_: object) -> float:
    return NOW


# What breaks the package: the target that finds it, and what it says.
SABOTAGE: dict[str, tuple[str, object, str, object, str]] = {
    "all signatures are right": (
        *("frappe", Matcher, "_matching_keys", first_key),
        "no configured secret gives such a signature",
    ),
    "no signature is right": (
        *("stripe", Matcher, "_matching_keys", no_key),
        "in chunks",
    ),
    "another exception from parse": (
        "slack",
        Wire,
        "_read_signature",
        raise_value_error,
        "ValueError",
    ),
    "another exception for a wrong signature": (
        *("github", Matcher, "_matching_keys", raise_value_error),
        "ValueError",
    ),
    "other in chunks": ("github", Verification, "update", lambda *_: None, "in chunks"),
    "another body": ("github", Delivery, "body", property(half_a_body), "another body came out"),
    "any time is now": ("slack", _wire, "read_time", any_time, "no configured secret"),
    "ids with separators": ("time-before-id", Wire, "is_id", lambda *_: True, "nobody signed"),
    "one of two headers": ("webhook-hex", Header, "_only", first_value, "came twice"),
    "the MAC in the error": ("frappe", Matcher, "_matching_keys", show_the_mac, "the error shows"),
    "a short way that accepts all": (
        *("both-ways", _compiled, "compare_digest", lambda *_: True),
        "the short way ends with ('accepted'",
    ),
    "another header": ("one-header", Header, "find", lambda *_: "x", "but it holds"),
    "a bare hash of any bytes": (
        *("bare-hash", _keys.TextHash, "is_text", True),
        "no configured secret gives such a signature",
    ),
    "no headers": ("all-headers", Header, "find", lambda *_: None, "written by format()"),
    "other digits": ("times", _timestamp, "_SECONDS", 9, "read as"),
    "any text is base64": ("secrets", _keys, "strength", lambda *_: 32, "stands for no key"),
    "the secret in the error": ("secrets", secret, "as_bytes", show_the_secret, "shown by"),
    "seams without a text": (
        *("schemes", _template, "_SEAMS", {*product(("id", "body", "timestamp"), repeat=2)}),
        "is accepted",
    ),
    "a command that verifies all": (
        *("command-line", Matcher, "_matching_keys", first_key),
        "verified, but no secret",
    ),
    "a command with a traceback": (
        *("command-line", verify_command, "split_request", raise_value_error),
        "ValueError",
    ),
}


@pytest.mark.parametrize("kind", SABOTAGE)
def test_sabotage(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What breaks the package is found, shown with all it takes to repeat it, and repeated."""
    name, place, attribute, broken, problem = SABOTAGE[kind]
    monkeypatch.setattr(place, attribute, broken)

    assert main(["--seed", "1", "--count", "1000", "--jobs", "1", name]) == 1
    shown = capsys.readouterr().out
    assert problem in shown
    found = rf"case (\d+): ESCAPE: .*{re.escape(problem)}.*\n.*\n    (.*)"
    again = re.search(found, shown)
    assert again is not None
    assert main(["--seed", "1", "--case", again[1], name]) == 1
    repeated = capsys.readouterr().out
    assert problem in repeated
    assert again[2] in repeated


@pytest.mark.parametrize(
    ("text", "spelling", "seconds"),
    [
        ("1700000000", "unix", 1_700_000_000),
        ("1700000000123", "unix-ms", 1_700_000_000.123),
        ("2023-11-14T22:13:20Z", "rfc3339", 1_700_000_000),
        ("2024-02-29T23:59:59.5-00:30", "rfc3339", 1_709_252_999.5),
        ("2023-02-29T00:00:00Z", "rfc3339", None),
        ("１７００００００００", "unix", None),
    ],
)
def test_oracle_of_times(text: str, spelling: str, seconds: float | None) -> None:
    """The oracle knows the calendar; the numbers are those of GNU date."""
    assert read_seconds(text, spelling) == seconds


def test_oracle_of_signatures() -> None:
    """The oracle computes what openssl does: as in tests/test_providers.py."""
    code = mac(providers.WEBHOOK_HEX, b"Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4", Message(b'{"a": 1}'))

    assert code.hex() == "b085d5b0bfca07178a0bab203428f508b38d412d7d1eda6d1d729ad9ce7654e6"
