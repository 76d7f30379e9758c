"""`DjangoStore` in the databases that Django sites use: a real PostgreSQL, a real MariaDB."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

import psycopg
import pymysql
import pytest
from django.core.management import call_command
from django.db import connections, transaction

from frappe_hooksig import StoreError
from frappe_hooksig.integrations.django import DjangoStore
from tests.databases import mariadb, postgresql
from tests.integrations.django_store_cases import DjangoStoreCases
from tests.integrations.test_django import SETTINGS
from tests.replay.test_stores import DONE, IN_FLIGHT, NEW, Clock

# isort: split
# What needs Django's settings, which are made by the import of test_django.
from frappe_hooksig.integrations.django.models import HandledDelivery

assert SETTINGS
pymysql.install_as_MySQLdb()

ALIAS = "served"
AT_ONCE = 48


@contextmanager
def database(opened: AbstractContextManager[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Add a database to Django's, with our table and one of the app's, until the block ends."""
    with opened as settings:
        known: Any = connections.settings
        known[ALIAS] = {**known["once"], **settings, "OPTIONS": {}, "CONN_MAX_AGE": None}
        try:
            call_command("migrate", database=ALIAS, verbosity=0)
            with connections[ALIAS].cursor() as cursor:
                cursor.execute("CREATE TABLE noted (what varchar(100))")
            yield known[ALIAS]
        finally:
            connections[ALIAS].close()
            del connections[ALIAS]
            del known[ALIAS]


@pytest.fixture(scope="class")
def in_postgresql() -> Iterator[dict[str, Any]]:
    with database(postgresql()) as settings:
        yield settings


@pytest.fixture(scope="class")
def in_mariadb() -> Iterator[dict[str, Any]]:
    with database(mariadb()) as settings:
        yield settings


def note() -> None:
    """Write a row of the app's."""
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("INSERT INTO noted VALUES ('x')")


class Cases(DjangoStoreCases):
    """What the store does in each database.

    Attributes:
        repeatable_read: Makes the transactions of a connection see nothing that is committed later.
        completes: Whether a transaction of that kind completes what was renewed meanwhile.
    """

    # Not a missing socket file, for which PyMySQL leaves a socket unclosed.
    ELSEWHERE: ClassVar[dict[str, str]] = {"HOST": "127.0.0.1", "PORT": "1"}
    DATABASE = ALIAS

    repeatable_read: ClassVar[Any]
    completes: ClassVar[bool]

    @pytest.fixture(autouse=True)
    def _clean(self, served: dict[str, Any]) -> None:
        self.settings = served
        self.clock = Clock()
        HandledDelivery.objects.using(ALIAS).all().delete()

    @pytest.mark.parametrize(("is_undone", "state"), [(False, DONE), (True, IN_FLIGHT)])
    def test_transaction(self, is_undone: bool, state: Any) -> None:  # noqa: FBT001
        """It is handled if and only if the transaction around the view is committed."""
        with self.open_store() as store:
            with transaction.atomic(ALIAS):
                assert store.claim("a", "1", 4) is NEW
                note()
                assert elsewhere(store.claim, "a", "2", 4) is IN_FLIGHT
                assert elsewhere(store.renew, [("a", "1")], 4) == [True]
                assert store.complete("a", "1", 60)
                assert elsewhere(store.claim, "a", "2", 4) is IN_FLIGHT
                transaction.set_rollback(is_undone, ALIAS)

            assert store.claim("a", "2", 4) is state

    def test_transaction_that_is_not_committed_yet(self) -> None:
        """What it has completed delays nobody: no renewal of others, and no retry."""
        with self.open_store() as store:
            for key in ("a", "b", "c"):
                store.claim(key, "1", 4)
            with transaction.atomic(ALIAS):
                assert store.complete("b", "1", 60)
                claims = [(key, "1") for key in ("a", "b", "c", "d")]
                assert elsewhere(store.renew, claims, 6) == [True, True, True, False]
                self.let_pass(5)
                assert elsewhere(store.claim, "b", "2", 4) is IN_FLIGHT
                for number in range(40):  # these remove what has ended
                    assert elsewhere(store.claim, f"new {number}", "1", 4) is NEW
                assert elsewhere(store.renew, claims, 6) == [True, False, True, False]
            assert store.claim("b", "2", 4) is DONE

    def test_late_in_a_transaction(self) -> None:
        """There it is enough that nobody has taken over; who has done so is left alone."""
        with self.open_store() as store:
            store.claim("a", "1", 4)
            store.claim("b", "1", 4)
            self.let_pass(5)
            assert store.claim("b", "2", 4) is NEW
            with transaction.atomic(ALIAS):
                assert store.complete("a", "1", 60)
                assert not store.complete("b", "1", 60)

            assert store.claim("a", "2", 4) is DONE
            assert store.claim("b", "3", 4) is IN_FLIGHT

    def test_release_beside_a_transaction(self) -> None:
        """A release is seen at once, whatever becomes of the transaction."""
        with self.open_store() as store:
            store.claim("a", "1", 4)
            with transaction.atomic(ALIAS):
                note()
                assert store.release("a", "1")
                assert elsewhere(store.claim, "a", "2", 4) is NEW

    def test_repeatable_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A transaction that does not see what was renewed completes it, or says that it cannot."""
        monkeypatch.setitem(self.settings, "OPTIONS", {"isolation_level": self.repeatable_read})
        connections[ALIAS].close()
        with self.open_store() as store:
            store.claim("a", "1", 4)
            try:
                with transaction.atomic(ALIAS):
                    assert HandledDelivery.objects.using(ALIAS).count() == 1
                    assert elsewhere(store.renew, [("a", "1")], 60) == [True]
                    completed = store.complete("a", "1", 60)
            except StoreError as error:
                completed = "could not serialize access" not in str(error)
            connections[ALIAS].close()

            assert completed is self.completes
            assert store.claim("a", "2", 4) is (DONE if self.completes else IN_FLIGHT)

    @pytest.mark.parametrize("is_repeatable", [False, True])
    def test_many_at_once(self, monkeypatch: pytest.MonkeyPatch, *, is_repeatable: bool) -> None:
        """Claims that begin, are renewed, end and are removed at the same time do no harm."""
        if is_repeatable:
            options = {"isolation_level": self.repeatable_read}
            monkeypatch.setitem(self.settings, "OPTIONS", options)
        start = threading.Barrier(AT_ONCE)

        def work(thread: int) -> list[object]:
            start.wait(30)
            results: list[object] = []
            for turn in range(12):
                own, shared = (f"{thread} {turn}", f"{thread}"), (f"all {turn}", f"{thread}")
                results += [store.claim(*own, 0.5), store.claim(*shared, 0.5)]
                self.clock.now += 0.001
                results += store.renew([own], 0.5)
                results.append(store.complete(*own, 0.01) if turn % 2 else store.release(*own))
            connections[ALIAS].close()
            return results

        with self.open_store() as store, ThreadPoolExecutor(AT_ONCE) as pool:
            lists = list(pool.map(work, range(AT_ONCE)))
        results = Counter(each for results in lists for each in results)

        # What a claim of its own does is certain, unless it has ended: 48 * 12 * 1 ms are enough.
        assert results[NEW] >= AT_ONCE * 12 + 12
        assert results[True] > AT_ONCE * 12
        assert set(results) <= {NEW, IN_FLIGHT, DONE, True, False}

    def test_clock_put_back(self) -> None:
        """A claim lasts no longer than its lease from the next look on that finds it free."""
        with self.open_store() as store:
            store.claim("a", "1", 4)
            self.clock.now -= 3600
            with transaction.atomic(ALIAS):
                list(HandledDelivery.objects.using(ALIAS).select_for_update())
                assert elsewhere(store.claim, "a", "2", 4) is IN_FLIGHT
            assert store.claim("a", "2", 4) is IN_FLIGHT
            self.let_pass(3)
            assert store.claim("a", "2", 4) is IN_FLIGHT
            self.let_pass(1.1)
            assert store.claim("a", "2", 4) is NEW


def elsewhere(call: Callable[..., object], *args: object) -> object:
    """Call something in another thread, as another request does."""

    def called() -> object:
        try:
            return call(*args)
        finally:
            connections[ALIAS].close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(called).result(20)


# The first statements of each kind lose against another transaction.
LOSES = """
CREATE SEQUENCE lost;
CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('lost') <= {times} THEN RAISE deadlock_detected; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER loses BEFORE INSERT OR UPDATE ON frappe_hooksig_handleddelivery
    FOR EACH ROW EXECUTE FUNCTION lose();
"""


class TestPostgreSQL(Cases):
    """In PostgreSQL."""

    repeatable_read = psycopg.IsolationLevel.REPEATABLE_READ
    completes = False

    @pytest.fixture
    def served(self, in_postgresql: dict[str, Any]) -> dict[str, Any]:
        return in_postgresql

    @contextmanager
    def losing(self, times: int) -> Iterator[DjangoStore]:
        """Open a store whose statements lose so many times."""
        with connections[ALIAS].cursor() as cursor:
            cursor.execute(LOSES.format(times=times))
            try:
                with self.open_store() as store:
                    yield store
            finally:
                cursor.execute("DROP FUNCTION lose CASCADE; DROP SEQUENCE lost")

    @pytest.mark.parametrize("call", ["claim", "renew", "complete", "release"])
    def test_deadlock(self, call: str) -> None:
        """What the database has rolled back to end a deadlock is done again."""
        with self.open_store() as before:
            before.claim("a", "1", 4)
            with self.losing(3) as store:
                calls: dict[str, Callable[[], object]] = {
                    "claim": lambda: store.claim("b", "1", 4),
                    "renew": lambda: store.renew([("a", "1")], 4),
                    "complete": lambda: store.complete("a", "1", 4),
                    "release": lambda: store.release("a", "1"),
                }
                assert calls[call]() in (NEW, [True], True)

    def test_endless_deadlock(self) -> None:
        """Nobody tries for ever."""
        with self.losing(10**9) as store, pytest.raises(StoreError, match="deadlock_detected"):
            store.claim("a", "1", 4)


@pytest.mark.stress
@pytest.mark.long  # MariaDB is a package of Debian, which `make test` does not need
class TestMariaDB(Cases):
    """In MariaDB."""

    repeatable_read = "repeatable read"
    completes = True

    @pytest.fixture
    def served(self, in_mariadb: dict[str, Any]) -> dict[str, Any]:
        return in_mariadb
