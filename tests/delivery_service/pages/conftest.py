"""One service for all tests of the page in a process. Each test has a tenant of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.delivery_service.pages.serving import Running, Visitor, running


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The service."""
    with running(tmp_path_factory.mktemp("service"), logins_per_hour="1000") as each:
        yield each


@pytest.fixture
def tenant(service: Running) -> str:
    """A tenant with one person."""
    return service.tenant()


@pytest.fixture
def visitor(service: Running, tenant: str) -> Iterator[Visitor]:
    """This person, logged in."""
    with service.visitor(tenant) as each:
        yield each
