"""Judging inside of a transaction of Django, as in its TestCase: other threads wait for it."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from typing import Any

import pytest
from django.db import transaction

from frappe_hooksig import ConfigurationError
from frappe_hooksig.providers import FRAPPE
from frappe_hooksig.testing import (
    SignedRequest,
    hostile_requests,
    judge_receiver,
    redeliver,
    signed_request,
)
from tests.integrations.test_django import SETTINGS
from tests.senders import secret_of
from tests.testing import wrong_receivers as receivers
from tests.testing.test_judging import sender_to
from tests.testing.wrong_receivers import LIMIT, App

assert SETTINGS  # test_django has configured Django
SECRET = secret_of(FRAPPE)


class Threads:
    """Sends requests to a right receiver, and keeps the threads in which it does."""

    def __init__(self) -> None:
        self.app = App(receivers.frappe_once, SECRET.encode())
        self.seen: set[threading.Thread] = set()

    def __call__(self, request: SignedRequest) -> Any:
        self.seen.add(threading.current_thread())
        return sender_to(self.app)(request)


@pytest.mark.parametrize("is_inside", [True, False], ids=["inside", "outside"])
def test_judging(*, is_inside: bool) -> None:
    """Inside of a transaction nothing is sent from other threads, and the judgement says so."""
    send = Threads()

    with transaction.atomic() if is_inside else nullcontext():
        judgement = judge_receiver(
            send,
            FRAPPE,
            SECRET,
            handled=lambda: send.app.handled,
            max_body=LIMIT,
            handles_once=True,
        )

    assert judgement.mistakes == ()
    assert any("Use TransactionTestCase" in each for each in judgement.not_judged) == is_inside
    assert (len(send.seen) == 1) == is_inside


def test_case() -> None:
    """A single case sends its copies one after the other, and is judged by that."""
    send = Threads()
    options: dict[str, Any] = {"max_body": LIMIT, "handles_once": True}
    cases = {case.name: case for case in hostile_requests(FRAPPE, SECRET, **options)}

    with transaction.atomic():
        cases["repeated-at-once"].check(send, handled=lambda: send.app.handled)

    assert send.seen == {threading.current_thread()}
    assert send.app.handled == 3


def test_redeliver() -> None:
    """It refuses to send at once, and names the remedy."""
    request = signed_request(FRAPPE, {}, SECRET)
    send = Threads()

    with (
        transaction.atomic(),
        pytest.raises(ConfigurationError, match="TransactionTestCase instead of TestCase"),
    ):
        redeliver(send, request, at_once=True)
    assert send.seen == set()
    assert len(redeliver(send, request, at_once=True)) == 2
