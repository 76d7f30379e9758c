"""`frappe-hooksig trigger`: send signed events to a receiver."""

from __future__ import annotations

import argparse
from collections.abc import Container, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from frappe_hooksig._escaping import escaped, escaped_url
from frappe_hooksig._frappe import FRAPPE
from frappe_hooksig._registered_urls import registered
from frappe_hooksig._template import is_method
from frappe_hooksig.cli._captured_request import read_headers
from frappe_hooksig.cli._input import check_standard_input, opened, read
from frappe_hooksig.cli._options import add_headers, add_json, add_secrets, scheme_named
from frappe_hooksig.cli._outcome import DONE, REFUSED, UNREACHABLE, WrongUse
from frappe_hooksig.cli._scenarios import SCENARIOS, Attempt, Event, Scenario
from frappe_hooksig.cli._secret_sources import read_secrets

if TYPE_CHECKING:
    from frappe_hooksig.scheme import Scheme
    from frappe_hooksig.testing._recorded import RecordedEvent
    from frappe_hooksig.testing._requests import SignedRequest

_LONGEST = 3600  # seconds

# How the command sends a request. Another value would make it another request.
_FRAMING = {"content-length", "transfer-encoding"}

_EXAMPLES = """\
exit status: 0 accepted (2xx), 1 refused, 2 wrong use, 3 no response

examples:
  frappe-hooksig trigger --list frappe
  frappe-hooksig trigger frappe -f secret.txt http://127.0.0.1:8000/webhook
  frappe-hooksig trigger frappe -e SECRET --event submitted --frappe-version 16 URL
  frappe-hooksig trigger github -e SECRET --body push.json -H "X-GitHub-Event: push" URL
  frappe-hooksig trigger frappe -e SECRET --scenario duplicate URL
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its arguments."""
    parser.description = (
        "Send recorded events to a receiver, signed with its secret, or a body of your own.\n"
        "Say what came back."
    )
    parser.epilog = _EXAMPLES
    scheme = partial(scheme_named, "PROVIDER")
    needed = [
        parser.add_argument(
            "scheme", metavar="PROVIDER", type=scheme, help="the sender, such as frappe: see --list"
        ),
        parser.add_argument("target", metavar="URL", help="where the receiver is"),
    ]
    parser.add_argument(
        "--list",
        metavar="PROVIDER",
        nargs="?",
        type=scheme,
        action=_List,
        needless=needed,
        help="list the recorded events of a sender, or of all",
    )
    parser.add_argument(
        "--event",
        metavar="NAME",
        dest="events",
        action="append",
        default=[],
        help="the recorded event to send (default: the first in the list); several times for "
        "several events",
    )
    parser.add_argument(
        "--frappe-version",
        metavar="N",
        type=int,
        help="only events of Frappe 13, 14, 15 or 16 (default: the newest that has the event); "
        "with --list, all events of this version",
    )
    parser.add_argument(
        "--body", metavar="FILE", help="send this raw body instead; - for standard input"
    )
    add_headers(parser, "a header to send besides, or instead of the event's")
    parser.add_argument("--method", help="the HTTP method (default: the event's, else POST)")
    parser.add_argument(
        "--url",
        help="the URL that is registered with the sender, if the scheme signs it (default: URL)",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=float,
        default=10.0,
        help="how long each exchange may take in total (default: %(default)g)",
    )
    parser.add_argument(
        "--scenario",
        metavar="NAME",
        type=_scenario,
        default=SCENARIOS["once"],
        help="; ".join(f"{name}: {each.title}" for name, each in SCENARIOS.items())
        + " (default: once)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=2.0,
        help="how long the pauses of retry or slow are in total (default: %(default)g; Frappe's "
        "retries take 5)",
    )
    add_secrets(parser)
    add_json(parser)


class _List(argparse.Action):
    """Asks for the list, which needs no other arguments."""

    def __init__(self, *, needless: Sequence[argparse.Action], **options: Any) -> None:
        super().__init__(**options)
        self._needless = needless

    def __call__(
        self, parser: object, namespace: argparse.Namespace, values: Any, option: object = None
    ) -> None:
        del parser, option
        for each in self._needless:
            each.required = False
        namespace.run = partial(_list, values)


def run(options: argparse.Namespace) -> tuple[int, str]:
    """Send events; return the exit status, and what was sent and came back."""
    _check(options)
    # This loads http.client and ssl, which the list and the help do not need.
    from frappe_hooksig.cli._exchange import exchange, target_of

    target = target_of(options.target)
    send = partial(exchange, target, timeout=options.timeout)
    attempts = options.scenario.run(_signed(options), send, options.seconds)
    if all(each.answer.status is None for each in attempts):
        status = UNREACHABLE
    else:
        status = DONE if options.scenario.is_right(attempts) else REFUSED
    shown = _as_json if options.json else _as_text
    return status, shown(options, attempts, status)


def _check(options: argparse.Namespace) -> None:
    """Refuse options that do not fit together.

    Raises:
        WrongUse: They do not.
        ConfigurationError: The scheme signs no URL, or `--url` is none.
    """
    if options.body is not None and (options.events or options.frappe_version is not None):
        msg = "--body is instead of a recorded event: leave out --event and --frappe-version"
        raise WrongUse(msg)
    if options.method is not None and not is_method(options.method):
        msg = "--method must be upper-case letters, such as POST"
        raise WrongUse(msg)
    if not (0 < options.timeout <= _LONGEST and 0 <= options.seconds <= _LONGEST):
        msg = f"--timeout and --seconds must be numbers of seconds, up to {_LONGEST}"
        raise WrongUse(msg)
    registered(options.scheme, options.url)
    files = [text[1:] for text in options.header if text.startswith("@")]
    check_standard_input(options, *files, *([] if options.body is None else [options.body]))


def _signed(options: argparse.Namespace) -> list[Event]:
    """Return the events to send, signed.

    Raises:
        WrongUse: A header or a file cannot be used, or the scenario needs more or fewer events.
        HooksigError: A secret cannot be used, or there is no such event.
    """
    given = _given_headers(options)
    chosen = _events(options)
    scenario: Scenario = options.scenario
    if not scenario.least <= len(chosen) <= scenario.most:
        count = "two or more events" if scenario.least > 1 else f"at most {scenario.most} at a time"
        msg = f"--scenario: this one sends {count}: see --event"
        raise WrongUse(msg)
    if scenario.has_new:
        chosen = [chosen[0], chosen[-1]]
    secrets = read_secrets(options)
    url = (options.url or options.target) if options.scheme.signs_url else None
    hidden = {name.lower() for name, _ in given}
    # Without Accept-Encoding, so that the response can be read.
    dropped = hidden | {"accept-encoding"}
    if options.scheme.encoding == "plain":  # the sender sends the secret itself
        hidden |= {name.lower() for name in options.scheme.header_names}
    events: list[Event] = []
    for event in chosen:
        ready, is_new = _renewed(event) if scenario.has_new else (event, False)
        request = ready.signed(secrets, url=url)
        kept = [pair for pair in request.headers if pair[0].lower() not in dropped]
        request.headers = [*kept, *given]
        shown = _shown(request, hidden)
        events.append(Event(name=event.name, request=request, shown=shown, is_new=is_new))
    return events


def _renewed(event: RecordedEvent) -> tuple[RecordedEvent, bool]:
    """Return an event that is another delivery in each run, and whether it is one."""
    if event.scheme.id_header is not None:  # signing makes a new id
        return event, True
    from frappe_hooksig.testing._forging import renewed

    body = renewed(event.scheme, event.body)
    return (event, False) if body is None else (replace(event, body=body), True)


def _shown(request: SignedRequest, hidden: Container[str]) -> dict[str, str]:
    """Return the headers for the output, without the values of hidden ones."""
    return {
        name: "..." if name.lower() in hidden else escaped(value) for name, value in request.headers
    }


def _given_headers(options: argparse.Namespace) -> list[tuple[str, str]]:
    """Return the headers of `-H`.

    Raises:
        WrongUse: One cannot be read, or cannot be sent.
    """
    given = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for text in options.header
        for name, value in read_headers(text)
    ]
    if any(name.lower() in _FRAMING for name, _ in given):
        msg = "-H: the command itself sends Content-Length, and no Transfer-Encoding"
        raise WrongUse(msg)
    return given


def _events(options: argparse.Namespace) -> list[RecordedEvent]:
    """Return the events to send: those that are named, the first usual ones, or a body.

    Raises:
        WrongUse: The file with the body cannot be read.
        ConfigurationError: There is no such event.
    """
    from frappe_hooksig.testing._recorded import RecordedEvent, recorded_events

    found = partial(recorded_events, options.scheme, version=options.frappe_version)
    if options.body is not None:
        with opened(options.body, "--body") as file:
            content = read(file, "--body")
        chosen = [
            RecordedEvent(
                scheme=options.scheme, name="--body", description="", source="", body=content
            )
        ]
    elif options.events:
        chosen = [found(event=name)[0] for name in options.events]
    else:
        chosen = found()[: options.scenario.usual]
    return [replace(event, method=options.method or event.method) for event in chosen]


def _list(scheme: Scheme | None, options: argparse.Namespace) -> tuple[int, str]:
    """Return the list of recorded events.

    Raises:
        WrongUse: There is a URL too.
        ConfigurationError: There is no event of this provider or version.
    """
    if options.target is not None:
        msg = "--list sends nothing: leave out URL"
        raise WrongUse(msg)
    from frappe_hooksig.testing._recorded import recorded_events

    every = recorded_events(scheme or options.scheme, version=options.frappe_version)
    events = [each for each in every if each.is_usual or options.frappe_version is not None]
    if options.json:
        import json

        return DONE, json.dumps([_described(event) for event in events])
    rows = [("PROVIDER", "EVENT", "FRAPPE", "WHAT IT IS")]
    for (provider, name), group in groupby(events, lambda each: (each.scheme.name, each.name)):
        newest, *older = group
        versions = [each.version.partition(".")[0] for each in [newest, *older] if each.version]
        what = newest.description if newest.version else newest.source
        rows.append((provider, name, " ".join(versions) or "-", what))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return DONE, "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _described(event: RecordedEvent) -> dict[str, Any]:
    return {
        "provider": event.scheme.name,
        "event": event.name,
        "frappe": event.version,
        "description": event.description,
        "source": event.source,
        "method": event.method,
        "bytes": len(event.body),
    }


def _as_text(options: argparse.Namespace, attempts: Sequence[Attempt], status: int) -> str:
    """Return what was sent and came back. The headers of an event are shown once."""
    lines: list[str] = []
    shown: list[Event] = []
    for event, answer in [(each.event, each.answer) for each in attempts]:
        request = event.request
        where = escaped_url(options.target)
        lines.append(f"sent: {request.method} {where} ({event.name}, {len(request.body)} bytes)")
        if event not in shown:
            lines += [f"{name}: {value}" for name, value in event.shown.items()]
            shown.append(event)
        code = answer.status or "nothing"
        lines.append(f"received: {code} {answer.reason}".rstrip())
        lines += [answer.message] * bool(answer.message)
    verdict = _verdict(options, attempts, status)
    hint = _hint(options, attempts, status)
    return "\n".join([*lines, *[hint] * bool(hint), f"expected: {_expected(options)}", verdict])


def _as_json(options: argparse.Namespace, attempts: Sequence[Attempt], status: int) -> str:
    import json

    sent = [
        {
            "event": event.name,
            "method": event.request.method,
            "headers": event.shown,
            "bytes": len(event.request.body),
            "status": answer.status,
            "reason": answer.reason or None,
            "message": answer.message or None,
        }
        for event, answer in [(each.event, each.answer) for each in attempts]
    ]
    answer = {
        "right": status == DONE,
        "verdict": _verdict(options, attempts, status),
        "expected": _expected(options),
        "hint": _hint(options, attempts, status) or None,
        "attempts": sent,
    }
    return json.dumps(answer)


def _hint(options: argparse.Namespace, attempts: Sequence[Attempt], status: int) -> str:
    """Return what to do if the handler does not like a recorded event, else an empty text."""
    is_recorded = options.body is None
    if status == REFUSED and is_recorded and any(each.answer.is_of_handler for each in attempts):
        return "the handler may expect other content: send what it expects with --body FILE"
    return ""


def _expected(options: argparse.Namespace) -> str:
    scenario: Scenario = options.scenario
    if options.scheme == FRAPPE or not scenario.expected_of_others:
        return scenario.expected
    return scenario.expected_of_others.format(sender=options.scheme.title)


def _verdict(options: argparse.Namespace, attempts: Sequence[Attempt], status: int) -> str:
    scenario: Scenario = options.scenario
    words = {REFUSED: "wrong", UNREACHABLE: "no response"}
    return words.get(status) or scenario.verdict(attempts)


def _scenario(name: str) -> Scenario:
    if name not in SCENARIOS:
        msg = f"--scenario must be one of {', '.join(SCENARIOS)}"
        raise WrongUse(msg)
    return SCENARIOS[name]
