"""A disk that is full: what was claimed before is handled once, and recorded."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.once import DUPLICATE, begun, deliver, ended, wait_for_note
from tests.integrations.test_many_processes import notes
from tests.loopback import Answer, Server, gunicorn
from tests.replay.test_stores import fill, small_disk

__all__ = ["notes", "small_disk"]  # fixtures

pytestmark = pytest.mark.stress

COUNT = 40


def deliver_until_claimed(server: Server, **order: Any) -> Answer:
    """Send a delivery again, at most nine times, if the store was busy."""
    for _ in range(9):
        answer = deliver(server, **order)
        if answer.status != 503:
            return answer
    return deliver(server, **order)


def test_disk_full(small_disk: Path, notes: Path) -> None:
    """What was claimed is renewed and completed; what comes then is put off."""
    ballast = small_disk / "ballast"
    environment = {"NOTES": str(notes), "STORE": f"sqlite:{small_disk}/deliveries.sqlite"}
    app = "tests.integrations.once_flask_app:flask_app"
    with (
        gunicorn(app, f"--threads={COUNT + 4}", **environment) as server,
        ThreadPoolExecutor(COUNT) as pool,
    ):
        # So many at once may wait longer for the file than the store does, on a busy machine.
        send = partial(deliver_until_claimed, server, takes=6)
        sent = [pool.submit(send, n=str(number)) for number in range(COUNT)]
        wait_for_note(notes, "begin", COUNT)
        fill(ballast)
        answers = [each.result() for each in sent]
        during = deliver(server, n="new").status
        ballast.unlink()
        again = list(pool.map(lambda number: send(n=str(number)), range(COUNT)))
        after = deliver(server, n="new").status

    assert Counter(begun(notes).values()) == Counter(ended(notes).values()) == {1: COUNT}
    assert Counter(answer.status for answer in answers) == {200: COUNT}
    assert [answer.json() for answer in again] == [DUPLICATE] * COUNT
    assert during in {200, 503}
    assert after == 200
    assert "was not completed" not in server.log
