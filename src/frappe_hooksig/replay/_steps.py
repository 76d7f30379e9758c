"""Write a flow once for sync and async code: a generator yields its calls, a driver makes them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from inspect import iscoroutine
from typing import Any, TypeAlias, TypeVar

_T = TypeVar("_T")

#: A flow. It yields functions; the driver calls each of them and sends its result back.
Steps: TypeAlias = Generator[Callable[[], Any], Any, _T]


def run(steps: Steps[_T]) -> _T:
    """Make the calls of a flow, and return its result."""
    try:
        call = next(steps)
        while True:
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001, PERF203  # the flow handles it
                call = steps.throw(error)
            else:
                call = steps.send(result)
    except StopIteration as end:
        flow_result: _T = end.value
        return flow_result


async def run_async(steps: Steps[_T]) -> _T:
    """Make the calls of a flow, and await each result that is awaitable."""
    try:
        call = next(steps)
        while True:
            try:
                result = call()
                if hasattr(result, "__await__"):
                    result = await result
                    if iscoroutine(result):  # of a lambda that ran in a thread
                        result = await result
            except BaseException as error:  # noqa: BLE001, PERF203  # the flow handles it
                call = steps.throw(error)
            else:
                call = steps.send(result)
    except StopIteration as end:
        flow_result: _T = end.value
        return flow_result


def without_stop_iteration(function: Callable[..., _T], *args: Any) -> _T:
    """Call a function in a thread, for an event loop. Turn a `StopIteration` into another error.

    Before Python 3.12, a future cannot hold a `StopIteration`: whoever awaits it waits for ever.

    Raises:
        RuntimeError: The function raised `StopIteration`, for example by `next()`.
    """
    try:
        return function(*args)
    except StopIteration as error:
        msg = f"{getattr(function, '__qualname__', function)} raised StopIteration"
        raise RuntimeError(msg) from error
