"""examples/frappe_app, in the stand-in for Frappe; real sites have run it by hand."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import frappe
import jinja2
import pytest
import redis
from webhook_example import hooks, refusals, senders

from frappe_hooksig import Secret, providers, sign_payload
from frappe_hooksig.observe import Event
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.testing import check_receiver
from tests.frappe_bench import VERSIONS, Bench, Site, valkey
from tests.frappe_sender import ORDER, rendered, template_of_docs
from tests.loopback import ROOT, SECONDS_TO_START, Answer, Server

APP = ROOT / "examples" / "frappe_app" / "webhook_example"
DOCTYPES = {
    doctype["name"]: doctype
    for doctype in (json.loads(path.read_text()) for path in APP.glob("*/doctype/*/*.json"))
}
SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
OLD = "8Kx2Wm5Rt9Yb3Nc6Vf1Zq4Hs"
WHSEC = "whsec_Rw5Jx9Pf1Gs7Dk3Bn6Qm2Yt8"
SENDERS: dict[str, tuple[Scheme, str]] = {
    "frappe_site": (providers.FRAPPE, SECRET),
    "github": (providers.GITHUB, OLD),
    "stripe": (providers.STRIPE, WHSEC),
    "shop": (providers.SHOPIFY, SECRET),
    "payments": (providers.RAZORPAY, SECRET),
}
EVENT = b'{"id": "evt_1", "name": "SO-00001"}'
SIGNATURE = "X-Frappe-Webhook-Signature"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A bench of the newest version."""
    with valkey() as url:
        yield Bench(tmp_path_factory.mktemp("sites"), VERSIONS[-1], url)


@pytest.fixture(scope="module")
def site(bench: Bench) -> Site:
    """A site with the app's settings."""
    site = bench.new_site(
        "127.0.0.1", webhook_secret=SECRET, frappe_hooksig_allowed_hosts=["127.0.0.1"]
    )
    for fieldname, secret in (
        ("github_secret", SECRET),
        ("previous_github_secret", OLD),
        ("stripe_secret", WHSEC),
        ("shop_secret", SECRET),
        ("payments_secret", SECRET),
        ("sending_secret", OLD),
    ):
        assert fieldname in DOCTYPES[senders.SETTINGS]["field_order"]
        site.set_password(senders.SETTINGS, senders.SETTINGS, fieldname, secret)
    return site


@pytest.fixture(scope="module")
def server(bench: Bench, site: Site) -> Iterator[Server]:
    """A gunicorn."""
    assert site.name == "127.0.0.1"
    with bench.serve() as running:
        yield running


def send(server: Server, name: str, headers: dict[str, str], body: bytes = EVENT) -> Answer:
    """Send to a receiver of the app's."""
    return server.send(f"/api/method/webhook_example.receivers.{name}", body, headers)


def events(site: Site, doctype: str = "Webhook Example Event") -> list[Any]:
    """Return what was kept."""
    query = "select fields from documents where doctype = ?"
    return [json.loads(fields) for (fields,) in site.sql(query, doctype)]


# Of Password fields it is the field's name; what site_config.json holds has none.
SECRET_IDS = {
    "frappe_site": "",
    "github": "previous_github_secret",
    "stripe": "stripe_secret",
    "shop": "shop_secret",
    "payments": "payments_secret",
}


@pytest.mark.parametrize("name", SENDERS)
def test_receiver(bench: Bench, server: Server, site: Site, name: str) -> None:
    """It is kept once, however often it comes, and handled; what is forged is not."""
    scheme, secret = SENDERS[name]
    site.sql("delete from documents")

    with bench.work() as worker:
        for status in ("received", "duplicate"):
            signed = sign_payload(EVENT, secret, scheme=scheme)
            assert send(server, name, signed.headers).json()["message"]["status"] == status
        assert send(server, name, signed.headers, b"{}").status == 401
        assert send(server, name, {}).outcome == (401, "missing-header")
        while events(site)[0].get("status") != "Handled":
            assert "Traceback" not in worker.log

    (event,) = events(site)
    assert json.loads(event["payload"]) == json.loads(EVENT)
    assert event["secret_id"] == SECRET_IDS[name]
    assert event.keys() - {"doctype", "name", "status"} <= set(
        DOCTYPES["Webhook Example Event"]["field_order"]
    )


def test_event_that_is_no_json(server: Server, site: Site) -> None:
    """It is refused, and nothing of it is kept."""
    site.sql("delete from documents")
    signed = sign_payload(b"{", SECRET)

    assert send(server, "frappe_site", signed.headers, b"{").outcome == (400, "malformed-payload")
    assert events(site) == []


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"'])
def test_event_that_cannot_be_read(server: Server, site: Site, body: bytes) -> None:
    """The sender's administrator reads what is wrong, and nothing of it is kept."""
    site.sql("delete from documents")
    answer = send(server, "frappe_site", sign_payload(body, SECRET).headers, body)

    assert answer.outcome == (400, "malformed-payload")
    assert "JSON Request Body of the README" in answer.json()["message"]
    assert events(site) == []


def test_template_of_the_docs(server: Server, site: Site) -> None:
    """The README asks for the template of the docs, and what it makes is kept."""
    site.sql("delete from documents")
    template = template_of_docs()
    request = rendered(template, ORDER, SECRET)

    answer = send(server, "frappe_site", request.headers, request.body)

    assert answer.json()["message"]["status"] == "received"
    (event,) = events(site)
    assert json.loads(event["payload"])["data"] == ORDER
    assert template.strip() in (APP.parent / "README.md").read_text()


def test_job_that_is_lost(bench: Bench, server: Server, site: Site) -> None:
    """Its event waits in the table, and the scheduler has it handled."""
    site.sql("delete from documents")
    body = b'{"n": "lost"}'
    assert send(server, "frappe_site", sign_payload(body, SECRET).headers, body).status == 200
    assert redis.Redis.from_url(bench.redis).delete("rq:queue:default") == 1
    assert [event["status"] for event in events(site)] == ["Received"]

    (function,) = hooks.scheduler_events["cron"]["*/10 * * * *"]
    module, _, name = function.rpartition(".")
    frappe.init(site.name, str(bench.folder))
    frappe.connect()
    getattr(importlib.import_module(module), name)()
    frappe.db.commit()
    frappe.destroy()
    with bench.work() as worker:
        while events(site)[0]["status"] != "Handled":
            assert "Traceback" not in worker.log


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/hook", None])
def test_senders(monkeypatch: pytest.MonkeyPatch, bench: Bench, site: Site, url: Any) -> None:
    """Each event in hooks.py has its function, which leaves a job if there is somebody to tell."""
    jobs: list[dict[str, Any]] = []
    monkeypatch.setattr(
        frappe, "enqueue", lambda job, **options: jobs.append({"job": job} | options)
    )
    site.sql("delete from documents")
    settings = {"doctype": senders.SETTINGS, "name": senders.SETTINGS, "send_to": url}
    order = {"doctype": "Webhook Example Order", "name": "WEO-1", "customer": "Zoë", "amount": 5.0}
    assert order.keys() - {"doctype", "name"} <= set(DOCTYPES[order["doctype"]]["field_order"])

    frappe.init(site.name, str(bench.folder))
    frappe.connect()
    frappe.get_doc(settings).insert()
    for function in hooks.doc_events["Webhook Example Order"].values():
        module, _, name = function.rpartition(".")
        getattr(importlib.import_module(module), name)(frappe.get_doc(order), "on_submit")
    secrets = [job["secret"](None) for job in jobs]
    frappe.destroy()

    assert [json.loads(job["body"])["event"] for job in jobs] == (
        ["order.created", "order.submitted"] if url else []
    )
    assert secrets == [(Secret(OLD, id="sending_secret"),)] * len(jobs)
    assert all(job["enqueue_after_commit"] and job["url"] == url for job in jobs)


def test_webhook_documents() -> None:
    """The documents to duplicate are switched off, sign once they are on, and render the same."""
    webhooks = json.loads((APP / "fixtures" / "webhook.json").read_text())
    environment = jinja2.Environment()
    environment.filters["json"] = lambda value: json.dumps(value, indent=1, sort_keys=True)
    doc = {"doctype": "Webhook Example Order", "name": 'W"1', "modified": "2026-11-22 09:35:43.01"}

    assert [each["webhook_docevent"] for each in webhooks] == ["after_insert", "on_submit"]
    for webhook in webhooks:
        assert (webhook["enabled"], webhook["enable_security"]) == (0, 0)
        assert webhook["webhook_doctype"] in DOCTYPES
        rendered = json.loads(environment.from_string(webhook["webhook_json"]).render(doc=doc))
        assert rendered == doc | {"event": webhook["webhook_docevent"], "data": doc}


def test_is_an_app() -> None:
    """What bench and Frappe look for is there."""
    assert (APP / "modules.txt").read_text().split("\n")[0] == "Webhook Example"
    assert (APP / "patches.txt").exists()
    for name in DOCTYPES:
        slug = name.lower().replace(" ", "_")
        folder = Path(APP, "webhook_example", "doctype", slug)
        module = importlib.import_module(f"webhook_example.webhook_example.doctype.{slug}.{slug}")
        assert hasattr(module, name.replace(" ", ""))
        assert (folder / "__init__.py").exists()


@pytest.mark.parametrize("name", SENDERS)
def test_hostile(server: Server, name: str) -> None:
    """No hostile request finds a mistake, and no delivery is received twice."""
    scheme, secret = SENDERS[name]
    url = f"http://127.0.0.1:{server.port}/api/method/webhook_example.receivers.{name}"
    events = {"shop": {"X-Shopify-Topic": "orders/create"}}

    check_receiver(url, scheme, secret, handles_once=True, headers=events.get(name))


def listed(site: Site, count: int) -> list[Any]:
    """Return the list of refused requests, the oldest first, once it has so many rows."""
    deadline = time.monotonic() + SECONDS_TO_START
    while len(rows := events(site, refusals.REFUSED)) < count:
        assert time.monotonic() < deadline, rows
        time.sleep(0.01)
    return sorted(rows, key=lambda row: str(row["received_at"]))


def send_to_site(
    server: Server, site: Site, name: str, headers: list[tuple[str, str]], body: bytes = EVENT
) -> Answer:
    """Send to a receiver of the app's in a certain site."""
    path = f"/api/method/webhook_example.receivers.{name}?token=in-the-query"
    return server.send(path, body, [("X-Frappe-Site-Name", site.name), *headers])


def test_refused_webhooks(bench: Bench, server: Server) -> None:
    """The site lists each refused request, and no accepted one, without values and bodies."""
    site = bench.new_site("refused.example", webhook_secret=SECRET)
    site.set_password(senders.SETTINGS, senders.SETTINGS, "stripe_secret", WHSEC)
    genuine = list(sign_payload(EVENT, SECRET).headers.items())
    late = sign_payload(EVENT, WHSEC, scheme=providers.STRIPE, timestamp=int(time.time()) - 900)
    github = sign_payload(EVENT, SECRET, scheme=providers.GITHUB)
    not_json = sign_payload(b"{", SECRET)

    answers = [
        send_to_site(server, site, "frappe_site", []),
        send_to_site(server, site, "frappe_site", [(SIGNATURE, "<b>hostile</b>")]),
        send_to_site(server, site, "frappe_site", [*genuine, *genuine]),
        send_to_site(server, site, "frappe_site", genuine, b'{"in": "the-body"}'),
        send_to_site(server, site, "frappe_site", genuine),
        send_to_site(server, site, "stripe", [*late.headers.items()]),
        send_to_site(server, site, "frappe_site", [*not_json.headers.items()], b"{"),
        send_to_site(server, site, "github", [*github.headers.items()]),
    ]

    assert [answer.status for answer in answers] == [401, 400, 400, 401, 200, 401, 400, 500]
    rows = listed(site, 7)
    assert [(row["reason"], row["status"]) for row in rows] == [
        ("missing-header", 401),
        ("malformed-header", 400),
        ("duplicate-header", 400),
        ("signature-mismatch", 401),
        ("timestamp-too-old", 401),
        ("malformed-payload", 400),
        ("ConfigurationError", None),
    ]
    assert rows[0]["request"] == "POST /api/method/webhook_example.receivers.frappe_site"
    assert (rows[3]["header"], rows[3]["body_length"]) == (SIGNATURE, 18)
    assert "github_secret" in rows[6]["message"]
    assert SIGNATURE in rows[3]["header_names"]
    columns = set(DOCTYPES[refusals.REFUSED]["field_order"])
    for row in rows:
        assert row.keys() - {"doctype", "name"} <= columns
        for value in ("in-the-query", "hostile", "the-body", dict(genuine)[SIGNATURE], SECRET):
            assert value not in json.dumps(row)


def test_list_is_for_administrators() -> None:
    """System Managers read and delete what is listed. Nobody else does, and nobody changes it."""
    (permission,) = DOCTYPES[refusals.REFUSED]["permissions"]

    granted = {name for name, value in permission.items() if value == 1}
    assert permission["role"] == "System Manager"
    assert granted == {"read", "delete", "export", "print", "report"}
    for field in DOCTYPES[refusals.REFUSED]["fields"]:
        assert field["fieldtype"].endswith("Break") or field["read_only"]


@pytest.mark.parametrize("options", [("--threads=4",), ("--preload", "--workers=2")])
def test_sites_of_one_server(bench: Bench, options: tuple[str, ...]) -> None:
    """Each site lists its own refused requests, however its server runs."""
    names = [f"{each}-{len(options)}.example" for each in ("one", "other")]
    one, other = (bench.new_site(name, webhook_secret=SECRET) for name in names)
    wrong = {one: [], other: [(SIGNATURE, "x")]}

    with bench.serve(*options) as server, ThreadPoolExecutor(4) as pool:
        sent = [
            pool.submit(send_to_site, server, site, name, wrong[site])
            for _ in range(5)
            for name in ("frappe_site", "frappe_site", "shop")
            for site in (one, other)
        ]
        assert {each.result().status for each in sent} == {400, 401}
        rows = {site: listed(site, 15) for site in (one, other)}

    assert {row["reason"] for row in rows[one]} == {"missing-header"}
    assert {row["reason"] for row in rows[other]} == {"missing-header", "malformed-header"}


def test_flood(bench: Bench, server: Server) -> None:
    """A stranger who sends many requests fills neither the list nor the database."""
    site = bench.new_site("flood.example", webhook_secret=SECRET)

    outcomes = {send_to_site(server, site, "frappe_site", []).outcome for _ in range(100)}

    assert outcomes == {(401, "missing-header")}
    assert len(listed(site, refusals.MOST_ROWS_A_MINUTE)) == refusals.MOST_ROWS_A_MINUTE


def refused(site: Site, **facts: Any) -> Event:
    """Return an event about a refused request."""
    known = {"kind": "refused", "reason": "missing-header", "endpoint": "e", "scheme": "frappe"}
    request = {"method": "POST", "path": "/", "header_names": (), "seconds": 0.0}
    return Event(**{**known, **request, "site": site.name, **facts})


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> list[Callable[[], None]]:
    """What the list of refused requests puts off for a minute."""
    waiting: list[Callable[[], None]] = []

    class PutOff:
        def __init__(
            self, seconds: float, function: Callable[[str], None], args: list[str]
        ) -> None:
            assert seconds == 60
            self.start = lambda: waiting.append(lambda: function(*args))

    monkeypatch.setattr(refusals, "Timer", PutOff)
    monkeypatch.setenv("SITES_PATH", str(bench.folder))
    return waiting


def test_requests_that_are_left_out(bench: Bench, timers: list[Callable[[], None]]) -> None:
    """One row counts the requests of a minute that have no row; then the list goes on."""
    site = bench.new_site("left-out.example")
    for _ in range(refusals.MOST_ROWS_A_MINUTE + 3):
        refusals.keep_refused(refused(site))
    timers.pop()()  # too early
    assert len(listed(site, 0)) == refusals.MOST_ROWS_A_MINUTE
    an_hour_ago = str(datetime.now() - timedelta(hours=1))  # noqa: DTZ005  # as Frappe has it
    site.sql("update documents set fields = json_set(fields, '$.received_at', ?)", an_hour_ago)

    (timer,) = timers
    timer()
    refusals.keep_refused(refused(site, reason="other"))

    *_, counted, newest = listed(site, 0)
    assert (counted["reason"], newest["reason"]) == ("left-out", "other")
    assert counted["message"].startswith("3 more requests were refused")
    assert len(timers) == 1


def test_most_rows(bench: Bench, timers: list[Callable[[], None]]) -> None:
    """The list has so many rows at most, the newest."""
    site = bench.new_site("most.example")
    for day in range(1, 29):
        for minute in range(9):
            row = {"name": f"{day}-{minute}", "received_at": f"2026-10-{day:02} 00:0{minute}:00"}
            fields = json.dumps(row)
            site.sql(
                "insert into documents values (?, ?, ?)", refusals.REFUSED, row["name"], fields
            )

    refusals.keep_refused(refused(site))

    rows = listed(site, 0)
    assert len(rows) == refusals.MOST_ROWS
    assert (rows[0]["name"], rows[-1]["reason"]) == ("6-8", "missing-header")
    assert not timers


def test_other_events_are_not_listed(bench: Bench, timers: list[Callable[[], None]]) -> None:
    """What was not refused has no row."""
    site = bench.new_site("accepted.example")

    for kind in ("accepted", "handled", "failed", "ignored", "duplicate", "in-flight"):
        refusals.keep_refused(refused(site, kind=kind))

    assert not listed(site, 0)
    assert not timers


def test_markup_of_a_stranger(bench: Bench, timers: list[Callable[[], None]]) -> None:
    """What the sender chooses shows as text, wherever the list is shown."""
    site = bench.new_site("markup.example")

    refusals.keep_refused(refused(site, path="/<script>", header_names=("Host", "<b>")))

    (row,) = listed(site, 1)
    assert (row["request"], row["header_names"]) == ("POST /&lt;script&gt;", "Host, &lt;b&gt;")
    assert not timers


def test_list_of_another_site(bench: Bench, timers: list[Callable[[], None]]) -> None:
    """The observer leaves the site of its caller alone."""
    one, other = bench.new_site("here.example"), bench.new_site("there.example")
    frappe.init(one.name, str(bench.folder))
    frappe.connect()

    refusals.keep_refused(refused(other))

    assert frappe.local.site == one.name
    assert not frappe.get_all(refusals.REFUSED, fields=["name"], order_by="name")
    frappe.destroy()
    assert len(listed(other, 1)) == 1
    assert not timers


def test_list_that_cannot_be_written(bench: Bench, server: Server) -> None:
    """Without its table, the responses are the same, and the log of the site says it once."""
    site = bench.new_site("no-table.example", webhook_secret=SECRET)
    before = send_to_site(server, site, "frappe_site", [])
    listed(site, 1)
    site.sql("alter table documents rename to elsewhere")
    log = site.database.parent / "logs" / "webhook_example.log"

    answers = [send_to_site(server, site, name, []) for name in ("frappe_site", "shop") * 3]

    assert [(each.status, each.body) for each in answers[::2]] == [(401, before.body)] * 3
    while not (log.exists() and log.read_text()):
        assert server.log.count("Traceback") == 0
    assert log.read_text().count("cannot list refused webhooks") == 1


def test_list_that_can_be_written_again(bench: Bench, timers: list[Callable[[], None]]) -> None:
    """Once the table is there again, the list goes on, and counts what it lacks."""
    site = bench.new_site("again.example")
    log = site.database.parent / "logs" / "webhook_example.log"
    for times in (1, 2):
        site.sql("alter table documents rename to elsewhere")
        refusals.keep_refused(refused(site))
        timers.pop()()
        refusals.keep_refused(refused(site))
        site.sql("alter table elsewhere rename to documents")
        timers.pop()()

        assert [row["message"][:6] for row in listed(site, times)] == ["2 more"] * times
        assert log.read_text().count("cannot list refused webhooks") == times
    assert not timers
