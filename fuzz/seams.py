"""Where what was signed could be cut into its parts in another way."""

from __future__ import annotations

import re

from frappe_hooksig import Scheme
from fuzz.oracle import Message, template

_MOST = 200  # ways to cut one content

_TIMES = {
    "unix": r"[0-9]{10}",
    "unix-ms": r"[0-9]{13}",
    "rfc3339": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})",
}


def same_content(scheme: Scheme, signed: bytes, url: str = "") -> list[Message]:
    """Return the messages that have the same signed content, as far as their parts look right."""
    text = signed.decode("latin-1")
    pieces = template(scheme)
    patterns = {
        "body": r"[\x00-\xff]*",
        "timestamp": _TIMES[scheme.timestamp_format],
        "id": r"[ -~]+",
        "method": r"[A-Z]{1,20}",
        "url": re.escape(url),
    }
    # Each way to put the seams: parts are settled one by one, from the left.
    ways: list[tuple[int, dict[str, str]]] = [(0, {})]
    for at, piece in enumerate(pieces):
        longer: list[tuple[int, dict[str, str]]] = []
        fixed = piece.encode("utf-8", "surrogatepass").decode("latin-1")
        for start, parts in ways:
            if at % 2 == 0:
                if text.startswith(fixed, start):
                    longer.append((start + len(fixed), parts))
                continue
            pattern = re.compile(patterns[piece])
            longer += [
                (end, parts | {piece: text[start:end]})
                for end in range(start, len(text) + 1)
                if pattern.fullmatch(text, start, end)
            ]
        ways = longer
    return [
        Message(
            parts.get("body", "").encode("latin-1"),
            parts.get("timestamp"),
            parts.get("id"),
            parts.get("method"),
            parts.get("url"),
        )
        for end, parts in ways
        if end == len(text)
    ][:_MOST]
