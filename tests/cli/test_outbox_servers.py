"""Outboxes that need an extra: in the database of a server, and with encrypted secrets."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from frappe_hooksig.outbox import Outbox
from frappe_hooksig.testing import FakeReceiver
from tests.cli.command import ENVIRONMENT, VERIFIED, WHSEC, says
from tests.cli.outboxes import FILE, PASSWORD, Commands, refused
from tests.loopback import free_port

ONCE = ["worker", "--once", "--allow", "127.0.0.1"]


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """Return commands on a new outbox."""
    return Commands(tmp_path)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql+psycopg://u:{}@127.0.0.1:{}/name", "OperationalError: connection failed"),
        ("mysql+pymysql://u:{}@127.0.0.1:{}/name", "OperationalError: (2003, "),
        ("postgresql+psycopg://u:a@{}@127.0.0.1:{}/name", "HOOKSIG_OUTBOX: write %40 for each @"),
        ("postgresql+psycopg://u:{}@127.0.0.1:{}x/name", "the URL of the database cannot be read"),
        ("nonsense://u:{}@127.0.0.1:{}/name", "PostgreSQL or MariaDB, not in nonsense"),
    ],
    ids=["postgresql", "mariadb", "password with @", "port", "dialect"],
)
def test_server(url: str, message: str) -> None:
    """A server that cannot be reached is named, and its password is not."""
    err = refused("list", HOOKSIG_OUTBOX=url.format(PASSWORD, free_port()))

    assert message in err


def test_driver_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names what is to be installed."""
    monkeypatch.setitem(sys.modules, "psycopg", None)

    err = refused("list", "--database", "postgresql+psycopg://127.0.0.1/name")
    assert "--database: the driver of the database is not installed: psycopg" in err


def test_url_of_sqlite(commands: Commands, tmp_path: Path) -> None:
    """A file may be named by a URL, too."""
    commands.publish()
    environment = ENVIRONMENT | {"HOOKSIG_OUTBOX": f"sqlite:///{tmp_path / FILE}"}

    out, _ = says(VERIFIED, "outbox", "numbers", environment=environment)
    assert "not routed yet: 1\n" in out


def test_wrong_keys() -> None:
    """The error names the variable, and no key."""
    err = refused("init", HOOKSIG_OUTBOX="a.db", HOOKSIG_OUTBOX_KEYS=PASSWORD)

    assert "HOOKSIG_OUTBOX_KEYS must be Fernet keys" in err


def test_keys(commands: Commands) -> None:
    """Secrets that an app has stored need its keys, the newest first."""
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    with FakeReceiver() as receiver:
        outbox = Outbox(commands.folder / FILE, keys=[old])
        outbox.add_endpoint(receiver.url, secret=WHSEC)
        outbox.close()
        commands.publish()
        environment = {**commands.environment, "HOOKSIG_OUTBOX_KEYS": f"{new}, {old},"}
        out, _ = commands.run(VERIFIED, *ONCE, environment=environment)

    assert out == "attempts: 1\n"
    assert len(receiver.requests) == 1
