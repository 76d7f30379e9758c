"""Runs the work in a thread of this process.

The queued work is lost when the process ends. If it must not be lost, replace this module by a
table, Celery or RQ, and store the keys in the database.
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
    """Queue a task, unless one was queued for the same key before.

    Args:
        key: Identifies a delivery; all attempts to deliver it have the same key.
        task: The function to call.
        name: The argument of the task.
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
    """Start the thread with the first task: a thread does not survive the fork of a worker."""
    thread = threading.Thread(target=run, name="webhooks", daemon=True)
    thread.start()
    return thread


def run() -> None:
    """Run one task after the other."""
    while True:
        task, name = tasks.get()
        try:
            task(name)
        except Exception:
            log.exception("a task failed: %r", name)


def ship(order: str) -> None:
    """Do the slow work."""
    log.info("shipped %r", order)


def deploy(commit: str) -> None:
    """Do the slow work."""
    log.info("deployed %r", commit)


def book(payment: str) -> None:
    """Do the slow work."""
    log.info("booked %r", payment)
