"""The pages of messages."""

from __future__ import annotations

import html
import json
import re

import pytest
from delivery_service.account import NewMessage

from tests.delivery_service.pages.visiting import Visitor
from tests.delivery_service.running import Service


def test_empty(visitor: Visitor) -> None:
    """Without messages, the page says how programs and people publish some."""
    assert "Publish an example</a> here" in visitor.get("/messages").text


def test_publish(service: Service, visitor: Visitor, tenant: str) -> None:
    """An example is published like any message."""
    form = visitor.get("/messages/new").text
    payload = html.unescape(re.findall("<textarea[^>]*>(.*?)</textarea>", form, re.DOTALL)[0])
    answer = visitor.submit("/messages/new", event_type="invoice.paid", payload=payload)
    (message,) = service.state.account(tenant).messages()

    assert answer.headers["location"] == f"/messages/{message.id}"
    assert message.event_type == "invoice.paid"
    stored = service.state.account(tenant).payload(message.id)
    assert json.loads(stored) == json.loads(payload)


UNUSABLE = {
    "no JSON": ("invoice.paid", "{"),
    "nested": ("invoice.paid", "[" * 100_000),
    "a huge number": ("invoice.paid", "9" * 10_000),
    "half of a character": ("invoice.paid", '"\\ud800"'),
    "not a number": ("invoice.paid", "NaN"),
    "a name twice": ("invoice.paid", '{"a": 1, "a": 2}'),
    "no event type": ("", "{}"),
    "no such event type": ("a b", "{}"),
    "nothing": ("invoice.paid", ""),
}


@pytest.mark.parametrize(("event_type", "payload"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_unusable(
    service: Service, visitor: Visitor, tenant: str, event_type: str, payload: str
) -> None:
    """What cannot be published is said above the form."""
    answer = visitor.submit("/messages/new", event_type=event_type, payload=payload)

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert not service.state.account(tenant).messages()


def test_message_without_endpoint(service: Service, visitor: Visitor, tenant: str) -> None:
    """A message that no endpoint takes is there, and the page says so once a worker has seen it."""
    account = service.state.account(tenant)
    (message,) = account.publish([NewMessage(event_type="a.b", payload="</pre><script>")])
    path = f"/messages/{message}"
    before = visitor.get(path).text
    (update,) = re.findall('hx-get="([^"]+)"', before)
    same = visitor.get(update, headers={"HX-Request": "true"})
    service.state.outbox.drain()
    after = visitor.get(update, headers={"HX-Request": "true"}).text

    assert "It waits for a worker" in before
    assert same.status_code == 204
    assert "No endpoint takes this event type." in after
    assert "hx-get" not in after
    assert "<script>" not in after


def test_message_with_deliveries(service: Service, visitor: Visitor, tenant: str) -> None:
    """A message shows where it goes to."""
    for number in range(2):
        endpoint = service.endpoint(tenant, description=f"Shop {number}")
        service.state.account(tenant).pause(endpoint)
    delivery, _ = service.deliver(tenant)
    text = visitor.get(f"/messages/{delivery.message_id}").text

    assert "It goes to 2 endpoints." in text
    assert "Shop 0" in text
    assert f'href="/deliveries/{delivery.id}"' in text


def test_list(service: Service, visitor: Visitor, tenant: str) -> None:
    """The list has pages and a filter."""
    account = service.state.account(tenant)
    messages = [NewMessage(event_type=f"a.{n % 2}", payload=n, key=f"<{n}>") for n in range(52)]
    published = account.publish(messages)
    first = visitor.get("/messages").text
    (older,) = re.findall('href="([^"]+)">Older', first)
    second = visitor.get(html.unescape(older)).text
    filtered = visitor.get("/messages", params={"event_type": "a.1"}).text

    def shown(text: str) -> list[str]:
        return re.findall(r'rowheader.*?href="/messages/([^"]+)"', text)

    assert shown(first) + shown(second) == published[::-1]
    assert shown(filtered) == published[1::2][::-1]
    assert "&lt;51&gt;" in first


@pytest.mark.parametrize(
    ("query", "status"),
    [({"event_type": "a b"}, 422), ({"event_type": "\0"}, 422), ({"before": "nobody"}, 404)],
    ids=["event type", "NUL", "cursor"],
)
def test_unusable_list(visitor: Visitor, query: dict[str, str], status: int) -> None:
    """What cannot be listed is a page, too."""
    answer = visitor.get("/messages", params=query)

    assert (answer.status_code, answer.headers["content-type"][:9]) == (status, "text/html")
