"""gunicorn with gevent, which replaces threads and locks after an app may have been imported."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.integrations.once import begun, deliver_as_frappe_does, ended
from tests.integrations.test_many_processes import notes
from tests.loopback import gunicorn
from tests.selection import FULL

__all__ = ["notes"]  # a fixture

pytestmark = pytest.mark.stress

APP = "tests.integrations.once_flask_app:flask_app"
CELLS = [
    ("memory", "--preload"),
    ("sqlite", "--preload"),
    ("memory", "--no-sendfile"),
    ("sqlite", "--no-sendfile"),
]


@pytest.mark.parametrize(("store", "option"), CELLS if FULL else CELLS[:1])
def test_gevent(notes: Path, store: str, option: str) -> None:
    """Each delivery is handled once, whether the app was imported before or after the fork."""
    environment = {"NOTES": str(notes), "STORE": f"{store}:{notes}.sqlite"}
    with gunicorn(APP, "--worker-class=gevent", option, **environment) as server:
        send = partial(deliver_as_frappe_does, server, takes=10)
        with ThreadPoolExecutor(20) as pool:
            sent = [pool.submit(send, n=str(number)) for number in range(20)]
            statuses = [each.result() for each in sent]

    assert Counter(begun(notes).values()) == Counter(ended(notes).values()) == {1: 20}
    assert Counter(each[-1] for each in statuses) == {200: 20}
    assert {status for each in statuses for status in each} <= {0, 200, 409}
