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
    rows = [("NAME", "SIGNED", "WRITTEN AS", "TOLERANCE", "SECRET", "REPEATS BY", "HEADERS")]
    rows += [
        (
            scheme.name,
            scheme.signed or "-",
            scheme.encoding
            if scheme.encoding == "plain"
            else f"{scheme.prefix}{scheme.encoding} ({_hash_of(scheme)})",
            f"{scheme.tolerance:g} s" if scheme.signs_timestamp else "-",
            "/".join(scheme.secret_formats),
            _repeats(scheme),
            " ".join(_shortened(scheme.header_names)),
        )
        for scheme in schemes
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return DONE, "\n".join(lines)


def _hash_of(scheme: Scheme) -> str:
    return scheme.digest if scheme.algorithm == "hmac" else f"bare {scheme.digest}"


def _shortened(names: list[str]) -> list[str]:
    """Return the names of headers. If there are more than four, return the first and the last."""
    return names if len(names) <= _SHOWN else [names[0], "...", names[-1]]


def _repeats(scheme: Scheme) -> str:
    """Return what the attempts of a delivery have in common."""
    if scheme.dedup_by == "body-id":
        return f"body {scheme.body_id}"
    event = " and event" if scheme.event_header else ""
    return f"{scheme.dedup_by or '-'}{event}"


def _described(scheme: Scheme) -> dict[str, Any]:
    return {
        "name": scheme.name,
        "title": scheme.title,
        "definition": scheme.definition,
        "headers": scheme.header_names,
        "signed": scheme.signed,
        "prefix": scheme.prefix,
        "encoding": scheme.encoding,
        "algorithm": scheme.algorithm,
        "digest": scheme.digest,
        "tolerance": scheme.tolerance if scheme.signs_timestamp else None,
        "secret_format": scheme.secret_format,
        "event_header": scheme.event_header,
        "dedup_by": scheme.dedup_by,
        "body_id": scheme.body_id,
        "retry_horizon": scheme.retry_horizon,
        "response_timeout": scheme.response_timeout,
    }
