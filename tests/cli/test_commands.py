"""The arguments of the command: wrong use, help, the version, and loading of commands."""

from __future__ import annotations

import sys
from importlib import import_module
from unittest.mock import patch

import pytest

from frappe_hooksig import __version__
from frappe_hooksig.cli import main
from frappe_hooksig.cli._commands import COMMANDS, make_parser
from tests.cli.command import ENVIRONMENT, HEADER, SECRET, USAGE, VERIFIED, says


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the command is missing"),
        (["no-such-command"], "there is no such command: the commands are verify, explain, sign,"),
        (["verify", "--no-such-option"], "unknown option"),
        (["verify", "--sch", "github"], "unknown option"),
        (
            ["verify", "--scheme", "git"],
            "no provider has this name: did you mean 'gitea' or 'gitlab'",
        ),
        (
            ["verify", "-e", "NEW", "-H", "no colon"],
            "-H: each header must have the form Name: value",
        ),
        (["verify", "-e", "NEW", "-H", ": b"], "each header must have the form Name: value"),
        (["verify", "-e", "NEW", "-H", "a b: c"], "each header must have the form Name: value"),
        (["verify", "-e", "NEW", "-H", "@no-such-file"], "No such file or directory"),
        (
            ["verify", "--now", "yesterday"],
            "must be Unix seconds, or a time such as 2026-11-22T08:00:00Z",
        ),
        (["verify", "--now", "nan"], "must be Unix seconds"),
        (["verify", "--tolerance", "soon"], "--tolerance must be a number"),
        (["verify", "-e", "NEW", "--scheme", "stripe", "--tolerance", "nan"], "positive number"),
        (["verify", "-e", "NEW", "--max-body", "-1"], "max_body= must be a whole number of bytes"),
        (["verify", "-e", "NEW", "-H", HEADER, "no-such-file"], "No such file or directory"),
        (["verify", "-e", "NEW", "-H", HEADER, "."], "Is a directory"),
        (["secret", "extra"], "an argument too many"),
        (["providers", "--scheme", "github"], "unknown option"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_wrong_use(arguments: list[str], message: str) -> None:
    """Wrong use has status 2, an explanation on standard error, and no output."""
    out, err = says(USAGE, *arguments)

    assert out == ""
    assert message in err


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=str)
def test_help(command: list[str]) -> None:
    """Every command explains itself, within a terminal's width."""
    out, err = says(VERIFIED, *command, "--help", environment=ENVIRONMENT | {"COLUMNS": "100"})

    assert out.startswith(" ".join(["usage: frappe-hooksig", *command]))
    assert err == ""
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize("command", ["sign", "trigger", "secret", "providers"])
def test_help_names_no_option_of_another_command(command: str) -> None:
    """Only `verify` has `--request`."""
    out, _ = says(VERIFIED, command, "--help")

    assert "--request" not in out


def test_version() -> None:
    """The version is the package's."""
    assert says(VERIFIED, "--version") == (f"frappe-hooksig {__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "--secret", SECRET],
        ["sign", f"--secret={SECRET}"],
        ["secret", "--secret-key", SECRET],
        ["--secret", SECRET, "verify"],
        [f"--secret={SECRET}", "providers"],
    ],
)
def test_never_an_argument(arguments: list[str]) -> None:
    """A secret among the arguments is refused, and not repeated."""
    out, err = says(USAGE, *arguments)

    assert "can be read by every user of this machine" in err
    assert SECRET not in out + err


def test_version_after_an_unknown_option() -> None:
    """The version is shown wherever it stands before the command."""
    assert says(VERIFIED, "--unknown", "--version") == (f"frappe-hooksig {__version__}\n", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_a_module(name: str) -> None:
    """The list names modules that describe their arguments and can be run."""
    module = import_module(f"frappe_hooksig.cli._{name}")

    assert callable(module.add_arguments)
    assert callable(module.run)


def test_only_what_is_asked_for_is_loaded() -> None:
    """A command that is not among the arguments has only its line in the help."""
    with patch("frappe_hooksig.cli._commands.import_module") as load:
        parser = make_parser(["secret", "--help"])

    assert [call.args for call in load.call_args_list] == [("frappe_hooksig.cli._secret",)]
    assert all(line in parser.format_help() for line in COMMANDS.values())


def test_own_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    """Without arguments, main() takes those of the process."""
    with (
        patch.object(sys, "argv", ["frappe-hooksig", "--version"]),
        pytest.raises(SystemExit, match=r"^0$"),
    ):
        main()

    assert capsys.readouterr().out == f"frappe-hooksig {__version__}\n"
