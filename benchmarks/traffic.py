"""The requests that contenders judge: bodies of a given size, headers as senders have them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.comparison import Request, Requests
from frappe_hooksig import Scheme, Signer, generate_secret

SECRET = "S6D3Kvx1yMJ8Hv5Gm2QzTn4wRb7LpXce"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HEX = "1f8b03c9d27ae46550b19f3cd8e7720a64fd91b8253ce07a"
METHOD = "POST"
URL = "https://example.com/hook"
KIB = 1024

# What Frappe sends beside its signature, as in tests/vectors/frappe-captures.json.
_BESIDE = {
    "Host": "127.0.0.1:8000",
    "User-Agent": "python-requests/2.32.5",
    "Accept-Encoding": "gzip, deflate, br",
    "Accept": "*/*",
    "Connection": "keep-alive",
    "Content-Type": "application/json",
}


def size_name(size: int) -> str:
    """Return a number of bytes as people say it."""
    for unit, name in ((KIB * KIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} B"


def document(size: int) -> bytes:
    """Return a JSON document of exactly so many bytes, at least 200: an order with its items."""
    order: dict[str, Any] = {
        "id": "evt_00001",
        "object": "event",
        "doctype": "Sales Order",
        "name": "SO-00001",
        "items": [],
        "remarks": "",
    }
    item = {"item_code": "BOLT-M8", "qty": 12.0, "rate": 0.35, "warehouse": "Stores - F"}
    length = len(json.dumps(item)) + len(", ")
    order["items"] = [item] * ((size - len(json.dumps(order))) // length)
    order["remarks"] = "." * (size - len(json.dumps(order)))
    return json.dumps(order).encode()


def secret_of(scheme: Scheme) -> str:
    """Return a secret as the sender writes its own."""
    first, *_ = scheme.secret_formats
    if first == "text":
        return scheme.secret_prefix + SECRET
    return {"hex": HEX, "base64": WHSEC.removeprefix("whsec_"), "whsec": WHSEC}[first]


def requests(scheme: Scheme, body: bytes, secret: str = SECRET) -> Requests:
    """Return a genuine request, one whose body was changed, and one signed with another secret.

    Where the secret itself is sent, another body is no forgery that could be seen.
    """
    genuine = signed(scheme, body, secret)
    other = scheme.secret_prefix if scheme.secret_formats[0] == "text" else ""
    strangers = signed(scheme, body, other + generate_secret(scheme.secret_format))
    changed = replace(genuine, body=body.replace(b"0", b"1", 1))
    return Requests(genuine, (changed, strangers) if scheme.signs_body else (strangers,))


def signed(
    scheme: Scheme, body: bytes, secret: str = SECRET, timestamp: float | None = None
) -> Request:
    """Return a request as a sender makes it, its signature between other headers."""
    signer = Signer(secret, scheme=scheme)
    signature = signer.sign(body, timestamp=timestamp, method=METHOD, url=URL).headers
    return Request(body, {**_BESIDE, **signature, "Content-Length": str(len(body))})


def rewrapped(requests: Requests, wrap: Callable[[dict[str, str]], Any]) -> Requests:
    """Return the same requests with their headers in another kind of mapping."""
    genuine, *forged = (
        replace(each, headers=wrap(each.headers)) for each in (requests.genuine, *requests.forged)
    )
    return Requests(genuine, tuple(forged))
