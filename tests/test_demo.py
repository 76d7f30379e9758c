"""The demo: what `make demo` runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.loopback import ROOT
from tests.vectors import frappe_captures

DEMO = ROOT / "examples" / "demo"


def demo(folder: Path = DEMO) -> subprocess.CompletedProcess[str]:
    """Run it in a process of its own, with warnings as errors."""
    return subprocess.run(
        [sys.executable, "-W", "error", str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_demo() -> None:
    """Every answer is the right one, and the table says so."""
    ran = demo()

    assert ran.returncode == 0, ran.stderr
    assert "12 of 12 responses are right." in ran.stdout
    assert "expected" not in ran.stdout
    assert "<-" not in ran.stdout
    assert "3 orders, each handled to its end once." in ran.stdout
    assert "1 event, delivered, and handled once; 1 that was rolled back, never sent." in ran.stdout
    for version in ("13.58.21", "14.81.1", "15.40.3", "16.0.0-dev"):
        assert f"genuine, Frappe {version}" in ran.stdout


def test_wrong_answer(tmp_path: Path) -> None:
    """An answer that is not the expected one is pointed out, and the status is 1."""
    for path in DEMO.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    captures = json.loads((DEMO / "captures.json").read_text("utf-8"))
    captures["captures"][0]["body_b64"] = "e30="
    (tmp_path / "captures.json").write_text(json.dumps(captures), "utf-8")

    ran = demo(tmp_path)

    assert ran.returncode == 1
    assert "11 of 12 responses are right." in ran.stdout
    (wrong,) = (line for line in ran.stdout.splitlines() if "expected" in line)
    assert wrong.split()[:2] == ["genuine,", "Frappe"]
    assert wrong.endswith("<- expected 200 current")


@pytest.mark.long
def test_event_that_does_not_arrive(tmp_path: Path) -> None:
    """If the receiver refuses the event, the steps are pointed out, and the status is 1."""
    for path in DEMO.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    code = (DEMO / "delivering.py").read_text("utf-8")
    wrong = code.replace("receiver(secret,", "receiver(generate_secret('whsec'),")
    hasty = wrong.replace("PATIENCE = 30", "PATIENCE = 1")
    (tmp_path / "delivering.py").write_text(hasty, "utf-8")

    ran = demo(tmp_path)

    assert ran.returncode == 1
    assert ran.stdout.count("  <- wrong") == 2
    assert "1 event, not as it must be;" in ran.stdout


def test_requests_are_real() -> None:
    """What the demo calls genuine is what the sites sent."""
    captures = json.loads((DEMO / "captures.json").read_text("utf-8"))["captures"]
    known = {vector.id: vector for vector in frappe_captures()}

    for capture in captures:
        assert tuple(map(tuple, capture["headers"])) == known[capture["id"]].headers
