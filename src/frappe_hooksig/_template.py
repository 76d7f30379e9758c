"""Split and check the template of a scheme's signed content, such as `{timestamp}.{body}`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from string import Formatter

_LONGEST_METHOD = 20  # characters
_PARTS = {"body", "timestamp", "id", "method", "url"}

# Parts that may stand side by side in the signed content, without fixed text between them. A
# timestamp has a fixed form, a method has only upper-case letters, and the receiver knows the URL.
# Between any other two parts, an attacker could move bytes without changing the MAC.
_SEAMS = {
    ("timestamp", "body"),
    ("body", "timestamp"),
    ("method", "url"),
    ("url", "body"),
    ("body", "url"),
}
# An RFC 3339 timestamp has a clear start and end, as long as the id does not look like one.
_SEAMS_OF_RFC3339 = {("id", "timestamp"), ("timestamp", "id")}


def pieces(signed: str) -> list[tuple[str, str | None]]:
    """Split a template into pairs: fixed text, and the part after it (None for trailing text).

    Raises:
        ValueError: The template has unbalanced braces.
    """
    return [(text, part) for text, part, _, _ in Formatter().parse(signed)]


def is_method(text: str) -> bool:
    """Whether a text is a method that can be signed: upper-case letters, so its end is clear."""
    is_upper = text.isascii() and text.isalpha() and text.isupper()
    return is_upper and len(text) <= _LONGEST_METHOD


def texts_beside_url(signed: str) -> tuple[str, str]:
    """Return the fixed text directly before and directly after the URL in a template with one."""
    before, _, after = signed.partition("{url}")
    return before.rpartition("}")[2], after.partition("{")[0]


# Cached, because most senders use one of a few templates.
@lru_cache(maxsize=64)
def problems_of(signed: str, is_rfc3339: bool) -> tuple[str, ...]:  # noqa: FBT001
    """Return a message for each mistake in a template.

    Args:
        signed: The template.
        is_rfc3339: Whether its timestamp is written in RFC 3339.
    """
    return tuple(_problems(signed, is_rfc3339=is_rfc3339))


def _problems(signed: str, *, is_rfc3339: bool) -> Iterator[str]:
    try:
        found = pieces(signed)
    except ValueError:
        yield "signed has unbalanced braces"
        return
    if any("\ud800" <= character <= "\udfff" for character in signed):
        yield "signed has a lone surrogate, which has no UTF-8 form"
    parts = [part for _, part in found if part is not None]
    plain = "".join(text if part is None else f"{text}{{{part}}}" for text, part in found)
    if not set(parts) <= _PARTS or plain != signed:
        yield f"signed may contain only {', '.join(sorted(_PARTS))} in braces, and no other braces"
    if len(set(parts)) < len(parts) or "body" not in parts:
        yield "signed must contain {body}, and each part at most once"
    before, method, behind = signed.partition("{method}")
    if method and any("A" <= each <= "Z" for each in before[-1:] + behind[:1]):
        yield "in signed, {method} cannot stand beside an upper-case letter"
    seams = _SEAMS | _SEAMS_OF_RFC3339 if is_rfc3339 else _SEAMS
    for (_, left), (between, right) in pairwise(found):
        if left and right and not between and (left, right) not in seams:
            yield f"in signed, {{{left}}} and {{{right}}} need fixed text between them"
