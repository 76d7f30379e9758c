"""What passes between us and a library: a message to sign, and the request that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from frappe_hooksig import Scheme, Secret
from frappe_hooksig._keys import make_keys
from frappe_hooksig._timestamp import spell_time
from frappe_hooksig._wire import wire_of

# The moment at which everything happens, in Unix seconds: no library but ours takes a clock, so
# the clocks of both languages are stopped here.
NOW = 1_800_000_000
METHOD = "POST"


@dataclass(frozen=True, kw_only=True)
class Message:
    """What is signed.

    Attributes:
        secret: As the vendor writes its secrets.
        body: The raw body.
        time: When it is signed, in Unix seconds.
        id: The delivery's id.
        url: Where it is sent, by `METHOD`.
    """

    secret: str
    body: bytes
    time: int
    id: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is verified.

    Attributes:
        secret: What the receiver verifies with.
        body: The raw body.
        headers: Those that the scheme reads, in its spelling.
        url: Where it came in, by `METHOD`.
    """

    secret: str
    body: bytes
    headers: Mapping[str, str]
    url: str


def request(scheme: Scheme, message: Message, signature: str) -> Request:
    """Return the request that has this text in its signature header."""
    headers = {scheme.signature_headers[0]: signature}
    if scheme.timestamp_header:
        headers[scheme.timestamp_header] = spell_time(message.time, scheme.timestamp_format)
    if scheme.id_header:
        headers[scheme.id_header] = message.id
    return Request(secret=message.secret, body=message.body, headers=headers, url=message.url)


def mac(scheme: Scheme, message: Message, time_text: str | None = None) -> bytes:
    """Return the signature of a message, even of one that a `Signer` would not sign.

    Args:
        scheme: How it is laid out.
        message: What is signed.
        time_text: How its time is written, if not as the scheme has it.
    """
    wire = wire_of(scheme)
    key, *_ = make_keys([Secret(message.secret)], scheme)
    time = time_text or spell_time(message.time, scheme.timestamp_format)
    before, after = wire.around(
        time if scheme.signs_timestamp else None,
        message.id if scheme.id_header else None,
        METHOD,
        message.url,
    )
    return wire.encode(key.mac(before, message.body, after))
