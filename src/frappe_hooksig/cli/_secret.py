"""`frappe-hooksig secret`: make a new secret."""

from __future__ import annotations

import argparse

from frappe_hooksig.cli._options import add_json, add_scheme
from frappe_hooksig.cli._outcome import DONE
from frappe_hooksig.secret import generate_secret


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its arguments."""
    parser.description = "Make a new secret of 32 random bytes, in the format of the scheme."
    add_scheme(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> tuple[int, str]:
    """Return a new secret."""
    secret = generate_secret(options.scheme.secret_format)
    if options.json:
        import json

        return DONE, json.dumps({"secret": secret})
    return DONE, secret
