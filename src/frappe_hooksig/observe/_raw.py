"""Observers that see raw requests: only those of this package."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from frappe_hooksig.observe._event import Event
from frappe_hooksig.scheme import Scheme

# The largest request line with headers, in characters. Servers take 8 KiB to 1 MiB.
_LARGEST_HEAD = 131_072


class RawRequest:
    """A request as it came. It has secrets of its sender: show it to nobody.

    It is no sequence and no dataclass, because error reporters show what is in those.

    Attributes:
        method: The HTTP method.
        target: The path and the query, as the server received them.
        headers: The names and values of all headers.
        body: The raw body.
        scheme: How the sender should have signed.
        url: The URL that was verified, if the scheme signs it.
    """

    __slots__ = ("body", "headers", "method", "scheme", "target", "url")

    def __init__(
        self,
        method: str,
        target: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        *,
        scheme: Scheme,
        url: str | None,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.scheme = scheme
        self.url = url

    @property
    def is_too_large(self) -> bool:
        """Whether its headers are larger than observers take."""
        size = len(self.target) + sum(len(name) + len(value) for name, value in self.headers)
        return size > _LARGEST_HEAD

    def __repr__(self) -> str:
        return "<a raw request>"


class RawObserver(ABC):
    """An observer of refused requests that sees them raw.

    Attributes:
        max_body: The largest body that it takes, in bytes. Requests with larger ones, or with more
            than 128 KiB of headers, are left out.
        backlog: How many requests may wait for it. Those that come meanwhile are left out.
        is_awaited: Whether the response waits for it, if it is quick.
    """

    max_body: int
    backlog: int
    is_awaited: bool

    @abstractmethod
    def _take(self, event: Event, request: RawRequest) -> None:
        """Look at a refused request."""

    def __call__(self, event: Event) -> None:  # noqa: ARG002
        """Refuse to be called: a function around it has no raw request for it.

        Raises:
            TypeError: Always.
        """
        name = type(self).__name__
        msg = f"pass {name}(...) itself in observe=: a function around it gets no raw request"
        raise TypeError(msg)
