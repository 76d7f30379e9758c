"""The stores of the core under servers: in their workers, and with gevent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.loopback import gunicorn
from tests.replay.test_stores import WARNING

TELLING = ("--config=python:tests.gunicorn_hooks", "--log-level=info")
# Uses a store before and after gevent patches the threads, and then in greenlets and threads.
PATCHES = """
import sys
from frappe_hooksig.replay import SQLiteStore, State
store = SQLiteStore(sys.argv[1])
store.claim("first", "1", 60)
from gevent import monkey
monkey.patch_all()
import gevent, threading
from gevent.threadpool import ThreadPool

def claim(number):
    return [store.claim(f"{key}", f"{number}", 60) for key in range(3)]

pool = ThreadPool(4)
tasks = [gevent.spawn(claim, n) for n in range(20)] + [pool.spawn(claim, n) for n in range(20, 30)]
states = [task.get() for task in tasks]
print([each.count(State.NEW) for each in zip(*states)], end=" ")
print([any(store.complete(f"{key}", f"{n}", 60) for n in range(30)) for key in range(3)])
"""


@pytest.mark.parametrize("options", ["", "--preload", "--worker-class=gevent --preload"])
@pytest.mark.parametrize("workers", [1, 3])
def test_memory_store(workers: int, options: str) -> None:
    """Workers of a server are told from a single one, even if a fork has made that."""
    app = "tests.integrations.memory_app:app"
    with gunicorn(app, f"--workers={workers}", *TELLING, *options.split()) as server:
        server.wait_for("Worker is ready", workers)
        answers = [server.send("/", method="GET").body.decode() for _ in range(10)]

    assert answers[0] == ("" if workers == 1 else WARNING)
    assert set(answers) == {"", answers[0]}


def test_before_gevent(tmp_path: Path) -> None:
    """A store that was used before gevent has patched the threads is right afterwards."""
    script = [sys.executable, "-c", PATCHES, str(tmp_path / "a.sqlite")]
    run = subprocess.run(script, capture_output=True, text=True, check=True)

    assert (run.stdout, run.stderr) == ("[1, 1, 1] [True, True, True]\n", "")
