"""HTML in the strings that a guest sends."""

from __future__ import annotations

import json
import re
from html import escape

import frappe

TAG = re.compile(r"(</?([a-zA-Z][^\s/<>]*)[^<>]*>)")
HARMLESS = re.compile(
    "a|b|blockquote|br|code|div|em|h[1-6r]|i|img|li|ol|p|pre|small|span|strong|su[bp]|table|tbody"
    "|td|th|thead|tr|u|ul"
)


def sanitize_html(text: str) -> str:
    """Escape the tags that do something, and around any tag what is none."""
    if is_json(text):
        return text
    if frappe.VERSION == "14":
        text.encode()  # its Beautiful Soup looks for a file of that name: a lone surrogate raises
    if not TAG.search(text):
        return text
    first, *rest = TAG.split(text)  # text, then again and again: a tag, its name, text
    pieces = [escape(first, quote=False)]
    for tag, name, following in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        pieces.append(tag if HARMLESS.fullmatch(name.lower()) else escape(tag, quote=False))
        pieces.append(escape(following, quote=False))
    return "".join(pieces)


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
