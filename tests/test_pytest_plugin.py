"""The fixtures for pytest, in a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from frappe_hooksig import providers
from frappe_hooksig.testing import hostile_requests
from tests.senders import secret_of

PLUGIN = "frappe_hooksig._pytest_plugin"

TESTS = """
import sqlite3
import time
import urllib.request

import pytest

from frappe_hooksig._overriding import innermost, overriding
from frappe_hooksig.outbox import Outbox
from frappe_hooksig.replay import State


@pytest.mark.parametrize("number", [1, 2])
def test_store(webhook_store, number):
    assert innermost("store") is webhook_store
    assert webhook_store.claim("a", "1", 5) is State.NEW


def test_clock(webhook_clock):
    assert innermost("clock") is webhook_clock
    assert 0 <= time.time() - webhook_clock.now < 60
    webhook_clock.advance(600)
    assert webhook_clock() - time.time() > 500


def test_receiver(fake_receiver):
    one, other = fake_receiver([201]), fake_receiver()
    assert urllib.request.urlopen(one.url).status == 201
    assert urllib.request.urlopen(other.url).status == 200
    assert [len(each.requests) for each in (one, other)] == [1, 1]
    global url
    url = one.url


def test_outbox(captured_outbox, tmp_path):
    path = tmp_path / "outbox.db"
    global outbox
    outbox = Outbox(path)
    outbox.migrate()
    captured = captured_outbox(outbox)
    with sqlite3.connect(path) as connection:
        outbox.publish(connection, "invoice.paid", {})
        assert [each.event_type for each in captured_outbox(outbox, connection).messages] == []
    assert [each.event_type for each in captured.messages] == ["invoice.paid"]
    assert outbox._holds == 2


def test_nothing_is_left():
    assert outbox._holds == 0
    assert overriding == []
    with pytest.raises(OSError):
        urllib.request.urlopen(url)
"""


def run(folder: Path, *args: str, **environment: str) -> str:
    """Run pytest in a folder, and return what it prints."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:schemathesis",
        *args,
    ]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        text=True,
    ).stdout


def test_fixtures(tmp_path: Path) -> None:
    """Each is entered for a test, and left after it."""
    (tmp_path / "test_it.py").write_text(TESTS)

    printed = run(tmp_path, "-q", "-W", "error", "-p", PLUGIN, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert "6 passed" in printed, printed


def test_entry_point(tmp_path: Path) -> None:
    """The plugin is found without a name, and its fixtures are described."""
    (plugin,) = (each for each in entry_points(group="pytest11") if each.value == PLUGIN)
    printed = run(tmp_path, "--fixtures")

    assert plugin.name == PLUGIN
    for name in (
        "webhook_store",
        "webhook_clock",
        "fake_receiver",
        "hostile_case",
        "captured_outbox",
    ):
        assert f"\n{name} -- " in printed
    assert "A new store, which all routes that have a store use during the test." in printed


@pytest.mark.parametrize("is_found", ["1", ""])
def test_loaded_twice(tmp_path: Path, is_found: str) -> None:
    """Whoever names the plugin too, gets no second one and no error."""
    test = "def test_it(webhook_clock):\n    assert webhook_clock.now == webhook_clock()\n"
    (tmp_path / "test_it.py").write_text(test)

    assert "1 passed" in run(tmp_path, "-p", PLUGIN, PYTEST_DISABLE_PLUGIN_AUTOLOAD=is_found)


def test_start(tmp_path: Path) -> None:
    """A suite that does not use it loads no part of the package but this module."""
    (tmp_path / "test_it.py").write_text(
        "import sys\n\ndef test_it():\n"
        "    names = {each for each in sys.modules if each.startswith('frappe_hooksig')}\n"
        f"    assert names == {{'frappe_hooksig', {PLUGIN!r}}}\n"
    )

    assert "1 passed" in run(tmp_path, "-p", PLUGIN, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")


APP = f"""
import unittest
import pytest
from flask import Flask
from frappe_hooksig.integrations.flask import verify_frappe_webhook
from frappe_hooksig.providers import FRAPPE
from frappe_hooksig.testing import hostile_requests

SECRET = {secret_of(providers.FRAPPE)!r}
app = Flask(__name__)

@app.post("/webhook")
@verify_frappe_webhook(secret=SECRET, max_body=4096)
def webhook():
    return "handled"

def send(request):
    return app.test_client().post("/webhook", **request.for_flask)
"""
MARKED = """
@pytest.mark.webhook(FRAPPE, SECRET, max_body=4096)
def test_webhook(hostile_case):
    hostile_case.check(send)
"""
WRONG = """
@pytest.mark.webhook(FRAPPE, "another secret of theirs", max_body=4096)
def test_webhook(hostile_case):
    hostile_case.check(send)
"""
UNMARKED = """
def test_webhook(hostile_case):
    hostile_case.check(send)
"""
UNITTEST = """
class TestWebhook(unittest.TestCase):
    def test_hostile(self):
        for case in hostile_requests(FRAPPE, SECRET, max_body=4096):
            with self.subTest(case.name):
                case.check(send)
"""
NUMBER = len(hostile_requests(providers.FRAPPE, secret_of(providers.FRAPPE), max_body=4096))


@pytest.mark.parametrize(
    ("test", "printed"),
    [
        (MARKED, ["test_webhook[wrong-secret] PASSED", f"{NUMBER} passed"]),
        (
            WRONG,
            ["test_webhook[genuine] FAILED", "AssertionError: genuine: It refuses genuine req"],
        ),
        (UNMARKED, ["takes hostile_case, so it needs the marker @pytest.mark.webhook(scheme, sec"]),
        (UNITTEST, ["TestWebhook::test_hostile PASSED", "1 passed"]),
    ],
    ids=["marked", "wrong", "unmarked", "unittest"],
)
def test_cases(test: str, printed: list[str], tmp_path: Path) -> None:
    """Each case is a test with a name; unittest needs no plugin."""
    (tmp_path / "test_app.py").write_text(APP + test)

    options = ("-v", "--strict-markers", "-p", PLUGIN)
    output = run(tmp_path, *options, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert [text for text in printed if text not in output] == [], output
