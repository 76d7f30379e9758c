"""Frappe's own scheme, the default everywhere: importing it makes no other scheme."""

from __future__ import annotations

from typing import Final

from frappe_hooksig.scheme import Scheme

#: The framework setting, else environment variable, that holds the secret of Frappe's webhooks.
SECRET_SETTING: Final = "FRAPPE_WEBHOOK_SECRET"

# frappe/integrations/doctype/webhook/webhook.py, unchanged from v13.0.0 to 16: base64, no time, no
# id, no event name; up to three byte-identical attempts.
# A secret that looks like HTML is stored with entities in it (Document._sanitize_content).
FRAPPE: Final = Scheme(
    name="frappe",
    title="Frappe (ERPNext)",
    definition="https://docs.frappe.io/framework/user/en/guides/integration/webhooks",
    signature_header="X-Frappe-Webhook-Signature",
    encoding="base64",
    rewritten_characters="<>&",
    retry_delays=(1, 4),
)
