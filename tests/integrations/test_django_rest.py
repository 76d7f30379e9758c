"""Django REST framework, served by gunicorn and reached over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integrations.conformance import Conformance
from tests.integrations.test_django import SETTINGS
from tests.loopback import Server, gunicorn


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A gunicorn with threads."""
    app = "django.core.wsgi:get_wsgi_application()"
    urls = "tests.integrations.django_rest_app"
    environment = {"DJANGO_SETTINGS_MODULE": SETTINGS, "DJANGO_URLS": urls}
    with gunicorn(app, "--threads=8", **environment) as running:
        yield running


class TestConformance(Conformance):
    """Django REST framework under gunicorn."""

    READS_CHUNKED = False
    KEPT = ("body", "get", "headers")  # request.POST is parsed by Content-Type, and is 415 without
    GONE = ("read", "part-of-read", "readline")
