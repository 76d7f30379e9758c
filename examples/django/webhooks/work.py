"""The work, in a thread of this process.

What is queued here is lost when the process ends. Where that matters, it is a table, Celery or RQ
that stands in this place, and the keys are in the database.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from queue import Full, Queue
from typing import Literal, TypeAlias

Task: TypeAlias = Callable[[str], None]

log = logging.getLogger(__name__)
tasks: Queue[tuple[Task, str]] = Queue(maxsize=1000)
taken: OrderedDict[str, None] = OrderedDict()
MOST_KEYS = 10_000
lock = threading.Lock()


def queue(key: str, task: Task, name: str) -> Literal["accepted", "duplicate", "busy"]:
    """Put a task into the queue, unless it has been there.

    Args:
        key: The same for each attempt of a delivery.
        task: What is to be done.
        name: With what.
    """
    start()
    with lock:
        if key in taken:
            return "duplicate"
        try:
            tasks.put_nowait((task, name))
        except Full:
            return "busy"
        taken[key] = None
        if len(taken) > MOST_KEYS:
            taken.popitem(last=False)
    return "accepted"


@cache
def start() -> threading.Thread:
    """Start the thread with the first task, in the server's worker and not before it forks."""
    thread = threading.Thread(target=run, name="webhooks", daemon=True)
    thread.start()
    return thread


def run() -> None:
    """Do one task after the other."""
    while True:
        task, name = tasks.get()
        try:
            task(name)
        except Exception:
            log.exception("a task failed: %r", name)


def ship(order: str) -> None:
    """Do what takes its time."""
    log.info("shipped %r", order)


def deploy(commit: str) -> None:
    """Do what takes its time."""
    log.info("deployed %r", commit)


def book(payment: str) -> None:
    """Do what takes its time."""
    log.info("booked %r", payment)
