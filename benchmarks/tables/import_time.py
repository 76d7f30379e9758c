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
`import frappe_hooksig` in a fresh process, its bytecode compiled before. *Above the standard
library* is what it takes once the modules of the standard library that it uses are there, as
they are in any web application."""

_USED = """\
import sys
before = set(sys.modules)
import frappe_hooksig
print(*(name for name in sys.modules if name not in before and "frappe_hooksig" not in name))
"""

_TIMED = """\
import sys
from time import perf_counter_ns
for name in sys.argv[1:]:
    __import__(name)
start = perf_counter_ns()
import frappe_hooksig
print((perf_counter_ns() - start) / 1000)
"""


def measure(effort: Effort) -> Table:
    """Return the table."""
    columns = ("", "ms", "half of rounds", "target", "met")
    table = Table(title="Import", text=TEXT, columns=columns)
    used = _output(_USED).split()
    laps = [partial(_lap, used), partial(_lap, [])]
    above, whole = interleave(laps, effort.rounds)
    for title, times, target in (
        ("above the standard library", above, TARGET),
        ("whole", whole, None),
    ):
        low, median, high = quantiles((time / 1000 for time in times), n=4)
        table.lines.append(
            (
                title,
                f"{median:.2f}",
                f"{low:.2f} to {high:.2f}",
                "" if target is None else f"≤ {target}",
                table.verdict(median, target),
            )
        )
    return table


def _lap(used: list[str]) -> float:
    return float(_output(_TIMED, *used))


def _output(code: str, *arguments: str) -> str:
    # -I: neither the environment nor this folder changes what is imported.
    command = [sys.executable, "-I", "-c", code, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
