"""A Flask app with a route for each mistake, as somebody debugs it; gunicorn serves it."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask

from frappe_hooksig.integrations.flask import verify_webhook
from frappe_hooksig.observe import Capture, ExplainToLog, Observer, log
from frappe_hooksig.providers import FRAPPE, SQUARE, STRIPE

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
STRIPE_SECRET = "whsec_Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
URL = "https://shop.example/square"


def make_app() -> Flask:
    """Return the app. What it refuses is captured in `$FOLDER`."""
    app = Flask(__name__)
    capture = Capture(os.environ["FOLDER"])
    routes: dict[str, tuple[Any, str, dict[str, Any]]] = {
        "frappe": (FRAPPE, SECRET, {}),
        "line-end": (FRAPPE, SECRET + "\n", {}),
        "quotes": (FRAPPE, f'"{SECRET}"', {}),
        "stripe": (STRIPE, STRIPE_SECRET, {}),
        "square": (SQUARE, SECRET, {"url": URL}),
    }
    for name, (scheme, secret, options) in routes.items():
        observers: list[Observer] = [log, capture, ExplainToLog(secret)]
        verify = verify_webhook(scheme, secret=secret, observe=observers, **options)
        app.add_url_rule(f"/{name}", name, verify(lambda: "received"), methods=["POST"])
    return app
