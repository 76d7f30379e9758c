"""The example of a Django project: served by gunicorn and reached over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from frappe_hooksig import generate_secret, providers, sign_payload
from frappe_hooksig.testing import check_receiver
from tests.frappe_sender import ORDER, rendered, template_of_docstring
from tests.loopback import ROOT, Server, gunicorn, served

EXAMPLE = ROOT / "examples" / "django"
SECRETS = {
    "FRAPPE_WEBHOOK_SECRET": generate_secret(),
    "GITHUB_WEBHOOK_SECRET": generate_secret(),
    "STRIPE_WEBHOOK_SECRET": f"whsec_{generate_secret()}",
}
PUSH = {"ref": "refs/heads/main", "after": "f00d", "repository": {"full_name": "acme/shop"}}
PAID = {"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": {"id": "pi_1"}}}


def start(events: Path) -> AbstractContextManager[Server]:
    """Start a gunicorn with threads; make its table first."""
    assert manage("migrate", EVENTS=str(events)).returncode == 0
    app = "django.core.wsgi:get_wsgi_application()"
    folder = f"--chdir={EXAMPLE}"
    environment = {"DJANGO_SETTINGS_MODULE": "webhooks.settings", **SECRETS, "EVENTS": str(events)}
    return gunicorn(app, "--threads=4", folder, **environment)


def start_worker(events: Path) -> AbstractContextManager[Server]:
    """Start the worker."""
    command = [sys.executable, "manage.py", "work"]
    return served(command, EXAMPLE, SECRETS | {"EVENTS": str(events)}, "handles the events")


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the database."""
    return tmp_path_factory.mktemp("events") / "events.sqlite"


@pytest.fixture(scope="module")
def server(events: Path) -> Iterator[Server]:
    """A gunicorn with threads."""
    with start(events) as running:
        yield running


@pytest.fixture(scope="module")
def worker(events: Path, server: Server) -> Iterator[Server]:
    """The worker beside it."""
    assert server.port
    with start_worker(events) as running:
        yield running


def new_order(name: str) -> bytes:
    """Return the body of another Sales Order."""
    template = template_of_docstring(EXAMPLE / "manage.py")
    return rendered(template, ORDER | {"name": name}, SECRETS["FRAPPE_WEBHOOK_SECRET"]).body


def order() -> tuple[bytes, dict[str, str]]:
    """Return a Sales Order, through the template that the example asks for."""
    template = template_of_docstring(EXAMPLE / "manage.py")
    request = rendered(template, ORDER, SECRETS["FRAPPE_WEBHOOK_SECRET"])
    return request.body, request.headers


def signed(payload: dict[str, Any], sender: str) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of a sender."""
    secret = SECRETS[f"{sender.upper()}_WEBHOOK_SECRET"]
    request = sign_payload(payload, secret, scheme=providers.get(sender))
    return request.body, request.headers


@pytest.mark.parametrize(
    ("path", "request_of", "done"),
    [
        ("/erpnext/sales-order", order, """shipped 'SO-"00001"'"""),
        ("/github", lambda: signed(PUSH, "github"), "deployed 'f00d'"),
        ("/stripe", lambda: signed(PAID, "stripe"), "booked 'pi_1'"),
    ],
    ids=["erpnext", "github", "stripe"],
)
def test_webhook(
    server: Server,
    worker: Server,
    path: str,
    request_of: Callable[[], tuple[bytes, dict[str, str]]],
    done: str,
) -> None:
    """It is accepted at once, worked on once, and refused if somebody else has signed."""
    body, headers = request_of()
    headers["X-GitHub-Event"] = "push"

    answers = [server.send(path, body, headers) for _ in range(2)]

    assert [answer.status for answer in answers] == [202, 202]
    assert [answer.json() for answer in answers] == [
        {"status": "accepted"},
        {"status": "duplicate"},
    ]
    assert worker.has_logged(done, 1)
    assert server.send(path, body + b" ", headers).outcome == (401, "signature-mismatch")
    assert server.send(path, body).outcome == (401, "missing-header")
    assert server.send(path, method="GET").status == 405


def test_killed_after_its_response(tmp_path: Path) -> None:
    """What was accepted is handled, although all processes are killed right after it."""
    events = tmp_path / "events.sqlite"
    with start(events) as server:
        answer = server.send("/erpnext/sales-order", *order())
        server.kill()
    with start_worker(events) as worker:
        assert worker.has_logged("""shipped 'SO-"00001"'""", 1)

    assert (answer.status, answer.json()) == (202, {"status": "accepted"})


@pytest.mark.parametrize(
    ("path", "sender", "payload"),
    [
        ("/erpnext/sales-order", "frappe", ORDER),
        ("/erpnext/sales-order", "frappe", {"name": 1, "data": {"customer": "x"}}),
        ("/github", "github", {"ref": "x"}),
        ("/stripe", "stripe", {"id": "evt_3", "type": "payment_intent.succeeded"}),
        ("/stripe", "stripe", {}),
    ],
    ids=["not-nested", "name", "push", "paid", "empty"],
)
def test_payload_that_cannot_be_read(
    server: Server, path: str, sender: str, payload: dict[str, Any]
) -> None:
    """The sender's administrator reads what is missing."""
    body, headers = signed(payload, sender)

    answer = server.send(path, body, headers | {"X-GitHub-Event": "push"})

    assert answer.outcome == (400, "malformed-payload")
    assert answer.json()["message"].startswith("expected")


def test_events_that_nobody_wants(server: Server) -> None:
    """A 2xx all the same, else the sender tries again."""
    star = server.send("/github", *signed({}, "github"))
    failed = server.send("/stripe", *signed({"id": "evt_2", "type": "x"}, "stripe"))

    assert (star.status, star.json()) == (200, {"status": "ignored"})
    assert (failed.status, failed.json()) == (200, {"status": "ignored"})


def test_log(server: Server) -> None:
    """It says why a request was refused, and no secret."""
    before = server.log.count("webhook refused: missing-header")
    server.send("/erpnext/sales-order", b"{}")

    assert server.has_logged("webhook refused: missing-header", before + 1)
    assert [secret for secret in SECRETS.values() if secret in server.log] == []


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the project's manage.py."""
    return subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLE / "manage.py"), *arguments],
        env={**os.environ, "EVENTS": ":memory:", **SECRETS, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_migrations() -> None:
    """They make the tables that the models are for."""
    assert manage("makemigrations", "--check", "--dry-run").returncode == 0


def test_check() -> None:
    """`manage.py check` finds nothing, or says what is wrong with the secret."""
    assert manage("check").stdout == "System check identified no issues (0 silenced).\n"
    assert "(frappe_hooksig.E001)" in manage("check", FRAPPE_WEBHOOK_SECRET="*****").stderr


@pytest.mark.parametrize(
    ("path", "name", "payload"),
    [
        ("/erpnext/sales-order", "frappe", lambda: new_order(token_hex())),
        ("/github", "github", lambda: PUSH | {"after": token_hex()}),
        ("/stripe", "stripe", lambda: PAID | {"id": token_hex()}),
    ],
)
def test_hostile(server: Server, path: str, name: str, payload: Any) -> None:
    """No hostile request finds a mistake, and no delivery is received twice."""
    secret = SECRETS[f"{name.upper()}_WEBHOOK_SECRET"]
    url = f"http://127.0.0.1:{server.port}{path}"

    check_receiver(url, providers.get(name), secret, payload=payload, handles_once=True)
