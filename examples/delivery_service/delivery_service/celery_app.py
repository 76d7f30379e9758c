"""What workers of Celery load: `celery -A delivery_service.celery_app worker -B`."""

from __future__ import annotations

from celery import Celery

from delivery_service.migrating import check_tables
from delivery_service.settings import Settings, UnusableSettings
from delivery_service.state import State
from frappe_hooksig import ConfigurationError


def _opened() -> Celery:
    state = State.of(Settings.read())
    if state.celery is None:
        msg = "DELIVERY_SERVICE_BROKER_URL is not set: it is where Celery has its queue"
        raise ConfigurationError(msg)
    try:
        check_tables(state.engine, state.outbox)
    finally:
        state.close()  # the processes of the worker connect for themselves
    return state.celery


try:
    app = _opened()
except (ConfigurationError, UnusableSettings) as error:
    raise SystemExit(str(error)) from None
