"""How much memory verifying takes beside the body."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

from benchmarks.comparison import Table
from benchmarks.measuring import Effort
from benchmarks.tables.incremental import CHUNK, SIZE, chunks, incrementally, large_body
from benchmarks.traffic import KIB, SECRET, document, signed, size_name
from frappe_hooksig import Verifier
from frappe_hooksig.providers import FRAPPE

TARGET = 1024  # KiB

TEXT = """\
The most that Python had allocated at any moment of the call, above what it had before. A whole
body was there before; chunks come one after the other, so one or two of them count."""


def measure(effort: Effort) -> Table:  # noqa: ARG001  # the same each time
    """Return the table."""
    columns = ("", "extra memory, KiB", "target", "met")
    table = Table(title="Memory", text=TEXT, columns=columns)
    verifier = Verifier(SECRET)
    verify = incrementally(verifier)
    whole, large = signed(FRAPPE, document(KIB * KIB)), signed(FRAPPE, large_body())
    in_chunks = f"incremental, {size_name(SIZE)} in chunks of {size_name(CHUNK)}"
    calls: dict[str, tuple[Callable[[], object], float | None]] = {
        in_chunks: (lambda: verify(chunks(large.body), large.headers), TARGET),
        f"`verify()`, {size_name(KIB * KIB)}": (
            lambda: verifier.verify(whole.body, whole.headers),
            None,
        ),
    }
    for title, (call, target) in calls.items():
        extra = peak(call) / KIB
        target_cell = "" if target is None else f"≤ {target}"
        table.lines.append((title, f"{extra:.1f}", target_cell, table.verdict(extra, target)))
    return table


def peak(call: Callable[[], object]) -> int:
    """Return the most bytes that were allocated during a call, above those before it."""
    call()  # what is made once is there then
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
