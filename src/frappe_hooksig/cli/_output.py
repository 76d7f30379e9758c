"""Write results to standard output, and errors and warnings to standard error."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Final, NoReturn

from frappe_hooksig.cli._outcome import DONE, USAGE

PROGRAM: Final = "frappe-hooksig"


def wrote(output: str) -> bool:
    """Write the result to standard output, and return whether that succeeded."""
    if sys.stdout is None:
        if output:
            complain("error: cannot write the output: standard output is closed")
        return False
    try:
        if output:
            encoding = sys.stdout.encoding or "utf-8"  # a file's name may contain anything
            print(output.encode(encoding, "backslashreplace").decode(encoding))  # noqa: T201
        sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            complain(f"error: cannot write the output: {error.strerror}")
        # Python flushes again at exit, and would then print an error itself.
        sys.stdout = None
        return False
    return True


def complain(text: str) -> None:
    """Write a line to standard error. Ignore a failure: nobody could read about it."""
    if sys.stderr is None:
        return
    with suppress(OSError):
        print(f"{PROGRAM}: {text}", file=sys.stderr, flush=True)  # noqa: T201


def show_version() -> NoReturn:
    """Write the version, and end the process.

    Raises:
        SystemExit: Always, with status 0; with status 2 if the version could not be written.
    """
    from frappe_hooksig import __version__

    sys.exit(DONE if wrote(f"{PROGRAM} {__version__}") else USAGE)
