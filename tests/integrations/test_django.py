"""Django, served by gunicorn and reached over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integrations.conformance import Conformance
from tests.loopback import Server, gunicorn

SETTINGS = "tests.integrations.django_settings"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A gunicorn with threads."""
    app = "django.core.wsgi:get_wsgi_application()"
    with gunicorn(app, "--threads=8", DJANGO_SETTINGS_MODULE=SETTINGS) as running:
        yield running


class TestConformance(Conformance):
    """Django under gunicorn."""

    READS_CHUNKED = False
    KEPT = ("body", "post", "get", "headers")
    GONE = ("read", "part-of-read", "readline")
