"""`frappe-hooksig outbox again` and `as-new`: send deliveries once more."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from frappe_hooksig.cli._options import add_json
from frappe_hooksig.cli._outbox_chosen import add_chosen, chosen, delivery_id
from frappe_hooksig.cli._outbox_place import add_place, opened
from frappe_hooksig.cli._outcome import DONE, REFUSED, WrongUse
from frappe_hooksig.cli._progress import progress

if TYPE_CHECKING:
    from frappe_hooksig.outbox import Outbox

_STATES: Final = ("dead", "delivered", "cancelled")
_PAGE: Final = 1000


def add_again(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `again`."""
    parser.description = (
        "Send deliveries that have ended once more, with the same id. A receiver that has had one\n"
        "recognises it by its id, and does nothing: see as-new."
    )
    _add(parser)
    parser.set_defaults(act=partial(_send, "send_again", "sent again"))


def add_as_new(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `as-new`."""
    parser.description = (
        "Send deliveries that have ended once more, with a new id. A receiver takes each for\n"
        "another event, and handles it again."
    )
    _add(parser)
    parser.set_defaults(act=partial(_send, "send_as_new", "sent as new"))


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--delivery",
        metavar="N",
        type=partial(delivery_id, "--delivery"),
        help="only this one",
    )
    add_chosen(parser, _STATES, "dead; of --delivery and --message: all")
    parser.add_argument(
        "--dry-run", action="store_true", help="change nothing, and say how many would be sent"
    )
    add_json(parser)
    add_place(parser)


def _send(method: str, words: str, options: argparse.Namespace) -> tuple[int, str]:
    which = chosen(options)
    if options.delivery is not None:
        which["delivery"] = options.delivery
    if not which.keys() - {"states"}:
        msg = "say which: --delivery, --message, --endpoint, --since or --until"
        raise WrongUse(msg)
    is_named = "delivery" in which or "message" in which
    if is_named and "states" in which:
        msg = "--state has no use with --delivery and --message"
        raise WrongUse(msg)
    with opened(options) as outbox, progress("deliveries") as show:
        if options.dry_run:
            which["states"] = which.get("states", _STATES if is_named else ("dead",))
            count = _count(outbox, which, show)
        else:
            count = getattr(outbox, method)(**which, progress=show)
    status = DONE if count else REFUSED
    if not options.json:
        return status, f"{'would be ' * options.dry_run}{words}: {count}"
    import json

    return status, json.dumps({"deliveries": count, "dry_run": options.dry_run})


def _count(outbox: Outbox, which: dict[str, Any], show: Callable[[int], object]) -> int:
    """Return how many deliveries are meant: those whose endpoints still exist."""
    delivery: int | None = which.pop("delivery", None)
    before = None if delivery is None else delivery + 1
    endpoints = {each.id for each in outbox.endpoints()}
    count = 0
    while True:
        page = outbox.deliveries(**which, before=before, limit=_PAGE if delivery is None else 1)
        meant = [each.id for each in page if each.endpoint_id in endpoints]
        count += len(meant) if delivery is None else meant.count(delivery)
        show(count)
        if not page or delivery is not None:
            return count
        before = page[-1].id
