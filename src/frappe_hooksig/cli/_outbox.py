"""`frappe-hooksig outbox`: look at an outbox, change it, and send what it has once more."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Final

from frappe_hooksig.cli._outbox_again import add_again, add_as_new
from frappe_hooksig.cli._outbox_copy import add_copy
from frappe_hooksig.cli._outbox_endpoints import add_endpoints, add_pause, add_resume
from frappe_hooksig.cli._outbox_history import add_list, add_show
from frappe_hooksig.cli._outbox_place import Refused
from frappe_hooksig.cli._outbox_publish import add_publish
from frappe_hooksig.cli._outbox_tables import add_confirm, add_init, add_migrate, add_numbers
from frappe_hooksig.cli._outcome import REFUSED
from frappe_hooksig.cli._output import complain

#: Each action with its line in the help, and the function that adds its arguments. Among these is
#: `act`, the function that does it and returns the exit status and the output.
ACTIONS: Final[Mapping[str, tuple[str, Callable[[argparse.ArgumentParser], None]]]] = {
    "init": ("create the tables, and the file of SQLite", add_init),
    "migrate": ("bring the tables of an older release to the newest version", add_migrate),
    "endpoints": ("list, add, change, test and delete endpoints", add_endpoints),
    "publish": ("publish an event", add_publish),
    "list": ("list deliveries", add_list),
    "show": ("show a delivery with its attempts, a message or an endpoint", add_show),
    "again": ("send deliveries once more, with the same id", add_again),
    "as-new": ("send deliveries once more, with a new id", add_as_new),
    "pause": ("send an endpoint nothing more for now", add_pause),
    "resume": ("send to an endpoint again", add_resume),
    "copy": ("copy it to another database", add_copy),
    "confirm": ("let this installation send what the tables have", add_confirm),
    "numbers": ("show what is due, and how each endpoint does", add_numbers),
}

_EXAMPLES = """\
exit status: 0 done, 1 refused or nothing found, 2 wrong use

examples:
  frappe-hooksig outbox init --database outbox.db
  frappe-hooksig outbox endpoints add https://example.com/webhook --secret-from env:SECRET
  frappe-hooksig outbox publish invoice.paid invoice.json
  frappe-hooksig outbox list --state dead --since 2h
  frappe-hooksig outbox again --endpoint ep_... --since 1d
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its arguments."""
    parser.description = (
        "Look at an outbox, change it, and send what it has once more. `frappe-hooksig worker`\n"
        "sends what is due."
    )
    parser.epilog = _EXAMPLES
    actions = parser.add_subparsers(
        title="actions", metavar="ACTION", required=True, prog=parser.prog
    )
    for name, (description, add) in ACTIONS.items():
        action = actions.add_parser(name, help=description)
        action.description = f"{description[0].upper()}{description[1:]}."
        add(action)


def run(options: argparse.Namespace) -> tuple[int, str]:
    """Do what was asked for; return the exit status and the output."""
    try:
        status: int
        output: str
        status, output = options.act(options)
    except Refused as error:
        complain(str(error))
        return REFUSED, ""
    return status, output
