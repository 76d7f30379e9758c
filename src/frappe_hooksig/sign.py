"""`Signer` and `sign_payload()`: turn a payload into signed bytes and their headers."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from frappe_hooksig._frappe import FRAPPE
from frappe_hooksig._keys import Key, make_keys, redacted
from frappe_hooksig._payload import Payload, new_id, serialised
from frappe_hooksig._secret_checks import masked_unless
from frappe_hooksig._template import is_method
from frappe_hooksig._timestamp import spell_time
from frappe_hooksig._wire import wire_of
from frappe_hooksig.exceptions import ConfigurationError, PayloadError
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secrets

__all__ = ["Payload", "SignedPayload", "Signer", "sign_payload"]


class SignedPayload:
    """A body and its signature. Send exactly these bytes with these headers.

    Only a `Signer` creates it. Its attributes are read-only.
    """

    __slots__ = ("_body", "_headers", "_signature")

    def __init__(self, body: bytes, headers: dict[str, str], signature: str) -> None:
        self._body = body
        self._headers = headers
        self._signature = signature

    @property
    def body(self) -> bytes:
        """The bytes that were signed."""
        return self._body

    @property
    def headers(self) -> dict[str, str]:
        """The headers to send. You may add other headers to this dict.

        It contains `Content-Type: application/json` if the payload was serialised as JSON.
        """
        return self._headers

    @property
    def signature(self) -> str:
        """The newest secret's signature, without prefix."""
        return self._signature

    def __repr__(self) -> str:
        # Without body and signature, so that a reader of the log cannot replay the request.
        return f"<SignedPayload {len(self.body)} bytes, headers {', '.join(self.headers)}>"


class Signer:
    """Signs payloads. Create it once and use it for every request. Threads may share it.

    Args:
        secret: The shared secret; a list during a rotation, the newest first. All secrets that are
            valid now sign, up to the number of signatures that the headers can carry
            (`Scheme.capacity`).
        scheme: How the receiver expects the signature.
        clock: Returns the current time, in Unix seconds.

    Raises:
        ConfigurationError: A secret cannot be used, or there are more secrets than signatures that
            the header can carry.
    """

    __slots__ = ("_clock", "_keys", "_scheme", "_wire")

    def __init__(
        self,
        secret: Secrets | None,
        *,
        scheme: Scheme = FRAPPE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        several = redacted(secret)
        del secret  # error reporters show the local variables of every frame
        scheme = masked_unless(Scheme, scheme)
        self._wire = wire_of(scheme)
        first: dict[int, Key] = {}  # of the keys of each secret
        for key in make_keys(several, scheme):
            first.setdefault(key.place, key)
        keys = [*first.values()]
        if len(keys) > scheme.capacity > 1:
            msg = (
                f"there are {len(keys)} secrets, but a request of scheme {scheme.name!r} carries "
                f"at most {scheme.capacity} signatures"
            )
            raise ConfigurationError(msg)
        self._scheme = scheme
        self._clock = clock
        self._keys = keys

    @property
    def scheme(self) -> Scheme:
        """How the receiver expects the signature."""
        return self._scheme

    def sign(
        self,
        payload: Payload,
        *,
        id: str | None = None,  # noqa: A002
        timestamp: float | datetime | None = None,
        method: str | None = None,
        url: str | None = None,
    ) -> SignedPayload:
        """Return the bytes to send and the headers to send them with.

        Send `body` as it is. Do not pass the payload to an HTTP client's `json=`. The client would
        serialise the payload again, into bytes that were not signed. Only if the scheme says
        `signs_decoded_body`, you may compress `body` with gzip, and add Content-Encoding.

        Args:
            payload: bytes as they are, str as UTF-8; a dict, list, number, bool or None is
                serialised once, as Frappe does (`json.dumps` with `default=str`).
            id: The delivery's id, if the scheme signs one. By default a new one. Pass the same id
                for each retry.
            timestamp: The time of signing, if the scheme signs one: Unix seconds or an aware
                datetime. By default now.
            method: The HTTP method, if the scheme signs it.
            url: The URL, if the scheme signs it.

        Raises:
            PayloadError: The payload cannot be turned into bytes.
            ConfigurationError: An argument does not fit the scheme, or no secret is valid now.
        """
        wire = self._wire
        body = before = after = b""
        try:
            body, headers = serialised(payload)
            time_text = self._spelled_time(timestamp)
            delivery_id = self._checked_id(id)
            self._check_method(method)
            before, after = wire.around(time_text, delivery_id, method, url)
            keys = self._valid_keys()
        except Exception:
            # Error reporters show the local variables of every frame.
            del payload, url, body, before, after
            raise
        signatures = [wire.encode(key.mac(before, body, after)) for key in keys]
        if not all(signatures):
            msg = (
                f"scheme {self._scheme.name!r} signs only UTF-8 without NUL bytes: "
                "a bare hash does not protect other bodies"
            )
            del payload, url, body, before, after
            raise PayloadError(msg)
        headers |= wire.format(signatures, timestamp=time_text, id=delivery_id)
        return SignedPayload(body, headers, signatures[0].decode())

    def _valid_keys(self) -> list[Key]:
        now = self._clock()
        keys = [key for key in self._keys if key.is_valid_at(now)]
        if not keys:
            msg = "no secret is valid now: check their not_before and not_after"
            raise ConfigurationError(msg)
        return keys[: self._scheme.capacity]

    def _check_method(self, method: str | None) -> None:
        if method is not None and "{method}" in self._scheme.signed and not is_method(method):
            msg = "method= must be upper-case letters, such as POST"
            raise ConfigurationError(msg)

    def _spelled_time(self, timestamp: float | datetime | None) -> str | None:
        if not self._scheme.signs_timestamp:
            if timestamp is not None:
                msg = f"timestamp= has no use: scheme {self._scheme.name!r} signs no timestamp"
                raise ConfigurationError(msg)
            return None
        if timestamp is None:
            timestamp = self._clock()
        if isinstance(timestamp, datetime):
            if timestamp.utcoffset() is None:
                msg = "timestamp= is a datetime without time zone: pass an aware datetime"
                raise ConfigurationError(msg)
            timestamp = timestamp.timestamp()
        return spell_time(timestamp, self._scheme.timestamp_format)

    def _checked_id(self, given: str | None) -> str | None:
        if self._scheme.id_header is None:
            if given is not None:
                msg = f"id= has no use: scheme {self._scheme.name!r} signs no id"
                raise ConfigurationError(msg)
            return None
        if given is None:
            given = new_id()
        if not self._wire.is_id(given):
            msg = "id= is not printable ASCII, or contains characters that join the signed parts"
            raise ConfigurationError(msg)
        return given

    def __repr__(self) -> str:
        if not hasattr(self, "_keys"):
            return "<Signer, refused>"
        return f"Signer(<{len(self._keys)} secrets>, scheme={self._scheme.name!r})"


def sign_payload(
    payload: Payload,
    secret: Secrets | None,
    *,
    scheme: Scheme = FRAPPE,
    id: str | None = None,  # noqa: A002
    timestamp: float | datetime | None = None,
    method: str | None = None,
    url: str | None = None,
) -> SignedPayload:
    """Sign one payload, like `Signer(secret, scheme=scheme).sign(payload, ...)`.

    >>> signed = sign_payload({"order": "SO-00001"}, "S6D3Kvx1yMJ8Hv5Gm2QzTn4wRb7LpXce")
    >>> signed.body
    b'{"order": "SO-00001"}'
    >>> list(signed.headers)
    ['Content-Type', 'X-Frappe-Webhook-Signature']

    Args:
        payload: bytes as they are, str as UTF-8; a dict, list, number, bool or None as JSON.
        secret: The shared secret; a list during a rotation, the newest first.
        scheme: How the receiver expects the signature.
        id: The delivery's id, if the scheme signs one.
        timestamp: Unix seconds or an aware datetime, if the scheme signs one. By default now.
        method: The HTTP method, if the scheme signs it.
        url: The URL, if the scheme signs it.

    Raises:
        PayloadError: The payload cannot be turned into bytes.
        ConfigurationError: The secret cannot be used, or an argument does not fit the scheme.
    """
    several = redacted(secret)
    del secret  # error reporters show the local variables of every frame
    scheme = masked_unless(Scheme, scheme)
    try:
        signer = Signer(several, scheme=scheme)
        return signer.sign(payload, id=id, timestamp=timestamp, method=method, url=url)
    except Exception:
        del payload, url  # the payload is the secret if the two were swapped
        raise
