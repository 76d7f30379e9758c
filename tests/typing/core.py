"""What type checkers make of the core. Checked, never run."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
from flask import request
from starlette.requests import Request
from typing_extensions import assert_type
from werkzeug.datastructures import Headers

import frappe_hooksig
from frappe_hooksig import (
    Delivery,
    Reason,
    Scheme,
    Secret,
    SignedPayload,
    Signer,
    Verification,
    VerificationError,
    VerifiedRequest,
    Verifier,
    providers,
    sign_payload,
    verify_payload,
)
from frappe_hooksig.freshness import body_time

verifier = Verifier("secret")
Verifier(b"secret")
Verifier(Secret("secret"))
Verifier(["new", Secret("old"), b"older"])
Verifier(("new", "old"), scheme=providers.STRIPE, tolerance=60.0, max_body=10, clock=lambda: 0)
Verifier("secret", timestamp_from=body_time(time_zone="Asia/Kolkata"))
Verifier("secret", timestamp_from=lambda delivery: delivery.json().get("at"))
Verifier("secret", timestamp_from=lambda delivery: delivery.id)  # type: ignore[arg-type,return-value]  # pyright: ignore[reportArgumentType]
Verifier("secret", scheme=providers.SHOPIFY, unsigned_events=["orders/create"])
Verifier("secret", scheme=providers.SHOPIFY, unsigned_events=("orders/create",))
Verifier("secret", unsigned_events=[b"orders/create"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
Verifier("secret", secret="twice")  # type: ignore[misc]  # pyright: ignore[reportCallIssue]
Verifier(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

assert_type(verifier.verify(b"", {}), Delivery)
assert_type(verify_payload(b"", {}, "secret"), Delivery)
verification = verifier.begin({})
assert_type(verification, Verification)
assert_type(verification.update(memoryview(b"")), None)
assert_type(verification.finish(), VerifiedRequest)
assert_type(verification.verify(b""), Delivery)
verification.update("")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
verifier.verify("", {})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def every_kind_of_headers(
    mapping: Mapping[str, str],
    http: httpx.Request,
    starlette: Request,
    werkzeug: Headers,
    pairs: list[tuple[str, str]],
    raw: list[tuple[bytes, bytes]],
    absent: dict[str, str | None],
) -> None:
    """Each of them can be handed over as it is."""
    verifier.verify(b"", {"X-A": "b"})
    verifier.verify(b"", mapping)
    verifier.verify(b"", request.headers)
    verifier.verify(b"", http.headers)
    verifier.verify(b"", starlette.headers)
    verifier.verify(b"", werkzeug)
    verifier.verify(b"", pairs)
    verifier.verify(b"", raw)
    verifier.verify(b"", absent)
    verifier.verify(b"", 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def what_a_handler_gets(delivery: Delivery) -> None:
    """Names and types of a delivery."""
    assert_type(delivery.body, bytes)
    assert_type(delivery.scheme, Scheme)
    assert_type(delivery.secret_id, "str | None")
    assert_type(delivery.id, "str | None")
    assert_type(delivery.timestamp, "float | None")
    assert_type(delivery.dedup_key, str)
    assert_type(delivery.unsigned_event, "str | None")
    delivery.body = b""  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def what_an_error_says(error: VerificationError) -> None:
    """Names and types of an error."""
    assert_type(error.reason, Reason)
    assert_type(error.header, "str | None")
    assert_type(error.status, int)
    assert_type(error.message, str)


signed = sign_payload({"a": [1, None]}, "secret")
assert_type(signed, SignedPayload)
assert_type(signed.body, bytes)
assert_type(signed.headers, dict[str, str])
assert_type(signed.signature, str)
assert_type(Signer("secret").sign(b""), SignedPayload)
sign_payload({1, 2}, "secret")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

GITHUB: Scheme = providers.get("github")
frappe_hooksig.nonsense()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
Scheme(name="x", signature_header="X")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Scheme(name="x", signature_header="", encoding="b32")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
