"""The URLs that are registered with a sender, for schemes that sign the URL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from frappe_hooksig.exceptions import ConfigurationError, Reason, VerificationError

if TYPE_CHECKING:
    from frappe_hooksig.scheme import Scheme

_URL = r"https?://[!-~]+"


def registered(scheme: Scheme, url: str | Sequence[str] | None) -> tuple[str, ...]:
    """Check and return the URLs that are registered with the sender.

    Args:
        scheme: The sender's scheme.
        url: As for `Verifier`.

    Raises:
        ConfigurationError: One of them is not a URL, or the scheme does not sign the URL.
    """
    if url is None:
        return ()
    urls = tuple(url) if isinstance(url, Sequence) and not isinstance(url, str) else (url,)
    if not scheme.signs_url:
        msg = f"url= has no use: scheme {scheme.name!r} does not sign the URL"
        raise ConfigurationError(msg)
    if not urls or not all(isinstance(each, str) and re.fullmatch(_URL, each) for each in urls):
        msg = "url= must be the whole URL that is registered with the sender: https://..."
        raise ConfigurationError(msg)
    return urls


def only_registered(urls: Sequence[str], url: str | None) -> str:
    """Return the URL that a request was sent to, if it is registered.

    Args:
        urls: From `registered()`, at least one.
        url: The URL of the request, or None if it is unknown.

    Raises:
        VerificationError: The URL of the request is not registered.
        ConfigurationError: Several URLs are registered, and `url` is None.
    """
    if url is None:
        only, *others = urls
        if others:
            msg = "several URLs are registered: pass url=, the URL that the request was sent to"
            raise ConfigurationError(msg)
        return only
    if url not in urls:
        raise VerificationError(Reason.UNKNOWN_URL)
    return url
