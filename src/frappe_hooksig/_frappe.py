"""Frappe's scheme, the default everywhere. Importing this module creates no other scheme."""

from __future__ import annotations

from typing import Final

from frappe_hooksig.scheme import Scheme

#: Name of the framework's setting, and of the environment variable, with Frappe's webhook secret.
SECRET_SETTING: Final = "FRAPPE_WEBHOOK_SECRET"

# Source: frappe/integrations/doctype/webhook/webhook.py, unchanged from v13.0.0 to 16.
# The signature is base64. There is no timestamp, no id and no event name.
# Frappe waits 5 s for each response. All attempts have identical bytes. Up to 16.4, a job makes
# three, 1 s and 4 s apart.
# After 16.4 (https://github.com/frappe/frappe/pull/38913), a scheduler that runs every 5 min makes
# six retries: after 5 min, 30 min, 2 h, 5 h, 10 h and 10 h.
# A lease has to end within the quick attempts, so that one of them takes over from a dead process.
# The horizon is a minute, because two events with equal bytes are one delivery for as long. A
# longer one would lose events, unless a time in the body tells them apart.
# If a secret looks like HTML, Frappe stores &lt; for < and so on (Document._sanitize_content).
FRAPPE: Final = Scheme(
    name="frappe",
    title="Frappe (ERPNext)",
    definition="https://docs.frappe.io/framework/user/en/guides/integration/webhooks",
    signature_header="X-Frappe-Webhook-Signature",
    encoding="base64",
    rewritten_characters="<>&",
    retry_delays=(1, 4),
    response_timeout=5,
)
