"""Celery sends what an outbox has.

It needs `pip install 'frappe-hooksig[celery]'`, and what Celery needs for its broker.
"""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakKeyDictionary

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.integrations._extras import not_installed
from frappe_hooksig.outbox import Outbox
from frappe_hooksig.outbox._bounds import number, whole
from frappe_hooksig.outbox._worker import MOST_SLOTS, SLOTS

try:
    from celery import Celery
    from celery.signals import worker_before_create_process
except ModuleNotFoundError as error:
    raise not_installed(error, "celery") from error

__all__ = ["add_tasks"]

# How long a drain begins attempts, in seconds. An attempt takes up to 60 more.
_BUDGET: Final = 30.0
_TIME_LIMIT: Final = 120
_MOST_DRAINS: Final = 100

_names: WeakKeyDictionary[Celery, set[str]] = WeakKeyDictionary()


def add_tasks(
    app: Celery,
    outbox: Outbox,
    *,
    queue: str | None = None,
    sweep: float = 10.0,
    drains: int = 2,
    slots: int = SLOTS,
    name: str = "frappe_hooksig.drain",
) -> None:
    """Have the workers of Celery send what an outbox has.

    It adds a task without arguments that calls `Outbox.drain()`, has each commit of a message start
    it, and has Celery's beat start it now and then.

    Call it where the app has its tasks, so that workers, beat and all that publish import it.

    Args:
        app: The Celery app.
        outbox: The outbox, without a bell of its own.
        queue: The queue of the task; by default, that of the app. Give it one of its own if other
            tasks must not wait for it: a drain takes up to 30 seconds, and the timeout of the
            outbox.
        sweep: How often beat starts the task, in seconds. Then it finds what lost bells have left,
            what is due again, and what killed processes were sending. Until the next one, drains
            wait for what becomes due soon.
        drains: How many processes may send at once. Each `Worker` counts, too.
        slots: As for `Worker`.
        name: The name of the task. With several outboxes, each needs another one.

    Raises:
        ConfigurationError: An argument cannot be used, the app has a task of this name, or the
            outbox has a bell.
    """
    number("sweep", sweep, 1, 3600)
    whole("drains", drains, 1, _MOST_DRAINS)
    whole("slots", slots, 1, MOST_SLOTS)
    names = _names.setdefault(app, set())
    if name in names:
        msg = f"the Celery app has a task {name} already: give each outbox another name="
        raise ConfigurationError(msg)
    # They do not expire: with a clock that is off, each one would.
    options: dict[str, Any] = {} if queue is None else {"queue": queue}

    def drain() -> None:
        outbox.drain(budget=_BUDGET, slots=slots, linger=sweep, most=drains)

    def bell() -> None:
        task.apply_async(retry=False, **options)

    def close(**_: object) -> None:
        outbox.close()

    outbox._ring_with(bell)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    names.add(name)
    # A task whose process is killed is not done again: beat starts the next one.
    task = app.task(
        name=name,
        shared=False,  # otherwise, other apps of the process would have it, too
        acks_late=False,
        ignore_result=True,
        time_limit=_TIME_LIMIT,
        soft_time_limit=None,
    )(drain)
    app.add_periodic_task(sweep, app.signature(name, options=options), name=name)
    # The children of a worker must not have connections of their parent.
    worker_before_create_process.connect(close, weak=False)
