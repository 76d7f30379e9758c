"""Publishing: one row in the caller's transaction."""

from __future__ import annotations

import re
import time
from hashlib import sha256
from secrets import token_hex
from typing import Any, Final

from frappe_hooksig._payload import Payload, serialised
from frappe_hooksig.exceptions import ConfigurationError, IdempotencyConflict, PayloadError
from frappe_hooksig.outbox._database import Connection

#: The largest payload that an outbox takes by default, in bytes.
MAX_PAYLOAD: Final = 1024 * 1024

_EVENT_TYPE: Final = re.compile(r"[A-Za-z0-9_:/-]+(\.[A-Za-z0-9_:/-]+)*")
_LONGEST_TYPE: Final = 128
# MariaDB compares texts as if they had no spaces at their ends.
_TEXT: Final = re.compile(r"[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?")
_LONGEST: Final = 255
_LONGEST_TENANT: Final = 64

_INSERT: Final = """\
INSERT INTO hooksig_messages (
    id, tenant, event_type, lane, idempotency_key, payload, payload_hash, is_json, size,
    created_at, is_routed
) VALUES (
    :id, :tenant, :event_type, :lane, :idempotency_key, :payload, :payload_hash, :is_json, :size,
    {now}, 0
)"""
_INSERT_ONCE: Final = _INSERT + " {unless_published}"
_FIND: Final = """\
SELECT id, payload_hash, event_type, lane FROM hooksig_messages
WHERE tenant = :tenant AND idempotency_key = :idempotency_key"""


def publish(
    connection: Connection,
    event_type: str,
    payload: Payload,
    *,
    key: str | None,
    idempotency_key: str | None,
    tenant: str,
    max_payload: int,
) -> str:
    """Insert a message, and return its id; see `Outbox.publish()`."""
    check_event_type(event_type)
    check_text("key", key)
    check_text("idempotency_key", idempotency_key)
    check_tenant(tenant)
    body, headers = serialised(payload)
    del payload  # error reporters show the local variables of every frame
    size = len(body)
    if size > max_payload:
        del body
        msg = f"the payload has {size} bytes, and the outbox takes {max_payload} (max_payload=)"
        raise PayloadError(msg)
    # The payload is hashed only to be compared with that of the same idempotency key.
    digest = "" if idempotency_key is None else sha256(body).hexdigest()
    values: dict[str, Any] = {
        "id": new_message_id(),
        "tenant": tenant,
        "event_type": event_type,
        "lane": key,
        "idempotency_key": idempotency_key,
        "payload": body,
        "payload_hash": digest,
        "is_json": int(bool(headers)),
        "size": size,
    }
    if idempotency_key is None:
        connection.change(_INSERT, values)
        return str(values["id"])
    own = {"tenant": tenant, "idempotency_key": idempotency_key}
    existing = connection.rows(_FIND, own)
    if not existing:
        connection.change(_INSERT_ONCE, values)
        existing = connection.rows(_FIND + " {latest}", own)
    ((found, *found_event),) = existing
    if found_event != [digest, event_type, key]:
        del body, values
        msg = (
            "idempotency_key= was used before, with another payload, event type or key: "
            "use a new one for each event"
        )
        raise IdempotencyConflict(msg)
    return str(found)


def new_message_id() -> str:
    """Return a new id. Those of one time begin alike, so that an index of them grows at its end."""
    return f"msg_{int(time.time() * 1000):012x}{token_hex(10)}"


def check_event_type(event_type: object) -> None:
    """Refuse what is no event type.

    Raises:
        ConfigurationError: It is not such as `invoice.paid`.
    """
    is_text = isinstance(event_type, str) and len(event_type) <= _LONGEST_TYPE
    if not is_text or not _EVENT_TYPE.fullmatch(str(event_type)):
        msg = (
            f"an event type is up to {_LONGEST_TYPE} letters, digits, _, -, : and /, in parts "
            "that are joined by dots, such as invoice.paid"
        )
        raise ConfigurationError(msg)


def check_text(name: str, value: object) -> None:
    """Refuse a key that two databases could compare differently.

    Raises:
        ConfigurationError: It is not 1 to 255 characters without control characters, and without
            white space at its ends.
    """
    if value is not None and not is_key(value):
        msg = (
            f"{name}= must be a str of 1 to {_LONGEST} characters, without control characters, "
            "and without white space at its ends"
        )
        raise ConfigurationError(msg)


def is_key(value: object) -> bool:
    """Whether something is a text that all databases store and compare alike."""
    is_text = isinstance(value, str) and len(value) <= _LONGEST and _is_unicode(value)
    return is_text and _TEXT.fullmatch(str(value)) is not None


def check_tenant(tenant: object) -> None:
    """Refuse what is no tenant.

    Raises:
        ConfigurationError: It is neither empty nor 1 to 64 characters.
    """
    is_text = isinstance(tenant, str) and len(tenant) <= _LONGEST_TENANT and _is_unicode(tenant)
    if not is_text or (tenant and not _TEXT.fullmatch(str(tenant))):
        msg = (
            f"tenant= must be a str of up to {_LONGEST_TENANT} characters, without control "
            "characters, and without white space at its ends"
        )
        raise ConfigurationError(msg)


def owned(tenant: str | None) -> tuple[str, dict[str, Any]]:
    """Return what a condition needs besides, for rows of one tenant only, and its values.

    >>> owned("acme"), owned(None)
    ((' AND tenant = :tenant', {'tenant': 'acme'}), ('', {}))

    Raises:
        ConfigurationError: `tenant` cannot be one.
    """
    if tenant is None:
        return "", {}
    check_tenant(tenant)
    return " AND tenant = :tenant", {"tenant": tenant}


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which no database stores
        return False
    return True
