"""`frappe-hooksig verify`: check whether a request is genuine; if not, say why."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from functools import partial

from frappe_hooksig.cli._captured_request import read_headers, split_request
from frappe_hooksig.cli._input import check_standard_input, opened, read
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
from frappe_hooksig.cli._outcome import DONE, REFUSED, WrongUse
from frappe_hooksig.cli._secret_sources import read_secrets
from frappe_hooksig.delivery import VerifiedRequest
from frappe_hooksig.exceptions import VerificationError
from frappe_hooksig.verify import MAX_BODY, Verifier

_CHUNK = 65536  # bytes

_EXAMPLES = """\
exit status: 0 verified, 1 refused, 2 wrong use

examples:
  frappe-hooksig verify -e SECRET -H "X-Frappe-Webhook-Signature: kI9..." body.json
  frappe-hooksig verify -e NEW_SECRET -e OLD_SECRET --request request.http
  frappe-hooksig verify -f secret.txt --scheme stripe -H @headers.txt --now 1700000000 < body.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its arguments."""
    parser.description = "Check whether a request is genuine. If it is not, say why."
    parser.epilog = _EXAMPLES
    add_body(parser)
    add_headers(parser)
    parser.add_argument(
        "--request",
        metavar="FILE",
        help="file with a whole HTTP/1.1 request as it was received: request line, headers, blank "
        "line, body; - for standard input",
    )
    add_scheme(parser)
    add_where(parser, "that of --request, else POST")
    add_secrets(parser)
    parser.add_argument(
        "--now",
        metavar="TIME",
        type=partial(moment, "--now"),
        help="the time to use instead of now, to check the request's timestamp: Unix seconds, or a "
        "time such as 2026-11-22T08:00:00Z",
    )
    parser.add_argument(
        "--tolerance",
        metavar="SECONDS",
        type=float,
        help="how far the request's timestamp may be from now, in the past or future (default: the "
        "scheme's tolerance)",
    )
    parser.add_argument(
        "--max-body",
        metavar="BYTES",
        type=int,
        default=MAX_BODY,
        help="the largest accepted body (default: %(default)s)",
    )
    add_json(parser)


def run(options: argparse.Namespace) -> tuple[int, str]:
    """Verify a request; return the exit status, and the result or the reason as text."""
    if options.request is not None and (options.body is not None or options.header):
        msg = "--request already contains the headers and the body: leave out -H and BODY"
        raise WrongUse(msg)
    check_url(options)
    verifier = _verifier(options)
    option, source = "BODY", options.body
    if options.request is not None:
        option, source = "--request", options.request
    check_standard_input(options, source, *(text.removeprefix("@") for text in options.header))
    body: Iterator[bytes]
    method = options.method or "POST"
    with opened(source, option) as file:
        if options.request is None:
            headers = [pair for text in options.header for pair in read_headers(text)]
            body = iter(partial(read, file, option, _CHUNK), b"")
        else:
            sent_with, headers, content = split_request(read(file, option))
            method = options.method or sent_with
            body = iter([content])
        try:
            verification = verifier.begin(headers, method=method, url=options.url)
            for chunk in body:
                verification.update(chunk)
            request = verification.finish()
        except VerificationError as error:
            return REFUSED, _refused(error, as_json=options.json)
    return DONE, _verified(request, as_json=options.json)


def _verifier(options: argparse.Namespace) -> Verifier:
    """Return the verifier that the options describe."""
    secrets = read_secrets(options, notes=True)
    if len(secrets) > 1:
        import logging

        # The result names the secret that matched. Without a handler, logging would also write a
        # warning about an old secret to standard error.
        logging.getLogger("frappe_hooksig").addHandler(logging.NullHandler())
    return Verifier(
        secrets,
        scheme=options.scheme,
        tolerance=options.tolerance,
        max_body=options.max_body,
        clock=time.time if options.now is None else lambda: options.now,
    )


def _verified(request: VerifiedRequest, *, as_json: bool) -> str:
    answer = {
        "scheme": request.scheme.name,
        "secret": request.secret_id,
        "id": request.id,
        "timestamp": request.timestamp,
    }
    if as_json:
        import json

        return json.dumps({"verified": True} | answer)
    known = [f"{name}: {value}" for name, value in answer.items() if value is not None]
    return "\n".join(["verified", *known])


def _refused(error: VerificationError, *, as_json: bool) -> str:
    if not as_json:
        return f"refused: {error.reason}\n{error.log_message}"
    import json

    answer = {"verified": False, "reason": error.reason, "header": error.header}
    return json.dumps(answer | {"message": error.log_message})
