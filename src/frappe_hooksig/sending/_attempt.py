"""`Attempt`: what became of one attempt to deliver a webhook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Outcome: TypeAlias = Literal["delivered", "gone", "refused", "unreachable", "blocked"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """What became of one attempt to deliver a webhook."""

    outcome: Outcome
    id: str | None
    status: int | None
    reason: str
    message: str
    answer: bytes
    retry_after: float | None
    seconds: float
    address: str | None
