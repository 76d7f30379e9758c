"""What was found, as tables for the screen and for docs/interop.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from interop.comparison import Result
from interop.deviations import Difference, Window
from interop.library import Library, Registry

_HEAD = """\
# Interop

Do our schemes agree with the vendors' own libraries? `make interop` installs those that PyPI and
npm have (for GitHub in Python, Meta, Paystack and Twitch: one that is widely used), in the
versions below, and lets each sign what we verify and verify what we sign.
`make interop WRITE=1` writes this page; without, the run fails if it comes to anything else than
what stands here. The code is in `interop/`.

## What was run

- **The same bodies for all**, drawn anew for each library from a seed: random text in several
  scripts, bytes that are no UTF-8, a byte order mark, NUL, CR and LF, lone quotes, `$&` and other
  things that a replacement would expand, characters beyond the BMP, 1 MiB, nothing at all. Each
  with a secret, an id and a URL of its own. A library that takes nothing but JSON gets the text
  in a JSON string.
- **Theirs to ours**: the library signs, both verify. **Ours to theirs**: we sign, both verify.
- **Cases** are genuine requests that the other side accepted. **Left out** are bodies of a kind
  that the library does not take, which is tried too.
- **Refused** are requests in which one part was changed: a bit of the body, a letter of the
  signature, the secret, the time, the id, the URL; and those signed 12 hours ago. Each was refused
  by both.
- All clocks are stopped at the same second, so that a boundary is hit exactly.
"""

_DIFFERENCES = """\
## Where they differ

Requests that are nearly as they should be: rightly signed, but spelled in another way, by somebody
who knows the secret or has seen a genuine request. *Raises* means that the library ends in an error
of the language instead of its own refusal: a receiver that handles only that answers with a 500.
"""

_WINDOWS = """\
## Times

How far a signed time may be from now. *Any* means that a day was not too far.
"""

_ABSENT = """\
## What was not run

"""


@dataclass
class Findings:
    """All that a run has found.

    Attributes:
        results: Of both directions of each library.
        differences: Of each library.
        windows: Of ours and of each library whose scheme signs a time.
        absent: Libraries that were not run, and why.
        unmatched: Schemes that no library was found for.
        problems: What must not be, by library or whatever else it is about.
    """

    results: list[Result] = field(default_factory=list[Result])
    differences: list[tuple[Library, Difference]] = field(
        default_factory=list[tuple[Library, Difference]]
    )
    windows: list[tuple[Library, Window, Window]] = field(
        default_factory=list[tuple[Library, Window, Window]]
    )
    absent: Mapping[tuple[Registry, str], str] = field(
        default_factory=dict[tuple[Registry, str], str]
    )
    unmatched: Sequence[str] = ()
    problems: list[str] = field(default_factory=list[str])


def results_table(findings: Findings) -> str:
    """Return what each library was run with."""
    rows = [
        (
            result.library.facts.name,
            result.library.version,
            f"`{result.library.facts.provider}`",
            result.direction,
            str(result.cases),
            str(result.left_out or ""),
            str(result.refused),
            "no" if result.problems else "yes",
        )
        for result in findings.results
    ]
    head = ("library", "version", "scheme", "direction", "cases", "left out", "refused", "agree")
    return _table(head, rows)


def differences_table(findings: Findings) -> str:
    """Return what is said differently, and by whom."""
    libraries: dict[Difference, list[str]] = {}
    for library, difference in findings.differences:
        name = f"{library.facts.name}, `{library.facts.provider}`"
        libraries.setdefault(difference, []).append(name)
    rows = [
        (each.what, each.ours, each.theirs, "; ".join(names)) for each, names in libraries.items()
    ]
    return _table(("request", "ours", "theirs", "libraries"), sorted(rows))


def page(findings: Findings) -> str:
    """Return docs/interop.md."""
    parts = [
        _HEAD,
        results_table(findings),
        _calls(findings.results),
        _DIFFERENCES,
        differences_table(findings),
        _WINDOWS,
        _windows_table(findings),
        _ABSENT + _absent(findings),
    ]
    return "\n".join(parts)


def _calls(results: Iterable[Result]) -> str:
    rows: dict[str, tuple[str, str, str]] = {}
    for result in results:
        facts = result.library.facts
        row = (facts.name, f"`{facts.call}`", f"`{facts.signs_with}`" if facts.signs_with else "")
        rows[facts.name] = row
    return _table(("library", "verifies with", "signs with"), list(rows.values()))


def _windows_table(findings: Findings) -> str:
    rows = [
        (
            library.facts.name,
            f"`{library.facts.provider}`",
            _distance(ours.ago),
            _distance(theirs.ago),
            _distance(ours.ahead),
            _distance(theirs.ahead),
        )
        for library, ours, theirs in findings.windows
    ]
    head = ("library", "scheme", "ago: ours", "theirs", "ahead: ours", "theirs")
    return _table(head, rows)


def _distance(seconds: int | None) -> str:
    return "any" if seconds is None else f"{seconds} s"


def _absent(findings: Findings) -> str:
    reasons: dict[str, list[str]] = {}
    for (registry, package), reason in findings.absent.items():
        reasons.setdefault(reason, []).append(f"{package} ({registry})")
    rows = [(reason, ", ".join(packages)) for reason, packages in reasons.items()]
    text = _table(("why", "libraries"), rows)
    if findings.unmatched:
        names = ", ".join(f"`{name}`" for name in findings.unmatched)
        text += f"\nSchemes that no library on PyPI or npm was found for: {names}.\n"
    return text


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table, its columns aligned, the last one as it comes."""
    cells = [head, *rows]
    widths = [max(len(row[index]) for row in cells) for index in range(len(head) - 1)]

    def line(row: Sequence[str]) -> str:
        padded = [cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)]
        return f"| {' | '.join(padded)} |"

    rule = f"|{'|'.join('-' * (width + 2) for width in [*widths, len(head[-1])])}|"
    return "\n".join([line(head), rule, *map(line, rows), ""])
