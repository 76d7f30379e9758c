"""The URLs that are registered with a sender, for schemes that sign the URL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import permutations
from typing import TYPE_CHECKING

from frappe_hooksig._escaping import escaped_url
from frappe_hooksig._template import texts_beside_url
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
        ConfigurationError: One of them is not a URL, the scheme does not sign the URL, or the
            signed content does not tell two of them apart.
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
    _require_told_apart(scheme, urls)
    return urls


def _require_told_apart(scheme: Scheme, urls: Sequence[str]) -> None:
    """Refuse two URLs of which one could take bytes from the other's body, or give it some.

    An example for `{url}{body}`: the signature of the body `x` at `.../hook/2` is also that of the
    body `/2x` at `.../hook`. So the URL before a body must have a clear end, and the URL behind one
    a clear start. Next to another part than the body, this is stricter than it has to be.

    Raises:
        ConfigurationError: There are such URLs.
    """
    before, after = texts_beside_url(scheme.signed)
    is_before_body = scheme.signed.index("{url}") < scheme.signed.index("{body}")
    for one, other in permutations(dict.fromkeys(urls), 2):
        if is_before_body and (other + after).startswith(one + after):
            where = "begins with"
        elif not is_before_body and (before + other).endswith(before + one):
            where = "ends with"
        else:
            continue
        msg = (
            f"url= has {other!r}, which {where} {one!r}: scheme {scheme.name!r} signs the URL "
            "beside the body, so a signature for one of them would verify another body at the "
            "other. Register URLs that do not continue one another"
        )
        raise ConfigurationError(msg)


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
        if len(urls) > 1:
            msg = "several URLs are registered: pass url=, the URL that the request was sent to"
            raise ConfigurationError(msg)
        return urls[0]
    if url not in urls:
        known = ", ".join(map(escaped_url, urls))
        private = f"it was sent to {escaped_url(url)}; registered are {known}"
        raise VerificationError(Reason.UNKNOWN_URL, private_detail=private)
    return url
