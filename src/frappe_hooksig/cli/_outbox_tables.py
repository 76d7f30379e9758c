"""`frappe-hooksig outbox init`, `migrate`, `confirm` and `numbers`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from frappe_hooksig.cli._options import add_json
from frappe_hooksig.cli._outbox_place import add_place, opened
from frappe_hooksig.cli._outcome import DONE


def add_init(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `init`."""
    _add(parser)
    parser.set_defaults(act=_init)


def add_migrate(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `migrate`."""
    _add(parser)
    parser.set_defaults(act=_migrate)


def add_confirm(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `confirm`."""
    parser.description = (
        "Let this installation send what the tables have. Do it after a move. In a copy, such as\n"
        "a restored backup beside the original, it sends what the original sends, too."
    )
    _add(parser)
    parser.set_defaults(act=_confirm)


def add_numbers(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `numbers`."""
    parser.description = (
        "Show what is due, and how each endpoint does: its deliveries now, and its attempts in\n"
        "the last hour."
    )
    _add(parser)
    parser.set_defaults(act=_numbers)


def _add(parser: argparse.ArgumentParser) -> None:
    add_json(parser)
    add_place(parser)


def _init(options: argparse.Namespace) -> tuple[int, str]:
    with opened(options, creates=True, is_ready=False) as outbox:
        steps = outbox.migrate()
    said = "created the tables" if steps else "the tables are there already"
    return DONE, _shown(options, said, {"steps": steps})


def _migrate(options: argparse.Namespace) -> tuple[int, str]:
    with opened(options, is_ready=False) as outbox:
        steps = outbox.migrate()
    said = f"changed the tables, in steps: {steps}" if steps else "the tables are of this release"
    return DONE, _shown(options, said, {"steps": steps})


def _confirm(options: argparse.Namespace) -> tuple[int, str]:
    with opened(options) as outbox:
        was_confirmed = outbox.is_confirmed()
        if not was_confirmed:
            outbox.confirm()
    said = "confirmed: this installation sends what the tables have"
    if was_confirmed:
        said = "the tables belong to this installation already"
    return DONE, _shown(options, said, {"changed": not was_confirmed})


def _shown(options: argparse.Namespace, said: str, values: dict[str, Any]) -> str:
    if not options.json:
        return said
    import json

    return json.dumps(values)


def _numbers(options: argparse.Namespace) -> tuple[int, str]:
    with opened(options) as outbox:
        numbers = outbox.numbers()
        states = {each.id: each.state for each in outbox.endpoints()}
        is_confirmed = outbox.is_confirmed()
    from frappe_hooksig.cli._outbox_shown import described, duration_of, lines, table

    if options.json:
        import json

        values: dict[str, Any] = {
            "confirmed": is_confirmed,
            "unrouted": numbers.unrouted,
            "due": numbers.due,
            "oldest_due": numbers.oldest_due,
            "endpoints": [
                {**described(each), "state": states.get(each.endpoint_id)}
                for each in numbers.endpoints
            ],
        }
        return DONE, json.dumps(values)
    shown = lines(
        [
            ("due", numbers.due),
            ("oldest due", duration_of(numbers.oldest_due) if numbers.due else "-"),
            ("not routed yet", numbers.unrouted),
            ("confirmed", "yes" if is_confirmed else "no: nothing is sent, see outbox confirm"),
        ]
    )
    heads = ("ENDPOINT", "STATE", "DUE", "OLDEST", "LATER", "DEAD", "ATTEMPTS", "DELIVERED")
    rows: list[Sequence[object]] = [(*heads, "MEAN", "LONGEST")]
    rows += [
        (
            each.endpoint_id,
            states.get(each.endpoint_id, "-"),
            each.due,
            duration_of(each.oldest_due) if each.due else "-",
            each.scheduled,
            each.dead,
            each.attempts,
            each.delivered,
            duration_of(each.mean_seconds),
            duration_of(each.longest_seconds),
        )
        for each in numbers.endpoints
    ]
    return DONE, "\n".join([*shown, *[table(rows)] * bool(numbers.endpoints)])
