"""A Flask app under gunicorn, with and without the decorator."""

from __future__ import annotations

from functools import partial
from statistics import median

from tests.loopback import gunicorn

from benchmarks.comparison import Requests, Table
from benchmarks.guard import WrongVerdict
from benchmarks.load import Load, connected, message
from benchmarks.measuring import Effort, Ratio, interleave
from benchmarks.traffic import KIB, SECRET, document, requests
from frappe_hooksig.providers import FRAPPE

TARGET = 0.96
LAP = 100  # requests

TEXT = """\
Requests per second of a route that parses its JSON body of 1 KiB, over loopback: undecorated
with `json.loads(request.get_data())`, decorated with `get_delivery().json()`. Both are routes of
one app, in one gunicorn process with one gthread worker of one thread (a sync worker keeps no
connection alive), and get the same signed request. Laps of 100 requests over four connections
take turns."""


def measure(effort: Effort) -> Table:
    """Return the table."""
    columns = ("", "requests per second", "with / without", "half of rounds", "target", "met")
    table = Table(title="Flask under gunicorn", text=TEXT, columns=columns)
    options = ("--worker-class=gthread", "--threads=1", "--keep-alive=30")
    judged = requests(FRAPPE, document(KIB))
    with gunicorn("benchmarks.flask_app:app", *options, FRAPPE_WEBHOOK_SECRET=SECRET) as server:
        with connected(server.port, 1) as load:
            _try_out(load, judged)
        with connected(server.port) as load:
            laps = [
                partial(_lap, load, message(path, judged.genuine))
                for path in ("/unverified", "/verified")
            ]
            interleave(laps, 3)  # both are warm then
            without, decorated = interleave(laps, 4 * effort.rounds)
    ratio = Ratio.of(without, decorated)  # of times, so the inverse of that of rates
    table.lines.append(("without", f"{1e6 / median(without):.0f}", "", "", "", ""))
    table.lines.append(
        (
            "`@verify_frappe_webhook`",
            f"{1e6 / median(decorated):.0f}",
            f"{ratio.median:.3f}",
            ratio.quartiles,
            f"≥ {TARGET}",
            table.verdict(ratio.median, TARGET, at_least=True),
        )
    )
    return table


def _try_out(load: Load, judged: Requests) -> None:
    """Have both routes judge what is genuine and what is forged.

    Raises:
        WrongVerdict: The decorated one does not tell them apart.
    """
    for path, refusal in (("/unverified", 200), ("/verified", 401)):
        expected = [200, *(refusal for _ in judged.forged)]
        statuses = [load.status(message(path, each)) for each in (judged.genuine, *judged.forged)]
        if statuses != expected:
            msg = f"{path} answers {statuses}, not {expected}"
            raise WrongVerdict(msg)


def _lap(load: Load, message: bytes) -> float:
    return load.run(message, LAP) / LAP / 1000
