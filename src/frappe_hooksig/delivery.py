"""What a handler receives: a request whose signature was right."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from frappe_hooksig.exceptions import MalformedPayload

if TYPE_CHECKING:
    from frappe_hooksig.scheme import Presented, Scheme


class Delivery:
    """One verified request. Only `verify()` makes it, and its attributes cannot be set."""

    __slots__ = ("_body", "_key_id", "_presented")

    def __init__(self, body: bytes, presented: Presented, key_id: str | int) -> None:
        self._body = body
        self._presented = presented
        self._key_id = key_id

    @property
    def body(self) -> bytes:
        """The bytes that were signed."""
        return self._body

    @property
    def scheme(self) -> Scheme:
        """The scheme that it was verified with."""
        return self._presented.scheme

    @property
    def key_id(self) -> str | int:
        """Which secret matched: its id, else its position among those configured.

        Once no delivery has the old secret's, that secret may go.
        """
        return self._key_id

    @property
    def id(self) -> str | None:
        """The sender's id for this delivery, if the scheme signs one (Frappe's does not)."""
        return self._presented.id

    @property
    def timestamp(self) -> float | None:
        """When it was signed, in Unix seconds, if the scheme signs that (Frappe's does not)."""
        return self._presented.timestamp

    @property
    def key(self) -> str:
        """What a repeat of this delivery is recognised by: 64 hex digits.

        Made from the signed id, else from all that was signed; never from the signature, which
        differs between secrets, nor from a header that is not signed. It does not tell endpoints
        or senders apart: where they share a table, make them part of its key.
        """
        presented = self._presented
        if presented.id is None:
            content = sha256(self._body).digest()
            parts = [b"content", presented.before, content, presented.after]
        else:
            parts = [b"id", presented.id.encode()]
        digest = sha256()
        for part in parts:
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
        return digest.hexdigest()

    def json(self) -> Any:
        """Parse the verified bytes as JSON, whatever the Content-Type (Frappe sends none).

        Parsed anew at each call, so that nobody shares what a caller changes. Python's dialect:
        `NaN` and `Infinity`, which Frappe can send, are read.

        Raises:
            MalformedPayload: The body is not JSON, or too deeply nested. HTTP 400.
        """
        try:
            return json.loads(self._body)
        except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError among them
            msg = f"the verified body of {len(self._body)} bytes is not JSON"
        raise MalformedPayload(msg)

    def __repr__(self) -> str:
        return (
            f"<Delivery {self.scheme.name}, {len(self._body)} bytes, key_id={self._key_id!r}, "
            f"id={self.id!r}, timestamp={self.timestamp!r}>"
        )
