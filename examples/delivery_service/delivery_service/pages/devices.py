"""Browsers in which somebody has logged in before.

A stranger who sends wrong passwords for an account would otherwise lock its owner out: each account
has a limit, or passwords could be guessed from many addresses. So a browser keeps a signed cookie
after a login. With it, its wrong passwords are counted apart from those of everybody else.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

from delivery_service.settings import Settings

_NONCE: Final = 16  # bytes
_LONGEST: Final = 200  # characters


def new_device(settings: Settings, email: str) -> str:
    """Return the value of a cookie for a browser in which somebody has logged in."""
    nonce = secrets.token_urlsafe(_NONCE)
    return f"{nonce}.{_mac(settings.keys[0].get_secret_value(), nonce, email)}"


def is_known(settings: Settings, email: str, cookie: str) -> bool:
    """Whether somebody with this email has logged in in the browser with this cookie."""
    nonce, _, mac = cookie[:_LONGEST].partition(".")
    return any(
        hmac.compare_digest(_mac(each.get_secret_value(), nonce, email).encode(), mac.encode())
        for each in settings.keys
    )


def _mac(key: str, nonce: str, email: str) -> str:
    content = f"known browser\n{nonce}\n{email.casefold()}".encode()
    return hmac.new(key.encode(), content, hashlib.sha256).hexdigest()
