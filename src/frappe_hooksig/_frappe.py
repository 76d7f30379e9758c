"""Frappe's scheme, the default everywhere. Importing this module creates no other scheme."""

from __future__ import annotations

from typing import Final

from frappe_hooksig.scheme import Scheme

#: Name of the framework's setting, and of the environment variable, with Frappe's webhook secret.
SECRET_SETTING: Final = "FRAPPE_WEBHOOK_SECRET"

# Source: frappe/integrations/doctype/webhook/webhook.py, unchanged from v13.0.0 to 16.
# The signature is base64. There is no timestamp, no id and no event name. Frappe makes up to three
# attempts, with identical bytes.
# If a secret looks like HTML, Frappe stores &lt; for < and so on (Document._sanitize_content).
FRAPPE: Final = Scheme(
    name="frappe",
    title="Frappe (ERPNext)",
    definition="https://docs.frappe.io/framework/user/en/guides/integration/webhooks",
    signature_header="X-Frappe-Webhook-Signature",
    encoding="base64",
    rewritten_characters="<>&",
    retry_delays=(1, 4),
)
