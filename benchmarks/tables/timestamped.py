"""Schemes that sign a time, against the same checks by hand."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import by_hand
from benchmarks.comparison import Contender, Row, Table
from benchmarks.duel_table import compare
from benchmarks.measuring import Effort
from benchmarks.traffic import KIB, SECRET, WHSEC, document, requests, secret_of
from frappe_hooksig import VerificationError, Verifier
from frappe_hooksig.providers import SLACK, STANDARD_WEBHOOKS, STRIPE, WEBHOOK_TIMESTAMPED

TARGET = 1.25

TEXT = """\
1 KiB, accepted. By hand, the headers must be there, the time an integer no further than 300 s
from now, the entries are split where there are several, and the comparison is
`hmac.compare_digest()`."""


def measure(effort: Effort) -> Table:
    """Return the table."""
    return compare("Schemes that sign a time", TEXT, rows(), effort)


def rows() -> Iterator[Row]:
    """Return a row for each scheme."""
    key = SECRET.encode()
    for scheme, secret, hand in (
        (WEBHOOK_TIMESTAMPED, SECRET, by_hand.webhook_timestamped(key)),
        (STRIPE, secret_of(STRIPE), by_hand.stripe(secret_of(STRIPE).encode())),
        (SLACK, SECRET, by_hand.slack(key)),
        (STANDARD_WEBHOOKS, WHSEC, by_hand.standard_webhooks(WHSEC)),
    ):
        verifier = Verifier(secret, scheme=scheme)
        yield Row(
            title=f"`{scheme.name}`",
            requests=requests(scheme, document(KIB), secret),
            ours=Contender(name="ours", check=verifier.verify, refusal=VerificationError),
            others=(Contender(name="by hand", check=hand, refusal=by_hand.Refused, target=TARGET),),
        )
