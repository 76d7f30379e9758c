"""Other libraries, each on its own scheme, against ours on that scheme and the same headers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Any

import gidgethub
import standardwebhooks
import stripe
import svix.webhooks
from gidgethub.sansio import validate_event
from itsdangerous import BadSignature, Signer, TimestampSigner
from slack_sdk.signature import SignatureVerifier

from benchmarks.comparison import Check, Contender, Request, Requests, Row, Table
from benchmarks.duel_table import compare
from benchmarks.measuring import Effort
from benchmarks.traffic import KIB, SECRET, WHSEC, document, requests, secret_of, size_name
from frappe_hooksig import Scheme, VerificationError, Verifier, generate_secret
from frappe_hooksig.providers import (
    GITHUB,
    SLACK,
    STANDARD_WEBHOOKS,
    STRIPE,
    WEBHOOK_HEX,
    WEBHOOK_TIMESTAMPED,
)

SIZES = (256, KIB, 64 * KIB)

TEXT = """\
Every library does what its documentation shows, with an object that is kept where it has one;
the headers are a dict. A factor above 1 means that ours is faster. Where a library parses the
JSON too, the row says so, and a second one sets ours with `delivery.json()` against it.

- standardwebhooks parses, unless it is told not to; svix no longer does. Both take the id, the
  time and the signature from any spelling of the header's name, as ours does, and copy the body.
- stripe takes the value of the header; `construct_event()` also makes an `Event` of the JSON.
- gidgethub takes the value of the header, which here is looked up with `headers[...]`; it signs
  no time, has one secret, and raises `KeyError` or `TypeError` for headers that ours explains.
- itsdangerous is no webhook library: value and signature come in one piece, in URL-safe base64,
  and `Signer` is set to HMAC-SHA256 without a derived key, so that the MAC is the same. What is
  timed is `unsign()`; `TimestampSigner` checks an age of at most 300 s, and ours the time in a
  header."""


def measure(effort: Effort) -> Table:
    """Return the table."""
    return compare("Other libraries", TEXT, rows(), effort, as_factor=True)


def rows() -> Iterator[Row]:
    """Return the rows of each library, one size after the other."""
    for size in SIZES:
        body = document(size)
        for library in (_standardwebhooks, _svix, _stripe, _slack, _gidgethub, _itsdangerous):
            for row in library(body):
                yield replace(row, title=f"{size_name(size)}, {row.title}")


def _standardwebhooks(body: bytes) -> Iterator[Row]:
    webhook = standardwebhooks.Webhook(WHSEC)

    def without_json(body: bytes, headers: Any) -> None:
        webhook.verify(body, headers, json_parse=False)

    refusal = standardwebhooks.WebhookVerificationError
    parsing = Contender(
        name="standardwebhooks, parsing", check=webhook.verify, refusal=refusal, target=3.0
    )
    quiet = Contender(name="standardwebhooks", check=without_json, refusal=refusal)
    yield _row(STANDARD_WEBHOOKS, body, parsing, quiet, secret=WHSEC)
    yield _row(STANDARD_WEBHOOKS, body, replace(parsing, target=None), secret=WHSEC, parse=True)


def _svix(body: bytes) -> Iterator[Row]:
    check, refusal = svix.webhooks.Webhook(WHSEC).verify, svix.webhooks.WebhookVerificationError
    contender = Contender(name="svix", check=check, refusal=refusal, target=3.0)
    yield _row(STANDARD_WEBHOOKS, body, contender, secret=WHSEC)


def _stripe(body: bytes) -> Iterator[Row]:
    secret = secret_of(STRIPE)

    def verify(body: bytes, headers: Any) -> None:
        # Its tolerance has no annotation.
        stripe.WebhookSignature.verify_header(  # pyright: ignore[reportUnknownMemberType]
            body, headers.get("Stripe-Signature"), secret, stripe.Webhook.DEFAULT_TOLERANCE
        )

    def construct(body: bytes, headers: Any) -> None:
        stripe.Webhook.construct_event(body, headers.get("Stripe-Signature"), secret)

    refusal = stripe.SignatureVerificationError
    contender = Contender(name="stripe", check=verify, refusal=refusal, target=2.0)
    yield _row(STRIPE, body, contender, secret=secret)
    event = Contender(name="stripe `construct_event()`", check=construct, refusal=refusal)
    yield _row(STRIPE, body, event, secret=secret, parse=True)


def _slack(body: bytes) -> Iterator[Row]:
    check = SignatureVerifier(SECRET).is_valid_request
    yield _row(SLACK, body, Contender(name="slack_sdk", check=check, refusal=None, target=1.1))


def _gidgethub(body: bytes) -> Iterator[Row]:
    def validate(body: bytes, headers: Any) -> None:
        validate_event(body, signature=headers["X-Hub-Signature-256"], secret=SECRET)

    refusal = gidgethub.ValidationFailure
    contender = Contender(name="gidgethub", check=validate, refusal=refusal, target=1.1)
    yield _row(GITHUB, body, contender)


def _itsdangerous(body: bytes) -> Iterator[Row]:
    def untimed(secret: str) -> Signer:
        return Signer(secret, key_derivation="none", digest_method=sha256)

    def timed(secret: str) -> TimestampSigner:
        return TimestampSigner(secret, key_derivation="none", digest_method=sha256)

    signer, timed_signer = untimed(SECRET), timed(SECRET)

    def unsign(signed: bytes, _headers: Any) -> None:
        signer.unsign(signed)

    def unsign_timed(signed: bytes, _headers: Any) -> None:
        timed_signer.unsign(signed, max_age=300)

    yield _row(WEBHOOK_HEX, body, _unsigner(unsign, untimed, body))
    yield _row(WEBHOOK_TIMESTAMPED, body, _unsigner(unsign_timed, timed, body))


def _unsigner(check: Check, signer: Callable[[str], Signer], body: bytes) -> Contender:
    """Return a contender that judges requests of its own: value and signature in one."""
    genuine = signer(SECRET).sign(body)
    forged = (genuine.replace(b"0", b"1", 1), signer(generate_secret()).sign(body))
    return Contender(
        name=f"itsdangerous `{type(signer(SECRET)).__name__}`",
        check=check,
        refusal=BadSignature,
        requests=Requests(Request(genuine, None), tuple(Request(each, None) for each in forged)),
    )


def _row(
    scheme: Scheme, body: bytes, *others: Contender, secret: str = SECRET, parse: bool = False
) -> Row:
    verifier = Verifier(secret, scheme=scheme)

    def verify_and_parse(body: bytes, headers: Any) -> None:
        verifier.verify(body, headers).json()

    if len(body) != KIB:  # where the targets hold
        others = tuple(replace(each, target=None) for each in others)
    return Row(
        title=f"`{scheme.name}`" + (" and `json()`" if parse else ""),
        requests=requests(scheme, body, secret),
        ours=Contender(
            name="ours",
            check=verify_and_parse if parse else verifier.verify,
            refusal=VerificationError,
        ),
        others=others,
    )
