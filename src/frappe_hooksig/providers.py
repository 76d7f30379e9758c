"""The senders that are known by name: one `Scheme` each, with the page that defines it.

Frappe's own come first, then the others by name. Every `Scheme` constant here is a provider.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from frappe_hooksig._frappe import FRAPPE as FRAPPE  # noqa: PLC0414  # one of them
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.scheme import Scheme

__all__ = [
    "ADYEN",
    "ALIASES",
    "ASANA",
    "BITBUCKET",
    "BOX",
    "CALENDLY",
    "CASHFREE",
    "CIRCLECI",
    "CLOUDFLARE_STREAM",
    "COINBASE_COMMERCE",
    "DOCUSIGN",
    "DROPBOX",
    "FLUTTERWAVE_V3",
    "FORGEJO",
    "FRAPPE",
    "FRAPPE_CLOUD",
    "GETSTREAM",
    "GITEA",
    "GITHUB",
    "GITHUB_SHA1",
    "GITLAB",
    "GITLAB_SIGNING",
    "GOCARDLESS",
    "GOGS",
    "GREENHOUSE",
    "HUBSPOT_V1",
    "HUBSPOT_V2",
    "HUBSPOT_V3",
    "INNGEST",
    "INTERCOM",
    "JIRA",
    "LEMONSQUEEZY",
    "LINE",
    "LINEAR",
    "META",
    "MUX",
    "NOTION",
    "PADDLE",
    "PAGERDUTY",
    "PAYSTACK",
    "POLAR",
    "RAZORPAY",
    "RECURLY",
    "SANITY",
    "SENTRY",
    "SHOPIFY",
    "SLACK",
    "SQUARE",
    "STANDARD_WEBHOOKS",
    "STRIPE",
    "SVIX",
    "TAILSCALE",
    "TEAMS",
    "TRELLO",
    "TWITCH",
    "TYPEFORM",
    "UNSUPPORTED",
    "VERCEL",
    "WEBFLOW",
    "WEBHOOK_HEX",
    "WEBHOOK_SHA256",
    "WEBHOOK_TIMESTAMPED",
    "WOOCOMMERCE",
    "WORKOS",
    "XERO",
    "ZENDESK",
    "ZOOM",
    "get",
    "names",
]

_HOUR = 3600  # seconds
_LONGEST_NAME = 64  # characters
_DAY = 24 * _HOUR

# It sends the secret itself. Many users of Frappe do the same: they add this header to a Webhook
# document by hand, and set no secret.
FRAPPE_CLOUD: Final = Scheme(
    name="frappe-cloud",
    title="Frappe Cloud",
    definition="https://github.com/frappe/press/blob/8d76e0c2b5b619c4ad867bbd9436936330943689/press/press/doctype/press_webhook_log/press_webhook_log.py",
    signature_header="X-Webhook-Secret",
    signed="",
    encoding="plain",
    # It retries three times, after 2, 4 and 8 minutes: press/utils/webhook.py.
    retry_horizon=900,
)

# Many Frappe apps send and accept this: the MAC of the body in hex, without a prefix. It is a
# convention that no page defines.
WEBHOOK_HEX: Final = Scheme(
    name="webhook-hex",
    title="Convention: hex",
    signature_header="X-Webhook-Signature",
    encoding="hex",
)

# The same convention with GitHub's prefix.
WEBHOOK_SHA256: Final = Scheme(
    name="webhook-sha256",
    title="Convention: sha256= and hex",
    signature_header="X-Webhook-Signature",
    prefix="sha256=",
    encoding="hex",
)

# The same convention with a signed timestamp, so that a replayed request can be refused as too old.
WEBHOOK_TIMESTAMPED: Final = Scheme(
    name="webhook-timestamped",
    title="Convention: with a time",
    signature_header="X-Webhook-Signature",
    timestamp_header="X-Webhook-Timestamp",
    signed="{timestamp}.{body}",
    prefix="sha256=",
    encoding="hex",
)

# Only for webhooks with the signature in a header. Standard payments have it in the body.
ADYEN: Final = Scheme(
    name="adyen",
    title="Adyen (platforms, banking, issuing)",
    definition="https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures",
    signature_header="HmacSignature",
    encoding="base64",
    secret_format="hex",
    # https://docs.adyen.com/development-resources/webhooks/troubleshoot
    retry_horizon=30 * _DAY,
    response_timeout=10,  # https://docs.adyen.com/japan-sellers-screening/webhooks
)

# It sends the secret once, in X-Hook-Secret of its first request, which is not signed.
ASANA: Final = Scheme(
    name="asana",
    title="Asana",
    definition="https://developers.asana.com/docs/webhooks-guide",
    signature_header="X-Hook-Signature",
    encoding="hex",
    # https://github.com/Asana/developer-docs/blob/master/source/includes/markdown/_webhooks.html.md
    retry_horizon=_DAY,
    response_timeout=10,
)

# It sends SHA-256 in the header that GitHub uses for SHA-1.
BITBUCKET: Final = Scheme(
    name="bitbucket",
    title="Bitbucket",
    definition="https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/",
    signature_header="X-Hub-Signature",
    prefix="sha256=",
    encoding="hex",
    # It retries. How long is not documented.
    retry_horizon=_DAY,
)

# It sends one header for each of two keys. Users rotate one key at a time.
BOX: Final = Scheme(
    name="box",
    title="Box",
    definition="https://developer.box.com/guides/webhooks/v2/signatures-v2/",
    signature_header=("BOX-SIGNATURE-PRIMARY", "BOX-SIGNATURE-SECONDARY"),
    timestamp_header="BOX-DELIVERY-TIMESTAMP",
    timestamp_format="rfc3339",
    signed="{body}{timestamp}",
    encoding="base64",
    tolerance=600,
    body_id="/id",
    # It retries up to ten times. How long is not documented.
    # https://developer.box.com/guides/webhooks/v2/
    retry_horizon=_DAY,
)

CALENDLY: Final = Scheme(
    name="calendly",
    title="Calendly",
    definition="https://developer.calendly.com/api-docs/4c305798a61d3-webhook-signatures",
    signature_header="Calendly-Webhook-Signature",
    signed="{timestamp}.{body}",
    prefix="v1=",
    separator=",",
    timestamp_prefix="t=",
    encoding="hex",
    tolerance=180,
    # https://developer.calendly.com/api-docs/overview/webhooks/webhook-errors
    retry_horizon=_DAY,
    # https://developer.calendly.com/api-docs/overview/webhooks/webhook-timeouts
    response_timeout=15,
)

CASHFREE: Final = Scheme(
    name="cashfree",
    title="Cashfree",
    definition="https://www.cashfree.com/docs/payments/online/webhooks/signature-verification",
    signature_header="x-webhook-signature",
    timestamp_header="x-webhook-timestamp",
    timestamp_format="unix-ms",
    signed="{timestamp}{body}",
    encoding="base64",
    # No body_id: the ids in the body are those of orders and payments, not of events.
    # https://www.cashfree.com/docs/api-reference/webhooks/reliability-and-operations
    retry_horizon=_HOUR,
)

CIRCLECI: Final = Scheme(
    name="circleci",
    title="CircleCI",
    definition="https://circleci.com/docs/guides/integration/outbound-webhooks/",
    signature_header="circleci-signature",
    prefix="v1=",
    separator=",",
    encoding="hex",
    body_id="/id",
    # It retries. How long is not documented.
    # https://circleci.com/docs/outbound-webhooks
    retry_horizon=_DAY,
    response_timeout=5,
)

CLOUDFLARE_STREAM: Final = Scheme(
    name="cloudflare-stream",
    title="Cloudflare Stream",
    definition="https://developers.cloudflare.com/stream/manage-video-library/using-webhooks/",
    signature_header="Webhook-Signature",
    signed="{timestamp}.{body}",
    prefix="sig1=",
    separator=",",
    timestamp_prefix="time=",
    encoding="hex",
    # No body_id: the uid is that of the video, which is in each of its notifications.
)

# The body counts the attempts, so each attempt has another signature.
COINBASE_COMMERCE: Final = Scheme(
    name="coinbase-commerce",
    title="Coinbase Commerce",
    definition="https://docs.cdp.coinbase.com/commerce/api-arcitecture/webhooks-security",
    signature_header="X-CC-Webhook-Signature",
    encoding="hex",
    body_id="/event/id",
    # https://docs.cdp.coinbase.com/commerce/api-arcitecture/webhooks-overview
    retry_horizon=3 * _DAY,
)

# It sends one header for each key of the account. An account can have 100 keys.
DOCUSIGN: Final = Scheme(
    name="docusign",
    title="DocuSign Connect",
    definition="https://developers.docusign.com/platform/webhooks/connect/hmac/",
    signature_header=tuple(f"X-DocuSign-Signature-{number}" for number in range(1, 101)),
    encoding="base64",
    max_signatures=100,
    # It retries up to ten times, a day apart (requiresAcknowledgement).
    retry_horizon=10 * _DAY,
)

DROPBOX: Final = Scheme(
    name="dropbox",
    title="Dropbox",
    definition="https://www.dropbox.com/developers/reference/webhooks",
    signature_header="X-Dropbox-Signature",
    encoding="hex",
)

FLUTTERWAVE_V3: Final = Scheme(
    name="flutterwave-v3",
    title="Flutterwave v3",
    definition="https://developer.flutterwave.com/v3.0/docs/webhooks",
    signature_header="verif-hash",
    signed="",
    encoding="plain",
    # It retries. How long is not documented.
    retry_horizon=_DAY,
)

FORGEJO: Final = Scheme(
    name="forgejo",
    title="Forgejo",
    definition="https://forgejo.org/docs/latest/user/webhooks/",
    signature_header="X-Forgejo-Signature",
    encoding="hex",
)

# The app's API secret. With compression, the signature is that of the body before gzip.
GETSTREAM: Final = Scheme(
    name="getstream",
    title="Stream (GetStream)",
    definition="https://getstream.io/chat/docs/python/webhooks_overview/",
    signature_header="X-Signature",
    encoding="hex",
    signs_decoded_body=True,
    # It retries. How long is not documented.
    retry_horizon=_DAY,
)

GITEA: Final = Scheme(
    name="gitea",
    title="Gitea",
    definition="https://docs.gitea.com/usage/repository/webhooks",
    signature_header="X-Gitea-Signature",
    encoding="hex",
    # The default of DELIVER_TIMEOUT: https://docs.gitea.com/administration/config-cheat-sheet
    response_timeout=5,
)

GITHUB: Final = Scheme(
    name="github",
    title="GitHub",
    definition="https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
    signature_header="X-Hub-Signature-256",
    prefix="sha256=",
    encoding="hex",
    # https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks
    response_timeout=10,
)

# GitHub sends this header too, for receivers from before 2020. GITHUB never falls back to it.
GITHUB_SHA1: Final = Scheme(
    name="github-sha1",
    title="GitHub (old, SHA-1)",
    definition="https://docs.github.com/en/webhooks/webhook-events-and-payloads",
    signature_header="X-Hub-Signature",
    prefix="sha1=",
    encoding="hex",
    digest="sha1",
    response_timeout=10,
)

GITLAB: Final = Scheme(
    name="gitlab",
    title="GitLab",
    definition="https://docs.gitlab.com/user/project/integrations/webhooks/",
    signature_header="X-Gitlab-Token",
    signed="",
    encoding="plain",
)

# The headers and the secret of Standard Webhooks. Requests have X-Gitlab-Token too if that is set.
GITLAB_SIGNING: Final = Scheme(
    name="gitlab-signing",
    title="GitLab (signing token)",
    definition="https://gitlab.com/gitlab-org/gitlab/-/merge_requests/230944",
    signature_header="webhook-signature",
    timestamp_header="webhook-timestamp",
    id_header="webhook-id",
    signed="{id}.{timestamp}.{body}",
    prefix="v1,",
    separator=" ",
    encoding="base64",
    secret_format="whsec",
)

GOCARDLESS: Final = Scheme(
    name="gocardless",
    title="GoCardless",
    definition="https://developer.gocardless.com/getting-started/stay-up-to-date-with-webhooks-v2/",
    signature_header="Webhook-Signature",
    encoding="hex",
    # It retries up to eight times. How long is not documented.
    # https://support.gocardless.com/hc/en-nz/articles/360000989989-Webhook-retries-failures
    retry_horizon=_DAY,
)

GOGS: Final = Scheme(
    name="gogs",
    title="Gogs",
    definition="https://gogs.io/docs/features/webhook",
    signature_header="X-Gogs-Signature",
    encoding="hex",
)

# A space separates the name of the hash from the signature.
GREENHOUSE: Final = Scheme(
    name="greenhouse",
    title="Greenhouse",
    definition="https://developers.greenhouse.io/webhooks.html",
    signature_header="Signature",
    prefix="sha256 ",
    encoding="hex",
    # https://developers.greenhouse.io/webhooks.html#retry-policy
    retry_horizon=16 * _HOUR,
)

# A bare hash in hex, not an HMAC. HubSpot sends it for webhooks of apps, and v3 beside it.
HUBSPOT_V1: Final = Scheme(
    name="hubspot-v1",
    title="HubSpot (v1, bare hash)",
    definition="https://developers.hubspot.com/docs/guides/apps/authentication/validating-requests",
    signature_header="X-HubSpot-Signature",
    algorithm="hash",
    encoding="hex",
    retries_differ=True,  # attemptNumber
    # https://developers.hubspot.com/docs/api/webhooks
    retry_horizon=_DAY,
    # https://hookdeck.com/webhooks/platforms/guide-to-hubspot-webhooks-features-and-best-practices
    response_timeout=5,
)

# The same header with the method and URL. X-HubSpot-Signature-Version says which of them it is.
HUBSPOT_V2: Final = Scheme(
    name="hubspot-v2",
    title="HubSpot (v2, bare hash)",
    definition="https://developers.hubspot.com/docs/guides/apps/authentication/validating-requests",
    signature_header="X-HubSpot-Signature",
    signed="{method}{url}{body}",
    algorithm="hash",
    encoding="hex",
)

# It decodes these in the URL before it signs: %3A %2F %3F %40 %21 %24 %27 %28 %29 %2A %2C %3B.
HUBSPOT_V3: Final = Scheme(
    name="hubspot-v3",
    title="HubSpot",
    definition="https://developers.hubspot.com/docs/guides/apps/authentication/validating-requests",
    signature_header="X-HubSpot-Signature-V3",
    timestamp_header="X-HubSpot-Request-Timestamp",
    timestamp_format="unix-ms",
    signed="{method}{url}{body}{timestamp}",
    encoding="base64",
    # https://developers.hubspot.com/docs/api/webhooks
    retry_horizon=_DAY,
    retries_differ=True,  # attemptNumber
    # https://hookdeck.com/webhooks/platforms/guide-to-hubspot-webhooks-features-and-best-practices
    response_timeout=5,
)

# It signs canonical JSON (RFC 8785), which is what it sends. The key is what follows
# `signkey-...-` in the signing key.
INNGEST: Final = Scheme(
    name="inngest",
    title="Inngest",
    definition="https://github.com/inngest/inngest/blob/main/docs/SDK_SPEC.md",
    signature_header="X-Inngest-Signature",
    signed="{body}{timestamp}",
    prefix="s=",
    separator="&",
    timestamp_prefix="t=",
    encoding="hex",
)

INTERCOM: Final = Scheme(
    name="intercom",
    title="Intercom",
    definition="https://developers.intercom.com/docs/webhooks/setting-up-webhooks",
    signature_header="X-Hub-Signature",
    prefix="sha1=",
    encoding="hex",
    digest="sha1",
    body_id="/id",
    # It retries. How long is not documented. The body counts the attempts.
    # https://developers.intercom.com/docs/webhooks/webhook-notifications
    retry_horizon=_DAY,
    retries_differ=True,
)

# It sends SHA-256 in the header that GitHub uses for SHA-1, as Bitbucket does.
JIRA: Final = Scheme(
    name="jira",
    title="Jira",
    definition="https://developer.atlassian.com/cloud/jira/platform/webhooks/",
    signature_header="X-Hub-Signature",
    prefix="sha256=",
    encoding="hex",
    # It retries. How long is not documented.
    retry_horizon=_DAY,
    # https://hookdeck.com/webhooks/platforms/guide-to-jira-webhooks-features-and-best-practices
    response_timeout=20,
)

LEMONSQUEEZY: Final = Scheme(
    name="lemonsqueezy",
    title="Lemon Squeezy",
    definition="https://docs.lemonsqueezy.com/help/webhooks/signing-requests",
    signature_header="X-Signature",
    encoding="hex",
    # https://docs.lemonsqueezy.com/help/webhooks/webhook-requests
    retry_horizon=300,
)

LINE: Final = Scheme(
    name="line",
    title="LINE",
    definition="https://developers.line.biz/en/docs/messaging-api/verify-webhook-signature/",
    signature_header="x-line-signature",
    encoding="base64",
    # https://developers.line.biz/en/docs/messaging-api/receiving-messages/#redelivered-webhooks
    retries_differ=True,  # isRedelivery
)

# It signs no timestamp header. The signed body contains `webhookTimestamp`, in milliseconds.
LINEAR: Final = Scheme(
    name="linear",
    title="Linear",
    definition="https://linear.app/developers/webhooks",
    signature_header="Linear-Signature",
    encoding="hex",
    # It retries after 1 minute, 1 hour and 6 hours.
    # https://developers.linear.app/docs/graphql/webhooks
    retry_horizon=8 * _HOUR,
)

META: Final = Scheme(
    name="meta",
    title="Meta (WhatsApp, Messenger, Instagram)",
    definition="https://developers.facebook.com/docs/graph-api/webhooks/getting-started",
    signature_header="X-Hub-Signature-256",
    prefix="sha256=",
    encoding="hex",
    # https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview
    retry_horizon=7 * _DAY,
)

MUX: Final = Scheme(
    name="mux",
    title="Mux",
    definition="https://www.mux.com/docs/core/verify-webhook-signatures",
    signature_header="Mux-Signature",
    signed="{timestamp}.{body}",
    prefix="v1=",
    separator=",",
    timestamp_prefix="t=",
    encoding="hex",
    body_id="/id",
    # https://www.mux.com/docs/core/listen-for-webhooks
    retry_horizon=_DAY,
)

# The secret is the verification token. Notion sends it, unsigned, when a subscription is created.
NOTION: Final = Scheme(
    name="notion",
    title="Notion",
    definition="https://developers.notion.com/reference/webhooks",
    signature_header="X-Notion-Signature",
    prefix="sha256=",
    encoding="hex",
    secret_prefix="secret_",
    body_id="/id",
    # It retries. How long is not documented. The body counts the attempts.
    retry_horizon=_DAY,
    retries_differ=True,
)

# Its SDKs have a tolerance of 5 s. A busy server, or a clock without NTP, can exceed it.
PADDLE: Final = Scheme(
    name="paddle",
    title="Paddle",
    definition="https://developer.paddle.com/webhooks/signature-verification",
    signature_header="Paddle-Signature",
    signed="{timestamp}:{body}",
    prefix="h1=",
    separator=";",
    timestamp_prefix="ts=",
    encoding="hex",
    tolerance=300,
    secret_prefix="pdl_ntfset_",
    body_id="/event_id",
    # https://developer.paddle.com/webhooks/about/respond-to-webhooks
    retry_horizon=3 * _DAY,
    response_timeout=5,
)

PAGERDUTY: Final = Scheme(
    name="pagerduty",
    title="PagerDuty",
    definition="https://developer.pagerduty.com/docs/verifying-webhook-signatures",
    signature_header="X-PagerDuty-Signature",
    prefix="v1=",
    separator=",",
    encoding="hex",
    retry_horizon=2 * _DAY,
)

# It signs with the secret key of its API.
PAYSTACK: Final = Scheme(
    name="paystack",
    title="Paystack",
    definition="https://paystack.com/docs/payments/webhooks/",
    signature_header="X-Paystack-Signature",
    encoding="hex",
    digest="sha512",
    secret_prefix="sk_",
    # It retries every three minutes, then every hour for three days.
    # https://paystack.com/docs/payments/webhooks/
    retry_horizon=4 * _DAY,
)

# The key is the text of the secret, including whsec_. Polar's SDKs accept the decoded secret too,
# as in Standard Webhooks. Older secrets start with polar_whs_, and users may set their own.
POLAR: Final = Scheme(
    name="polar",
    title="Polar",
    definition="https://github.com/polarsource/polar/blob/main/docs/integrate/webhooks/delivery.mdx",
    signature_header="webhook-signature",
    timestamp_header="webhook-timestamp",
    id_header="webhook-id",
    signed="{id}.{timestamp}.{body}",
    prefix="v1,",
    separator=" ",
    encoding="base64",
    secret_format=("text", "whsec"),
    # It retries up to ten times, at most 20 minutes apart: server/polar/webhook/tasks.py.
    retry_horizon=4 * _HOUR,
    response_timeout=10,
)

RAZORPAY: Final = Scheme(
    name="razorpay",
    title="Razorpay",
    definition="https://razorpay.com/docs/webhooks/validate-test/",
    signature_header="X-Razorpay-Signature",
    encoding="hex",
    # https://razorpay.com/docs/webhooks/best-practices
    retry_horizon=_DAY,
    # https://razorpay.com/docs/payments/payment-gateway/s2s-integration/test-s2s/best-practices/webhooks-and-fetch-apis
    response_timeout=5,
)

# The entries have no names: a timestamp in milliseconds, then a signature for each secret.
RECURLY: Final = Scheme(
    name="recurly",
    title="Recurly",
    definition="https://docs.recurly.com/recurly-subscriptions/docs/signature-verification",
    signature_header="recurly-signature",
    signed="{timestamp}.{body}",
    separator=",",
    timestamp_is_first=True,
    timestamp_format="unix-ms",
    encoding="hex",
    # It retries up to ten times, the last time after three days.
    # https://docs.recurly.com/recurly-subscriptions/docs/automatic-retries
    retry_horizon=4 * _DAY,
)

# The signature is URL-safe base64 without padding. The timestamp is in milliseconds.
SANITY: Final = Scheme(
    name="sanity",
    title="Sanity",
    definition="https://www.sanity.io/docs/webhooks",
    signature_header="sanity-webhook-signature",
    signed="{timestamp}.{body}",
    prefix="v1=",
    separator=",",
    timestamp_prefix="t=",
    timestamp_format="unix-ms",
    encoding="base64url",
    # https://www.sanity.io/docs/changelog/50ec6abf-fe0c-475b-ae72-314148860132
    retry_delays=(30, 30),
    retry_horizon=300,
)

SENTRY: Final = Scheme(
    name="sentry",
    title="Sentry",
    definition="https://docs.sentry.io/organization/integrations/integration-platform/webhooks/",
    signature_header="Sentry-Hook-Signature",
    encoding="hex",
    # It retries three times, five minutes apart: src/sentry/sentry_apps/tasks/sentry_apps.py.
    retry_horizon=900,
    # https://sentry.io/changelog/2023-10-3-change-to-integration-platform-webhook-handling
    response_timeout=1,
)

SHOPIFY: Final = Scheme(
    name="shopify",
    title="Shopify",
    definition="https://shopify.dev/docs/apps/build/webhooks/subscribe/https",
    signature_header="X-Shopify-Hmac-Sha256",
    encoding="base64",
    # The body names no topic, and one change of an order causes several events with its state.
    # https://shopify.dev/docs/apps/build/webhooks#headers
    event_header="X-Shopify-Topic",
    # https://shopify.dev/changelog/updates-to-webhook-retry-mechanism
    retry_horizon=4 * _HOUR,
    response_timeout=5,  # https://shopify.dev/docs/apps/build/webhooks/subscribe/https
)

SLACK: Final = Scheme(
    name="slack",
    title="Slack",
    definition="https://docs.slack.dev/authentication/verifying-requests-from-slack/",
    signature_header="X-Slack-Signature",
    timestamp_header="X-Slack-Request-Timestamp",
    signed="v0:{timestamp}:{body}",
    prefix="v0=",
    encoding="hex",
    body_id="/event_id",
    retry_horizon=_HOUR,  # https://docs.slack.dev/apis/events-api/#retries
    response_timeout=3,
)

SQUARE: Final = Scheme(
    name="square",
    title="Square",
    definition="https://developer.squareup.com/docs/webhooks/step3validate",
    signature_header="x-square-hmacsha256-signature",
    signed="{url}{body}",
    encoding="base64",
    body_id="/event_id",
    # https://developer.squareup.com/docs/webhooks/troubleshooting
    retry_horizon=_DAY + _HOUR,
)

STANDARD_WEBHOOKS: Final = Scheme(
    name="standard-webhooks",
    title="Standard Webhooks",
    definition="https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
    signature_header="webhook-signature",
    timestamp_header="webhook-timestamp",
    id_header="webhook-id",
    signed="{id}.{timestamp}.{body}",
    prefix="v1,",
    separator=" ",
    encoding="base64",
    secret_format="whsec",
    retry_horizon=4 * _DAY,  # of the schedule that the specification recommends
)

# The key is the text of the secret, including whsec_.
STRIPE: Final = Scheme(
    name="stripe",
    title="Stripe",
    definition="https://docs.stripe.com/webhooks#verify-manually",
    signature_header="Stripe-Signature",
    signed="{timestamp}.{body}",
    prefix="v1=",
    separator=",",
    timestamp_prefix="t=",
    encoding="hex",
    secret_prefix="whsec_",
    body_id="/id",
    retry_horizon=3 * _DAY,  # https://docs.stripe.com/webhooks#automatic-retries
)

SVIX: Final = Scheme(
    name="svix",
    title="Svix (Clerk, Resend)",
    definition="https://docs.svix.com/receiving/verifying-payloads/how-manual",
    signature_header="svix-signature",
    timestamp_header="svix-timestamp",
    id_header="svix-id",
    signed="{id}.{timestamp}.{body}",
    prefix="v1,",
    separator=" ",
    encoding="base64",
    secret_format="whsec",
    # https://docs.svix.com/retries
    retry_horizon=28 * _HOUR,
    response_timeout=15,
)

TAILSCALE: Final = Scheme(
    name="tailscale",
    title="Tailscale",
    definition="https://tailscale.com/kb/1213/webhooks",
    signature_header="Tailscale-Webhook-Signature",
    signed="{timestamp}.{body}",
    prefix="v1=",
    separator=",",
    timestamp_prefix="t=",
    encoding="hex",
    # https://tailscale.com/docs/features/webhooks
    retry_horizon=_DAY,
)

# Only outgoing webhooks. Bots have a token in the same header.
TEAMS: Final = Scheme(
    name="teams",
    title="Microsoft Teams (outgoing webhooks)",
    definition="https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-outgoing-webhook",
    signature_header="Authorization",
    prefix="HMAC ",
    encoding="base64",
    secret_format="base64",
    response_timeout=5,
)

TRELLO: Final = Scheme(
    name="trello",
    title="Trello",
    definition="https://developer.atlassian.com/cloud/trello/guides/rest-api/webhooks/",
    signature_header="X-Trello-Webhook",
    signed="{body}{url}",
    encoding="base64",
    digest="sha1",
    retry_horizon=300,
)

TWITCH: Final = Scheme(
    name="twitch",
    title="Twitch EventSub",
    definition="https://dev.twitch.tv/docs/eventsub/handling-webhook-events/",
    signature_header="Twitch-Eventsub-Message-Signature",
    timestamp_header="Twitch-Eventsub-Message-Timestamp",
    id_header="Twitch-Eventsub-Message-Id",
    timestamp_format="rfc3339",
    signed="{id}{timestamp}{body}",
    prefix="sha256=",
    encoding="hex",
    tolerance=600,
)

TYPEFORM: Final = Scheme(
    name="typeform",
    title="Typeform",
    definition="https://www.typeform.com/developers/webhooks/secure-your-webhooks/",
    signature_header="Typeform-Signature",
    prefix="sha256=",
    encoding="base64",
    # https://www.typeform.com/developers/webhooks/
    retry_horizon=11 * _HOUR,
)

VERCEL: Final = Scheme(
    name="vercel",
    title="Vercel",
    definition="https://vercel.com/docs/webhooks/webhooks-api",
    signature_header="x-vercel-signature",
    encoding="hex",
    digest="sha1",
    retry_horizon=_DAY,
)

# Only webhooks that the API creates are signed, not those of the dashboard.
WEBFLOW: Final = Scheme(
    name="webflow",
    title="Webflow",
    definition="https://developers.webflow.com/data/docs/working-with-webhooks",
    signature_header="x-webflow-signature",
    timestamp_header="x-webflow-timestamp",
    timestamp_format="unix-ms",
    signed="{timestamp}:{body}",
    encoding="hex",
    # It retries three times, ten minutes apart.
    retry_horizon=_HOUR,
)

WOOCOMMERCE: Final = Scheme(
    name="woocommerce",
    title="WooCommerce",
    definition="https://woocommerce.com/document/webhooks/",
    signature_header="X-WC-Webhook-Signature",
    encoding="base64",
    # The body is the order as it is when it is sent, and names no topic.
    # Source: plugins/woocommerce/includes/class-wc-webhook.php
    event_header="X-WC-Webhook-Topic",
    response_timeout=60,
)

# A space follows the comma. The timestamp is in milliseconds, unlike Stripe's.
WORKOS: Final = Scheme(
    name="workos",
    title="WorkOS",
    definition="https://workos.com/docs/events/data-syncing/webhooks",
    signature_header="WorkOS-Signature",
    signed="{timestamp}.{body}",
    prefix="v1=",
    separator=",",
    timestamp_prefix="t=",
    timestamp_format="unix-ms",
    encoding="hex",
    tolerance=180,
    body_id="/id",
    # https://workos.com/docs/webhooks
    retry_horizon=3 * _DAY,
)

XERO: Final = Scheme(
    name="xero",
    title="Xero",
    definition="https://developer.xero.com/documentation/guides/webhooks/configuring-your-server/",
    signature_header="x-xero-signature",
    encoding="base64",
    # https://developer.xero.com/documentation/webhooks/configuring-your-server
    retry_horizon=_DAY,
    empty_responses=True,
)

ZENDESK: Final = Scheme(
    name="zendesk",
    title="Zendesk",
    definition="https://developer.zendesk.com/documentation/webhooks/verifying/",
    signature_header="X-Zendesk-Webhook-Signature",
    timestamp_header="X-Zendesk-Webhook-Signature-Timestamp",
    timestamp_format="rfc3339",
    signed="{timestamp}{body}",
    encoding="base64",
    # No body_id: what subscribes to events has an id in its body, but users write the bodies of
    # triggers themselves, where an id may be that of the ticket.
    # It retries. How long is not documented.
    retry_horizon=_DAY,
)

ZOOM: Final = Scheme(
    name="zoom",
    title="Zoom",
    definition="https://developers.zoom.us/docs/api/webhooks/",
    signature_header="x-zm-signature",
    timestamp_header="x-zm-request-timestamp",
    signed="v0:{timestamp}:{body}",
    prefix="v0=",
    encoding="hex",
    # https://devsupport.zoom.us/hc/en-us/articles/360059893812-Webhook-delays
    retry_horizon=2 * _HOUR,
    response_timeout=3,  # https://developers.zoom.us/blog/webhook-delays
)

#: Senders without a scheme: the name of each, and the reason. The error of `get()` contains it.
UNSUPPORTED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "adyen-payments": "it signs eight fields of each item in the body, not the body",
        "coinbase-cdp": "no definition of it could be confirmed",
        "contentful": "it signs a list of headers that differs between requests",
        "discord": "it signs with Ed25519, which needs a public key",
        "flutterwave-v4": "one page of its documentation describes a MAC, another a static token",
        "halopsa": "its header could not be confirmed; Scheme(prefix='sha256= ', ...) can say it",
        "mailgun": "it signs a timestamp and a token in the body, but not the event",
        "mandrill": "it signs the sorted fields of a form, not the body",
        "phonepe-v1": "it sends a bare hash, not an HMAC, of a field of the body",
        "phonepe-v2": "it sends a bare hash of user name and password, not of the request",
        "recharge": "no definition of its signatures could be confirmed",
        "sendgrid": "it signs with ECDSA, which needs a public key",
        "standard-webhooks-v1a": "it signs with Ed25519, which needs a public key",
        "twilio": "it signs the sorted fields of a form, not the body",
        "zoom-challenge": "it has no signature, but asks for a response (endpoint.url_validation)",
    }
)

#: Other names of senders, in the spelling of `get()`.
ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "erpnext": "frappe",
        "press": "frappe-cloud",
        "hubspot": "hubspot-v3",
        "facebook": "meta",
        "instagram": "meta",
        "messenger": "meta",
        "whatsapp": "meta",
        "atlassian": "jira",
        "jira-cloud": "jira",
        "msteams": "teams",
        "microsoft-teams": "teams",
        "sanity-io": "sanity",
        "getstream-io": "getstream",
        "stream": "getstream",
        "stream-chat": "getstream",
        "gitlab-signing-token": "gitlab-signing",
        "clerk": "svix",
        "resend": "svix",
        "polar-sh": "polar",
        "lemon-squeezy": "lemonsqueezy",
        "flutterwave": "flutterwave-v3",
    }
)

_BY_NAME: Final = {
    scheme.name: scheme for scheme in tuple(globals().values()) if isinstance(scheme, Scheme)
}


def get(name: str) -> Scheme:
    """Return the scheme of a provider.

    Capitals, spaces and underscores do not matter, and some senders have a second name.

    >>> get("github").signature_header
    'X-Hub-Signature-256'
    >>> get("Standard Webhooks").name
    'standard-webhooks'
    >>> get("whatsapp").name
    'meta'

    Args:
        name: The provider's short name, such as `frappe` or `standard-webhooks`.

    Raises:
        ConfigurationError: There is no such provider. The message names providers with similar
            names, or says why this sender cannot be verified.
    """
    if not isinstance(name, str):
        msg = f"a provider's name is a str, not {type(name).__name__}"
        del name  # it may be a secret, and error reporters show local variables
        raise ConfigurationError(msg)
    folded = "-".join(name.casefold().replace("_", " ").replace("-", " ").split())
    folded = ALIASES.get(folded, folded)
    if folded in _BY_NAME:
        return _BY_NAME[folded]
    msg = _unknown(folded)
    del name, folded  # one may be a secret, and error reporters show local variables
    raise ConfigurationError(msg)


def _unknown(name: str) -> str:
    """Return the error about a name that `get()` does not know. It may be a secret: do not show it.

    Args:
        name: The name, in the spelling of `get()`.
    """
    if name in UNSUPPORTED:
        return f"provider {name!r} cannot be verified: {UNSUPPORTED[name]}"
    close: list[str] = []
    if len(name) <= _LONGEST_NAME:  # to look for similar names would take long
        from difflib import get_close_matches  # takes as long to import as all schemes

        close = get_close_matches(name, [*_BY_NAME, *ALIASES, *UNSUPPORTED], n=3)
    hint = (
        f"did you mean {' or '.join(map(repr, close))}?"
        if close
        else f"there are {', '.join(sorted(_BY_NAME))}"
    )
    return f"no provider has this name: {hint}"


def names() -> tuple[str, ...]:
    """Return the short names of all providers: our own first, then in alphabetical order."""
    return tuple(_BY_NAME)
