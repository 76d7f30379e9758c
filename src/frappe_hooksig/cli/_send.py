"""`frappe-hooksig send`: sign a body, send it to a receiver, and say what came back."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from frappe_hooksig._template import is_method
from frappe_hooksig.cli._captured_request import read_headers
from frappe_hooksig.cli._excerpt import excerpt
from frappe_hooksig.cli._input import check_standard_input, opened, read
from frappe_hooksig.cli._options import (
    add_headers,
    add_json,
    add_scheme,
    add_secrets,
    schedule_named,
)
from frappe_hooksig.cli._outcome import DONE, REFUSED, UNREACHABLE, WrongUse
from frappe_hooksig.cli._output import complain
from frappe_hooksig.cli._secret_sources import read_secrets
from frappe_hooksig.exceptions import ConfigurationError, Reason

if TYPE_CHECKING:
    from frappe_hooksig.sending._attempt import Attempt
    from frappe_hooksig.sending._schedule import RetrySchedule
    from frappe_hooksig.sending._target import Target

_LONGEST = 3600  # seconds

_STATUSES: Final = {
    "delivered": DONE,
    "gone": REFUSED,
    "refused": REFUSED,
    "unreachable": UNREACHABLE,
    "blocked": UNREACHABLE,
}

# The options with which this command is told what the library takes as arguments.
_OPTIONS: Final = {"allow=": "--allow", "headers=": "-H:", "id=": "--id", "method=": "--method"}

_EXAMPLES = """\
exit status: 0 accepted (2xx), 1 refused, 2 wrong use, 3 no response, or the address is blocked

examples:
  frappe-hooksig send -f secret.txt https://example.com/webhook body.json
  frappe-hooksig send -e SECRET --data '{}' -H 'Content-Type: application/json' URL
  frappe-hooksig send -e SECRET --scheme standard-webhooks --retry QUICK URL body.json
  frappe-hooksig send -f secret.txt --allow 127.0.0.1 http://127.0.0.1:8000/webhook body.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its arguments."""
    parser.description = (
        "Sign a body, send it to a receiver, and say what came back. Addresses that are not\n"
        "public are blocked, unless --allow names them."
    )
    parser.epilog = _EXAMPLES
    parser.add_argument("target", metavar="URL", help="where the receiver is")
    parser.add_argument(
        "body",
        metavar="BODY",
        nargs="?",
        help="file with the raw body; - or nothing for standard input",
    )
    parser.add_argument("--data", metavar="TEXT", help="the body itself, instead of a file")
    add_scheme(parser)
    add_headers(parser, "a header to send besides those of the signature, such as a Content-Type")
    parser.add_argument("--method", default="POST", help="the HTTP method (default: %(default)s)")
    parser.add_argument(
        "--id", help="the delivery's id, if the scheme signs one (default: a new one)"
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=float,
        default=15.0,
        help="how long each attempt may take in total (default: %(default)g)",
    )
    parser.add_argument(
        "--allow",
        metavar="HOST",
        action="append",
        default=[],
        help="an address, a network (10.0.0.0/8) or a host's name that may be sent to although it "
        "is not public; several times for several",
    )
    parser.add_argument(
        "--retry",
        metavar="SCHEDULE",
        type=partial(schedule_named, "--retry"),
        help="wait and try again: QUICK (4 attempts in 15 seconds), FRAPPE (8 in 28 hours) or "
        "STANDARD_WEBHOOKS (10 in 76 hours). With Retry-After, all pauses together take at most a "
        "minute more",
    )
    add_secrets(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> tuple[int, str]:
    """Send a body; return the exit status, and what was sent and came back.

    Raises:
        WrongUse: The options cannot be used.
    """
    _check(options)
    try:
        return _run(options)
    except ConfigurationError as error:
        argument, _, problem = str(error).partition(" ")
        msg = f"{_OPTIONS.get(argument, argument)} {problem}"
        raise WrongUse(msg) from None


def _run(options: argparse.Namespace) -> tuple[int, str]:
    # This loads http.client and ssl, which the help does not need.
    from frappe_hooksig.sending._guard import AddressGuard
    from frappe_hooksig.sending._schedule import RetrySchedule
    from frappe_hooksig.sending._sender import Sender

    target, guard, headers = _target(options), AddressGuard(options.allow), _given_headers(options)
    body = _body(options)
    schedule: RetrySchedule = options.retry or RetrySchedule(())
    attempts: list[Attempt] = []
    with Sender(
        read_secrets(options),
        scheme=options.scheme,
        method=options.method,
        headers=headers,
        guard=guard,
        timeout=options.timeout,
        observe=(),  # this command says itself what became of each attempt
    ) as sender:

        def attempt() -> Attempt:
            delivery_id = attempts[-1].id if attempts else options.id
            attempts.append(sender.send(options.target, body, id=delivery_id))
            if options.retry is not None:
                complain(f"attempt {len(attempts)}: {_result(attempts[-1])}")
            return attempts[-1]

        schedule.run(attempt, sleep=_wait)
    if schedule.delay(len(attempts), attempts[-1]) is not None:
        complain("no other attempt: Retry-After asks for more time than the schedule has")
    sent = _Sent(options, target, body, headers)
    shown = _as_json if options.json else _as_text
    return _STATUSES[attempts[-1].outcome], shown(sent, attempts)


class _Sent:
    """What may be shown of a request: nothing secret, and of the URL only its host."""

    def __init__(
        self, options: argparse.Namespace, target: Target, body: bytes, names: Iterable[str]
    ) -> None:
        self.method: str = options.method
        self.host = target.host
        self.origin = f"{'https' if target.is_https else 'http'}://{target.authority}"
        self.length = len(body)
        self.headers = [*options.scheme.header_names, *names]
        self.has_id = options.scheme.id_header is not None


def _check(options: argparse.Namespace) -> None:
    """Refuse options that do not fit together.

    Raises:
        WrongUse: `options` contradict each other, or one of them has a wrong value.
    """
    if options.data is not None and options.body is not None:
        msg = "--data is instead of BODY: leave one of them out"
        raise WrongUse(msg)
    if options.data is not None and options.data.startswith("@"):
        msg = "--data is the body itself: for a file, leave out --data and @"
        raise WrongUse(msg)
    if not is_method(options.method):
        msg = "--method must be upper-case letters, such as POST"
        raise WrongUse(msg)
    if not 0 < options.timeout <= _LONGEST:
        msg = f"--timeout must be a number of seconds, up to {_LONGEST}"
        raise WrongUse(msg)
    if options.id is not None and options.scheme.id_header is None:
        msg = f"--id has no use: scheme {options.scheme.name!r} signs no id"
        raise WrongUse(msg)
    files = [text[1:] for text in options.header if text.startswith("@")]
    check_standard_input(options, *files, *([options.body] if options.data is None else []))


def _body(options: argparse.Namespace) -> bytes:
    if options.data is not None:
        return os.fsencode(options.data)
    with opened(options.body, "BODY") as file:
        return read(file, "BODY")


def _target(options: argparse.Namespace) -> Target:
    from frappe_hooksig.sending._target import Target

    try:
        return Target.of(options.target)
    except ValueError as error:
        msg = f"URL: {error}"
        raise WrongUse(msg) from None


def _given_headers(options: argparse.Namespace) -> dict[str, str]:
    """Return the headers of `-H`.

    Raises:
        WrongUse: A header of `-H` cannot be read, or two have one name.
    """
    pairs = [pair for text in options.header for pair in read_headers(text)]
    if len({name.lower() for name, _ in pairs}) < len(pairs):
        msg = "-H: a header is given twice"
        raise WrongUse(msg)
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs}


def _wait(seconds: float) -> None:
    import time

    complain(f"next attempt in {_rounded(seconds)} s")
    time.sleep(seconds)


def _result(attempt: Attempt) -> str:
    """Return the outcome with the status, and the reason if there is one."""
    status = "" if attempt.status is None else str(attempt.status)
    details = " ".join(filter(None, [status, attempt.reason]))
    return f"{attempt.outcome} ({details})" if details else attempt.outcome


def _answer(attempt: Attempt) -> str:
    """Return the start of an answer whose own sentence is not in the message."""
    return "" if attempt.reason else excerpt(attempt.answer)


def _see(attempt: Attempt) -> str | None:
    """Return where the documentation explains a reason of ours; None for any other."""
    is_ours = attempt.status is not None and attempt.reason in {each.value for each in Reason}
    return f"docs/reasons.md#{attempt.reason}" if is_ours else None


def _hint(sent: _Sent, attempt: Attempt) -> str | None:
    """Return what to do if the guard has blocked the address."""
    if attempt.reason != "address-not-allowed" or attempt.status is not None:
        return None
    return f"to send there all the same, name it: --allow {sent.host}"


def _as_text(sent: _Sent, attempts: Sequence[Attempt]) -> str:
    """Return what was sent, and what came back last."""
    last = attempts[-1]
    verb = "sent" if any(each.address is not None for each in attempts) else "not sent"
    lines = [
        f"{verb}: {sent.method} {sent.origin} ({sent.length} bytes)",
        f"headers: {', '.join(sent.headers)}",
        *[f"id: {last.id}"] * sent.has_id,
        *[f"attempts: {len(attempts)}"] * (len(attempts) > 1),
    ]
    if last.status is not None:
        lines.append(f"received: {last.status} {last.reason}".rstrip())
    elif last.outcome != "blocked":
        lines.append("received: nothing")
    lines += [last.message] * bool(last.message)
    answer, see, hint = _answer(last), _see(last), _hint(sent, last)
    lines += [f"answer: {answer}"] * bool(answer)
    lines += [f"see: {see}"] * (see is not None)
    if last.retry_after is not None:
        lines.append(f"Retry-After: {_rounded(last.retry_after)} s")
    lines += [hint] if hint is not None else []
    reason = "" if last.status is not None or not last.reason else f": {last.reason}"
    return "\n".join([*lines, f"{last.outcome}{reason}"])


def _as_json(sent: _Sent, attempts: Sequence[Attempt]) -> str:
    import json

    last = attempts[-1]
    answer: dict[str, Any] = {
        "delivered": last.outcome == "delivered",
        "outcome": last.outcome,
        "method": sent.method,
        "to": sent.origin,
        "bytes": sent.length,
        "headers": sent.headers,
        "id": last.id if sent.has_id else None,
        "hint": _hint(sent, last),
        "attempts": [
            {
                "outcome": each.outcome,
                "status": each.status,
                "reason": each.reason or None,
                "message": each.message or None,
                "answer": _answer(each) or None,
                "see": _see(each),
                "retry_after": each.retry_after,
                "seconds": round(each.seconds, 3),
                "address": each.address,
            }
            for each in attempts
        ],
    }
    return json.dumps(answer)


def _rounded(seconds: float) -> str:
    return f"{seconds:.1f}".removesuffix(".0")
