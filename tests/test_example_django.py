"""The example of a Django project: served by gunicorn and reached over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from frappe_hooksig import generate_secret, providers, sign_payload
from tests.loopback import ROOT, Server, gunicorn

EXAMPLE = ROOT / "examples" / "django"
SECRETS = {
    "FRAPPE_WEBHOOK_SECRET": generate_secret(),
    "GITHUB_WEBHOOK_SECRET": generate_secret(),
    "STRIPE_WEBHOOK_SECRET": f"whsec_{generate_secret()}",
}
ORDER = {"name": "SO-00001", "customer": "ACME", "modified": "2026-11-22 09:35:43.019032"}
PUSH = {"ref": "refs/heads/main", "after": "f00d", "repository": {"full_name": "acme/shop"}}
PAID = {"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": {"id": "pi_1"}}}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A gunicorn with threads."""
    app = "django.core.wsgi:get_wsgi_application()"
    folder = f"--chdir={EXAMPLE}"
    environment = {"DJANGO_SETTINGS_MODULE": "webhooks.settings", **SECRETS}
    with gunicorn(app, "--threads=4", folder, **environment) as running:
        yield running


def signed(payload: dict[str, Any], sender: str) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of a sender."""
    secret = SECRETS[f"{sender.upper()}_WEBHOOK_SECRET"]
    request = sign_payload(payload, secret, scheme=providers.get(sender))
    return request.body, request.headers


@pytest.mark.parametrize(
    ("path", "payload", "sender", "done"),
    [
        ("/erpnext/sales-order", ORDER, "frappe", "shipped 'SO-00001'"),
        ("/github", PUSH, "github", "deployed 'f00d'"),
        ("/stripe", PAID, "stripe", "booked 'pi_1'"),
    ],
    ids=["erpnext", "github", "stripe"],
)
def test_webhook(
    server: Server, path: str, payload: dict[str, Any], sender: str, done: str
) -> None:
    """It is accepted at once, worked on once, and refused if somebody else has signed."""
    body, headers = signed(payload, sender)
    headers["X-GitHub-Event"] = "push"

    answers = [server.send(path, body, headers) for _ in range(2)]

    assert [answer.status for answer in answers] == [202, 202]
    assert [answer.json() for answer in answers] == [
        {"status": "accepted"},
        {"status": "duplicate"},
    ]
    assert server.has_logged(done, 1)
    assert server.send(path, body + b" ", headers).outcome == (401, "signature-mismatch")
    assert server.send(path, body).outcome == (401, "missing-header")
    assert server.send(path, method="GET").status == 405


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
        env={**os.environ, **SECRETS, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_check() -> None:
    """`manage.py check` finds nothing, or says what is wrong with the secret."""
    assert manage("check").stdout == "System check identified no issues (0 silenced).\n"
    assert "(frappe_hooksig.E001)" in manage("check", FRAPPE_WEBHOOK_SECRET="*****").stderr
