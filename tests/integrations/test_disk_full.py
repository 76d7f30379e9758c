"""A disk that is full: what was claimed before is handled once, and recorded."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from tests.integrations.once import DUPLICATE, begun, deliver, ended
from tests.integrations.test_leases import wait_for_note
from tests.loopback import gunicorn

pytestmark = pytest.mark.stress

COUNT = 40


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(disk: Path) -> Path:
    """Leave no room for anything; return the file that takes it."""
    ballast = disk / "ballast"
    for size in (4096, 1):
        with suppress(OSError), ballast.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(size))
    return ballast


def test_disk_full(disk: Path, tmp_path: Path) -> None:
    """What was claimed is renewed and completed; what comes then is put off."""
    notes = tmp_path / "notes"
    notes.touch()
    environment = {"NOTES": str(notes), "STORE": f"sqlite:{disk}/deliveries.sqlite"}
    app = "tests.integrations.once_flask_app:flask_app"
    with (
        gunicorn(app, f"--threads={COUNT + 4}", **environment) as server,
        ThreadPoolExecutor(COUNT) as pool,
    ):
        send = partial(deliver, server, takes=6)
        sent = [pool.submit(send, n=str(number)) for number in range(COUNT)]
        wait_for_note(notes, "begin", COUNT)
        ballast = fill(disk)
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
