"""The dispatcher: asks the database what is to be sent, and writes down what became of it.

It is one thread, which owns the state here and a connection. Each turn is one transaction: it
settles what has ended, routes what was published, and claims what there is room for. A crew of
threads sends. Another thread, with a connection of its own, keeps the heartbeat, so that nothing
that is slow lets the claims lapse.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import Event, Thread
from typing import Final, TypeVar

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.observe._outbox_event import OutboxEvent
from frappe_hooksig.outbox._claims import (
    LOST_BEFORE_ALONE,
    Claimed,
    Claims,
    Pace,
    Room,
    claim,
    next_moment,
)
from frappe_hooksig.outbox._crew import QUICK, Crew
from frappe_hooksig.outbox._database import Connection, Database, among, time_of
from frappe_hooksig.outbox._dialect import SQLITE
from frappe_hooksig.outbox._endpoints import Row, endpoint_rows
from frappe_hooksig.outbox._processes import Heart, release_own
from frappe_hooksig.outbox._retention import Pruning
from frappe_hooksig.outbox._routing import is_unrouted, route
from frappe_hooksig.outbox._senders import Senders
from frappe_hooksig.outbox._settling import Done, Fault, Terms, settle
from frappe_hooksig.sending._attempt import Attempt

_T = TypeVar("_T")

_log = logging.getLogger("frappe_hooksig")

# How many bytes of payloads are in flight at most, unless one payload alone has more.
_SIZE: Final = 64 * 1024 * 1024

_POLL: Final = 0.1  # seconds, where a look at the tables is needed to see a commit of others
_WATCH: Final = 0.01  # seconds, where a number tells
_LONGEST_WAIT: Final = 1.0  # seconds
_LONGEST_PAUSE: Final = 2.0  # seconds between two tries to reach the database
_FAILURES_AT_THE_END: Final = 5
_BEATS: Final = 5  # in a lease
_LONGEST_PRUNING: Final = 1.0  # seconds, at the end of a drain
# How many endpoints a process remembers as quick or slow.
_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Options:
    """What the outbox decides about sending.

    Attributes:
        database: Where the tables are.
        senders: The senders of the process.
        lease: How long a process may be without a heartbeat, in seconds.
        disable_after: How long an endpoint may fail until it is disabled, in seconds.
        pruning: When what has ended long ago is deleted.
        tell: Tells the observers.
        is_confirmed: Whether this is the installation that the tables belong to.
        paces: How quick the endpoints were. The process remembers it: an engine makes many
            dispatchers.
        silence: How long each attempt without an answer is to take, in seconds, so that nobody sees
            why there was none. None if that does not matter.
        is_held: Whether nothing is to be begun for now.
    """

    database: Database
    senders: Callable[[Callable[[], float]], Senders]
    lease: float
    disable_after: float
    pruning: Pruning
    tell: Callable[[OutboxEvent], None]
    is_confirmed: Callable[[Connection], bool]
    paces: dict[str, Pace]
    silence: float | None = None
    is_held: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class _Turn:
    """What a turn has found."""

    events: list[OutboxEvent]
    routed: int | None
    claims: Claims
    rows: list[Row]
    now: int
    is_unfinished: bool
    is_to_route: bool

    @property
    def has_more(self) -> bool:
        """Whether the next turn may find something, too."""
        claims = self.claims
        is_routing = self.routed is None or self.routed > 0
        return bool(is_routing or claims.claimed or claims.is_contended or claims.waits_for_rate)


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
        self._crew = Crew(self._attempt, slots)
        self._paces = options.paces
        self._rows: dict[str, Row] = {}
        self._is_stopping = False
        self._ends: float | None = None
        self._ended = Event()
        self._is_doubtful = False
        self._failures = 0
        self._version: int | None = None
        self.sent = 0

    def ring(self) -> None:
        """Have it look at the tables now. Any thread may call this, and a signal handler."""
        self._crew.ring()

    def stop(self) -> None:
        """Let it end once the attempts in flight have. Any thread may call this."""
        self._is_stopping = True
        self.ring()

    def run(
        self, *, budget: float | None = None, until_done: bool = False, linger: float = 0.0
    ) -> bool:
        """Send what is due.

        Args:
            budget: After how many seconds nothing more is begun. By default never.
            until_done: Whether to end once nothing is due.
            linger: Whether nothing may become due, either, for so many seconds.

        Returns:
            Whether something is left that is due, or becomes due within `linger`.
        """
        self._ends = None if budget is None else time.monotonic() + budget
        is_confirmed = self._confirmed(wait=not until_done)
        if not is_confirmed:
            return is_confirmed is None
        if not self._rejoin():
            return True
        self._beat()  # before anything else: what others have left behind is due now
        beating = Thread(target=self._keep_beating, name="frappe_hooksig heartbeat", daemon=True)
        beating.start()
        try:
            self._dispatch(until_done=until_done, linger=linger)
            if until_done:
                self._prune()
        finally:
            self._ended.set()
            self._crew.dismiss()
            beating.join()
            self._try(self._heart.leave)
            self._senders.close()
        # Another drain may have left the work to this process just before it left the list.
        is_left = self._try(lambda database: database.run(partial(_is_left, linger=linger)))
        return is_left is None or is_left  # if it is not known, look again

    def _dispatch(self, *, until_done: bool, linger: float) -> None:
        done: list[Done] = []
        failed = 0
        is_routing = False
        while True:
            self._is_stopping |= self._is_over()
            settled = [] if is_routing and not self._is_stopping else done
            try:
                turn = self._database.run(self._turn_of(settled))
            except self._database.errors as error:
                # What was claimed in this transaction, if it was committed, is not known here.
                self._is_doubtful = True
                failed += 1
                _complain(error, failed)
                if self._is_stopping and failed > _FAILURES_AT_THE_END:
                    return  # another process finds the claims of one without a heartbeat
                pause = min(_LONGEST_PAUSE, 0.05 * 2 ** min(failed, 10))
                done += self._crew.collect(pause, pause)
                continue
            failed = 0
            if turn is None:
                _say(
                    logging.WARNING,
                    "the outbox was without a heartbeat for too long: its claims are lost",
                )
                if not self._rejoin():
                    return
                continue
            is_routing = turn.is_to_route
            self._take(turn, settled)
            wait = self._wait_for(turn)
            is_idle = not turn.has_more and wait > 0 and not self._is_soon(turn, linger)
            if (self._is_stopping or (until_done and is_idle)) and not self._crew.flights:
                return
            is_quick = turn.is_unfinished or (turn.routed and not turn.claims.claimed)
            left = [] if settled is done else done
            step = _WATCH if self._database.dialect is SQLITE else _POLL
            done = left + self._crew.collect(
                0.0 if is_quick or left else wait, step, self._has_changed
            )

    def _take(self, turn: _Turn, done: Sequence[Done]) -> None:
        """Do what a turn has decided, after it is committed."""
        self._is_doubtful = False
        self._crew.forget(done)
        self.sent += len(done)
        for event in turn.events:
            self._tell(event)
        self._rows.update((each.endpoint.id, each) for each in turn.rows)
        for each in turn.claims.claimed:
            self._crew.begin(each)

    def _turn_of(self, done: Sequence[Done]) -> Callable[[Connection], _Turn | None]:
        """Return the function that does a turn. It may be called more than once."""
        self._learn(done)
        flying = {*self._crew.flights} - {each.claimed.key for each in done}
        room = self._room(flying)
        rows = self._rows
        endpoints = {each.claimed.endpoint: rows[each.claimed.endpoint].endpoint for each in done}
        terms = {
            name: Terms(each.schedule, int(each.hold * 1000)) for name, each in endpoints.items()
        }

        # Settling locks lanes, then endpoints. Routing locks endpoints, then lanes. Two turns that
        # did both would wait for each other.
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
            claims = Claims()
            routed: int | None = 0
            is_closed = self._is_stopping or self._options.is_held()
            is_to_route = is_apart and not is_closed and is_unrouted(connection)
            if not is_closed:
                routed = 0 if is_apart else route(connection, now)
                claims = claim(connection, now, room)
            is_unfinished = is_to_route or (bool(routed) and is_unrouted(connection))
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
            return _Turn(events, routed, claims, found, now, is_unfinished, is_to_route)

        return turn

    def _room(self, flying: set[tuple[str, int]]) -> Room:
        """Return what can begin now."""
        now = time.monotonic()
        flights = [self._crew.flights[each] for each in flying]
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
                is_quick = each.result.seconds + each.held <= QUICK
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
        flights = self._crew.flights.values()
        began = [min(each.began, now) for each in flights if each.pace != "slow"]
        waits.append(min(began, default=now + _LONGEST_WAIT) + QUICK - now)
        return max(0.0, min(waits))

    def _is_soon(self, turn: _Turn, linger: float) -> bool:
        """Whether something becomes due soon, or a process that seems dead loses its claims."""
        latest = turn.now + linger * 1000
        moments = [each for each in (turn.claims.wake_at, self._heart.next_lapse) if each]
        return linger > 0 and any(each <= latest for each in moments)

    def _has_changed(self) -> bool:
        """Whether another connection has committed something, as far as that is known."""
        try:
            version = self._database.version()
        except self._database.errors:  # the next turn says more
            return True
        has_changed = version is None or version != self._version
        self._version = version
        return has_changed

    def _attempt(self, claimed: Claimed) -> Done:
        """Send a delivery, in a thread of the crew."""
        result = self._senders.attempt(self._rows[claimed.endpoint], claimed)
        silence = self._options.silence
        if silence is None or isinstance(result, Fault) or result.status is not None:
            return Done(claimed, result)
        # Nothing shows that the attempt is over: its claim, its slot and its thread are in use.
        held = max(0.0, silence - result.seconds)
        time.sleep(held)
        return Done(claimed, result, held, is_hidden=True)

    def _signed_time(self) -> float:
        """Return the time that is signed: that of the database, which is the one all agree on."""
        now = self._heart.now()
        return time.time() if now is None else now

    def _keep_beating(self) -> None:
        """Keep the heartbeat, and forget now and then what was delivered long ago."""
        while True:
            self._prune()
            if self._ended.wait(self._options.lease / _BEATS):
                return
            self._beat()

    def _beat(self) -> None:
        for event in self._try(self._heart.beat) or ():
            self._tell(event)

    def _prune(self) -> None:
        """Prune what there is to prune, but not for so long that a heartbeat is late."""
        pruning = self._options.pruning
        ends = time.monotonic() + min(_LONGEST_PRUNING, self._options.lease / _BEATS)
        while pruning.is_due() and time.monotonic() < ends:
            pruning.note(self._try(lambda database: database.run(pruning.step)))

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
            if self._is_stopping or self._is_over():
                return False
            time.sleep(_LONGEST_WAIT)
        return True

    def _is_over(self) -> bool:
        """Whether the budget is used up."""
        return self._ends is not None and time.monotonic() >= self._ends

    def _confirmed(self, *, wait: bool) -> bool | None:
        """Whether the tables belong to this installation; None if that cannot be known.

        Args:
            wait: Whether to wait until they do.
        """
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
                            "copy: nothing is sent until `frappe-hooksig outbox confirm`, or "
                            "`manage.py hooksig_worker --confirm` in a Django project"
                        ),
                    )
                )
                is_told = True
            if not wait or self._is_stopping:
                return is_confirmed
            time.sleep(_LONGEST_WAIT)

    @property
    def _database(self) -> Database:
        return self._options.database


def _is_left(connection: Connection, linger: float) -> bool:
    """Whether something is due, or becomes due soon."""
    now = time_of(connection)
    moment = next_moment(connection, now)
    return is_unrouted(connection) or (moment is not None and moment <= now + linger * 1000)


def _locks(done: Done) -> bool:
    """Whether settling it locks more than the delivery: its lane, or its endpoint."""
    return done.claimed.lane is not None or done.changes_health


def _complain(error: Exception, failed: int) -> None:
    """Log that the database cannot be used, less and less often."""
    if not failed & (failed - 1):
        # Without its text, which may have the values of a statement.
        _say(logging.ERROR, f"the outbox cannot use its database: {type(error).__name__}")


def _say(level: int, line: str) -> None:
    with suppress(Exception):  # a filter or a handler of the app's log has failed
        _log.log(level, "%s", line)
