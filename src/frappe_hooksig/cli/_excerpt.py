"""The start of what a receiver answered, for somebody at a terminal."""

from __future__ import annotations

import re
from html import unescape
from typing import Final

from frappe_hooksig._escaping import escaped

# Both parts are bounded, so that a hostile page takes no time.
_TITLE: Final = re.compile(r"<title(?:\s[^<>]{0,99})?>([^<]{1,999})", re.IGNORECASE)

_LONGEST: Final = 200  # characters


def excerpt(body: bytes) -> str:
    """Return the title of an HTML page, or the start of another body. It is escaped and bounded."""
    text = body.decode("utf-8", "replace").strip()
    return escaped(_title(text) or text)


def plain(text: str, longest: int = _LONGEST) -> str:
    """Return the start of a text, escaped only if it is not ASCII that can be printed."""
    if not (text.isascii() and text.isprintable()):
        return escaped(text, longest)
    return text if len(text) <= longest else f"{text[:longest]}..."


def _title(text: str) -> str:
    """Return the title of an HTML page, in one line; empty if there is none."""
    found = _TITLE.search(text) if text.startswith("<") else None
    return "" if found is None else " ".join(unescape(found[1]).split())
