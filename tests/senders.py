"""What the senders of each scheme have: a secret in its format, a method and a URL."""

from __future__ import annotations

from typing import Final, TypedDict

from frappe_hooksig import Scheme
from frappe_hooksig.secret import SecretFormat

#: 24 bytes in each format.
SECRETS: Final[dict[SecretFormat, str]] = {
    "text": "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4",
    "hex": "1f8b03c9d27ae46550b19f3cd8e7720a64fd91b8253ce07a",
    "base64": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}


class Where(TypedDict):
    """What is passed where a scheme may sign the method or the URL."""

    method: str
    url: str


WHERE: Final[Where] = {"method": "POST", "url": "https://example.com/hook?a=1"}


def secret_of(scheme: Scheme) -> str:
    """Return a secret as the sender writes its own."""
    return scheme.secret_prefix + SECRETS[scheme.secret_formats[0]]
