"""Tables as Markdown, for the screen and for docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.comparison import Table

_HEAD = """\
# Benchmarks

Written by `make bench`, on the machine named at the end; the code is in `benchmarks/`. With
`QUICK=1` it shows rougher numbers within a minute and writes nothing.

## How it was measured

- **Side by side.** In each round every contender of a row is timed once, each round in another
  order, with `time.perf_counter_ns()` around a loop of about 2.5 ms and without garbage
  collection. A row takes hundreds of rounds. What slows the machine down for a moment slows all
  contenders.
- **Ratios.** Our time is divided by theirs in each round; the table shows the median of these
  ratios and, under *half of rounds*, the quartiles between which half of the rounds lie. The
  times in µs are medians too. Trust a ratio more than a time: the times are this machine's on
  this day.
- **Same work.** All contenders of a row get the same body and the same headers object, signed by
  the same secret. Each is a function of body and headers, as an application has it.
- **Tried before timed.** Each must accept the genuine request, and refuse one whose body was
  changed and one that was signed with another secret. Otherwise the run ends with an error.
- *Target* is what this library aims at; *met* says whether this run met it.
"""


def markdown(table: Table) -> str:
    """Return a table with its heading and text, its columns aligned."""
    rows = [table.columns, *table.lines]
    widths = [max(len(row[index]) for row in rows) for index in range(len(table.columns))]

    def line(cells: Sequence[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return f"| {' | '.join(padded)} |"

    rule = f"|{'|'.join('-' * (width + 2) for width in widths)}|"
    lines = [line(table.columns), rule, *map(line, table.lines)]
    return "\n".join([f"## {table.title}", "", table.text, "", *lines, ""])


def page(tables: Sequence[Table], machine: Mapping[str, str]) -> str:
    """Return docs/benchmarks.md."""
    facts = Table(
        title="The machine",
        text="Everything runs on it, over loopback at most.",
        columns=("what", ""),
        lines=list(machine.items()),
    )
    return "\n".join([_HEAD, *map(markdown, [*tables, facts])])


def summary(tables: Sequence[Table]) -> str:
    """Return how many targets were met."""
    met = [each for table in tables for each in table.met]
    return f"{sum(met)} of {len(met)} targets met."
