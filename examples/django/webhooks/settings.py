"""The settings of `startproject`, plus the secrets and the largest accepted body."""

import os
from pathlib import Path

from django.core.management.utils import get_random_secret_key

SECRET_KEY = get_random_secret_key()  # new at each start: this project has no sessions
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "webhooks.urls"
INSTALLED_APPS = ["frappe_hooksig.integrations.django", "webhooks"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
FILE = os.environ.get("EVENTS", str(Path(__file__).parents[1] / "events.sqlite"))
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FILE}}

# Without one of these variables, the project does not start. The library would also find
# FRAPPE_WEBHOOK_SECRET in the environment without this line.
FRAPPE_WEBHOOK_SECRET = os.environ["FRAPPE_WEBHOOK_SECRET"]
GITHUB_WEBHOOK_SECRET = os.environ["GITHUB_WEBHOOK_SECRET"]
STRIPE_WEBHOOK_SECRET = os.environ["STRIPE_WEBHOOK_SECRET"]

DATA_UPLOAD_MAX_MEMORY_SIZE = 25 * 1024 * 1024  # the largest body that Frappe or GitHub sends

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {
        "webhooks": {"handlers": ["console"], "level": "INFO"},
        "frappe_hooksig": {"handlers": ["console"], "level": "INFO"},  # refusals
        "django.request": {"handlers": ["console"], "level": "ERROR"},  # tracebacks
    },
}
