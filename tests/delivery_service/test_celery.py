"""Celery in place of `delivery-service work`, by one setting: a real worker, a real Valkey."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import AbstractContextManager

import pytest
from delivery_service.account import NewMessage

from frappe_hooksig.sending import RetrySchedule
from frappe_hooksig.testing import FakeReceiver
from tests.delivery_service.operating import Operator
from tests.frappe_bench import valkey_url
from tests.loopback import Server, served
from tests.selection import at_full_size

__all__ = ["valkey_url"]  # a fixture

APP = "delivery_service.celery_app"


def celery(operator: Operator) -> AbstractContextManager[Server]:
    """Run a worker of Celery with its beat, until the block ends."""
    command = [sys.executable, "-m", "celery", "-A", APP, "worker", "-B", "-c", "1", "-l", "INFO"]
    command += ["--without-gossip", "--without-mingle"]
    return served(command, operator.folder, operator.environment, ready=r"celery@\S+ ready")


@pytest.fixture
def operator(operator: Operator, valkey_url: str) -> Operator:
    """An operator whose service has a broker."""
    operator.variables["BROKER_URL"] = valkey_url
    return operator


def test_celery(operator: Operator) -> None:
    """A commit has Celery send the message at once, and tries again when it is due."""
    with FakeReceiver([500, 200, 200]) as receiver, celery(operator) as worker:
        with operator.state() as state:
            account = state.account("acme")
            account.add_endpoint(receiver.url, schedule=RetrySchedule((0.5,)))
            account.publish([NewMessage(event_type="a", payload=1)])
            receiver.wait_for(2, timeout=30)
            account.publish([NewMessage(event_type="a", payload=2)])
            receiver.wait_for(3, timeout=30)
        worker.stop()

    assert "Traceback" not in worker.log


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"DATABASE_URL": "sqlite:///other.db"}, "create it with `delivery-service migrate`"),
        at_full_size({"BROKER_URL": ""}, "DELIVERY_SERVICE_BROKER_URL is not set"),
        at_full_size({"KEYS": ""}, "DELIVERY_SERVICE_KEYS is not set"),
    ],
    ids=["no-database", "no-broker", "no-keys"],
)
def test_unusable(operator: Operator, changes: dict[str, str], says: str) -> None:
    """What is missing is said in a line when a worker starts."""
    operator.variables |= changes

    ran = subprocess.run(
        [sys.executable, "-c", f"import {APP}"],
        cwd=operator.folder,
        env={**os.environ, **operator.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ran.returncode == 1
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr
