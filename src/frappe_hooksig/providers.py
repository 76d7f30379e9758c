"""The schemes that are known by name: one instance each, with the page that defines it."""

from __future__ import annotations

from typing import Final

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.scheme import Scheme

# frappe/integrations/doctype/webhook/webhook.py, unchanged from v13.0.0 to 16: base64, no time, no
# id, no event name; up to three byte-identical attempts.
# https://docs.frappe.io/framework/user/en/guides/integration/webhooks
# A secret that looks like HTML is stored with entities in it (Document._sanitize_content).
FRAPPE: Final = Scheme(
    name="frappe",
    signature_header="X-Frappe-Webhook-Signature",
    encoding="base64",
    rewritten_characters="<>&",
    retry_delays=(1, 4),
)

# What Frappe apps' own senders and receivers use: bare hex over the body. A convention without a
# definition of its own.
WEBHOOK_HEX: Final = Scheme(
    name="webhook-hex",
    signature_header="X-Webhook-Signature",
    encoding="hex",
)

# The same in GitHub's spelling.
WEBHOOK_SHA256: Final = Scheme(
    name="webhook-sha256",
    signature_header="X-Webhook-Signature",
    prefix="sha256=",
    encoding="hex",
)

# The same with a time that is signed, and so cannot be renewed by whoever replays a request.
WEBHOOK_TIMESTAMPED: Final = Scheme(
    name="webhook-timestamped",
    signature_header="X-Webhook-Signature",
    timestamp_header="X-Webhook-Timestamp",
    signed="{timestamp}.{body}",
    prefix="sha256=",
    encoding="hex",
)

# https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
GITHUB: Final = Scheme(
    name="github",
    signature_header="X-Hub-Signature-256",
    prefix="sha256=",
    encoding="hex",
)

# https://docs.stripe.com/webhooks#verify-manually
# The key is the text of the secret, its whsec_ included.
STRIPE: Final = Scheme(
    name="stripe",
    signature_header="Stripe-Signature",
    signed="{timestamp}.{body}",
    prefix="v1=",
    separator=",",
    timestamp_prefix="t=",
    encoding="hex",
    body_id="/id",
    retry_horizon=3 * 24 * 3600,  # https://docs.stripe.com/webhooks#automatic-retries
)

# https://docs.slack.dev/authentication/verifying-requests-from-slack/
SLACK: Final = Scheme(
    name="slack",
    signature_header="X-Slack-Signature",
    timestamp_header="X-Slack-Request-Timestamp",
    signed="v0:{timestamp}:{body}",
    prefix="v0=",
    encoding="hex",
    body_id="/event_id",
    retry_horizon=3600,  # https://docs.slack.dev/apis/events-api/#retries
)

# https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
STANDARD_WEBHOOKS: Final = Scheme(
    name="standard-webhooks",
    signature_header="webhook-signature",
    timestamp_header="webhook-timestamp",
    id_header="webhook-id",
    signed="{id}.{timestamp}.{body}",
    prefix="v1,",
    separator=" ",
    encoding="base64",
    secret_format="whsec",
    retry_horizon=4 * 24 * 3600,  # of the schedule that the specification recommends
)

_BY_NAME: Final = {
    scheme.name: scheme
    for scheme in (
        FRAPPE,
        WEBHOOK_HEX,
        WEBHOOK_SHA256,
        WEBHOOK_TIMESTAMPED,
        GITHUB,
        STRIPE,
        SLACK,
        STANDARD_WEBHOOKS,
    )
}


def get(name: str) -> Scheme:
    """Return the scheme of a provider.

    >>> get("github").signature_header
    'X-Hub-Signature-256'

    Args:
        name: The provider's short name, such as `frappe` or `standard-webhooks`.

    Raises:
        ConfigurationError: There is no such provider; the message lists those there are.
    """
    try:
        return _BY_NAME[name]
    except KeyError:
        msg = f"no provider {name!r}; there are {', '.join(sorted(_BY_NAME))}"
        raise ConfigurationError(msg) from None


def names() -> tuple[str, ...]:
    """Return the short names of all providers, in the order of this page."""
    return tuple(_BY_NAME)
