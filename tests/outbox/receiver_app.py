"""Our own receiver: a WSGI app of Flask that handles each delivery once, at each of its paths.

It writes down what arrives, and what it handles: a line each in the file NOTES. The parameter
`takes` of the URL says how many seconds it takes to handle one.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from flask import Flask, request

from frappe_hooksig.integrations.flask import get_delivery, verify_webhook
from frappe_hooksig.providers import STANDARD_WEBHOOKS
from frappe_hooksig.replay import SQLiteStore
from tests.outbox.programs import SECRET

PATHS = 5

app = Flask(__name__)
_notes = Path(os.environ["NOTES"])
_store = SQLiteStore(_notes.with_name("store"), timeout=20)


def note(what: str, message_id: str | None) -> None:
    """Write a line at the end of the file, whoever else does so."""
    with _notes.open("a") as notes:
        notes.write(f"{what} {time.time():.3f} {request.path} {message_id}\n")


@app.before_request
def arrive() -> None:
    note("arrived", request.headers.get("webhook-id"))


@verify_webhook(STANDARD_WEBHOOKS, secret=os.environ[SECRET], store=_store)
def handle() -> str:
    time.sleep(request.args.get("takes", 0.0, float))
    note("handled", get_delivery().id)
    return "thank you"


for number in range(PATHS):
    app.add_url_rule(f"/{number}", f"hook {number}", handle, methods=["POST"])
