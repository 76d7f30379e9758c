"""What `benchmarks/tables/outbox.py` starts: programs that send messages, and what they send with.

Each is called with the URL of a receiver and with where its messages are.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.traffic import KIB, WHSEC, document
from frappe_hooksig.outbox import Outbox, Worker
from frappe_hooksig.providers import STANDARD_WEBHOOKS
from frappe_hooksig.sending import AddressGuard, Sender

BODY = document(KIB)
LOOPBACK = AddressGuard(["127.0.0.1"])
ENDPOINTS = 5
SECRET = "HOOKSIG_BENCH_SECRET"


def outbox_at(place: str) -> Outbox:
    """Return the outbox in a file, or at a URL."""
    if "://" not in place:
        return Outbox(place, guard=LOOPBACK)
    from frappe_hooksig.integrations.sqlalchemy import SQLAlchemyDatabase

    return Outbox(SQLAlchemyDatabase(place), guard=LOOPBACK)


def sender() -> Sender:
    """Return a sender as the outbox has one."""
    return Sender(WHSEC, scheme=STANDARD_WEBHOOKS, guard=LOOPBACK, headers=_JSON)


_JSON = {"Content-Type": "application/json"}


def send(url: str, message_id: str) -> None:
    """Send one message: the job of RQ."""
    _kept().send(url, BODY, id=message_id)


def _kept() -> Sender:
    if not _senders:
        _senders.append(sender())
    return _senders[0]


_senders: list[Sender] = []


def _loop(url: str, count: str) -> None:
    own = sender()
    start = time.process_time()
    for number in range(int(count)):
        own.send(url, BODY, id=f"msg_{number}")
    _report(time.process_time() - start)


def _worker(_url: str, place: str) -> None:
    """Send all that is due."""
    os.environ[SECRET] = WHSEC
    worker = Worker(outbox_at(place))
    start = time.process_time()
    worker.run(once=True)
    _report(time.process_time() - start)


def _report(seconds: float) -> None:
    """Print the CPU time, in seconds, and the most memory that this process had, in KiB."""
    status = Path("/proc/self/status").read_text("ascii")
    print(seconds, status.partition("VmHWM:")[2].split()[0])


def _waiting_worker(_url: str, place: str) -> None:
    os.environ[SECRET] = WHSEC
    Worker(outbox_at(place)).run()


_PROGRAMS: dict[str, Callable[[str, str], None]] = {
    "loop": _loop,
    "worker": _worker,
    "waiting-worker": _waiting_worker,
}


if __name__ == "__main__":
    _PROGRAMS[sys.argv[1]](sys.argv[2], sys.argv[3])
