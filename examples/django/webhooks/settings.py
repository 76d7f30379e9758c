"""What differs from `startproject`: the secrets, and how much of a body is read."""

import os

from django.core.management.utils import get_random_secret_key

SECRET_KEY = get_random_secret_key()  # nothing here is kept in sessions
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "webhooks.urls"
INSTALLED_APPS = ["frappe_hooksig.integrations.django", "webhooks"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
USE_TZ = True

# Missing: it does not start. FRAPPE_WEBHOOK_SECRET would be found without this line too.
FRAPPE_WEBHOOK_SECRET = os.environ["FRAPPE_WEBHOOK_SECRET"]
GITHUB_WEBHOOK_SECRET = os.environ["GITHUB_WEBHOOK_SECRET"]
STRIPE_WEBHOOK_SECRET = os.environ["STRIPE_WEBHOOK_SECRET"]

DATA_UPLOAD_MAX_MEMORY_SIZE = 25 * 1024 * 1024  # what Frappe sends at most, and GitHub too

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {
        "webhooks": {"handlers": ["console"], "level": "INFO"},
        "frappe_hooksig": {"handlers": ["console"], "level": "INFO"},  # why one was refused
        "django.request": {"handlers": ["console"], "level": "ERROR"},  # tracebacks
    },
}
