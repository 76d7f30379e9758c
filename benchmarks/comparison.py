"""What a row of a table compares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

#: Takes body and headers of a `Request`; refuses by raising, or by returning False.
Check: TypeAlias = Callable[[Any, Any], object]


@dataclass(frozen=True)
class Request:
    """What a contender is called with.

    Attributes:
        body: The raw body, whole or as a list of chunks.
        headers: A mapping, of the kind that the row is about.
    """

    body: Any
    headers: Any


@dataclass(frozen=True)
class Requests:
    """What a contender has to judge.

    Attributes:
        genuine: Must be accepted.
        forged: Each must be refused.
    """

    genuine: Request
    forged: tuple[Request, ...]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to verify a request.

    Attributes:
        name: What the table calls it.
        check: What is timed.
        refusal: What it raises; None if it returns False.
        target: What is aimed at: the largest ratio of our time to its time, or the least factor
            by which ours is faster if that is what the table shows.
        requests: Its own, if it cannot read those of the row.
        is_ordinary: Whether it is timed on its genuine request, though the row is about another.
    """

    name: str
    check: Check
    refusal: type[Exception] | None
    target: float | None = None
    requests: Requests | None = None
    is_ordinary: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """Contenders that do the same work.

    Attributes:
        title: What is special about it.
        requests: What they are tried on; the genuine one is what is timed.
        ours: This library.
        others: What it is compared with.
        refused: What is timed instead, if the row is about a request that is refused.
    """

    title: str
    requests: Requests
    ours: Contender
    others: tuple[Contender, ...]
    refused: Request | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    """What was found out, ready to be shown.

    Attributes:
        title: Its heading.
        text: What is measured and how to read it; Markdown.
        columns: The names of the columns.
        lines: The cells of each line, as Markdown.
        met: For each target, whether it was met.
    """

    title: str
    text: str
    columns: tuple[str, ...]
    lines: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    met: list[bool] = field(default_factory=list[bool])

    def verdict(self, value: float, target: float | None, *, at_least: bool = False) -> str:
        """Return the cell that says whether a target was met, and remember it."""
        if target is None:
            return ""
        met = value >= target if at_least else value <= target
        self.met.append(met)
        return "yes" if met else "**no**"
