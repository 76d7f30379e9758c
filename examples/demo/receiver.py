"""A Flask app that receives Frappe's webhooks, written as for production."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import wraps
from time import perf_counter, sleep

from flask import Flask, Response, current_app, g, make_response

from frappe_hooksig import Secret
from frappe_hooksig.integrations.flask import get_delivery, verify_frappe_webhook
from frappe_hooksig.replay import MemoryStore

# The number of calls of the handler, by the name of the order.
handled = Counter[str]()


def create_app(current: str, old: str) -> Flask:
    """Return the app.

    Args:
        current: The current secret of the sender.
        old: The previous secret, which is still accepted during the rotation.
    """
    app = Flask(__name__)
    # Generate your own: python -c "import frappe_hooksig as h; print(h.generate_secret())"
    app.config["FRAPPE_WEBHOOK_SECRET"] = [Secret(current, id="current"), Secret(old, id="old")]
    app.add_url_rule("/webhook", view_func=timed(webhook), methods=["POST", "PUT", "DELETE"])
    app.add_url_rule("/orders", view_func=orders, methods=["POST"])
    app.register_error_handler(RuntimeError, lambda _error: ({"status": "failed"}, 500))
    return app


@verify_frappe_webhook(store=MemoryStore())  # several processes need a shared store
def orders() -> dict[str, str]:
    """Handle one order, once."""
    order = get_delivery().json()
    handled[order["name"]] += 1
    if order.get("crashes") and handled[order["name"]] == 1:
        msg = "out of luck"
        raise RuntimeError(msg)
    sleep(order.get("takes", 0))
    return {"status": "received"}


@verify_frappe_webhook
def webhook() -> dict[str, object]:
    """Handle one verified webhook."""
    g.verified_at = perf_counter()
    delivery = get_delivery()
    delivery.json()  # Frappe waits 5 s for the response, so leave real work to a queue
    current_app.logger.info("received %r", delivery)
    return {"status": "received", "secret": delivery.secret_id}


def timed(view: Callable[[], dict[str, object]]) -> Callable[[], Response]:
    """Add a Server-Timing header with the time until the request was verified or refused."""

    @wraps(view)
    def inner() -> Response:
        start = perf_counter()
        response = make_response(view())
        milliseconds = (g.pop("verified_at", perf_counter()) - start) * 1000
        response.headers["Server-Timing"] = f"verify;dur={milliseconds:.3f}"
        return response

    return inner
