"""The threads of a process that send. They never touch the database."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread, current_thread
from typing import Final

from frappe_hooksig.outbox._claims import Claimed, Pace
from frappe_hooksig.outbox._settling import Done

#: An attempt that takes longer than this gives its slot back, and goes on beside, in seconds.
QUICK: Final = 0.25

# How long a claimed delivery may wait for a thread before there is another one, in seconds. Quick
# receivers need few threads, and few threads cost less time than many.
_PATIENCE: Final = 0.005
# The part of the time of a core above which more threads would only wait for each other.
_BUSY: Final = 0.8
_LINGER: Final = 0.01  # seconds
_IDLE: Final = 10.0  # seconds, after which a thread without work ends


class _Ring:
    """A word in the inbox: look at the tables now."""


_RING: Final = _Ring()


@dataclass(slots=True)
class Flight:
    """An attempt in flight.

    Attributes:
        claimed: What is sent.
        queued: When it was claimed, by the monotonic clock.
        pace: How quick it is, as far as that is known.
        began: When a thread began with it; infinite before.
    """

    claimed: Claimed
    queued: float
    pace: Pace
    began: float = math.inf


class Crew:
    """The threads that send. All methods but `ring()` are for the thread of the dispatcher.

    Args:
        attempt: Sends a delivery, and says what became of it. It raises nothing.
        slots: How many quick attempts run at once.

    Attributes:
        flights: The attempts in flight. Their keys have the process, too: one that was given up may
            claim a delivery again while an attempt runs.
    """

    def __init__(self, attempt: Callable[[Claimed], Done], slots: int) -> None:
        self._attempt = attempt
        self._slots = slots
        self._inbox: SimpleQueue[Done | _Ring] = SimpleQueue()
        self._jobs: SimpleQueue[Flight | None] = SimpleQueue()
        self._threads: list[Thread] = []
        self.flights: dict[tuple[str, int], Flight] = {}
        self._measured = (time.monotonic(), time.process_time())

    def ring(self) -> None:
        """End the wait for results. Any thread may call this, and a signal handler."""
        if self._inbox.empty():  # else the dispatcher is about to look
            self._inbox.put(_RING)

    def begin(self, claimed: Claimed) -> None:
        """Have a delivery sent."""
        flight = Flight(claimed, time.monotonic(), claimed.pace)
        self.flights[claimed.key] = flight
        self._jobs.put(flight)
        if not self._threads:
            self._add_threads(1)

    def collect(
        self, wait: float, step: float, has_changed: Callable[[], bool] = lambda: False
    ) -> list[Done]:
        """Return what has ended, as soon as something has, or there is a reason to look.

        Args:
            wait: How long to wait, in seconds.
            step: How often to ask whether something has changed, in seconds.
            has_changed: Whether there is a reason to look at the tables.
        """
        ends = time.monotonic() + wait
        done: list[Done] = []
        while True:
            left = max(0.0, ends - time.monotonic())
            waiting = self._jobs.qsize()
            patience = min(step, _PATIENCE) if waiting else step
            try:
                word = self._inbox.get(timeout=min(patience, left))
            except Empty:
                if left <= patience:
                    return done
                if waiting:  # all threads are busy with something that takes long
                    self._add_threads(waiting)
                elif has_changed():
                    return done
                continue
            if isinstance(word, Done):
                done.append(word)
            self._empty(done)
            # While there is enough to send, more results in one turn cost less time.
            lingers_until = time.monotonic() + _LINGER
            while self._jobs.qsize() > self._slots // 4 and time.monotonic() < lingers_until:
                time.sleep(_LINGER / 10)
                self._empty(done)
            return done

    def forget(self, done: Sequence[Done]) -> None:
        """Forget attempts whose results are written down."""
        longest = 0.0
        for each in done:
            flight = self.flights.pop(each.claimed.key)
            longest = max(longest, flight.began - flight.queued)
        if not self._is_busy() and longest > _PATIENCE:
            self._add_threads(len(self._threads))

    def dismiss(self) -> None:
        """Let the threads end."""
        for _ in [*self._threads]:
            self._jobs.put(None)

    def _is_busy(self) -> bool:
        """Whether this process has used a core since it was last asked."""
        before, self._measured = self._measured, (time.monotonic(), time.process_time())
        wall, cpu = (now - then for now, then in zip(self._measured, before, strict=True))
        return cpu > wall * _BUSY

    def _empty(self, done: list[Done]) -> None:
        """Take all that is in the inbox."""
        while True:
            try:
                word = self._inbox.get_nowait()
            except Empty:
                return
            if isinstance(word, Done):
                done.append(word)

    def _add_threads(self, count: int) -> None:
        """Add threads, but not more than there are attempts in flight."""
        for _ in range(min(count, len(self.flights) - len(self._threads))):
            thread = Thread(target=self._send, name="frappe_hooksig sending", daemon=True)
            thread.start()
            self._threads.append(thread)

    def _send(self) -> None:
        while True:
            try:
                flight = self._jobs.get(timeout=_IDLE)
            except Empty:
                flight = None
            if flight is None:
                self._threads.remove(current_thread())
                return
            flight.began = time.monotonic()
            self._inbox.put(self._attempt(flight.claimed))
