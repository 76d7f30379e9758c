"""The command `frappe-hooksig`. Each of its subcommands is a module of this package.

To add the subcommand `name`, write `_name.py` with `add_arguments()` and `run()`, and list it in
`_commands.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from frappe_hooksig.cli._outcome import INTERRUPTED, USAGE, WrongUse
from frappe_hooksig.cli._output import complain, show_version, wrote

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Args:
        arguments: The arguments after the command's name; by default those of the process.

    Raises:
        SystemExit: After `--help` and `--version`.
    """
    if arguments is None:
        arguments = sys.argv[1:]
    if arguments and arguments[0] == "--version":  # answered before anything else is loaded
        show_version()
    status, output = _run(arguments)
    return status if wrote(output) else USAGE


def _run(arguments: Sequence[str]) -> tuple[int, str]:
    """Run the requested command; return its exit status and its output."""
    import warnings

    from frappe_hooksig.cli._commands import make_parser
    from frappe_hooksig.exceptions import HooksigError, SecretWarning

    status, output = USAGE, ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SecretWarning)
        try:
            options, unknown = make_parser(arguments).parse_known_args(arguments)
            for argument in unknown:
                options.refuse_unknown(argument)
            status, output = options.run(options)
        except (WrongUse, HooksigError) as error:
            complain(f"error: {error}")
        except KeyboardInterrupt:
            status = INTERRUPTED
        except Exception as error:  # noqa: BLE001  # a bug must not look like a refused request
            import traceback

            # Without the error's message, which may contain a secret.
            calls = "".join(traceback.format_tb(error.__traceback__))
            complain(f"bug: {type(error).__name__}\nTraceback (most recent call last):\n{calls}")
    for message in [each.message for each in caught if isinstance(each.message, SecretWarning)]:
        complain(f"warning: {message}")
    return status, output
