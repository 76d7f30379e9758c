"""Lists in pages: where the next one begins is in an opaque cursor."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated, Generic, Protocol, TypeVar

from pydantic import Field

from delivery_service.api.fields import Answered, Received, said
from delivery_service.problems import Problem


class _WithId(Protocol):
    @property
    def id(self) -> str | int: ...


_T = TypeVar("_T")
_Found = TypeVar("_Found")
_Item = TypeVar("_Item", bound=_WithId)

Cursor = Annotated[
    str,
    Field(pattern="^[A-Za-z0-9_-]+$", max_length=100),
    said("A cursor is `next` of the page before, as it is"),
]


class Paged(Received):
    """Which page of a list is wanted."""

    # What a query has is text: strict, it would never be a number.
    limit: int = Field(default=50, strict=False, ge=1, le=100, description="How many at most.")
    cursor: Cursor | None = Field(
        default=None, description="`next` of the page before. Without it, the list begins."
    )


class Page(Answered, Generic[_T]):
    """A part of a list."""

    items: list[_T]
    next: str | None = Field(
        description="The `cursor` of the next page; null if this is the last one."
    )


def page_of(found: Sequence[_Found], limit: int, show: Callable[[_Found], _Item]) -> Page[_Item]:
    """Return a page of what was found.

    Args:
        found: The rows of the page, and one more if there is another page.
        limit: How many the page has at most.
        show: Returns what the API tells of a row.
    """
    items = [show(each) for each in found[:limit]]
    # The cursor has nothing but the id of the last item.
    has_more = len(found) > limit
    return Page(items=items, next=_cursor_after(items[-1].id) if has_more else None)


def _cursor_after(last: str | int) -> str:
    return urlsafe_b64encode(str(last).encode()).decode().rstrip("=")


def last_of(cursor: str | None, form: str) -> str | None:
    """Return the id of the item that the page before has ended with.

    Args:
        cursor: What a caller has sent; None for the first page.
        form: A pattern of the ids of this list.

    Raises:
        Problem: The cursor is not from this list.
    """
    if cursor is None:
        return None
    with suppress(NotBase64, UnicodeDecodeError):
        last = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        if re.fullmatch(form, last, re.ASCII):
            return last
    raise unknown_cursor()


def unknown_cursor() -> Problem:
    """Return the refusal of a cursor that belongs to no page."""
    detail = "there is no page with this cursor: begin again without one"
    return Problem(404, "unknown-cursor", detail)
