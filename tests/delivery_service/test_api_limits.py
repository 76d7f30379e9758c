"""How much a tenant may ask of the API."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.delivery_service.calling import problem_in
from tests.delivery_service.running import Service, running
from tests.loopback import free_port

ENDPOINTS = 5
REQUESTS = 40


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with running(folder, max_endpoints=ENDPOINTS, requests_per_minute=REQUESTS) as service:
        yield service


def test_requests_of_a_key(service: Service) -> None:
    """A key that makes too many requests has to wait, and other keys do not."""
    hasty, other = service.caller(), service.caller()
    answers = [hasty.call("GET", "/me") for _ in range(REQUESTS + 3)]

    assert [each.status for each in answers] == [200] * REQUESTS + [429] * 3
    assert problem_in(answers[-1]) == (429, "too-many-requests")
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert other.must("GET", "/me")["limits"]["requests_per_minute"] == REQUESTS
    assert hasty.problem("POST", "/endpoints", {"url": "https://a.example"})[0] == 429


def test_endpoints_of_a_tenant(service: Service) -> None:
    """A tenant has a number of endpoints at most, also if many are added at the same time."""
    callers = [service.caller("greedy") for _ in range(4)]
    body = {"url": "https://partner.example/"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda n: callers[n % 4].call("POST", "/endpoints", body), range(24))
        )
    found = service.caller("greedy").must("GET", "/endpoints")["items"]

    assert {each.status for each in answers} == {201, 409}
    assert len(found) == sum(each.status == 201 for each in answers) <= ENDPOINTS
    while len(found) < ENDPOINTS:
        found.append(callers[0].add("https://partner.example/"))
    assert callers[1].problem("POST", "/endpoints", body) == (409, "too-many-endpoints")
    callers[1].must("DELETE", f"/endpoints/{found[0]['id']}", status=204)
    callers[1].add("https://partner.example/")
    service.caller("modest").add("https://partner.example/")


def test_without_the_count(tmp_path: Path) -> None:
    """If requests cannot be counted, none is answered."""
    with running(tmp_path, limits_url=f"redis://127.0.0.1:{free_port()}/0") as service:
        answer = service.caller().call("GET", "/me")

    assert problem_in(answer) == (503, "unavailable")


def test_too_many_deliveries(tmp_path: Path) -> None:
    """One request sends no more deliveries again than it says; if there are more, none."""
    with running(tmp_path) as service:
        acme = service.caller()
        endpoint = acme.add("https://partner.example/")
        acme.must("POST", f"/endpoints/{endpoint['id']}/pause", {})
        for _ in range(6):
            new = [{"event_type": "a", "payload": 1}] * 100
            acme.must("POST", "/messages/bulk", {"messages": new}, status=202)
        service.state.outbox.drain()  # makes the deliveries
        with service.state.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE hooksig_deliveries SET state = 4")
        several = {"endpoint_id": endpoint["id"]}

        assert acme.problem("POST", "/deliveries/send-again", several) == (
            409,
            "too-many-deliveries",
        )
        assert acme.problem("POST", "/deliveries/send-as-new", several)[0] == 409
        assert len(acme.must("GET", "/deliveries?state=dead&limit=100")["items"]) == 100
