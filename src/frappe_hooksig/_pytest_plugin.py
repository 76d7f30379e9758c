"""Fixtures for pytest, which loads this module at its start. So each fixture imports what it needs.

It stands outside of `testing`, whose import would make each start of pytest slower.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from frappe_hooksig.outbox import Outbox
    from frappe_hooksig.replay import MemoryStore
    from frappe_hooksig.testing import (
        AnswerLike,
        CapturedOutbox,
        Clock,
        FakeReceiver,
        HostileCase,
    )

_MARKER = (
    "webhook(scheme, secret, **options): runs a test with the argument hostile_case once for each "
    "case of frappe_hooksig.testing.hostile_requests(scheme, secret, **options)"
)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, for --strict-markers."""
    config.addinivalue_line("markers", _MARKER)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each hostile case.

    Raises:
        pytest.UsageError: The test has no marker that says which scheme it is about.
    """
    if "hostile_case" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("webhook")
    if marker is None:
        msg = (
            f"{metafunc.definition.nodeid} takes hostile_case, so it needs the marker "
            "@pytest.mark.webhook(scheme, secret), with the arguments of hostile_requests()"
        )
        raise pytest.UsageError(msg)
    from frappe_hooksig.testing import hostile_requests

    cases = hostile_requests(*marker.args, **marker.kwargs)
    names = [case.name for case in cases]
    metafunc.parametrize("hostile_case", cases, indirect=True, ids=names)


@pytest.fixture
def hostile_case(request: pytest.FixtureRequest) -> HostileCase:
    """Each hostile case of a receiver in turn: `hostile_case.check(send)`.

    The marker `@pytest.mark.webhook(scheme, secret)` says which receiver, with the arguments of
    `frappe_hooksig.testing.hostile_requests()`. Each case is a test of its own, with its name.
    """
    case: HostileCase = request.param
    return case


@pytest.fixture
def webhook_store() -> Iterator[MemoryStore]:
    """A new store, which all routes that have a store use during the test.

    So two tests may send the same request. It is `frappe_hooksig.testing.fresh_store()`.
    """
    from frappe_hooksig.testing import fresh_store

    with fresh_store() as store:
        yield store


@pytest.fixture
def webhook_clock() -> Iterator[Clock]:
    """A clock, with which all routes compare timestamps during the test.

    It stands still at the present time. `webhook_clock.advance(600)` puts it forward by 600
    seconds, and `webhook_clock.now = ...` sets it, in Unix seconds. `signed_request()` signs at its
    time. It is `frappe_hooksig.testing.Clock`.
    """
    from frappe_hooksig.testing import Clock, override

    clock = Clock()
    with override(clock=clock):
        yield clock


@pytest.fixture
def fake_receiver() -> Iterator[Callable[..., FakeReceiver]]:
    """A function that starts a receiver on 127.0.0.1, to test a sender.

    `receiver = fake_receiver([500, "timeout", 200])` answers as listed, and keeps what comes in
    `receiver.requests`. It stops when the test ends. It is `frappe_hooksig.testing.FakeReceiver`.
    """
    from contextlib import ExitStack

    from frappe_hooksig.testing import FakeReceiver

    with ExitStack() as receivers:

        def start(answers: Sequence[AnswerLike] = (200,)) -> FakeReceiver:
            return receivers.enter_context(FakeReceiver(answers))

        yield start


@pytest.fixture
def captured_outbox() -> Iterator[Callable[..., CapturedOutbox]]:
    """A function that captures what an outbox would send, until the test ends. Nothing is sent.

    `captured = captured_outbox(outbox)` has what is published from then on in `captured.messages`
    and, signed, in `captured.requests`. `connection=` is for tests that roll back everything. It is
    `frappe_hooksig.testing.CapturedOutbox`.
    """
    from contextlib import ExitStack

    from frappe_hooksig.testing import CapturedOutbox

    with ExitStack() as captures:

        def capture(outbox: Outbox, connection: object = None) -> CapturedOutbox:
            return captures.enter_context(CapturedOutbox(outbox, connection))

        yield capture
