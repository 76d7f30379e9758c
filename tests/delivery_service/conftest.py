"""A service that tests share, each with tenants of its own; and an operator of another one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import DatabaseServer, postgresql_server
from tests.delivery_service.calling import Caller
from tests.delivery_service.operating import Operator
from tests.delivery_service.pages.visiting import Visitor
from tests.delivery_service.running import Service, running
from tests.loopback import ROOT

MOST = 512 * 1024  # bytes of a body
MOST_OF_PAYLOAD = 20_000


@pytest.fixture(scope="session", autouse=True)
def path() -> Iterator[None]:
    """Let the processes that tests start find the package, which is not installed."""
    own = [str(ROOT / "examples" / "delivery_service"), os.environ.get("PYTHONPATH", "")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, own)))
        yield


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run a service without a worker."""
    folder = tmp_path_factory.mktemp("service")
    with running(
        folder, max_body=MOST, max_payload=MOST_OF_PAYLOAD, logins_per_hour=1000
    ) as service:
        yield service
    assert "Traceback" not in "".join(service.log)


@pytest.fixture(scope="module")
def acme(service: Service) -> Caller:
    """Return somebody who may do all that a tenant can."""
    return service.caller()


@pytest.fixture
def tenant(service: Service) -> str:
    """Return a tenant with one person."""
    return service.tenant()


@pytest.fixture
def visitor(service: Service, tenant: str) -> Iterator[Visitor]:
    """Return this person, logged in."""
    with service.visitor(tenant) as each:
        yield each


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    """Return an operator whose service has its tables and a tenant."""
    operator = Operator(tmp_path)
    operator.begin()
    return operator


@pytest.fixture(scope="session")
def database() -> Iterator[DatabaseServer]:
    """Run PostgreSQL. A test that stops it starts it again."""
    with postgresql_server() as server:
        yield server
