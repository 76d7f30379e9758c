"""Methods other than the sender's do not count as handling a delivery."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.integrations.conformance import signed
from tests.integrations.once import DUPLICATE
from tests.integrations.test_django import SETTINGS
from tests.loopback import Answer, Server, gunicorn, uvicorn

APPS = "tests.integrations.leases"
SERVERS: dict[str, Callable[..., AbstractContextManager[Server]]] = {
    "flask": partial(gunicorn, f"{APPS}_flask_app:flask_app", "--threads=8"),
    "starlette": partial(uvicorn, f"{APPS}_starlette_app:starlette_app"),
    "fastapi": partial(uvicorn, f"{APPS}_fastapi_app:fastapi_app"),
    "django": partial(
        uvicorn,
        "django.core.asgi:get_asgi_application",
        "--factory",
        "--lifespan=off",
        DJANGO_SETTINGS_MODULE=SETTINGS,
        DJANGO_URLS=f"{APPS}_django_app",
    ),
}
Site: TypeAlias = "tuple[str, Server, Path]"


@pytest.fixture(scope="module", params=SERVERS)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The framework of an app, its server, and what its handlers have noted."""
    notes = tmp_path_factory.mktemp("notes") / "notes"
    notes.touch()
    with SERVERS[request.param](NOTES=str(notes)) as server:
        yield request.param, server, notes


def send(server: Server, method: str, path: str, number: str) -> Answer:
    """Send a signed request by a method."""
    body = b'{"n": "%s"}' % number.encode()
    return server.send(path, body, signed(body), method=method)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
def test_other_method_first(site: Site, method: str) -> None:
    """A captured request that somebody else sends by another method keeps no delivery away."""
    framework, server, notes = site
    paths = ["/methods", "/async-methods"] if framework == "django" else ["/methods"]
    for path in paths:
        number = f"{method} {path}"
        for _ in range(2):
            assert send(server, method, path, number).status == 200
        answers = [send(server, "POST", path, number) for _ in range(2)]

        assert [answer.status for answer in answers] == [200, 200]
        assert notes.read_text().splitlines().count(f"POST {number}") == 1
        assert answers[1].json() == DUPLICATE


@pytest.mark.parametrize("site", ["flask", "fastapi"], indirect=True)
def test_get_only(site: Site) -> None:
    """A view that takes GET alone handles each delivery once."""
    _, server, notes = site
    answers = [send(server, "GET", "/get", "only") for _ in range(3)]

    assert [answer.status for answer in answers] == [200] * 3
    assert notes.read_text().splitlines().count("GET only") == 1
    assert [answer.json() for answer in answers[1:]] == [DUPLICATE] * 2
