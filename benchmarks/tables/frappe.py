"""Frappe's requests in five sizes, against the three lines that people write by hand."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import by_hand
from benchmarks.comparison import Contender, Row, Table
from benchmarks.duel_table import compare
from benchmarks.measuring import Effort
from benchmarks.traffic import KIB, SECRET, document, requests, size_name
from frappe_hooksig import VerificationError, Verifier, providers

# The largest body of each size, in bytes, and the ratio to code by hand that is aimed at.
TARGETS = {256: 0.90, KIB: 0.92, 4 * KIB: 0.95, 64 * KIB: 1.02, KIB * KIB: 1.02}

TEXT = """\
The whole of `Verifier.verify(body, headers)`, with eight headers in a dict as Frappe sends them.
*Three lines* is what people write by hand: `headers.get()`,
`base64.b64encode(hmac.new(...).digest())`, `hmac.compare_digest()`. *Careful* looks at the header
before that, and gives reasons. *Bare* is the least there is: `hmac.digest()`, base64 and
`compare_digest()`, for a header that must be there. None of them sees a header that came twice,
as ours does."""


def measure(effort: Effort) -> Table:
    """Return the table."""
    return compare("Frappe, accepted", TEXT, rows(), effort)


def rows() -> Iterator[Row]:
    """Return a row for each size."""
    verifier = Verifier(SECRET)
    for size, target in TARGETS.items():
        yield Row(
            title=size_name(size),
            requests=requests(providers.FRAPPE, document(size)),
            ours=Contender(name="ours", check=verifier.verify, refusal=VerificationError),
            others=(
                Contender(
                    name="three lines",
                    check=by_hand.three_lines(SECRET.encode()),
                    refusal=by_hand.Refused,
                    target=target,
                ),
                Contender(
                    name="careful",
                    check=by_hand.careful(SECRET.encode()),
                    refusal=by_hand.Refused,
                    target=target,
                ),
                Contender(
                    name="bare", check=by_hand.bare(SECRET.encode()), refusal=by_hand.Refused
                ),
            ),
        )
