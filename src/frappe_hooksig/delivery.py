"""What `verify()` returns: a request whose signature is right, with its body or without."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

from frappe_hooksig.exceptions import MalformedPayload

if TYPE_CHECKING:
    from frappe_hooksig._wire import ParsedHeaders
    from frappe_hooksig.scheme import Scheme

__all__ = ["Delivery", "VerifiedRequest"]


class VerifiedRequest:
    """What is known of a request whose signature is right, apart from its body.

    Only a `Verifier` makes it, and its attributes cannot be set.
    """

    __slots__ = ("_parsed", "_secret_id")

    def __init__(self, secret_id: str | None, parsed: ParsedHeaders) -> None:
        self._secret_id = secret_id
        self._parsed = parsed

    @property
    def scheme(self) -> Scheme:
        """The scheme that it was verified with."""
        return self._parsed[0]

    @property
    def secret_id(self) -> str | None:
        """The id of the secret that matched (`Secret(..., id=)`), or None if it has none.

        Once no request has the old secret's id any more, you can remove that secret.
        """
        return self._secret_id

    @property
    def id(self) -> str | None:
        """The sender's id for this delivery, if the scheme signs one (Frappe's does not)."""
        _, _, _, delivery_id, _, _ = self._parsed
        return delivery_id

    @property
    def timestamp(self) -> float | None:
        """When it was signed, in Unix seconds, if the scheme signs that (Frappe's does not)."""
        _, _, timestamp, _, _, _ = self._parsed
        return timestamp

    @property
    def is_signed(self) -> bool:
        """Whether a signature covers the body.

        False if the sender sends the secret itself (GitLab): the request comes from somebody who
        knows it, but the body could have been changed.
        """
        return self.scheme.signs_body

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._described()}>"

    def _described(self) -> str:
        return (
            f"{self.scheme.name}, {'' if self.is_signed else 'body not signed, '}"
            f"secret_id={self.secret_id!r}, id={self.id!r}, timestamp={self.timestamp!r}"
        )


class Delivery(VerifiedRequest):
    """A verified request with its body: what a handler works with."""

    __slots__ = ("_body",)

    def __init__(self, body: bytes, secret_id: str | None, parsed: ParsedHeaders) -> None:
        self._body = body
        self._secret_id = (
            secret_id  # as super().__init__() does, without the time that a call takes
        )
        self._parsed = parsed

    @property
    def body(self) -> bytes:
        """The bytes that were signed."""
        return self._body

    @property
    def dedup_key(self) -> str:
        """The 64 hex digits that this delivery and its repeats have in common.

        It is made from the signed id, else from the id in the body (`Scheme.body_id`), else from
        all signed content; never from the signature, which differs between secrets, nor from a
        header that is not signed. Endpoints and senders may have equal keys: if they share a table,
        make them part of its key.
        """
        scheme, _, _, delivery_id, before, after = self._parsed
        if delivery_id is not None:
            return _digest_of(b"id", delivery_id.encode())
        body_id = None if scheme.body_id is None else self._body_id(scheme.body_id)
        if body_id is not None:
            return _digest_of(b"body-id", body_id.encode())
        return _digest_of(b"content", before, sha256(self._body).digest(), after)

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

        Each call parses it again, so that a caller may change the result. `NaN` and `Infinity`,
        which Frappe can send, are read.

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


def _digest_of(*parts: bytes) -> str:
    """Return 64 hex digits that tell sequences of parts apart, wherever one ends."""
    digest = sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
