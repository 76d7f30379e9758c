"""A receiver that handles each delivery once, and writes the id of each that it has handled."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask, request

from frappe_hooksig.integrations.flask import get_delivery, verify_webhook
from frappe_hooksig.providers import STANDARD_WEBHOOKS
from frappe_hooksig.replay import SQLiteStore

app = Flask(__name__)
notes = Path(os.environ["NOTES"])


def handle() -> str:
    with notes.open("a") as file:
        file.write(f"{request.path} {get_delivery().id}\n")
    return "thank you"


# A message has one id for all endpoints, so each has a store of its own.
for number in range(5):
    store = SQLiteStore(notes.with_name(f"store{number}"), timeout=20)
    verified = verify_webhook(STANDARD_WEBHOOKS, secret=os.environ["HOOK_SECRET"], store=store)
    app.add_url_rule(f"/{number}", f"hook {number}", verified(handle), methods=["POST"])
