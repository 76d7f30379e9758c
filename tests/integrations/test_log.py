"""The log lines about requests that reach no handler."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from typing import Any

import pytest

from frappe_hooksig import StoreError, providers, sign_payload
from frappe_hooksig.replay import Deduplicator, MemoryStore
from frappe_hooksig.replay._callers import BLOCKING
from frappe_hooksig.replay._steps import run
from tests.receivers import Incoming, make_receiver

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
BODY = b'{"order": "SO-00001"}'
GENUINE = sign_payload(BODY, SECRET).headers
HOSTILE = "/\x1b[31m\r\nwebhook refused: " + "x" * 300 + "?token=1"


class Down(MemoryStore):
    """A store that is away."""

    def claim(self, *_: object) -> Any:
        """Fail.

        Raises:
            StoreError: Always.
        """
        msg = "the store is away"
        raise StoreError(msg)


def handle(request: Incoming, **options: Any) -> Any:
    """Run a request through a route for Frappe's webhooks."""
    receiver = make_receiver(providers.FRAPPE, secret=SECRET, **options)
    return run(receiver.handle(BLOCKING, request, "view", lambda: 200))


def fields(record: logging.LogRecord) -> dict[str, object]:
    """Return the fields of a record that are ours."""
    return {name: value for name, value in vars(record).items() if name.startswith("webhook_")}


def test_fields(caplog: pytest.LogCaptureFixture) -> None:
    """All facts of a refusal are fields, whose names no other library uses."""
    answer = handle(Incoming({}, BODY, target=("http", "/hook?token=1")))

    (record,) = caplog.records
    assert (record.name, record.levelno) == ("frappe_hooksig", logging.WARNING)
    found = fields(record)
    assert found.pop("webhook_seconds")
    assert found == {
        "webhook_endpoint": "view",
        "webhook_kind": "refused",
        "webhook_reason": "missing-header",
        "webhook_method": "POST",
        "webhook_path": "/hook",
        "webhook_scheme": "frappe",
        "webhook_header": "X-Frappe-Webhook-Signature",
        "webhook_body_length": None,
        "webhook_status": 401,
        "webhook_message": answer.content["message"],
    }


@pytest.mark.parametrize("target", [HOSTILE, "", "*", "/é\u2028"])
@pytest.mark.parametrize("method", ["POST", "P\x1b[0m\n" + "O" * 300, ""])
def test_hostile(caplog: pytest.LogCaptureFixture, target: str, method: str) -> None:
    """Nothing of a request begins a line, controls a terminal, or fills the log."""
    handle(Incoming({}, BODY, method=method, target=("http", target)))

    line = caplog.records[-1].getMessage()
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 1000
    assert "token" not in line


@pytest.mark.parametrize(
    ("options", "level", "kind", "line"),
    [
        ({"store": MemoryStore()}, logging.INFO, "duplicate", "it was handled before"),
        ({"store": Down()}, logging.ERROR, "store-error", "the store is away"),
        (
            {"store": Deduplicator(Down(), on_store_error="accept")},
            logging.ERROR,
            "store-error",
            "the store is away",
        ),
    ],
    ids=["duplicate", "store", "accepted"],
)
def test_store(
    caplog: pytest.LogCaptureFixture, options: Any, level: int, kind: str, line: str
) -> None:
    """What a store says has a line in the same form."""
    caplog.set_level(logging.INFO)
    for _ in range(2):
        handle(Incoming(GENUINE, BODY), **options)

    record = caplog.records[-1]
    assert record.levelno == level
    assert fields(record)["webhook_kind"] == kind
    assert record.getMessage() == (
        f"webhook {kind} at POST / (scheme frappe, header none, body 21 bytes): {line}"
    )


def test_doubled_headers_of_a_url(caplog: pytest.LogCaptureFixture) -> None:
    """Where nobody can say which URL was meant, the log says nothing of it."""
    name = providers.SQUARE.signature_headers[0]
    headers = [(name, "A" * 43 + "="), ("Host", "a.example"), ("Host", "b.example")]
    receiver = make_receiver(providers.SQUARE, secret=SECRET, url="https://example.com/")

    run(receiver.handle(BLOCKING, Incoming(headers, BODY), "view", lambda: 200))

    assert re.search(r"; the URL was https://example.com/ \(see \S+\)$", caplog.text, re.MULTILINE)


def test_which_of_several(caplog: pytest.LogCaptureFixture) -> None:
    """If nothing selects one of several schemes, the line names all of them."""
    name = providers.FRAPPE.signature_headers[0]
    receiver = make_receiver([providers.FRAPPE, providers.WEBHOOK_HEX], secret=SECRET)

    request = Incoming([(name, "a"), (name, "b")], BODY)
    run(receiver.handle(BLOCKING, request, "view", lambda: 200))

    assert "(scheme frappe or webhook-hex, header X-Frappe-Webhook-Signature" in caplog.text


def test_large_body(caplog: pytest.LogCaptureFixture) -> None:
    """A large body is verified elsewhere, and its length is in the line too."""
    handle(Incoming(GENUINE, b"x" * 1_000_000))

    assert fields(caplog.records[0])["webhook_body_length"] == 1_000_000


FRESH = {
    "flask": """
from flask import Flask
from frappe_hooksig.integrations.flask import verify_frappe_webhook

app = Flask(__name__)
app.post("/hook")(verify_frappe_webhook(lambda: "received"))
app.test_client().post("/hook")
""",
    "django": """
from django.conf import settings
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__)
import django; django.setup()
from django.http import HttpResponse
from django.test import Client
from django.urls import path
from frappe_hooksig.integrations.django import verify_frappe_webhook

urlpatterns = [path("hook", verify_frappe_webhook(lambda request: HttpResponse()))]
Client().post("/hook")
""",
    "fastapi": """
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from frappe_hooksig.integrations.fastapi import FrappeWebhook

app = FastAPI()
app.post("/hook", dependencies=[Depends(FrappeWebhook())])(lambda: "received")
TestClient(app).post("/hook")
""",
}


@pytest.mark.parametrize("framework", FRESH)
def test_fresh_app(framework: str) -> None:
    """Where nobody has configured logging, a refusal is on standard error."""
    done = subprocess.run(
        [sys.executable, "-c", FRESH[framework]], capture_output=True, text=True, check=True
    )

    assert "webhook refused: missing-header at POST /hook (scheme frappe, " in done.stderr
