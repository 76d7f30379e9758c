"""Bringing the tables to the newest version: the service's own with Alembic, then the outbox's."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from delivery_service.moves import check_not_moved
from frappe_hooksig import ConfigurationError
from frappe_hooksig.outbox import Outbox

FOLDER = Path(__file__).with_name("migrations")


def migrate(engine: Engine, outbox: Outbox) -> None:
    """Create the tables, or bring them to the newest version. It is safe to repeat."""
    config = _config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    outbox.migrate()


def check_tables(engine: Engine, outbox: Outbox, *, although_moved: bool = False) -> bool:
    """Return whether the tables are those of this installation, and not of a copy.

    Args:
        engine: Connects to the database.
        outbox: The outbox in it.
        although_moved: Whether a database that was moved to another one will do.

    Raises:
        ConfigurationError: There is no such file, or the tables are missing or of another version.
        Moved: The database was moved to another one.
    """
    _check_file(engine)
    with engine.connect() as connection:
        version = MigrationContext.configure(connection).get_current_revision()
        if version != _newest():
            have = "has no tables" if version is None else f"has tables of version {version}"
            msg = f"the database {have} of the service: run `delivery-service migrate`"
            raise ConfigurationError(msg)
        if not although_moved:
            check_not_moved(connection)
    try:
        return outbox.is_confirmed()
    except ConfigurationError as error:
        msg = f"{error}; `delivery-service migrate` does it"
        raise ConfigurationError(msg) from None


def _check_file(engine: Engine) -> None:
    """Refuse a file of SQLite that does not exist: a connection would create an empty one."""
    path = engine.url.database
    is_file = engine.dialect.name == "sqlite" and path and not path.startswith("file:")
    if is_file and not Path(str(path)).exists():
        msg = (
            "the database is a file that does not exist: correct its path, or create it with "
            "`delivery-service migrate`"
        )
        raise ConfigurationError(msg)


@cache
def _newest() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    return config
