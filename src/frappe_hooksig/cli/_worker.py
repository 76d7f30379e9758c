"""`frappe-hooksig worker`: send what an outbox has."""

from __future__ import annotations

import argparse
from typing import Final

from frappe_hooksig.cli._options import add_json
from frappe_hooksig.cli._outbox_place import add_place, opened, place_of
from frappe_hooksig.cli._outcome import DONE, REFUSED, WrongUse
from frappe_hooksig.cli._output import complain

_SLOTS: Final = 16

_EXAMPLES = """\
exit status: 0 ended, 1 nothing is sent until `frappe-hooksig outbox confirm`, 2 wrong use

examples:
  frappe-hooksig worker --database outbox.db
  frappe-hooksig worker --app shop.webhooks:outbox
  frappe-hooksig worker --database outbox.db --once
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its arguments."""
    parser.description = (
        "Send what an outbox has, until SIGTERM or SIGINT (Ctrl-C) stops it. Any number of\n"
        "workers may share an outbox. Addresses that are not public are blocked, unless --allow\n"
        "names them."
    )
    parser.epilog = _EXAMPLES
    parser.add_argument("--once", action="store_true", help="end when nothing is due any more")
    parser.add_argument(
        "--slots",
        metavar="N",
        type=int,
        default=_SLOTS,
        help="how many attempts are made at once (default: %(default)s)",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=float,
        help="how long each attempt may take in total (default: 15)",
    )
    parser.add_argument(
        "--allow",
        metavar="HOST",
        action="append",
        help="an address, a network (10.0.0.0/8) or a host's name that may be sent to although it "
        "is not public; several times for several",
    )
    parser.add_argument(
        "--untrusted-urls",
        action="store_true",
        default=None,
        help="the URLs are chosen by people who must not learn what your network looks like: an "
        "address that is not allowed pauses nothing, and no answer takes the whole timeout",
    )
    add_json(parser)
    add_place(parser)


def run(options: argparse.Namespace) -> tuple[int, str]:
    """Send until told to stop; return the exit status, and how many attempts there were."""
    from frappe_hooksig.exceptions import ConfigurationError
    from frappe_hooksig.outbox import Worker
    from frappe_hooksig.sending import AddressGuard

    try:
        guard = None if options.allow is None else AddressGuard(options.allow)
    except ConfigurationError as error:
        msg = str(error).replace("allow=", "--allow")
        raise WrongUse(msg) from None
    arguments = {"timeout": options.timeout, "untrusted_urls": options.untrusted_urls}
    with opened(options, guard=guard, **arguments) as outbox:
        worker = Worker(outbox, slots=options.slots)
        _log_to_standard_error()
        complain(_greeting(options))
        is_confirmed = outbox.is_confirmed()
        if not is_confirmed:
            waits = "" if options.once else "; this worker waits for that"
            complain(
                "error: nothing is sent: these tables were last used by another installation, and "
                f"may be a copy, until you run frappe-hooksig outbox confirm{waits}"
            )
        attempts = worker.run(once=options.once)
    status = DONE if attempts or is_confirmed or not options.once else REFUSED
    if not options.json:
        return status, f"attempts: {attempts}"
    import json

    return status, json.dumps({"attempts": attempts})


def _greeting(options: argparse.Namespace) -> str:
    ends = "ends when nothing is due" if options.once else "SIGTERM or Ctrl-C stops it"
    return f"worker of {place_of(options)} with {options.slots} slots: {ends}"


def _log_to_standard_error() -> None:
    """Write a line for each event, unless the app has configured logging."""
    import logging
    import time

    if logging.getLogger().handlers:
        return
    handler = logging.StreamHandler()
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    logging.getLogger("frappe_hooksig").setLevel(logging.INFO)
