"""Read secrets from environment variables and files."""

from __future__ import annotations

import argparse
import os
import re

from frappe_hooksig._frappe import FRAPPE, SECRET_SETTING
from frappe_hooksig.cli._input import opened, read
from frappe_hooksig.cli._outcome import WrongUse
from frappe_hooksig.secret import Secret


def read_secrets(options: argparse.Namespace) -> list[Secret]:
    """Read the secrets, in the order of the options.

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
    names = [name for _, name in sources]
    for name in names:
        if names.count(name) > 1:
            msg = f"{name} is named twice: name each secret once"
            raise WrongUse(msg)
    return [Secret(_read_secret(kind, name, raw=options.raw), id=name) for kind, name in sources]


def _read_secret(kind: str, name: str, *, raw: bool) -> bytes:
    if kind == "variable":
        if name not in os.environ:
            # If it does not look like a variable's name, it may be the secret itself: do not show
            # it.
            shown = name if re.fullmatch("[A-Z_][A-Z0-9_]*", name) else "named by -e"
            msg = f"the environment variable {shown} is not set"
            raise WrongUse(msg)
        return os.fsencode(os.environ[name])
    with opened(name) as file:
        content = read(file)
    if raw or not content.endswith(b"\n"):
        return content
    return content[:-1].removesuffix(b"\r")
