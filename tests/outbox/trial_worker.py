"""A worker in a process of its own: `python -m tests.outbox.trial_worker /file/or/url`."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from frappe_hooksig.outbox import Worker, _dispatcher
from frappe_hooksig.sending import Sender
from tests.outbox.trials import POISON, outbox_at


def _poisoned(send: Any) -> Any:
    """Return a `Sender.send()` that ends the process at one payload."""

    def send_or_die(self: Sender, url: str, payload: bytes, **options: Any) -> Any:
        if POISON in payload:
            os.kill(os.getpid(), signal.SIGKILL)
        return send(self, url, payload, **options)

    return send_or_die


def _stopping(claim: Any, flag: Path) -> Any:
    """Return a `claim()` that stops the process in its transaction, if there is a file."""

    def claim_and_stop(*args: Any) -> Any:
        claims = claim(*args)
        if claims.claimed and flag.exists():
            flag.unlink()
            os.kill(os.getpid(), signal.SIGSTOP)
        return claims

    return claim_and_stop


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("database")
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--lease", type=float, default=10.0)
    parser.add_argument("--timeout", type=float, default=15.0)
    parser.add_argument("--ahead", type=float, default=0.0, help="seconds of this process's clock")
    parser.add_argument("--shifted", action="store_true", help="the database's clock is")
    parser.add_argument("--stops-at", type=Path, help="a file")
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    real = time.time
    time.time = lambda: real() + given.ahead
    Sender.send = _poisoned(Sender.send)  # type: ignore[method-assign]
    if given.stops_at:
        dispatcher: Any = _dispatcher
        dispatcher.claim = _stopping(dispatcher.claim, given.stops_at)
    outbox = outbox_at(
        given.database, is_shifted=given.shifted, lease=given.lease, timeout=given.timeout
    )
    sys.stdout.write("started\n")
    sys.stdout.flush()
    Worker(outbox, slots=given.slots).run()


if __name__ == "__main__":
    _main()
