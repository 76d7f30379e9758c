"""The examples run, and do what they are there to show."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from frappe_hooksig import Scheme, providers, sign_payload
from frappe_hooksig.testing import check_receiver
from tests.frappe_sender import ORDER, Request, rendered, template_of_docs, template_of_docstring
from tests.loopback import ROOT, Server, served, uvicorn

SECRETS = {
    "FRAPPE_WEBHOOK_SECRET": "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4",
    "GITHUB_WEBHOOK_SECRET": "Ht7Wq2Zc9Xn4Vb6Mk1Lp8Rs5",
    "STRIPE_WEBHOOK_SECRET": "whsec_Rw5Jx9Pf1Gs7Dk3Bn6Qm2Yt8",
}
WORKS = "handles the events"
EXAMPLES = ROOT / "examples"
FRAPPE = "/erpnext/sales-order"
PUSH = {"ref": "refs/heads/main", "repository": {"full_name": "acme/shop"}}
PAID = {"type": "charge", "id": "evt_1"}


def flask(events: Path) -> AbstractContextManager[Server]:
    """Start the example as its docstring says."""
    command = [sys.executable, "-m", "flask", "--app", "receiver", "run", "--port", "0"]
    return served(command, EXAMPLES / "flask", SECRETS | {"EVENTS": str(events)})


def flask_worker(events: Path) -> AbstractContextManager[Server]:
    """Start its worker as its docstring says."""
    command = [sys.executable, "-m", "flask", "--app", "receiver", "work"]
    return served(command, EXAMPLES / "flask", SECRETS | {"EVENTS": str(events)}, WORKS)


def fastapi(events: Path) -> AbstractContextManager[Server]:
    """Start the example as its docstring says."""
    return uvicorn("receiver:app", "--app-dir", "examples/fastapi", **SECRETS, EVENTS=str(events))


def fastapi_worker(events: Path) -> AbstractContextManager[Server]:
    """Start its worker as its docstring says."""
    command = [sys.executable, "receiver.py"]
    return served(command, EXAMPLES / "fastapi", SECRETS | {"EVENTS": str(events)}, WORKS)


Start = Callable[[Path], AbstractContextManager[Server]]
BOTH = pytest.mark.parametrize(
    ("start", "start_worker"),
    [(flask, flask_worker), (fastapi, fastapi_worker)],
    ids=["flask", "fastapi"],
)


def order_of(example: str, **changes: Any) -> Request:
    """Return a Sales Order, through the template that the example asks for."""
    template = template_of_docstring(EXAMPLES / example / "receiver.py")
    return rendered(template, ORDER | changes, SECRETS["FRAPPE_WEBHOOK_SECRET"])


def sign(scheme: Scheme, payload: Any) -> Any:
    """Sign as the sender does."""
    secret = SECRETS[f"{scheme.name.upper()}_WEBHOOK_SECRET"]
    return sign_payload(json.dumps(payload).encode(), secret, scheme=scheme)


def requests_to(example: str) -> list[tuple[str, Any, str]]:
    """Return what each sender sends, and what is logged when it is handled."""
    return [
        (FRAPPE, order_of(example), 'booked SO-"00001": 15.0 EUR'),
        ("/github", sign(providers.GITHUB, PUSH), "GitHub: refs/heads/main of acme/shop"),
        ("/stripe", sign(providers.STRIPE, PAID), "Stripe: charge evt_1"),
    ]


@BOTH
def test_receiver(start: Start, start_worker: Start, tmp_path: Path) -> None:
    """Each event is taken in and handled once; forged ones are refused; no content for GET."""
    events = tmp_path / "events.sqlite"
    with start(events) as server, start_worker(events) as worker:
        for path, signed, done in requests_to(start.__name__):
            answers = [server.send(path, signed.body, signed.headers) for _ in range(2)]

            assert [answer.status for answer in answers] == [200, 200]
            statuses = [answer.json()["status"] for answer in answers]
            assert statuses == ["received", "duplicate"]
            assert worker.has_logged(done, 1)
            assert server.send(path, signed.body + b" ", signed.headers).status == 401
            assert server.send(path, signed.body).outcome == (401, "missing-header")
            assert server.send(path, method="GET").status == 405


@pytest.mark.stress
@pytest.mark.long
@BOTH
@pytest.mark.parametrize(
    ("path", "scheme", "payload"),
    [
        (FRAPPE, providers.FRAPPE, lambda: order_of("flask", name=token_hex()).body),
        ("/github", providers.GITHUB, lambda: PUSH | {"ref": token_hex()}),
        ("/stripe", providers.STRIPE, lambda: PAID | {"id": token_hex()}),
    ],
    ids=["frappe", "github", "stripe"],
)
def test_hostile(
    start: Start, start_worker: Start, path: str, scheme: Scheme, payload: Any, tmp_path: Path
) -> None:
    """No hostile request finds a mistake, and no delivery is received twice."""
    del start_worker  # what is received is not handled here
    secret = SECRETS[f"{scheme.name.upper()}_WEBHOOK_SECRET"]
    with start(tmp_path / "events.sqlite") as server:
        url = f"http://127.0.0.1:{server.port}{path}"
        check_receiver(url, scheme, secret, payload=payload, handles_once=True)


@BOTH
def test_killed_after_its_response(start: Start, start_worker: Start, tmp_path: Path) -> None:
    """What was answered with 200 is handled, although the process is killed right after it."""
    events = tmp_path / "events.sqlite"
    for path, signed, _ in requests_to(start.__name__):
        with start(events) as server:
            answer = server.send(path, signed.body, signed.headers)
            server.kill()
            assert (answer.status, answer.json()) == (200, {"status": "received"})

    with start_worker(events) as worker:
        for _, _, done in requests_to(start.__name__):
            assert worker.has_logged(done, 1)


@BOTH
def test_worker_that_is_killed(start: Start, start_worker: Start, tmp_path: Path) -> None:
    """What it was about to handle is handled by the next one; what it has done is done."""
    events = tmp_path / "events.sqlite"
    first, second = (order_of(start.__name__, name=name) for name in ("SO-1", "SO-2"))
    with start(events) as server:
        assert server.send(FRAPPE, first.body, first.headers).status == 200
        with start_worker(events) as worker:
            assert worker.has_logged("booked SO-1", 1)
            worker.kill()
        assert server.send(FRAPPE, second.body, second.headers).status == 200
        with start_worker(events) as worker:
            assert worker.has_logged("booked SO-2", 1)


@BOTH
def test_payloads_that_cannot_be_read(start: Start, start_worker: Start, tmp_path: Path) -> None:
    """The sender's administrator reads what is missing, and nobody has to handle it."""
    events = tmp_path / "events.sqlite"
    no_items = {"name": "SO-1", "data": {"currency": "EUR", "items": ["A"]}}
    payloads: list[Any] = [[], "x", None, {}, ORDER, no_items]
    with start(events) as server, start_worker(events) as worker:
        for payload in payloads:
            signed = sign(providers.FRAPPE, payload)
            answer = server.send(FRAPPE, signed.body, signed.headers)
            assert answer.outcome == (400, "malformed-payload")
            assert answer.json()["status"] == "refused"
        good = order_of(start.__name__)
        assert server.send(FRAPPE, good.body, good.headers).status == 200
        assert worker.has_logged("booked", 1)

    assert "Traceback" not in server.log + worker.log


@pytest.mark.parametrize("file", ["flask/receiver.py", "fastapi/receiver.py", "django/manage.py"])
def test_template(file: str) -> None:
    """Each example asks for the template of the docs, with its own event."""
    expected = template_of_docs().replace("on_update", "on_submit")

    assert template_of_docstring(EXAMPLES / file).strip() == expected.strip()
