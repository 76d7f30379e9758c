"""Measure all tables, or those that are named; show them, and write docs/benchmarks.md.

Exits with status 1 if a contender cannot tell a genuine request from a forged one.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from importlib import import_module
from pathlib import Path

from benchmarks.comparison import Table
from benchmarks.guard import WrongVerdict
from benchmarks.machine import description
from benchmarks.measuring import FULL, QUICK
from benchmarks.report import markdown, page, summary
from frappe_hooksig import SecretWarning

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"

# The modules of benchmarks/tables, in the order of the page; each needs only what it compares.
TABLES = (
    "frappe",
    "refused",
    "header_types",
    "rotation",
    "timestamped",
    "providers",
    "peers",
    "incremental",
    "memory",
    "stores",
    "servers",
    "sending",
    "outbox",
    "delivery_service",
    "import_time",
)


def main() -> int:
    """Run; return the exit status."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="take few rounds, write nothing")
    parser.add_argument(
        "tables", nargs="*", help=f"some of {', '.join(TABLES)}: then nothing is written either"
    )
    options = parser.parse_args()
    if unknown := set(options.tables) - set(TABLES):
        parser.error(f"no tables {', '.join(sorted(unknown))}")
    effort = QUICK if options.quick else FULL
    tables: list[Table] = []
    for name in options.tables or TABLES:
        try:
            tables.append(import_module(f"benchmarks.tables.{name}").measure(effort))
        except WrongVerdict as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        print(markdown(tables[-1]), flush=True)
    print(summary(tables))
    if not options.quick and not options.tables:
        PAGE.write_text(page(tables, description()), "utf-8")
        print(f"Written to {PAGE}.")
    return 0


if __name__ == "__main__":
    warnings.simplefilter("error", SecretWarning)
    # It says of each delivery that an old secret signed it, which nobody else does.
    logging.getLogger("frappe_hooksig").disabled = True
    sys.exit(main())
