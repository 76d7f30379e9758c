"""Send requests more than once, as senders do."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from threading import Barrier
from typing import TypeVar

from frappe_hooksig._overriding import current_clock
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.testing._override import override
from frappe_hooksig.testing._requests import SignedRequest
from frappe_hooksig.testing._transactions import in_django_transaction

_Response = TypeVar("_Response")

_PATIENCE = 30  # seconds, until all threads have started


def redeliver(
    send: Callable[[SignedRequest], _Response],
    *requests: SignedRequest,
    times: int = 2,
    at_once: bool = False,
    out_of_order: bool = False,
    late: float | None = None,
) -> list[_Response]:
    """Send requests more than once: again, at once, out of order or late.

    They are sent in rounds, each of which has all requests. Look at the responses, and at what the
    app has done: a route with a store handles each request once.

    Args:
        send: Takes a request, sends it with the framework's test client, and returns the response.
            With `at_once`, several threads call it.
        *requests: The requests, in the order in which they were signed.
        times: The number of rounds.
        at_once: Whether all requests of all rounds are sent in the same moment, each in a thread.
        out_of_order: Whether each round begins with the last request.
        late: How much later the rounds after the first one come, in seconds, by the clock that
            routes compare timestamps with. Stores keep a clock of their own.

    Returns:
        The responses, in the order of sending.

    Raises:
        ConfigurationError: The options contradict each other, or send nothing more than once. Or
            `at_once` is used inside of a transaction of Django, as in its `TestCase`.
        Exception: Whatever `send` raises, after all threads have ended.
    """
    if times < 1 or len(requests) * times < 2:  # noqa: PLR2004
        msg = "nothing is sent more than once: pass a request, and times=2 or more"
        raise ConfigurationError(msg)
    if out_of_order and not requests[1:]:
        msg = "out_of_order= needs two requests or more"
        raise ConfigurationError(msg)
    if late is not None and (at_once or times < 2):  # noqa: PLR2004
        msg = "late= needs a second round, times=2 or more, which does not come at_once"
        raise ConfigurationError(msg)
    if at_once and in_django_transaction():
        msg = (
            "at_once= uses threads, but the test is inside of a transaction of Django, for which "
            "they wait: use TransactionTestCase instead of TestCase, or "
            "@pytest.mark.django_db(transaction=True)"
        )
        raise ConfigurationError(msg)
    ordered = requests[::-1] if out_of_order else requests
    if at_once:
        return _sent_at_once(send, [*ordered * times])
    responses = [send(each) for each in ordered]
    with nullcontext() if late is None else _later(late):
        return responses + [send(each) for each in ordered * (times - 1)]


def _later(seconds: float) -> AbstractContextManager[None]:
    """Put the clock of all routes forward."""
    clock = current_clock()
    return override(clock=lambda: clock() + seconds)


def _sent_at_once(
    send: Callable[[SignedRequest], _Response], requests: list[SignedRequest]
) -> list[_Response]:
    start = Barrier(len(requests))

    def run(request: SignedRequest) -> _Response:
        start.wait(_PATIENCE)
        return send(request)

    with ThreadPoolExecutor(len(requests)) as pool:
        futures = [pool.submit(run, each) for each in requests]
    return [each.result() for each in futures]
