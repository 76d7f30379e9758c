"""A Celery app that sends what an outbox has; the environment has its database and its broker."""

from __future__ import annotations

import os

from celery import Celery

from frappe_hooksig.integrations.celery import add_tasks
from frappe_hooksig.integrations.sqlalchemy import SQLAlchemyDatabase
from frappe_hooksig.outbox import Outbox
from frappe_hooksig.sending import AddressGuard

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def made(broker: str, database: str, sweep: float) -> tuple[Celery, Outbox]:
    """Return the app and its outbox."""
    os.environ["HOOK_SECRET"] = SECRET
    app = Celery("shop", broker=broker)
    outbox = Outbox(SQLAlchemyDatabase(database), guard=AddressGuard(["127.0.0.1"]), observe=())
    add_tasks(app, outbox, queue="webhooks", sweep=sweep)
    return app, outbox


def from_environment() -> Celery:
    """Return the app of a worker, in which the parent has used the outbox before it forks."""
    app, outbox = made(
        os.environ["BROKER"], os.environ["DATABASE"], float(os.environ.get("SWEEP", "3600"))
    )
    outbox.migrate()
    return app


if "BROKER" in os.environ:
    app = from_environment()
