"""`frappe-hooksig providers`: list the built-in schemes."""

from __future__ import annotations

import argparse
from typing import Any

from frappe_hooksig.cli._options import add_json
from frappe_hooksig.cli._outcome import DONE
from frappe_hooksig.providers import get, names
from frappe_hooksig.scheme import Scheme

_SHOWN = 4  # the most headers that are shown for a scheme


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its arguments."""
    parser.description = "List the built-in schemes."
    add_json(parser)


def run(options: argparse.Namespace) -> tuple[int, str]:
    """Return the table of the schemes."""
    schemes = [get(name) for name in names()]
    if options.json:
        import json

        return DONE, json.dumps([_described(scheme) for scheme in schemes])
    rows = [("NAME", "SIGNED", "WRITTEN AS", "TOLERANCE", "SECRET", "HEADERS")]
    rows += [
        (
            scheme.name,
            scheme.signed or "-",
            scheme.encoding
            if scheme.encoding == "plain"
            else f"{scheme.prefix}{scheme.encoding} ({scheme.digest})",
            f"{scheme.tolerance:g} s" if scheme.signs_timestamp else "-",
            scheme.secret_format,
            " ".join(_shortened(scheme.header_names)),
        )
        for scheme in schemes
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return DONE, "\n".join(lines)


def _shortened(names: list[str]) -> list[str]:
    """Return the names of headers. If there are more than four, return the first and the last."""
    return names if len(names) <= _SHOWN else [names[0], "...", names[-1]]


def _described(scheme: Scheme) -> dict[str, Any]:
    return {
        "name": scheme.name,
        "title": scheme.title,
        "definition": scheme.definition,
        "headers": scheme.header_names,
        "signed": scheme.signed,
        "prefix": scheme.prefix,
        "encoding": scheme.encoding,
        "digest": scheme.digest,
        "tolerance": scheme.tolerance if scheme.signs_timestamp else None,
        "secret_format": scheme.secret_format,
    }
