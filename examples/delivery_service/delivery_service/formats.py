"""How a message becomes a request: what a tenant can choose for an endpoint."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Final, Literal, get_args

from frappe_hooksig import Scheme, providers
from frappe_hooksig.outbox import Format, Formatted, OutgoingMessage

#: `standard` is Standard Webhooks. `x-webhook` is what older services send: the headers
#: `X-Webhook-Signature`, `-Event`, `-Delivery` and `-Timestamp`, and the payload in an envelope.
FormatName = Literal["standard", "x-webhook"]
FORMAT_NAMES: Final[tuple[FormatName, ...]] = get_args(FormatName)

API_VERSION: Final = "2026-11-01"


def standard(message: OutgoingMessage) -> Formatted:
    """Return the payload as it is. The headers of Standard Webhooks come from its scheme."""
    return Formatted(message.payload, {"Content-Type": "application/json"})


def x_webhook(message: OutgoingMessage) -> Formatted:
    """Return the older request. Its timestamp is not signed, so it proves nothing."""
    created = datetime.fromtimestamp(int(message.created_at), timezone.utc)
    envelope = {
        "id": message.id,
        "type": message.event_type,
        "created": created.isoformat().replace("+00:00", "Z"),
        "data": {"object": message.json()},
        "api_version": API_VERSION,
    }
    headers = {
        "X-Webhook-Event": message.event_type,
        "X-Webhook-Delivery": message.id,
        "X-Webhook-Timestamp": str(int(time.time())),
    }
    return Formatted(envelope, headers)


#: What the outbox knows by name.
FORMATS: Final[Mapping[str, Format]] = {"standard": standard, "x-webhook": x_webhook}
#: How each of them is signed.
SCHEMES: Final[Mapping[FormatName, Scheme]] = {
    "standard": providers.STANDARD_WEBHOOKS,
    "x-webhook": providers.WEBHOOK_SHA256,
}
