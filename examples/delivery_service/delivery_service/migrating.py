"""Bringing the tables to the newest version: the service's own with Alembic, then the outbox's."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

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


def check_tables(engine: Engine, outbox: Outbox) -> bool:
    """Return whether the tables are those of this installation, and not of a copy.

    Raises:
        ConfigurationError: They are missing, or of another version.
    """
    with engine.connect() as connection:
        version = MigrationContext.configure(connection).get_current_revision()
    if version != _newest():
        have = "has no tables" if version is None else f"has tables of version {version}"
        msg = f"the database {have} of the service: run `delivery-service migrate`"
        raise ConfigurationError(msg)
    try:
        return outbox.is_confirmed()
    except ConfigurationError as error:
        msg = f"{error}; `delivery-service migrate` does it"
        raise ConfigurationError(msg) from None


@cache
def _newest() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    return config
