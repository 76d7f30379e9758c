"""A Django project that receives webhooks from ERPNext, GitHub and Stripe.

    pip install "frappe-hooksig[django]"
    export FRAPPE_WEBHOOK_SECRET=... GITHUB_WEBHOOK_SECRET=... STRIPE_WEBHOOK_SECRET=whsec_...
    python manage.py check && python manage.py migrate
    python manage.py runserver    # receives
    python manage.py work         # handles what was received; run it once, beside the other

In ERPNext, create a Webhook. DocType: Sales Order. Doc Event: on_submit. Request URL:
https://your.host/erpnext/sales-order. Request Method: POST. Request Structure: JSON.
Enable Security: checked. Webhook Secret: FRAPPE_WEBHOOK_SECRET. JSON Request Body:

    {
      "event": "on_submit",
      "doctype": {{ doc.doctype | tojson }},
      "name": {{ doc.name | tojson }},
      "modified": {{ doc.modified | string | tojson }},
      "data": {{ doc | json }}
    }

At GitHub, choose the content type application/json.
"""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webhooks.settings")
    execute_from_command_line(sys.argv)
