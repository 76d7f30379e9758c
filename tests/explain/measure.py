"""How much `explain()` finds in the corpus: `python -m tests.explain.measure --per-cause 50`."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

from frappe_hooksig import SecretWarning
from tests.explain import corpus
from tests.explain.draft import Mismatch, spellings


class Finding(Protocol):
    """One finding of an explanation."""

    @property
    def code(self) -> str: ...
    @property
    def also_codes(self) -> Sequence[str]: ...
    @property
    def is_proved(self) -> bool: ...


class Explanation(Protocol):
    """What `explain()` returns."""

    @property
    def verdict(self) -> str: ...
    @property
    def findings(self) -> Sequence[Finding]: ...


@dataclass
class Row:
    """What was counted for one cause.

    Attributes:
        total: The number of requests.
        first: In how many a right code is the first finding's.
        among: In how many a right code is among the findings.
        proved: In how many a right code is that of a proved finding.
        complete: In how many each mistake is named.
        seconds: How long each took.
        misses: The ids without a right first answer, with what was answered.
        leaks: The ids of requests whose explanation shows a secret or a MAC.
    """

    total: int = 0
    first: int = 0
    among: int = 0
    proved: int = 0
    complete: int = 0
    seconds: list[float] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)

    def add(self, request: Mismatch, found: Explanation, seconds: float) -> None:
        """Count one request."""
        names = [{each.code, *each.also_codes} for each in found.findings]
        codes = set().union(*names)
        is_first = bool(names) and bool(names[0] & request.codes)
        self.total += 1
        self.leaks += [request.id] * bool(shown(request, found))
        self.seconds.append(seconds)
        self.first += is_first
        self.among += bool(codes & request.codes)
        self.proved += any(
            each.is_proved and name & request.codes
            for each, name in zip(found.findings, names, strict=True)
        )
        self.complete += all(codes & part for part in request.parts)
        if not is_first:
            given = ", ".join(each.code + "!" * each.is_proved for each in found.findings)
            self.misses.append(f"{request.id} ({request.scheme.name}): {given or found.verdict}")


def measured(explain: Callable[..., Explanation], request: Mismatch) -> tuple[Explanation, float]:
    """Explain one request. Return the explanation, and how many seconds it took."""
    started = time.perf_counter()
    found = explain(
        request.body,
        request.headers,
        request.secret,
        scheme=request.scheme,
        method=request.method,
        url=request.url,
        now=request.now,
        also=request.also,
    )
    return found, time.perf_counter() - started


def counted(explain: Callable[..., Explanation], requests: Iterable[Mismatch]) -> dict[str, Row]:
    """Explain requests, and count by cause."""
    rows: dict[str, Row] = defaultdict(Row)
    for request in requests:
        rows[request.cause].add(request, *measured(explain, request))
    return dict(rows)


def summed(rows: Iterable[Row]) -> Row:
    """Return the totals of rows."""
    total = Row()
    for row in rows:
        total.total += row.total
        total.first += row.first
        total.among += row.among
        total.proved += row.proved
        total.complete += row.complete
        total.seconds += row.seconds
        total.misses += row.misses
        total.leaks += row.leaks
    return total


def shown(request: Mismatch, found: Explanation) -> list[str]:
    """Return the secrets and MACs that an explanation shows, in any encoding."""
    names = ("code", "also_codes", "title", "evidence", "remedy")
    texts = [str(getattr(each, name, "")) for each in found.findings for name in names]
    text = "\n".join([repr(found), str(found), *texts]).casefold()
    return [
        spelling
        for raw in request.hidden
        for spelling in {raw.decode("latin-1"), *spellings(raw)}
        if spelling.casefold() in text
    ]


def line(name: str, row: Row) -> str:
    """Return a row as text: per cent, then milliseconds."""
    shares = (row.first, row.among, row.proved, row.complete)
    texts = [f"{100 * share / row.total:6.1f}" for share in shares]
    slow = 1000 * max(row.seconds)
    usual = 1000 * sorted(row.seconds)[len(row.seconds) // 2]
    return f"{name:<52} {row.total:>6} {' '.join(texts)} {usual:>8.1f} {slow:>8.1f}"


def claims(explain: Callable[..., Explanation], requests: Iterable[Mismatch]) -> list[str]:
    """Return the ids of requests of which something is claimed as proved, with the codes."""
    found: list[str] = []
    for request in requests:
        explanation, _ = measured(explain, request)
        proved = [each.code for each in explanation.findings if each.is_proved]
        if proved or explanation.verdict == "genuine":
            found.append(f"{request.id} ({request.scheme.name}): {proved or explanation.verdict}")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures. Return 0 if nothing is claimed without a proof, and nothing is shown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--per-cause", type=int, default=50, metavar="N")
    parser.add_argument("--without", type=int, default=20_000, metavar="N")
    parser.add_argument("--only", default="", help="causes whose names contain this text")
    parser.add_argument("--misses", type=int, default=3, metavar="N", help="shown of each cause")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore", SecretWarning)
    module = importlib.import_module("frappe_hooksig.explain")
    explain = cast("Callable[..., Explanation]", module.explain)
    write = sys.stdout.write
    leaks: list[str] = []
    for title, requests in (
        ("singles", corpus.singles(options.seed, options.per_cause)),
        ("pairs", corpus.pairs(options.seed, options.per_cause)),
        ("hints", corpus.hints(options.seed, options.per_cause)),
        ("beyond", corpus.beyond(options.seed, options.per_cause)),
    ):
        wanted = (each for each in requests if options.only in each.cause)
        rows = counted(explain, wanted)
        heads = ("first", "among", "proved", "all of")
        titles = " ".join(f"{head:>6}" for head in heads)
        write(f"\n{title:<52} {'number':>6} {titles} {'median ms':>8} {'max':>7}\n")
        for name, row in rows.items():
            write(line(name, row) + "\n")
            for miss in row.misses[: options.misses]:
                write(f"    {miss}\n")
        if rows:
            total = summed(rows.values())
            leaks += total.leaks
            write(line(f"all {len(rows)} {title}", total) + "\n")
    wrong = [
        verdict
        for request in corpus.genuine(options.seed, options.per_cause)
        if (verdict := measured(explain, request)[0].verdict) != "genuine"
    ]
    write(f"\ngenuine, called something else: {len(wrong)} of {options.per_cause}\n")
    claimed = claims(explain, corpus.without_cause(options.seed, options.without))
    write(f"without a cause, claimed as proved: {len(claimed)} of {options.without}\n")
    write(f"a secret or a MAC is shown: {len(leaks)} {leaks[:10]}\n")
    for text in claimed[: 10 * options.misses]:
        write(f"    {text}\n")
    return 1 if claimed or wrong or leaks else 0


if __name__ == "__main__":
    sys.exit(main())
