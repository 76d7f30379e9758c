"""What type checkers make of decorated whitelisted methods. Checked, never run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import frappe
from typing_extensions import assert_type
from werkzeug.wrappers import Request

from frappe_hooksig import Delivery, Verifier, providers
from frappe_hooksig.integrations.frappe import (
    SecretReference,
    enqueue_webhook,
    get_delivery,
    password,
    site_config,
    verify_frappe_webhook,
    verify_webhook,
)


@frappe.whitelist(allow_guest=True, methods=["POST"])
@verify_frappe_webhook
def bare() -> dict[str, str]:
    """Used bare."""
    assert_type(get_delivery(), Delivery)
    return {}


@verify_frappe_webhook(secret=site_config("webhooks.erpnext"), max_body=1024)
def called(*args: int, **kwargs: int) -> str:
    """Used with options."""
    return f"{args}{kwargs}"


@verify_webhook(Verifier("secret", scheme=providers.STRIPE))
def of_verifier() -> int:
    """Used with a verifier."""
    return 0


def secret_of(request: Request) -> str | None:
    """Find a secret for each sender."""
    return request.args.get("site")


@verify_webhook(providers.GITHUB, secret=secret_of, tolerance=None)
def many_senders() -> str:
    """Used with a function."""
    return ""


@verify_frappe_webhook  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportUntypedFunctionDecorator]
def named(order: str) -> str:
    """Refused at import too."""
    return order


bare_is: Callable[[], dict[str, str]] = bare
called_is: Callable[..., str] = called
verifier_is: Callable[[], int] = of_verifier

reference: SecretReference = password("Settings", ["new", "old"], name="x")
enqueue_webhook("https://example.com", {"a": 1}, site_config("x"), scheme=providers.SLACK)
enqueue_webhook("https://example.com", {}, "plain")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

verify_frappe_webhook(secrets="x")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
verify_webhook("github", secret="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def unused(_: Any) -> None:
    """Keep the names above in use."""


unused((many_senders, named))
