"""Check a raw body: its type and its size limit."""

from __future__ import annotations

from frappe_hooksig.exceptions import ConfigurationError

#: The largest body that is accepted by default, in bytes. Frappe's own limit is the same.
MAX_BODY = 25 * 1024 * 1024


def raw_bytes(body: bytes | bytearray | memoryview) -> bytes:
    """Return a raw body as bytes. Another buffer is copied, because its owner may change it.

    Raises:
        TypeError: The body is text, or was parsed.
    """
    if not isinstance(body, bytes | bytearray | memoryview):
        raise not_raw(body)
    return bytes(body)


def not_raw(body: object) -> TypeError:
    """Return the error for a body that is not bytes. It names what to pass instead."""
    return TypeError(
        f"the body is {type(body).__name__}, not bytes: pass the raw body, before any parsing "
        "(Flask request.get_data(), Django request.body, Starlette await request.body(), "
        "Frappe frappe.request.get_data())"
    )


def checked_max_body(max_body: object) -> int:
    """Check `max_body` and return it.

    Raises:
        ConfigurationError: `max_body` is not a number of bytes.
    """
    if not (isinstance(max_body, int) and max_body >= 0):
        msg = "max_body= must be a whole number of bytes, 0 or more"
        raise ConfigurationError(msg)
    return max_body
