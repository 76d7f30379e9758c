"""The receiver in examples/fastapi, started as its first lines say."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frappe_hooksig import Scheme, Signer, providers
from tests.integrations.conformance import OLD, SECRET, WHSEC
from tests.loopback import Server, uvicorn

ORDER = {
    "doctype": "Sales Order",
    "name": "SO-00001",
    "customer": "Globex",
    "grand_total": 99.5,
    "modified": "2026-11-22 09:35:43.019032",
    "items": [{"item_code": "A", "qty": 2}, {"item_code": "B", "qty": 1.5}],
}
EVENT = {"id": "evt_1", "type": "charge.succeeded", "data": {}}
PUSH = {"repository": {"full_name": "globex/shop"}}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
SECRETS = {"frappe": SECRET, "github": OLD, "stripe": WHSEC}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The example under uvicorn."""
    environment = {f"{name.upper()}_WEBHOOK_SECRET": secret for name, secret in SECRETS.items()}
    with uvicorn("webhooks:app", "--app-dir", "examples/fastapi", **environment) as running:
        yield running


def sign(payload: Any, scheme: Scheme = providers.FRAPPE) -> tuple[bytes, dict[str, str]]:
    """Return body and headers, as the sender of a scheme sends them."""
    signed = Signer(SECRETS[scheme.name], scheme=scheme).sign(payload)
    return signed.body, signed.headers | {"X-GitHub-Event": "push"}


@pytest.mark.parametrize(
    ("path", "payload", "scheme", "logged"),
    [
        (
            "/erpnext/sales-order",
            ORDER,
            providers.FRAPPE,
            "fulfilling SO-00001: 2 items for Globex",
        ),
        ("/github", PUSH, providers.GITHUB, "GitHub: push in globex/shop"),
        ("/stripe", EVENT, providers.STRIPE, "Stripe: charge.succeeded evt_1"),
    ],
)
def test_received(server: Server, path: str, payload: Any, scheme: Scheme, logged: str) -> None:
    """What is signed is worked on; what is not is refused, and the log says why."""
    body, headers = sign(payload, scheme)
    refused = server.log.count("webhook refused: signature-mismatch")

    assert server.send(path, body, headers).json() == {"status": "received"}
    assert server.has_logged(logged, 1)
    assert server.send(path, body + b" ", headers).outcome == (401, "signature-mismatch")
    assert server.has_logged("webhook refused: signature-mismatch", refused + 1)
    assert server.send(path, body, {"X-GitHub-Event": "push"}).outcome == (401, "missing-header")


def test_order_that_does_not_fit(server: Server) -> None:
    """The sender's administrator reads which field is wrong."""
    body, headers = sign(ORDER | {"grand_total": "a lot"})

    answer = server.send("/erpnext/sales-order", body, headers)

    assert answer.outcome == (400, "malformed-payload")
    assert "no SalesOrder: grand_total: Input should be a valid number" in answer.json()["message"]


def test_described(server: Server) -> None:
    """OpenAPI has the three schemes and their refusals."""
    schema = server.send("/openapi.json", method="GET").json()

    assert set(schema["components"]["securitySchemes"]) == set(SECRETS)
    for path in schema["paths"].values():
        assert set(path["post"]["responses"]) >= {"200", "400", "401", "413"}


@given(order=st.fixed_dictionaries({}, optional=dict.fromkeys(ORDER, ANYTHING)) | ANYTHING)
def test_signed_nonsense(server: Server, order: Any) -> None:
    """Whatever is signed fits the model or is answered with 400, never with a traceback."""
    body, headers = sign(json.dumps(order).encode())

    assert server.send("/erpnext/sales-order", body, headers).status in {200, 400}
    assert "Traceback" not in server.log


def test_what_openapi_promises(server: Server, tmp_path: Path) -> None:
    """Schemathesis finds no answer that OpenAPI does not describe, and none with a 500."""
    checks = "not_a_server_error,status_code_conformance,response_schema_conformance"
    command = ["-m", "schemathesis.cli", "run", f"http://127.0.0.1:{server.port}/openapi.json"]
    options = ["--checks", checks, "--max-examples", "50", "--phases", "examples,coverage,fuzzing"]
    done = subprocess.run(
        [sys.executable, *command, *options],
        cwd=tmp_path,  # it leaves files behind
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in server.log
