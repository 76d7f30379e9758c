"""Replace what all routes of an app use, for one test."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager

from frappe_hooksig._keys import PlainSecret, redacted
from frappe_hooksig._overriding import Override, overriding
from frappe_hooksig._secret_checks import Origin, running_place
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.replay import AsyncStore, MemoryStore, Store
from frappe_hooksig.replay._deduplicator import require_store
from frappe_hooksig.secret import Secret, Secrets


def override(
    *,
    secret: Secrets | None = None,
    store: Store | AsyncStore | None = None,
    clock: Callable[[], float] | None = None,
) -> AbstractContextManager[None]:
    """Replace what every route uses, in every adapter and in all threads of this process.

    The app keeps what it has fixed when it was imported, and a test needs no other app. Of nested
    blocks, the innermost one that replaces something counts. `Verifier.verify()` and
    `verify_payload()`, called by your own code, keep their secrets and their clock.

    >>> with override(secret="S6D3Kvx1yMJ8Hv5Gm2QzTn4wRb7LpXce", clock=lambda: 1_800_000_000):
    ...     pass  # send requests with the framework's test client

    Args:
        secret: The secret of every route, or several. Each route's scheme must be able to use it.
            A function that returns the secrets of a route is not called. A setting of the app may
            be missing.
        store: The store of every route that has one. `fresh_store()` gives a new one.
        clock: Returns the current time, in Unix seconds, as `Clock` does. Every route compares
            timestamps with it, and `signed_request()` signs at its time.

    Raises:
        ConfigurationError: No argument is given, or one cannot be used.
    """
    several = None if secret is None else redacted(secret)
    del secret  # error reporters show the local variables of every frame
    if several is None and store is None and clock is None:
        msg = "override() needs secret=, store= or clock=: without them, it replaces nothing"
        raise ConfigurationError(msg)
    if store is not None:
        require_store(store)
    if clock is not None and not callable(clock):
        msg = "clock= must be a function that returns the current time, in Unix seconds"
        raise ConfigurationError(msg)
    secrets = None if several is None else (several, _origin(several))
    return _entered(Override(secrets, store, clock))


class Clock:
    """A clock for `override(clock=)`. It stands still until it is set.

    >>> clock = Clock(1_800_000_000)
    >>> clock.advance(600)
    >>> clock()
    1800000600.0

    Args:
        now: The time, in Unix seconds. By default the present.

    Attributes:
        now: The time, in Unix seconds. Set it as you like.
    """

    def __init__(self, now: float | None = None) -> None:
        self.now = time.time() if now is None else float(now)

    def advance(self, seconds: float) -> None:
        """Put the clock forward, or back by a negative number of seconds."""
        self.now += seconds

    def __call__(self) -> float:
        return self.now

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.now!r})"


@contextmanager
def fresh_store() -> Generator[MemoryStore]:
    """Let every route that has a store use a new one, which is forgotten at the end.

    Two tests that send the same body then do not meet in one store. In a `TestCase`, of Django too,
    enter it in `setUp()`: `self.enterContext(fresh_store())`. Before Python 3.11, enter it in an
    `ExitStack`, whose `close` is passed to `self.addCleanup()`.

    >>> with fresh_store() as store:
    ...     pass  # send requests with the framework's test client
    """
    store = MemoryStore()
    with override(store=store):
        yield store


def _origin(several: Sequence[Secret]) -> Origin:
    """Return where the secrets come from, for messages.

    Raises:
        ConfigurationError: There is none, or one that no scheme can use.
    """
    origin = Origin("secret= of override()", running_place())
    problems = [each.problem for each in several if isinstance(each, PlainSecret)]
    problem = next(filter(None, problems), None if several else "is an empty list")
    if problem is not None:
        msg = f"{origin.name} {problem}"
        raise ConfigurationError(msg)
    return origin


@contextmanager
def _entered(block: Override) -> Generator[None]:
    overriding.append(block)
    try:
        yield
    finally:
        overriding.remove(block)
