"""A tenant cannot learn from the API what the network of the service looks like."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

import pytest

from frappe_hooksig.outbox import Worker
from frappe_hooksig.testing import FakeReceiver
from tests.delivery_service.calling import Caller, until
from tests.delivery_service.running import Service, running
from tests.loopback import free_port
from tests.sending.name_server import SILENCE, Names, NameServer

NAMES: Names = {
    "private.example": [["10.0.0.1"]],
    "metadata.example": [["169.254.169.254"]],
    "loopback.example": [["127.0.0.2"]],
    "mixed.example": [["127.0.0.1", "10.0.0.1"]],
    "closed.example": [["127.0.0.1"]],
    "silent.example": [SILENCE],
}
TIMEOUT = 0.5  # seconds
# Ids, times, the URL that the tenant itself has chosen, and whether the worker has begun already.
_OWN = re.compile(
    r'ep_[0-9a-f]{24}|msg_[0-9a-f]{32}|whsec_[A-Za-z0-9+/=]+|"http://[^"]*"'
    r'|\d{4}-\d\d-\d\dT[\d:.]+Z|(?<="id":)\d+|(?<="seconds":)[\d.]+'
    r'|(?<="state":)"(?:due|claimed)"(?=,"due_at":"[^"]+","attempts":0)'
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with (
        NameServer(NAMES) as names,
        pytest.MonkeyPatch.context() as patch,
        running(folder, allow_addresses="127.0.0.1", timeout=str(TIMEOUT)) as service,
    ):
        patch.setattr(socket, "getaddrinfo", names.resolve)
        with Worker(service.state.outbox):
            yield service


def _records(acme: Caller, url: str) -> tuple[list[str], float, float]:
    """Return all that the API tells of an endpoint that cannot be reached, and of a test of it.

    Besides: how long the attempt has taken, as the API says and as it seemed, in seconds.
    """
    added = acme.call("POST", "/endpoints", {"url": url, "event_types": ["x"]})
    path = f"/endpoints/{added.json()['id']}"
    started = time.monotonic()
    tested = acme.call("POST", f"{path}/test")
    delivery = f"/deliveries/{tested.json()['id']}"
    attempted: dict[str, Any] = until(
        lambda: acme.must("GET", delivery), lambda found: found["attempts"] == 1
    )
    took = time.monotonic() - started
    answers = [added, tested, acme.call("GET", delivery), acme.call("GET", path)]
    answers += [acme.call("GET", f"/deliveries?endpoint_id={added.json()['id']}")]
    answers += [acme.call("POST", f"{path}/pause", {}), acme.call("POST", f"{path}/resume")]
    answers += [acme.call("DELETE", path)]
    texts = [f"{each.status} {_OWN.sub('*', each.body.decode())}" for each in answers]
    return texts, attempted["history"][0]["seconds"], took


def test_unreachable_and_blocked_look_alike(service: Service) -> None:
    """Blocked, unknown, closed and silent addresses give the same answers, in the same time."""
    acme = service.caller()
    with FakeReceiver(["timeout"]) as hanging:
        port = free_port()
        urls = [
            f"http://127.0.0.2:{port}/",  # not allowed, and nobody listens
            hanging.url.replace("127.0.0.1", "127.0.0.2"),  # not allowed
            hanging.url.replace("127.0.0.1", "loopback.example"),
            hanging.url,  # allowed, and says nothing
            f"http://127.0.0.1:{port}/",  # allowed, and nobody listens
            f"http://closed.example:{port}/",
            "http://10.0.0.1/",
            "http://169.254.169.254/latest/meta-data/",
            "http://private.example/",
            "http://metadata.example/",
            hanging.url.replace("127.0.0.1", "mixed.example"),
            "http://nowhere.example/",
            "http://silent.example/",
        ]
        with ThreadPoolExecutor(len(urls)) as pool:  # each takes as long as the timeout
            seen = dict(zip(urls, pool.map(lambda url: _records(acme, url), urls), strict=True))

    texts, told, took = zip(*seen.values(), strict=True)
    assert [*texts] == [texts[0]] * len(urls)
    assert [each[:3] for each in texts[0]] == ["201", "202", *["200"] * 5, "204"]
    assert "blocked" not in str(texts)
    # An attempt that ended sooner than the others would tell of its cause.
    assert {*told} == {TIMEOUT}
    assert min(took) > TIMEOUT


def test_nothing_is_looked_up_by_the_api(service: Service) -> None:
    """Adding and changing an endpoint takes as long for every name: nobody asks for its address."""
    acme = service.caller()
    urls = ["http://127.0.0.1/", "http://10.0.0.1/", "http://silent.example/", "https://a.example/"]
    paths = [f"/endpoints/{acme.add(url, event_types=['x'])['id']}" for url in urls]
    times: dict[str, list[float]] = {url: [] for url in urls}
    for _ in range(20):
        for url, path in zip(urls, paths, strict=True):
            started = time.monotonic()
            acme.must("PATCH", path, {"url": url})
            times[url].append(time.monotonic() - started)

    medians = [median(each) for each in times.values()]
    assert max(medians) < 5 * min(medians)
    assert max(medians) < 0.4
