"""The pages of endpoints."""

from __future__ import annotations

import os
import re

import pytest
from delivery_service.formats import SCHEMES, FormatName

from frappe_hooksig import Verifier
from frappe_hooksig.sending import RetrySchedule
from frappe_hooksig.testing import FakeReceiver
from tests.delivery_service.pages.visiting import Visitor, field_of, secret_of
from tests.delivery_service.running import Service

HOSTILE = "</script><script>alert(1)</script>\"' onload=x {{7*7}} \u202e"
NEW = {"url": "https://hooks.example/a", "event_types": "*", "format": "standard"}


def test_empty(visitor: Visitor) -> None:
    """Without endpoints, the page says what to do."""
    assert "Add the first one" in visitor.get("/endpoints").text


def test_add(service: Service, visitor: Visitor, tenant: str) -> None:
    """A new endpoint shows its secret once, and nowhere else."""
    answer = visitor.submit(
        "/endpoints/new",
        **NEW | {"description": "Shop", "event_types": "a.b\nc.*", "headers": "X-Team: blue"},
    )
    secret = secret_of(answer.text)
    (found,) = service.state.account(tenant).endpoints(limit=10)
    shown = visitor.get(f"/endpoints/{found.endpoint.id}").text

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert "location" not in answer.headers
    assert secret.startswith("whsec_")
    assert (found.description, found.endpoint.event_types) == ("Shop", ("a.b", "c.*"))
    assert found.endpoint.header_names == ("X-Team",)
    assert secret not in shown
    assert "blue" not in shown
    assert secret not in "".join(service.log)


@pytest.mark.parametrize(
    ("chosen", "secret"),
    [("x-webhook", "of-the-receiver_0123456789"), ("standard", "whsec_" + "YWJj" * 8)],
    ids=["X-Webhook", "Standard Webhooks"],
)
def test_own_secret(
    service: Service, visitor: Visitor, tenant: str, chosen: FormatName, secret: str
) -> None:
    """A secret that the receiver has already signs, and is shown nowhere."""
    with FakeReceiver() as receiver:
        fields = NEW | {"url": receiver.url, "format": chosen, "secret": f" {secret} "}
        answer = visitor.submit("/endpoints/new", **fields)
        service.deliver(tenant)
        (request,) = receiver.requests
    shown = visitor.get(answer.headers["location"]).text

    assert "signed with the secret that you gave" in shown
    assert secret not in answer.text + shown + "".join(service.log)
    Verifier(secret, scheme=SCHEMES[chosen]).verify(request.body, request.headers)


def test_secret_after_an_error(visitor: Visitor) -> None:
    """The form after an error has the format, but not the secret, and says so."""
    fields = NEW | {"format": "x-webhook", "secret": "of-the-receiver_0123456789", "url": "x"}
    answer = visitor.submit("/endpoints/new", **fields)

    assert "of-the-receiver" not in answer.text
    assert "Enter it again" in answer.text
    assert re.search('value="x-webhook" checked', answer.text)
    assert (
        'type="password" maxlength="200" autocomplete="off"' in visitor.get("/endpoints/new").text
    )


def test_add_twice(service: Service, visitor: Visitor, tenant: str) -> None:
    """A second click, or a page that is loaded again, adds no second endpoint."""
    form_id = field_of(visitor.get("/endpoints/new").text, "form_id")
    answers = [visitor.submit("/endpoints/new", **NEW, form_id=form_id) for _ in range(2)]

    assert [each.status_code for each in answers] == [200, 409]
    assert "is shown only once" in answers[1].text
    assert len(service.state.account(tenant).endpoints(limit=10)) == 1


UNUSABLE = {
    "javascript": {"url": "javascript:alert(1)"},
    "no URL": {"url": ""},
    "IPv6": {"url": "http://[::1]:9/x"},
    "other characters": {"url": "https://hooks.example/ü"},
    "a password in it": {"url": "https://a:b@hooks.example"},
    "a long URL": {"url": "https://hooks.example/" + "a" * 3000},
    "NUL": {"url": "https://hooks.example/\0"},
    "no event type": {"event_types": ""},
    "no such event type": {"event_types": "a b"},
    "a long description": {"description": "a" * 201},
    "no format": {"format": "other"},
    "no header": {"headers": "Authorization"},
    "a header twice": {"headers": "X-A: b\nX-A: c"},
    "a header of ours": {"headers": "Host: evil.example"},
    "51 event types": {"event_types": "\n".join(f"a.{number}" for number in range(51))},
    "21 headers": {"headers": "\n".join(f"X-{number}: a" for number in range(21))},
    "a short name": {"headers": "X: b"},
    "a secret of another format": {"secret": "of-the-receiver_0123456789"},
    "a short secret": {"format": "x-webhook", "secret": "abc"},
    "a control character": {"headers": "X-A: b\x01c"},
}


@pytest.mark.parametrize("fields", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_unusable(service: Service, visitor: Visitor, tenant: str, fields: dict[str, str]) -> None:
    """What cannot be used is said above the form, which keeps what was typed."""
    answer = visitor.submit("/endpoints/new", **NEW | {"description": "Shop"} | fields)

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert "Shop" in answer.text or "description" in fields
    assert not service.state.account(tenant).endpoints(limit=10)


@pytest.mark.parametrize(
    ("field", "value"),
    [("url", "http://[::1]:9/x"), ("event_types", "a b"), ("secret", "abc"), ("headers", "X")],
)
def test_unusable_field(visitor: Visitor, field: str, value: str) -> None:
    """The one field that cannot be used is marked, and leads to the reason."""
    text = visitor.submit("/endpoints/new", **NEW | {field: value}).text
    (marked,) = re.findall(r'name="(\w+)"[^>]* aria-invalid="true"[^>]* problem"', text)

    assert marked == field
    assert not re.search(r"\w=( |`)", re.findall('id="problem".*', text)[0].partition(">")[2])


def test_unchanged_url(service: Service, visitor: Visitor, tenant: str) -> None:
    """The rule for URLs is for new ones: an endpoint can be changed with the one that it has."""
    endpoint = service.endpoint(tenant, "http://[::1]:9/x")
    path = f"/endpoints/{endpoint}/change"
    kept = NEW | {"url": "http://[::1]:9/x", "headers_are": "kept"}
    answers = [visitor.submit(path, **kept | more) for more in ({}, {"url": "http://[::1]:9/y"})]

    assert [each.status_code for each in answers] == [303, 422]


def test_hostile_texts(service: Service, visitor: Visitor, tenant: str) -> None:
    """What a tenant writes is text wherever it is shown."""
    endpoint = service.endpoint(
        tenant, f"https://hooks.example/?{'%3C' * 100}", description=HOSTILE
    )
    service.state.account(tenant).pause(endpoint, HOSTILE)
    service.deliver(tenant)
    paths = [
        "/endpoints",
        "/deliveries",
        f"/deliveries?endpoint={endpoint}",
        *[f"/endpoints/{endpoint}{each}" for each in ("", "/change", "/rotate", "/delete")],
    ]

    for text in (visitor.get(each).text for each in paths):
        assert "&lt;/script&gt;" in text
        assert "<script>alert" not in text
        assert "{{7*7}}" in text


def test_change(service: Service, visitor: Visitor, tenant: str) -> None:
    """A change keeps what it does not name: the headers."""
    endpoint = service.endpoint(tenant, headers={"X-Team": "blue"})
    form = visitor.get(f"/endpoints/{endpoint}/change").text
    answer = visitor.submit(
        f"/endpoints/{endpoint}/change",
        url="https://hooks.example/",
        event_types="x.*",
        description="Other",
        headers_are="kept",
    )
    after = service.state.account(tenant).endpoint(endpoint)

    assert "https://hooks.example/" in form
    assert answer.headers["location"] == f"/endpoints/{endpoint}"
    assert "The endpoint was changed." in visitor.get(f"/endpoints/{endpoint}").text
    assert (after.endpoint.event_types, after.description) == (("x.*",), "Other")
    assert after.endpoint.header_names == ("X-Team",)


@pytest.mark.parametrize(
    ("choice", "names"), [("replaced", ("X-New",)), ("none", ())], ids=["replaced", "none"]
)
def test_change_headers(
    service: Service, visitor: Visitor, tenant: str, choice: str, names: tuple[str, ...]
) -> None:
    """Headers are replaced or removed."""
    endpoint = service.endpoint(tenant, headers={"X-Team": "blue"})
    visitor.submit(f"/endpoints/{endpoint}/change", **NEW, headers_are=choice, headers="X-New: red")

    assert service.state.account(tenant).endpoint(endpoint).endpoint.header_names == names


def test_headers_of_another_receiver(service: Service, visitor: Visitor, tenant: str) -> None:
    """Another receiver does not get the headers of the one before by mistake."""
    endpoint = service.endpoint(tenant, headers={"Authorization": "a"})
    answer = visitor.submit(
        f"/endpoints/{endpoint}/change",
        **NEW | {"url": "https://other.example/"},
        headers_are="kept",
    )

    assert answer.status_code == 422
    assert "headers that the new URL would get" in answer.text


@pytest.mark.parametrize("overlap", ["day", "week", "none"])
def test_rotate(service: Service, visitor: Visitor, tenant: str, overlap: str) -> None:
    """A rotation shows the new secret once."""
    endpoint = service.endpoint(tenant)
    form = visitor.get(f"/endpoints/{endpoint}/rotate")
    answer = visitor.submit(f"/endpoints/{endpoint}/rotate", overlap=overlap)

    assert form.status_code == answer.status_code == 200
    assert secret_of(answer.text).startswith("whsec_")
    assert secret_of(answer.text) not in visitor.get(f"/endpoints/{endpoint}").text


def test_rotate_with_one_signature(service: Service, visitor: Visitor, tenant: str) -> None:
    """Where there is room for one signature, the old secret signs no longer: no choice."""
    endpoint = service.endpoint(tenant, format="x-webhook")
    form = visitor.get(f"/endpoints/{endpoint}/rotate").text
    answer = visitor.submit(f"/endpoints/{endpoint}/rotate", overlap="week")

    assert "overlap" not in form
    assert "For a while" not in form
    assert secret_of(answer.text) not in visitor.get(f"/endpoints/{endpoint}").text
    assert service.state.account(tenant).endpoint(endpoint).endpoint.old_secret_ends is None


def test_copy_button(service: Service, visitor: Visitor, tenant: str) -> None:
    """The script of the button beside a secret is a file: nothing is inline."""
    endpoint = service.endpoint(tenant)
    text = visitor.submit(f"/endpoints/{endpoint}/rotate", overlap="none").text
    (path,) = re.findall(r'src="(/static/copy\.js[^"]+)"', text)
    answer = visitor.get(path)

    assert 'data-copies="secret" hidden' in text
    assert answer.headers["content-type"].startswith("text/javascript")


def test_failing(service: Service, visitor: Visitor, tenant: str) -> None:
    """An endpoint whose last attempt failed is not shown as one that works."""
    with FakeReceiver([500, 500, 200]) as receiver:
        endpoint = service.endpoint(tenant, receiver.url, schedule=RetrySchedule(()))
        texts = [""]
        for _ in range(3):
            service.deliver(tenant)
            texts.append(
                visitor.get("/endpoints").text + visitor.get(f"/endpoints/{endpoint}").text
            )

    assert [each.count(">Failing<") for each in texts] == [0, 2, 2, 0]
    assert [each.count(">Active<") for each in texts] == [0, 0, 0, 2]
    assert "Its last attempt failed, since" in texts[1]
    assert "Its last 2 attempts failed, since" in texts[2]


def test_rotate_without_choice(service: Service, visitor: Visitor, tenant: str) -> None:
    """How long the old secret signs is never guessed."""
    endpoint = service.endpoint(tenant)

    assert visitor.submit(f"/endpoints/{endpoint}/rotate").status_code == 422


def test_pause_and_resume(service: Service, visitor: Visitor, tenant: str) -> None:
    """A paused endpoint says why, and resumes."""
    endpoint = service.endpoint(tenant)
    path = f"/endpoints/{endpoint}"
    visitor.submit(f"{path}/pause", reason="moving the shop")
    paused = visitor.get(path).text
    visitor.submit(f"{path}/resume")
    resumed = visitor.get(path).text

    assert "Moving the shop." in paused
    assert f'action="{path}/resume"' in paused
    assert f'action="{path}/test"' not in paused
    assert "The endpoint gets deliveries again." in resumed
    assert f'action="{path}/pause"' in resumed


def test_pause_with_long_reason(service: Service, visitor: Visitor, tenant: str) -> None:
    """A reason has bounds."""
    endpoint = service.endpoint(tenant)

    assert visitor.submit(f"/endpoints/{endpoint}/pause", reason="a" * 201).status_code == 422


def test_delete(service: Service, visitor: Visitor, tenant: str) -> None:
    """A deletion is asked for first; deliveries of the endpoint stay in the list."""
    endpoint = service.endpoint(tenant, description="Shop")
    service.state.account(tenant).pause(endpoint)
    (delivery,) = service.deliver(tenant)
    question = visitor.get(f"/endpoints/{endpoint}/delete").text
    answer = visitor.submit(f"/endpoints/{endpoint}/delete")

    assert "1 delivery on the way to it is cancelled" in question
    assert "The endpoint was deleted." in visitor.get(answer.headers["location"]).text
    assert visitor.get(f"/endpoints/{endpoint}").status_code == 404
    assert "Cancelled" in visitor.get(f"/deliveries/{delivery.id}").text


def test_send_test(service: Service, visitor: Visitor, tenant: str) -> None:
    """A test leads to its delivery; a paused endpoint gets none."""
    with FakeReceiver() as receiver:
        endpoint = service.endpoint(tenant, receiver.url)
        answer = visitor.submit(f"/endpoints/{endpoint}/test")
        service.state.outbox.drain()
        service.state.account(tenant).pause(endpoint)
        refused = visitor.submit(f"/endpoints/{endpoint}/test")

        assert (
            "The receiver has it, after 1 attempt." in visitor.get(answer.headers["location"]).text
        )
        assert refused.status_code == 409
        assert len(receiver.requests) == 1


def test_numbers(service: Service, visitor: Visitor, tenant: str) -> None:
    """The list shows how many attempts arrived in the last hour, and what is on its way."""
    with FakeReceiver([200, 500]) as receiver:
        service.endpoint(tenant, receiver.url, description="Shop")
        service.deliver(tenant)
        service.deliver(tenant)

    text = " ".join(visitor.get("/endpoints").text.split())
    assert '50 % <span class="hint">1 of 2</span>' in text
    assert 'data-label="Later" class="count">1<' in text


def test_pages(service: Service, visitor: Visitor, tenant: str) -> None:
    """Many endpoints have pages."""
    for number in range(51):
        service.endpoint(tenant, f"https://hooks.example/{number:02}")
    first = visitor.get("/endpoints").text
    (after,) = [each.split('"')[0] for each in first.split("/endpoints?after=")[1:]]
    second = visitor.get("/endpoints", params={"after": after}).text

    assert first.count('<th role="rowheader"') == 50
    assert second.count('<th role="rowheader"') == 1
    assert visitor.get("/endpoints", params={"after": "ep_0"}).status_code == 404


def test_too_many(service: Service, visitor: Visitor, tenant: str) -> None:
    """A tenant has a bounded number of endpoints."""
    for number in range(service.state.settings.max_endpoints):
        service.endpoint(tenant, f"https://hooks.example/{number}")
    answer = visitor.submit("/endpoints/new", **NEW, form_id=os.urandom(8).hex())

    assert answer.status_code == 422
    assert "at most 100 endpoints" in answer.text
