"""Read secrets from environment variables and files."""

from __future__ import annotations

import argparse

from frappe_hooksig._frappe import FRAPPE, SECRET_SETTING
from frappe_hooksig.cli._input import opened, read
from frappe_hooksig.cli._outcome import WrongUse
from frappe_hooksig.cli._output import complain
from frappe_hooksig.secret import Secret


def read_secrets(options: argparse.Namespace, *, notes: bool = False) -> list[Secret]:
    """Read the secrets, in the order of the options.

    Args:
        options: The parsed options.
        notes: Whether to write a note about a line end that is ignored.

    Raises:
        WrongUse: No secret is named, one is named twice, or one cannot be read.
        ConfigurationError: A value cannot be a secret.
    """
    sources: list[tuple[str, str]] = options.secrets
    if not sources and options.scheme is FRAPPE:
        sources = [("variable", SECRET_SETTING)]
    if not sources:
        msg = "no secret: name an environment variable (-e) or a file (-f) that contains it"
        raise WrongUse(msg)
    if len({name for _, name in sources}) < len(sources):
        msg = "a variable (-e) or a file (-f) is named twice: name each secret once"
        raise WrongUse(msg)
    return _secrets(sources, raw=options.raw, notes=notes)


def read_other_secrets(options: argparse.Namespace) -> list[Secret]:
    """Read the secrets that `--also` names.

    Raises:
        WrongUse: One cannot be read.
        ConfigurationError: A value cannot be a secret.
    """
    return _secrets(options.also, raw=options.raw, notes=False)


def _secrets(sources: list[tuple[str, str]], *, raw: bool, notes: bool) -> list[Secret]:
    return [
        Secret.from_env(name, id=name)
        if kind == "variable"
        else Secret(_content(name, raw=raw, notes=notes), id=name)
        for kind, name in sources
    ]


def _content(name: str, *, raw: bool, notes: bool) -> bytes:
    """Return the secret in a file.

    Raises:
        WrongUse: The file cannot be read.
    """
    with opened(name, "-f") as file:
        content = read(file, "-f")
    if raw or not content.endswith(b"\n"):
        return content
    if notes:
        complain(
            "note: -f: the line end of the file was ignored. Your app may not ignore it: --raw"
        )
    return content[:-1].removesuffix(b"\r")
