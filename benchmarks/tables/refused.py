"""Requests that are refused, against the same check by hand."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from benchmarks import by_hand
from benchmarks.comparison import Check, Contender, Request, Row, Table
from benchmarks.duel_table import compare
from benchmarks.measuring import Effort
from benchmarks.traffic import (
    KIB,
    SECRET,
    document,
    requests,
    secret_of,
    signed,
    size_name,
)
from frappe_hooksig import Scheme, VerificationError, Verifier, generate_secret
from frappe_hooksig.providers import (
    CALENDLY,
    DOCUSIGN,
    FRAPPE,
    GITLAB,
    PADDLE,
    STANDARD_WEBHOOKS,
    TWITCH,
    WEBHOOK_TIMESTAMPED,
)

TEXT = """\
1 KiB unless it is said, up to the exception. By hand, it is the three lines with a look at the
header first, and an exception of one's own. Ours says more: a mismatch is compared with five
wrong spellings of the right signature before it is called one, and an absent header is looked
for in every spelling a dict may have it in. A time is judged after the signature; by hand
before.

The rows with a provider's name have the slowest hostile headers of bounded size that are known,
against an ordinary request of the same sender that is accepted. A server accepts lines of 8 KiB,
and hundreds of them."""

_LINE = 8 * KIB  # the longest line that servers accept
_FACTOR = 50.0  # how many ordinary requests a hostile header may cost


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
    forged = signed(FRAPPE, large, generate_secret())
    yield _row("mismatch, 1 MiB", FRAPPE, by_careful, forged, target=1.05)
    old = signed(WEBHOOK_TIMESTAMPED, body, timestamp=time.time() - 2 * by_hand.TOLERANCE)
    by_timestamped = by_hand.webhook_timestamped(SECRET.encode())
    yield _row("too old", WEBHOOK_TIMESTAMPED, by_timestamped, old)
    for title, scheme, headers in _hostile():
        yield _hostile_row(title, scheme, Request(body, headers))


def _hostile() -> Iterator[tuple[str, Scheme, dict[str, str]]]:
    """Yield hostile headers: what is special about them, the scheme, and what they are."""
    mac = "0" * 64
    for scheme in (CALENDLY, PADDLE, STANDARD_WEBHOOKS):
        name, separator = scheme.signature_headers[0], scheme.separator
        yield "8 KiB of separators", scheme, {name: separator * _LINE}
    full = ["t=1700000000", *[f"v1={mac}"] * 16, *["x" * 100] * 60]
    yield "as many entries as it may have", CALENDLY, {CALENDLY.header_names[0]: ",".join(full)}
    yield "8 KiB of one entry", CALENDLY, {CALENDLY.header_names[0]: f"v1={'0' * (_LINE - 3)}"}
    yield "signature of 8 KiB", FRAPPE, {FRAPPE.header_names[0]: "0" * _LINE}
    yield "token of 8 KiB", GITLAB, {GITLAB.header_names[0]: "0" * _LINE}
    for size in (44, 128, _LINE):
        title = f"100 headers of {size_name(size)}"
        yield title, DOCUSIGN, dict.fromkeys(DOCUSIGN.signature_headers, "0" * size)
    signature, moment, each_id = TWITCH.header_names
    right = {signature: f"sha256={mac}", moment: "2026-11-28T00:00:00Z", each_id: "1"}
    yield "time of 8 KiB", TWITCH, {**right, moment: "2026-11-28T00:00:00." + "0" * (_LINE - 20)}
    yield "id of 8 KiB", TWITCH, {**right, each_id: "0" * _LINE}


def _hostile_row(title: str, scheme: Scheme, refused: Request) -> Row:
    secret = secret_of(scheme)
    ours = Contender(
        name="ours", check=Verifier(secret, scheme=scheme).verify, refusal=VerificationError
    )
    return Row(
        title=f"`{scheme.name}`, {title}",
        requests=requests(scheme, refused.body, secret),
        ours=ours,
        others=(replace(ours, name="ordinary request", is_ordinary=True, target=_FACTOR),),
        refused=refused,
    )


def _row(
    title: str, scheme: Scheme, hand: Check, refused: Request, *, target: float | None = None
) -> Row:
    verifier = Verifier(SECRET, scheme=scheme)
    return Row(
        title=title,
        requests=requests(scheme, refused.body),
        ours=Contender(name="ours", check=verifier.verify, refusal=VerificationError),
        others=(Contender(name="by hand", check=hand, refusal=by_hand.Refused, target=target),),
        refused=refused,
    )
