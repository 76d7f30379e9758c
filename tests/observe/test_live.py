"""Ten mistakes, made against Flask under gunicorn: what the log and the command say of them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.loopback import Server, gunicorn
from tests.observe.live_app import SECRET, STRIPE_SECRET, URL

SIGNATURE = "X-Frappe-Webhook-Signature"
ORDER = {"name": "SO-00001", "customer": "Café Größe", "total": 12.5}
BODY = json.dumps(ORDER, ensure_ascii=False).encode()


def mac(content: bytes, secret: str = SECRET) -> bytes:
    """Return the MAC of a content, as the sender computes it."""
    return hmac.digest(secret.encode(), content, hashlib.sha256)


def base64_of(content: bytes) -> str:
    return base64.b64encode(mac(content)).decode()


class Mistake(NamedTuple):
    """A request that is refused.

    Attributes:
        route: The route of the app.
        headers: The headers that are sent.
        body: The body that is sent.
        code: What explains it.
        options: Other options of the command.
        is_proved: Whether anything can prove it.
    """

    route: str
    headers: dict[str, str]
    body: bytes
    code: str
    options: tuple[str, ...] = ()
    is_proved: bool = True


def in_stripe(moment: float) -> dict[str, str]:
    signature = mac(f"{moment:.0f}.".encode() + BODY, STRIPE_SECRET).hex()
    return {"Stripe-Signature": f"t={moment:.0f},v1={signature}"}


SIGNED = {SIGNATURE: base64_of(BODY)}
TEMPLATE = b'{"name": "{{ doc.name }}", "sent_at": "{{ now() }}"}'
RENDERED = b'{"name": "SO-00001", "sent_at": "2026-11-29 06:00:00.123456"}'
MISTAKES = {
    "newline in the secret": Mistake("line-end", SIGNED, BODY, "secret-whitespace"),
    "quotes in the secret": Mistake("quotes", SIGNED, BODY, "secret-quotes"),
    "a proxy has dumped the body again": Mistake(
        "frappe", SIGNED, json.dumps(ORDER, indent=2).encode(), "body-reserialised"
    ),
    "hex instead of base64": Mistake(
        "frappe", {SIGNATURE: mac(BODY).hex()}, BODY, "signature-encoding"
    ),
    "another sender's scheme": Mistake(
        "frappe", {"X-Hub-Signature-256": f"sha256={mac(BODY).hex()}"}, BODY, "scheme-other"
    ),
    "clock ten minutes off": Mistake(
        "stripe",
        in_stripe(time.time() - 600),
        BODY,
        "timestamp-out-of-tolerance",
        ("--scheme", "stripe"),
    ),
    "a proxy has changed the URL": Mistake(
        "square",
        {"X-Square-HmacSha256-Signature": base64_of(b"http://shop.example/square" + BODY)},
        BODY,
        "url-differs",
        ("--scheme", "square", "--url", URL),
    ),
    "the template was signed before it was rendered": Mistake(
        "frappe", {SIGNATURE: base64_of(TEMPLATE)}, RENDERED, "rendered-twice", is_proved=False
    ),
    "the body was read as latin-1": Mistake(
        "frappe", SIGNED, BODY.decode("latin-1").encode(), "body-charset"
    ),
    "gzip": Mistake(
        "frappe", SIGNED | {"Content-Encoding": "gzip"}, gzip.compress(BODY), "body-compressed"
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("captured")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with gunicorn(
        "tests.observe.live_app:make_app()", "--threads=4", FOLDER=str(folder)
    ) as running:
        yield running


@pytest.mark.parametrize("name", MISTAKES)
def test_found(name: str, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log line says where to look, and the command proves the cause."""
    mistake = MISTAKES[name]
    before = {*folder.iterdir()}
    explanations = server.log.count("webhook explained at")

    answer = server.send(f"/{mistake.route}", mistake.body, mistake.headers)
    assert answer.status == 401
    (file,) = {*folder.iterdir()} - before
    arguments = ["explain", "-e", "SECRET", "--request", str(file), *mistake.options]
    monkeypatch.setenv("SECRET", secret_of(mistake.route))
    command = [sys.executable, "-m", "frappe_hooksig", *arguments]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    first = json.loads(done.stdout)["findings"][0]
    assert (first["code"], first["is_proved"]) == (mistake.code, mistake.is_proved)
    assert done.returncode == (1 if mistake.is_proved else 3)
    server.wait_for("webhook explained at", explanations + 1)
    told = [line for line in server.log.splitlines() if f"at POST /{mistake.route}" in line][-2:]
    assert told[0].startswith(f"webhook refused: {answer.json()['reason']} at POST ")
    assert told[1].startswith(f"webhook explained at POST /{mistake.route}: {mistake.code} (")
    for shown in (done.stdout, *told):
        assert SECRET not in shown
        assert mac(mistake.body).hex() not in shown


def secret_of(route: str) -> Any:
    """Return the secret that somebody has put into a route."""
    changed = {"line-end": f"{SECRET}\n", "quotes": f'"{SECRET}"', "stripe": STRIPE_SECRET}
    return changed.get(route, SECRET)
