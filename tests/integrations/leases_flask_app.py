"""The Flask app of test_leases.py."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, request

from frappe_hooksig.integrations import flask
from tests.integrations.leases_apps import OTHER_OPTIONS, SLOW_OPTIONS, work, work_if_held
from tests.integrations.once_apps import OPTIONS, note

flask_app = Flask(__name__)


@flask_app.post("/")
@flask.verify_frappe_webhook(**OPTIONS)
def with_store() -> Response:
    return Response(status=work(flask.get_delivery()))


@flask_app.post("/other-store")
@flask.verify_frappe_webhook(**OTHER_OPTIONS)
def with_other_store() -> Response:
    return Response(status=work(flask.get_delivery()))


@flask_app.post("/slow-store")
@flask.verify_frappe_webhook(**SLOW_OPTIONS)
def with_slow_store() -> Response:
    return Response(status=work(flask.get_delivery()))


@flask_app.post("/asks")
@flask.verify_frappe_webhook(**OPTIONS)
def asks() -> Response:
    return Response(status=work_if_held(flask.get_delivery(), flask.get_claim()))


@flask_app.route("/methods", methods=["GET", "POST", "HEAD", "OPTIONS", "TRACE"])
@flask_app.get("/get")
@flask.verify_frappe_webhook(**OPTIONS)
def by_method() -> Any:
    note(f"{request.method} {flask.get_delivery().json()['n']}")
    return "handled"
