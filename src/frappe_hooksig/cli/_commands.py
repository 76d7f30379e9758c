"""The list of commands, and a parser that loads only the requested command."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any, Final, NoReturn

from frappe_hooksig.cli._outcome import USAGE, WrongUse
from frappe_hooksig.cli._output import PROGRAM, show_version, wrote

#: Each command with its line in the help. The module of the command `name` is `_name`. It defines
#: `add_arguments(parser)` and `run(options)`. The latter returns the exit status and the output.
COMMANDS: Final = {
    "verify": "check whether a request is genuine; if not, say why",
    "explain": "find out why a signature does not match",
    "sign": "sign a body, and print the headers to send with it",
    "send": "sign a body, send it, and say what came back",
    "trigger": "send recorded events to a receiver, signed with its secret",
    "outbox": "publish events that must arrive, and look at them",
    "worker": "send what an outbox has",
    "secret": "make a new secret",
    "providers": "list the built-in schemes",
}

# The messages of argparse that may be shown, and their text here. Most messages of argparse quote
# an argument, which may be a secret. An option's own name (`\S+`) is harmless.
_MESSAGES: Final = (
    (r"the following arguments are required: COMMAND", "the command is missing"),
    (r"the following arguments are required: ([A-Z, ]+)", r"missing: \1"),
    (
        r"argument COMMAND: invalid choice:.*",
        f"there is no such command: the commands are {', '.join(COMMANDS)}",
    ),
    (r"argument ACTION: invalid choice:.*", "there is no such action"),
    (r"argument (\S+): expected one argument", r"\1 needs a value"),
    (r"argument (\S+): invalid (?:float|int) value:.*", r"\1 must be a number"),
    (r"argument (\S+): ignored explicit argument.*", r"\1 takes no value"),
)


def make_parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser. Its options contain the command's functions `run` and `refuse_unknown`.

    Args:
        arguments: The arguments to parse. Only commands that are named in them are loaded.
    """
    parser = _Parser(
        prog=PROGRAM,
        description="Sign and verify webhooks of Frappe, ERPNext, GitHub, Stripe and others.",
        epilog="Exit status: 0 done or verified, 1 refused, 2 wrong use; others: COMMAND --help.",
    )
    parser.add_argument(
        "--version", action=_ShowVersion, nargs=0, help="show program's version number and exit"
    )
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, prog=PROGRAM
    )
    for name, description in COMMANDS.items():
        command = commands.add_parser(name, help=description)
        if name in arguments:
            module = import_module(f"{__package__}._{name}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser


class _ShowVersion(argparse.Action):
    """Shows the version if `--version` is not the first argument. main() handles the first."""

    def __call__(self, *_: object, **__: object) -> NoReturn:
        show_version()


class _RefuseSecret(argparse.Action):
    """Refuses a secret in the arguments, without repeating it."""

    def __call__(self, *_: object, **__: object) -> NoReturn:
        msg = (
            "a secret among the arguments can be read by every user of this machine: put it into "
            "an environment variable (-e) or a file (-f)"
        )
        raise WrongUse(msg)


class _Parser(argparse.ArgumentParser):
    """Takes options by their full names only, and never repeats an argument.

    It leaves the lines of examples as they are.
    """

    def __init__(self, **options: Any) -> None:
        # argparse formats each option when it is added, to check it. A fixed width saves it asking
        # for the terminal's width, which would load shutil and its compression modules.
        unmeasured = partial(argparse.RawDescriptionHelpFormatter, width=80)
        super().__init__(allow_abbrev=False, formatter_class=unmeasured, **options)
        self.add_argument(
            *("--secret", "--secret-key"),
            nargs="?",
            action=_RefuseSecret,
            help=argparse.SUPPRESS,
        )
        # That of a command, or of an action of a command, replaces that of the parser around it.
        self.set_defaults(refuse_unknown=self.refuse_unknown)

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments, without those that a message of argparse quotes.

        Raises:
            WrongUse: Always.
        """
        for pattern, text in _MESSAGES:
            found = re.fullmatch(pattern, message, re.DOTALL)
            if found:
                self._refuse(found.expand(text))
        self._refuse("wrong arguments")

    def refuse_unknown(self, argument: str) -> NoReturn:
        """Refuse an unknown argument. Name the options that are spelled alike.

        Raises:
            WrongUse: Always.
        """
        if not argument.startswith("-"):
            self._refuse("an argument too many")
        from difflib import get_close_matches

        names = [
            name
            for name, action in self._option_string_actions.items()
            if action.help != argparse.SUPPRESS
        ]
        close = get_close_matches(argument.partition("=")[0], names)
        hint = f" (did you mean {' or '.join(close)}?)" if close else ""
        self._refuse(f"unknown option{hint}")

    def _refuse(self, problem: str) -> NoReturn:
        # The error of argparse, which quotes an argument, must not become the cause.
        msg = f"{problem}: see {self.prog} --help"
        raise WrongUse(msg) from None

    def format_help(self) -> str:
        """Return the help, as wide as the terminal."""
        self.formatter_class = argparse.RawDescriptionHelpFormatter
        return super().format_help()

    def print_help(self, file: object = None) -> None:
        """Write the help like any other output.

        argparse ignores a failed write in some versions of Python, and raises in others.
        """
        del file
        if not wrote(self.format_help().rstrip()):
            self.exit(USAGE)
