"""The command as a process of its own: how it ends, what it loads, closed and full files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from frappe_hooksig import __version__, sign_payload
from frappe_hooksig.cli._commands import COMMANDS
from tests.cli.command import (
    BODY,
    COMMAND,
    ENVIRONMENT,
    HEADER,
    INTERRUPTED,
    OLD,
    REFUSED,
    SECRET,
    SIGNATURE,
    USAGE,
    VERIFIED,
    run_process,
    says,
)


def test_console_script() -> None:
    """The command is installed under its name."""
    command = Path(sys.executable).with_name("frappe-hooksig")

    done = subprocess.run([command, "--version"], capture_output=True, check=True, timeout=60)
    assert done.stdout.decode() == f"frappe-hooksig {__version__}\n"


def test_any_bytes() -> None:
    """A binary body is verified byte for byte."""
    body = bytes(range(256)) * 999
    header = f"{SIGNATURE}: {sign_payload(body, SECRET).signature}"

    assert says(VERIFIED, "verify", "-e", "NEW", "-H", header, body=body, by=run_process) == (
        "verified\nscheme: frappe\nsecret: NEW\n",
        "",
    )


def test_bad_headers_are_refused_before_the_body() -> None:
    """Nobody has to send a body to learn that the headers are wrong."""
    with subprocess.Popen(
        [*COMMAND, "verify", "-e", "NEW"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
    ) as process:
        assert process.wait(60) == REFUSED  # while its standard input is open
        assert process.stdout is not None
        assert process.stdout.read().startswith(b"refused: missing-header\n")


@pytest.mark.skipif(os.name != "posix", reason="bytes in the environment")
def test_bytes_of_a_variable() -> None:
    """A variable may hold any bytes."""
    secret = bytes(range(200, 232))
    header = f"{SIGNATURE}: {sign_payload(BODY, secret).signature}"
    environment = ENVIRONMENT | {"ODD": os.fsdecode(secret)}

    says(VERIFIED, "verify", "-e", "ODD", "-H", header, environment=environment, by=run_process)


def test_suspicious() -> None:
    """A suspicious secret is used and a word said about it, whatever Python does with warnings."""
    environment = ENVIRONMENT | {"SHORT": "short", "PYTHONWARNINGS": "error"}

    out, err = says(VERIFIED, "sign", "-e", "SHORT", environment=environment, by=run_process)
    assert out.startswith(SIGNATURE)
    assert err.startswith(
        "frappe-hooksig: warning: the environment variable SHORT is shorter than 16 bytes"
    )


def test_old_secret() -> None:
    """The answer says that it was the old secret, and nothing is logged besides."""
    header = f"{SIGNATURE}: {sign_payload(BODY, OLD).signature}"

    assert says(VERIFIED, "verify", "-e", "NEW", "-e", "OLD", "-H", header, by=run_process) == (
        "verified\nscheme: frappe\nsecret: OLD\n",
        "",
    )


def test_names_that_the_terminal_cannot_show(tmp_path: Path) -> None:
    """A file's name may be any bytes, and standard output may know ASCII only."""
    name = tmp_path / os.fsdecode(b"\xff\xc3\xa9")
    name.write_text(SECRET)
    environment = ENVIRONMENT | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}

    out, _ = says(
        VERIFIED, "verify", "-f", name, "-H", HEADER, environment=environment, by=run_process
    )
    assert "secret: " in out


def test_mistake_of_ours(tmp_path: Path) -> None:
    """A bug does not look like a refusal, and shows where it is but no value."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os\n"
        "from frappe_hooksig.cli import _input\n"
        "_input.read = lambda *_: int(os.environ['NEW'])\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])

    done = run_process(
        "verify", "-e", "NEW", "-H", HEADER, environment=ENVIRONMENT | {"PYTHONPATH": path}
    )
    assert done.returncode == USAGE
    assert b"frappe-hooksig: bug: ValueError\nTraceback" in done.stderr
    assert b"in run\n" in done.stderr
    assert SECRET.encode() not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals and named pipes")
def test_interrupt(tmp_path: Path) -> None:
    """Ctrl-C ends it without a traceback."""
    os.mkfifo(tmp_path / "body")
    with (
        subprocess.Popen(
            [*COMMAND, "sign", "-e", "NEW", tmp_path / "body"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            # A shell that runs the tests in the background lets them ignore the signal.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        ) as process,
        (tmp_path / "body").open("wb"),
    ):  # waits until the command opens it too
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out, err) == (INTERRUPTED, b"", b"")


def closed_pipe() -> int:
    """Return the end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize(
    "arguments",
    [
        ["providers"],
        ["secret"],
        ["sign", "-e", "NEW"],
        ["verify", "-e", "NEW", "-H", HEADER],
        ["--help"],
        ["--version"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_closed_pipe(arguments: list[str]) -> None:
    """An answer that nobody reads is not given quietly as if it had been, nor with a traceback."""
    pipe = closed_pipe()
    done = run_process(*arguments, stdout=pipe)
    os.close(pipe)

    assert (done.returncode, done.stderr) == (USAGE, b"")


@pytest.mark.parametrize(
    ("shell", "status", "message"),
    [
        ('"$@" >&-', USAGE, b"cannot write the output: standard output is closed"),
        ('"$@" >/dev/full', USAGE, b"cannot write the output: No space left on device"),
        ('"$@" -e NO_SECRET >&-', USAGE, b"variable NO_SECRET is not set"),
        ('"$@" <&-', VERIFIED, b""),
        ('"$@" -e NO_SECRET 2>&-', USAGE, b""),
        ('"$@" -e NO_SECRET 2>/dev/full', USAGE, b""),
    ],
)
def test_closed_files(shell: str, status: int, message: bytes) -> None:
    """Closed or full standard files do no harm."""
    done = subprocess.run(
        ["/bin/sh", "-c", shell, "sh", *COMMAND, "sign", "-e", "NEW"],
        input=b"",
        capture_output=True,
        env=ENVIRONMENT,
        timeout=60,
        check=False,
    )

    assert done.returncode == status
    assert message in done.stderr
    assert b"Traceback" not in done.stderr


# Runs the command as its console script does, and shows what was loaded.
LOADED = """\
import json, sys
before = set(sys.modules)
from frappe_hooksig.cli import main
try:
    status = main()
except SystemExit as ended:
    status = ended.code
loaded = sorted(set(sys.modules) - before)
print(json.dumps({"status": status, "loaded": loaded}), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "commands"),
    [
        (["--version"], []),
        (["sign", "-e", "NEW"], ["sign"]),
        (["verify", "-e", "NEW", "-H", HEADER], ["verify"]),
        (["secret"], ["secret"]),
    ],
    ids=lambda value: value[0] if value else "",
)
def test_loads_what_it_needs(arguments: list[str], commands: list[str]) -> None:
    """It starts quickly: without asyncio, metadata, and the other commands."""
    shown = loaded_by(arguments)
    loaded = set(shown["loaded"])
    assert shown["status"] == VERIFIED
    assert "frappe_hooksig.cli" in loaded
    assert not loaded & {"asyncio", "importlib.metadata", "logging", "shutil", "traceback"}
    assert ("argparse" in loaded) == bool(commands)
    assert [name for name in COMMANDS if f"frappe_hooksig.cli._{name}" in loaded] == commands


@pytest.mark.parametrize(
    "arguments", [["list"], ["publish", "a.b", "-"]], ids=lambda value: value[0]
)
def test_outbox_loads_what_it_needs(arguments: list[str], tmp_path: Path) -> None:
    """An outbox in a SQLite file needs neither an extra nor asyncio."""
    place = ["--database", str(tmp_path / "outbox.db")]
    says(VERIFIED, "outbox", "init", *place)
    shown = loaded_by(["outbox", *arguments, *place])

    assert shown["status"] == VERIFIED
    loaded = {name.partition(".")[0] for name in shown["loaded"]}
    assert "sqlite3" in loaded
    assert not loaded & {"asyncio", "sqlalchemy", "cryptography", "urllib3"}


def test_help_of_outbox_loads_no_outbox() -> None:
    """The help comes at once."""
    loaded = loaded_by(["outbox", "list", "--help"])["loaded"]

    assert not {"frappe_hooksig.outbox", "sqlite3", "ssl"} & {*loaded}


def loaded_by(arguments: list[str]) -> Any:
    """Run the command with a body on standard input; return its status, and what was loaded."""
    # Without coverage, which loads modules of its own before the command does.
    environment = {
        name: value for name, value in ENVIRONMENT.items() if not name.startswith("COVERAGE_")
    }

    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments],
        input=BODY,
        capture_output=True,
        env=environment,
        timeout=60,
        check=True,
    )
    return json.loads(done.stderr)
