"""examples/frappe_app, in the stand-in for Frappe; real sites have run it by hand."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import frappe
import jinja2
import pytest
from webhook_example import hooks, senders

from frappe_hooksig import Secret, providers, sign_payload
from frappe_hooksig.scheme import Scheme
from tests.frappe_bench import VERSIONS, Bench, Site, valkey
from tests.loopback import ROOT, Answer, Server

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


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A bench of the newest version."""
    with valkey() as url:
        yield Bench(tmp_path_factory.mktemp("sites"), VERSIONS[-1], url)


@pytest.fixture(scope="module")
def site(bench: Bench) -> Site:
    """A site with the app's settings."""
    site = bench.new_site("127.0.0.1", webhook_secret=SECRET)
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
