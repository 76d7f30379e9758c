"""An outbox that sends to receivers on loopback, and what a test does with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from frappe_hooksig.observe import OutboxEvent
from frappe_hooksig.outbox import Outbox, Worker
from frappe_hooksig.outbox._claims import Claimed, Claims, Pace, Room, claim
from frappe_hooksig.outbox._database import Connection, Database, Values, time_of
from frappe_hooksig.outbox._dialect import Dialect
from frappe_hooksig.outbox._processes import Heart
from frappe_hooksig.outbox._routing import route
from frappe_hooksig.outbox._settling import Done, Fault, Terms, settle
from frappe_hooksig.sending import Attempt, RetrySchedule
from tests.outbox.places import LOOPBACK, URL, Place

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
# The second attempt is soon, the third one never in a test.
SOON = RetrySchedule((0.05, 3600), jitter=0)
FOREVER = RetrySchedule((0.01,) * 1000, jitter=0)
DAY = 86_400_000  # milliseconds

_T = TypeVar("_T")


def wait_until(is_done: Callable[[], bool]) -> None:
    """Wait for what another thread does, which may be late on a busy machine."""
    deadline = time.monotonic() + 30
    while not is_done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Post:
    """An outbox in a place.

    Args:
        place: The place.
        database: The outbox's database; by default one of the place.
        options: For the outbox.

    Attributes:
        outbox: The outbox.
        place: The place.
        events: What it has told.
        secrets: Where its endpoints have their secrets; change it to take one away.
    """

    def __init__(self, place: Place, database: Database | None = None, **options: Any) -> None:
        self.place = place
        self.events: list[OutboxEvent] = []
        self.secrets = {"one": SECRET}
        given = {
            "guard": LOOPBACK,
            "lease": 0.5,
            "references": {"test": self.secrets.get},
            "observe": self.events.append,
            "observe_attempts": (),
        }
        self.outbox = Outbox(database or place.database(), **{**given, **options})
        self.outbox.migrate()

    def endpoint(self, url: str = URL, **options: Any) -> str:
        """Add an endpoint, and return its id."""
        given: dict[str, Any] = {"secret_from": "test:one", "schedule": SOON}
        return self.outbox.add_endpoint(url, **{**given, **options}).id

    def publish(self, count: int = 1, payload: Any = None, **options: Any) -> list[str]:
        """Publish messages in one transaction, numbered from 0 on; return their ids."""
        with self.place.caller() as caller:
            ids = [
                self.outbox.publish(
                    caller.theirs,
                    "order.paid",
                    {"number": number} if payload is None else payload,
                    **options,
                )
                for number in range(count)
            ]
            caller.commit()
        return ids

    def send(self, **options: Any) -> int:
        """Send what is due now; return how many attempts there were."""
        return Worker(self.outbox, **options).run(once=True)

    def states(self, **options: Any) -> list[str]:
        """Return the states of all deliveries, the first one first."""
        return [str(each.state) for each in reversed(self.outbox.deliveries(**options))]

    def kinds(self) -> list[str]:
        """Return the kinds of the events so far."""
        return [each.kind for each in self.events]

    def told(self, *kinds: str) -> list[OutboxEvent]:
        """Wait until events of these kinds were told, and return all events."""
        wait_until(lambda: all(self.kinds().count(each) >= kinds.count(each) for each in kinds))
        return [*self.events]

    # One step at a time

    def now(self) -> int:
        """Return the time of the database, in milliseconds."""
        return self.place.run(time_of)

    def route(self) -> int:
        """Make the deliveries of what was published."""
        return self.place.run(lambda each: route(each, time_of(each)))

    def claims(self, room: Room, *, later: int = 0) -> Claims:
        """Claim what has room."""
        return self.place.run(lambda each: claim(each, time_of(each) + later, room))

    def settle(
        self,
        several: Sequence[Claimed],
        result: Attempt | Fault,
        *,
        later: int = 0,
        schedule: RetrySchedule = SOON,
        hold_ms: int = 3_600_000,
        disable_after: int = 5 * DAY,
    ) -> list[OutboxEvent]:
        """Note the same result for some deliveries."""
        done = [Done(each, result) for each in several]
        terms = {each.endpoint: Terms(schedule, hold_ms) for each in several}
        return self.place.run(
            lambda each: settle(each, time_of(each) + later, done, terms, disable_after)
        )


def joined(database: Database, lease: float = 10.0) -> Heart:
    """Return the heart of a process that has joined."""
    heart = Heart(lease)
    heart.join(database)
    return heart


def room(
    process: str = "p1",
    *,
    quick: int = 16,
    new: int = 16,
    slow: int = 16,
    paces: Mapping[str, Pace] | None = None,
    trying: Iterable[str] = (),
    size: int = 1_000_000,
    is_idle: bool = True,
) -> Room:
    """Return the room of a process; it takes endpoints for quick unless told otherwise."""
    known = paces or {}
    return Room(
        process,
        quick,
        new,
        slow,
        lambda each: known.get(each, "quick"),
        frozenset(trying),
        size,
        is_idle,
    )


def attempt(outcome: Any = "delivered", **options: Any) -> Attempt:
    """Return an attempt."""
    return Attempt(**{"outcome": outcome, "id": "msg_1", "seconds": 0.1, **options})


class Shifted:
    """A database whose clock a test can shift. All else is another database's.

    Attributes:
        offset: By how many milliseconds its clock is ahead.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.offset = 0
        self.errors = database.errors
        self.dialect = database.dialect

    def run(self, work: Callable[[Connection], _T]) -> _T:
        """See `Database.run()`."""
        return self._database.run(lambda each: work(_ShiftedConnection(each, self.offset)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


class _ShiftedConnection:
    def __init__(self, connection: Connection, offset: int) -> None:
        self._connection = connection
        self._now = f"({{now}} + {offset})"

    @property
    def dialect(self) -> Dialect:
        return self._connection.dialect

    def rows(self, statement: str, values: Values | None = None) -> list[tuple[Any, ...]]:
        return self._connection.rows(statement.replace("{now}", self._now), values or {})

    def change(self, statement: str, values: Values | None = None) -> int:
        return self._connection.change(statement.replace("{now}", self._now), values or {})

    def change_each(self, statement: str, several: Sequence[Values]) -> None:
        self._connection.change_each(statement, several)


class Faulty:
    """A database that fails when a test says so. All else is another database's.

    Attributes:
        failing: Transactions that cannot begin, by the names of their functions; `*` for all.
        doubtful: How many turns that claim something are committed, and fail all the same.
        failed: How many transactions have failed.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.failing: set[str] = set()
        self.doubtful = 0
        self.failed = 0
        self.errors = database.errors
        self.dialect = database.dialect

    def run(self, work: Callable[[Connection], _T]) -> _T:
        """See `Database.run()`."""
        if self.failing & {"*", work.__name__}:
            raise self._error()
        result = self._database.run(work)
        claims: Any = getattr(result, "claims", None)
        if self.doubtful and claims and claims.claimed:
            self.doubtful -= 1
            raise self._error()
        return result

    def version(self) -> int | None:
        """See `Database.version()`."""
        if self.failing & {"*", "version"}:
            raise self._error()
        return self._database.version()

    def _error(self) -> Exception:
        self.failed += 1
        return OSError("secret values")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)
