"""The outbox in Django's admin, through Django's test client."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.utils import quote
from django.core.checks.registry import registry
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.test import Client, override_settings
from django.urls import path

from frappe_hooksig.testing import FakeReceiver
from tests.integrations.test_django_outbox import SECRET, add_endpoint, outbox

# isort: split
# What needs Django's settings, which are made by the import of test_django.
from frappe_hooksig.integrations.django.models import Delivery, Endpoint, Message

STATES = ("active", "paused", "disabled")
ADMIN = "/admin/frappe_hooksig/"
OF_DJANGO = ("admin", "auth", "contenttypes", "messages", "sessions")
TEMPLATES = {
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "APP_DIRS": True,
    "OPTIONS": {
        "context_processors": [
            "django.template.context_processors.request",
            "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages",
        ]
    },
}
SITE = {
    "INSTALLED_APPS": [
        "frappe_hooksig.integrations.django",
        *(f"django.contrib.{name}" for name in OF_DJANGO),
    ],
    "MIDDLEWARE": [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    "TEMPLATES": [TEMPLATES],
    "FRAPPE_HOOKSIG_OUTBOX": "tests.integrations.test_django_outbox.outbox",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with the admin, and its database with two users."""
    file = tmp_path_factory.mktemp("site") / "site.sqlite3"
    settings: dict[str, Any] = connections["default"].settings_dict
    before, checks = settings["NAME"], registry.registered_checks.copy()
    settings["NAME"] = str(file)
    connections["default"].close()
    with override_settings(**SITE):
        from django.contrib import admin
        from django.contrib.auth.models import Permission, User

        with override_settings(ROOT_URLCONF=(path("admin/", admin.site.urls),)):
            call_command("migrate", verbosity=0)
            User.objects.create_superuser("root")
            viewer = User.objects.create_user("viewer", is_staff=True)
            viewing = ["view_endpoint", "view_delivery"]
            viewer.user_permissions.set(Permission.objects.filter(codename__in=viewing))
            connections["default"].close()
            yield file
    connections["default"].close()
    settings["NAME"] = before
    # Django's own apps have registered theirs.
    registry.registered_checks = checks


@pytest.fixture(autouse=True)
def _database(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A copy of that database for each test."""
    shutil.copy(site, tmp_path / "site.sqlite3")
    name = str(tmp_path / "site.sqlite3")
    monkeypatch.setitem(connections["default"].settings_dict, "NAME", name)
    outbox.confirm()  # it is a copy
    yield
    outbox.close()
    connections["default"].close()


def client_of(name: str) -> Client:
    """Return the client of a user."""
    from django.contrib.auth.models import User

    client = Client()
    client.force_login(User.objects.get(username=name))
    return client


def shown(client: Client, path: str, **query: str) -> str:
    """Return a page."""
    response = client.get(ADMIN + path, query)
    assert response.status_code == 200
    return response.content.decode()


def act(client: Client, path: str, action: str, *ids: object, **data: str) -> Any:
    """Choose an action for some rows of a list."""
    chosen = {"action": action, "_selected_action": [str(each) for each in ids], **data}
    return client.post(ADMIN + path, chosen, follow=True)


def publish(*payloads: object) -> None:
    """Publish messages, and send what is due."""
    with transaction.atomic():
        for payload in payloads:
            outbox.publish(connection, "invoice.paid", payload, key="INV-1")  # type: ignore[arg-type]
    outbox.drain()


def test_only_with_an_outbox() -> None:
    """Without the setting, the admin shows nothing of it."""
    client = client_of("root")
    assert "frappe_hooksig" in client.get("/admin/").content.decode()

    with override_settings(FRAPPE_HOOKSIG_OUTBOX=None):
        assert "frappe_hooksig" not in client.get("/admin/").content.decode()
        assert client.get(f"{ADMIN}endpoint/").status_code == 403


@pytest.mark.parametrize("path", ["endpoint", "message", "delivery"])
def test_rows_are_not_changed(path: str) -> None:
    """Nobody adds, changes or deletes a row."""
    with FakeReceiver() as receiver:
        endpoint = add_endpoint(receiver.url)
        publish(1)
    client = client_of("root")
    row = endpoint if path == "endpoint" else "1"

    assert client.get(f"{ADMIN}{path}/add/").status_code == 403
    assert client.get(f"{ADMIN}{path}/{row}/delete/").status_code == 403
    assert client.post(f"{ADMIN}{path}/{row}/change/", {"url": "x"}).status_code == 403
    assert "delete_selected" not in shown(client, f"{path}/")
    assert 'name="_save"' not in shown(client, f"{path}/{row}/change/")


def test_endpoint() -> None:
    """It shows where the secret is, and no secret; the whole URL to those who may change it."""
    plain = "https://example.com/T0KEN/?a=b"
    endpoint = add_endpoint(
        plain,
        event_types=["invoice.*"],
        headers_from={"X-Tenant": "env:TENANT"},
        format="envelope",
        order="key",
        rate=2.5,
    )
    page = f"endpoint/{quote(endpoint)}/change/"
    root, viewer = shown(client_of("root"), page), shown(client_of("viewer"), page)

    assert "T0KEN" in root
    assert "T0KEN" not in viewer
    assert "T0KEN" not in shown(client_of("root"), "endpoint/")
    for text in ("example.com", "secret from test:a", "invoice.*", "X-Tenant", "2.5 in a second"):
        assert text in viewer
    assert "envelope" in viewer
    assert "env:TENANT" not in root
    assert SECRET not in root


@pytest.mark.parametrize("condition", ["url__startswith", "secrets__startswith", "tenant"])
def test_no_other_filters(condition: str) -> None:
    """Nobody finds out what they are not shown, letter by letter."""
    add_endpoint("https://example.com/T0KEN/")
    client = client_of("viewer")

    assert client.get(f"{ADMIN}endpoint/", {condition: "h"}).status_code == 400
    assert client.get(f"{ADMIN}delivery/", {f"endpoint__{condition}": "h"}).status_code == 400


def test_pause_and_resume() -> None:
    """Those that were in another state are counted, and the admin's history tells of it."""
    paused, active = add_endpoint(), add_endpoint()
    outbox.pause(paused)
    client = client_of("root")

    page = act(client, "endpoint/", "pause", paused, active).content.decode()
    assert "1 of 2 endpoints were paused." in page
    assert outbox.endpoint(active).message == "paused in the admin by root"
    found = [f"({active})" in shown(client, "endpoint/", state=each) for each in STATES]
    assert found == [False, True, False]
    assert "It was paused." in shown(client, f"endpoint/{quote(active)}/history/")

    page = act(client, "endpoint/", "resume", paused, active).content.decode()
    assert "2 of 2 endpoints were resumed." in page
    assert [each.state for each in outbox.endpoints()] == ["active", "active"]


def test_sending_a_test() -> None:
    """Each active endpoint gets one, and the admin's history tells of it."""
    with FakeReceiver() as receiver:
        paused, active = add_endpoint(receiver.url), add_endpoint(receiver.url)
        outbox.pause(paused)

        page = act(client_of("root"), "endpoint/", "send_test", paused, active).content.decode()
        outbox.drain()
        assert [each.json() for each in receiver.requests] == [{"test": True}]

    assert "1 of 2 endpoints were sent a test." in page
    assert "It was sent a test." in shown(client_of("root"), f"endpoint/{quote(active)}/history/")
    (delivery,) = outbox.deliveries()
    assert (delivery.endpoint_id, str(delivery.state)) == (active, "delivered")


def test_endpoint_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was deleted since the list was made is not counted."""
    endpoint = add_endpoint()
    pause = outbox.pause

    def deleted_before(endpoint_id: str, why: str) -> bool:
        outbox.delete_endpoint(endpoint_id)
        return pause(endpoint_id, why)

    monkeypatch.setattr(outbox, "pause", deleted_before)
    page = act(client_of("root"), "endpoint/", "pause", endpoint).content.decode()

    assert "0 of 1 endpoints were paused." in page


def test_viewer_may_not_act() -> None:
    """Who may only look has no actions."""
    endpoint = add_endpoint()
    client = client_of("viewer")

    assert 'name="action"' not in shown(client, "endpoint/")
    act(client, "endpoint/", "pause", endpoint)

    assert outbox.endpoint(endpoint).state == "active"
    assert client.get(f"{ADMIN}message/").status_code == 403


def test_message() -> None:
    """A message has a preview of its payload, and a link to its deliveries."""
    add_endpoint()
    publish("<b>" + "x" * 5000, b"\xff\x00\xe2\x80\xae")
    client = client_of("root")
    first, second = Message.objects.order_by("seq")

    page = shown(client, f"message/{first.seq}/change/")
    assert "&lt;b&gt;xxx" in page
    assert "... 907 bytes more" in page
    assert "\ufffd\ufffd\ufffd</pre>" in shown(client, f"message/{second.seq}/change/")
    assert f'href="{ADMIN}delivery/?q={first.id}"' in page
    assert "INV-1" in shown(client, "message/", q=first.id)
    assert second.id not in shown(client, "message/", q=first.id)
    assert str(first) == first.id


def test_delivery() -> None:
    """A delivery shows its attempts, and the receiver's answers as text."""
    from frappe_hooksig.testing import Answer

    with FakeReceiver([Answer(500, body=b"<script>alert(1)</script>")]) as receiver:
        add_endpoint(receiver.url)
        publish({"total": 7})
    (delivery,) = Delivery.objects.all()
    page = f"delivery/{delivery.id}/change/"
    root, viewer = shown(client_of("root"), page), shown(client_of("viewer"), page)

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in viewer
    assert "<script>alert" not in viewer
    assert "refused 500" in viewer
    assert "127.0.0.1" in viewer
    assert "total" not in viewer
    assert "{&quot;total&quot;:7}" in root.replace(" ", "")


def test_delivery_filters() -> None:
    """Deliveries are found by state, by endpoint and by the id of their message."""
    with FakeReceiver() as receiver:
        good, bad = add_endpoint(receiver.url), add_endpoint()
        publish(1)
    client = client_of("viewer")

    assert count(client) == 2
    assert count(client, state="delivered") == 1
    assert count(client, state="dead") == 0
    assert count(client, endpoint=good, state="due") == 0
    assert count(client, endpoint=bad, state="due") == 1
    assert count(client, q=Message.objects.get().id) == 2
    assert count(client, q="nonsense") == 0
    outbox.delete_endpoint(bad)
    assert "a deleted endpoint" in shown(client, "delivery/", state="cancelled")


def count(client: Client, **query: str) -> int:
    """Return how many rows the list of deliveries has."""
    return shown(client, "delivery/", **query).count('class="field-sent_as"')


@pytest.mark.parametrize("is_atomic", [False, True])
@pytest.mark.parametrize("way", ["send_again", "send_as_new"])
def test_sending(way: str, is_atomic: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """It is asked how many are meant; with the answer, they are sent."""
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", is_atomic)
    with FakeReceiver() as receiver:
        add_endpoint(receiver.url)
        deleted = add_endpoint(receiver.url)
        publish(1, 2)
        outbox.delete_endpoint(deleted)
        ids = [each.id for each in outbox.deliveries()]
        client = client_of("root")

        page = act(client, "delivery/", way, *ids).content.decode()
        assert 'value="Send 2"' in page
        assert "2 of those that you selected are left alone" in page
        assert {each.state for each in outbox.deliveries()} == {3}

        confirmed = {"confirmed": str(max(ids))}
        page = act(client, "delivery/", way, *ids, **confirmed).content.decode()
        assert "2 deliveries are sent." in page
        outbox.drain()
        seen = [request.header("webhook-id") for request in receiver.requests]
    assert len(seen) == 6
    assert len({*seen}) == {"send_again": 2, "send_as_new": 4}[way]


def test_sending_all_of_a_filter() -> None:
    """All pages of a list can be chosen; what has ended since the question is not meant."""
    with FakeReceiver() as receiver:
        add_endpoint(receiver.url)
        publish(1, 2, 3)
        newest = Delivery.objects.latest("id").id
        publish(4)
    client = client_of("root")
    everything = {"select_across": "1", "confirmed": str(newest)}

    page = act(client, "delivery/?state=delivered", "send_again", 1, **everything)

    assert "3 deliveries are sent." in page.content.decode()


def test_nothing_to_send() -> None:
    """What has not ended is left alone, and the question says so."""
    add_endpoint()
    publish(1)
    (delivery,) = Delivery.objects.all()
    client = client_of("root")

    page = act(client, "delivery/", "send_again", delivery.id).content.decode()
    assert 'value="Send 0"' in page
    page = act(client, "delivery/", "send_again", delivery.id, confirmed="0").content.decode()
    assert "0 deliveries are sent." in page


def test_names() -> None:
    """Rows are named by what a reader knows them by, and never by the path of a URL."""
    add_endpoint("https://example.com:8443/T0KEN/")
    endpoint = Endpoint.objects.get()

    assert str(endpoint) == f"example.com:8443 ({endpoint.id})"
