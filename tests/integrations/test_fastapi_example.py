"""What only FastAPI can do in examples/fastapi; the rest is in tests/test_examples.py."""

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

from frappe_hooksig import sign_payload
from tests.integrations.conformance import OLD, SECRET, WHSEC
from tests.loopback import Server, uvicorn
from tests.selection import FULL

DATA = {"currency": "EUR", "items": [{"item_code": "A", "amount": 10.5}]}
ORDER = {"event": "on_submit", "name": "SO-00001", "modified": "2026-11-22 09:35:43", "data": DATA}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
SECRETS = {"frappe": SECRET, "github": OLD, "stripe": WHSEC}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The example under uvicorn."""
    environment = {f"{name.upper()}_WEBHOOK_SECRET": secret for name, secret in SECRETS.items()}
    environment["EVENTS"] = str(tmp_path_factory.mktemp("events") / "events.sqlite")
    with uvicorn("receiver:app", "--app-dir", "examples/fastapi", **environment) as running:
        yield running


def sign(payload: Any) -> tuple[bytes, dict[str, str]]:
    """Return body and headers, as Frappe sends them."""
    signed = sign_payload(payload, SECRET)
    return signed.body, signed.headers


def test_order_that_does_not_fit(server: Server) -> None:
    """The sender's administrator reads which field is wrong."""
    body, headers = sign(ORDER | {"data": DATA | {"currency": 5}})

    answer = server.send("/erpnext/sales-order", body, headers)

    assert answer.outcome == (400, "malformed-payload")
    assert (
        "not a valid SalesOrder: data.currency: Input should be a valid string"
        in answer.json()["message"]
    )


def test_described(server: Server) -> None:
    """OpenAPI has the three schemes and their refusals."""
    schema = server.send("/openapi.json", method="GET").json()

    assert set(schema["components"]["securitySchemes"]) == set(SECRETS)
    for path in schema["paths"].values():
        assert set(path["post"]["responses"]) >= {"200", "400", "401", "413"}


def shaped(like: dict[str, Any], **inner: Any) -> Any:
    """Draw an object with some of these keys, each with anything."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(like, ANYTHING) | inner)


@given(order=shaped(ORDER, data=shaped(DATA)) | shaped(ORDER) | ANYTHING)
def test_signed_nonsense(server: Server, order: Any) -> None:
    """Whatever is signed fits the model or is answered with 400, never with a traceback."""
    body, headers = sign(json.dumps(order).encode())

    assert server.send("/erpnext/sales-order", body, headers).status in {200, 400}
    assert "Traceback" not in server.log


@pytest.mark.stress
def test_what_openapi_promises(server: Server, tmp_path: Path) -> None:
    """Schemathesis finds no answer that OpenAPI does not describe, and none with a 500."""
    examples = "50" if FULL else "10"
    checks = "not_a_server_error,status_code_conformance,response_schema_conformance"
    phases = "examples,coverage,fuzzing"
    command = ["-m", "schemathesis.cli", "run", f"http://127.0.0.1:{server.port}/openapi.json"]
    options = ["--checks", checks, "--max-examples", examples, "--phases", phases]
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
