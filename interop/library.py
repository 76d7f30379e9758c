"""A vendor's library, as far as it is compared: it signs, or it verifies, or both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from interop.bodies import Kind
from interop.requests import Message, Request

#: Where a library comes from.
Registry: TypeAlias = Literal["PyPI", "npm"]

#: What a library says to a request: `ACCEPTS`, `REFUSES`, or that it raises something else than
#: its own refusal, and what.
Verdict: TypeAlias = str

ACCEPTS = "accepts"
REFUSES = "refuses"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a library before it is run; each of these claims is tried too.

    Attributes:
        registry: Where it comes from.
        package: Its name there.
        provider: The name of our scheme that it implements.
        call: What it verifies with.
        signs_with: What it signs with, if it does.
        cannot_sign: The bodies for which it makes no signature, or a wrong one.
        cannot_verify: The genuine bodies that it does not accept.
        ignores_age: Whether it accepts a signed time that is long past.
        envelope: What stands beside the text in a JSON object, if it takes nothing else.
        stale_envelope: The same, long past, if the time that it looks at is in there.
    """

    registry: Registry
    package: str
    provider: str
    call: str
    signs_with: str = ""
    cannot_sign: frozenset[Kind] = frozenset()
    cannot_verify: frozenset[Kind] = frozenset()
    ignores_age: bool = False
    envelope: Mapping[str, Any] | None = None
    stale_envelope: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return f"{self.package} ({self.registry})"


@dataclass(frozen=True, kw_only=True)
class Library:
    """A library that is there.

    Attributes:
        facts: What is known of it.
        version: Which one it is.
        sign: Returns for each message what it puts into the signature header, or None where it
            does not sign; needed if the facts say that it signs.
        verify: Returns for each request what it says to it.
    """

    facts: Facts
    version: str
    verify: Callable[[Sequence[Request]], list[Verdict]]
    sign: Callable[[Sequence[Message]], list[str | None]] | None = None
