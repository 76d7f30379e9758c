"""What `verify()` returns: a request whose signature was right, with its body or without."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

from frappe_hooksig.exceptions import MalformedPayload

if TYPE_CHECKING:
    from frappe_hooksig.scheme import Presented, Scheme


class VerifiedRequest:
    """What is known of a request whose signature was right, apart from its body.

    Only a `Verifier` makes it, and its attributes cannot be set.
    """

    __slots__ = ("_key_id", "_presented")

    def __init__(self, key_id: str | int, presented: Presented) -> None:
        self._key_id = key_id
        self._presented = presented

    @property
    def scheme(self) -> Scheme:
        """The scheme that it was verified with."""
        return self._presented[0]

    @property
    def key_id(self) -> str | int:
        """Which secret matched: its id, else its position among those configured.

        Once no request has the old secret's, that secret may go.
        """
        return self._key_id

    @property
    def id(self) -> str | None:
        """The sender's id for this delivery, if the scheme signs one (Frappe's does not)."""
        _, _, _, delivery_id, _, _ = self._presented
        return delivery_id

    @property
    def timestamp(self) -> float | None:
        """When it was signed, in Unix seconds, if the scheme signs that (Frappe's does not)."""
        _, _, timestamp, _, _, _ = self._presented
        return timestamp

    @property
    def is_signed(self) -> bool:
        """Whether a signature covers the body.

        False where the sender sends the secret itself (GitLab): the request comes from somebody who
        knows it, and nothing shows that the body is what was sent.
        """
        return self.scheme.signs_body

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._described()}>"

    def _described(self) -> str:
        return (
            f"{self.scheme.name}, {'' if self.is_signed else 'body not signed, '}"
            f"key_id={self.key_id!r}, id={self.id!r}, timestamp={self.timestamp!r}"
        )


class Delivery(VerifiedRequest):
    """A verified request with its body: what a handler works with."""

    __slots__ = ("_body",)

    def __init__(self, body: bytes, key_id: str | int, presented: Presented) -> None:
        self._body = body
        self._key_id = key_id  # as super().__init__() does, without the time that a call takes
        self._presented = presented

    @property
    def body(self) -> bytes:
        """The bytes that were signed."""
        return self._body

    @property
    def key(self) -> str:
        """What a repeat of this delivery is recognised by: 64 hex digits.

        Made from the signed id, else from the id in the body (`Scheme.body_id`), else from all that
        was signed; never from the signature, which differs between secrets, nor from a header that
        is not signed. It does not tell endpoints or senders apart: where they share a table, make
        them part of its key.
        """
        scheme, _, _, delivery_id, before, after = self._presented
        if delivery_id is not None:
            return digest_of(b"id", delivery_id.encode())
        body_id = None if scheme.body_id is None else self._body_id(scheme.body_id)
        if body_id is not None:
            return digest_of(b"body-id", body_id.encode())
        return digest_of(b"content", before, sha256(self._body).digest(), after)

    def _body_id(self, pointer: str) -> str | None:
        """Return the text or number that a JSON Pointer leads to, if it does."""
        try:
            found = json.loads(self._body)
        except (ValueError, RecursionError):
            return None
        for key in pointer.split("/")[1:]:
            name = key.replace("~1", "/").replace("~0", "~")
            found = cast("dict[str, Any]", found).get(name) if isinstance(found, dict) else None
        # In JSON, so that 1 and "1" are two ids, and a lone surrogate can be encoded.
        return json.dumps(found) if isinstance(found, str | int) else None

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

    def _described(self) -> str:
        return f"{super()._described()}, {len(self._body)} bytes"


def digest_of(*parts: bytes) -> str:
    """Return 64 hex digits that tell sequences of parts apart, wherever one ends."""
    digest = sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
