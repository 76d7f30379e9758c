"""Celery in place of `delivery-service work`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from frappe_hooksig import ConfigurationError
from frappe_hooksig.outbox import Outbox

if TYPE_CHECKING:
    from celery import Celery

#: The queue of the only task.
QUEUE: Final = "delivery_service"


def connect_celery(broker_url: SecretStr, outbox: Outbox) -> Celery:
    """Have Celery send what an outbox has, and return its app.

    A process that publishes calls it, too: then its commits ring for a worker.

    Raises:
        ConfigurationError: Celery is not installed, or not what it needs for this broker.
    """
    try:
        from celery import Celery

        from frappe_hooksig.integrations.celery import add_tasks
    except ModuleNotFoundError:
        msg = (
            "DELIVERY_SERVICE_BROKER_URL needs Celery: in a checkout, "
            "pip install './examples/delivery_service[celery]'"
        )
        raise ConfigurationError(msg) from None
    celery = Celery("delivery_service", broker=broker_url.get_secret_value())
    try:
        celery.connection_for_write().get_transport_cls()
    except Exception:  # noqa: BLE001  # it may name a part of a password
        msg = (
            "DELIVERY_SERVICE_BROKER_URL must be like redis://127.0.0.1:6379/0, and what Celery "
            "needs for it must be installed"
        )
        raise ConfigurationError(msg) from None
    celery.conf.update(
        task_default_queue=QUEUE,  # so that a worker needs no -Q
        broker_connection_retry_on_startup=True,
    )
    add_tasks(celery, outbox)
    return celery
