"""Flask: one route unverified, one verified by hand, one by us."""

from __future__ import annotations

import json
import os

from flask import Flask, abort, request

from benchmarks.by_hand import Refused, three_lines
from frappe_hooksig.integrations.flask import get_delivery, verify_frappe_webhook

app = Flask(__name__)
check = three_lines(os.environ["FRAPPE_WEBHOOK_SECRET"].encode())


@app.post("/unverified")
def unverified() -> dict[str, str]:
    """Parse what anybody sends."""
    order = json.loads(request.get_data())
    return {"received": order["name"]}


@app.post("/by-hand")
def by_hand() -> dict[str, str]:
    """Parse what has the right signature."""
    body = request.get_data()
    try:
        check(body, request.headers)
    except Refused:
        abort(401)
    order = json.loads(body)
    return {"received": order["name"]}


@app.post("/verified")
@verify_frappe_webhook
def verified() -> dict[str, str]:
    """Parse what Frappe has signed."""
    order = get_delivery().json()
    return {"received": order["name"]}
