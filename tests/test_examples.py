"""The examples run, and do what they are there to show."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager
from typing import Any

import pytest

from frappe_hooksig import Scheme, providers, sign_payload
from tests.loopback import ROOT, Server, served, uvicorn

SECRETS = {
    "FRAPPE_WEBHOOK_SECRET": "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4",
    "GITHUB_WEBHOOK_SECRET": "Ht7Wq2Zc9Xn4Vb6Mk1Lp8Rs5",
    "STRIPE_WEBHOOK_SECRET": "whsec_Rw5Jx9Pf1Gs7Dk3Bn6Qm2Yt8",
}
ORDER = {
    "name": "SO-00001",
    "currency": "EUR",
    "items": [{"item_code": "A", "amount": 10.5}, {"item_code": "B", "amount": 4.5}],
}
REQUESTS: list[Any] = [
    pytest.param(
        "/erpnext/sales-order", providers.FRAPPE, ORDER, "booked SO-00001: 15.0 EUR", id="frappe"
    ),
    pytest.param(
        "/github", providers.GITHUB, {"repository": "r"}, "GitHub: push in r", id="github"
    ),
    pytest.param(
        "/stripe", providers.STRIPE, {"type": "charge", "id": "evt_1"}, "charge evt_1", id="stripe"
    ),
]


def flask() -> AbstractContextManager[Server]:
    """Start the example as its docstring says."""
    command = [sys.executable, "-m", "flask", "--app", "receiver", "run", "--port", "0"]
    return served(command, ROOT / "examples" / "flask", SECRETS)


def fastapi() -> AbstractContextManager[Server]:
    """Start the example as its docstring says."""
    return uvicorn("receiver:app", "--app-dir", "examples/fastapi", **SECRETS)


@pytest.mark.parametrize("start", [flask, fastapi], ids=lambda start: start.__name__)
def test_receiver(start: Any) -> None:
    """Each request is taken in and worked off; forged ones are refused; no content for GET."""
    with start() as server:
        for path, scheme, payload, logged in (param.values for param in REQUESTS):
            signed = sign(scheme, payload)
            more = {"X-GitHub-Event": "push"}

            answer = server.send(path, signed.body, signed.headers | more)
            assert (answer.status, answer.json()) == (200, {"status": "received"})
            again = server.send(path, signed.body, signed.headers | more).json()["status"]
            assert again == ("received" if path == "/github" else "duplicate")
            assert server.has_logged(logged, 2 if path == "/github" else 1)
            assert server.send(path, signed.body + b" ", signed.headers).status == 401
            assert server.send(path, signed.body).outcome == (401, "missing-header")
            assert server.send(path, method="GET").status == 405


def test_work_that_fails() -> None:
    """Somebody hears of it."""
    with flask() as server:
        signed = sign(providers.FRAPPE, {"name": "SO-00002"})

        assert server.send("/erpnext/sales-order", signed.body, signed.headers).status == 200
        assert server.has_logged("KeyError: 'items'", 1)


def sign(scheme: Scheme, payload: dict[str, Any]) -> Any:
    """Sign as the sender does."""
    secret = SECRETS[f"{scheme.name.upper()}_WEBHOOK_SECRET"]
    return sign_payload(json.dumps(payload).encode(), secret, scheme=scheme)
