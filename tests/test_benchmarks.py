"""The benchmarks run: contenders are tried out, timed in turn, and shown in a table."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.__main__ import TABLES
from benchmarks.comparison import Row
from benchmarks.duel_table import compare
from benchmarks.guard import WrongVerdict, try_out
from benchmarks.measuring import Effort, duels, interleave
from benchmarks.report import markdown, page, summary
from benchmarks.tables import frappe, providers, refused

ROOT = Path(__file__).parents[1]
INSTANT = Effort(seconds=0, rounds=1)


@pytest.fixture
def row() -> Row:
    return next(frappe.rows())


def test_table(row: Row) -> None:
    """A row becomes a line for each other contender, with a target where there is one."""
    table = compare("Frappe", "In short.", [row], INSTANT)
    lines = markdown(table).splitlines()

    assert lines[:3] == ["## Frappe", "", "In short."]
    assert [line.count("|") for line in lines[4:9]] == [len(table.columns) + 1] * 5
    assert len({len(line) for line in lines[4:9]}) == 1
    assert [line[0] for line in table.lines] == ["256 B"] * 3
    assert [line[6] for line in table.lines] == ["≤ 0.90", "≤ 0.90", ""]
    assert summary([table]) == f"{table.met.count(True)} of 2 targets met."
    assert page([table], {"processor": "abacus"}).count("abacus") == 1


def test_what_a_person_would_write() -> None:
    """For every provider it tells a genuine request from a forged one, as ours does."""
    for each in providers.rows():  # signed when its turn comes
        try_out(each)


def test_what_is_refused_is_timed() -> None:
    """A hostile request is timed against an ordinary one, which is accepted."""
    *_, hostile = refused.rows()
    (duel,) = duels(hostile, INSTANT)

    assert duel.theirs.name == "ordinary request"
    assert duel.our_time > 0
    assert duel.their_time > 0


def test_rounds_take_turns() -> None:
    """Every contender is timed once in each round, and each is first in its turn."""
    order: list[int] = []

    def lap(index: int) -> float:
        order.append(index)
        return index

    times = interleave([lambda: lap(0), lambda: lap(1)], 3)

    assert times == [[0, 0, 0], [1, 1, 1]]
    assert order == [0, 1, 1, 0, 0, 1]


def test_contender_that_accepts_everything(row: Row) -> None:
    """It is found out before it is timed."""
    gullible = replace(row, others=(replace(row.others[0], check=lambda *_: True),))

    with pytest.raises(WrongVerdict, match="three lines accepts a forged request"):
        compare("", "", [gullible], INSTANT)


def test_contender_that_refuses_everything(row: Row) -> None:
    """It is found out too."""
    stubborn = replace(row.others[0], check=lambda *_: False, refusal=None)

    with pytest.raises(WrongVerdict, match="three lines refuses the genuine request"):
        try_out(replace(row, others=(stubborn,)))


def test_every_table_is_run() -> None:
    """A module in benchmarks/tables has its place on the page."""
    modules = {path.stem for path in (ROOT / "benchmarks" / "tables").glob("*.py")} - {"__init__"}

    assert sorted(TABLES) == sorted(modules)


def test_quick_run() -> None:
    """The command shows what it is asked for, and leaves the page alone."""
    page = ROOT / "docs" / "benchmarks.md"
    before = page.stat().st_mtime_ns
    command = [sys.executable, "-m", "benchmarks", "--quick", "rotation"]
    run = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=120)

    assert run.stdout.count("| loop by hand |") == 3
    assert page.stat().st_mtime_ns == before
