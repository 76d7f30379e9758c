"""Bringing the tables to the newest version: the service's own with Alembic, then the outbox's."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine

from frappe_hooksig.outbox import Outbox

FOLDER = Path(__file__).with_name("migrations")


def migrate(engine: Engine, outbox: Outbox) -> None:
    """Create the tables, or bring them to the newest version. It is safe to repeat."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    outbox.migrate()
