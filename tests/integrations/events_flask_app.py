"""The Flask app that takes two topics of WooCommerce's."""

from __future__ import annotations

from typing import Any, ClassVar

from flask import Flask
from flask.views import MethodView

from frappe_hooksig import MultiVerifier, Verifier, providers
from frappe_hooksig.integrations.flask import get_delivery, verify_webhook
from frappe_hooksig.replay import MemoryStore
from tests.integrations.own_secrets import OLD, SECRET

LISTED = ["order.created", "order.updated"]
OPTIONS: Any = {"secret": SECRET, "store": MemoryStore(), "unsigned_events": LISTED}
WOOCOMMERCE = Verifier(SECRET, scheme=providers.WOOCOMMERCE, unsigned_events=LISTED)
SHOPIFY = Verifier(OLD, scheme=providers.SHOPIFY, unsigned_events=["orders/create"])

app = Flask(__name__)


@app.post("/")
@verify_webhook(providers.WOOCOMMERCE, **OPTIONS)
def hook() -> dict[str, Any]:
    return {"handled": get_delivery().unsigned_event}


@app.post("/async")
@verify_webhook(providers.WOOCOMMERCE, **OPTIONS)
async def asynchronous() -> dict[str, Any]:
    return {"handled": get_delivery().unsigned_event}


class Hook(MethodView):
    """A view by class."""

    decorators: ClassVar[list[Any]] = [verify_webhook(providers.WOOCOMMERCE, **OPTIONS)]

    def post(self) -> dict[str, Any]:
        return {"handled": get_delivery().unsigned_event}


app.add_url_rule("/class", view_func=Hook.as_view("hook_by_class"))


@app.post("/several")
@verify_webhook(MultiVerifier(WOOCOMMERCE, SHOPIFY), store=MemoryStore())
def several() -> dict[str, Any]:
    return {"handled": get_delivery().unsigned_event}


@app.post("/without-store")
@verify_webhook(WOOCOMMERCE)
def without_store() -> dict[str, Any]:
    return {"handled": get_delivery().unsigned_event}
