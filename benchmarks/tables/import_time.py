"""How long the import takes, in fresh processes."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from statistics import quantiles

from benchmarks.comparison import Table
from benchmarks.measuring import Effort, interleave

TARGET = 5  # ms

TEXT = """\
Imports in a fresh process, their bytecode compiled before: the time above the modules of the
standard library that they use, which any web application has loaded anyway. `import
frappe_hooksig` alone loads nothing but itself: each name is imported when it is first used."""

STATEMENTS = {
    "`import frappe_hooksig`": "import frappe_hooksig",
    "a receiver's names": "from frappe_hooksig import Secret, VerificationError, Verifier",
    "a sender's names": "from frappe_hooksig import Secret, Signer, sign_payload",
    "all providers": "from frappe_hooksig import providers",
}

_USED = """\
import sys
before = set(sys.modules)
{statement}
print(*(name for name in sys.modules if name not in before and "frappe_hooksig" not in name))
"""

_TIMED = """\
import sys
from time import perf_counter_ns
for name in sys.argv[1:]:
    __import__(name)
start = perf_counter_ns()
{statement}
print((perf_counter_ns() - start) / 1000)
"""


def measure(effort: Effort) -> Table:
    """Return the table."""
    columns = ("", "ms", "half of rounds", "target", "met")
    table = Table(title="Import", text=TEXT, columns=columns)
    laps = [partial(_lap, statement, _used(statement)) for statement in STATEMENTS.values()]
    for title, times in zip(STATEMENTS, interleave(laps, effort.rounds), strict=True):
        low, median, high = quantiles((time / 1000 for time in times), n=4)
        table.lines.append(
            (
                title,
                f"{median:.2f}",
                f"{low:.2f} to {high:.2f}",
                f"≤ {TARGET}",
                table.verdict(median, TARGET),
            )
        )
    return table


def _used(statement: str) -> list[str]:
    return _output(_USED.format(statement=statement)).split()


def _lap(statement: str, used: list[str]) -> float:
    return float(_output(_TIMED.format(statement=statement), *used))


def _output(code: str, *arguments: str) -> str:
    # -I: neither the environment nor this folder changes what is imported.
    command = [sys.executable, "-I", "-c", code, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
