"""How many messages a sender sends in a second of CPU time, beside bare HTTP clients."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from statistics import median
from time import process_time_ns

import httpx
import requests
import urllib3
from tests.loopback import served

from benchmarks.comparison import Table
from benchmarks.guard import WrongVerdict
from benchmarks.measuring import Effort, Ratio, interleave
from benchmarks.traffic import KIB, SECRET, document
from frappe_hooksig import sign_payload
from frappe_hooksig.sending import AddressGuard, Sender

LAP = 50  # messages

TEXT = """\
The CPU time of the sending process for one message of 1 KiB, over loopback to a receiver in another
process, with one connection that is kept alive. `Sender.send()` signs each message, judges the URL
and reads the answer under one deadline. The others post bytes that were signed before: a pool of
urllib3, a `Session` of requests, and a `Client` of httpx, each with a timeout and all else as it is
by default. Laps of 50 messages take turns."""

#: Sends the message, and returns the body of the answer.
_Post = Callable[[], bytes]


def measure(effort: Effort) -> Table:
    """Return the table.

    Raises:
        WrongVerdict: A message did not arrive, or a connection was not kept.
    """
    table = Table(
        title="Sending",
        text=TEXT,
        columns=(
            *("against", "ours, µs", "theirs, µs", "theirs / ours", "half of rounds", "target"),
            *("met", "ours per second", "theirs per second"),
        ),
    )
    with served([sys.executable, "-m", "benchmarks.apps.sink"]) as server:
        contenders = [*_contenders(f"http://127.0.0.1:{server.port}/hook")]
        # The receiver numbers its connections: each contender has one, before and after.
        before = [post() for _, post, _ in contenders]
        laps = [partial(_lap, post) for _, post, _ in contenders]
        interleave(laps, 3)  # all are warm then
        ours, *others = interleave(laps, 2 * effort.rounds)
        after = [post() for _, post, _ in contenders]
    if before != after or before != [b"%d" % number for number in range(1, len(before) + 1)]:
        msg = f"sending: connections {before} became {after}"
        raise WrongVerdict(msg)
    for (name, _, target), theirs in zip(contenders[1:], others, strict=True):
        ratio = Ratio.of(theirs, ours)
        table.lines.append(
            (
                name,
                f"{median(ours):.0f}",
                f"{median(theirs):.0f}",
                f"{ratio.median:.2f}",
                ratio.quartiles,
                "" if target is None else f"≥ {target:.2f}",
                table.verdict(ratio.median, target, at_least=True),
                f"{1e6 / median(ours):,.0f}",
                f"{1e6 / median(theirs):,.0f}",
            )
        )
    return table


def _contenders(url: str) -> Iterator[tuple[str, _Post, float | None]]:
    """Return names, what is timed, and the least ratio of their time to ours; ours is first."""
    body = document(KIB)
    sender = Sender(SECRET, guard=AddressGuard(["127.0.0.1"]))
    signed = sign_payload(body, SECRET)
    headers = {**signed.headers, "Content-Type": "application/json"}
    pool = urllib3.PoolManager()
    session = requests.Session()
    client = httpx.Client(timeout=15)
    yield "ours", lambda: sender.send(url, body).answer, None
    yield (
        "urllib3",
        lambda: pool.request("POST", url, body=body, headers=headers, timeout=15).data,
        0.6,
    )
    yield (
        "requests",
        lambda: session.post(url, data=body, headers=headers, timeout=15).content,
        1,
    )
    yield "httpx", lambda: client.post(url, content=body, headers=headers).content, 1


def _lap(post: _Post) -> float:
    start = process_time_ns()
    for _ in repeat(None, LAP):
        post()
    return (process_time_ns() - start) / LAP / 1000
