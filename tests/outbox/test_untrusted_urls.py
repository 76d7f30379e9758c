"""URLs of strangers: real attempts that get no answer, and all that can be seen of them."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from frappe_hooksig.observe import AttemptEvent
from frappe_hooksig.outbox import Worker
from frappe_hooksig.outbox._masking import MARGIN
from frappe_hooksig.sending import RetrySchedule
from frappe_hooksig.testing import FakeReceiver
from tests.outbox.places import Place
from tests.outbox.post import Post, wait_until

TIMEOUT = 3.0
DELAY = 1000.0


@pytest.fixture
def urls() -> Iterator[dict[str, str]]:
    """URLs that get no answer, by the reason that only an operator sees."""
    with ExitStack() as opened, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # it does not listen
        silent = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        plain = opened.enter_context(FakeReceiver())
        yield {
            "address-not-allowed": "http://10.0.0.1/hook",
            "connection": f"http://127.0.0.1:{closed.getsockname()[1]}/hook",
            "name": "http://no-such-host.invalid/hook",
            "tls": plain.url.replace("http://", "https://"),
            "timeout": f"http://127.0.0.1:{silent.getsockname()[1]}/hook",
        }


@pytest.mark.parametrize("delays", [(DELAY,), ()], ids=["tried again", "given up"])
def test_nothing_tells_them_apart(
    sqlite: Place, urls: dict[str, str], delays: tuple[float, ...]
) -> None:
    """Each is claimed for the whole timeout; then all are the same, but for ids and times."""
    known: dict[str, float] = {}  # by the reason that an operator sees, when the attempt began

    def note(event: AttemptEvent) -> None:
        known[event.reason] = time.time() - event.seconds

    post = Post(sqlite, untrusted_urls=True, timeout=TIMEOUT, observe_attempts=note, lease=10)
    schedule = RetrySchedule(delays, jitter=0)
    endpoints = [post.endpoint(url, schedule=schedule) for url in urls.values()]
    post.publish()
    outbox = post.outbox

    with Worker(outbox):
        wait_until(lambda: known.keys() >= {"address-not-allowed", "connection"})
        assert {*post.states()} == {"claimed"}
        wait_until(lambda: len(known) == len(urls) and "claimed" not in post.states())

    seen = []
    for endpoint in endpoints:
        (delivery,) = map(outbox.for_tenant, outbox.deliveries(endpoint=endpoint))
        (true,) = outbox.attempts(delivery.id)
        attempt = outbox.for_tenant(true)
        record = outbox.for_tenant(outbox.endpoint(endpoint))
        failed = record.failing_since or 0.0
        for moment in (failed, delivery.ended_at or delivery.due_at - sum(delays)):
            assert moment - attempt.started_at >= TIMEOUT + MARGIN - 0.01
            assert TIMEOUT + MARGIN - 0.1 <= moment - known[true.reason] < TIMEOUT + MARGIN + 5
        seen.append(
            (
                *(delivery.state, delivery.attempts, delivery.status),
                *(delivery.reason, delivery.message),
                *(attempt.seconds, attempt.outcome, attempt.status, attempt.reason),
                *(attempt.message, attempt.answer, attempt.address),
                *(record.state, record.reason, record.message, record.failures),
            )
        )
    assert seen == seen[:1] * len(urls)
    assert known.keys() > {"address-not-allowed", "connection", "tls", "timeout"}
    # Which slots the next attempts get, and so when they begin.
    assert vars(outbox)["_paces"] == dict.fromkeys(endpoints, "slow")


def test_answers_are_not_held_back(sqlite: Place) -> None:
    """What has an answer is settled at once, and a 410 pauses."""
    post = Post(sqlite, untrusted_urls=True, timeout=60)
    with FakeReceiver([500, 410, 200]) as receiver:
        post.endpoint(receiver.url, concurrency=1)
        post.publish(2)
        with Worker(post.outbox):
            post.told("paused")

    assert [post.outbox.attempts(each)[0].status for each in (1, 2)] == [500, 410]


def test_a_fault_of_the_endpoint_is_not_held_back(sqlite: Place) -> None:
    """A secret that is not there has nothing to do with the URL."""
    post = Post(sqlite, untrusted_urls=True, timeout=60)
    post.endpoint(secret_from="test:none")
    post.publish()

    assert post.send() == 1
    assert post.outbox.endpoints()[0].reason == "secret-missing"
