"""The bell: telling an engine, after a commit, that there is something to send.

The tables are the truth: a bell has no payload, and one that is lost does no harm, because the
engine's scheduler drains the outbox now and then anyway. At most one bell is pending for an outbox:
the one row of its installation has the time when it was rung. A drain sets it to 0 when it begins.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from inspect import iscoroutinefunction
from queue import Empty, Full, Queue
from threading import Thread
from typing import Final

from frappe_hooksig.exceptions import ConfigurationError, HooksigError
from frappe_hooksig.outbox._database import Connection, Database, time_of

_log = logging.getLogger("frappe_hooksig")

# How long a thread without bells waits before it ends, in seconds.
_IDLE = 10

# A bell that was rung 30 seconds ago and has led to no drain is lost. One that was rung later than
# now is from before the clock was put back.
_RING: Final = """\
UPDATE hooksig_installation SET rung_at = {now}
WHERE rung_at < {now} - 30000 OR rung_at > {now} + 3000"""
_ANSWER: Final = "UPDATE hooksig_installation SET rung_at = 0 WHERE rung_at <> 0"
_ALIVE: Final = "SELECT COUNT(*) FROM hooksig_processes WHERE beat_at > :since"


class Ringer:
    """Rings the bell of an engine, if none is pending.

    Args:
        database: Where the tables are.
        bell: A function without arguments that has some process call `Outbox.drain()`.

    Raises:
        ConfigurationError: The bell cannot be called, or is an async function.
    """

    def __init__(self, database: Database, bell: Callable[[], object]) -> None:
        if not callable(bell) or iscoroutinefunction(bell):
            msg = "bell= must be a function without arguments that is not async"
            raise ConfigurationError(msg)
        self._database = database
        self._bell = bell
        self._failed = 0
        # A forked process has no threads of its parent.
        self._threads: dict[int, _RingingThread] = {}

    def ring(self) -> None:
        """Ring in a thread. It neither raises nor waits."""
        process = os.getpid()
        thread = self._threads.get(process)
        if thread is None:
            thread = self._threads.setdefault(process, _RingingThread(self.ring_here))
        thread.wake()

    def ring_here(self) -> None:
        """Ring in this thread. It raises nothing, and waits as long as the engine takes."""
        try:
            # On SQLite, this waits until the transaction that has published is over.
            if not self._database.run(_note_bell):
                return
            try:
                self._bell()
            except BaseException:
                self._database.run(_note_answer)  # so that the next one is rung at once
                raise
        except Exception as error:  # noqa: BLE001  # the message is stored, and will be sent
            self._failed += 1
            if not self._failed & (self._failed - 1):  # less and less often
                # Without the text of others, which may have the broker's URL with its password.
                shown = error if isinstance(error, HooksigError) else type(error).__name__
                _log.error("the outbox cannot ring its bell: %s", shown)
        else:
            self._failed = 0


class _RingingThread:
    """A thread that makes a call whenever it is woken, and ends if nobody wakes it for a while.

    It takes no lock for that: with gevent, the owner of one might never go on.
    """

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        # One is enough: the call comes after all that have asked for it.
        self._wanted: Queue[None] = Queue(1)
        self._running: dict[str, Thread] = {}

    def wake(self) -> None:
        with suppress(Full):
            self._wanted.put_nowait(None)
        with suppress(RuntimeError):  # the process may start no more threads
            self._start()

    def _start(self) -> None:
        if self._running:
            return
        thread = Thread(target=self._run, name="frappe_hooksig bell", daemon=True)
        if self._running.setdefault("", thread) is thread:
            try:
                thread.start()
            except BaseException:
                self._running.clear()
                raise

    def _run(self) -> None:
        try:
            while True:
                self._wanted.get(timeout=_IDLE)
                self._call()
        except Empty:
            pass
        finally:
            self._running.clear()
        if not self._wanted.empty():  # a wake() just now may have seen this thread running
            self._start()


def answer(connection: Connection, most: int | None, lease: float) -> bool:
    """Note that a drain begins, so that the next bell is rung.

    Args:
        connection: A connection in a transaction.
        most: How many processes may send at once, or None.
        lease: How long a process may be without a heartbeat, in seconds.

    Returns:
        Whether fewer than `most` are sending.
    """
    _note_answer(connection)
    if most is None:
        return True
    # A process that has missed two heartbeats counts as dead here: one too many does no harm.
    since = time_of(connection) - int(lease * 400)
    ((alive,),) = connection.rows(_ALIVE, {"since": since})
    return bool(alive < most)


def _note_bell(connection: Connection) -> bool:
    return connection.change(_RING) > 0


def _note_answer(connection: Connection) -> int:
    return connection.change(_ANSWER)
