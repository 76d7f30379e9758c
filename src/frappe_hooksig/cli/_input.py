"""Read files and standard input, as bytes."""

from __future__ import annotations

import argparse
import sys
from contextlib import AbstractContextManager, nullcontext
from io import BytesIO
from typing import BinaryIO

from frappe_hooksig.cli._outcome import WrongUse


def opened(name: str | None, option: str) -> AbstractContextManager[BinaryIO]:
    """Open a file.

    Args:
        name: The file's name; None and `-` mean standard input.
        option: The option or argument with the name, for the error.

    Raises:
        WrongUse: The file does not exist, or cannot be opened.
    """
    if name is None or name == "-":
        return nullcontext(sys.stdin.buffer if sys.stdin else BytesIO())
    from pathlib import Path

    try:
        return Path(name).open("rb")
    except (OSError, ValueError) as error:
        raise _cannot_read(option, error) from None


def read(file: BinaryIO, option: str, size: int = -1) -> bytes:
    """Read a file.

    Args:
        file: From `opened()`.
        option: As for `opened()`.
        size: The largest number of bytes to read; by default all of them.

    Raises:
        WrongUse: Reading fails, for example because the file is a folder.
    """
    try:
        return file.read(size)
    except OSError as error:
        raise _cannot_read(option, error) from None


def check_standard_input(options: argparse.Namespace, *names: str | None) -> None:
    """Refuse options that would read standard input twice.

    Args:
        options: The parsed options, with the files of the secrets.
        *names: The names of the other files. None and `-` mean standard input.

    Raises:
        WrongUse: Two of the files are standard input.
    """
    files = [*names, *(name for kind, name in options.secrets if kind == "file")]
    if sum(name in {None, "-"} for name in files) > 1:
        msg = "standard input can be read only once: put one of the inputs into a file"
        raise WrongUse(msg)


def _cannot_read(option: str, error: OSError | ValueError) -> WrongUse:
    """Return the error without the file's name, in whose place someone may have put a secret."""
    # A NUL in the name is a ValueError.
    reason = error.strerror if isinstance(error, OSError) else "no file can have this name"
    return WrongUse(f"{option}: cannot read the file: {reason}")
