"""Outboxes for the tests of the commands."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.cli.command import ENVIRONMENT, USAGE, VERIFIED, says

DONE, NOTHING = 0, 1
FILE = "outbox.db"
REFERENCE = ["--secret-from", "env:WHSEC"]
# A part of what no command may show.
PASSWORD = "of-the-database"
# A receiver on loopback, to which a worker sends only if it is allowed to.
URL = "http://127.0.0.1:1/hook?token=of-the-url"


def refused(*arguments: Any, **environment: str) -> str:
    """Return why an outbox cannot be opened."""
    out, err = says(USAGE, "outbox", *arguments, environment=ENVIRONMENT | environment)
    assert out == ""
    assert PASSWORD not in err
    return err


class Commands:
    """Runs commands in a folder whose file `outbox.db` is an outbox.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment: Mapping[str, str] = ENVIRONMENT | {"HOOKSIG_OUTBOX": FILE}
        self.says("outbox", "init")

    def run(self, status: int, *arguments: Any, **options: Any) -> tuple[str, str]:
        """Run a command, check its exit status, and return its standard output and error."""
        return says(
            status, *arguments, **{"cwd": self.folder, "environment": self.environment, **options}
        )

    def says(self, *arguments: Any, **options: Any) -> str:
        """Run a command that succeeds without a word on standard error; return its output."""
        out, err = self.run(VERIFIED, *arguments, **options)
        assert err == ""
        return out.removesuffix("\n")

    def json(self, *arguments: Any, **options: Any) -> Any:
        """Run a command that succeeds, with `--json`, and return its output."""
        out, _ = self.run(VERIFIED, *arguments, "--json", **options)
        return json.loads(out)

    def add(self, *arguments: Any, url: str = URL) -> str:
        """Add an endpoint, and return its id."""
        return self.says("outbox", "endpoints", "add", url, *REFERENCE, *arguments)

    def publish(self, *arguments: Any, body: bytes = b"{}") -> str:
        """Publish an event, and return the id of the message."""
        return self.says("outbox", "publish", "invoice.paid", "-", *arguments, body=body)

    def work(self, *arguments: Any) -> str:
        """Let a worker send what is due, and return what it logs."""
        _, err = self.run(VERIFIED, "worker", "--once", "--allow", "127.0.0.1", *arguments)
        return err

    def execute(self, statement: str) -> None:
        """Run a statement on the tables."""
        with closing(sqlite3.connect(self.folder / FILE)) as connection, connection:
            connection.execute(statement)
