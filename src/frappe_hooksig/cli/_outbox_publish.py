"""`frappe-hooksig outbox publish`: publish an event."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, NoReturn

from frappe_hooksig.cli._input import opened as opened_file
from frappe_hooksig.cli._input import read
from frappe_hooksig.cli._options import add_json
from frappe_hooksig.cli._outbox_place import Refused, add_place, opened
from frappe_hooksig.cli._outcome import DONE, WrongUse
from frappe_hooksig.exceptions import IdempotencyConflict

if TYPE_CHECKING:
    from frappe_hooksig._payload import Payload
    from frappe_hooksig.outbox import Outbox
    from frappe_hooksig.outbox._database import Database


def add_publish(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `publish`."""
    parser.description = (
        "Publish an event, in a transaction of its own, and print the id of the message. An app\n"
        "publishes in the transaction that causes the event."
    )
    parser.add_argument("type", metavar="TYPE", help="what has happened, such as invoice.paid")
    parser.add_argument(
        "file", metavar="FILE", help="file with the payload, which is JSON; - for standard input"
    )
    parser.add_argument(
        "--raw",
        action="store_true",
        help="send the bytes of the file as they are, without Content-Type; else the JSON is read "
        "and written anew",
    )
    parser.add_argument(
        "--key", help="messages with the same key arrive in their order, where that is asked for"
    )
    parser.add_argument(
        "--idempotency-key",
        metavar="KEY",
        help="if an event was published with this key before, publish nothing",
    )
    parser.add_argument("--tenant", metavar="NAME", default="", help="whose event it is")
    add_json(parser)
    add_place(parser)
    parser.set_defaults(act=_publish)


def _publish(options: argparse.Namespace) -> tuple[int, str]:
    with opened_file(options.file, "FILE") as file:
        content = read(file, "FILE")
    payload = content if options.raw else _parsed(content)
    with opened(options) as outbox:
        try:
            message = _published(outbox, options, payload)
        except IdempotencyConflict:
            msg = "--idempotency-key was used before, with another payload or event type"
            raise Refused(msg) from None
    if not options.json:
        return DONE, message
    import json

    return DONE, json.dumps({"message": message})


def _published(outbox: Outbox, options: argparse.Namespace, payload: Payload) -> str:
    """Publish on a connection of the outbox itself, whatever its database is."""
    from frappe_hooksig.outbox._publishing import publish

    own: Any = outbox
    database: Database = own._database  # noqa: SLF001
    max_payload: int = own._max_payload  # noqa: SLF001
    message = database.run(
        lambda connection: publish(
            connection,
            options.type,
            payload,
            key=options.key,
            idempotency_key=options.idempotency_key,
            tenant=options.tenant,
            max_payload=max_payload,
        )
    )
    outbox.ring()
    return message


def _parsed(content: bytes) -> Payload:
    import json

    def refuse(_constant: str) -> NoReturn:
        raise ValueError

    try:
        payload: Any = json.loads(content, parse_constant=refuse)
    except (ValueError, RecursionError):
        msg = "FILE is not JSON: to send its bytes as they are, use --raw"
        raise WrongUse(msg) from None
    return payload if not isinstance(payload, str) else content
