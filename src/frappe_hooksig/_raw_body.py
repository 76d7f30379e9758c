"""What counts as a raw body: bytes, and how many of them."""

from __future__ import annotations

from frappe_hooksig.exceptions import ConfigurationError

#: The largest body that is accepted by default, in bytes: as much as Frappe itself takes.
MAX_BODY = 25 * 1024 * 1024


def not_raw(body: object) -> TypeError:
    """Return the error for a body that is not bytes: it says what to pass instead."""
    return TypeError(
        f"the body is {type(body).__name__}, not bytes: what was signed is the raw body, before "
        "any parsing (Flask request.get_data(), Django request.body, Starlette await "
        "request.body(), Frappe frappe.request.get_data())"
    )


def checked_max_body(max_body: object) -> int:
    """Return the largest accepted body, in bytes.

    Raises:
        ConfigurationError: It is not a number of bytes.
    """
    if not (isinstance(max_body, int) and max_body >= 0):
        msg = "max_body is a number of bytes, from 0"
        raise ConfigurationError(msg)
    return max_body
