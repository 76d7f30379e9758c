"""`Event`: what became of a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

#: What became of a request. One that reaches its handler has two events: `accepted` before the
#: handler runs, then `handled` for a 2xx response, or `failed`.
Kind: TypeAlias = Literal[
    "accepted",
    "handled",
    "failed",
    "refused",
    "ignored",
    "duplicate",
    "in-flight",
    "store-error",
    "lease-lost",
    "misconfigured",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """What became of a request. It has no body, and no value of a header.

    Text that the client controls is printable ASCII, with escape sequences of Python for everything
    else, and is cut off after 200 characters.

    Attributes:
        kind: What became of the request.
        endpoint: The route, by the name that its framework has for it.
        scheme: The name of the scheme; several, joined with "or", if the headers select none.
        reason: The code in the response to a request that reaches no handler; the name of the
            exception that ended the handler; else None.
        message: A sentence for your log. It may show what strangers must not see, such as the URL
            that was verified. Empty if there is nothing to say.
        status: The HTTP status of the response; None before there is one, or if an exception ended
            the handler.
        seconds: How long the request has taken so far.
        header: The header to look at, or None.
        body_length: The length of the body in bytes; None if it was not read.
        method: The HTTP method.
        path: The path of the URL, without the query.
        header_names: The names of up to 100 headers, in the order of the server. Empty if
            `log` is the only observer.
        site: The site that was called, in Frappe; elsewhere None.
    """

    kind: Kind
    endpoint: str
    scheme: str
    reason: str | None = None
    message: str = ""
    status: int | None = None
    seconds: float
    header: str | None = None
    body_length: int | None = None
    method: str
    path: str
    header_names: tuple[str, ...]
    site: str | None


#: A function that gets each event of a route.
Observer: TypeAlias = Callable[[Event], object]
