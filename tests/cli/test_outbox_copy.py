"""`frappe-hooksig outbox copy`: an outbox in another database."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from frappe_hooksig.outbox import Outbox, SQLiteDatabase
from frappe_hooksig.outbox._processes import Heart
from frappe_hooksig.testing import FakeReceiver
from tests.cli.command import ENVIRONMENT, USAGE, VERIFIED, says
from tests.cli.outboxes import FILE, PASSWORD, Commands
from tests.loopback import free_port

NOTE = "frappe-hooksig: note: never start a worker on the old database again\n"


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """Return commands on a new outbox."""
    return Commands(tmp_path)


def copy(commands: Commands, *arguments: str) -> str:
    """Copy the outbox, and return the output."""
    out, err = commands.run(VERIFIED, "outbox", "copy", *arguments)
    assert err == NOTE
    return out


def refusal(commands: Commands, *arguments: str, **environment: str) -> str:
    """Return why nothing is copied."""
    out, err = commands.run(
        USAGE, "outbox", "copy", *arguments, environment={**commands.environment, **environment}
    )
    assert out == ""
    assert PASSWORD not in err
    return err


def test_copy(commands: Commands) -> None:
    """The new outbox sends what was left. The old one is as it was."""
    with FakeReceiver() as receiver:
        commands.add(url=receiver.url)
        commands.publish()

        out = copy(commands, "--to", "odd ?&name.db")

        assert out == "endpoints: 1\nmessages: 1\nlanes: 0\ndeliveries: 0\nattempts: 0\n"
        assert commands.work("--database", "odd ?&name.db")
        assert len(receiver.requests) == 1
    assert commands.json("outbox", "numbers")["unrouted"] == 1


def test_places(commands: Commands, tmp_path: Path) -> None:
    """Each of them is a path or a URL, in an option or in the environment."""
    commands.publish()
    environment = ENVIRONMENT | {"HOOKSIG_OUTBOX_TO": f"sqlite:///{tmp_path / 'new.db'}"}

    out, err = says(
        VERIFIED,
        *("outbox", "copy", "--database", f"sqlite:///{tmp_path / FILE}", "--json"),
        environment=environment,
    )

    assert err == NOTE
    assert json.loads(out)["messages"] == 1
    assert commands.json("outbox", "numbers", "--database", "new.db")["unrouted"] == 1


def test_named_installation(commands: Commands, tmp_path: Path) -> None:
    """Workers of that name send at once."""
    copy(commands, "--to", "new.db", "--installation", "production-2")

    outbox = Outbox(tmp_path / "new.db", installation="production-2")
    assert outbox.is_confirmed()
    outbox.close()


def test_what_is_refused(commands: Commands, tmp_path: Path) -> None:
    """The message names the option."""
    other = f"postgresql+psycopg://u:{PASSWORD}@127.0.0.1:{free_port()}/name"
    commands.publish()
    copy(commands, "--to", "new.db")

    assert "--to has messages already" in refusal(commands, "--to", "new.db")
    assert "--database and --to are the same database" in refusal(commands, "--to", FILE)
    assert "--to or HOOKSIG_OUTBOX_TO must name a database" in refusal(commands)
    assert "--to: a password among the arguments" in refusal(commands, "--to", other)
    assert "HOOKSIG_OUTBOX_TO" in refusal(commands, "--to", other)
    assert "--database or HOOKSIG_OUTBOX must name" in refusal(
        commands, "--to", "new.db", HOOKSIG_OUTBOX=""
    )
    assert "HOOKSIG_OUTBOX: there is no such file" in refusal(
        commands, "--to", "new.db", HOOKSIG_OUTBOX="no.db"
    )
    assert "cannot be used: OperationalError: connection failed" in refusal(
        commands, HOOKSIG_OUTBOX_TO=other
    )
    database = SQLiteDatabase(tmp_path / FILE)
    Heart(10).join(database)
    database.close()
    assert "a worker sends what --database has" in refusal(commands, "--to", "newer.db")


@pytest.mark.parametrize(
    ("missing", "place", "message"),
    [
        ("sqlalchemy", "new.db", "pip install 'frappe-hooksig[sqlalchemy]'"),
        ("psycopg", "postgresql+psycopg://127.0.0.1/n", "driver of a database is not installed"),
    ],
)
def test_not_installed(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, missing: str, place: str, message: str
) -> None:
    """The error says what to install."""
    monkeypatch.delitem(sys.modules, "frappe_hooksig.integrations.sqlalchemy", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)

    assert message in refusal(commands, "--to", place)
