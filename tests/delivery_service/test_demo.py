"""`make service`: the service, ready to try."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
import time
from pathlib import Path
from string import Template
from urllib.parse import urlencode, urlsplit

import pytest

from tests.loopback import ROOT, SECONDS_TO_START, Answer, Server, send_to, served
from tests.selection import at_full_size

START = r"The service is at  http://127\.0\.0\.1:(?P<port>\d+)"
DEAD = 'curl -sS "$API/deliveries?state=dead" -H "$AUTH"'
COMMAND = re.compile(r"^  (curl .*(?:\n    .*)*)", re.MULTILINE)


def curl(command: str, variables: dict[str, str]) -> Answer:
    """Do what a command of curl does, as a shell would start it."""
    name, flags, *words = shlex.split(command)
    assert (name, flags) == ("curl", "-sS")
    words = [Template(each).substitute(variables) for each in words]
    url = urlsplit(next(each for each in words if each.startswith("http")))
    options = [(words[i - 1], each) for i, each in enumerate(words) if words[i - 1][0] == "-"]
    headers = [each.split(": ", 1) for name, each in options if name == "-H"]
    bodies = [each.encode() for name, each in options if name == "-d"]
    methods = [each for name, each in options if name == "-X"] + ["POST"] * len(bodies) + ["GET"]
    assert url.port
    target = f"{url.path}?{url.query}" if url.query else url.path
    pairs = [(header, value) for header, value in headers]
    return send_to(url.port, target, b"".join(bodies), pairs, method=methods[0])


def patient_curl(command: str, variables: dict[str, str]) -> Answer:
    """Do the same, and again while a delivery has not ended."""
    deadline = time.monotonic() + SECONDS_TO_START
    while (answer := curl(command, variables)).status == 409 and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer


def exported(text: str) -> dict[str, str]:
    """Return the variables that a reader copies."""
    words = re.findall(r"^  export (.*)$", text, re.MULTILINE)
    return dict(each.split("=", 1) for each in shlex.split(" ".join(words)))


def log_in(server: Server) -> Answer:
    """Log in with what stands there."""
    (login,) = re.findall(r"^  login +(\S+)$", server.log, re.MULTILINE)
    (password,) = re.findall(r"^  password +(\S+)$", server.log, re.MULTILINE)
    form = urlencode({"email": login, "password": password}).encode()
    origin = f"http://127.0.0.1:{server.port}"
    kind = "application/x-www-form-urlencoded"
    return server.send("/login", form, {"Content-Type": kind, "Origin": origin})


def end(server: Server, number: signal.Signals) -> None:
    """End it with a signal, and wait until it has."""
    os.kill(server.pid, number)
    server.wait_for("ending", 1)
    server.stop()


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, at_full_size(signal.SIGINT)], ids=lambda each: each.name
)
def test_demo(tmp_path: Path, number: signal.Signals) -> None:
    """It shows what is received, its commands work, and nothing stays when it ends."""
    command = [sys.executable, "-W", "error", "-m", "delivery_service.demo"]
    others = {"DELIVERY_SERVICE_KEYS": "of another service", "TMPDIR": str(tmp_path)}
    with served(command, tmp_path, others, START) as server:
        server.wait_for("  -> 204", 5)
        assert server.has_logged("  -> 503", 3)
        subscribe, publish, listing, again = COMMAND.findall(server.log)
        variables = exported(server.log)

        (dead,) = curl(DEAD, variables).json()["items"]
        answer = curl(again.replace("/1/", f"/{dead['id']}/"), variables)
        assert answer.status == 202, answer
        server.wait_for("  -> 204", 6)
        answer = curl(subscribe, variables)
        assert answer.status == 201, answer
        answer = curl(publish, variables)
        assert answer.status in {200, 201, 202}, answer
        server.wait_for('{"name": "INV-00001"}  -> 204', 2)
        answer = curl(listing, variables)
        assert answer.status == 200, answer
        (first, *_) = answer.json()["items"]
        answer = patient_curl(again.replace("/1/", f"/{first['id']}/"), variables)
        assert answer.status in {200, 202}, answer
        server.wait_for('{"name": "INV-00001"}  -> 204', 3)
        assert log_in(server).status == 303
        end(server, number)

    assert [*tmp_path.iterdir()] == []
    assert "Traceback" not in server.log
    assert "refused" not in server.log


@pytest.mark.long
@pytest.mark.stress
def test_commands_of_the_page(tmp_path: Path) -> None:
    """The commands in the documentation work, in their order, with what `make service` prints."""
    page = (ROOT / "docs" / "delivery-service.md").read_text("utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^(curl .*(?:\n  .*)*)", "".join(blocks), re.MULTILINE)
    command = [sys.executable, "-m", "delivery_service.demo"]
    with served(command, tmp_path, {"TMPDIR": str(tmp_path)}, START) as server:
        server.wait_for("  -> 204", 5)
        variables = exported(server.log)
        deliveries = curl('curl -sS "$API/deliveries?state=delivered" -H "$AUTH"', variables)
        variables["DELIVERY"] = str(deliveries.json()["items"][0]["id"])
        added = curl(commands[0], variables).json()
        variables["ENDPOINT"] = added["id"]
        assert added["secret"].startswith("whsec_")

        answers = [(each, patient_curl(each, variables)) for each in commands[1:]]

        refused = [(each, a.status, a.body) for each, a in answers if a.status not in {200, 202}]
        assert refused == []
        assert len(answers) > 10
        end(server, signal.SIGTERM)
