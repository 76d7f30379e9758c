"""The results of verification: a verified request, with or without its body."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

from frappe_hooksig.exceptions import MalformedPayload

if TYPE_CHECKING:
    from frappe_hooksig._envelope import Envelope
    from frappe_hooksig.scheme import Scheme

__all__ = ["Delivery", "VerifiedRequest"]

# The beginning of a form (application/x-www-form-urlencoded), which JSON cannot have.
_FORM = rb"[A-Za-z0-9_.*+%\[\]-]+=[!#-;=?-z~]*"
_LOOKED_AT = 1024  # bytes

# Where the senders that send forms by default can be set to send JSON, by scheme.
_GITHUBS = "in GitHub, set the webhook's content type to application/json"
_CONTENT_TYPES = {"github": _GITHUBS, "github-sha1": _GITHUBS}


class VerifiedRequest:
    """A verified request, without its body.

    Only a `Verifier` creates it. Its attributes are read-only. It keeps no signature and no token,
    so it may be pickled, for example for a job queue.
    """

    __slots__ = ("_envelope", "_secret_id", "_unsigned_event")

    _unsigned_event: str | None  # only there if `unsigned_events` was used, which saves time

    def __init__(self, secret_id: str | None, envelope: Envelope) -> None:
        self._secret_id = secret_id
        self._envelope = envelope

    @property
    def scheme(self) -> Scheme:
        """The scheme that verified the request."""
        return self._envelope[0]

    @property
    def secret_id(self) -> str | None:
        """The id of the secret that matched (`Secret(..., id=)`), or None if it has none.

        After a rotation, remove the old secret once no request has its id any more.
        """
        return self._secret_id

    @property
    def id(self) -> str | None:
        """The sender's id for this delivery, if the scheme signs one (Frappe's does not)."""
        _, _, delivery_id, _, _ = self._envelope
        return delivery_id

    @property
    def timestamp(self) -> float | None:
        """When the request was signed, in Unix seconds; None if the scheme does not sign it.

        Frappe's scheme does not sign it. With `timestamp_from`, this is the timestamp in the body.
        """
        _, timestamp, _, _, _ = self._envelope
        return timestamp

    @property
    def unsigned_event(self) -> str | None:
        """The event that the scheme's `event_header` names, if it is in `unsigned_events`.

        **No signature covers it.** Somebody who holds a request can send it again under another
        listed event. It is None without `unsigned_events`. With them, None means that the event is
        not listed: respond with HTTP 200 and do not handle the request, as every adapter does.
        """
        return getattr(self, "_unsigned_event", None)

    @property
    def is_signed(self) -> bool:
        """Whether a signature covers the body.

        It is False if the sender sends the secret itself (GitLab). Then the request comes from a
        holder of the secret, but the body may have been changed on the way.
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
    """A verified request with its body, for the handler."""

    __slots__ = ("_body",)

    def __init__(self, body: bytes, secret_id: str | None, envelope: Envelope) -> None:
        self._body = body
        self._secret_id = secret_id  # super().__init__() inlined, which saves a call
        self._envelope = envelope

    @property
    def body(self) -> bytes:
        """The raw body, exactly as it was signed.

        It is decompressed if the sender compresses what it has signed.
        """
        return self._body

    @property
    def dedup_key(self) -> str:
        """The 64 hex digits that this delivery and its repeats have in common.

        It is made from the signed id, else from the id in the body (`Scheme.body_id`), else from
        all signed content; and from `unsigned_event`. It does not depend on the signature, which
        differs between secrets, nor on any other unsigned header.

        Deliveries to different endpoints, or from different senders, may have equal keys. If they
        share a table, add the endpoint and the sender to the table's key.
        """
        key = self._key_of_signed()
        event = self.unsigned_event
        return key if event is None else _digest_of(b"event", event.encode(), key.encode())

    def _key_of_signed(self) -> str:
        scheme, _, delivery_id, before, after = self._envelope
        if delivery_id is not None:
            return _digest_of(b"id", delivery_id.encode())
        body_id = None if scheme.body_id is None else self._body_id(scheme.body_id)
        if body_id is not None:
            return _digest_of(b"body-id", body_id.encode())
        return _digest_of(b"content", before, sha256(self._body).digest(), after)

    def _body_id(self, pointer: str) -> str | None:
        """Return the text or number at a JSON Pointer, as JSON, or None if there is none."""
        try:
            found = json.loads(self._body)
        except (ValueError, RecursionError):
            return None
        for key in pointer.split("/")[1:]:
            name = key.replace("~1", "/").replace("~0", "~")
            found = cast("dict[str, Any]", found).get(name) if isinstance(found, dict) else None
        # As JSON, so that 1 and "1" are different ids, and a lone surrogate can be encoded.
        return json.dumps(found) if isinstance(found, str | int) else None

    def json(self) -> Any:
        """Parse the verified bytes as JSON, whatever the Content-Type (Frappe sends none).

        Each call parses the body again, so you may change the result. `NaN` and `Infinity` are
        accepted, because Frappe can send them.

        Raises:
            MalformedPayload: The body is not JSON, or too deeply nested. HTTP 400.
        """
        try:
            return json.loads(self._body)
        except (ValueError, RecursionError):  # includes UnicodeDecodeError and JSONDecodeError
            msg = f"the verified body of {len(self._body)} bytes {self._kind()}"
        raise MalformedPayload(msg)

    def _kind(self) -> str:
        """Say what a body is that is no JSON. Its text is not repeated."""
        start = self._body[:_LOOKED_AT]
        if not start:
            return "is empty, not JSON"
        if start.startswith(b"\x1f\x8b"):
            return "is compressed (gzip), not JSON: decompress delivery.body"
        if start.lstrip().startswith(b"<"):
            return "is XML or HTML, not JSON"
        if re.fullmatch(_FORM, start):
            setting = _CONTENT_TYPES.get(self.scheme.name)
            return f"is a form, not JSON: {setting or 'read delivery.body as a form'}"
        return "is not JSON"

    def _described(self) -> str:
        return f"{super()._described()}, {len(self._body)} bytes"


def _digest_of(*parts: bytes) -> str:
    """Hash parts into 64 hex digits, with their lengths, so that no byte can change its part."""
    digest = sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
