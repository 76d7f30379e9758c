"""`frappe-hooksig sign`: sign a body, and print the headers to send with it."""

from __future__ import annotations

import argparse
from functools import partial

from frappe_hooksig.cli._input import check_standard_input, opened, read
from frappe_hooksig.cli._options import (
    add_body,
    add_json,
    add_scheme,
    add_secrets,
    add_where,
    check_url,
    moment,
)
from frappe_hooksig.cli._outcome import DONE
from frappe_hooksig.cli._secret_sources import read_secrets
from frappe_hooksig.sign import Signer

_EXAMPLES = """\
examples:
  frappe-hooksig sign -f secret.txt body.json > headers.txt
  curl -H @headers.txt --data-binary @body.json https://example.com/webhook
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its arguments."""
    parser.description = (
        "Sign a body, and print the headers to send with it. Send the body unchanged,\n"
        "byte for byte."
    )
    parser.epilog = _EXAMPLES
    add_body(parser)
    add_scheme(parser)
    add_where(parser)
    add_secrets(parser)
    parser.add_argument(
        "--id", help="the delivery's id, if the scheme signs one (default: a new one)"
    )
    parser.add_argument(
        "--timestamp",
        metavar="TIME",
        type=partial(moment, "--timestamp"),
        help="the time of signing, if the scheme signs it: Unix seconds, or a time such as "
        "2026-11-22T08:00:00Z (default: now)",
    )
    add_json(parser)


def run(options: argparse.Namespace) -> tuple[int, str]:
    """Return the headers to send with a body."""
    scheme = options.scheme
    check_url(options)
    check_standard_input(options, options.body)
    with opened(options.body, "BODY") as file:
        body = read(file, "BODY")
    signer = Signer(read_secrets(options), scheme=scheme)
    signed = signer.sign(
        body,
        id=options.id,
        timestamp=options.timestamp,
        method=options.method or "POST",
        url=options.url,
    )
    if options.json:
        import json

        answer = {"scheme": scheme.name, "headers": signed.headers, "signature": signed.signature}
        return DONE, json.dumps(answer)
    return DONE, "\n".join(f"{name}: {value}" for name, value in signed.headers.items())
