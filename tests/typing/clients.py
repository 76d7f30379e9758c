"""What type checkers make of HTTP clients that sign. Checked, never run."""

from __future__ import annotations

import httpx
import requests
from typing_extensions import assert_type

from frappe_hooksig import Secret, providers
from frappe_hooksig.integrations.httpx import AsyncSignedTransport, SignedTransport
from frappe_hooksig.integrations.requests import SignedAuth

auth = SignedAuth("secret")
SignedAuth(["new", Secret("old"), b"older"], scheme=providers.STRIPE, clock=lambda: 0)
SignedAuth("secret", scheme="stripe")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
SignedAuth(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

requests.post("https://example.com", json={}, auth=auth, timeout=5)
session = requests.Session()
session.auth = auth

transport = SignedTransport("secret", scheme=providers.GITHUB)
SignedTransport(("new", "old"), transport=httpx.HTTPTransport(retries=1))
SignedTransport("secret", transport=httpx.AsyncHTTPTransport())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
AsyncSignedTransport("secret", transport=httpx.AsyncHTTPTransport(http2=True))
AsyncSignedTransport("secret", transport=httpx.HTTPTransport())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

with httpx.Client(transport=transport) as client:
    assert_type(client.post("https://example.com"), httpx.Response)
with transport as entered:
    assert_type(entered, SignedTransport)
httpx.AsyncClient(transport=AsyncSignedTransport("secret"))
httpx.AsyncClient(transport=transport)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def entering() -> None:
    """Enter one of them alone."""
    async with AsyncSignedTransport("secret") as own:
        assert_type(own, AsyncSignedTransport)
