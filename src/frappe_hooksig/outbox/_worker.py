"""`Worker`: sends what an outbox has, in threads of this process."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Final

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.outbox._bounds import whole

if TYPE_CHECKING:
    from typing_extensions import Self

    from frappe_hooksig.outbox._dispatcher import Dispatcher
    from frappe_hooksig.outbox._outbox import Outbox

_log = logging.getLogger("frappe_hooksig")

#: How many quick attempts a worker makes at once, unless told otherwise.
SLOTS: Final = 16
MOST_SLOTS: Final = 500


class Worker:
    """Sends what an outbox has, in threads of this process.

    Any number of workers may share an outbox, in any number of processes and on any number of
    hosts, if the database is a server.

    >>> with Worker(outbox):  # doctest: +SKIP
    ...     serve()

    Args:
        outbox: The outbox.
        slots: How many attempts are made at once. An attempt that takes longer than a quarter of a
            second gives its slot back and goes on, and as many again may do so. So receivers that
            hang take no slot from the others.

    Raises:
        ConfigurationError: `slots` is not a whole number from 1 to 500.
    """

    def __init__(self, outbox: Outbox, *, slots: int = SLOTS) -> None:
        self._outbox = outbox
        self._slots = whole("slots", slots, 1, MOST_SLOTS)
        self._dispatcher: Dispatcher | None = None
        self._thread: Thread | None = None

    def run(self, *, once: bool = False) -> int:
        """Send in this thread, until `stop()` is called or SIGTERM or SIGINT comes.

        Signals stop it in the main thread only. It returns when the attempts in flight have ended.

        Args:
            once: Return when nothing is due any more.

        Returns:
            How many attempts were made, with those that failed before anything was sent.

        Raises:
            ConfigurationError: The worker runs already, or the tables are missing or of another
                version.
        """
        dispatcher = self._begun()
        try:
            with _stopped_by_signals(dispatcher):
                dispatcher.run(until_done=once)
        finally:
            self._end(dispatcher)
        return dispatcher.sent

    def start(self) -> None:
        """Send in threads, and return at once.

        Raises:
            ConfigurationError: As for `run()`.
        """
        dispatcher = self._begun()
        self._thread = Thread(
            target=_run, args=(dispatcher,), name="frappe_hooksig worker", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing more.

        After `start()`, it returns when the attempts in flight have ended. A `run()` in another
        thread returns then; `stop()` does not wait for it. The worker can be started again.
        """
        dispatcher = self._dispatcher
        if dispatcher is None:
            return
        dispatcher.stop()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
            self._end(dispatcher)

    def _begun(self) -> Dispatcher:
        if self._dispatcher is not None:
            msg = "the worker runs already"
            raise ConfigurationError(msg)
        self._dispatcher = self._outbox._dispatcher(self._slots)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return self._dispatcher

    def _end(self, dispatcher: Dispatcher) -> None:
        self._outbox._forget(dispatcher)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self._dispatcher = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} with {self._slots} slots of {self._outbox!r}>"


def _run(dispatcher: Dispatcher) -> None:
    try:
        dispatcher.run()
    except BaseException as error:
        _log.error(  # the thread shows the traceback
            "the worker has ended by an error, and nothing is sent until it is started again: %s",
            type(error).__name__,
        )
        raise


@contextmanager
def _stopped_by_signals(dispatcher: Dispatcher) -> Generator[None]:
    """Let SIGTERM and SIGINT stop the dispatcher while the block runs, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: object) -> None:
        dispatcher.stop()

    before = {each: signal.signal(each, stop) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
