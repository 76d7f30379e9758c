"""Closed, full and odd standard files, interruptions, and our own mistakes."""

from __future__ import annotations

import errno
import os
from io import BytesIO
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.cli.command import (
    BODY,
    HEADER,
    INTERRUPTED,
    SECRET,
    USAGE,
    VERIFIED,
    run,
    says,
)


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["secret"], ["sign", "-e", "NEW"]]
)
def test_closed_output(arguments: list[str]) -> None:
    """A closed standard output is reported on standard error."""
    out, err = says(USAGE, *arguments, closed={"stdout"})

    assert out == ""
    assert err == "frappe-hooksig: error: cannot write the output: standard output is closed\n"


def test_closed_output_of_a_mistake() -> None:
    """After wrong use, the closed standard output is not reported too."""
    _, err = says(USAGE, "sign", closed={"stdout"})

    assert err == (
        "frappe-hooksig: error: the environment variable FRAPPE_WEBHOOK_SECRET is not set: "
        "it must contain a secret\n"
    )


def test_closed_standard_error() -> None:
    """A complaint that nobody can read changes nothing."""
    says(USAGE, "sign", closed={"stderr"})
    says(VERIFIED, "sign", "-e", "NEW", closed={"stderr"})
    says(USAGE, "sign", "-e", "NEW", closed={"stdout", "stderr"})


def test_closed_input() -> None:
    """Without standard input the body is empty."""
    closed, _ = says(VERIFIED, "sign", "-e", "NEW", body=BODY, closed={"stdin"})
    empty, _ = says(VERIFIED, "sign", "-e", "NEW", body=b"")

    assert closed == empty


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "frappe-hooksig: error: cannot write the output: No space left on device\n"),
        (errno.EPIPE, ""),
    ],
)
def test_output_that_fails(number: int, message: str) -> None:
    """A full disk is reported, a closed pipe is not."""
    with patch("frappe_hooksig.cli._output.print", create=True) as write:
        write.side_effect = [OSError(number, os.strerror(number)), None]
        done = run("secret")

    assert done.returncode == USAGE
    said = "".join(f"{call.args[0]}\n" for call in write.call_args_list[1:])
    assert said == message


def test_names_that_the_terminal_cannot_show(tmp_path: Path) -> None:
    """A file's name may be any bytes, and standard output may know ASCII only."""
    name = tmp_path / os.fsdecode(b"\xff\xc3\xa9")
    name.write_text(SECRET)

    out, _ = says(VERIFIED, "verify", "-f", name, "-H", HEADER, encoding="ascii")
    assert out.endswith("\\udcff\\xe9\n")


class Interrupted(BytesIO):
    """A standard input during which the user presses Ctrl-C."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Be interrupted."""
        raise KeyboardInterrupt(size)


def test_interrupt() -> None:
    """Ctrl-C ends it without a word."""
    assert says(INTERRUPTED, "sign", "-e", "NEW", body=Interrupted()) == ("", "")


def test_mistake_of_ours() -> None:
    """A bug would not look like a refusal."""
    with patch("frappe_hooksig.cli._verify.read", side_effect=ZeroDivisionError):
        done = run("verify", "-e", "NEW", "-H", HEADER)

    assert (done.returncode, done.stdout) == (USAGE, b"")
    assert b"ZeroDivisionError" in done.stderr
