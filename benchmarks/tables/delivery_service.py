"""What the delivery service does in a second: messages accepted, and deliveries end to end."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.delivery_service.running import TENANT, Installed, in_postgresql, in_sqlite
from tests.loopback import served, uvicorn
from tests.outbox.running import Workers

from benchmarks.apps.outbox_programs import BODY, sender
from benchmarks.comparison import Request, Table
from benchmarks.guard import WrongVerdict
from benchmarks.load import Load, connected, message
from benchmarks.measuring import FULL, Effort, Lap, Ratio, interleave
from benchmarks.traffic import WHSEC

TEXT = """\
The service of `examples/delivery_service`, on one machine with all that it needs. *Accepted*: the
messages of 1 KiB per second that the API takes, in four processes of uvicorn, from 16
connections that are kept alive, one by one and in bulk; beside `Outbox.publish()` in a loop with a
commit for each request. *End to end*: from the first request, in bulk, until four processes
of `delivery-service work` have delivered the last message to one endpoint, over loopback to a
receiver in another process, with the attempts' rows; beside a loop around one `Sender` in one
process, which posts the same bodies to the same receiver and keeps nothing. Ratios are of rates:
more is better. Everything shares the processor's cores, so it is the CPU time of all of
it that counts."""

PROCESSES = 4
CONNECTIONS = 16
IN_BULK = 100
ACCEPTED = 202
MOST = 1000  # deliveries that an outbox lists at once

_PAYLOAD = json.loads(BODY)
_MESSAGE = {"event_type": "bench", "payload": _PAYLOAD}
_SINGLE = json.dumps(_MESSAGE).encode()
_BULK = json.dumps({"messages": [_MESSAGE] * IN_BULK}).encode()

Place = Callable[[Path], AbstractContextManager[Installed]]


def measure(effort: Effort) -> Table:
    """Return the table."""
    table = Table(
        title="Delivery service",
        text=TEXT,
        columns=("", "ours", "beside", "ratio", "half of rounds"),
    )
    requests, rounds = (400, 20) if effort is FULL else (80, 3)
    bulks, drains = (20, 5) if effort is FULL else (5, 3)
    places: dict[str, Place] = {"SQLite": in_sqlite, "PostgreSQL": in_postgresql}
    for name, place in places.items():
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            installed = stack.enter_context(place(folder))
            load = stack.enter_context(_load(installed))
            for title, path, body, size in (
                ("one by one", "/v1/messages", _SINGLE, 1),
                (f"{IN_BULK} in a request", "/v1/messages/bulk", _BULK, IN_BULK),
            ):
                raw, times = _message(installed, path, body), max(CONNECTIONS, requests // size)
                laps: list[Lap] = [
                    partial(_post, load, raw, times, size),
                    partial(_publish, installed, times, size),
                ]
                interleave(laps, 1)  # all are warm then
                _line(table, f"accepted, {title}, {name}", *interleave(laps, rounds))
            end_to_end = stack.enter_context(_delivering(installed, load, folder, bulks))
            _line(table, f"end to end, {name}", *interleave(end_to_end, drains))
    return table


@contextmanager
def _load(installed: Installed) -> Generator[Load]:
    """Serve the API, and connect to it."""
    options = ("--factory", f"--workers={PROCESSES}", "--no-access-log", "--timeout-keep-alive=600")
    app = "delivery_service.app:create_app"
    with uvicorn(app, *options, **installed.environment) as server:
        server.wait_for("Application startup complete", PROCESSES)
        with connected(server.port, CONNECTIONS, ACCEPTED) as load:
            yield load


def _message(installed: Installed, path: str, body: bytes) -> bytes:
    headers = {**installed.headers, "Host": "127.0.0.1", "Content-Length": str(len(body))}
    return message(path, Request(body, headers))


def _post(load: Load, raw: bytes, times: int, size: int) -> float:
    return load.run(raw, times) / times / size / 1000


def _publish(installed: Installed, times: int, size: int) -> float:
    outbox = installed.state.outbox
    start = time.perf_counter_ns()
    with installed.state.sessions() as session:
        for _ in range(times):
            for _ in range(size):
                outbox.publish(session, "bench", _PAYLOAD, tenant=TENANT)
            session.commit()
    return (time.perf_counter_ns() - start) / times / size / 1000


@contextmanager
def _delivering(
    installed: Installed, load: Load, folder: Path, requests: int
) -> Generator[list[Lap]]:
    """Run workers and a receiver; return a lap of the service, and one of a bare loop."""
    count = requests * IN_BULK
    raw = _message(installed, "/v1/messages/bulk", _BULK)
    outbox = installed.state.outbox
    log = folder / "workers.log"
    with (
        served([sys.executable, "-m", "benchmarks.apps.sink"]) as sink,
        Workers("work", log, PROCESSES, "delivery_service", **installed.environment),
        sender() as own,
    ):
        url = f"http://127.0.0.1:{sink.port}/hook"

        def drain() -> None:
            while not installed.has_nothing_left():
                time.sleep(0.02)

        def deliver() -> float:
            start = time.perf_counter_ns()
            load.run(raw, requests)
            drain()
            return (time.perf_counter_ns() - start) / count / 1000

        def loop() -> float:
            start = time.perf_counter_ns()
            for number in range(count):
                if own.send(url, BODY, id=f"msg_{number}").outcome != "delivered":
                    msg = "delivery_service: the loop did not deliver"
                    raise WrongVerdict(msg)
            return (time.perf_counter_ns() - start) / count / 1000

        drain()  # what was published before there was an endpoint
        outbox.add_endpoint(url, secret=WHSEC, tenant=TENANT, concurrency=100)
        deliver()
        if len(outbox.deliveries(states="delivered", limit=MOST)) != min(count, MOST):
            msg = "delivery_service: not all was delivered"
            raise WrongVerdict(msg)
        yield [deliver, loop]


def _line(table: Table, title: str, ours: list[float], theirs: list[float]) -> None:
    ratio = Ratio.of(theirs, ours)
    table.lines.append(
        (
            title,
            f"{1e6 / median(ours):,.0f}/s",
            f"{1e6 / median(theirs):,.0f}/s",
            f"{ratio.median:.2f}",
            ratio.quartiles,
        )
    )
