"""A store in a Django database, shared by all processes and hosts that use the database."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from itertools import count
from typing import Any, TypeVar

from django.apps import apps
from django.db import Error, IntegrityError, OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet

from frappe_hooksig.exceptions import ConfigurationError, StoreError
from frappe_hooksig.integrations.django._transactions import is_open
from frappe_hooksig.replay._protocol import State

_log = logging.getLogger("frappe_hooksig")

# Every 16th claim deletes up to 64 expired rows. More rows are deleted than added, so expired rows
# do not pile up.
_EVERY = 16
_AT_ONCE = 64

# PostgreSQL's codes for a deadlock and for a conflict between isolated transactions, and MySQL's.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
# https://mariadb.com/docs/server/reference/error-codes/mariadb-error-code-reference
_CONFLICT_CODES = {"40P01", "40001", 1213, 1020}
# How often one claim may lose. Each time another one wins, so this does not go on for long.
_CONFLICTS = 20

_Result = TypeVar("_Result")


class DjangoStore:
    """Remembers deliveries in a database, for all processes and hosts that use the database.

    Add `"frappe_hooksig.integrations.django"` to INSTALLED_APPS, and run `manage.py migrate`.

    Other processes must see a claim at once, so the store writes claims on connections of its own.
    It opens as many of them as there are claims at the same moment. They stay open for the
    CONN_MAX_AGE of the database.

    If the clock is put back, a claim still ends no later than its lease after the next attempt.

    The store marks a delivery as handled in the transaction around the view, if there is one. So
    the mark is committed or rolled back together with what the view has written.

    Args:
        using: The alias of the database in DATABASES.
        clock: A function that returns the current time in Unix seconds. The clocks of all hosts
            must agree within a second.

    Attributes:
        using: The alias of the database in DATABASES.

    Raises:
        ConfigurationError: DATABASES has no such alias, or the app is not installed.
    """

    def __init__(self, using: str = "default", *, clock: Callable[[], float] = time.time) -> None:
        if using not in set(connections):
            msg = f"using={using!r} is not an alias in DATABASES"
            raise ConfigurationError(msg)
        try:
            self._model: Any = apps.get_model("frappe_hooksig", "HandledDelivery")
        except LookupError:
            msg = 'DjangoStore needs "frappe_hooksig.integrations.django" in INSTALLED_APPS'
            raise ConfigurationError(msg) from None
        self.using = using
        self._clock = clock
        self._claims = count(1)
        # The idle connections of each process, by its id. A forked process can neither use nor
        # close its parent's connections.
        self._idle: dict[int, list[BaseDatabaseWrapper]] = {}

    def claim(self, key: str, token: str, lease: float) -> State:
        """See `Store.claim()`.

        Raises:
            StoreError: The database cannot be reached, or refuses the statement.
        """
        with self._on_its_own():
            state = _until_it_wins(lambda: self._look(_hashed(key), token, lease))
            if state is State.NEW and next(self._claims) % _EVERY == 0:
                self._delete_expired()
            return state

    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> list[bool]:
        """See `Store.renew()`.

        Raises:
            StoreError: As for `claim()`.
        """
        hashed = [(_hashed(key), token) for key, token in claims]
        keys, tokens = zip(*hashed, strict=True)
        with self._on_its_own():
            now = self._clock()
            held = self._rows(key__in=keys, token__in=tokens, ends__gt=now)
            changes = {"ends": now + lease, "duration": lease}
            _until_it_wins(lambda: self._update_unlocked(held, changes))
            renewed = set(held.values_list("key", "token"))
        return [claim in renewed for claim in hashed]

    def complete(self, key: str, token: str, retention: float) -> bool:
        """See `Store.complete()`, in the transaction that is open in this thread.

        In a transaction, an expired lease is accepted if nobody else has claimed the delivery. The
        update locks the row, so nobody can claim it until the transaction ends. If the result is
        False, the caller must roll the transaction back.

        Raises:
            StoreError: As for `claim()`.
        """
        now = self._clock()
        if is_open(connections[self.using]):
            with self._explained():
                claimed = self._rows(key=_hashed(key), token=token)
                return bool(claimed.update(**_handled(now, retention)))
        with self._on_its_own():
            claimed = self._claimed(key, token, now)
            return bool(_until_it_wins(lambda: claimed.update(**_handled(now, retention))))

    def release(self, key: str, token: str) -> bool:
        """See `Store.release()`.

        Raises:
            StoreError: As for `claim()`.
        """
        # SQLite allows one writer. If that is this thread's transaction, a write on another
        # connection would wait until its timeout.
        blocks_itself = _is_sqlite(connections[self.using]) and is_open(connections[self.using])
        with self._on_its_own() as connection:
            if blocks_itself:
                with connection.cursor() as cursor:
                    cursor.execute("PRAGMA busy_timeout = 0")
            try:
                # End the lease instead of deleting the row: another process may have claimed it.
                claimed = self._claimed(key, token, self._clock())
                return bool(_until_it_wins(lambda: claimed.update(ends=0)))
            finally:
                if blocks_itself:
                    connection.close()

    def close(self) -> None:
        """Close the idle connections of this process. The next claim opens a new one."""
        idle = self._idle.get(os.getpid(), [])
        while idle:
            idle.pop().close()

    def _look(self, key: str, token: str, lease: float) -> State:
        now = self._clock()
        claim = {"token": token, "ends": now + lease, "duration": lease}
        found = self._rows(key=key).values_list("token", "ends", "duration").first()
        if found is None:
            try:
                self._rows().create(key=key, **claim)
            except IntegrityError:  # another caller was faster
                return State.IN_FLIGHT
            return State.NEW
        token_of_row, ends, duration = found
        if ends <= now:
            ended = self._rows(key=key, ends__lte=now)
            return State.NEW if self._update_unlocked(ended, claim) else State.IN_FLIGHT
        if ends > now + duration:  # the clock was put back
            too_long = self._rows(key=key, token=token_of_row, ends__gt=now + duration)
            self._update_unlocked(too_long, {"ends": now + duration})
        return State.DONE if token_of_row is None else State.IN_FLIGHT

    def _delete_expired(self) -> None:
        """Delete some of the expired rows."""
        expired = self._rows(ends__lte=self._clock())
        try:
            keys = list(expired.order_by("ends").values_list("key", flat=True)[:_AT_ONCE])
            with self._unlocked(expired.filter(key__in=keys)) as free:
                # Not delete(): it selects the rows first and then deletes by key alone. A row that
                # was claimed anew in between would be deleted too.
                free._raw_delete(self.using)  # noqa: SLF001
        except Error as error:  # the claim is valid without it
            _log.warning("%s; expired deliveries were not deleted", self._trouble(error))

    def _update_unlocked(self, rows: QuerySet[Any], changes: Mapping[str, Any]) -> int:
        with self._unlocked(rows) as free:
            return free.update(**changes)

    @contextmanager
    def _unlocked(self, rows: QuerySet[Any]) -> Generator[QuerySet[Any]]:
        """Lock rows, and leave out those that another transaction has locked.

        A view's transaction that completes a claim locks its row until it commits. That must delay
        neither the renewal of other claims nor the answer to a retry.
        """
        if not connections[self.using].features.has_select_for_update_skip_locked:
            yield rows
            return
        with transaction.atomic(self.using):
            locked = rows.select_for_update(skip_locked=True).values_list("key", flat=True)
            yield rows.filter(key__in=list(locked))

    def _claimed(self, key: str, token: str, now: float) -> QuerySet[Any]:
        return self._rows(key=_hashed(key), token=token, ends__gt=now)

    def _rows(self, **conditions: Any) -> QuerySet[Any]:
        rows: QuerySet[Any] = self._model._base_manager.using(self.using)  # noqa: SLF001
        return rows.filter(**conditions)

    @contextmanager
    def _on_its_own(self) -> Generator[BaseDatabaseWrapper]:
        """Replace this thread's connection by one outside of its transactions."""
        around = connections[self.using]
        with self._explained():
            connection = self._opened()
            connections[self.using] = connection
            try:
                yield connection
                connection.close_if_unusable_or_obsolete()
            except BaseException:
                connection.close()
                raise
            finally:
                connections[self.using] = around
            self._idle.setdefault(os.getpid(), []).append(connection)

    def _opened(self) -> BaseDatabaseWrapper:
        try:
            connection = self._idle.get(os.getpid(), []).pop()
        except IndexError:
            connection = connections.create_connection(self.using)
            settings = connection.settings_dict
            # Use no pool: each request would need a second connection from the pool for its claim.
            options = {name: each for name, each in settings["OPTIONS"].items() if name != "pool"}
            connection.settings_dict = {**settings, "AUTOCOMMIT": True, "OPTIONS": options}
            connection.inc_thread_sharing()
        connection.close_if_unusable_or_obsolete()
        return connection

    @contextmanager
    def _explained(self) -> Generator[None]:
        try:
            yield
        except Error as error:
            raise StoreError(self._trouble(error)) from error

    def _trouble(self, error: Error) -> str:
        # PostgreSQL appends the statement, so keep the first line only.
        first_line = str(error).partition("\n")[0]
        return f"the store in database {self.using!r} failed: {first_line}"


def _hashed(key: str) -> str:
    """Return a key that no database takes for another one, as some ignore case and spaces."""
    return sha256(key.encode()).hexdigest()


def _handled(now: float, retention: float) -> dict[str, Any]:
    """Return the columns of a row whose delivery was handled."""
    return {"token": None, "ends": now + retention, "duration": retention}


def _until_it_wins(action: Callable[[], _Result]) -> _Result:
    """Repeat an action that the database rolls back in favour of another transaction."""
    for _ in range(_CONFLICTS):
        try:
            return action()
        except OperationalError as error:  # noqa: PERF203  # the database is much slower
            cause = error.__cause__
            codes = {getattr(cause, "sqlstate", None), getattr(cause, "pgcode", None)}
            if not _CONFLICT_CODES & {*codes, *error.args[:1]}:
                raise
    return action()


def _is_sqlite(connection: BaseDatabaseWrapper) -> bool:
    return connection.vendor == "sqlite"
