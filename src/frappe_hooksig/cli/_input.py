"""Read files and standard input, as bytes."""

from __future__ import annotations

import argparse
import sys
from contextlib import AbstractContextManager, nullcontext
from io import BytesIO
from typing import BinaryIO

from frappe_hooksig.cli._outcome import WrongUse


def opened(name: str | None) -> AbstractContextManager[BinaryIO]:
    """Open a file. None and `-` mean standard input.

    Raises:
        WrongUse: The file does not exist, or cannot be opened.
    """
    if name is None or name == "-":
        return nullcontext(sys.stdin.buffer if sys.stdin else BytesIO())
    from pathlib import Path

    try:
        return Path(name).open("rb")
    except (OSError, ValueError) as error:  # a NUL in the name is a ValueError
        raise _cannot_read(error) from error


def read(file: BinaryIO, size: int = -1) -> bytes:
    """Read up to `size` bytes of a file; by default all of it.

    Raises:
        WrongUse: Reading fails, for example because the file is a folder.
    """
    try:
        return file.read(size)
    except OSError as error:
        raise _cannot_read(error) from error


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


def _cannot_read(error: OSError | ValueError) -> WrongUse:
    return WrongUse(f"cannot read {error}")
