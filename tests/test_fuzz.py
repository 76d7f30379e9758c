"""The fuzzer runs, accepts and refuses, and finds what it looks for."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fuzz.__main__ import main
from fuzz.campaign import repeat, run, targets
from fuzz.carriers import CARRIERS, MISSING
from fuzz.layouts import SCHEMES
from fuzz.oracle import Message, mac, read_seconds

from frappe_hooksig import Scheme, Verifier, cli, delivery, providers, scheme, timestamp, verify

ROOT = Path(__file__).parents[1]
SEED = 20_260_722
COUNT = 300


@pytest.mark.parametrize("name", targets())
def test_target(name: str) -> None:
    """Nothing escapes; some is accepted, some is refused."""
    tally = run(name, SEED, count=COUNT)

    assert tally.found == []
    assert tally.cases == COUNT
    assert 0 < tally.outcomes["accepted"] < COUNT


def test_every_provider_is_a_target() -> None:
    """A new provider is fuzzed from its first day, and names of targets are unique."""
    assert {*providers.names()} < {*targets()}
    assert len(targets()) == len(SCHEMES) + 6


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
    monkeypatch.setattr(verify, "compare_digest", lambda *_: True)

    assert [repeat("stripe", SEED, number)[0].case for number in (0, 63, 64, 1000)] == before
    assert [repeat("stripe", 2, number)[0].case for number in (0, 63, 64, 1000)] != before


def _raise(*_: object, **__: object) -> Any:
    raise ValueError


def _with_body(self: Any) -> bytes:
    return bytes(self._body[:-1])


def _forgetful_seams(_: object) -> Any:
    return iter(())


# What breaks the package, by the target that finds it and what it says.
SABOTAGE: list[tuple[str, str, object, str, object]] = [
    ("frappe", "no configured secret", verify, "compare_digest", lambda *_: True),
    ("stripe", "genuine, but refused", verify, "compare_digest", lambda *_: False),
    ("slack", "ValueError", Scheme, "parse", _raise),
    ("github", "ValueError", Verifier, "_mistake", _raise),
    ("github", "another body came out", delivery.Delivery, "body", property(_with_body)),
    ("webhook-timestamped", "out of tolerance", verify, "isfinite", None),
    ("standard-webhooks", "nobody signed that", Scheme, "is_id", lambda *_: True),
    ("webhook-hex", "came twice", scheme.Header, "doubled", None),
    ("github", "in chunks", verify.Verification, "finish", _raise),
    ("one-header", "but it holds", scheme.Header, "find", lambda *_: "x"),
    ("all-headers", "ValueError", scheme.Header, "find", _raise),
    ("times", "but it is", timestamp, "_DIGITS", {"unix": (9, 1), "unix-ms": (13, 1000)}),
    ("secrets", "stands for no key", verify, "redacted", None),
    ("schemes", "is accepted", scheme, "_SEAMS", {("id", "body"), ("body", "method")}),
    ("command-line", "exit status", cli, "_verify", lambda _: (0, "verified")),
    ("command-line", "ValueError", cli, "_split_request", _raise),
]
