"""Fuzz all targets, or those that are named. Exits with status 1 if something escapes."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from math import inf
from textwrap import indent

from fuzz.campaign import Found, Tally, processes, quieten, repeat, run, table, targets
from fuzz.carriers import MISSING

_SEED = 1
_SECONDS = 90.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; return the exit status."""
    options = _parser().parse_args(arguments)
    quieten()
    names = options.targets or [*targets()]
    if unknown := set(names) - set(targets()):
        print(f"no target {', '.join(sorted(unknown))}; there are {', '.join(targets())}")
        return 2
    if options.case is not None:
        return _repeat(names, options.seed, options.case)
    count = inf if options.count is None else options.count
    seconds = options.seconds
    if seconds is None:
        seconds = _SECONDS if options.count is None else inf
    print(f"seed {options.seed}, {len(names)} targets, {options.jobs} processes", flush=True)
    for name in MISSING:
        print(f"{name} is not installed here: its headers are left out")
    start = time.perf_counter()
    rows: list[tuple[str, Tally]] = []
    each = {"count": count, "seconds": seconds / len(names)}
    with processes(options.jobs) as pool:
        for name in names:
            tally = run(name, options.seed, jobs=options.jobs, pool=pool, **each)
            rows.append((name, tally))
            for found in tally.found:
                _show(name, options.seed, found)
    took = time.perf_counter() - start
    print(table(rows))
    cases, escapes = (sum(getattr(row, of) for _, row in rows) for of in ("cases", "escapes"))
    print(f"{cases} cases in {took:.0f} s, {cases / took:.0f} a second; {escapes} escapes")
    return 1 if escapes else 0


def _repeat(names: Sequence[str], seed: int, number: int) -> int:
    escapes = 0
    for name in names:
        found, outcome = repeat(name, seed, number)
        _show(name, seed, found, outcome)
        escapes += bool(found.problem)
    return 1 if escapes else 0


def _show(name: str, seed: int, found: Found, outcome: str = "") -> None:
    lines = [
        f"{name}, case {found.number}: {outcome or f'ESCAPE: {found.problem}'}",
        f"    again: make fuzz TARGETS={name} SEED={seed} CASE={found.number}",
        indent(found.case, "    "),
        indent(found.setting, "    "),
    ]
    # In ASCII, so that every terminal shows it, and it can be copied.
    print("\n".join(lines).encode("ascii", "backslashreplace").decode(), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=_SEED, help="what the cases are made from (%(default)s)"
    )
    parser.add_argument("--count", type=int, help="how many cases of each target")
    parser.add_argument(
        "--seconds", type=float, help=f"how long all of it takes ({_SECONDS:g}, if no --count)"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="how many processes (%(default)s)"
    )
    parser.add_argument("--case", type=int, help="judge this one again, and show it")
    parser.add_argument("targets", nargs="*", help=f"some of {', '.join(targets())}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
