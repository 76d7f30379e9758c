"""The libraries that are not run, and why. What is neither here nor run was overlooked."""

from __future__ import annotations

from interop.library import Registry

_NO_VERIFIER = "neither signs nor verifies webhooks"
_NO_SCHEME = "signs in a way that we have no scheme for"
_SAME_CODE = "hands over to a library that is run"

ABSENT: dict[tuple[Registry, str], str] = {
    ("PyPI", "asana"): _NO_VERIFIER,
    ("PyPI", "box-sdk-gen"): "has become part of boxsdk",
    ("PyPI", "docusign-esign"): _NO_VERIFIER,
    ("PyPI", "dropbox"): _NO_VERIFIER,
    ("PyPI", "getstream"): "has the same functions as stream-chat (PyPI), which is run",
    ("PyPI", "mux-python"): _NO_VERIFIER,
    ("PyPI", "notion-client"): _NO_VERIFIER,
    ("PyPI", "pagerduty"): _NO_VERIFIER,
    ("PyPI", "paystackapi"): _NO_VERIFIER,
    ("PyPI", "python-intercom"): _NO_VERIFIER,
    ("PyPI", "recurly"): _NO_VERIFIER,
    ("PyPI", "sentry-sdk"): _NO_VERIFIER,
    ("PyPI", "shopifyapi"): "verifies the query of a login, which is signed in another way",
    ("PyPI", "typeform"): _NO_VERIFIER,
    ("PyPI", "vercel"): _NO_VERIFIER,
    ("PyPI", "xero-python"): _NO_VERIFIER,
    ("PyPI", "zenpy"): _NO_VERIFIER,
    ("npm", "@contentful/node-apps-toolkit"): _NO_SCHEME,
    ("npm", "@gitbeaker/rest"): _NO_VERIFIER,
    ("npm", "@lemonsqueezy/lemonsqueezy.js"): _NO_VERIFIER,
    ("npm", "@octokit/webhooks"): _SAME_CODE,
    ("npm", "@pagerduty/pdjs"): _NO_VERIFIER,
    ("npm", "@paystack/paystack-sdk"): _NO_VERIFIER,
    ("npm", "@typeform/api-client"): _NO_VERIFIER,
    ("npm", "@vercel/sdk"): _NO_VERIFIER,
    ("npm", "@woocommerce/woocommerce-rest-api"): "signs what is sent to a shop, not webhooks",
    ("npm", "asana"): _NO_VERIFIER,
    ("npm", "box-typescript-sdk-gen"): "has become part of box-node-sdk",
    ("npm", "cashfree-pg"): (
        "brings 70 MB of an error reporter, which it switches on; the one from PyPI is run"
    ),
    ("npm", "cloudflare"): _NO_VERIFIER,
    ("npm", "coinbase-commerce-node"): "brings many old packages; the one from PyPI is run",
    ("npm", "docusign-esign"): _NO_VERIFIER,
    ("npm", "dropbox"): _NO_VERIFIER,
    ("npm", "flutterwave-node-v3"): _NO_VERIFIER,
    ("npm", "inngest"): "brings all of OpenTelemetry; the one from PyPI is run",
    ("npm", "intercom-client"): _NO_VERIFIER,
    ("npm", "node-zendesk"): _NO_VERIFIER,
    ("npm", "recurly"): _NO_VERIFIER,
    ("npm", "stream-chat"): "has the same functions as stream-chat (PyPI), which is run",
    ("npm", "trello.js"): _NO_VERIFIER,
    ("npm", "whatsapp-api-js"): "not by the vendor; the one from PyPI is run",
    ("npm", "xero-node"): _NO_VERIFIER,
}
