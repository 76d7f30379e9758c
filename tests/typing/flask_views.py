"""What type checkers make of decorated Flask views. Checked, never run."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from flask import Flask, Request
from flask.views import MethodView
from typing_extensions import assert_type

from frappe_hooksig import Delivery, Verifier, providers
from frappe_hooksig.integrations.flask import get_delivery, verify_frappe_webhook, verify_webhook

app = Flask(__name__)


@app.post("/bare")
@verify_frappe_webhook
def bare(name: str) -> dict[str, str]:
    """Used bare."""
    assert_type(get_delivery(), Delivery)
    return {"name": name}


@app.post("/called")
@verify_frappe_webhook(secret=["new", "old"], max_body=1024)
def called(name: str, *, again: int = 0) -> str:
    """Used with options."""
    return name * again


@app.post("/async")
@verify_webhook(Verifier("secret", scheme=providers.STRIPE))
async def asynchronous() -> str:
    """Async stays async."""
    return ""


@verify_webhook(providers.WOOCOMMERCE, secret="secret", unsigned_events=["order.created"])
def topics() -> str:
    """Used with events."""
    return str(get_delivery().unsigned_event)


def secret_of(request: Request) -> str | None:
    """Find a secret for each sender."""
    return request.headers.get("X-Site")


@verify_webhook(providers.GITHUB, secret=secret_of, tolerance=None)
def many_senders() -> str:
    """Used with a function."""
    return ""


class Hook(MethodView):
    """A class view."""

    decorators = [verify_frappe_webhook]  # noqa: RUF012

    @verify_frappe_webhook
    def post(self, number: int) -> str:
        """Methods keep their types too."""
        return str(number)


assert_type(bare("a"), dict[str, str])
assert_type(called("a", again=1), str)
assert_type(Hook().post(1), str)
asynchronous_is: Callable[[], Coroutine[Any, Any, str]] = asynchronous

bare(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
called("a", again="b")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
verify_frappe_webhook(secrets="x")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
verify_webhook(secret="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
verify_webhook("github", secret="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
