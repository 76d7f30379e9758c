"""An app of each framework in its server: unverified, verified by hand, and by us."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from statistics import median

from tests.loopback import Server, gunicorn, uvicorn

from benchmarks.comparison import Requests, Table
from benchmarks.guard import WrongVerdict
from benchmarks.load import Load, connected, message
from benchmarks.measuring import Effort, Ratio, interleave
from benchmarks.traffic import KIB, SECRET, document, requests
from frappe_hooksig.providers import FRAPPE

TARGET = 0.96
LAP = 50  # requests

TEXT = """\
Requests per second of a route that parses its JSON body of 1 KiB, over loopback: unverified, with
`json.loads()` of the framework's raw body; by hand, with the three lines before that; and verified,
with the decorator (FastAPI: the dependency) and `delivery.json()`. Both ratios are of *verified*.
All are routes of one app, in one server process, and get the same signed
request. gunicorn has one gthread worker of one thread, as a sync worker keeps no connection alive;
uvicorn is as it is installed by default. Laps of 50 requests over four connections take turns.

The second ratio shows how much of the first one is the price of any verification. In FastAPI, a
dependency that does nothing costs 0.05 of the first."""


@dataclass(frozen=True)
class Trio:
    """Three routes of one app that differ in the verification.

    Attributes:
        title: The framework and its server.
        server: Starts it.
        prefix: What the paths begin with.
    """

    title: str
    server: AbstractContextManager[Server]
    prefix: str = "/"

    @property
    def paths(self) -> list[str]:
        """Of the route that does not verify, the one that does it by hand, and ours."""
        return [f"{self.prefix}{name}" for name in ("unverified", "by-hand", "verified")]


def trios() -> Iterator[Trio]:
    """Return the line-up."""
    wsgi = partial(
        gunicorn,
        *("--worker-class=gthread", "--threads=1", "--keep-alive=30"),
        FRAPPE_WEBHOOK_SECRET=SECRET,
    )

    def asgi(app: str) -> AbstractContextManager[Server]:
        return uvicorn(app, "--no-access-log", FRAPPE_WEBHOOK_SECRET=SECRET)

    yield Trio("Flask, gunicorn", wsgi("benchmarks.apps.flask_app:app"))
    yield Trio("Django, gunicorn", wsgi("benchmarks.apps.django_app:wsgi"))
    yield Trio("Django async, uvicorn", asgi("benchmarks.apps.django_app:asgi"), "/async-")
    yield Trio("Starlette, uvicorn", asgi("benchmarks.apps.starlette_app:app"))
    yield Trio("FastAPI, uvicorn", asgi("benchmarks.apps.fastapi_app:app"))


def measure(effort: Effort) -> Table:
    """Return the table."""
    table = Table(
        title="In a server",
        text=TEXT,
        columns=(
            *("", "unverified", "by hand", "verified"),
            *("to unverified", "half of rounds", "target", "met", "to by hand", "half of rounds"),
        ),
    )
    judged = requests(FRAPPE, document(KIB))
    for trio in trios():
        with trio.server as server:
            with connected(server.port, 1) as load:
                _try_out(load, trio, judged)
            with connected(server.port) as load:
                laps = [partial(_lap, load, message(path, judged.genuine)) for path in trio.paths]
                interleave(laps, 3)  # all are warm then
                unverified, by_hand, verified = interleave(laps, 2 * effort.rounds)
        # Of times, so the inverse of those of rates.
        to_unverified = Ratio.of(unverified, verified)
        to_by_hand = Ratio.of(by_hand, verified)
        table.lines.append(
            (
                trio.title,
                _rate(unverified),
                _rate(by_hand),
                _rate(verified),
                f"{to_unverified.median:.3f}",
                to_unverified.quartiles,
                f"≥ {TARGET}",
                table.verdict(to_unverified.median, TARGET, at_least=True),
                f"{to_by_hand.median:.3f}",
                to_by_hand.quartiles,
            )
        )
    return table


def _try_out(load: Load, trio: Trio, judged: Requests) -> None:
    """Have all routes judge what is genuine and what is forged.

    Raises:
        WrongVerdict: One that verifies does not tell them apart.
    """
    for path, refusal in zip(trio.paths, (200, 401, 401), strict=True):
        expected = [200, *(refusal for _ in judged.forged)]
        statuses = [load.status(message(path, each)) for each in (judged.genuine, *judged.forged)]
        if statuses != expected:
            msg = f"{trio.title}: {path} answers {statuses}, not {expected}"
            raise WrongVerdict(msg)


def _lap(load: Load, message: bytes) -> float:
    return load.run(message, LAP) / LAP / 1000


def _rate(times: Sequence[float]) -> str:
    return f"{1e6 / median(times):.0f}/s"
