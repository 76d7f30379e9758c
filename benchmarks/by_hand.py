"""What people write instead of using a library, each with the checks that its scheme needs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.comparison import Check

SIGNATURE = "X-Frappe-Webhook-Signature"
TOLERANCE = 300  # seconds


class Refused(Exception):
    """What the handler is left with."""


def three_lines(secret: bytes) -> Check:
    """Return what stands in most receivers of Frappe's webhooks."""

    def verify(body: bytes, headers: Any) -> None:
        given = headers.get(SIGNATURE)
        expected = base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest()).decode()
        if not given or not hmac.compare_digest(expected, given):
            msg = "wrong signature"
            raise Refused(msg)

    return verify


def bare(secret: bytes) -> Check:
    """Return the least there is: OpenSSL's HMAC in one call, a header that must be there."""

    def verify(body: bytes, headers: Any) -> None:
        expected = base64.b64encode(hmac.digest(secret, body, "sha256")).decode()
        if not hmac.compare_digest(expected, headers[SIGNATURE]):
            raise Refused

    return verify


def careful(secret: bytes) -> Check:
    """Return the three lines with a look at the header first, and with reasons."""

    def verify(body: bytes, headers: Any) -> None:
        given = headers.get(SIGNATURE)
        if not given:
            msg = "no signature"
            raise Refused(msg)
        if not given.isascii():  # compare_digest() would raise TypeError
            msg = "malformed signature"
            raise Refused(msg)
        expected = base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest()).decode()
        if not hmac.compare_digest(expected, given):
            msg = "wrong signature"
            raise Refused(msg)

    return verify


def several(secrets: Sequence[bytes]) -> Check:
    """Return the three lines in a loop over secrets."""

    def verify(body: bytes, headers: Any) -> None:
        given = headers.get(SIGNATURE)
        for secret in secrets:
            expected = base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest()).decode()
            if given and hmac.compare_digest(expected, given):
                return
        msg = "wrong signature"
        raise Refused(msg)

    return verify


def in_chunks(secret: bytes) -> Check:
    """Return the three lines for a body that comes in chunks."""

    def verify(body: Iterable[bytes], headers: Any) -> None:
        given = headers.get(SIGNATURE)
        mac = hmac.new(secret, digestmod=hashlib.sha256)
        for chunk in body:
            mac.update(chunk)
        expected = base64.b64encode(mac.digest()).decode()
        if not given or not hmac.compare_digest(expected, given):
            msg = "wrong signature"
            raise Refused(msg)

    return verify


def webhook_timestamped(secret: bytes) -> Check:
    """Return the check of hex behind `sha256=`, with the time in a header of its own."""

    def verify(body: bytes, headers: Any) -> None:
        given, timestamp = headers.get("X-Webhook-Signature"), headers.get("X-Webhook-Timestamp")
        if not given or not timestamp:
            msg = "unsigned"
            raise Refused(msg)
        if abs(time.time() - int(timestamp)) > TOLERANCE:
            msg = "too old"
            raise Refused(msg)
        content = timestamp.encode() + b"." + body
        expected = "sha256=" + hmac.new(secret, content, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, given):
            msg = "wrong signature"
            raise Refused(msg)

    return verify


def stripe(secret: bytes) -> Check:
    """Return the check that Stripe's documentation describes in words."""

    def verify(body: bytes, headers: Any) -> None:
        header = headers.get("Stripe-Signature")
        if not header:
            msg = "unsigned"
            raise Refused(msg)
        timestamp, given = "", list[str]()
        for entry in header.split(","):
            name, _, value = entry.partition("=")
            if name == "t":
                timestamp = value
            elif name == "v1":
                given.append(value)
        if not timestamp or abs(time.time() - int(timestamp)) > TOLERANCE:
            msg = "too old"
            raise Refused(msg)
        content = timestamp.encode() + b"." + body
        expected = hmac.new(secret, content, hashlib.sha256).hexdigest()
        if not any(hmac.compare_digest(expected, each) for each in given):
            msg = "wrong signature"
            raise Refused(msg)

    return verify


def slack(secret: bytes) -> Check:
    """Return the check that Slack's documentation describes in words."""

    def verify(body: bytes, headers: Any) -> None:
        given = headers.get("X-Slack-Signature")
        timestamp = headers.get("X-Slack-Request-Timestamp")
        if not given or not timestamp:
            msg = "unsigned"
            raise Refused(msg)
        if abs(time.time() - int(timestamp)) > TOLERANCE:
            msg = "too old"
            raise Refused(msg)
        content = b"v0:" + timestamp.encode() + b":" + body
        expected = "v0=" + hmac.new(secret, content, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, given):
            msg = "wrong signature"
            raise Refused(msg)

    return verify


def standard_webhooks(secret: str) -> Check:
    """Return the check that the Standard Webhooks specification describes in words."""
    key = base64.b64decode(secret.removeprefix("whsec_"))

    def verify(body: bytes, headers: Any) -> None:
        message_id, timestamp = headers.get("webhook-id"), headers.get("webhook-timestamp")
        header = headers.get("webhook-signature")
        if not message_id or not timestamp or not header:
            msg = "unsigned"
            raise Refused(msg)
        if abs(time.time() - int(timestamp)) > TOLERANCE:
            msg = "too old"
            raise Refused(msg)
        content = f"{message_id}.{timestamp}.".encode() + body
        expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        for entry in header.split(" "):
            version, _, given = entry.partition(",")
            if version == "v1" and hmac.compare_digest(expected, given):
                return
        msg = "wrong signature"
        raise Refused(msg)

    return verify
