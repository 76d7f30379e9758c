"""Every provider, against what a person would write for it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks import by_hand, written_out
from benchmarks.comparison import Contender, Row, Table
from benchmarks.duel_table import compare
from benchmarks.measuring import Effort
from benchmarks.traffic import KIB, METHOD, URL, document, requests, secret_of
from frappe_hooksig import VerificationError, Verifier, providers

TARGET = 1.10
TARGET_WITH_TIME_OR_ID = 1.25

TEXT = """\
1 KiB, accepted. *By hand* is written from the scheme's fields into a function of ten lines or so,
with names and formats as constants: see `benchmarks/written_out.py`. It checks what ours checks: a
signature is ASCII, a time has exactly its format, an id none of the characters that join it to its
neighbours, a header of entries one time and no more signatures than it may have, and of several
signatures each is compared. It checks less in three ways: it does not look for a header that came
twice in another spelling, it knows one URL, and it takes signatures of any length. Where the secret
itself is sent, nothing has to be computed, and what is measured is the reading of headers: look at
the time, not the ratio."""


def measure(effort: Effort) -> Table:
    """Return the table."""
    return compare("Providers", TEXT, rows(), effort)


def rows() -> Iterator[Row]:
    """Return a row for each provider."""
    for scheme in map(providers.get, providers.names()):
        secret = secret_of(scheme)
        verify = Verifier(secret, scheme=scheme, url=URL if scheme.signs_url else None).verify
        if "{method}" in scheme.signed:
            verify = partial(verify, method=METHOD)
        hand = written_out.by_hand(scheme, secret)
        target: float | None = TARGET
        if scheme.signs_timestamp or scheme.id_header:
            target = TARGET_WITH_TIME_OR_ID
        elif not scheme.signs_body:
            target = None
        yield Row(
            title=f"`{scheme.name}`",
            requests=requests(scheme, document(KIB), secret),
            ours=Contender(name="ours", check=verify, refusal=VerificationError),
            others=(Contender(name="by hand", check=hand, refusal=by_hand.Refused, target=target),),
        )
