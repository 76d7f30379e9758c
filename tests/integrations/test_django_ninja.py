"""django-ninja, whose views return what becomes a response later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integrations.conformance import signed
from tests.integrations.once import DUPLICATE, begun, deliver, ended, notes
from tests.integrations.test_django import SETTINGS
from tests.loopback import Server, uvicorn

__all__ = ["notes"]  # a fixture


VIEWS = ("/view", "/another-view", "/wrapped-view", "/another-wrapped-view", "/async-view")
PATHS = ("/dict", "/async-dict", "/tuple", "/async-tuple", "/status", *VIEWS)


@pytest.fixture(scope="class")
def server(notes: Path) -> Iterator[Server]:
    """A uvicorn."""
    environment = {
        "NOTES": str(notes),
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        "DJANGO_URLS": "tests.integrations.ninja_app",
    }
    app = "django.core.asgi:get_asgi_application"
    with uvicorn(app, "--factory", "--lifespan=off", **environment) as running:
        yield running


class TestNinja:
    """Under uvicorn."""

    @pytest.mark.parametrize("path", ["/dict", "/async-dict", "/tuple", "/async-tuple", "/status"])
    def test_repeat(self, server: Server, notes: Path, path: str) -> None:
        """What a view returns for a handled delivery marks it as handled."""
        number = str(len(notes.read_text()))
        answers = [deliver(server, path, n=number).json() for _ in range(3)]

        assert answers == [{"status": "handled"}, DUPLICATE, DUPLICATE]
        assert begun(notes)[number] == ended(notes)[number] == 1

    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("body", [b'{"n": "1"}', b"{", b""])
    def test_unsigned(self, server: Server, notes: Path, path: str, body: bytes) -> None:
        """Nothing of an unsigned request is handled, whatever it contains."""
        before = notes.read_text()

        assert server.send(path, body).outcome == (401, "missing-header")
        forged = server.send(path, body, signed(b"other"))
        assert forged.outcome == (401, "signature-mismatch")
        assert notes.read_text() == before

    @pytest.mark.parametrize("path", VIEWS)
    def test_view(self, server: Server, notes: Path, path: str) -> None:
        """With decorate_view(), the body is parsed after it is verified, into typed arguments."""
        number = str(len(notes.read_text()))
        answers = [deliver(server, path, n=number).json() for _ in range(2)]

        assert answers == [{"status": f"handled {number}"}, DUPLICATE]
        assert begun(notes)[number] == ended(notes)[number] == 1
        assert [deliver(server, path, n=[number]).status for _ in range(2)] == [422, 422]

    def test_endpoints(self, server: Server, notes: Path) -> None:
        """The same content at two endpoints is two deliveries, though Ninja runs both alike."""
        answers = [deliver(server, path, n="same").json() for path in VIEWS]

        assert answers == [{"status": "handled same"}] * len(VIEWS)
        assert notes.read_text().count("begin same\n") == len(VIEWS)

    @pytest.mark.parametrize("path", ["/tuple", "/async-tuple", "/status"])
    def test_failure(self, server: Server, notes: Path, path: str) -> None:
        """A failure that a view tells by its status is handled again."""
        number = str(len(notes.read_text()))
        answers = [deliver(server, path, n=number, statuses=[503, 201]) for _ in range(3)]

        assert [answer.status for answer in answers] == [503, 201, 200]
        assert answers[2].json() == DUPLICATE
        assert begun(notes)[number] == 2
