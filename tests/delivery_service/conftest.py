"""A service that the tests of its API share: each has tenants of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.delivery_service.running import Caller, Service, running

MOST = 64 * 1024  # bytes of a body


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run a service without a worker."""
    folder = tmp_path_factory.mktemp("service")
    with running(folder, max_body=str(MOST), max_payload="20000", max_endpoints="1000") as service:
        yield service
    assert "Traceback" not in service.server.log


@pytest.fixture(scope="module")
def acme(service: Service) -> Caller:
    """Return somebody who may do all that a tenant can."""
    return service.caller()
