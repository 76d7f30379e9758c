"""`frappe-hooksig explain`: find out why a signature does not match."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from functools import partial
from typing import NamedTuple

from frappe_hooksig.cli._captured_request import Pairs, read_headers, split_request
from frappe_hooksig.cli._curl import split_curl
from frappe_hooksig.cli._input import check_standard_input, opened, read
from frappe_hooksig.cli._log_row import split_row
from frappe_hooksig.cli._options import (
    add_body,
    add_headers,
    add_json,
    add_scheme,
    add_secrets,
    add_where,
    check_url,
    moment,
)
from frappe_hooksig.cli._outcome import DONE, REFUSED, UNEXPLAINED, WrongUse
from frappe_hooksig.cli._secret_sources import read_other_secrets, read_secrets
from frappe_hooksig.explain import Explanation, Finding, explain

_EXAMPLES = """\
exit status: 0 genuine, 1 explained, 2 wrong use, 3 not explained

examples:
  frappe-hooksig explain -e SECRET --request request.http
  frappe-hooksig explain -e SECRET --also OLD_SECRET --curl command.txt
  frappe-hooksig explain -f secret.txt --log row.json
"""

# The header that `Capture` adds. `verify` ignores it: a client may send one.
_CAPTURED_AT = b"captured-at"

_STATUSES = {"genuine": DONE, "explained": REFUSED, "unexplained": UNEXPLAINED}


class _Captured(NamedTuple):
    """A request, wherever it was captured, and when it came if that is known."""

    method: str
    url: str | None
    headers: Pairs
    body: bytes
    came: float | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its arguments."""
    parser.description = (
        "Find out why a signature does not match: compute what each known mistake would have\n"
        "signed. Pass all headers of the request, not only the signature."
    )
    parser.epilog = _EXAMPLES
    add_body(parser)
    add_headers(parser)
    whole = parser.add_mutually_exclusive_group()
    for option, what in (
        ("--request", "a whole HTTP/1.1 request: request line, headers, blank line, body"),
        ("--curl", "a curl command that sends the request, as browsers and API tools copy it"),
        ("--log", "a row of Frappe's Webhook Request Log, as JSON"),
    ):
        whole.add_argument(option, metavar="FILE", help=f"file with {what}; - for standard input")
    add_scheme(parser)
    add_where(parser, "that of the request, else POST")
    add_secrets(parser)
    parser.add_argument(
        "--also",
        metavar="VARIABLE",
        action="append",
        default=[],
        type=_source,
        help="environment variable with another secret that may have signed; or @FILE",
    )
    parser.add_argument(
        "--now",
        metavar="TIME",
        type=partial(moment, "--now"),
        help="when the request came: Unix seconds, or a time such as 2026-11-22T08:00:00Z; the\n"
        "default is the time in a file of Capture, else now",
    )
    add_json(parser)


def run(options: argparse.Namespace) -> tuple[int, str]:
    """Explain a request; return the exit status, and the findings as text."""
    request = _captured(options)
    options.url = options.url or (request.url if options.scheme.signs_url else None)
    check_url(options)
    explanation = explain(
        request.body,
        request.headers,
        read_secrets(options, notes=True),
        scheme=options.scheme,
        method=options.method or request.method,
        url=options.url,
        now=request.came if options.now is None else options.now,
        also=read_other_secrets(options),
    )
    status = _STATUSES[explanation.verdict]
    if options.json:
        import json

        return status, json.dumps(asdict(explanation))
    return status, "\n".join(_lines(explanation))


def _captured(options: argparse.Namespace) -> _Captured:
    """Read the request.

    Raises:
        WrongUse: There are two requests, or one cannot be read.
    """
    files = {"--request": options.request, "--curl": options.curl, "--log": options.log}
    option, source = next(
        ((name, file) for name, file in files.items() if file is not None), ("BODY", options.body)
    )
    if option != "BODY" and (options.body is not None or options.header):
        msg = f"{option} already contains the headers and the body: leave out -H and BODY"
        raise WrongUse(msg)
    named = [text.removeprefix("@") for text in options.header]
    named += [name for kind, name in options.also if kind == "file"]
    check_standard_input(options, source, *named)
    with opened(source, option) as file:
        raw = read(file, option)
    if option == "--request":
        method, headers, body = split_request(raw)
        others = [(name, value) for name, value in headers if name.lower() != _CAPTURED_AT]
        times = [value.decode("latin-1") for name, value in headers if name.lower() == _CAPTURED_AT]
        came = moment("--request: Captured-At", times[0]) if times else None
        return _Captured(method, None, others, body, came)
    if option == "--curl":
        return _Captured(*split_curl(raw))
    if option == "--log":
        return _Captured("POST", *split_row(raw))
    return _Captured("POST", None, [p for text in options.header for p in read_headers(text)], raw)


def _source(text: str) -> tuple[str, str]:
    return ("file", text[1:]) if text.startswith("@") else ("variable", text)


def _lines(explanation: Explanation) -> list[str]:
    lines: list[str] = [explanation.verdict]
    for finding in explanation.findings:
        lines += _described(finding)
    if explanation.untried:
        lines.append(f"not tried: {', '.join(explanation.untried)}")
    return lines


def _described(finding: Finding) -> list[str]:
    sure = "proved" if finding.is_proved else "hint"
    also = [f"  also: {', '.join(finding.also_codes)}"] if finding.also_codes else []
    return [
        f"{finding.code} ({sure}): {finding.title}",
        *also,
        f"  evidence: {finding.evidence}",
        f"  remedy: {finding.remedy}",
    ]
