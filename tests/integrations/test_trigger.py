"""`frappe-hooksig trigger`, against right receivers that use an adapter."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from werkzeug.serving import make_server

from frappe_hooksig import providers
from frappe_hooksig.integrations.flask import verify_webhook
from frappe_hooksig.replay import MemoryStore
from tests.cli.command import REFUSED, SECRET, VERIFIED, WHSEC, says


@contextmanager
def flask_receiver(**options: Any) -> Iterator[str]:
    """Run a right receiver in Flask, with a secret for each scheme; return its URL."""
    app = Flask(__name__)

    @app.post("/<provider>")
    def hook(provider: str) -> Any:
        secret = WHSEC if provider == "svix" else SECRET

        @verify_webhook(providers.get(provider), secret=secret, **options)
        def handle() -> str:
            return "done"

        return handle()

    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "arguments",
    [
        ["frappe", "-e", "NEW"],
        ["frappe", "-e", "NEW", "--event", "submitted", "--event", "document"],
        ["frappe", "-e", "NEW", "--event", "array", "--frappe-version", "13"],
        ["github", "-e", "NEW", "--event", "escapes"],
        ["slack", "-e", "NEW"],
        ["svix", "-e", "WHSEC", "--event", "ping"],
    ],
    ids=" ".join,
)
def test_accepted(arguments: list[str]) -> None:
    """A right receiver accepts the events of each sender."""
    with flask_receiver() as url:
        out, err = says(VERIFIED, "trigger", *arguments, f"{url}/{arguments[0]}")

    assert err == ""
    assert out.startswith(f"sent: POST {url}/{arguments[0]} (")
    assert out.endswith("received: 200\ndone\nexpected: 2xx\nright\n")


def test_refused() -> None:
    """Our reason for a refusal is shown, with its words."""
    with flask_receiver() as url:
        out, err = says(REFUSED, "trigger", "frappe", "-e", "OLD", f"{url}/frappe")

    assert err == ""
    received = out[out.index("received:") :].splitlines()
    assert received[0] == "received: 401 signature-mismatch"
    assert received[1].startswith("X-Frappe-Webhook-Signature does not match the body")
    assert received[2:] == ["expected: 2xx", "wrong"]


@pytest.mark.parametrize(
    ("scenario", "verdict"),
    [
        ("once", "right"),
        ("retry", "accepted at once: nothing was retried"),
        ("duplicate", "right. Look at what it did: it should have handled 2 deliveries"),
        ("out-of-order", "right"),
        ("slow", "right"),
    ],
)
@pytest.mark.parametrize(
    ("provider", "secret"), [("frappe", "NEW"), ("svix", "WHSEC")], ids=["frappe", "svix"]
)
def test_right_receiver(scenario: str, verdict: str, provider: str, secret: str) -> None:
    """A right receiver that handles each delivery once passes each scenario."""
    with flask_receiver(store=MemoryStore()) as url:
        options = ["--scenario", scenario, "--seconds", "0.05", "-e", secret]
        out, _ = says(VERIFIED, "trigger", provider, *options, f"{url}/{provider}")

    assert out.splitlines()[-1] == verdict
