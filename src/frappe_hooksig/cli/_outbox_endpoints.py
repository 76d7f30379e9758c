"""`frappe-hooksig outbox endpoints`, `pause` and `resume`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from frappe_hooksig.cli._options import add_json, schedule_named, scheme_named
from frappe_hooksig.cli._outbox_chosen import endpoint_id
from frappe_hooksig.cli._outbox_place import Refused, add_place, opened
from frappe_hooksig.cli._outcome import DONE, WrongUse
from frappe_hooksig.exceptions import EndpointNotActive, UnknownRecord

if TYPE_CHECKING:
    from frappe_hooksig.outbox import Endpoint, Outbox

_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(.+)", re.DOTALL)

# What an endpoint is made of, besides its URL and its tenant: the names of the arguments of
# `Outbox`, and of the options' values.
_PARTS: Final = (
    *("secret_from", "event_types", "scheme", "method", "format", "order", "hold", "concurrency"),
    *("rate", "schedule", "headers_from"),
)

_EXAMPLES = """\
examples:
  frappe-hooksig outbox endpoints
  frappe-hooksig outbox endpoints add https://example.com/webhook --secret-from env:SECRET
  frappe-hooksig outbox endpoints change ep_... --secret-from env:NEW --secret-from env:OLD
  frappe-hooksig outbox endpoints test ep_...
  frappe-hooksig outbox endpoints delete ep_...
"""


def add_endpoints(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `endpoints`, and its own actions."""
    parser.description = (
        "List, add, change, test and delete endpoints. Without an action, list them."
    )
    parser.epilog = _EXAMPLES
    _add_tenant(parser, "list only those of a tenant", default=None)
    add_json(parser)
    add_place(parser)
    parser.set_defaults(act=_list)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", prog=parser.prog)
    for name, description, add in (
        ("add", "add an endpoint, and print its id", _add_add),
        ("change", "change an endpoint; what is not named stays as it is", _add_change),
        ("test", "send a test to an endpoint, and print the number of its delivery", _add_test),
        ("delete", "delete an endpoint, and cancel what is on its way to it", _add_delete),
    ):
        action = actions.add_parser(name, help=description)
        action.description = f"{description[0].upper()}{description[1:]}."
        add(action)
        add_json(action, is_nested=True)
        add_place(action, is_nested=True)


def add_pause(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pause`."""
    _add_id(parser)
    parser.add_argument(
        "--reason", metavar="TEXT", default="", help="why, for those who look at it later"
    )
    add_json(parser)
    add_place(parser)
    parser.set_defaults(act=_pause)


def add_resume(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `resume`."""
    _add_id(parser)
    add_json(parser)
    add_place(parser)
    parser.set_defaults(act=_resume)


def _add_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "endpoint", metavar="ID", type=partial(endpoint_id, "ID"), help="the id of the endpoint"
    )


def _add_tenant(parser: argparse.ArgumentParser, what: str, default: str | None) -> None:
    parser.add_argument("--tenant", metavar="NAME", default=default, help=what)


def _add_add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", help="where the receiver is")
    _add_tenant(parser, "whose endpoint it is", default="")
    _add_parts(parser)
    parser.set_defaults(act=_add)


def _add_change(parser: argparse.ArgumentParser) -> None:
    _add_id(parser)
    parser.add_argument("--url", default=argparse.SUPPRESS, help="where the receiver is now")
    _add_parts(parser)
    parser.set_defaults(act=_change)


def _add_delete(parser: argparse.ArgumentParser) -> None:
    _add_id(parser)
    parser.set_defaults(act=_delete)


def _add_test(parser: argparse.ArgumentParser) -> None:
    _add_id(parser)
    parser.set_defaults(act=_test)


def _add_parts(parser: argparse.ArgumentParser) -> None:
    """Add the options of what an endpoint is made of. What is not given is not in the options."""
    add = partial(parser.add_argument, default=argparse.SUPPRESS)
    add(
        "--secret-from",
        metavar="PLACE",
        action="append",
        help="where the workers find the secret: env:NAME or file:/path, or what the app knows; "
        "several during a rotation, the newest first",
    )
    add(
        "--event-type",
        metavar="TYPE",
        dest="event_types",
        action="append",
        help="an event type that it gets, or invoice.* for all that begin so; several times for "
        "several (default of add: all)",
    )
    add(
        "--scheme",
        metavar="NAME",
        type=partial(scheme_named, "--scheme"),
        help="how to sign: see frappe-hooksig providers (default of add: standard-webhooks)",
    )
    add("--method", help="POST or PUT (default of add: POST)")
    add(
        "--format",
        metavar="NAME",
        type=_format,
        help="a format of the app, so it needs --app; or none, to send payloads as they are",
    )
    add(
        "--header-from",
        metavar="NAME=PLACE",
        dest="headers_from",
        action="append",
        type=_header,
        help="a header to send besides, and where its value is: Authorization=env:TOKEN; several "
        "times for several",
    )
    add("--order", help="key, so that messages with the same key arrive in their order; or none")
    add(
        "--hold",
        metavar="SECONDS",
        type=float,
        help="how long a message that fails holds back those after it (default of add: an hour)",
    )
    add("--concurrency", metavar="N", type=int, help="how many attempts run at once")
    add("--rate", metavar="N", type=_rate, help="how many attempts begin in a second; or none")
    add(
        "--retry",
        metavar="SCHEDULE",
        dest="schedule",
        type=partial(schedule_named, "--retry"),
        help="when to try again: QUICK, FRAPPE or STANDARD_WEBHOOKS (default of add)",
    )


def _header(text: str) -> tuple[str, str]:
    found = _HEADER.fullmatch(text)
    if found is None:
        msg = "--header-from must have the form NAME=PLACE, such as Authorization=env:TOKEN"
        raise WrongUse(msg)
    return found[1], found[2]


def _format(text: str) -> str | None:
    return None if text == "none" else text


def _rate(text: str) -> float | None:
    try:
        return None if text == "none" else float(text)
    except ValueError:
        msg = "--rate must be a number, or none"
        raise WrongUse(msg) from None


def _parts(options: argparse.Namespace, *further: str) -> dict[str, Any]:
    """Return what was given, as arguments of `Outbox`."""
    given = {name: getattr(options, name) for name in (*further, *_PARTS) if hasattr(options, name)}
    pairs: list[tuple[str, str]] | None = given.get("headers_from")
    if pairs is not None:
        given["headers_from"] = dict(pairs)
        if len({name.lower() for name, _ in pairs}) < len(pairs):
            msg = "--header-from: a header is given twice"
            raise WrongUse(msg)
    return given


def _list(options: argparse.Namespace) -> tuple[int, str]:
    with opened(options) as outbox:
        endpoints = outbox.endpoints(tenant=options.tenant)
    from frappe_hooksig._escaping import escaped, escaped_url
    from frappe_hooksig.cli._outbox_shown import described, table

    if options.json:
        import json

        return DONE, json.dumps([described(each) for each in endpoints])
    if not endpoints:
        return DONE, "no endpoints"
    heads = ("ENDPOINT", "STATE", "WHY", "EVENT TYPES", "SCHEME", "FORMAT", "URL")
    rows: list[Sequence[object]] = [heads]
    rows += [
        (
            each.id,
            each.state,
            escaped(each.reason, 30),
            escaped(" ".join(each.event_types), 40),
            escaped(each.scheme, 30),
            escaped(each.format or "", 30),
            escaped(escaped_url(each.url), 60),
        )
        for each in endpoints
    ]
    return DONE, table(rows)


def _add(options: argparse.Namespace) -> tuple[int, str]:
    parts = _parts(options)
    if "secret_from" not in parts:
        msg = "--secret-from is missing: where do the workers find the secret? (env:NAME)"
        raise WrongUse(msg)
    with opened(options) as outbox:
        endpoint = outbox.add_endpoint(options.url, tenant=options.tenant or "", **parts)
    return DONE, _shown(options, endpoint, endpoint.id)


def _change(options: argparse.Namespace) -> tuple[int, str]:
    parts = _parts(options, "url")
    if not parts:
        msg = "say what to change: see frappe-hooksig outbox endpoints change --help"
        raise WrongUse(msg)
    with opened(options) as outbox:
        _existing(outbox, options.endpoint)
        endpoint = outbox.change_endpoint(options.endpoint, **parts)
    return DONE, _shown(options, endpoint, f"changed: {endpoint.id}")


def _shown(options: argparse.Namespace, endpoint: Endpoint, said: str) -> str:
    if not options.json:
        return said
    import json

    from frappe_hooksig.cli._outbox_shown import described

    return json.dumps(described(endpoint))


def _delete(options: argparse.Namespace) -> tuple[int, str]:
    with opened(options) as outbox:
        _existing(outbox, options.endpoint)
        outbox.delete_endpoint(options.endpoint)
    return DONE, _said(options, "deleted", is_changed=True)


def _test(options: argparse.Namespace) -> tuple[int, str]:
    with opened(options) as outbox:
        _existing(outbox, options.endpoint)
        try:
            delivery = outbox.send_test(options.endpoint)
        except EndpointNotActive as error:
            msg = f"the endpoint is {error.state}: resume it first"
            raise Refused(msg) from None
    if not options.json:
        return DONE, f"delivery {delivery}: see frappe-hooksig outbox show {delivery}"
    import json

    return DONE, json.dumps({"endpoint": options.endpoint, "delivery": delivery})


def _pause(options: argparse.Namespace) -> tuple[int, str]:
    with opened(options) as outbox:
        _existing(outbox, options.endpoint)
        is_changed = outbox.pause(options.endpoint, options.reason)
    return DONE, _said(options, "paused" if is_changed else "was not active", is_changed=is_changed)


def _resume(options: argparse.Namespace) -> tuple[int, str]:
    with opened(options) as outbox:
        _existing(outbox, options.endpoint)
        is_changed = outbox.resume(options.endpoint)
    return DONE, _said(options, "resumed" if is_changed else "was active", is_changed=is_changed)


def _said(options: argparse.Namespace, said: str, *, is_changed: bool) -> str:
    if not options.json:
        return f"{said}: {options.endpoint}"
    import json

    return json.dumps({"endpoint": options.endpoint, "changed": is_changed})


def _existing(outbox: Outbox, endpoint: str) -> None:
    """Refuse the id of an endpoint that there is not.

    Raises:
        Refused: There is none.
    """
    try:
        outbox.endpoint(endpoint)
    except UnknownRecord:
        msg = "there is no endpoint with this id"
        raise Refused(msg) from None
