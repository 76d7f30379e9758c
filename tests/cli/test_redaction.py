"""The command never repeats an argument that may be a secret."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from frappe_hooksig.cli import _commands
from frappe_hooksig.cli._commands import COMMANDS, make_parser
from frappe_hooksig.cli._outbox import ACTIONS
from frappe_hooksig.cli._outcome import WrongUse
from tests.cli.command import USAGE, run, run_process, says
from tests.cli.outboxes import URL, Commands
from tests.selection import FULL

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def upper_case(length: int) -> str:
    """Return random capital letters."""
    return "".join(secrets.choice(LETTERS) for _ in range(length))


SHAPES: dict[str, Callable[[], str]] = {
    "text": lambda: secrets.token_urlsafe(32).replace("-", "_"),
    "upper case": lambda: upper_case(26),
    "like a name": lambda: f"{upper_case(8)}_{upper_case(9)}_{upper_case(8)}",
    "whsec": lambda: f"whsec_{secrets.token_hex(24)}",
    "dash": lambda: f"-{secrets.token_hex(24)}",
    "two dashes": lambda: f"--{secrets.token_hex(24)}={secrets.token_hex(8)}",
    "equals": lambda: f"={secrets.token_hex(24)}",
    "at": lambda: f"@{secrets.token_hex(24)}",
    "quotes": lambda: f"{secrets.token_hex(8)}'\" \\{secrets.token_hex(8)}\n%s{{0}}",
    "bytes": lambda: f"{secrets.token_hex(8)}\udcff{secrets.token_hex(8)}",
    "long": lambda: secrets.token_hex(150),
}
# What is right otherwise: nothing, a scheme, and one that signs method and URL.
BASES = [
    [],
    ["-e", "NEW"],
    ["-e", "NEW", "--scheme", "hubspot-v3", "--url", "https://example.com/"],
]


# Made once, with all commands: that takes ten times as long as a call.
PARSER = make_parser(list(COMMANDS))


def options_of(*command: str) -> list[str]:
    """Return all options of a command, as its help names them, and those that it does not name."""
    help_text = run(*command, "--help").stdout.decode()
    return [*set(re.findall(r"(?<=[ ,])--?[a-zA-Z][a-z-]*", help_text)), "--secret", "--secret-key"]


def placed(command: str, secret: str, bases: list[list[str]]) -> Iterator[list[str]]:
    """Yield arguments with the secret in each place."""
    words = command.split()
    for base in bases:
        yield [secret, *words, *base]
        yield ["-e", secret, *words, *base]
        yield [f"--{secret}", *words, *base]
        yield [f"--version={secret}", *words, *base]
        for extra in (
            [secret],
            ["--", secret],
            ["-", secret],
            ["-", "-", secret],
            [f"--{secret}"],
            [f"-{secret}"],
            [f"--unknown={secret}"],
            ["--unknown", secret],
            ["-H", f"@{secret}"],
            ["-e", secret, "-e", secret],
            ["-f", secret, "-f", secret],
        ):
            yield [*words, *base, *extra]
            yield [*words, *extra, *base]
        for option in options_of(*words):
            for extra in (
                [option, secret],
                [f"{option}={secret}"],
                [f"{option}{secret}"],
                [option[:-1], secret],
                [f"{option[:-1]}={secret}"],
                [option, "NEW", secret],
            ):
                yield [*words, *base, *extra]


def fragments(secret: str) -> set[str]:
    """Return the pieces of a secret that would tell something of it."""
    plain = secret.encode("ascii", "ignore").decode()
    return {plain[at : at + 8] for at in range(len(plain) - 7)}


def test_the_check_can_fail() -> None:
    """What is looked for would be found."""
    assert any(each in "cannot read Qv3r0mZ8tYp5" for each in fragments("Qv3r0mZ8tYp5Lk2X"))


@pytest.mark.stress
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("command", COMMANDS)
def test_never_repeated(command: str, shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret is shown neither as an argument, an option, a value, a name nor a part of one."""
    monkeypatch.setattr(_commands, "make_parser", lambda _arguments: PARSER)
    secret = SHAPES[shape]()
    told = fragments(secret)
    # Each base meets each command, and each shape; all of them do with FULL=1.
    number = [*COMMANDS].index(command) + [*SHAPES].index(shape)
    bases = BASES if FULL else [BASES[number % len(BASES)]]

    shown = [
        arguments
        for arguments in placed(command, secret, bases)
        for done in [run(*arguments)]
        if any(each in (done.stdout + done.stderr).decode() for each in told)
    ]
    assert shown == []


# What is right otherwise, for the commands that have an outbox.
ENDPOINT = "ep_" + "0" * 24
WITH_OUTBOX: dict[str, list[list[str]]] = {
    **{f"outbox {action}": [[]] for action in ACTIONS},
    "outbox endpoints add": [[], [URL, "--secret-from", "env:NEW"]],
    "outbox endpoints change": [[], [ENDPOINT, "--rate", "1"]],
    "outbox endpoints delete": [[], [ENDPOINT]],
    "outbox publish": [[], ["a.b", "-"]],
    "outbox pause": [[], [ENDPOINT]],
    "outbox again": [["--since", "1h"]],
    "worker": [["--once"]],
}


@pytest.mark.stress
@pytest.mark.parametrize("command", WITH_OUTBOX)
def test_never_repeated_with_an_outbox(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is it once the command has found its outbox."""
    commands = Commands(tmp_path)
    monkeypatch.setattr(_commands, "make_parser", lambda _arguments: PARSER)
    # Each command meets another shape; all of them do with FULL=1.
    shapes = [*SHAPES.values()]
    number = [*WITH_OUTBOX].index(command) % len(shapes)
    for shape in shapes if FULL else [shapes[number]]:
        secret = shape()
        told = fragments(secret)
        shown = [
            arguments
            for arguments in placed(command, secret, WITH_OUTBOX[command])
            for done in [run(*arguments, environment=commands.environment, cwd=tmp_path)]
            if any(each in (done.stdout + done.stderr).decode() for each in told)
        ]
        assert shown == []


@pytest.mark.parametrize("place", [["{}"], ["verify", "-f", "{}"], ["sign", "--json={}"]])
def test_never_repeated_by_a_process(place: list[str]) -> None:
    """Nor does Python itself show it, when the process ends."""
    secret = secrets.token_hex(24)

    done = run_process(*[each.format(secret) for each in place])

    assert done.returncode == USAGE
    assert secret.encode() not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["verfy"],
            "there is no such command: the commands are verify, explain, sign, send, trigger, "
            "outbox, worker, secret, providers",
        ),
        (
            ["verify", "--sch", "github"],
            "unknown option (did you mean --scheme?): see frappe-hooksig verify",
        ),
        (["verify", "--shceme=github"], "unknown option (did you mean --scheme or --header?)"),
        (["verify", "--qqqq"], "unknown option: see frappe-hooksig verify --help"),
        (["--qqq", "verify"], "unknown option: see frappe-hooksig verify --help"),
        (["sign", "a", "b"], "an argument too many: see frappe-hooksig sign --help"),
        (["secret", "--json=1"], "--json takes no value: see frappe-hooksig secret --help"),
        (["sign", "-e"], "-e/--secret-env needs a value"),
        (["verify", "--max-body", "x"], "--max-body must be a number"),
        (["sign", "-e", "NEW", "no-such-file"], "BODY: cannot read the file: No such file"),
        (["sign", "-e", "NEW", "a\0b"], "BODY: cannot read the file: no file can have this name"),
        (["sign", "-f", "no-such-file"], "-f: cannot read the file: No such file"),
        (["verify", "-e", "NEW", "--request", "x"], "--request: cannot read the file: No such"),
        (["verify", "-e", "NEW", "-H", "@x"], "-H: cannot read the file: No such file"),
        (
            ["sign", "--scheme", "gihub"],
            "--scheme: no provider has this name: did you mean 'github'",
        ),
        (["sign", "--timestamp", "x"], "--timestamp must be Unix seconds, or a time such as 2026"),
    ],
    ids=lambda value: " ".join(value).replace("\0", "0") if isinstance(value, list) else "",
)
def test_still_helpful(arguments: list[str], message: str) -> None:
    """The message names the option, what is wrong and what to do."""
    _, err = says(USAGE, *arguments)

    assert message in err


@pytest.mark.parametrize("message", ["argument -e: new: 'NEW'", "ambiguous option: --raw=NEW"])
def test_unknown_message_of_argparse(message: str) -> None:
    """A message that is not known to be harmless may quote an argument, and is not shown."""
    with pytest.raises(WrongUse, match=r"^wrong arguments: see frappe-hooksig --help$"):
        make_parser([]).error(message)
