"""The dispatcher: one thread that asks the database what is to be sent, and others that send it.

The thread that dispatches owns the state here and a connection. Each turn is one transaction: it
settles what has ended, routes what was published, and claims what there is room for. The threads
that send never touch the database. Another thread, with a connection of its own, keeps the
heartbeat, so that nothing that is slow lets the claims lapse.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Event, Thread, current_thread
from typing import Final, TypeAlias, TypeVar

from frappe_hooksig.exceptions import ConfigurationError, PayloadError
from frappe_hooksig.observe._outbox_event import OutboxEvent
from frappe_hooksig.outbox._claims import (
    LOST_BEFORE_ALONE,
    Claimed,
    Claims,
    Pace,
    Room,
    claim,
    is_due,
)
from frappe_hooksig.outbox._database import Connection, Database, among, time_of
from frappe_hooksig.outbox._dialect import SQLITE
from frappe_hooksig.outbox._endpoints import Row, endpoint_rows
from frappe_hooksig.outbox._processes import Heart, release_own
from frappe_hooksig.outbox._retention import prune
from frappe_hooksig.outbox._routing import is_unrouted, route
from frappe_hooksig.outbox._secrets import Unavailable
from frappe_hooksig.outbox._senders import Senders
from frappe_hooksig.outbox._settling import Done, Fault, Terms, settle
from frappe_hooksig.sending._attempt import Attempt

_T = TypeVar("_T")

_log = logging.getLogger("frappe_hooksig")

#: An attempt that takes longer than this gives its slot back, and goes on beside, in seconds.
QUICK: Final = 0.25

# How long a claimed delivery may wait for a thread before there is another one, in seconds. Quick
# receivers need few threads, and few threads cost less time than many.
_PATIENCE: Final = 0.005
_LINGER: Final = 0.01  # seconds
_IDLE: Final = 10.0  # seconds, after which a thread without work ends

# How many bytes of payloads are in flight at most, unless one payload alone has more.
_SIZE: Final = 64 * 1024 * 1024

_POLL: Final = 0.1  # seconds, where a look at the tables is needed to see a commit of others
_WATCH: Final = 0.01  # seconds, where a number tells
_LONGEST_WAIT: Final = 1.0  # seconds
_LONGEST_PAUSE: Final = 2.0  # seconds between two tries to reach the database
_FAILURES_AT_THE_END: Final = 5
_BEATS: Final = 5  # in a lease
_PRUNES_EVERY: Final = 600  # seconds
# So many endpoints that a process remembers to have been slow.
_REMEMBERED: Final = 10_000


class _Ring:
    """A word in the inbox: look at the tables now."""


_RING: Final = _Ring()

_Inbox: TypeAlias = "SimpleQueue[Done | _Ring]"


@dataclass(slots=True)
class Memory:
    """What a process remembers from one dispatcher to the next: an engine makes many.

    Attributes:
        paces: How quick the endpoints were.
        next_prune: When there may be something to forget, by the monotonic clock.
        pruned: The number of the last message that was looked at for that, or 0.
    """

    paces: dict[str, Pace] = field(default_factory=dict[str, Pace])
    next_prune: float = 0.0
    pruned: int = 0


@dataclass(frozen=True, slots=True)
class Options:
    """What the outbox decides about sending.

    Attributes:
        database: Where the tables are.
        senders: The senders of the process.
        lease: How long a process may be without a heartbeat, in seconds.
        disable_after: How long an endpoint may fail until it is disabled, in seconds.
        retention: How long what has ended is kept, in seconds.
        tell: Tells the observers.
        is_confirmed: Whether this is the installation that the tables belong to.
        memory: What the process remembers.
    """

    database: Database
    senders: Callable[[Callable[[], float]], Senders]
    lease: float
    disable_after: float
    retention: float
    tell: Callable[[OutboxEvent], None]
    is_confirmed: Callable[[Connection], bool]
    memory: Memory


@dataclass(slots=True)
class _Flight:
    """An attempt in flight."""

    claimed: Claimed
    queued: float
    pace: Pace
    began: float = math.inf  # until there is a thread for it


@dataclass(frozen=True, slots=True)
class _Turn:
    """What a turn has found."""

    events: list[OutboxEvent]
    routed: int
    claims: Claims
    rows: list[Row]
    now: int
    is_left: bool
    is_to_route: bool

    @property
    def has_more(self) -> bool:
        """Whether the next turn may find something, too."""
        claims = self.claims
        return bool(self.routed or claims.claimed or claims.is_contended or claims.waits_for_rate)


class Dispatcher:
    """Sends what is due, until it is told to stop or nothing is left.

    Args:
        options: What the outbox decides.
        slots: How many quick attempts run at once. As many again may take longer. At most half of
            them are at endpoints that this process does not know yet: if all of these hang, the
            others still find slots.
    """

    def __init__(self, options: Options, slots: int) -> None:
        self._options = options
        self._slots = slots
        self._heart = Heart(options.lease)
        self._senders = options.senders(self._signed_time)
        self._inbox: _Inbox = SimpleQueue()
        self._jobs: SimpleQueue[_Flight | None] = SimpleQueue()
        self._threads: list[Thread] = []
        # By the process, too: who was given up may claim a delivery again while an attempt runs.
        self._flights: dict[tuple[str, int], _Flight] = {}
        self._memory = options.memory
        self._paces = options.memory.paces
        self._rows: dict[str, Row] = {}
        self._is_stopping = False
        self._ended = Event()
        self._is_doubtful = False
        self._failures = 0
        self._version: int | None = None
        self.sent = 0

    def ring(self) -> None:
        """Have it look at the tables now. Any thread may call this, and a signal handler."""
        if self._inbox.empty():  # else it is about to look
            self._inbox.put(_RING)

    def stop(self) -> None:
        """Let it end once the attempts in flight have. Any thread may call this."""
        self._is_stopping = True
        self.ring()

    def run(self, *, budget: float | None = None, until_done: bool = False) -> bool:
        """Send what is due.

        Args:
            budget: After how many seconds nothing more is begun. By default never.
            until_done: Whether to end once nothing is due.

        Returns:
            Whether something is left that is due now.
        """
        ends = None if budget is None else time.monotonic() + budget
        if not self._confirmed(wait=not until_done) or not self._rejoin():
            return False
        self._beat()  # before anything else: what others have left behind is due now
        beating = Thread(target=self._keep_beating, name="frappe_hooksig heartbeat", daemon=True)
        beating.start()
        try:
            return self._dispatch(ends, until_done=until_done)
        finally:
            self._ended.set()
            for _ in [*self._threads]:
                self._jobs.put(None)
            beating.join()
            self._try(self._heart.leave)
            self._senders.close()

    def _dispatch(self, ends: float | None, *, until_done: bool) -> bool:
        done: list[Done] = []
        failed = 0
        is_routing = False
        while True:
            if ends is not None and time.monotonic() >= ends:
                self._is_stopping = True
            settled = [] if is_routing and not self._is_stopping else done
            try:
                turn = self._database.run(self._turn_of(settled))
            except self._database.errors as error:
                # What was claimed in this transaction, if it was committed, is not known here.
                self._is_doubtful = True
                failed += 1
                _complain(error, failed)
                if self._is_stopping and failed > _FAILURES_AT_THE_END:
                    return True  # another process finds the claims of one without a heartbeat
                pause = min(_LONGEST_PAUSE, 0.05 * 2 ** min(failed, 10))
                done += self._collected(pause, is_watching=False)
                continue
            failed = 0
            if turn is None:
                _say(
                    logging.WARNING,
                    "the outbox was without a heartbeat for too long: its claims are lost",
                )
                if not self._rejoin():
                    return True
                continue
            is_routing = turn.is_to_route
            self._take(turn, settled)
            wait = self._wait_for(turn)
            is_done = self._is_stopping or (until_done and not turn.has_more and wait > 0)
            if is_done and not self._flights:
                return turn.is_left
            is_quick = turn.is_left or (turn.routed and not turn.claims.claimed)
            left = [] if settled is done else done
            done = left + self._collected(0.0 if is_quick or left else wait)

    def _take(self, turn: _Turn, done: Sequence[Done]) -> None:
        """Do what a turn has decided, after it is committed."""
        self._is_doubtful = False
        self._forget(done)
        for event in turn.events:
            self._tell(event)
        self._rows.update((each.endpoint.id, each) for each in turn.rows)
        for each in turn.claims.claimed:
            self._begin(each)

    def _turn_of(self, done: Sequence[Done]) -> Callable[[Connection], _Turn | None]:
        """Return the function that does a turn. It may be called more than once."""
        self._learn(done)
        flying = {*self._flights} - {each.claimed.key for each in done}
        room = self._room(flying)
        rows = self._rows
        endpoints = {each.claimed.endpoint: rows[each.claimed.endpoint].endpoint for each in done}
        terms = {
            name: Terms(each.schedule, int(each.hold * 1000)) for name, each in endpoints.items()
        }

        # Who settles waits for endpoints while it has lanes, and who routes waits for lanes. A turn
        # that did both could wait for another one that waits for it.
        is_apart = self._database.dialect is not SQLITE and any(map(_locks, done))

        def turn(connection: Connection) -> _Turn | None:
            now = time_of(connection)
            if not self._heart.is_alive(connection):
                return None
            disable_after = int(self._options.disable_after * 1000)
            events = settle(connection, now, done, terms, disable_after)
            if self._is_doubtful:
                known = {delivery for process, delivery in flying if process == room.process}
                release_own(connection, now, room.process, known)
            claims, routed, is_left = Claims(), 0, False
            is_to_route = is_apart and not self._is_stopping and is_unrouted(connection)
            if self._is_stopping:
                is_left = is_unrouted(connection) or is_due(connection, now)
            else:
                routed = 0 if is_apart else route(connection, now)
                is_left = is_to_route or (bool(routed) and is_unrouted(connection))
                claims = claim(connection, now, room)
            unknown = sorted(
                {
                    each.endpoint
                    for each in claims.claimed
                    if each.endpoint not in rows or rows[each.endpoint].revision != each.revision
                }
            )
            found: list[Row] = []
            if unknown:
                names, values = among("id", unknown)
                found = endpoint_rows(connection, f"WHERE id IN {names}", values)
            return _Turn(events, routed, claims, found, now, is_left, is_to_route)

        return turn

    def _room(self, flying: set[tuple[str, int]]) -> Room:
        """Return what can begin now."""
        now = time.monotonic()
        flights = [self._flights[each] for each in flying]
        for flight in flights:
            if now - flight.began > QUICK:
                flight.pace = "slow"
        counts = Counter(each.pace for each in flights)
        # More than there is room for, because nobody knew that they are slow.
        over = max(0, counts["slow"] - self._slots)
        slow = {each.claimed.endpoint for each in flights if each.pace == "slow"}
        # What may end the process is to take nothing else with it.
        is_closed = any(each.claimed.lost >= LOST_BEFORE_ALONE for each in flights)
        return Room(
            process=self._heart.id,
            quick=0 if is_closed else self._slots - counts["quick"] - counts["new"] - over,
            new=max(1, self._slots // 2) - counts["new"] - over,
            slow=0 if is_closed else self._slots - counts["slow"],
            pace_of=lambda endpoint: (
                "slow" if endpoint in slow else self._paces.get(endpoint, "new")
            ),
            trying=frozenset(
                each.claimed.endpoint
                for each in flights
                if each.claimed.endpoint not in self._paces
            ),
            size=_SIZE - sum(each.claimed.size for each in flights),
            is_idle=not flights,
        )

    def _learn(self, done: Sequence[Done]) -> None:
        """Note which endpoints are quick."""
        if len(self._paces) > _REMEMBERED:
            self._paces.clear()
        for each in done:
            if isinstance(each.result, Attempt):
                is_quick = each.result.seconds <= QUICK
                self._paces[each.claimed.endpoint] = "quick" if is_quick else "slow"

    def _wait_for(self, turn: _Turn) -> float:
        """Return how long nothing is due that there is room for, in seconds."""
        waits = [_LONGEST_WAIT]
        if turn.claims.wake_at is not None:
            waits.append((turn.claims.wake_at - turn.now) / 1000)
        if turn.claims.is_contended:
            waits.append(0.005)
        now = time.monotonic()
        # The oldest may give its slot back.
        began = [min(each.began, now) for each in self._flights.values() if each.pace != "slow"]
        waits.append(min(began, default=now + _LONGEST_WAIT) + QUICK - now)
        return max(0.0, min(waits))

    def _collected(self, wait: float, *, is_watching: bool = True) -> list[Done]:
        """Return what has ended, as soon as something has, or there may be something to begin.

        Args:
            wait: How long to wait, in seconds.
            is_watching: Whether a commit of others is a reason to look.
        """
        ends = time.monotonic() + wait
        done: list[Done] = []
        step = _WATCH if self._database.dialect is SQLITE else _POLL
        while True:
            left = ends - time.monotonic()
            waiting = self._jobs.qsize()
            patience = min(step, left, _PATIENCE) if waiting else min(step, left)
            try:
                word = self._inbox.get(timeout=max(0.0, patience))
            except Empty:
                if waiting:  # all threads are busy with something that takes long
                    self._add_threads(waiting)
                    continue
                if left <= step or (is_watching and self._has_changed()):
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

    def _empty(self, done: list[Done]) -> None:
        """Take all that is in the inbox."""
        while True:
            try:
                word = self._inbox.get_nowait()
            except Empty:
                return
            if isinstance(word, Done):
                done.append(word)

    def _has_changed(self) -> bool:
        """Whether another connection has committed something, as far as that is known."""
        try:
            version = self._database.version()
        except self._database.errors:  # the next turn says more
            return True
        has_changed = version is None or version != self._version
        self._version = version
        return has_changed

    def _begin(self, claimed: Claimed) -> None:
        flight = _Flight(claimed, time.monotonic(), claimed.pace)
        self._flights[claimed.key] = flight
        self._jobs.put(flight)
        if not self._threads:
            self._add_threads(1)

    def _add_threads(self, count: int) -> None:
        """Add threads, but not more than there are attempts in flight."""
        for _ in range(min(count, len(self._flights) - len(self._threads))):
            thread = Thread(target=self._send, name="frappe_hooksig sending", daemon=True)
            thread.start()
            self._threads.append(thread)

    def _forget(self, done: Sequence[Done]) -> None:
        longest = 0.0
        for each in done:
            flight = self._flights.pop(each.claimed.key)
            longest = max(longest, flight.began - flight.queued)
        if longest > _PATIENCE:
            self._add_threads(len(self._threads))
        self.sent += len(done)

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
            claimed = flight.claimed
            self._inbox.put(Done(claimed, self._result(claimed, self._rows[claimed.endpoint])))

    def _result(self, claimed: Claimed, row: Row) -> Attempt | Fault:
        """Send a delivery, and say what became of it. It raises nothing."""
        started = time.monotonic()
        try:
            sender = self._senders.of(row, is_json=claimed.is_json)
            return sender.send(row.endpoint.url, claimed.payload, id=claimed.sent_as)
        except Unavailable as error:
            return Fault(error.reason, str(error), is_of_endpoint=True)
        except PayloadError as error:
            return Fault("bad-payload", str(error), is_of_endpoint=False)
        except ConfigurationError as error:
            return Fault("misconfigured", str(error), is_of_endpoint=True)
        except BaseException as error:  # noqa: BLE001  # the thread must go on
            # Without a traceback: its frames have the payload and the secrets.
            message = f"sending failed by an error of this process: {type(error).__name__}"
            _say(logging.ERROR, f"outbox: {message}")
            return Attempt(
                outcome="unreachable",
                id=claimed.sent_as,
                reason="internal-error",
                message=message,
                seconds=time.monotonic() - started,
            )

    def _signed_time(self) -> float:
        """Return the time that is signed: that of the database, which is the one all agree on."""
        now = self._heart.now()
        return time.time() if now is None else now

    def _keep_beating(self) -> None:
        """Keep the heartbeat, and forget now and then what was delivered long ago."""
        memory = self._memory
        while True:
            if time.monotonic() >= memory.next_prune:
                memory.pruned = self._prune(memory.pruned)
                memory.next_prune = 0 if memory.pruned else time.monotonic() + _PRUNES_EVERY
            if self._ended.wait(self._options.lease / _BEATS):
                return
            self._beat()

    def _beat(self) -> None:
        for event in self._try(self._heart.beat) or ():
            self._tell(event)

    def _prune(self, after: int) -> int:
        """Forget something of what was delivered; return where to go on, or 0 at the end."""
        kept = int(self._options.retention * 1000)

        def forget(connection: Connection) -> int:
            _, last = prune(connection, time_of(connection) - kept, after)
            return last or 0

        return self._try(lambda database: database.run(forget)) or 0

    def _tell(self, event: OutboxEvent) -> None:
        with suppress(Exception):  # a filter or a handler of the app's log has failed
            self._options.tell(event)

    def _try(self, work: Callable[[Database], _T]) -> _T | None:
        """Return what a function returns; None if the database cannot be used.

        Raises:
            ConfigurationError: The tables are not there, or belong to another release.
        """
        try:
            result = work(self._database)
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001  # a heartbeat must not end
            self._failures += 1
            _complain(error, self._failures)
            return None
        self._failures = 0
        return result

    def _rejoin(self) -> bool:
        """Register this process anew. Return False if it is to stop before that is possible."""
        while not self._try(self._heart.join):
            if self._is_stopping:
                return False
            time.sleep(_LONGEST_WAIT)
        return True

    def _confirmed(self, *, wait: bool) -> bool:
        """Whether the tables belong to this installation; wait until they do."""
        is_told = False
        while True:
            is_confirmed = self._try(lambda database: database.run(self._options.is_confirmed))
            if is_confirmed:
                return True
            if is_confirmed is not None and not is_told:
                self._tell(
                    OutboxEvent(
                        kind="unconfirmed",
                        reason="other-installation",
                        message=(
                            "these tables were last used by another installation, and may be a "
                            "copy: nothing is sent until `frappe-hooksig outbox confirm`"
                        ),
                    )
                )
                is_told = True
            if not wait or self._is_stopping:
                return False
            time.sleep(_LONGEST_WAIT)

    @property
    def _database(self) -> Database:
        return self._options.database


def _locks(done: Done) -> bool:
    """Whether settling it locks more than the delivery: its lane, or its endpoint."""
    claimed, result = done.claimed, done.result
    is_delivered = isinstance(result, Attempt) and result.is_delivered
    return claimed.lane is not None or not claimed.was_good or not is_delivered


def _complain(error: Exception, failed: int) -> None:
    """Log that the database cannot be used, less and less often."""
    if not failed & (failed - 1):
        # Without its text, which may have the values of a statement.
        _say(logging.ERROR, f"the outbox cannot use its database: {type(error).__name__}")


def _say(level: int, line: str) -> None:
    with suppress(Exception):  # a filter or a handler of the app's log has failed
        _log.log(level, "%s", line)
