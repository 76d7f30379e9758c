"""The dispatcher: one thread that asks the database what is to be sent, and others that send it.

The thread that dispatches owns the state here and a connection. Each turn is one transaction: it
settles what has ended, routes what was published, and claims what there is room for. The threads
that send never touch the database. Another thread, with a connection of its own, keeps the
heartbeat, so that nothing that is slow lets the claims lapse.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Thread, current_thread
from typing import Final, TypeAlias, TypeVar

from frappe_hooksig.exceptions import ConfigurationError, PayloadError
from frappe_hooksig.observe._outbox_event import OutboxEvent
from frappe_hooksig.outbox._claims import Claimed, Claims, Room, claim
from frappe_hooksig.outbox._database import Connection, Database, among, time_of
from frappe_hooksig.outbox._dialect import SQLITE
from frappe_hooksig.outbox._endpoints import Row, endpoint_rows
from frappe_hooksig.outbox._processes import Heart, release_own
from frappe_hooksig.outbox._retention import prune
from frappe_hooksig.outbox._routing import route
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
    """

    database: Database
    senders: Callable[[Callable[[], float]], Senders]
    lease: float
    disable_after: float
    retention: float
    tell: Callable[[OutboxEvent], None]
    is_confirmed: Callable[[Connection], bool]


@dataclass(slots=True)
class _Flight:
    """An attempt in flight."""

    claimed: Claimed
    started: float
    is_slow: bool
    waited: float = 0.0


@dataclass(frozen=True, slots=True)
class _Turn:
    """What a turn has found."""

    events: list[OutboxEvent]
    routed: int
    claims: Claims
    rows: list[Row]
    now: int

    @property
    def has_more(self) -> bool:
        """Whether the next turn may find something, too."""
        return bool(self.routed or self.claims.claimed or self.claims.is_contended)


class Dispatcher:
    """Sends what is due, until it is told to stop or nothing is left.

    Args:
        options: What the outbox decides.
        slots: How many quick attempts run at once. As many again may take longer.
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
        self._took: dict[str, float] = {}
        self._rows: dict[str, Row] = {}
        self._is_stopping = False
        self._ended = Event()
        self._is_doubtful = False
        self._version: int | None = None
        self.sent = 0

    def ring(self) -> None:
        """Have it look at the tables now. Any thread may call this, and a signal handler."""
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
        beating = Thread(target=self._beat, name="frappe_hooksig heartbeat", daemon=True)
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
        while True:
            if ends is not None and time.monotonic() >= ends:
                self._is_stopping = True
            try:
                turn = self._database.run(self._turn_of(done))
            except self._database.errors as error:
                # What was claimed in this transaction, if it was committed, is not known here.
                self._is_doubtful = True
                failed += 1
                _complain(error, failed)
                if self._is_stopping and failed > _FAILURES_AT_THE_END:
                    return True  # another process finds the claims of one without a heartbeat
                done += self._collected(min(_LONGEST_PAUSE, 0.05 * 2**failed))
                continue
            failed = 0
            if turn is None:
                _log.warning("the outbox was without a heartbeat for too long: its claims are lost")
                if not self._rejoin():
                    return True
                continue
            self._take(turn, done)
            wait = self._wait_for(turn)
            is_done = self._is_stopping or (until_done and not turn.has_more and wait > 0)
            if is_done and not self._flights:
                return wait <= 0
            done = self._collected(0.0 if turn.routed and not turn.claims.claimed else wait)

    def _take(self, turn: _Turn, done: Sequence[Done]) -> None:
        """Do what a turn has decided, after it is committed."""
        self._is_doubtful = False
        self._forget(done)
        for event in turn.events:
            self._options.tell(event)
        self._rows.update((each.endpoint.id, each) for each in turn.rows)
        for each in turn.claims.claimed:
            self._begin(each)

    def _turn_of(self, done: Sequence[Done]) -> Callable[[Connection], _Turn | None]:
        """Return the function that does a turn. It may be called more than once."""
        ended = {_key(each.claimed) for each in done}
        room = self._room(ended)
        known = {endpoint: row.revision for endpoint, row in self._rows.items()}
        terms = {
            endpoint: Terms(row.endpoint.schedule, int(row.endpoint.hold * 1000))
            for endpoint, row in self._rows.items()
            if any(each.claimed.endpoint == endpoint for each in done)
        }

        def turn(connection: Connection) -> _Turn | None:
            now = time_of(connection)
            if not self._heart.is_alive(connection):
                return None
            disable_after = int(self._options.disable_after * 1000)
            events = settle(connection, now, done, terms, disable_after)
            if self._is_doubtful:
                release_own(connection, now, self._heart.id, {each for _, each in self._flights})
            if self._is_stopping:
                claims = Claims()
                routed = 0
            else:
                routed = route(connection, now)
                claims = claim(connection, now, room)
            unknown = sorted(
                {
                    each.endpoint
                    for each in claims.claimed
                    if known.get(each.endpoint) != each.revision
                }
            )
            found: list[Row] = []
            if unknown:
                names, values = among("id", unknown)
                found = endpoint_rows(connection, f"WHERE id IN {names}", values)
            return _Turn(events, routed, claims, found, now)

        return turn

    def _room(self, ended: set[tuple[str, int]]) -> Room:
        """Return what can begin now."""
        now = time.monotonic()
        quick = slow = size = 0
        for key, flight in self._flights.items():
            if key in ended:
                continue
            if not flight.is_slow and now - flight.started > QUICK:
                flight.is_slow = True
            slow += flight.is_slow
            quick += not flight.is_slow
            size += flight.claimed.size
        lingering = {
            flight.claimed.endpoint
            for key, flight in self._flights.items()
            if flight.is_slow and key not in ended
        }
        return Room(
            process=self._heart.id,
            quick=self._slots - quick - max(0, slow - self._slots),
            slow=self._slots - slow,
            is_slow=lambda endpoint: endpoint in lingering or self._took.get(endpoint, 0.0) > QUICK,
            size=_SIZE - size,
            is_idle=not quick and not slow,
        )

    def _wait_for(self, turn: _Turn) -> float:
        """Return how long nothing is due that there is room for, in seconds."""
        waits = [_LONGEST_WAIT]
        if turn.claims.wake_at is not None:
            waits.append((turn.claims.wake_at - turn.now) / 1000)
        if turn.claims.is_contended:
            waits.append(0.005)
        now = time.monotonic()
        quick = [each.started for each in self._flights.values() if not each.is_slow]
        if len(quick) >= self._slots:  # the oldest may give its slot back
            waits.append(min(quick) + QUICK - now)
        return max(0.0, min(waits))

    def _collected(self, wait: float) -> list[Done]:
        """Return what has ended, as soon as something has, or there may be something to begin."""
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
                if left <= step or self._has_changed():
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
        is_slow = not claimed.was_good or self._took.get(claimed.endpoint, 0.0) > QUICK
        flight = self._flights[_key(claimed)] = _Flight(claimed, time.monotonic(), is_slow)
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
        now = time.monotonic()
        longest = 0.0
        for each in done:
            flight = self._flights.pop(_key(each.claimed))
            if len(self._took) > _REMEMBERED:
                self._took.clear()
            self._took[each.claimed.endpoint] = now - flight.started
            longest = max(longest, flight.waited)
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
            flight.waited = time.monotonic() - flight.started
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
            _log.error("outbox: %s", message)
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

    def _beat(self) -> None:
        """Keep the heartbeat, and do what is to be done now and then."""
        next_prune = time.monotonic()
        after = 0
        while not self._ended.wait(self._options.lease / _BEATS):
            for event in self._try(self._heart.beat) or ():
                self._options.tell(event)
            if time.monotonic() < next_prune:
                continue
            before = int(self._options.retention * 1000)
            found = self._try(lambda each: prune(each, time_of(each) - before, after))  # noqa: B023
            after = (found[1] if found else None) or 0
            if not after:
                next_prune = time.monotonic() + _PRUNES_EVERY

    def _try(self, work: Callable[[Connection], _T]) -> _T | None:
        """Run a function in a transaction, unless the database cannot be reached."""
        try:
            return self._database.run(work)
        except self._database.errors as error:
            _complain(error)
            return None

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
        while not self._try(self._options.is_confirmed):
            if not is_told:
                self._options.tell(
                    OutboxEvent(
                        kind="unconfirmed",
                        reason="other-installation",
                        message=(
                            "these tables were last used by another installation, and may be a "
                            "copy: nothing is sent until `frappe-hooksig outbox confirm`, or "
                            "`manage.py hooksig_worker --confirm` in a Django project"
                        ),
                    )
                )
            is_told = True
            if not wait or self._is_stopping:
                return False
            time.sleep(_LONGEST_WAIT)
        return True

    @property
    def _database(self) -> Database:
        return self._options.database


def _key(claimed: Claimed) -> tuple[str, int]:
    return claimed.process, claimed.id


def _complain(error: Exception, failed: int = 1) -> None:
    """Log that the database cannot be used, less and less often."""
    if not failed & (failed - 1):
        # Without its text, which may have the values of a statement.
        _log.error("the outbox cannot use its database: %s", type(error).__name__)
