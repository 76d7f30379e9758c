"""Requests that are sent more than once, to routes with and without a store."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest

from frappe_hooksig import ConfigurationError
from frappe_hooksig.providers import FRAPPE, STRIPE
from frappe_hooksig.replay import MemoryStore
from frappe_hooksig.testing import SignedRequest, override, redeliver, signed_request
from tests.testing.routes import route, site

__all__ = ["route", "site"]  # fixtures

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
ONE, TWO = (signed_request(FRAPPE, {"name": name}, SECRET) for name in ("SO-00001", "SO-00002"))
NEW, AGAIN = "handled", "duplicate"


def test_again(route: Any) -> None:
    """A route with a store handles each request once, also if the later one comes first."""
    send = route(FRAPPE, secret=SECRET, store=MemoryStore())

    responses = redeliver(send, ONE, TWO, times=3)
    assert [content["status"] for _, content in responses] == [NEW, NEW, *[AGAIN] * 4]
    with override(store=MemoryStore()):
        responses = redeliver(send, ONE, TWO, out_of_order=True)
    assert [content.get("payload", {}).get("name") for _, content in responses] == [
        *("SO-00002", "SO-00001"),
        *(None, None),
    ]


def test_at_once(route: Any) -> None:
    """Of many at once, one is handled."""
    send = route(FRAPPE, secret=SECRET, store=MemoryStore())

    responses = redeliver(send, ONE, times=8, at_once=True)
    assert Counter(content["status"] for _, content in responses) == {NEW: 1, AGAIN: 7}


def test_late(route: Any) -> None:
    """The first round is in time, the others are not."""
    send = route(STRIPE, secret=SECRET, tolerance=300)
    request = signed_request(STRIPE, {}, SECRET)

    assert [status for status, _ in redeliver(send, request, late=250)] == [200, 200]
    assert [status for status, _ in redeliver(send, request, times=3, late=350)] == [200, 401, 401]


def test_late_by_the_clock_of_the_test(route: Any) -> None:
    """Inside of a block with a clock, it is that clock which is put forward."""
    send = route(STRIPE, secret=SECRET, tolerance=300)
    request = signed_request(STRIPE, {}, SECRET, timestamp=1_500_000_000)

    with override(clock=lambda: 1_500_000_200):
        assert [status for status, _ in redeliver(send, request, late=99)] == [200, 200]
        assert [status for status, _ in redeliver(send, request, late=101)] == [200, 401]


def test_responses_are_in_the_order_of_sending() -> None:
    """At once too, whichever comes first."""
    is_done = threading.Event()

    def send(request: SignedRequest) -> bytes:
        if request is ONE:
            is_done.wait(30)
        else:
            is_done.set()
        return request.body

    assert redeliver(send, ONE, TWO, times=1, at_once=True) == [ONE.body, TWO.body]
    assert redeliver(send, ONE, TWO, times=1, at_once=True, out_of_order=True) == [
        *(TWO.body, ONE.body)
    ]


def test_error_of_the_client() -> None:
    """It comes out when all threads have ended."""
    sent: list[SignedRequest] = []
    is_raised = threading.Event()

    def send(request: SignedRequest) -> None:
        if request is ONE:
            is_raised.set()
            raise ZeroDivisionError
        is_raised.wait(30)
        sent.append(request)

    with pytest.raises(ZeroDivisionError):
        redeliver(send, ONE, TWO, TWO, times=1, at_once=True)
    assert sent == [TWO, TWO]


@pytest.mark.parametrize(
    ("requests", "options", "message"),
    [
        ([], {}, "more than once"),
        ([ONE], {"times": 1}, "more than once"),
        ([ONE, TWO], {"times": 0}, "more than once"),
        ([ONE], {"out_of_order": True}, "out_of_order= needs two requests"),
        ([ONE], {"late": 5, "at_once": True}, "late= needs a second round"),
        ([ONE, TWO], {"late": 5, "times": 1}, "late= needs a second round"),
    ],
    ids=str,
)
def test_no_redelivery(requests: Any, options: Any, message: str) -> None:
    """A test that would test nothing is told so."""
    with pytest.raises(ConfigurationError, match=message):
        redeliver(repr, *requests, **options)
