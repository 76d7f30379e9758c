"""The settings of the Django apps that the tests serve and call."""

from __future__ import annotations

import json
import os

from frappe_hooksig import Secret
from tests.integrations.own_secrets import OLD, SECRET

SECRET_KEY = "of the tests"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = os.environ.get("DJANGO_URLS", "tests.integrations.django_app")
INSTALLED_APPS = ["frappe_hooksig.integrations.django"]
MIDDLEWARE = ["django.middleware.csrf.CsrfViewMiddleware"]
_SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
# The second one is where deliveries are remembered; a server has it from its test.
DATABASES = {
    "default": _SQLITE,
    "once": {**_SQLITE, **json.loads(os.environ.get("DJANGO_ONCE", "{}"))},
}
DATA_UPLOAD_MAX_MEMORY_SIZE = None
FRAPPE_WEBHOOK_SECRET = [Secret(SECRET, id="new"), OLD]
# Tracebacks of views; by default Django shows them in development only.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"]},
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "UNAUTHENTICATED_USER": None,
}
