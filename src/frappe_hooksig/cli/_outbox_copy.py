"""`frappe-hooksig outbox copy`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from frappe_hooksig.cli._options import add_json
from frappe_hooksig.cli._outbox_place import PLACE, in_options, is_path, named_place, problem_of
from frappe_hooksig.cli._outcome import DONE, WrongUse
from frappe_hooksig.cli._output import complain
from frappe_hooksig.cli._progress import progress
from frappe_hooksig.exceptions import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

#: The environment variable with the path or the URL of the target.
_TARGET: Final = "HOOKSIG_OUTBOX_TO"


def add_copy(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `copy`."""
    parser.description = (
        "Copy an outbox to an empty one in another database, of the same kind or another one. It\n"
        "needs SQLAlchemy. Stop the workers and the app before, and never start a worker on the\n"
        "old database again: it would send what the new one sends, too."
    )
    group = parser.add_argument_group(
        "which databases",
        f"Put a URL with a password into the environment variable {PLACE}, or {_TARGET}.",
    )
    group.add_argument(
        "--database", metavar="PATH_OR_URL", help=f"where the outbox is (default: {PLACE})"
    )
    group.add_argument(
        "--to",
        metavar="PATH_OR_URL",
        help=f"where it is copied to (default: {_TARGET}); tables that are not there are created",
    )
    group.add_argument(
        "--installation",
        metavar="NAME",
        help="the name of the new installation, if its workers have one",
    )
    add_json(parser)
    parser.set_defaults(act=_copy)


def _copy(options: argparse.Namespace) -> tuple[int, str]:
    try:
        from frappe_hooksig.integrations.sqlalchemy import SQLAlchemyDatabase, copy_outbox
    except ModuleNotFoundError as error:
        raise WrongUse(str(error)) from None
    source = _place("--database", options.database, PLACE, creates=False)
    target = _place("--to", options.to, _TARGET, creates=True)
    try:
        with progress("rows") as show:
            counts = copy_outbox(source, target, installation=options.installation, progress=show)
    except ConfigurationError as error:
        message = in_options(str(error)).replace("--source", "--database")
        raise WrongUse(message.replace("--target", "--to")) from None
    except ModuleNotFoundError as error:
        msg = f"the driver of a database is not installed: {error.name}"
        raise WrongUse(msg) from None
    except SQLAlchemyDatabase.errors as error:
        raise WrongUse(problem_of(error)) from None
    complain("note: never start a worker on the old database again")
    if options.json:
        import json

        return DONE, json.dumps(counts)
    return DONE, "\n".join(f"{name}: {count}" for name, count in counts.items())


def _place(option: str, given: str | None, variable: str, *, creates: bool) -> str | Path:
    from pathlib import Path

    found = named_place(option, given, variable)
    if found is None:
        msg = f"{option} or {variable} must name a database, by its path or its URL"
        raise WrongUse(msg)
    return Path(found[1]) if is_path(*found, creates=creates) else found[1]
