"""The pages of deliveries."""

from __future__ import annotations

import html
import re

import pytest
from delivery_service.account import MOST_AGAIN, NewMessage
from sqlalchemy import text as sql

from frappe_hooksig.sending import RetrySchedule
from frappe_hooksig.testing import Answer, FakeReceiver
from tests.delivery_service.pages.visiting import Visitor
from tests.delivery_service.running import Service

ONCE = RetrySchedule(())
HOSTILE = b"</pre><script>alert(1)</script>\x1b[31m\x00\xff \xe2\x80\xaetxt.exe"


def contents_of(text: str) -> list[str]:
    """Return the texts that a page shows as what somebody sent."""
    return [html.unescape(each) for each in re.findall("<pre[^>]*>(.*?)</pre>", text, re.DOTALL)]


def numbers_of(text: str) -> list[int]:
    """Return the numbers of the deliveries in a list."""
    return [int(each) for each in re.findall(r'rowheader.*?href="/deliveries/(\d+)"', text)]


def test_empty(service: Service, visitor: Visitor, tenant: str) -> None:
    """Without deliveries, the page says what to do next."""
    without = visitor.get("/deliveries").text
    service.endpoint(tenant)

    assert "Add an endpoint</a> first" in without
    assert "Publish an example</a> to see one" in visitor.get("/deliveries").text


def test_hostile_answer(service: Service, visitor: Visitor, tenant: str) -> None:
    """What a receiver answers is text, in which nothing is hidden."""
    with FakeReceiver([Answer(500, HOSTILE)]) as receiver:
        service.endpoint(tenant, receiver.url, schedule=ONCE)
        (delivery,) = service.deliver(tenant)
    text = visitor.get(f"/deliveries/{delivery.id}").text

    assert "<script>alert" not in text
    assert contents_of(text)[0] == ("</pre><script>alert(1)</script>␛[31m␀\ufffd ⟨U+202E⟩txt.exe")
    assert "HTTP 500" in text
    assert "It was given up after 1 attempt." in text


def test_hostile_payload(service: Service, visitor: Visitor, tenant: str) -> None:
    """A payload is text, too, with each token as it is sent."""
    service.state.account(tenant).pause(service.endpoint(tenant))
    payload = {"</script><script>alert(1)</script>": "\u202e", "b": [1.5]}
    (delivery,) = service.deliver(tenant, "invoice.paid", payload)
    text = visitor.get(f"/deliveries/{delivery.id}").text

    assert "<script>alert" not in text
    assert '"b": [\n    1.5\n  ]' in contents_of(text)[-1]
    assert "</script>" in contents_of(text)[-1]
    assert "It waits: the endpoint is paused." in text


def test_large_contents(service: Service, visitor: Visitor, tenant: str) -> None:
    """What is large is shown in part."""
    with FakeReceiver([Answer(200, b"a" * 100_000)]) as receiver:
        service.endpoint(tenant, receiver.url)
        (delivery,) = service.deliver(tenant, payload=["\U0001f4a5" * 4_500])
    text = visitor.get(f"/deliveries/{delivery.id}").text

    assert len(text) < 200_000
    assert "This is the beginning of" in text


def test_attempts(service: Service, visitor: Visitor, tenant: str) -> None:
    """Each attempt has its time, its outcome and its duration, the newest first."""
    with FakeReceiver([500, 200]) as receiver:
        service.endpoint(tenant, receiver.url, schedule=ONCE)
        (delivery,) = service.deliver(tenant)
        visitor.submit(f"/deliveries/{delivery.id}/send-again")
        service.state.outbox.drain()
    text = visitor.get(f"/deliveries/{delivery.id}").text

    assert re.findall("<h3>(Attempt .).*?>(Delivered|Refused)<", text) == [
        ("Attempt 2", "Delivered"),
        ("Attempt 1", "Refused"),
    ]
    assert len(re.findall('<time datetime="[-0-9]{10}T[:0-9]{8}Z" title="[^"]+ UTC">', text)) >= 4


def test_send_again(service: Service, visitor: Visitor, tenant: str) -> None:
    """Sending again keeps the id; a second time while it is on its way does nothing."""
    with FakeReceiver() as receiver:
        service.endpoint(tenant, receiver.url)
        (delivery,) = service.deliver(tenant)
        path = f"/deliveries/{delivery.id}"
        answer = visitor.submit(f"{path}/send-again")
        said = visitor.get(answer.headers["location"]).text
        refused = visitor.submit(f"{path}/send-again")
        service.state.outbox.drain()

        first, second = receiver.requests
    assert answer.headers["location"] == path
    assert "sent again, with the same id" in said
    assert refused.status_code == 409
    assert first.header("webhook-id") == second.header("webhook-id")


def test_send_as_new(service: Service, visitor: Visitor, tenant: str) -> None:
    """Sending as new makes another delivery, with another id, and leads to it."""
    with FakeReceiver() as receiver:
        service.endpoint(tenant, receiver.url)
        (delivery,) = service.deliver(tenant)
        answer = visitor.submit(f"/deliveries/{delivery.id}/send-as-new")
        service.state.outbox.drain()

        first, second = receiver.requests
    assert answer.headers["location"] != f"/deliveries/{delivery.id}"
    assert first.header("webhook-id") != second.header("webhook-id")
    assert (
        f"with the id <code>{second.header('webhook-id')}</code>"
        in visitor.get(answer.headers["location"]).text
    )


def test_send_again_all(service: Service, visitor: Visitor, tenant: str) -> None:
    """What an endpoint has not taken is sent again with one button."""
    with FakeReceiver([500, 500, 200]) as receiver:
        endpoint = service.endpoint(tenant, receiver.url, schedule=ONCE)
        dead = [service.deliver(tenant)[0].id for _ in range(2)]
        answer = visitor.submit(f"/endpoints/{endpoint}/send-again")
        said = visitor.get(answer.headers["location"]).text
        service.state.outbox.drain()

    assert "What was given up is sent again" in said
    states = [str(service.state.account(tenant).delivery(each).state) for each in dead]
    assert states == ["delivered", "delivered"]


def test_find_send_again_all(service: Service, visitor: Visitor, tenant: str) -> None:
    """The list of an endpoint has the button that sends again all that was given up."""
    with FakeReceiver([500]) as receiver:
        endpoint = service.endpoint(tenant, receiver.url, schedule=ONCE)
        service.deliver(tenant)
    button = f'action="/endpoints/{endpoint}/send-again"'
    chosen = visitor.get("/deliveries", params={"endpoint": endpoint}).text
    every = visitor.get("/deliveries", params={"state": "dead"}).text

    assert button in chosen
    assert "1 delivery of this endpoint" in chosen
    assert button not in every
    assert "Choose an endpoint to send again" in every


def test_too_many_to_send_again(service: Service, visitor: Visitor, tenant: str) -> None:
    """More than one request sends are left to programs, which the page says in its own words."""
    endpoint = service.endpoint(tenant)
    account = service.state.account(tenant)
    account.pause(endpoint)
    account.publish([NewMessage(event_type="a.b", payload=None)] * (MOST_AGAIN + 1))
    service.state.outbox.drain()  # makes the deliveries
    dead = sql("UPDATE hooksig_deliveries SET state = 4 WHERE endpoint = :endpoint")
    with service.state.engine.begin() as connection:
        connection.execute(dead, {"endpoint": endpoint})
    answer = visitor.submit(f"/endpoints/{endpoint}/send-again")

    assert answer.status_code == 409
    assert "More than 500 deliveries were given up." in answer.text
    assert "since," not in answer.text


def test_words_of_states(service: Service, visitor: Visitor, tenant: str) -> None:
    """The filter names what the list shows."""
    with FakeReceiver([500]) as receiver:
        service.endpoint(tenant, receiver.url)
        service.deliver(tenant)
    text = visitor.get("/deliveries", params={"state": "due"}).text

    assert ">To be tried again<" in text
    assert "selected>To be sent or tried again<" in text


@pytest.mark.parametrize(
    ("query", "marked"),
    [({"state": "dead"}, []), ({"state": "x"}, ["state"]), ({"event_type": "a b"}, ["event_type"])],
    ids=["usable", "state", "event type"],
)
def test_folded_filters(visitor: Visitor, query: dict[str, str], marked: list[str]) -> None:
    """Filters are folded unless one is set; one that cannot be used is marked."""
    folded = visitor.get("/deliveries").text
    text = visitor.get("/deliveries", params=query).text

    assert '<details class="folded">' in folded
    assert '<details class="folded" open>' in text
    assert re.findall(r'name="(\w+)"[^>]* aria-invalid="true"', text) == marked


def test_updates(service: Service, visitor: Visitor, tenant: str) -> None:
    """A page updates itself until the delivery has ended, and is sent only if there is news."""
    with FakeReceiver() as receiver:
        endpoint = service.endpoint(tenant, receiver.url)
        delivery = service.state.account(tenant).send_test(endpoint)
        path = f"/deliveries/{delivery.id}"
        before = visitor.get(path).text
        (update,) = re.findall('hx-get="([^"]+)"', before)
        same = visitor.get(update, headers={"HX-Request": "true"})
        in_a_browser = visitor.get(update)
        service.state.outbox.drain()
        news = visitor.get(update, headers={"HX-Request": "true"})

    assert (same.status_code, in_a_browser.status_code, news.status_code) == (204, 200, 200)
    assert "The receiver has it" in news.text
    assert "hx-get" not in news.text


def test_filters(service: Service, visitor: Visitor, tenant: str) -> None:
    """A list shows what fits the filters."""
    with FakeReceiver([200, 500]) as receiver:
        first = service.endpoint(tenant, receiver.url, schedule=ONCE)
        (paid,) = service.deliver(tenant, "invoice.paid")
        (made,) = service.deliver(tenant, "order.made")

    def shown(**filters: str) -> list[int]:
        return numbers_of(visitor.get("/deliveries", params=filters).text)

    assert shown() == [made.id, paid.id]
    assert shown(state="dead") == [made.id]
    assert shown(state="delivered", endpoint=first) == [paid.id]
    assert shown(event_type="invoice.*") == [paid.id]
    assert shown(event_type=" order.made ") == [made.id]
    assert shown(endpoint="ep_0") == []
    assert shown(state="waiting") == []


@pytest.mark.parametrize(
    "filters", [{"state": "<script>"}, {"event_type": "a b"}, {"endpoint": "\0"}], ids=str
)
def test_unusable_filters(visitor: Visitor, filters: dict[str, str]) -> None:
    """A filter that cannot be used is said above the list."""
    answer = visitor.get("/deliveries", params=filters)

    assert answer.status_code in {200, 422}
    assert "<script>" not in answer.text
    assert "<h1>Deliveries</h1>" in answer.text


def test_pages(service: Service, visitor: Visitor, tenant: str) -> None:
    """Pages hold each delivery once, and keep the filters."""
    endpoint = service.endpoint(tenant)
    service.state.account(tenant).pause(endpoint)
    account = service.state.account(tenant)
    account.publish([NewMessage(event_type="a.b", payload=None)] * 51)
    service.state.outbox.drain()
    made = [each.id for each in account.deliveries()]
    first = visitor.get("/deliveries", params={"event_type": "a.*"}).text
    (older,) = re.findall('href="([^"]+)">Older', first)
    second = visitor.get(html.unescape(older)).text

    assert numbers_of(first) + numbers_of(second) == made
    assert 'name="event_type" value="a.*"' in second
    assert "Newest" in second
    assert "Older" not in second


@pytest.mark.parametrize("before", ["x", "-1", "99999999999999999999"])
def test_no_cursor(visitor: Visitor, before: str) -> None:
    """A cursor that is none is refused with a page."""
    answer = visitor.get("/deliveries", params={"before": before})

    assert (answer.status_code, answer.headers["content-type"][:9]) == (422, "text/html")


def test_blocked_address(service: Service, visitor: Visitor, tenant: str) -> None:
    """An address that is not allowed looks like one where nobody answers."""
    service.endpoint(tenant, "http://169.254.169.254/", schedule=ONCE)
    (blocked,) = service.deliver(tenant)
    with FakeReceiver(["reset"]) as receiver:
        closed = receiver.url
    other = service.tenant()
    service.endpoint(other, closed, schedule=ONCE)
    (unreachable,) = service.deliver(other)
    with service.visitor(other) as neighbour:
        theirs = neighbour.get(f"/deliveries/{unreachable.id}").text
    ours = visitor.get(f"/deliveries/{blocked.id}").text

    def attempt_of(text: str) -> str:
        found = re.search('<ol class="attempts".*</ol>', text, re.DOTALL)
        assert found
        return re.sub("<time.*?</time>|[0-9]+ s ago|now", "", found[0])

    assert attempt_of(ours) == attempt_of(theirs)
