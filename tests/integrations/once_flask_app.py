"""The Flask app of `once_apps`."""

from __future__ import annotations

import asyncio
import time
from typing import Any, ClassVar

from flask import Flask, Response
from flask.views import MethodView

from frappe_hooksig.integrations import flask
from tests.integrations.once_apps import OPTIONS, begin, end

flask_app = Flask(__name__)


@flask_app.post("/")
@flask.verify_frappe_webhook(**OPTIONS)
def of_flask() -> Any:
    takes, status = begin(flask.get_delivery())
    time.sleep(takes)
    return {"handled": True}, end(flask.get_delivery(), status)


@flask_app.post("/other")
@flask.verify_frappe_webhook(**OPTIONS)
def other_of_flask() -> Response:
    return Response(status=end(flask.get_delivery(), begin(flask.get_delivery())[1]))


class Hook(MethodView):
    """A view by class, and one of many."""

    decorators: ClassVar[list[Any]] = [flask.verify_frappe_webhook(**OPTIONS)]

    def post(self) -> Response:
        return Response(status=end(flask.get_delivery(), begin(flask.get_delivery())[1]))


flask_app.add_url_rule("/class", view_func=Hook.as_view("hook"))
flask_app.add_url_rule("/class-too", view_func=Hook.as_view("hook_too"))


@flask_app.post("/async")
@flask.verify_frappe_webhook(**OPTIONS)
async def async_of_flask() -> Any:
    takes, status = begin(flask.get_delivery())
    await asyncio.sleep(takes)
    return {"handled": True}, end(flask.get_delivery(), status)
