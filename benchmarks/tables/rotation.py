"""Several secrets, the last of which matches, against a loop by hand."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import by_hand
from benchmarks.comparison import Contender, Row, Table
from benchmarks.duel_table import compare
from benchmarks.measuring import Effort
from benchmarks.traffic import KIB, SECRET, document, requests
from frappe_hooksig import VerificationError, Verifier, generate_secret
from frappe_hooksig.providers import FRAPPE

TEXT = """\
1 KiB, accepted by the last secret of so many. By hand, it is the three lines in a loop that
stops at a match; ours never stops early, which costs nothing here."""


def measure(effort: Effort) -> Table:
    """Return the table."""
    return compare("Several secrets", TEXT, rows(), effort)


def rows() -> Iterator[Row]:
    """Return a row for each number of secrets."""
    for number in (1, 2, 16):
        secrets = [*(generate_secret() for _ in range(number - 1)), SECRET]
        hand = by_hand.several([secret.encode() for secret in secrets])
        yield Row(
            title=str(number),
            requests=requests(FRAPPE, document(KIB)),
            ours=Contender(name="ours", check=Verifier(secrets).verify, refusal=VerificationError),
            others=(Contender(name="loop by hand", check=hand, refusal=by_hand.Refused),),
        )
