"""Rows made into a table: each contender tried out, timed, and set against us."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.comparison import Row, Table
from benchmarks.guard import try_out
from benchmarks.measuring import Effort, duels


def compare(
    title: str, text: str, rows: Iterable[Row], effort: Effort, *, as_factor: bool = False
) -> Table:
    """Measure the rows of a table, one after the other.

    Args:
        title: The table's heading.
        text: What stands above it.
        rows: What to compare; taken when its turn comes, as signed times grow old.
        effort: How long to measure.
        as_factor: Whether it shows how many times as fast as the other we are, instead of how many
            times as long we take.

    Raises:
        WrongVerdict: A contender cannot tell a genuine request from a forged one.
    """
    ratio_name = "theirs / ours" if as_factor else "ours / theirs"
    columns = (
        "",
        "ours, µs",
        "against",
        "theirs, µs",
        ratio_name,
        "half of rounds",
        "target",
        "met",
    )
    table = Table(title=title, text=text, columns=columns)
    for row in rows:
        try_out(row)
        for duel in duels(row, effort):
            ratio = duel.ratio.inverse() if as_factor else duel.ratio
            target = duel.theirs.target
            sign = "≥" if as_factor else "≤"
            table.lines.append(
                (
                    row.title,
                    f"{duel.our_time:.2f}",
                    duel.theirs.name,
                    f"{duel.their_time:.2f}",
                    f"{ratio.median:.2f}",
                    ratio.quartiles,
                    "" if target is None else f"{sign} {target:.2f}",
                    table.verdict(ratio.median, target, at_least=as_factor),
                )
            )
    return table
