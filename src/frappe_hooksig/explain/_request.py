"""The request that is explained, and what is signed besides its body."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice

from frappe_hooksig._headers import MAX_HEADER, Index
from frappe_hooksig.scheme import Scheme

_MOST_HEADERS = 128  # beyond that, headers are ignored
_MOST_VALUES = 8  # of one header
_MOST_TEXT = 65_536  # characters of all headers that are not the scheme's own
_TIME = re.compile(
    r"(?a)(?<![\w.])(?:\d{10}|\d{13}|\d{4}-\d\d-\d\dT[\d:.]{8,18}(?:Z|[+-][\d:]{5}))(?!\w)"
)
_MOST_TIMES = 6


@dataclass(frozen=True, slots=True)
class Request:
    """A request. Its repr shows nothing that may be secret, for error reporters.

    Attributes:
        body: The raw body.
        headers: All headers.
        method: The HTTP method, or None.
        url: The URL that is registered with the sender, or None.
        now: The current time, in Unix seconds.
    """

    body: bytes = field(repr=False)
    headers: Index = field(repr=False)
    method: str | None = field(repr=False)
    url: str | None = field(repr=False)
    now: float

    def texts(self, name: str) -> list[str]:
        """Return the values of a header, each cut off at the length that any server accepts."""
        return [_text(value) for value in self.headers.getlist(name)[:_MOST_VALUES]]

    def text(self, name: str | None) -> str | None:
        """Return the first value of a header without the space around it, or None."""
        texts = [] if name is None else self.texts(name)
        return texts[0].strip() if texts else None

    def names(self) -> Iterable[str]:
        """Return the names of the headers, in lower case."""
        return self.headers.names

    def bounded(self, own: Iterable[str]) -> tuple[Request, int]:
        """Return the request with as many headers as a search reads, and how many are left out.

        Args:
            own: The names of the headers that the scheme reads. They come first, and all stay.
        """
        own = {name.lower() for name in own}
        first = [name for name in self.headers.names if name in own]
        pairs = [(name, text) for name in first for text in self.texts(name)]
        others = [name for name in self.headers.names if name not in own]
        left = _MOST_TEXT
        left_out = len(others[_MOST_HEADERS:])
        for name in others[:_MOST_HEADERS]:
            texts = self.texts(name)
            size = len(name) + sum(map(len, texts))
            if size > left:
                left_out += 1
            else:
                left -= size
                pairs += [(name, text) for text in texts]
        return replace(self, headers=Index(pairs)), left_out

    def times(self) -> list[str]:
        """Return the timestamps in all headers, as they are written."""
        found = (
            time
            for name in self.names()
            for text in self.texts(name)
            for time in _TIME.findall(text)
        )
        return [*islice(dict.fromkeys(found), _MOST_TIMES)]


@dataclass(frozen=True, slots=True)
class Content:
    """What is signed: a template, and the values of its parts."""

    template: str
    timestamp: str | None = None
    id: str | None = None
    method: str | None = None
    url: str | None = None

    def around(self) -> tuple[bytes, bytes] | None:
        """Return the bytes before and after the body; None if a part has no value."""
        values = {
            "timestamp": self.timestamp,
            "id": self.id,
            "method": self.method,
            "url": self.url,
        }
        if any(value is None and f"{{{name}}}" in self.template for name, value in values.items()):
            return None
        before, _, after = self.template.partition("{body}")
        return (
            before.format_map(values).encode("utf-8", "surrogatepass"),
            after.format_map(values).encode("utf-8", "surrogatepass"),
        )


def content_of(scheme: Scheme, request: Request) -> Content:
    """Return what a scheme signs besides the body, read leniently: nothing is refused."""
    timestamp = request.text(scheme.timestamp_header)
    if scheme.timestamp_prefix or scheme.timestamp_is_first:
        entries = [
            entry.strip()
            for text in request.texts(scheme.signature_headers[0])
            for entry in re.split(r"[,;& ]", text)
        ]
        start = scheme.timestamp_prefix
        timestamp = next((e.removeprefix(start) for e in entries if e.startswith(start)), None)
    return Content(
        scheme.signed or "{body}",
        timestamp or None,
        request.text(scheme.id_header) or None,
        request.method,
        request.url,
    )


def _text(value: object) -> str:
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return text[:MAX_HEADER]
