"""The commands of the service, as an operator runs them: settings in the environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from delivery_service.commands import app
from delivery_service.settings import PREFIX, Settings
from delivery_service.state import State
from typer.testing import CliRunner

from frappe_hooksig.outbox import Worker
from tests.delivery_service.running import environment_of, usual_settings
from tests.loopback import Server, served


@dataclass(frozen=True)
class Ran:
    """What became of a command."""

    status: int
    output: str
    errors: str


@dataclass
class Operator:
    """Somebody who operates a service in a folder.

    Attributes:
        folder: Where the SQLite file is.
        variables: The settings, without what they all begin with.
    """

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        usual = {name.upper(): each for name, each in usual_settings(self.url()).items()}
        self.variables = {**usual, **self.variables}

    def url(self, name: str = "service.db") -> str:
        return f"sqlite:///{self.folder / name}"

    @property
    def environment(self) -> dict[str, str]:
        return environment_of(self.variables)

    def run(self, *words: str, given: str = "") -> Ran:
        """Run a command, whatever becomes of it."""
        with self._in_environment():
            result = CliRunner().invoke(app, words, input=given)
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return Ran(result.exit_code, result.stdout, result.stderr)

    def must(self, *words: str, given: str = "") -> str:
        """Run a command that does what it is to do, and return what it prints."""
        ran = self.run(*words, given=given)
        assert (ran.status, ran.errors) == (0, ""), ran
        return ran.output

    def begin(self) -> None:
        """Have the tables and a tenant."""
        (self.folder / "service.db").write_bytes(_migrated())

    def settings(self) -> Settings:
        """Read the settings."""
        with self._in_environment():
            return Settings.read()

    @contextmanager
    def state(self) -> Iterator[State]:
        """Open what the settings name."""
        state = State.of(self.settings())
        try:
            yield state
        finally:
            state.close()

    def start(self, *words: str, ready: str) -> AbstractContextManager[Server]:
        """Run a command in a process of its own, until the block ends."""
        command = [sys.executable, "-m", "delivery_service", *words]
        return served(command, self.folder, self.environment, ready)

    @contextmanager
    def sending(self) -> Iterator[State]:
        """Run a worker in this process."""
        with self.state() as state, Worker(state.outbox):
            yield state

    def serve(self) -> AbstractContextManager[Server]:
        """Run the API and the page on a free port."""
        return self.start(
            "serve", "--port", "0", ready=r"running on http://127\.0\.0\.1:(?P<port>\d+)"
        )

    def work(self) -> AbstractContextManager[Server]:
        """Run a worker."""
        return self.start("work", ready="sending what is due")

    def _in_environment(self) -> AbstractContextManager[object]:
        others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        return patch.dict(os.environ, {**others, **self.environment}, clear=True)


@cache
def _migrated() -> bytes:
    """Return a SQLite file with the tables and a tenant."""
    with TemporaryDirectory() as folder:
        operator = Operator(Path(folder))
        operator.must("migrate")
        operator.must("create-tenant", "acme", "Acme")
        return (operator.folder / "service.db").read_bytes()
