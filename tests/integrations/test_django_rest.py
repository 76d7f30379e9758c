"""Django REST framework, served by gunicorn and reached over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import pytest

from tests.integrations.conformance import BODY, Conformance, signed
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


@pytest.mark.parametrize(
    "path", ["frappe", "dispatched/x", "decorated/x", "view-set/x", "one-method/x", "outermost/x"]
)
def test_every_kind_of_view(server: Server, path: str) -> None:
    """A signed request gets through to any kind of view; an unsigned one to none."""
    answer = server.send(f"/{path}", BODY, signed())

    assert answer.status == 200
    assert answer.json()["sha256"] == sha256(BODY).hexdigest()
    assert server.send(f"/{path}", BODY).outcome == (401, "missing-header")
    assert server.send(f"/{path}", b"{}", signed()).outcome == (401, "signature-mismatch")


def test_class_and_no_json(server: Server) -> None:
    """What a class view cannot parse is the sender's mistake too."""
    assert server.send("/class-json", BODY, signed()).json() == {"json": {"order": "SO-00001"}}
    assert server.send("/class-json", b"{", signed(b"{")).outcome == (400, "malformed-payload")


def test_data_of_rest_framework(server: Server) -> None:
    """Its own request.data wants a Content-Type, which Frappe does not send: 415."""
    typed = signed(Content_Type="application/json")

    assert server.send("/data", BODY, typed).json() == {"data": {"order": "SO-00001"}}
    assert server.send("/data", BODY, signed()).status == 415
