"""A Django project that receives webhooks from ERPNext, GitHub and Stripe.

export FRAPPE_WEBHOOK_SECRET=... GITHUB_WEBHOOK_SECRET=... STRIPE_WEBHOOK_SECRET=whsec_...
python manage.py check && python manage.py runserver
"""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webhooks.settings")
    execute_from_command_line(sys.argv)
