"""A body that comes in chunks, against `hmac.new()` and `update()` by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from benchmarks import by_hand
from benchmarks.comparison import Check, Contender, Requests, Row, Table
from benchmarks.duel_table import compare
from benchmarks.measuring import Effort
from benchmarks.traffic import KIB, SECRET, document, requests, size_name
from frappe_hooksig import VerificationError, Verifier
from frappe_hooksig.providers import FRAPPE

SIZE = 16 * KIB * KIB
CHUNK = 64 * KIB

TEXT = """\
`verifier.begin(headers)`, `update()` for each chunk, `finish()`. By hand, the three lines with
an `hmac` object that is updated. All chunks are one and the same piece of memory, which a
processor has at hand, as it has what was just received."""


def measure(effort: Effort) -> Table:
    """Return the table."""
    return compare("In chunks", TEXT, rows(), effort)


def rows() -> Iterator[Row]:
    """Return the row."""
    whole = requests(FRAPPE, large_body())
    genuine, *forged = (
        replace(each, body=_at_hand(each.body)) for each in (whole.genuine, *whole.forged)
    )
    yield Row(
        title=f"{size_name(SIZE)} in chunks of {size_name(CHUNK)}",
        requests=Requests(genuine, tuple(forged)),
        ours=Contender(
            name="ours", check=incrementally(Verifier(SECRET)), refusal=VerificationError
        ),
        others=(
            Contender(
                name="by hand",
                check=by_hand.in_chunks(SECRET.encode()),
                refusal=by_hand.Refused,
            ),
        ),
    )


def incrementally(verifier: Verifier) -> Check:
    """Return the check of a body that comes in chunks."""

    def verify(body: Sequence[bytes], headers: Any) -> object:
        verification = verifier.begin(headers)
        for chunk in body:
            verification.update(chunk)
        return verification.finish()

    return verify


def large_body() -> bytes:
    """Return a body whose chunks are all equal."""
    return document(CHUNK) * (SIZE // CHUNK)


def chunks(body: bytes) -> Iterator[bytes]:
    """Yield a body in pieces, as a server reads them."""
    for start in range(0, len(body), CHUNK):
        yield body[start : start + CHUNK]


def _at_hand(body: bytes) -> list[bytes]:
    """Return a body in pieces, of which equal ones are one object."""
    pieces: dict[bytes, bytes] = {}
    return [pieces.setdefault(piece, piece) for piece in chunks(body)]
