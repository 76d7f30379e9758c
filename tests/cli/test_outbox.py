"""`frappe-hooksig outbox`, on a SQLite file."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import sys
import time
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from frappe_hooksig.cli._excerpt import plain
from frappe_hooksig.cli._outbox import ACTIONS
from frappe_hooksig.cli._outbox_place import in_options
from frappe_hooksig.cli._outbox_shown import duration_of
from frappe_hooksig.outbox._tables import NEWEST
from frappe_hooksig.testing import Answer, FakeReceiver
from tests.cli.command import ENVIRONMENT, USAGE, VERIFIED, WHSEC, run_process, says
from tests.cli.outboxes import FILE, NOTHING, REFERENCE, URL, Commands

UNKNOWN = {
    "endpoint": "ep_" + "0" * 24,
    "message": "msg_" + "0" * 32,
    "delivery": "77",
}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """Return commands on a new outbox."""
    return Commands(tmp_path)


def deliver(commands: Commands, *answers: Any, count: int = 1) -> tuple[str, list[str]]:
    """Publish events, have one attempt at each, and return the ids of endpoint and messages."""
    with FakeReceiver(answers) as receiver:
        endpoint = commands.add("--concurrency", "1", url=f"{receiver.url}hook?token=of-the-url")
        messages = [commands.publish() for _ in range(count)]
        commands.work()
    return endpoint, messages


def states(commands: Commands) -> list[str]:
    """Return the states of all deliveries, the newest first."""
    return [each["state"] for each in commands.json("outbox", "list")]


FORMATS = """\
from frappe_hooksig.outbox import Formatted, Outbox

outbox = Outbox("outbox.db", formats={"envelope": lambda each: Formatted({"data": each.json()})})
"""


class TestTables:
    """`init`, `migrate`, `confirm` and `numbers`."""

    def test_init(self, tmp_path: Path) -> None:
        """It creates the file and the tables once, and says which it was."""
        arguments = ["outbox", "init", "--database", "new.db"]

        assert says(VERIFIED, *arguments, cwd=tmp_path) == ("created the tables\n", "")
        assert (tmp_path / "new.db").exists()
        assert says(VERIFIED, *arguments, cwd=tmp_path) == ("the tables are there already\n", "")
        out, _ = says(VERIFIED, *arguments, "--json", cwd=tmp_path)
        assert json.loads(out) == {"steps": 0}

    def test_migrate(self, commands: Commands) -> None:
        """Tables of an older release are refused until they are migrated."""
        commands.execute("UPDATE hooksig_installation SET version = 0")

        _, err = commands.run(USAGE, "outbox", "list")
        assert "run `frappe-hooksig outbox migrate`" in err
        assert commands.says("outbox", "migrate") == f"changed the tables, in steps: {NEWEST}"
        assert commands.says("outbox", "migrate") == "the tables are of this release"
        assert commands.says("outbox", "list") == "no deliveries"

    def test_newer_tables(self, commands: Commands) -> None:
        """Those of a newer release are left alone."""
        commands.execute("UPDATE hooksig_installation SET version = 99")

        _, err = commands.run(USAGE, "outbox", "migrate")
        assert "install the newer release" in err

    @pytest.mark.parametrize("action", [["migrate"], ["list"], ["endpoints", "add", URL]])
    def test_no_file(self, action: list[str], tmp_path: Path) -> None:
        """Only `init` creates a file: a mistake in the name leaves nothing behind."""
        given = ["--database", "Outbox.db", *(REFERENCE if "add" in action else [])]
        out, err = says(USAGE, "outbox", *action, *given, cwd=tmp_path)

        assert (out, [*tmp_path.iterdir()]) == ("", [])
        assert "--database: there is no such file: `frappe-hooksig outbox init` creates it" in err

    @pytest.mark.parametrize(
        ("content", "message"),
        [(b"", "run `frappe-hooksig outbox init`"), (b"x" * 4096, "file is not a database")],
    )
    def test_no_tables(self, content: bytes, message: str, tmp_path: Path) -> None:
        """Another file is refused."""
        (tmp_path / "other").write_bytes(content)

        _, err = says(USAGE, "outbox", "list", "--database", "other", cwd=tmp_path)
        assert message in err

    def test_confirm(self, commands: Commands) -> None:
        """Another installation sends nothing until it is confirmed."""
        where = ["--installation", "staging"]

        assert not commands.json("outbox", "numbers", *where)["confirmed"]
        assert "confirmed: no: nothing is sent" in commands.says("outbox", "numbers", *where)
        assert commands.says("outbox", "confirm", *where).startswith("confirmed: ")
        assert "confirmed: yes\n" in commands.says("outbox", "numbers", *where) + "\n"
        assert commands.says("outbox", "confirm", *where) == (
            "the tables belong to this installation already"
        )
        assert commands.json("outbox", "confirm") == {"changed": True}

    def test_numbers(self, commands: Commands) -> None:
        """They say what is due, and how each endpoint does."""
        endpoint, _ = deliver(commands, 200, 500, count=2)
        idle = commands.add()
        commands.says("outbox", "pause", idle)
        commands.publish()

        numbers = commands.json("outbox", "numbers")
        assert (numbers["due"], numbers["unrouted"], numbers["confirmed"]) == (0, 1, True)
        first, second = numbers["endpoints"]
        assert (first["endpoint_id"], first["state"]) == (endpoint, "active")
        assert (first["attempts"], first["delivered"], first["scheduled"]) == (2, 1, 1)
        assert first["longest_seconds"] >= first["mean_seconds"] > 0
        assert (second["state"], second["attempts"], second["mean_seconds"]) == ("paused", 0, None)
        lines = commands.says("outbox", "numbers").splitlines()
        assert lines[:4] == ["due: 0", "oldest due: -", "not routed yet: 1", "confirmed: yes"]
        assert lines[4].split()[:4] == ["ENDPOINT", "STATE", "DUE", "OLDEST"]
        assert lines[5].split()[:3] == [endpoint, "active", "0"]

    def test_oldest_due(self, commands: Commands) -> None:
        """What is due has an age."""
        deliver(commands, 500)
        commands.execute("UPDATE hooksig_deliveries SET due_at = due_at - 10800000")

        shown = commands.says("outbox", "numbers")
        assert shown.startswith("due: 1\noldest due: 3 h\n")
        assert "  active  1    3 h     0 " in shown


class TestEndpoints:
    """`endpoints`, `pause` and `resume`."""

    def test_add(self, commands: Commands) -> None:
        """Each option is what the endpoint has."""
        added = commands.json(
            *("outbox", "endpoints", "add", URL, *REFERENCE, "--secret-from", "file:/old"),
            *("--event-type", "invoice.*", "--event-type", "order.paid", "--scheme", "stripe"),
            *("--method", "PUT", "--header-from", "Authorization=env:TOKEN", "--order", "key"),
            *("--hold", "60", "--concurrency", "2", "--rate", "0.5", "--retry", "quick"),
            *("--tenant", "acme"),
        )

        assert re.fullmatch(r"ep_[0-9a-f]{24}", added.pop("id"))
        assert abs(datetime.fromisoformat(added.pop("created_at")[:-1] + "+00:00").timestamp()
                   - time.time()) < 60  # fmt: skip
        assert added == {
            "url": "http://127.0.0.1:1/hook?...",
            "tenant": "acme",
            "event_types": ["invoice.*", "order.paid"],
            "method": "PUT",
            "scheme": "stripe",
            "format": None,
            "secret_from": ["env:WHSEC", "file:/old"],
            "old_secret_ends": None,
            "header_names": ["Authorization"],
            "order": "key",
            "hold": 60.0,
            "concurrency": 2,
            "rate": 0.5,
            "schedule": {"delays": [1, 4, 10], "jitter": 0.1},
            "state": "active",
            "reason": "",
            "message": "",
            "failing_since": None,
            "failures": 0,
        }

    def test_list(self, commands: Commands) -> None:
        """The table has no query of a URL, which may have a token."""
        assert commands.says("outbox", "endpoints") == "no endpoints"
        first = commands.add("--tenant", "acme")
        second = commands.add("--event-type", "order.*")

        heads, *rows = commands.says("outbox", "endpoints").splitlines()
        assert heads.split("  ")[0] == "ENDPOINT"
        assert [row.split()[0] for row in rows] == [first, second]
        assert rows[1].split() == [
            *(second, "active", "-", "order.*", "standard-webhooks", "-"),
            "http://127.0.0.1:1/hook?...",
        ]
        assert commands.says("outbox", "endpoints", "--tenant", "acme").count("ep_") == 1
        assert [each["id"] for each in commands.json("outbox", "endpoints")] == [first, second]

    def test_change(self, commands: Commands) -> None:
        """What is named changes, and nothing else."""
        endpoint = commands.add("--rate", "5", "--event-type", "order.*")
        change = ["outbox", "endpoints", "change", endpoint]

        assert commands.says(*change, "--rate", "none") == f"changed: {endpoint}"
        changed = commands.json(*change, "--url", "https://example.com/", "--concurrency", "3")
        assert (changed["url"], changed["concurrency"]) == ("https://example.com/", 3)
        assert (changed["rate"], changed["event_types"]) == (None, ["order.*"])

    def test_format(self, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
        """A format is that of an app, and is shown wherever the endpoint is."""
        monkeypatch.setattr(sys, "path", [*sys.path])
        name = f"app_{token_hex(8)}"
        (commands.folder / f"{name}.py").write_text(FORMATS)
        app = ["--app", f"{name}:outbox"]
        environment = ENVIRONMENT | {"WHSEC": WHSEC}
        add = ["outbox", "endpoints", "add", URL, *REFERENCE, "--format", "envelope"]

        endpoint = commands.says(*add, *app, environment=environment)

        heads, row = commands.says("outbox", "endpoints").splitlines()
        assert heads.split()[-2:] == ["FORMAT", "URL"]
        assert row.split()[-2] == "envelope"
        assert "\nformat: envelope\n" in commands.says("outbox", "show", endpoint)
        assert commands.json("outbox", "show", endpoint)["format"] == "envelope"
        _, err = commands.run(USAGE, *add)
        assert "--format must be the name of a format of the outbox, which has none; or None" in err
        change = ["outbox", "endpoints", "change", endpoint]
        assert commands.json(*change, "--format", "none")["format"] is None
        assert "format:" not in commands.says("outbox", "show", endpoint)

    def test_options_before_the_action(self, commands: Commands) -> None:
        """They count, unless they are named again after it."""
        out, _ = commands.run(
            VERIFIED,
            *("outbox", "endpoints", "--database", FILE, "--json", "add", URL, *REFERENCE),
            environment=ENVIRONMENT,
        )

        assert json.loads(out)["state"] == "active"

    def test_test(self, commands: Commands) -> None:
        """It prints the number of a delivery, which a worker sends to this endpoint alone."""
        with FakeReceiver() as receiver:
            endpoint = commands.add("--event-type", "order.*", url=receiver.url)
            commands.add(url=receiver.url)
            test = ["outbox", "endpoints", "test", endpoint]

            assert commands.says(*test) == "delivery 1: see frappe-hooksig outbox show 1"
            assert commands.json(*test) == {"endpoint": endpoint, "delivery": 2}
            commands.work()
            assert [each.json() for each in receiver.requests] == [{"test": True}] * 2

        assert states(commands) == ["delivered"] * 2
        commands.says("outbox", "pause", endpoint)
        assert commands.run(NOTHING, *test) == (
            "",
            "frappe-hooksig: the endpoint is paused: resume it first\n",
        )

    def test_old_secret(self, commands: Commands) -> None:
        """It is shown until when the secret before signs, too."""
        endpoint = commands.add()
        until = "encrypted:1764496800000:token"
        commands.execute(f'UPDATE hooksig_endpoints SET secrets = \'["env:A", "{until}"]\'')

        shown = commands.says("outbox", "show", endpoint)
        assert "secret from: env:A encrypted\nold secret until: 2025-11-30T10:00:00Z\n" in shown
        described = commands.json("outbox", "show", endpoint)
        assert described["old_secret_ends"] == "2025-11-30T10:00:00.000Z"

    def test_delete(self, commands: Commands) -> None:
        """What is on its way is cancelled."""
        endpoint, _ = deliver(commands, 500)

        assert commands.says("outbox", "endpoints", "delete", endpoint) == f"deleted: {endpoint}"
        assert states(commands) == ["cancelled"]

    def test_pause_and_resume(self, commands: Commands) -> None:
        """They say what the state was; the reason is shown to those who look later."""
        endpoint = commands.add()
        pause = ["outbox", "pause", endpoint]

        assert commands.says(*pause, "--reason", "moves \x1b") == f"paused: {endpoint}"
        assert commands.json(*pause) == {"endpoint": endpoint, "changed": False}
        assert "state: paused\nreason: operator\nwhy: moves \\x1b\n" in commands.says(
            "outbox", "show", endpoint
        )
        assert commands.says("outbox", "resume", endpoint) == f"resumed: {endpoint}"
        assert commands.says("outbox", "resume", endpoint) == f"was active: {endpoint}"
        assert commands.says(*pause) == f"paused: {endpoint}"
        assert commands.says(*pause) == f"was not active: {endpoint}"

    @pytest.mark.parametrize(
        "action",
        [
            *(["endpoints", "delete"], ["endpoints", "change"], ["endpoints", "test"]),
            *(["pause"], ["resume"]),
        ],
    )
    def test_unknown(self, action: list[str], commands: Commands) -> None:
        """An id that no endpoint has is not found."""
        given = ["--concurrency", "2"] if "change" in action else []

        assert commands.run(NOTHING, "outbox", *action, UNKNOWN["endpoint"], *given) == (
            "",
            "frappe-hooksig: there is no endpoint with this id\n",
        )

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["add", URL], "--secret-from is missing"),
            (["add", "example.com", *REFERENCE], "URL cannot be used"),
            (
                ["add", URL, "--secret-from", "plain-text"],
                "a reference must begin with env:, file:",
            ),
            (["add", URL, *REFERENCE, "--order", "plain"], '--order must be "key"'),
            (["add", URL, *REFERENCE, "--rate", "fast"], "--rate must be a number, or none"),
            (["add", URL, *REFERENCE, "--rate", "0"], "--rate must be a number from 0.001 to 1000"),
            (["add", URL, *REFERENCE, "--hold", "nan"], "--hold must be a number from 0"),
            (["add", URL, *REFERENCE, "--concurrency", "0"], "--concurrency must be a whole"),
            (["add", URL, *REFERENCE, "--event-type", "a b"], "an event type is up to 128"),
            (["add", URL, *REFERENCE, "--scheme", "git"], "--scheme: no provider has this name"),
            (["add", URL, *REFERENCE, "--method", "GET"], "--method must be POST or PUT"),
            (["add", URL, *REFERENCE, "--retry", "often"], "--retry must be one of QUICK, FRAPPE"),
            (["add", URL, *REFERENCE, "--header-from", "X: a"], "must have the form NAME=PLACE"),
            (
                ["add", URL, "--header-from", "a=env:B", "--header-from", "A=env:C"],
                "--header-from: a header is given twice",
            ),
            (["add", URL, *REFERENCE, "--tenant", " "], "--tenant must be a str"),
            (["change", "ep_1", "--rate", "1"], "ID must be the id of an endpoint (ep_...)"),
            (["change", UNKNOWN["endpoint"]], "say what to change"),
            (["remove"], "there is no such action: see frappe-hooksig outbox endpoints --help"),
            (["add"], "missing: URL: see frappe-hooksig outbox endpoints add --help"),
            (["add", URL, "--secrt-from", "a"], "unknown option (did you mean --secret-from"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_wrong_use(self, arguments: list[str], message: str, commands: Commands) -> None:
        """The error names the option, and what it must be."""
        out, err = commands.run(USAGE, "outbox", "endpoints", *arguments)

        assert (out, commands.says("outbox", "endpoints")) == ("", "no endpoints")
        assert message in err


class TestPublish:
    """`publish`."""

    @pytest.mark.parametrize(
        ("given", "body", "sent", "kind"),
        [
            ([], b'{"a":  "\xc3\xa9"}\n', b'{"a": "\\u00e9"}', "application/json"),
            (["--raw"], b'{"a":  1}\n', b'{"a":  1}\n', None),
            (["--raw"], b"\xff\x00", b"\xff\x00", None),
            ([], b'"text"', b'"text"', None),
        ],
        ids=["json", "raw json", "raw bytes", "text"],
    )
    def test_payload(
        self, given: list[str], body: bytes, sent: bytes, kind: str | None, commands: Commands
    ) -> None:
        """JSON is sent as JSON; other bytes are sent as they are."""
        with FakeReceiver() as receiver:
            commands.add(url=receiver.url)
            message = commands.publish(*given, body=body)
            commands.work()

        [request] = receiver.requests
        assert (request.body, request.header("Content-Type")) == (sent, kind)
        assert request.header("webhook-id") == message

    def test_file(self, commands: Commands) -> None:
        """The payload may be a file, and the answer JSON."""
        (commands.folder / "body.json").write_text("[1]")

        published = commands.json("outbox", "publish", "order.paid", "body.json", "--key", "a")
        shown = commands.json("outbox", "show", published["message"])
        assert (shown["message"]["payload"], shown["message"]["key"]) == ("[1]", "a")
        assert (shown["message"]["event_type"], shown["deliveries"]) == ("order.paid", [])

    def test_idempotency_key(self, commands: Commands) -> None:
        """A repeat publishes nothing; another event with the same key is refused."""
        once = ["--idempotency-key", "order-7", "--tenant", "acme"]
        message = commands.publish(*once)

        assert commands.publish(*once) == message
        arguments = ["outbox", "publish", "invoice.paid", "-", *once]
        out, err = commands.run(NOTHING, *arguments, body=b"[]")
        assert out == ""
        assert "--idempotency-key was used before, with another payload or event type" in err

    @pytest.mark.parametrize(
        ("arguments", "body", "message"),
        [
            (
                ["a.b", "-"],
                b"no JSON",
                "FILE is not JSON: to send its bytes as they are, use --raw",
            ),
            (["a.b", "-"], b"[NaN]", "FILE is not JSON"),
            (["a.b", "-"], b"[" * 100_000, "FILE is not JSON"),
            (["a b", "-"], b"{}", "an event type is up to 128"),
            (["a.b", "-", "--key", " "], b"{}", "--key must be a str of 1 to 255 characters"),
            (["a.b", "no-such-file"], b"{}", "FILE: cannot read the file: No such file"),
            (["a.b"], b"{}", "missing: FILE"),
            (["a.b", "-", "--raw"], b"x" * 1_048_577, "the payload has 1048577 bytes"),
        ],
    )
    def test_wrong_use(
        self, arguments: list[str], body: bytes, message: str, commands: Commands
    ) -> None:
        """Nothing is published that cannot be sent."""
        out, err = commands.run(USAGE, "outbox", "publish", *arguments, body=body)

        assert (out, commands.json("outbox", "numbers")["unrouted"]) == ("", 0)
        assert message in err


class TestList:
    """`list`."""

    def test_table(self, commands: Commands) -> None:
        """It is aligned, and has the newest first."""
        endpoint, messages = deliver(commands, 500, 200, count=2)

        heads, *rows = commands.says("outbox", "list").splitlines()
        assert [row.rsplit(maxsplit=1)[1] for row in rows] == messages[::-1]
        columns = ["STATE", "TRIED", "LAST", "DUE OR ENDED", "EVENT TYPE", "ENDPOINT", "MESSAGE"]
        places = [heads.index(each) for each in columns]
        assert all({row[place - 1] for row in rows} == {" "} for place in places)
        assert re.fullmatch(
            rf"2 +delivered +1 +200 +{TIME} +invoice\.paid +{endpoint} +{messages[1]}", rows[0]
        )
        assert re.fullmatch(
            rf"1 +due +1 +500 +{TIME} +invoice\.paid +{endpoint} +{messages[0]}", rows[1]
        )

    def test_wide_texts(self, commands: Commands) -> None:
        """They are cut off and escaped: a receiver's words cannot control the terminal."""
        answer = json.dumps({"reason": "\x1b]0;" + "x" * 100, "message": "m"}).encode()
        deliver(commands, Answer(400, answer, {"Content-Type": "application/json"}))
        commands.execute(
            "UPDATE hooksig_deliveries SET reason = char(27) || replace(hex(zeroblob(99)),'0','y')"
        )

        out = commands.says("outbox", "list")
        assert out.isprintable() or out.replace("\n", "").isprintable()
        assert re.search(r"400 \\x1by{25}\.\.\. ", out)

    def test_choice(self, commands: Commands) -> None:
        """Each option leaves some out."""
        _, messages = deliver(commands, 500, 200, count=2)
        commands.execute("UPDATE hooksig_messages SET created_at = created_at - 7200000 "
                         f"WHERE id = '{messages[0]}'")  # fmt: skip
        other = commands.add("--event-type", "other")

        def found(*arguments: str) -> list[int]:
            return [each["id"] for each in commands.json("outbox", "list", *arguments)]

        assert found() == [2, 1]
        assert found("--state", "delivered") == [2]
        assert found("--state", "delivered", "--state", "due") == [2, 1]
        assert found("--message", messages[0]) == [1]
        assert found("--endpoint", other) == []
        assert found("--tenant", "") == found("--event-type", "invoice.*") == [2, 1]
        assert found("--tenant", "acme") == found("--event-type", "invoice") == []
        assert found("--since", "1h") == found("--since", "1h59m") == [2]
        assert found("--until", "60m") == [1]
        assert found("--since", "1d") == [2, 1]
        hour_ago = datetime.fromtimestamp(time.time() - 3600, timezone.utc)
        assert found("--since", hour_ago.isoformat()) == [2]
        assert found("--until", str(int(hour_ago.timestamp()))) == [1]

    def test_limit(self, commands: Commands) -> None:
        """A list that may go on says so."""
        deliver(commands, 200, count=2)

        out, err = commands.run(VERIFIED, "outbox", "list", "--limit", "1", "--json")
        assert [each["id"] for each in json.loads(out)] == [2]
        assert "note: these are the newest 1: see --limit and --until" in err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--state", "gone"], "--state must be one of waiting, due, claimed, delivered, dead"),
            (["--endpoint", "1"], "--endpoint must be the id of an endpoint (ep_...)"),
            (["--message", "1"], "--message must be the id of a message (msg_...)"),
            (["--since", "soon"], "or how long ago, such as 2h or 30m"),
            (["--until", "2h ago"], "--until must be Unix seconds, or a time such as"),
            (["--limit", "0"], "--limit must be a whole number from 1 to 1000"),
            (["--limit", "all"], "--limit must be a number"),
            (["--event-type", ""], "an event type is up to 128 letters"),
            (["--tenant", " "], "--tenant must be a str of up to 64 characters"),
        ],
    )
    def test_wrong_use(self, arguments: list[str], message: str, commands: Commands) -> None:
        """The error names the option."""
        _, err = commands.run(USAGE, "outbox", "list", *arguments)

        assert message in err


class TestShow:
    """`show`."""

    def test_delivery(self, commands: Commands) -> None:
        """It has its message, and each attempt with the start of the answer, escaped."""
        answer = b"<html><title>Oops \x1b[31m</title>of-the-receiver"
        endpoint, [message] = deliver(commands, Answer(500, answer))
        commands.execute(
            "UPDATE hooksig_messages SET lane = 'k', tenant = 'acme', idempotency_key = 'once', "
            "payload = CAST('[1, 2]' AS BLOB)"
        )

        shown = re.sub(TIME, "TIME", commands.says("outbox", "show", "1"))
        shown = re.sub(r"after [0-9.]+ s", "after N s", shown)
        assert shown.splitlines() == [
            "delivery: 1",
            "state: due",
            "last: 500",
            "why: the receiver answered HTTP 500",
            f"endpoint: {endpoint}",
            "attempts: 1",
            "made: TIME",
            "due: TIME",
            f"message: {message}",
            "event type: invoice.paid",
            "tenant: acme",
            "key: k",
            "idempotency key: once",
            "published: TIME",
            "payload, 6 bytes: [1, 2]",
            "attempt 1: TIME refused (500) after N s at 127.0.0.1",
            "  message: the receiver answered HTTP 500",
            "  answer: Oops \\x1b[31m",
        ]

    def test_json(self, commands: Commands) -> None:
        """Programs get the same."""
        _, [message] = deliver(commands, Answer(200, b"\x1bhandled"))

        shown = commands.json("outbox", "show", "1")
        assert shown["delivery"]["state"] == "delivered"
        assert (shown["message"]["id"], shown["message"]["bytes"]) == (message, 2)
        [attempt] = shown["attempts"]
        assert (attempt["outcome"], attempt["answer"]) == ("delivered", "\\x1bhandled")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", attempt["started_at"])

    def test_reason(self, commands: Commands) -> None:
        """A receiver with this package has said why; its answer is not repeated."""
        answer = json.dumps({"reason": "signature-mismatch", "message": "It does not match"})
        deliver(commands, Answer(401, answer.encode(), {"Content-Type": "application/json"}))

        shown = commands.says("outbox", "show", "1")
        assert "refused (401 signature-mismatch) after " in shown
        assert shown.endswith("\n  message: It does not match")

    def test_new_id(self, commands: Commands) -> None:
        """The id that a receiver saw leads to the message, too."""
        _, [message] = deliver(commands, 200)
        commands.says("outbox", "as-new", "--delivery", "1")

        sent_as = commands.json("outbox", "show", "2")["delivery"]["sent_as"]
        assert f"\nsent as: {sent_as}\n" in commands.says("outbox", "show", "2")
        assert commands.json("outbox", "show", sent_as)["message"]["id"] == message

    def test_message(self, commands: Commands) -> None:
        """It has its deliveries, once there are any."""
        message = commands.publish()
        assert commands.says("outbox", "show", message).endswith(
            "\nno deliveries yet: a worker makes them"
        )
        commands.work()
        assert commands.says("outbox", "show", message).endswith(
            "\nno deliveries: no endpoint takes it"
        )
        _, [message] = deliver(commands, 200)
        lines = commands.says("outbox", "show", message).splitlines()
        assert lines[0] == f"message: {message}"
        assert [line.split()[0] for line in lines[-2:]] == ["DELIVERY", "1"]

    def test_endpoint(self, commands: Commands) -> None:
        """It has what was asked for, and how it does."""
        endpoint = commands.add("--order", "key", "--rate", "2", "--header-from", "X-A=env:B")
        shown = commands.says("outbox", "show", endpoint).splitlines()

        assert {"order: key", "hold: 60 min", "rate: 2.0", "headers: X-A"} <= {*shown}
        assert "url: http://127.0.0.1:1/hook?..." in shown
        assert not any(line.startswith(("failing", "failures")) for line in shown)
        failing, _ = deliver(commands, 500)
        shown = commands.says("outbox", "show", failing).splitlines()
        assert "failures: 1" in shown
        assert commands.json("outbox", "show", failing)["failing_since"].endswith("Z")

    @pytest.mark.parametrize("kind", UNKNOWN)
    def test_unknown(self, kind: str, commands: Commands) -> None:
        """What there is not is not found."""
        deliver(commands, 200)

        out, err = commands.run(NOTHING, "outbox", "show", UNKNOWN[kind])
        assert out == ""
        assert f"there is no {kind} with this " in err

    def test_nothing_yet(self, commands: Commands) -> None:
        """Nor is a delivery, if there is none at all."""
        commands.run(NOTHING, "outbox", "show", "1")

    @pytest.mark.parametrize("given", ["", "0", "-", "ep_1", "msg_1", "1" * 19])
    def test_wrong_use(self, given: str, commands: Commands) -> None:
        """An id has one of three forms."""
        _, err = commands.run(USAGE, "outbox", "show", given)

        assert "ID must be the number of a delivery, or the id of a message" in err


class TestAgain:
    """`again` and `as-new`."""

    @pytest.mark.parametrize(
        ("action", "words", "states_after"),
        [
            ("again", "sent again", ["due", "due"]),
            ("as-new", "sent as new", ["due", "due", "dead", "dead"]),
        ],
    )
    def test_endpoint(
        self, action: str, words: str, states_after: list[str], commands: Commands
    ) -> None:
        """Dead letters are meant; without them, nothing was found."""
        endpoint, _ = deliver(commands, 200, count=2)
        which = ["outbox", action, "--endpoint", endpoint]

        assert commands.run(NOTHING, *which, "--dry-run") == (f"would be {words}: 0\n", "")
        assert commands.run(NOTHING, *which) == (f"{words}: 0\n", "")
        commands.execute("UPDATE hooksig_deliveries SET state = 4")
        assert commands.json(*which, "--dry-run") == {"deliveries": 2, "dry_run": True}
        assert states(commands) == ["dead", "dead"]
        assert commands.says(*which) == f"{words}: 2"
        assert states(commands) == states_after

    @pytest.mark.parametrize("dry_run", [["--dry-run"], []], ids=["dry", "done"])
    def test_choice(self, dry_run: list[str], commands: Commands) -> None:
        """A dry run counts what would be sent."""
        _, messages = deliver(commands, 200, count=3)
        commands.execute("UPDATE hooksig_messages SET created_at = created_at - 7200000 "
                         f"WHERE id = '{messages[0]}'")  # fmt: skip

        def count(*arguments: str) -> int:
            found: int = commands.json("outbox", "as-new", *arguments, *dry_run)["deliveries"]
            return found

        assert count("--delivery", "2") == 1
        assert count("--since", "1h", "--state", "delivered") == 2
        assert count("--until", "1h", "--state", "delivered", "--state", "dead") == 1
        assert count("--message", messages[2]) == 1

    def test_deleted_endpoint(self, commands: Commands) -> None:
        """What nobody can get any more does not count."""
        endpoint, _ = deliver(commands, 200)
        commands.says("outbox", "endpoints", "delete", endpoint)

        for dry_run in ([], ["--dry-run"]):
            commands.run(NOTHING, "outbox", "again", "--delivery", "1", *dry_run)

    @pytest.mark.skipif(os.name != "posix", reason="terminals")
    def test_progress(self, commands: Commands) -> None:
        """A terminal shows how far it is."""
        deliver(commands, 200, count=2)
        terminal, theirs = os.openpty()
        run_process(
            *("outbox", "as-new", "--since", "1h", "--state", "delivered"),
            environment=commands.environment,
            cwd=commands.folder,
            stderr=theirs,
        )
        os.close(theirs)
        shown = os.read(terminal, 1000)
        os.close(terminal)

        assert shown == b"\r\x1b[K2 deliveries" * 2 + b"\r\x1b[K"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "say which: --delivery, --message, --endpoint, --since or --until"),
            (["--state", "dead"], "say which: --delivery"),
            (["--delivery", "1", "--state", "dead"], "--state has no use with --delivery"),
            (["--message", UNKNOWN["message"], "--state", "dead"], "--state has no use"),
            (["--delivery", "x"], "--delivery must be the number of a delivery"),
            (["--since", "1h", "--state", "due"], "--state must be one of dead, delivered, canc"),
        ],
    )
    def test_wrong_use(self, arguments: list[str], message: str, commands: Commands) -> None:
        """Nothing is sent that was not asked for."""
        _, err = commands.run(USAGE, "outbox", "again", *arguments)

        assert message in err


@pytest.mark.parametrize("action", ACTIONS)
def test_help(action: str) -> None:
    """Every action explains itself, within a terminal's width, and knows where the outbox is."""
    environment = ENVIRONMENT | {"COLUMNS": "100"}
    out, err = says(VERIFIED, "outbox", action, "--help", environment=environment)

    assert out.startswith(f"usage: frappe-hooksig outbox {action}")
    assert err == ""
    assert max(map(len, out.splitlines())) <= 100
    assert "--database PATH_OR_URL" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "missing: ACTION: see frappe-hooksig outbox --help"),
        (["lst"], "there is no such action: see frappe-hooksig outbox --help"),
        (["list", "extra"], "an argument too many: see frappe-hooksig outbox list --help"),
        (["list", "--stat", "dead"], "did you mean --state"),
    ],
)
def test_wrong_use(arguments: list[str], message: str) -> None:
    """The error names the help that says more."""
    _, err = says(USAGE, "outbox", *arguments)

    assert message in err


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "-"), (0.0, "0 s"), (119, "119 s"), (7199, "120 min"), (172_800, "2 d")],
)
def test_duration(seconds: float | None, shown: str) -> None:
    """A duration has a unit that people can think in."""
    assert duration_of(seconds) == shown


def test_rows_that_somebody_else_has_written(commands: Commands) -> None:
    """Nothing in a row controls the terminal."""
    endpoint = commands.add()
    commands.publish()
    commands.work()
    with closing(sqlite3.connect(commands.folder / FILE)) as connection, connection:
        connection.execute(
            "UPDATE hooksig_deliveries SET sent_as = ?, endpoint = ?", ["\x1b[2J"] * 2
        )
        connection.execute("UPDATE hooksig_endpoints SET method = ?, state = ?", ["\x1b[2J"] * 2)
        connection.execute("UPDATE hooksig_attempts SET outcome = ?", ["\x9b2J"])

    shown = [
        commands.says("outbox", *arguments)
        for arguments in (["list"], ["show", "1"], ["show", endpoint], ["endpoints"], ["numbers"])
    ]

    assert ["\\x1b[2J" in each for each in shown] == [True] * 5
    assert "\x1b" not in "".join(shown)
    assert "\x9b" not in "".join(shown)


def test_messages_of_the_library() -> None:
    """They name the options, not the arguments."""
    assert in_options("keys= must be: headers_from=, idempotency_key= or event_types=") == (
        "HOOKSIG_OUTBOX_KEYS must be: --header-from, --idempotency-key or --event-type"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a 'b'", "a 'b'"), ("naïve", "na\\xefve"), ("\x1b[2J", "\\x1b[2J"), ("a" * 9, "aaaaaaaa...")],
)
def test_plain_text(text: str, expected: str) -> None:
    """The start of a text is shown as it is, if all of it can be printed anywhere."""
    assert plain(text, 8)[:9] == expected[:9]
