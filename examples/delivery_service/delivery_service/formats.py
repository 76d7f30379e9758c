"""How a message becomes a request: what a tenant can choose for an endpoint."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final, Literal, get_args

from frappe_hooksig import Scheme, providers
from frappe_hooksig.outbox import Formatted, Outgoing

#: `standard` is Standard Webhooks. `x-webhook` is what older services send: the headers
#: `X-Webhook-Signature`, `-Event`, `-Delivery` and `-Timestamp`, and the payload in an envelope.
FormatName = Literal["standard", "x-webhook"]
FORMAT_NAMES: Final[tuple[FormatName, ...]] = get_args(FormatName)

API_VERSION: Final = "2026-11-01"


def x_webhook(outgoing: Outgoing) -> Formatted:
    """Return the older request. Its timestamp is not signed, so it proves nothing."""
    created = datetime.fromtimestamp(int(outgoing.created_at), timezone.utc)
    envelope = {
        "id": outgoing.id,
        "type": outgoing.event_type,
        "created": created.isoformat().replace("+00:00", "Z"),
        "data": {"object": json.loads(outgoing.payload)},
        "api_version": API_VERSION,
    }
    headers = {
        "X-Webhook-Event": outgoing.event_type,
        "X-Webhook-Delivery": outgoing.id,
        "X-Webhook-Timestamp": str(int(time.time())),
    }
    return Formatted(envelope, headers)


#: What the outbox knows by name.
FORMATS: Final = {"x-webhook": x_webhook}


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What a format means to the outbox.

    Attributes:
        scheme: How it signs.
        format: The name of the function that makes its body, if there is one.
    """

    scheme: Scheme
    format: str | None


CHOICES: Final[Mapping[FormatName, Chosen]] = {
    "standard": Chosen(scheme=providers.STANDARD_WEBHOOKS, format=None),
    "x-webhook": Chosen(scheme=providers.WEBHOOK_SHA256, format="x-webhook"),
}
