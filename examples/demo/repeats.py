"""The second part of the demo: deliveries that are sent more than once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from time import sleep
from typing import Any

from frappe_hooksig import sign_payload

CRASHES = {"name": "SO-00002", "crashes": True}
TAKES_LONG = {"name": "SO-00003", "takes": 1}


@dataclass(frozen=True)
class Repeat:
    """One attempt to deliver an order.

    Attributes:
        title: The kind of attempt.
        status: The HTTP status of the response.
        outcome: The outcome in the response: received, failed or duplicate.
        handled: The number of calls of the handler for this order so far.
        right: Whether the status, the outcome and the number are the expected ones.
    """

    title: str
    status: int
    outcome: str
    handled: int
    right: bool


def repeats(port: int, secret: str, handled: Counter[str]) -> Iterator[Repeat]:
    """Send orders several times, as Frappe does; yield the result of each attempt."""
    order = {"name": "SO-00001"}
    yield attempt("a new order", port, secret, order, handled, (200, "received", 1))
    yield attempt(
        "again: the response got lost", port, secret, order, handled, (200, "duplicate", 1)
    )
    yield attempt("one at which we crash", port, secret, CRASHES, handled, (500, "failed", 1))
    yield attempt("again: it is handled now", port, secret, CRASHES, handled, (200, "received", 2))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(
            attempt, "one that takes long", port, secret, TAKES_LONG, handled, (200, "received", 1)
        )
        sleep(0.2)
        yield attempt(
            "again, meanwhile: it waits", port, secret, TAKES_LONG, handled, (200, "duplicate", 1)
        )
        yield first.result()


def attempt(  # noqa: PLR0917  # the order of the columns in the table
    title: str,
    port: int,
    secret: str,
    order: dict[str, Any],
    handled: Counter[str],
    expected: tuple[int, str, int],
) -> Repeat:
    """Send an order once."""
    signed = sign_payload(order, secret)
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/orders", signed.body, signed.headers)
    response = connection.getresponse()
    outcome = json.loads(response.read())["status"]
    connection.close()
    seen = (response.status, outcome, handled[order["name"]])
    return Repeat(title, *seen, right=seen == expected)
