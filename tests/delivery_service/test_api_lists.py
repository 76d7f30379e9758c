"""Lists: pages and filters."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.delivery_service.calling import Caller
from tests.delivery_service.running import Service


@pytest.fixture(scope="module")
def acme(service: Service) -> Caller:
    """Return somebody with 3 endpoints, 7 messages, and 14 deliveries."""
    caller = service.caller()
    for types in (["a.*"], ["*"], ["b"]):
        caller.add("http://127.0.0.1:9/", event_types=types)
    for endpoint in caller.must("GET", "/endpoints")["items"]:
        caller.must("POST", f"/endpoints/{endpoint['id']}/pause", {})
    for number in range(7):
        caller.publish(number, ["a.x", "b"][number % 2])
    service.state.outbox.drain()
    service.caller().add("http://127.0.0.1:9/")
    return caller


def _pages(caller: Caller, path: str, limit: int) -> list[list[dict[str, Any]]]:
    pages: list[list[dict[str, Any]]] = []
    cursor = ""
    while cursor is not None:
        joint = "&" if "?" in path else "?"
        page = caller.must("GET", f"{path}{joint}limit={limit}{cursor}")
        pages.append(page["items"])
        cursor = None if page["next"] is None else f"&cursor={page['next']}"  # type: ignore[assignment]
    return pages


@pytest.mark.parametrize(
    ("path", "limit", "sizes"),
    [
        ("/endpoints", 2, [2, 1]),
        ("/endpoints", 3, [3]),
        ("/messages", 3, [3, 3, 1]),
        ("/messages", 7, [7]),
        ("/messages?event_type=b", 2, [2, 1]),
        ("/deliveries", 5, [5, 5, 4]),
        ("/deliveries?event_type=a.*", 100, [8]),
        ("/deliveries?state=due&state=waiting", 14, [14]),
        ("/deliveries?state=dead", 1, [0]),
    ],
)
def test_pages(path: str, limit: int, sizes: list[int], acme: Caller) -> None:
    """The pages of a list have each item once."""
    pages = _pages(acme, path, limit)
    ids = [each["id"] for page in pages for each in page]

    assert [len(each) for each in pages] == sizes
    assert len({*ids}) == len(ids)
    assert ids == [each["id"] for page in _pages(acme, path, 1) for each in page]


def test_what_comes_meanwhile(service: Service) -> None:
    """A page goes on where the one before has ended, whatever was published since."""
    caller = service.caller()
    ids = [caller.publish(number) for number in range(4)]
    first = caller.must("GET", "/messages?limit=2")
    caller.publish("later")
    second = caller.must("GET", f"/messages?limit=2&cursor={first['next']}")

    assert [each["id"] for each in [*first["items"], *second["items"]]] == ids[::-1]
    assert second["next"] is None


def test_times_of_messages(acme: Caller) -> None:
    """`since` and `until` are about when messages were published."""
    times = [each["created_at"] for each in acme.must("GET", "/messages")["items"]]
    middle = datetime.fromisoformat(times[3].replace("Z", "+00:00"))
    later = (middle + timedelta(milliseconds=1)).astimezone(timezone(timedelta(hours=-3)))
    shown = later.isoformat().replace("+", "%2B")
    older = acme.must("GET", f"/messages?until={times[3]}")["items"]
    newer = acme.must("GET", f"/messages?since={shown}")["items"]

    assert all(each.endswith("Z") for each in times)
    assert [each["created_at"] for each in [*newer, *older]] == times
    deliveries = acme.must("GET", f"/deliveries?since={shown}&limit=100")["items"]
    assert {each["message_id"] for each in deliveries} == {each["id"] for each in newer}


def test_filters_of_deliveries(acme: Caller) -> None:
    """Filters can be combined; what nothing has is an empty list."""
    everything = acme.must("GET", "/deliveries?limit=100")["items"]
    one = everything[0]
    query = f"endpoint_id={one['endpoint_id']}&message_id={one['message_id']}"

    assert acme.must("GET", f"/deliveries?{query}")["items"] == [one]
    assert acme.must("GET", f"/deliveries?{query}&event_type=other")["items"] == []
    assert acme.must("GET", f"/deliveries?endpoint_id=ep_{'0' * 24}")["items"] == []
