"""Endpoints: adding, changing, pausing, resuming and deleting them."""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.fernet import Fernet

import frappe_hooksig
from frappe_hooksig import ConfigurationError, Secret, UnknownRecord, providers
from frappe_hooksig.outbox import (
    DeliveryState,
    Endpoint,
    Formatted,
    Outbox,
    OutgoingMessage,
)
from frappe_hooksig.outbox._database import time_of
from frappe_hooksig.outbox._endpoints import alter_endpoint, stop_endpoint, takes
from frappe_hooksig.sending import STANDARD_WEBHOOKS, RetrySchedule
from tests.outbox.places import URL, Place

PACKAGE = str(Path(frappe_hooksig.__file__).parent)
KEY = Fernet.generate_key()
SECRET = "whsec_UXYzcjBtWjh0WXA1TGsyWHc5QmM3TmQ0"
TOKEN = "Kz5RtYb3Nc6Vf1Zq"
TOKEN_URL = f"https://hooks.example.com/{TOKEN}?key={TOKEN}"


@pytest.fixture
def place(store: Place) -> Place:
    """Return each kind of database in turn."""
    return store


def plain(message: OutgoingMessage) -> Formatted:
    """Return the payload as it is."""
    return Formatted(message.payload)


def add(outbox: Outbox, **options: Any) -> Endpoint:
    """Add an endpoint."""
    return outbox.add_endpoint(**{"url": URL, "secret_from": "env:A", **options})


def test_what_an_endpoint_has(place: Place) -> None:
    """What nobody gives has its default."""
    outbox = place.outbox()
    before = place.run(time_of)

    endpoint = outbox.add_endpoint(URL, secret_from="env:A")

    assert endpoint.id.startswith("ep_")
    assert before <= endpoint.created_at * 1000 <= place.run(time_of)
    assert endpoint == Endpoint(
        id=endpoint.id,
        url=URL,
        tenant="",
        event_types=("*",),
        method="POST",
        scheme="standard-webhooks",
        format=None,
        secret_from=("env:A",),
        old_secret_ends=None,
        header_names=(),
        order="none",
        hold=3600.0,
        concurrency=8,
        rate=None,
        schedule=STANDARD_WEBHOOKS,
        state="active",
        reason="",
        message="",
        created_at=endpoint.created_at,
        failing_since=None,
        failures=0,
    )
    assert outbox.endpoint(endpoint.id) == endpoint


def test_what_an_endpoint_is_given(place: Place) -> None:
    """Each option is kept, as it was given."""
    outbox = place.outbox(keys=[KEY], formats={"plain": plain})

    endpoint = outbox.add_endpoint(
        "https://exämple.com/ünïcode?a=%20&b='\"%s:x",
        secret_from=["env:NEW", "file:/run/old"],
        event_types=["invoice.*", "customer.created", "invoice.*"],
        tenant="acme 🦄",
        scheme=providers.GITHUB,
        method="PUT",
        format="plain",
        headers={"Authorization": f"Bearer {TOKEN}"},
        headers_from={"X-Api-Key": "env:API_KEY"},
        order="key",
        hold=0.5,
        concurrency=1,
        rate=0.1,
        schedule=RetrySchedule((1, 2.5), jitter=0.25),
    )

    assert endpoint.url == "https://exämple.com/ünïcode?a=%20&b='\"%s:x"
    assert endpoint.secret_from == ("env:NEW", "file:/run/old")
    assert endpoint.event_types == ("customer.created", "invoice.*")
    assert (endpoint.tenant, endpoint.scheme, endpoint.method) == ("acme 🦄", "github", "PUT")
    assert endpoint.format == "plain"
    assert endpoint.header_names == ("Authorization", "X-Api-Key")
    assert (endpoint.order, endpoint.hold, endpoint.concurrency) == ("key", 0.5, 1)
    assert endpoint.rate == 0.1
    assert endpoint.schedule == RetrySchedule((1, 2.5), jitter=0.25)
    assert outbox.endpoint(endpoint.id) == endpoint


def test_scheme_by_its_name(sqlite: Place) -> None:
    """A scheme is the name of one, or one of the providers."""
    assert add(sqlite.outbox(), scheme="github").scheme == "github"


def test_secrets_are_stored_encrypted(place: Place) -> None:
    """Nothing of a secret or a header is in the tables, the record, or its repr; nor is the URL."""
    outbox = place.outbox(keys=[KEY])

    endpoint = outbox.add_endpoint(
        TOKEN_URL, secret=Secret(SECRET), headers={"Authorization": TOKEN}
    )

    rows = place.rows("SELECT secrets, headers FROM hooksig_endpoints")
    assert endpoint.secret_from == ("encrypted",)
    assert TOKEN not in f"{rows} {endpoint!r}"
    assert SECRET not in f"{rows} {endpoint!r}"
    assert endpoint.url == TOKEN_URL


def test_a_header_is_no_secret(place: Place) -> None:
    """A short or simple value of a header is no reason for a warning."""
    outbox = place.outbox(keys=[KEY])

    endpoint = add(outbox, headers={"X-Env": "x", "X-Mask": "****"})

    assert endpoint.header_names == ("X-Env", "X-Mask")


# Each with a part of the message.
BAD_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"url": "ftp://example.com"}, "url= cannot be used: the URL is not absolute"),
    ({"url": f"https://user:{TOKEN}@example.com"}, "url= cannot be used: the URL contains a user"),
    ({"url": f"https://example.com:{TOKEN}/"}, "url= cannot be used: the URL's port"),
    ({"url": "https://example.com/\ud800"}, "url= cannot be used: the URL contains half"),
    ({"url": ""}, "url= cannot be used"),
    ({"url": None}, "url= cannot be used"),
    ({"secret_from": ""}, "an endpoint needs secret= or secret_from="),
    ({"secret_from": []}, "an endpoint needs secret= or secret_from="),
    ({"secret_from": TOKEN}, "a reference must begin with env:, file:"),
    ({"secret_from": f"nowhere:{TOKEN}"}, "a reference must begin with env:, file:"),
    ({"secret_from": "env:"}, "a reference must begin with env:, file:"),
    ({"secret_from": f"encrypted:{TOKEN}"}, "a reference must begin with env:, file:"),
    ({"secret_from": ["env:A", TOKEN]}, "a reference must begin with env:, file:"),
    ({"secret_from": ["env:A", ""]}, "a reference must begin with env:, file:"),
    ({"secret_from": [7]}, "a reference must begin with env:, file:"),
    ({"secret_from": None}, "secret_from= must be a reference such as env:NAME, or a list"),
    ({"secret_from": 7}, "secret_from= must be a reference such as env:NAME, or a list"),
    ({"secret": SECRET}, "give secret= or secret_from=, not both"),
    ({"secret": "", "secret_from": ""}, "empty"),
    ({"secret": "*****", "secret_from": ""}, "asterisks"),
    ({"secret": 7, "secret_from": ""}, "str or bytes"),
    ({"secret": "no base64!", "secret_from": ""}, "must be base64"),
    ({"event_types": "invoice.paid"}, "event_types= must be a list"),
    ({"event_types": []}, "event_types= must be a list"),
    ({"event_types": None}, "event_types= must be a list"),
    ({"event_types": ["*.paid"]}, "an event type is up to 128 letters"),
    ({"event_types": ["invoice.*.*"]}, "an event type is up to 128 letters"),
    ({"event_types": ["invoice paid"]}, "an event type is up to 128 letters"),
    ({"event_types": ["**"]}, "an event type is up to 128 letters"),
    ({"event_types": [".*"]}, "an event type is up to 128 letters"),
    ({"event_types": ["a" * 129]}, "an event type is up to 128 letters"),
    ({"tenant": " acme"}, "tenant= must be a str of up to 64 characters"),
    ({"tenant": None}, "tenant= must be a str of up to 64 characters"),
    ({"scheme": "nobody"}, "no provider has this name"),
    ({"scheme": None}, "no provider has this name"),
    ({"scheme": replace(providers.GITHUB, prefix="v1=")}, "scheme= must be one of"),
    ({"method": "GET"}, "method= must be POST or PUT"),
    ({"method": "post"}, "method= must be POST or PUT"),
    ({"method": ["POST"]}, "method= must be POST or PUT"),
    ({"format": "envelope"}, "format= must be the name of a format of the outbox, which has plain"),
    ({"format": ["plain"]}, "format= must be the name of a format of the outbox, which has plain"),
    ({"headers": [("A", TOKEN)]}, "headers= must be a dict, not a list"),
    ({"headers": {"A B": TOKEN}}, "invalid header name"),
    ({"headers": {7: TOKEN}}, "invalid header name"),
    ({"headers": {"A": f"{TOKEN}\r\nB: c"}}, "a value of A with characters"),
    ({"headers": {"A": 7}}, "a value of A with characters"),
    ({"headers": {"Content-Length": TOKEN}}, "headers= has Content-Length"),
    ({"headers": {"webhook-id": TOKEN}}, "headers= has webhook-id"),
    ({"headers": {"A": TOKEN}, "headers_from": {"a": "env:A"}}, "headers= has a"),
    ({"headers_from": "env:A"}, "headers_from= must be a dict, not a str"),
    ({"headers_from": {"A B": "env:A"}}, "invalid header name"),
    ({"headers_from": {"A": TOKEN}}, "a reference must begin with env:, file:"),
    ({"order": "id"}, 'order= must be "key"'),
    ({"order": None}, 'order= must be "key"'),
    ({"order": ["key"]}, 'order= must be "key"'),
    ({"hold": -1}, "hold= must be a number from 0 to"),
    ({"hold": math.nan}, "hold= must be a number from 0 to"),
    ({"hold": 31 * 86_400}, "hold= must be a number from 0 to"),
    ({"hold": timedelta(hours=1)}, "hold= must be a number from 0 to"),
    ({"concurrency": 0}, "concurrency= must be a whole number from 1 to 1000"),
    ({"concurrency": 1001}, "concurrency= must be a whole number from 1 to 1000"),
    ({"concurrency": None}, "concurrency= must be a whole number from 1 to 1000"),
    ({"rate": 0}, "rate= must be a number from 0.001 to 1000"),
    ({"rate": math.inf}, "rate= must be a number from 0.001 to 1000"),
    ({"rate": "7"}, "rate= must be a number from 0.001 to 1000"),
    ({"schedule": (1, 2)}, "schedule= must be a RetrySchedule"),
    ({"schedule": None}, "schedule= must be a RetrySchedule"),
]
# What may be secret stands beside each of them.
BESIDE = {"url": TOKEN_URL, "headers": {"Authorization": TOKEN}}


@pytest.fixture(scope="module")
def outbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outbox]:
    """Return an outbox for what is refused before it reaches the database."""
    path = tmp_path_factory.mktemp("outbox") / "a.sqlite3"
    outbox = Outbox(path, keys=[KEY], formats={"plain": plain})
    outbox.migrate()
    yield outbox
    outbox.close()


def named(value: object) -> str:
    """Return a short name of an option, in ASCII."""
    return ascii(value)[:40]


def assert_shows_nothing(error: BaseException) -> None:
    """Look for secrets in an error, its cause, and the local variables of our frames."""
    stack = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    ours = [str(each.locals) for each in stack if each.filename.startswith(PACKAGE)]
    shown = f"{error} {error!r} {error.__context__!r} {error.__cause__!r} {ours}"
    assert ours
    assert [each for each in (TOKEN, SECRET, SECRET[6:]) if each in shown] == []


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS, ids=named)
def test_options_that_cannot_be_used(outbox: Outbox, options: dict[str, Any], message: str) -> None:
    """Each is refused at once, by its name. Nothing is stored, and nothing secret is shown."""
    with pytest.raises(ConfigurationError, match=f"(?i){message}") as caught:
        add(outbox, **{**BESIDE, **options})

    assert_shows_nothing(caught.value)
    assert [each for each in outbox.endpoints() if each.url != URL] == []


CHANGES = [
    (options, message)
    for options, message in BAD_OPTIONS
    if "tenant" not in options and not message.startswith(("an endpoint needs", "give secret"))
]


@pytest.mark.parametrize(("options", "message"), CHANGES, ids=named)
def test_changes_that_cannot_be_made(outbox: Outbox, options: dict[str, Any], message: str) -> None:
    """They are refused for the same reasons, and the endpoint stays as it is."""
    endpoint = add(outbox)

    with pytest.raises(ConfigurationError, match=f"(?i){message}") as caught:
        outbox.change_endpoint(endpoint.id, **{**BESIDE, **options})

    assert_shows_nothing(caught.value)
    assert outbox.endpoint(endpoint.id) == endpoint


@pytest.mark.parametrize("options", [{"secret": SECRET}, {"headers": {"A": TOKEN}}], ids=named)
def test_nothing_is_stored_without_a_key(sqlite: Place, options: dict[str, Any]) -> None:
    """An outbox that cannot encrypt says what to do."""
    outbox = sqlite.outbox()

    with pytest.raises(ConfigurationError, match=r"give the outbox keys= .* or name where") as new:
        outbox.add_endpoint(TOKEN_URL, **options)
    endpoint = add(outbox)
    with pytest.raises(ConfigurationError, match=r"give the outbox keys= .* or name where") as old:
        outbox.change_endpoint(endpoint.id, **options)

    assert_shows_nothing(new.value)
    assert_shows_nothing(old.value)


def test_a_database_that_cannot_be_reached(sqlite: Place) -> None:
    """Its error shows nothing of what was to be stored either."""
    outbox = sqlite.outbox(keys=[KEY])
    sqlite.change("DROP TABLE hooksig_endpoints")

    with pytest.raises(sqlite.database().errors) as caught:
        outbox.add_endpoint(TOKEN_URL, secret=SECRET, headers={"Authorization": TOKEN})

    assert_shows_nothing(caught.value)


CHANGED: list[dict[str, Any]] = [
    {"url": "https://example.com/other"},
    {"event_types": ("a", "b")},
    {"scheme": "github"},
    {"method": "PUT"},
    {"format": "plain"},
    {"format": None},
    {"order": "key"},
    {"hold": 0.0},
    {"concurrency": 1000},
    {"rate": 0.001},
    {"schedule": RetrySchedule((1,))},
    {"secret_from": ("env:NEW", "env:OLD")},
]


def test_change(place: Place) -> None:
    """What is given changes, and nothing else does."""
    outbox = place.outbox(formats={"plain": plain})
    endpoint = add(outbox, rate=7)

    for change in CHANGED:
        changed = outbox.change_endpoint(endpoint.id, **change)
        fields = {name: getattr(endpoint, name) for name in Endpoint.__slots__}
        assert changed == Endpoint(**{**fields, **change})
        assert outbox.endpoint(endpoint.id) == changed
        endpoint = changed


def test_change_to_no_limit(place: Place) -> None:
    """None for a rate is given, too."""
    outbox = place.outbox()
    endpoint = add(outbox, rate=7)

    assert outbox.change_endpoint(endpoint.id, rate=None).rate is None


def test_change_of_secrets_and_headers(place: Place) -> None:
    """Each replaces all of its kind, and leaves the other kind."""
    outbox = place.outbox(keys=[KEY])
    endpoint = add(outbox, headers={"A": "a"}, headers_from={"B": "env:B"})

    with_secret = outbox.change_endpoint(endpoint.id, secret=SECRET)
    with_header = outbox.change_endpoint(endpoint.id, headers_from={"C": "env:C"})
    without = outbox.change_endpoint(endpoint.id, headers={})

    assert (with_secret.secret_from, with_secret.header_names) == (("encrypted",), ("A", "B"))
    assert (with_header.secret_from, with_header.header_names) == (("encrypted",), ("C",))
    assert (without.secret_from, without.header_names) == (("encrypted",), ())


@pytest.mark.parametrize(
    "url",
    ["https://other.example.com/", "http://hooks.example.com/", "https://hooks.example.com:444/"],
)
def test_another_receiver_gets_no_headers(place: Place, url: str) -> None:
    """Whoever may change a URL cannot have the headers of an endpoint sent to themselves."""
    outbox = place.outbox(keys=[KEY])
    endpoint = add(outbox, url=TOKEN_URL, headers={"Authorization": TOKEN}).id

    with pytest.raises(ConfigurationError, match="url= leads to another receiver") as caught:
        outbox.change_endpoint(endpoint, url=url)

    assert TOKEN not in str(caught.value)
    assert outbox.change_endpoint(endpoint, url=url, headers={}).header_names == ()
    assert outbox.change_endpoint(endpoint, url=TOKEN_URL).url == TOKEN_URL


def test_another_path_of_the_receiver(place: Place) -> None:
    """The same receiver has its headers already."""
    outbox = place.outbox(keys=[KEY])
    endpoint = add(outbox, url=TOKEN_URL, headers={"Authorization": TOKEN}).id

    changed = outbox.change_endpoint(endpoint, url="https://hooks.example.com:443/new", rate=2)

    assert changed.header_names == ("Authorization",)


def test_headers_are_checked_with_the_scheme(sqlite: Place) -> None:
    """A header that is free with one scheme is the signature of another one."""
    outbox = sqlite.outbox(keys=[KEY])
    endpoint = add(outbox, scheme="github")

    outbox.change_endpoint(endpoint.id, headers={"webhook-id": "7"})

    with pytest.raises(ConfigurationError, match="headers= has X-Hub-Signature-256"):
        outbox.change_endpoint(endpoint.id, headers={"X-Hub-Signature-256": "7"})


def test_a_change_is_a_new_revision(place: Place) -> None:
    """A worker sees by its number that an endpoint has changed."""
    outbox = place.outbox()
    endpoint = add(outbox)

    def revision() -> int:
        number: int = place.rows("SELECT revision FROM hooksig_endpoints")[0][0]
        return number

    numbers = [revision()]
    outbox.change_endpoint(endpoint.id, concurrency=3)
    numbers.append(revision())
    outbox.pause(endpoint.id)
    numbers.append(revision())
    outbox.resume(endpoint.id)
    numbers.append(revision())

    assert numbers == [1, 2, 3, 4]


def test_change_of_the_concurrency(place: Place) -> None:
    """A new limit counts at once: the endpoint does not have to earn it."""
    outbox = place.outbox()
    endpoint = add(outbox)

    outbox.change_endpoint(endpoint.id, concurrency=30)

    assert place.rows("SELECT ramp FROM hooksig_endpoints") == [(30,)]


@pytest.mark.parametrize("name", ["state", "id", "no_such"])
def test_what_cannot_be_changed(sqlite: Place, name: str) -> None:
    """What is no argument of `add_endpoint()` is no change."""
    outbox = sqlite.outbox()
    endpoint = add(outbox)

    with pytest.raises(ConfigurationError, match=f"cannot change {name}="):
        outbox.change_endpoint(endpoint.id, **cast("Any", {name: TOKEN}))


ODD_IDS: list[Any] = ["ep_1", "", "%s", "a'b", "🦄", "a\x00b", "a\ud800", "x" * 300, None, 7]


@pytest.mark.parametrize("name", ["endpoint", "pause", "resume", "delete_endpoint"])
def test_no_such_endpoint(place: Place, name: str) -> None:
    """Whatever is asked for, it is the same error."""
    use = getattr(place.outbox(), name)

    for endpoint in ODD_IDS:
        with pytest.raises(UnknownRecord, match=r"^there is no endpoint") as caught:
            use(endpoint)
        assert (caught.value.kind, caught.value.id) == ("endpoint", endpoint)


def test_no_such_endpoint_to_change(place: Place) -> None:
    """Nor is there one to change."""
    outbox = place.outbox()

    for endpoint in ODD_IDS:
        with pytest.raises(UnknownRecord, match=r"^there is no endpoint"):
            outbox.change_endpoint(endpoint, concurrency=3)


def test_list(place: Place) -> None:
    """Endpoints come in the order in which they were added; those of one tenant on request."""
    outbox = place.outbox()
    ids = [add(outbox, tenant=tenant).id for tenant in ("acme", "", "acme")]
    for number, endpoint in enumerate(ids):
        moment = {"at": number, "id": endpoint}
        place.change("UPDATE hooksig_endpoints SET created_at = :at WHERE id = :id", moment)

    assert [each.id for each in outbox.endpoints()] == ids
    assert [each.id for each in outbox.endpoints(tenant="acme")] == [ids[0], ids[2]]
    assert [each.id for each in outbox.endpoints(tenant="")] == [ids[1]]
    assert outbox.endpoints(tenant="Acme") == []


def test_pages(place: Place) -> None:
    """Each page begins after the last endpoint of the one before it, within a tenant, too."""
    outbox = place.outbox()
    ids = [add(outbox, tenant=tenant).id for tenant in ("acme", "", "acme", "acme", "")]
    for number, endpoint in enumerate(ids):
        moment = {"at": number // 2, "id": endpoint}
        place.change("UPDATE hooksig_endpoints SET created_at = :at WHERE id = :id", moment)
    every = [each.id for each in outbox.endpoints()]
    of_acme = [each for each in every if each in {ids[0], ids[2], ids[3]}]

    def page(**options: Any) -> list[str]:
        return [each.id for each in outbox.endpoints(**options)]

    assert sorted(every) == sorted(ids)
    assert page(limit=2) == every[:2]
    assert [page(after=each, limit=2) for each in every] == [
        every[start : start + 2] for start in range(1, 6)
    ]
    assert page(after=every[1]) == every[2:]
    assert page(tenant="acme", limit=1) == of_acme[:1]
    assert page(tenant="acme", after=of_acme[0], limit=5) == of_acme[1:]
    for after in (ids[1], "ep_1", "", "a\x00"):
        with pytest.raises(UnknownRecord, match="there is no endpoint"):
            outbox.endpoints(tenant="acme", after=after)


@pytest.mark.parametrize("limit", [0, 1001, "7", True], ids=named)
def test_page_of_no_length(outbox: Outbox, limit: Any) -> None:
    """A page has between one and a thousand endpoints."""
    with pytest.raises(ConfigurationError, match="limit= must be a whole number from 1 to 1000"):
        outbox.endpoints(limit=limit)


@pytest.mark.parametrize(
    "use",
    [
        Outbox.endpoint,
        Outbox.delete_endpoint,
        Outbox.pause,
        Outbox.resume,
        lambda outbox, endpoint, **options: outbox.change_endpoint(endpoint, rate=2, **options),
        lambda outbox, endpoint, **options: outbox.numbers(endpoint=endpoint, **options),
    ],
    ids=["endpoint", "delete_endpoint", "pause", "resume", "change_endpoint", "numbers"],
)
def test_of_another_tenant(place: Place, use: Callable[..., object]) -> None:
    """It is as unknown as what does not exist, nothing is changed, and its own tenant may."""
    outbox = place.outbox()
    endpoint = add(outbox, tenant="acme")

    for tenant in ("", "Acme", "other"):
        with pytest.raises(UnknownRecord) as caught:
            use(outbox, endpoint.id, tenant=tenant)
        assert str(caught.value) == f"there is no endpoint '{endpoint.id}'"
    with pytest.raises(ConfigurationError, match="tenant= must be a str"):
        use(outbox, endpoint.id, tenant=7)
    assert outbox.endpoints() == [endpoint]
    use(outbox, endpoint.id, tenant="acme")


@pytest.mark.parametrize("tenant", [7, "a\x00b", "a\ud800"], ids=named)
def test_list_of_no_tenant(outbox: Outbox, tenant: Any) -> None:
    """What is no tenant is refused."""
    with pytest.raises(ConfigurationError, match="tenant="):
        outbox.endpoints(tenant=tenant)


# Pausing, resuming and deleting


def test_pause(place: Place) -> None:
    """A paused endpoint has a reason, and a message for those who look at it later."""
    outbox = place.outbox()
    endpoint = add(outbox)
    other = add(outbox)

    assert outbox.pause(endpoint.id, "they move their servers")
    assert not outbox.pause(endpoint.id, "again")

    paused = outbox.endpoint(endpoint.id)
    assert (paused.state, paused.reason) == ("paused", "operator")
    assert paused.message == "they move their servers"
    assert outbox.endpoint(other.id) == other


def test_pause_with_an_odd_message(place: Place) -> None:
    """Each database can store it: as printable ASCII, and not endlessly long."""
    outbox = place.outbox()

    for message in ("a\x00b", "a\ud800", "🦄", "x" * 5000):
        endpoint = add(outbox)
        outbox.pause(endpoint.id, message)
        assert outbox.endpoint(endpoint.id).message.isascii()
        assert len(outbox.endpoint(endpoint.id).message) < 700


def test_resume(place: Place) -> None:
    """It is active again, and begins with one attempt at a time."""
    outbox = place.outbox()
    endpoint = add(outbox)
    assert not outbox.resume(endpoint.id)
    outbox.pause(endpoint.id, "why")
    place.change("UPDATE hooksig_endpoints SET failures = 9, open_until = 9, rate_at = 9")

    assert outbox.resume(endpoint.id)

    resumed = outbox.endpoint(endpoint.id)
    assert (resumed.state, resumed.reason, resumed.message) == ("active", "", "")
    columns = "SELECT failures, open_until, ramp, rate_at, stopped_at FROM hooksig_endpoints"
    assert place.rows(columns) == [(9, 0, 1, 0, None)]


def test_a_pause_does_not_count(place: Place) -> None:
    """Neither for how long an endpoint is failing, nor for how long a delivery holds its lane."""
    outbox = place.outbox()
    endpoint = add(outbox, order="key")
    for key in ("a", "b"):
        place.publish(outbox, "invoice.paid", {}, key=key)
    place.route()
    place.change("UPDATE hooksig_deliveries SET hold_until = 5000 WHERE lane = 'a'")
    place.run(lambda it: stop_endpoint(it, endpoint.id, "paused", "gone", "go"))
    hour = 3_600_000
    columns = "failing_since = 1000, stopped_at = stopped_at - :hour"
    place.change(f"UPDATE hooksig_endpoints SET {columns}", {"hour": hour})

    outbox.resume(endpoint.id)

    ((since,),) = place.rows("SELECT failing_since FROM hooksig_endpoints")
    held = place.rows("SELECT hold_until FROM hooksig_deliveries ORDER BY id")
    assert hour <= since - 1000 < hour + 60_000
    assert held == [(5000 + since - 1000,), (None,)]


def test_a_pause_before_the_clock_was_put_back(place: Place) -> None:
    """It counts as no time at all."""
    outbox = place.outbox()
    endpoint = add(outbox)
    outbox.pause(endpoint.id)
    columns = "failing_since = 1000, stopped_at = stopped_at + 3600000"
    place.change(f"UPDATE hooksig_endpoints SET {columns}")

    outbox.resume(endpoint.id)

    assert place.rows("SELECT failing_since FROM hooksig_endpoints") == [(1000,)]


def test_delete(place: Place) -> None:
    """What is on its way to it is cancelled; what has ended stays, and so do other endpoints."""
    outbox = place.outbox()
    endpoint, other = add(outbox, order="key"), add(outbox, order="key")
    for _ in range(4):
        place.publish(outbox, "invoice.paid", {}, key="a")
    place.route()
    ids = [each.id for each in outbox.deliveries(endpoint=endpoint.id)]
    for state, delivery in zip((2, 3, 4), ids, strict=False):
        values = {"state": state, "id": delivery}
        place.change("UPDATE hooksig_deliveries SET state = :state WHERE id = :id", values)

    outbox.delete_endpoint(endpoint.id)

    assert [each.id for each in outbox.endpoints()] == [other.id]
    deliveries = outbox.deliveries(endpoint=endpoint.id)
    names = ["cancelled", "delivered", "dead", "cancelled"]
    assert [str(each.state) for each in deliveries] == names
    cancelled = deliveries[0]
    assert (cancelled.reason, cancelled.message) == (
        "endpoint-deleted",
        "the endpoint was deleted",
    )
    assert cancelled.ended_at
    assert place.rows("SELECT endpoint FROM hooksig_lanes") == [(other.id,)]
    left = outbox.deliveries(endpoint=other.id, states=["due", "waiting"])
    assert {each.state for each in left} == {DeliveryState.DUE, DeliveryState.WAITING}


def test_an_endpoint_that_is_deleted_meanwhile(place: Place) -> None:
    """A change that comes too late says so."""
    place.outbox()

    with pytest.raises(UnknownRecord, match="there is no endpoint 'ep_1'"):
        place.run(lambda it: alter_endpoint(it, "ep_1", {"ramp": 7}))


# Event types


@pytest.mark.parametrize(
    ("pattern", "taken", "not_taken"),
    [
        ("*", ["a", "a.b", "a/b:c"], []),
        ("a", ["a"], ["A", "ab", "a.b", "b"]),
        ("a.b", ["a.b"], ["a", "a.b.c", "a.bc", "a:b", "A.b"]),
        ("a.*", ["a.b", "a.b.c"], ["a", "ab", "b.a", "A.b", "a:b"]),
        ("a.b.*", ["a.b.c"], ["a.b", "a.bc", "a.c.b"]),
    ],
)
def test_takes(pattern: str, taken: list[str], not_taken: list[str]) -> None:
    """A pattern takes an event type, all below one, or all of them."""
    assert [each for each in taken + not_taken if takes([pattern], each)] == taken
    assert [each for each in taken + not_taken if takes(["no", pattern], each)] == taken


def test_takes_nothing() -> None:
    """No pattern takes nothing."""
    assert not takes([], "a")


def test_rows_have_no_objects(place: Place) -> None:
    """A schedule is data in the row, so that each release can read it."""
    add(place.outbox(), schedule=RetrySchedule((1, 2.5), jitter=0.25))

    ((schedule,),) = place.rows("SELECT schedule FROM hooksig_endpoints")

    assert json.loads(schedule) == [[1, 2.5], 0.25]
