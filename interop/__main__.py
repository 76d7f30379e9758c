"""Compare our schemes with the vendors' own libraries, all of them or those that are named.

Exits with status 1 if one disagrees, was overlooked or has no provider, or if docs/interop.md says
something else than what was found.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from frappe_hooksig import ConfigurationError, SecretWarning, providers
from interop import npm, pypi
from interop.absent import ABSENT
from interop.comparison import compare
from interop.deviations import WrongVerdict, differences, windows
from interop.library import Library
from interop.registry import overlooked
from interop.report import Findings, differences_table, page, results_table
from interop.requests import NOW

PAGE = Path(__file__).parents[1] / "docs" / "interop.md"
SEED = 1


def main() -> int:
    """Run; return the exit status."""
    parser = argparse.ArgumentParser(prog="interop", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=SEED, help="draw other bodies, and leave the page alone"
    )
    parser.add_argument("--write", action="store_true", help="write docs/interop.md")
    parser.add_argument("packages", nargs="*", help="some of them: then the page is left alone")
    options = parser.parse_args()
    known = {facts.package for facts in (*pypi.FACTS, *npm.FACTS)}
    if unknown := set(options.packages) - known:
        parser.error(
            f"no packages {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}"
        )
    started = time.monotonic()
    travel: Any = import_module("time_machine").travel
    with npm.libraries() as from_npm, travel(NOW, tick=False):
        chosen = [
            library
            for library in (*pypi.libraries(), *from_npm)
            if not options.packages or library.facts.package in options.packages
        ]
        findings = look(chosen, options.seed)
    findings.absent = ABSENT
    findings.problems += overlooked()
    run = {library.facts.provider for library in chosen}
    findings.unmatched = [name for name in providers.names() if name not in run]
    print(results_table(findings))
    print(differences_table(findings))
    if not options.packages and options.seed == SEED and not findings.problems:
        settle(findings, write=options.write)
    for problem in findings.problems:
        print(problem, file=sys.stderr)
    cases = sum(result.cases for result in findings.results)
    refused = sum(result.refused for result in findings.results)
    print(
        f"{len({each.facts.name for each in chosen})} libraries, "
        f"{cases} requests accepted, {refused} refused, "
        f"{len(findings.problems)} problems, {time.monotonic() - started:.0f} s"
    )
    return 1 if findings.problems else 0


def look(libraries: Iterable[Library], seed: int) -> Findings:
    """Return what comes of each library."""
    findings = Findings()
    for library in libraries:
        about = f"{library.facts.name}, {library.facts.provider}"
        try:
            for result in compare(library, seed):
                findings.results.append(result)
                problems = [f"{about}, {result.direction}: {each}" for each in result.problems]
                findings.problems += problems[:10]
                if len(problems) > len(problems[:10]):
                    findings.problems.append(f"{about}: and {len(problems) - 10} more")
            findings.differences += [(library, each) for each in differences(library)]
            if both := windows(library):
                findings.windows.append((library, *both))
        except (ConfigurationError, WrongVerdict) as error:  # such as: no provider has this name
            findings.problems.append(f"{about}: {error}")
    return findings


def settle(findings: Findings, *, write: bool) -> None:
    """Write the page, or note that it says something else."""
    text = page(findings)
    if write:
        PAGE.write_text(text, "utf-8")
        print(f"Written to {PAGE}.")
    elif not PAGE.exists() or PAGE.read_text("utf-8") != text:
        findings.problems.append(
            f"{PAGE} says something else: make interop WRITE=1, and look at it"
        )


if __name__ == "__main__":
    warnings.simplefilter("error", SecretWarning)
    sys.exit(main())
