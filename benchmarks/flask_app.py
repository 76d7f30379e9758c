"""The app that gunicorn serves: one route that verifies, and the same one that does not."""

from __future__ import annotations

import json

from flask import Flask, request

from frappe_hooksig.integrations.flask import get_delivery, verify_frappe_webhook

app = Flask(__name__)


@app.post("/unverified")
def unverified() -> dict[str, str]:
    """Parse what anybody sends."""
    order = json.loads(request.get_data())
    return {"received": order["name"]}


@app.post("/verified")
@verify_frappe_webhook
def verified() -> dict[str, str]:
    """Parse what Frappe has signed."""
    order = get_delivery().json()
    return {"received": order["name"]}
