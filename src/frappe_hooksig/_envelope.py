"""What a signature covers besides the body."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from frappe_hooksig.scheme import Scheme

#: What a signature covers besides the body. In this order: the scheme; the timestamp in Unix
#: seconds, or None; the delivery's id, or None; the signed bytes before and after the body.
#: It is a plain tuple, because creating an object takes a twentieth of a whole verify().
Envelope: TypeAlias = "tuple[Scheme, float | None, str | None, bytes, bytes]"
