"""Requests that are refused, against the same check by hand."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks import by_hand
from benchmarks.comparison import Check, Contender, Request, Row, Table
from benchmarks.duel_table import compare
from benchmarks.measuring import Effort
from benchmarks.traffic import KIB, SECRET, document, requests, signed
from frappe_hooksig import Scheme, VerificationError, Verifier, generate_secret
from frappe_hooksig.providers import FRAPPE, WEBHOOK_TIMESTAMPED

TEXT = """\
1 KiB unless it is said, up to the exception. By hand, it is the three lines with a look at the
header first, and an exception of one's own. Ours says more: a mismatch is compared with five
wrong spellings of the right signature before it is called one, and an absent header is looked
for in every spelling a dict may have it in. A time is judged after the signature; by hand
before."""


def measure(effort: Effort) -> Table:
    """Return the table."""
    return compare("Refused", TEXT, rows(), effort)


def rows() -> Iterator[Row]:
    """Return a row for each reason."""
    body, by_careful = document(KIB), by_hand.careful(SECRET.encode())
    genuine = signed(FRAPPE, body)
    unsigned = {name: value for name, value in genuine.headers.items() if name != by_hand.SIGNATURE}
    yield _row("missing header", FRAPPE, by_careful, Request(body, unsigned))
    malformed = {**genuine.headers, by_hand.SIGNATURE: "\u00e9" * 44}
    yield _row("malformed header", FRAPPE, by_careful, Request(body, malformed))
    yield _row("mismatch", FRAPPE, by_careful, signed(FRAPPE, body, generate_secret()))
    large = document(KIB * KIB)
    yield _row("mismatch, 1 MiB", FRAPPE, by_careful, signed(FRAPPE, large, generate_secret()))
    old = signed(WEBHOOK_TIMESTAMPED, body, timestamp=time.time() - 2 * by_hand.TOLERANCE)
    by_timestamped = by_hand.webhook_timestamped(SECRET.encode())
    yield _row("too old", WEBHOOK_TIMESTAMPED, by_timestamped, old)


def _row(title: str, scheme: Scheme, hand: Check, refused: Request) -> Row:
    verifier = Verifier(SECRET, scheme=scheme)
    return Row(
        title=title,
        requests=requests(scheme, refused.body),
        ours=Contender(name="ours", check=verifier.verify, refusal=VerificationError),
        others=(Contender(name="by hand", check=hand, refusal=by_hand.Refused),),
        refused=refused,
    )
