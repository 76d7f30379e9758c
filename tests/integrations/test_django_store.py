"""Django: each delivery is handled once; the store in a database, and when it is written there."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from django.core.management import call_command
from django.db import connections, transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.test import Client, modify_settings, override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View

from frappe_hooksig import ConfigurationError, StoreError
from frappe_hooksig.integrations.django import (
    DjangoStore,
    _decorators,
    get_claim,
    get_delivery,
    verify_frappe_webhook,
)
from frappe_hooksig.replay import Deduplicator, MemoryStore, State
from tests.integrations.conformance import BODY, signed
from tests.integrations.django_store_cases import DjangoStoreCases
from tests.integrations.once import deliver
from tests.integrations.test_django import SETTINGS, posted
from tests.loopback import Server, gunicorn
from tests.replay.test_stores import Clock, check_clock_put_back

# isort: split
# What needs Django's settings, which are made by the import of test_django.
from rest_framework.decorators import api_view
from rest_framework.viewsets import ViewSet

from frappe_hooksig.integrations.django.models import HandledDelivery

NEW, IN_FLIGHT, DONE = State
ALIAS = "once"
ATOMIC = ("ATOMIC_REQUESTS", True)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The settings of a SQLite database in a file, with our table and one of the app's."""
    settings = connections[ALIAS].settings_dict
    monkeypatch.setitem(settings, "NAME", str(tmp_path / "site.sqlite"))
    monkeypatch.setitem(settings, "OPTIONS", {"timeout": 30})
    connections[ALIAS].close()
    set_up()
    yield settings
    connections[ALIAS].close()


def set_up() -> None:
    """Make the tables."""
    call_command("migrate", database=ALIAS, verbosity=0)
    execute("CREATE TABLE parent (id integer PRIMARY KEY)")
    # Whether a row's parent is there is looked at by the commit.
    reference = "REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED"
    execute(f"CREATE TABLE noted (what varchar(100), parent integer {reference})")


def execute(statement: str) -> None:
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(statement)


def count_noted() -> int:
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM noted")
        return int(cursor.fetchone()[0])


def undo() -> None:
    connections[ALIAS].needs_rollback = True


def note(parent: str = "NULL") -> None:
    """Write a row of the app's."""
    execute(f"INSERT INTO noted VALUES ('x', {parent})")


@pytest.fixture
def store(database: dict[str, Any], clock: Clock) -> Iterator[DjangoStore]:
    assert database
    made = DjangoStore(ALIAS, clock=clock)
    yield made
    made.close()


class TestConformance(DjangoStoreCases):
    """In SQLite; tests/integrations/test_django_databases.py has the other databases."""

    ELSEWHERE: ClassVar[dict[str, str]] = {"NAME": "/nowhere/site.sqlite"}
    DATABASE = ALIAS

    @pytest.fixture(autouse=True)
    def _database(self, database: dict[str, Any], clock: Clock) -> None:
        self.settings = database
        self.clock = clock


class TestDjangoStore:
    """In a database."""

    def test_visible_at_once(self, store: DjangoStore) -> None:
        """A claim is not undone, nor hidden, by the transaction that is open around it."""
        with transaction.atomic(ALIAS):
            assert store.claim("a", "1", 4) is NEW
            assert store.renew([("a", "1")], 60) == [True]
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(store.claim, "a", "2", 4).result() is IN_FLIGHT
            undo()

        assert store.claim("a", "2", 4) is IN_FLIGHT

    @pytest.mark.parametrize(("is_undone", "state"), [(False, DONE), (True, IN_FLIGHT)])
    def test_complete_in_a_transaction(
        self,
        store: DjangoStore,
        is_undone: bool,  # noqa: FBT001
        state: State,
    ) -> None:
        """It is handled if and only if the transaction is committed."""
        store.claim("a", "1", 4)
        with transaction.atomic(ALIAS):
            assert store.complete("a", "1", 60)
            transaction.set_rollback(is_undone, ALIAS)

        assert store.claim("a", "2", 4) is state

    def test_late_in_a_transaction(self, store: DjangoStore, clock: Clock) -> None:
        """There it is enough that nobody has taken over: nobody can any more."""
        store.claim("a", "1", 4)
        store.claim("b", "1", 4)
        clock.now += 5
        store.claim("b", "2", 4)
        with transaction.atomic(ALIAS):
            assert store.complete("a", "1", 60)
            assert not store.complete("b", "1", 60)

        assert store.claim("a", "2", 4) is DONE
        assert store.claim("b", "3", 4) is IN_FLIGHT

    def test_release_beside_a_writing_transaction(self, store: DjangoStore) -> None:
        """SQLite has one writer: who is that himself does not wait for himself."""
        store.claim("a", "1", 4)
        store.claim("b", "1", 4)
        with transaction.atomic(ALIAS):
            assert store.release("a", "1")
            note()
            with pytest.raises(StoreError, match=r"in database 'once' failed: database is locked"):
                store.release("b", "1")

        assert store.claim("a", "2", 4) is NEW
        assert store.claim("b", "2", 4) is IN_FLIGHT

    @pytest.mark.parametrize("found", [[None], [("1", 0.0, 4.0)]], ids=["insert", "take-over"])
    def test_slower(
        self, store: DjangoStore, monkeypatch: pytest.MonkeyPatch, found: list[Any]
    ) -> None:
        """Who has looked, and then somebody else claims it, gets it no more."""
        store.claim("a", "1", 4)
        look = cast("Any", HandledDelivery.objects.all().values_list("key").first).__func__
        first = cast("Any", type(HandledDelivery.objects.all()))
        monkeypatch.setattr(first, "first", lambda rows: found.pop() if found else look(rows))

        assert store.claim("a", "2", 4) is IN_FLIGHT
        assert found == []

    def test_forgets(self, store: DjangoStore, clock: Clock) -> None:
        """What has ended does not stay."""
        for number in range(200):
            clock.now += 1
            store.claim(str(number), "token", 4)

        assert HandledDelivery.objects.using(ALIAS).count() < 40

    def test_forgets_another_time(
        self, store: DjangoStore, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What cannot be removed stays, and the claim is good."""
        execute(
            "CREATE TRIGGER keep BEFORE DELETE ON frappe_hooksig_handleddelivery "
            "BEGIN SELECT RAISE(ABORT, 'nothing is deleted'); END"
        )
        for number in range(40):
            clock.now += 1
            assert store.claim(str(number), "token", 4) is NEW

        assert "in database 'once' failed: nothing is deleted; expired" in caplog.text

    @pytest.mark.parametrize("is_open", [False, True])
    def test_no_table(self, store: DjangoStore, is_open: bool) -> None:  # noqa: FBT001
        """What the database says is told, with its alias."""
        execute("DROP TABLE frappe_hooksig_handleddelivery")
        missing = r"the store in database 'once' failed: no such table: frappe_hooksig_handled"
        calls: list[Callable[[], object]] = [
            lambda: store.claim("a", "1", 4),
            lambda: store.renew([("a", "1")], 4),
            lambda: store.release("a", "1"),
        ]
        for call in calls:
            with pytest.raises(StoreError, match=missing):
                call()
        with (
            transaction.atomic(ALIAS) if is_open else pytest.MonkeyPatch.context(),
            pytest.raises(StoreError, match=missing),
        ):
            store.complete("a", "1", 60)

    @pytest.mark.parametrize(("max_age", "left"), [(0, 0), (60, 1), (None, 1)])
    def test_connections(
        self, database: dict[str, Any], store: DjangoStore, max_age: int | None, left: int
    ) -> None:
        """They stay open for as long as those of Django, and are used by whichever thread."""
        database["CONN_MAX_AGE"] = max_age
        path = database["NAME"]

        def opened() -> int:
            files = Path("/proc/self/fd").iterdir()
            return sum(os.path.realpath(each) == path for each in files)

        connections[ALIAS].close()
        with ThreadPoolExecutor(4) as pool:
            for number in range(20):
                assert pool.submit(store.claim, str(number), "1", 4).result() is NEW
        assert opened() == left
        store.close()
        assert opened() == 0
        assert store.claim("0", "2", 4) is IN_FLIGHT
        database["CONN_MAX_AGE"] = 0

    def test_settings_of_its_own(self, database: dict[str, Any], store: DjangoStore) -> None:
        """What would put a claim into a transaction, or take one of few connections, is left."""
        database.update(AUTOCOMMIT=False, OPTIONS={"timeout": 30, "pool": True})
        try:
            assert store.claim("a", "1", 4) is NEW
            assert store.claim("a", "2", 4) is IN_FLIGHT
        finally:
            database.update(AUTOCOMMIT=True, OPTIONS={"timeout": 30})

    def test_no_database(self) -> None:
        """An alias has to be one."""
        with pytest.raises(ConfigurationError, match="'elsewhere' is not an alias in DATABASES"):
            DjangoStore("elsewhere")

    @modify_settings(INSTALLED_APPS={"remove": "frappe_hooksig.integrations.django"})
    def test_not_installed(self) -> None:
        """Without the app there is no table."""
        with pytest.raises(ConfigurationError, match=r'needs "frappe_hooksig.+" in INSTALLED_APPS'):
            DjangoStore()

    def test_clock_put_back(self, store: DjangoStore, clock: Clock) -> None:
        """A claim and a handled delivery last no longer than was said, from the next look on."""
        check_clock_put_back(store, clock)

    def test_migration(self) -> None:
        """It makes what the model says; a row is shown by its key."""
        call_command("makemigrations", "frappe_hooksig", check=True, dry_run=True, verbosity=0)

        assert str(HandledDelivery(key="a", ends=0)) == "a"


class Site:
    """A site with one view, which is called for each delivery that is to be handled.

    Attributes:
        view: What the view does, after it has been counted.
        calls: How often it was called.
        urlpatterns: What ROOT_URLCONF is asked for.
    """

    def __init__(self, store: Any, around: Callable[[Any], Any] = lambda view: view) -> None:
        self.view: Callable[[HttpRequest], Any] = lambda _request: HttpResponse("handled")
        self.calls = 0
        decorated = verify_frappe_webhook(store=store)(self._called)
        self.urlpatterns = [path("hook", around(decorated))]

    def _called(self, request: HttpRequest) -> Any:
        self.calls += 1
        return self.view(request)

    def post(self, body: bytes = BODY) -> Any:
        """Deliver it."""
        client = Client(raise_request_exception=False, headers=signed(body))
        with override_settings(ROOT_URLCONF=self):
            return client.post("/hook", body, "application/json")

    def send(self, method: str) -> Any:
        """Deliver it in another way."""
        client = Client(raise_request_exception=False, headers=signed(BODY))
        with override_settings(ROOT_URLCONF=self):
            return client.generic(method, "/hook", BODY, "application/json")


class Watched:
    """Mixed into a store: it tells where it was called.

    Attributes:
        key: The last one that was claimed.
        settled: What was settled how, and whether in a transaction.
    """

    key: str
    settled: list[tuple[str, bool]]

    def claim(self, key: str, token: str, lease: float) -> State:
        self.key = key
        return super().claim(key, token, lease)  # type: ignore[misc,no-any-return]

    def complete(self, key: str, token: str, keep: float) -> bool:
        self.settled.append(("completed", connections[ALIAS].in_atomic_block))
        return super().complete(key, token, keep)  # type: ignore[misc,no-any-return]

    def release(self, key: str, token: str) -> bool:
        self.settled.append(("released", connections[ALIAS].in_atomic_block))
        return super().release(key, token)  # type: ignore[misc,no-any-return]


class WatchedDjangoStore(Watched, DjangoStore):
    """In the database."""


class WatchedMemoryStore(Watched, MemoryStore):
    """In memory."""


@pytest.fixture(params=["database", "memory"])
def watched(
    request: pytest.FixtureRequest, database: dict[str, Any], clock: Clock
) -> Iterator[Any]:
    """A store of either kind."""
    assert database
    of_database = WatchedDjangoStore(ALIAS, clock=clock)
    made: Any = {"database": of_database, "memory": WatchedMemoryStore(clock=clock)}[request.param]
    made.settled = []
    yield made
    of_database.close()


@pytest.fixture
def atomic(database: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(database, *ATOMIC)


def raises(error: Exception) -> Callable[[HttpRequest], Any]:
    """Return a view that writes a row and then raises."""

    def view(_request: HttpRequest) -> HttpResponse:
        note()
        raise error

    return view


def parses(request: HttpRequest) -> HttpResponse:
    """Write a row and then parse the body."""
    note()
    return JsonResponse(get_delivery(request).json())


def answers(status: int, parent: str = "NULL") -> Callable[[HttpRequest], Any]:
    """Return a view that writes a row and then answers so."""

    def view(_request: HttpRequest) -> HttpResponse:
        note(parent)
        return HttpResponse("answered", status=status)

    return view


FAILURES: list[Any] = [
    *(pytest.param(answers(status), BODY, id=str(status)) for status in (500, 404, 302, 199)),
    pytest.param(raises(ValueError("x")), BODY, id="raises"),
    pytest.param(raises(Http404("x")), BODY, id="raises-404"),
    pytest.param(parses, b"{", id="no-json"),
]


class TestOnce:
    """Without a transaction around the view."""

    def test_repeat(self, watched: Any) -> None:
        """A repeat of what was handled is a success, and no view runs."""
        site = Site(watched)
        first, second = site.post(), site.post()

        assert first.content == b"handled"
        assert second.status_code == 200
        assert second.json()["status"] == "duplicate"
        assert second["Content-Type"] == "application/json"
        assert site.calls == 1
        assert site.post(b"{}").content == b"handled"
        assert watched.settled == [("completed", False)] * 2

    @pytest.mark.parametrize("kind", ["class", "as_view", "view set"])
    def test_other_methods(self, kind: str) -> None:
        """What answers OPTIONS, which is not signed, does not keep a POST from being handled."""
        verify = verify_frappe_webhook(store=MemoryStore())

        class Hook(View):
            def post(self, _request: HttpRequest) -> HttpResponse:
                return HttpResponse("handled")

            put = post

        class Hooks(ViewSet):
            def create(self, _request: Any) -> HttpResponse:
                return HttpResponse("handled")

        site = Site(MemoryStore())
        hook: Any = Hook
        hooks: Any = Hooks
        view: Any = {
            "class": lambda: verify(hook).as_view(),
            "as_view": lambda: verify(hook.as_view()),
            "view set": lambda: verify(hooks.as_view({"post": "create", "put": "create"})),
        }[kind]()
        site.urlpatterns = [path("hook", view)]

        assert site.send("OPTIONS").status_code == 200
        assert site.send("POST").content == b"handled"
        assert site.send("POST").json()["status"] == "duplicate"
        assert site.send("PUT").json()["status"] == "duplicate"

    @pytest.mark.parametrize(("view", "body"), FAILURES)
    def test_failure(self, watched: Any, view: Any, body: bytes) -> None:
        """After anything but a success, the retry runs."""
        site = Site(watched)
        site.view = view
        first = site.post(body)
        site.view = lambda _request: HttpResponse("handled")

        assert first.status_code not in range(200, 300)
        assert watched.settled == [("released", False)]
        assert site.post(body).content == b"handled"

    def test_claim(self, watched: Any) -> None:
        """A view learns how long its claim lasts."""
        site = Site(watched)
        site.view = lambda request: HttpResponse(str(get_claim(request).seconds_left))

        assert 3 < float(site.post().content) <= 4

    def test_tenant_that_fails(self) -> None:
        """An error of the app's own function is the app's: nobody catches it."""
        site = Site(Deduplicator(MemoryStore(), tenant=raises(ZeroDivisionError("x"))))

        assert site.post().status_code == 500
        assert site.calls == 0

    def test_no_response(self, watched: Any) -> None:
        """A view whose result is no response has run to its end: the retry is a repeat."""
        site = Site(watched)
        site.view = lambda _request: None

        assert site.post().status_code == 500  # Django itself wants a response
        assert site.post().json()["status"] == "duplicate"
        assert watched.settled == [("completed", False)]

    @pytest.mark.parametrize(
        ("result", "status"),
        [
            (HttpResponse(status=404), 404),
            (None, 200),
            ({"status_code": 400}, 200),
            ((400, {}), 400),
            (("a", "b"), 200),
            ((), 200),
        ],
        ids=str,
    )
    def test_status(self, result: Any, status: int) -> None:
        """Frameworks on top of Django take objects, or a status with an object."""
        assert _decorators._DJANGO.outcome_of(result) == (result, status)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    def test_late(self, watched: Any, clock: Clock) -> None:
        """Who outlives the lease changes nothing of the claim of who has taken over."""

        def view(_request: HttpRequest) -> HttpResponse:
            clock.now += 5
            assert watched.claim(watched.key, "other", 60) is NEW
            return HttpResponse("late")

        site = Site(watched)
        site.view = view

        assert site.post().content == b"late"
        assert watched.claim(watched.key, "third", 4) is IN_FLIGHT
        assert watched.release(watched.key, "other")

    def test_rendered_later(self, watched: Any) -> None:
        """The view has done its work when its template fails, and does it no second time."""
        site = Site(watched)
        site.view = lambda request: TemplateResponse(request, "missing.html")

        assert site.post().status_code == 500
        assert site.post().json()["status"] == "duplicate"

    def test_in_flight(self, watched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """A repeat of what is being handled is to come again."""
        monkeypatch.setattr("frappe_hooksig.replay._deduplication._PATIENCE", 0)
        site = Site(watched)

        def view(_request: HttpRequest) -> HttpResponse:
            again = site.post()
            return JsonResponse({"status": again.status_code, "after": again["Retry-After"]})

        site.view = view

        assert site.post().json() == {"status": 409, "after": "5"}
        assert site.calls == 1

    def test_store_fails(self, watched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing runs while nobody can tell."""

        def unreachable(*_args: Any) -> State:
            msg = "the store is away"
            raise StoreError(msg)

        monkeypatch.setattr(watched, "claim", unreachable)
        site = Site(watched)
        answer = site.post()

        assert (answer.status_code, answer.json()["reason"]) == (503, "store-unavailable")
        assert site.calls == 0

    def test_forged(self, watched: Any) -> None:
        """A store hears nothing of what is not verified."""
        site = Site(watched)
        with override_settings(ROOT_URLCONF=site):
            answer = Client(headers=signed(b"other")).post("/hook", BODY, "application/json")

        assert answer.status_code == 401
        assert not hasattr(watched, "key")

    def test_in_a_testcase(self, watched: Any) -> None:
        """The transactions of Django's TestCase are never committed, and are not waited for."""
        around = transaction.atomic(ALIAS)
        vars(around)["_from_testcase"] = True
        site = Site(watched)
        with around:
            site.post()

            assert site.post().json()["status"] == "duplicate"


def in_a_transaction(view: Any) -> Any:
    """Put `transaction.atomic` above our decorator."""
    atomic = transaction.atomic(ALIAS)(view)
    atomic.csrf_exempt = True
    return atomic


@pytest.fixture(params=["requests", "decorator"])
def atomic_site(
    request: pytest.FixtureRequest,
    watched: Any,
    database: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Site:
    """A site whose views run in a transaction, of either kind."""
    is_setting = request.param == "requests"
    monkeypatch.setitem(database, "ATOMIC_REQUESTS", is_setting)
    return Site(watched) if is_setting else Site(watched, in_a_transaction)


class TestAtomic:
    """With a transaction around the view."""

    def test_complete(self, atomic_site: Site, watched: Any) -> None:
        """It is completed after the commit; or in the transaction, if that is in its database."""
        atomic_site.view = answers(200)

        assert atomic_site.post().content == b"answered"
        assert watched.settled == [("completed", isinstance(watched, DjangoStore))]
        assert atomic_site.post().json()["status"] == "duplicate"
        assert (atomic_site.calls, count_noted()) == (1, 1)

    def test_commit_fails(self, atomic_site: Site, clock: Clock) -> None:
        """If the commit fails, nothing was handled, and the retry runs."""
        atomic_site.view = answers(200, parent="5")
        first = atomic_site.post()
        left = count_noted()
        clock.now += 5
        atomic_site.view = answers(200)

        assert (first.status_code, left) == (500, 0)
        assert atomic_site.post().content == b"answered"
        assert count_noted() == 1

    @pytest.mark.parametrize(("view", "body"), FAILURES)
    def test_failure(self, atomic_site: Site, clock: Clock, view: Any, body: bytes) -> None:
        """After anything but a success, the retry runs."""
        atomic_site.view = view
        first = atomic_site.post(body)
        clock.now += 5
        atomic_site.view = lambda _request: HttpResponse("handled")

        assert first.status_code not in range(200, 300)
        assert atomic_site.post(body).content == b"handled"

    def test_release(self, atomic_site: Site, watched: Any) -> None:
        """An answer that is no success is committed like any other, and then released."""
        atomic_site.view = answers(500)

        assert atomic_site.post().status_code == 500
        assert watched.settled == [("released", False)]
        assert count_noted() == 1

    def test_rolled_back(self, atomic_site: Site, watched: Any) -> None:
        """What is undone was not handled, whatever the answer."""

        def view(_request: HttpRequest) -> HttpResponse:
            undo()
            return HttpResponse("undone")

        atomic_site.view = view
        assert atomic_site.post().content == b"undone"
        assert watched.settled == [("released", True)]
        assert atomic_site.post().content == b"undone"

    @pytest.mark.parametrize("watched", ["database"], indirect=True)
    def test_taken_over(self, atomic_site: Site, watched: Any, clock: Clock) -> None:
        """Who comes too late has done nothing, and is told to come again."""

        def view(_request: HttpRequest) -> HttpResponse:
            clock.now += 5
            assert watched.claim(watched.key, "other", 60) is NEW
            note()
            return HttpResponse("late")

        atomic_site.view = view
        answer = atomic_site.post()

        assert (answer.status_code, answer.json()["reason"]) == (409, "in-flight")
        assert count_noted() == 0
        assert watched.claim(watched.key, "third", 4) is IN_FLIGHT
        assert watched.complete(watched.key, "other", 60)

    @pytest.mark.parametrize("watched", ["database"], indirect=True)
    def test_store_fails(self, atomic_site: Site, caplog: pytest.LogCaptureFixture) -> None:
        """What cannot be completed is undone."""

        def view(_request: HttpRequest) -> HttpResponse:
            note()
            execute("DROP TABLE frappe_hooksig_handleddelivery")
            return HttpResponse("nowhere to write")

        atomic_site.view = view

        assert atomic_site.post().status_code == 409
        assert count_noted() == 0
        assert "not completed: the store in database 'once' failed: no such table" in caplog.text

    @pytest.mark.parametrize(("parent", "is_handled"), [("NULL", True), ("5", False)])
    def test_several_databases(
        self,
        monkeypatch: pytest.MonkeyPatch,
        watched: Any,
        atomic: None,
        clock: Clock,
        parent: str,
        is_handled: bool,  # noqa: FBT001
    ) -> None:
        """It is completed after the last commit; if that fails, never."""
        assert atomic is None
        monkeypatch.setitem(connections["default"].settings_dict, *ATOMIC)
        site = Site(watched)
        site.view = answers(200, parent)
        site.post()
        clock.now += 5
        site.view = answers(200)
        again = site.post()

        assert watched.settled[0] == ("completed", False)
        assert again.headers["Content-Type"].startswith("application/json") is is_handled
        assert count_noted() == 1


async def later(_request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    return HttpResponse("handled")


class AsyncMemoryStore:
    """One for asyncio."""

    def __init__(self) -> None:
        self._store = MemoryStore()

    async def claim(self, key: str, token: str, lease: float) -> State:
        return self._store.claim(key, token, lease)

    async def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> Sequence[bool]:
        return self._store.renew(claims, lease)

    async def complete(self, key: str, token: str, keep: float) -> bool:
        return self._store.complete(key, token, keep)

    async def release(self, key: str, token: str) -> bool:
        return self._store.release(key, token)


class TestAsync:
    """Async views, which have no transaction around."""

    def test_repeat(self, watched: Any) -> None:
        """A repeat of what was handled is a success, and no view runs."""
        view = verify_frappe_webhook(store=watched)(later)

        assert asyncio.run(view(posted())).content == b"handled"
        assert json.loads(asyncio.run(view(posted())).content)["status"] == "duplicate"
        assert asyncio.run(view(posted(b"{}"))).content == b"handled"
        assert watched.settled == [("completed", False)] * 2

    def test_async_store(self) -> None:
        """A store for asyncio is awaited."""
        view = verify_frappe_webhook(store=AsyncMemoryStore())(later)

        assert asyncio.run(view(posted())).content == b"handled"
        assert json.loads(asyncio.run(view(posted())).content)["status"] == "duplicate"

    def test_async_store_of_a_sync_view(self) -> None:
        """A sync view cannot wait for it: that is said at once."""
        decorator = verify_frappe_webhook(store=AsyncMemoryStore())
        for view in (lambda _request: HttpResponse(), View):
            with pytest.raises(ConfigurationError, match="store= is an async store, which a sync"):
                decorator(view)

    @pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b"{}", 500)])
    def test_failure(self, watched: Any, body: bytes, status: int) -> None:
        """After anything but a success, the retry runs."""

        @verify_frappe_webhook(store=watched)
        async def view(request: HttpRequest) -> HttpResponse:
            return HttpResponse(get_delivery(request).json(), status=500)

        for _ in range(2):
            assert asyncio.run(view(posted(body))).status_code == status
        assert watched.settled == [("released", False)] * 2

    def test_cancelled(self, watched: Any) -> None:
        """If the client goes away and the view ends with that, the retry runs."""

        async def run() -> Any:
            started = asyncio.Event()

            @verify_frappe_webhook(store=watched)
            async def view(_request: HttpRequest) -> HttpResponse:
                started.set()
                await asyncio.sleep(60)
                return HttpResponse("never")

            task = asyncio.ensure_future(view(posted()))
            await started.wait()
            task.cancel()
            return await asyncio.gather(task, return_exceptions=True)

        assert isinstance(asyncio.run(run())[0], asyncio.CancelledError)
        assert watched.settled == [("released", False)]
        assert watched.claim(watched.key, "next", 4) is NEW


class Hook(View):
    """A class."""

    def post(self, _request: HttpRequest) -> HttpResponse:
        return HttpResponse("handled")


class TestEndpoints:
    """What tells views apart."""

    @staticmethod
    def views(store: Any, name: str) -> list[Any]:
        """One of each kind, all in this module."""
        verified = verify_frappe_webhook(store=store)

        def function(_request: HttpRequest) -> HttpResponse:
            return HttpResponse("handled")

        function.__name__ = function.__qualname__ = name
        decorated, plain, dispatched = (
            cast("Any", type(f"{kind}{name}", (Hook,), {}))
            for kind in ("Decorated", "Plain", "Dispatched")
        )
        return [
            verified(function),
            verified(partial(function)),
            verified(decorated).as_view(),
            verified(plain.as_view()),
            cast("Any", method_decorator(verified, name="dispatch"))(dispatched).as_view(),
            verified(cast("Any", api_view(["POST"]))(function)),
        ]

    def test_apart(self, watched: Any) -> None:
        """Each view handles a delivery once, and not for another, though they share dispatch()."""
        views = [*self.views(watched, "First"), *self.views(watched, "Second")]
        views = [view for number, view in enumerate(views) if number % 6 != 1]
        first = [view(posted()).content for view in views]
        second = [json.loads(view(posted()).content)["status"] for view in views]

        assert first == [b"handled"] * 10
        assert second == ["duplicate"] * 10

    def test_partial(self, watched: Any) -> None:
        """A view of which arguments are filled in is the same view."""
        view, filled_in = self.views(watched, "Any")[:2]

        assert view(posted()).content == b"handled"
        assert json.loads(filled_in(posted()).content)["status"] == "duplicate"


def serve(
    database: dict[str, Any], *options: str, **environment: str
) -> AbstractContextManager[Server]:
    """Serve `django_once_app` with gunicorn: the store and what its view writes are one file."""
    settings = {"ENGINE": database["ENGINE"], "NAME": database["NAME"], "ATOMIC_REQUESTS": True}
    environment |= {
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        "DJANGO_URLS": "tests.integrations.django_once_app",
        "DJANGO_ONCE": json.dumps({**settings, "OPTIONS": {"timeout": 30}}),
    }
    app = "django.core.wsgi:get_wsgi_application()"
    return gunicorn(app, *options, "--threads=8", **environment)


def test_many_at_once(database: dict[str, Any]) -> None:
    """Of 200 at once, at four processes, one is handled; the others are told so."""
    with serve(database, "--workers=4", PATIENCE="0.1") as server, ThreadPoolExecutor(200) as pool:
        sent = [pool.submit(deliver, server, n="one", takes=0.3) for _ in range(200)]
        answers = [each.result() for each in sent]
    seen = Counter((each.status, each.json()["status"]) for each in answers)

    assert count_noted() == 1
    assert seen[200, "handled"] == 1
    assert set(seen) == {(200, "handled"), (200, "duplicate"), (409, "refused")}
