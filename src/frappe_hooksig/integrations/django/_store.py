"""A store in a database of Django's: for all processes and hosts that use it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count
from typing import Any

from django.apps import apps
from django.db import Error, IntegrityError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet

from frappe_hooksig.exceptions import ConfigurationError, StoreError
from frappe_hooksig.integrations.django._transactions import is_open
from frappe_hooksig.replay._protocol import State

_log = logging.getLogger("frappe_hooksig")

# With each so many claims, so many expired ones are forgotten: more of these, so that none are
# left over.
_EVERY = 16
_AT_ONCE = 64


class DjangoStore:
    """Remembers deliveries in a database, for everything that uses it.

    It needs `"frappe_hooksig.integrations.django"` in INSTALLED_APPS, and `manage.py migrate`.

    Claims use connections of the store's own, because other processes have to see them at once.
    There are as many as simultaneous claims, and they stay open for the database's CONN_MAX_AGE.

    If a transaction is open around the view, the store writes in it that the delivery was handled.
    Both are committed, or neither is.

    Args:
        using: The database, by its alias in DATABASES.
        clock: Returns now, in Unix seconds: on all hosts the same, within a second.

    Attributes:
        using: As given.

    Raises:
        ConfigurationError: There is no such database, or the app is not installed.
    """

    def __init__(self, using: str = "default", *, clock: Callable[[], float] = time.time) -> None:
        if using not in set(connections):
            msg = f"using={using!r} is no database of DATABASES"
            raise ConfigurationError(msg)
        try:
            self._model: Any = apps.get_model("frappe_hooksig", "HandledDelivery")
        except LookupError:
            msg = 'DjangoStore needs "frappe_hooksig.integrations.django" in INSTALLED_APPS'
            raise ConfigurationError(msg) from None
        self.using = using
        self._clock = clock
        self._claims = count(1)
        # By process, as none can be taken along into a forked one, nor closed there.
        self._idle: dict[int, list[BaseDatabaseWrapper]] = {}

    def claim(self, key: str, token: str, lease: float) -> State:
        """See `Store.claim()`.

        Raises:
            StoreError: The database cannot be reached, or refuses.
        """
        with self._on_its_own():
            while (state := self._look(key, token, lease)) is None:
                pass  # somebody else was faster
            if state is State.NEW and next(self._claims) % _EVERY == 0:
                self._forget()
            return state

    def renew(self, key: str, token: str, lease: float) -> bool:
        """See `Store.renew()`.

        Raises:
            StoreError: As for `claim()`.
        """
        with self._on_its_own():
            now = self._clock()
            return bool(self._held(key, token, now).update(ends=now + lease))

    def complete(self, key: str, token: str, retention: float) -> bool:
        """See `Store.complete()`, in the transaction that is open in this thread.

        In one, it is enough that nobody else has taken over since the lease has ended: nobody can,
        from then on. If somebody has, the transaction is to be rolled back.

        Raises:
            StoreError: As for `claim()`.
        """
        now = self._clock()
        if is_open(connections[self.using]):
            with self._explained():
                claimed = self._rows(key=key, token=token)
                return bool(claimed.update(token=None, ends=now + retention))
        with self._on_its_own():
            return bool(self._held(key, token, now).update(token=None, ends=now + retention))

    def release(self, key: str, token: str) -> bool:
        """See `Store.release()`.

        Raises:
            StoreError: As for `claim()`.
        """
        # SQLite has one writer. If it is the transaction around, it would wait for itself.
        waits_for_itself = _is_sqlite(connections[self.using]) and is_open(connections[self.using])
        with self._on_its_own() as connection:
            if waits_for_itself:
                with connection.cursor() as cursor:
                    cursor.execute("PRAGMA busy_timeout = 0")
            try:
                # No row is deleted by its key alone, as it may be another's by then.
                return bool(self._held(key, token, self._clock()).update(ends=0))
            finally:
                if waits_for_itself:
                    connection.close()

    def close(self) -> None:
        """Close the connections that are not in use: those of the next claim are opened anew."""
        idle = self._idle.get(os.getpid(), [])
        while idle:
            idle.pop().close()

    def _look(self, key: str, token: str, lease: float) -> State | None:
        """Claim it if nobody has it; return None if what was seen is not so any more."""
        now = self._clock()
        found = self._rows(key=key).values_list("token", "ends").first()
        if found is not None and found[1] > now:
            return State.DONE if found[0] is None else State.IN_FLIGHT
        if found is not None:
            taken = self._rows(key=key, ends__lte=now).update(token=token, ends=now + lease)
            return State.NEW if taken else None
        try:
            self._rows().create(key=key, token=token, ends=now + lease)
        except IntegrityError:
            return None
        return State.NEW

    def _forget(self) -> None:
        """Remove some of those that have ended."""
        ended = self._rows(ends__lte=self._clock())
        try:
            keys = list(ended.order_by("ends").values_list("key", flat=True)[:_AT_ONCE])
            # Not delete(), which asks for rows and then deletes those keys, whatever they are then.
            ended.filter(key__in=keys)._raw_delete(self.using)  # noqa: SLF001
        except Error as error:  # the claim is good all the same
            _log.warning("%s; expired deliveries stay in it", self._trouble(error))

    def _held(self, key: str, token: str, now: float) -> QuerySet[Any]:
        return self._rows(key=key, token=token, ends__gt=now)

    def _rows(self, **conditions: Any) -> QuerySet[Any]:
        rows: QuerySet[Any] = self._model._base_manager.using(self.using)  # noqa: SLF001
        return rows.filter(**conditions)

    @contextmanager
    def _on_its_own(self) -> Generator[BaseDatabaseWrapper]:
        """Use a connection in no transaction, in place of this thread's."""
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
            # Not out of a pool, of which a claim would take one connection more for each request.
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
        first_line = str(error).partition("\n")[0]  # PostgreSQL's go on with the statement
        return f"the store in database {self.using!r}: {first_line}"


def _is_sqlite(connection: BaseDatabaseWrapper) -> bool:
    return connection.vendor == "sqlite"
