"""`frappe-hooksig worker`, with receivers on loopback."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from frappe_hooksig import Verifier, providers
from frappe_hooksig.testing import FakeReceiver
from tests.cli.command import COMMAND, USAGE, VERIFIED, WHSEC, says
from tests.cli.outboxes import NOTHING, Commands
from tests.loopback import SECONDS_TO_START, served

ONCE = ["worker", "--once", "--allow", "127.0.0.1"]
APP = f"""\
from frappe_hooksig.outbox import Outbox
from frappe_hooksig.sending import AddressGuard

outbox = Outbox(
    "outbox.db",
    references={{"vault": {{"a": "{WHSEC}"}}.get}},
    guard=AddressGuard(["127.0.0.1"]),
)
"""
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (\w+) (.*)")


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """Return commands on a new outbox."""
    return Commands(tmp_path)


@contextmanager
def unconfigured_logging() -> Iterator[None]:
    """Let nobody have configured logging, as in a process of its own."""
    ours = logging.getLogger("frappe_hooksig")
    level = ours.level
    with patch.object(logging.getLogger(), "handlers", []):
        yield
    ours.setLevel(level)


def test_once(commands: Commands) -> None:
    """It sends what is due, and ends."""
    with FakeReceiver() as receiver:
        commands.add(url=receiver.url)
        message = commands.publish(body=b'{"a": 1}')
        out, err = commands.run(VERIFIED, *ONCE, "--slots", "2", "--timeout", "5")

    assert out == "attempts: 1\n"
    assert err.startswith(
        "frappe-hooksig: worker of outbox.db with 2 slots: ends when nothing is due\n"
    )
    [request] = receiver.requests
    verifier = Verifier(WHSEC, scheme=providers.STANDARD_WEBHOOKS)
    assert verifier.verify(request.body, request.headers).id == message
    assert commands.json(*ONCE) == {"attempts": 0}


def test_untrusted_urls(commands: Commands) -> None:
    """An address that is not allowed pauses nothing, and takes the whole timeout."""
    endpoint = commands.add()
    commands.publish()
    begin = time.monotonic()

    commands.run(VERIFIED, "worker", "--once", "--untrusted-urls", "--timeout", "0.5")

    assert time.monotonic() - begin > 0.5
    assert commands.json("outbox", "show", endpoint)["state"] == "active"
    (attempt,) = commands.json("outbox", "show", "1")["attempts"]
    assert attempt["reason"] == "address-not-allowed"


def test_log(commands: Commands) -> None:
    """Each event is a line, with its time in UTC."""
    commands.add()
    commands.publish()
    with unconfigured_logging():
        _, err = commands.run(VERIFIED, "worker", "--once")
        assert logging.getLogger("frappe_hooksig").isEnabledFor(logging.INFO)

    _, *lines = err.splitlines()
    found = [match.groups() for line in lines if (match := LINE.fullmatch(line))]
    assert [level for level, _ in found] == ["WARNING", "ERROR"]
    assert found[0][1].startswith("webhook blocked, address-not-allowed: POST to http://127.0.0.1")
    assert found[1][1].startswith("outbox paused, address-not-allowed (endpoint ep_")
    assert "of-the-url" not in err


def test_another_installation(commands: Commands) -> None:
    """It sends nothing, and says what to do."""
    commands.add()
    commands.publish()
    out, err = commands.run(NOTHING, *ONCE, "--installation", "staging")

    assert out == "attempts: 0\n"
    assert (
        "error: nothing is sent: these tables were last used by another installation, and may be "
        "a copy, until you run frappe-hooksig outbox confirm\n"
    ) in err


def test_app(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """The outbox of an app has the guard and the references of the app."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    (commands.folder / "app_of_worker.py").write_text(APP)
    with FakeReceiver() as receiver:
        where = ["--app", "app_of_worker:outbox"]
        commands.says(
            *("outbox", "endpoints", "add", receiver.url, "--secret-from", "vault:a", *where)
        )
        commands.publish()
        out, err = commands.run(VERIFIED, "worker", "--once", *where)

    assert out == "attempts: 1\n"
    assert "worker of the outbox app_of_worker:outbox with 16 slots" in err
    [request] = receiver.requests
    Verifier(WHSEC, scheme=providers.STANDARD_WEBHOOKS).verify(request.body, request.headers)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--slots", "0"], "--slots must be a whole number from 1 to 500"),
        (["--slots", "many"], "--slots must be a number"),
        (["--timeout", "90"], "--timeout must be a number from 0.1 to 60"),
        (["--allow", "http://a/"], "--allow contains something, at place 1, that is no address"),
        (["--installation", ""], "--installation must be a name"),
        (["outbox.db"], "an argument too many"),
        (["--databse", "a"], "did you mean --database"),
    ],
)
def test_wrong_use(arguments: list[str], message: str, commands: Commands) -> None:
    """The error names the option, and what it must be."""
    out, err = commands.run(USAGE, "worker", "--once", *arguments)

    assert out == ""
    assert message in err


def test_nowhere() -> None:
    """It does not start without an outbox."""
    _, err = says(USAGE, "worker", "--once")

    assert "where is the outbox?" in err


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_stopped_by_a_signal(commands: Commands) -> None:
    """It sends what is published while it runs. SIGTERM ends it, and it says what it did."""
    with (
        FakeReceiver() as receiver,
        served(
            [*COMMAND, "worker", "--allow", "127.0.0.1"],
            commands.folder,
            {**commands.environment},
            ready=r"worker of outbox\.db with 16 slots: SIGTERM or Ctrl-C stops it",
        ) as worker,
    ):
        commands.add(url=receiver.url)
        commands.publish()
        receiver.wait_for(1, timeout=SECONDS_TO_START)
        worker.stop()

    assert worker.log.endswith("attempts: 1\n")


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_waits_to_be_confirmed(commands: Commands) -> None:
    """A worker of another installation waits, and SIGINT ends it, too."""
    with subprocess.Popen(
        [sys.executable, "-m", "frappe_hooksig", "worker", "--json", "--installation", "staging"],
        cwd=commands.folder,
        env=commands.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=SECONDS_TO_START)

    assert lines[1].endswith("outbox confirm; this worker waits for that\n")
    assert "ERROR outbox unconfirmed, other-installation: these tables" in lines[2]
    assert (process.returncode, json.loads(out)) == (VERIFIED, {"attempts": 0})
