"""The tables of an outbox, by version."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.outbox._database import Connection


@dataclass(frozen=True, slots=True)
class _Column:
    """A column that a version adds to a table.

    Attributes:
        table: The table.
        name: The name of the column.
        kind: Its type. It may be null or has a default, because there may be rows.
    """

    table: str
    name: str
    kind: str

    def add(self, connection: Connection) -> None:
        """Add it, unless it is there already. SQLite has no `IF NOT EXISTS` for a column.

        In MariaDB, another process may add it at the same moment.
        """
        if not connection.rows("{has_column}", {"table": self.table, "column": self.name}):
            column = f"{{unless_there}} {self.name} {self.kind}"
            connection.change(f"ALTER TABLE {self.table} ADD COLUMN {column}")


# Each entry brings the tables from the version before it to the next one. Nothing is ever changed
# in an entry that was released.
#
# States of a delivery: 0 waits in its lane, 1 is to be sent, 2 is claimed, 3 was delivered, 4 is a
# dead letter, 5 was cancelled. See _states.py.
_VERSIONS: Final[tuple[tuple[str | _Column, ...], ...]] = (
    (
        """\
CREATE TABLE IF NOT EXISTS hooksig_endpoints (
    id VARCHAR(40) NOT NULL PRIMARY KEY,
    tenant VARCHAR(64) NOT NULL,
    url {text} NOT NULL,
    method VARCHAR(10) NOT NULL,
    scheme VARCHAR(64) NOT NULL,
    secrets {text} NOT NULL,
    headers {text} NOT NULL,
    event_types {text} NOT NULL,
    is_ordered INTEGER NOT NULL,
    hold_ms BIGINT NOT NULL,
    concurrency INTEGER NOT NULL,
    rate DOUBLE PRECISION,
    schedule {text} NOT NULL,
    state VARCHAR(10) NOT NULL,
    reason VARCHAR(64) NOT NULL,
    message {text} NOT NULL,
    created_at BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    stopped_at BIGINT,
    failing_since BIGINT,
    failures INTEGER NOT NULL,
    open_until BIGINT NOT NULL,
    ramp INTEGER NOT NULL,
    rate_at BIGINT NOT NULL
) {options}""",
        """\
CREATE TABLE IF NOT EXISTS hooksig_messages (
    seq {number},
    id VARCHAR(255) NOT NULL,
    tenant VARCHAR(64) NOT NULL,
    event_type VARCHAR(128) NOT NULL,
    lane VARCHAR(255),
    idempotency_key VARCHAR(255),
    payload {bytes} NOT NULL,
    payload_hash VARCHAR(64) NOT NULL,
    is_json INTEGER NOT NULL,
    size INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    is_routed INTEGER NOT NULL
) {options}""",
        "CREATE UNIQUE INDEX IF NOT EXISTS hooksig_messages_id ON hooksig_messages (id)",
        """\
CREATE UNIQUE INDEX IF NOT EXISTS hooksig_messages_once
ON hooksig_messages (tenant, idempotency_key) {where_keyed}""",
        """\
CREATE INDEX IF NOT EXISTS hooksig_messages_unrouted
ON hooksig_messages (is_routed, seq) {where_unrouted}""",
        """\
CREATE TABLE IF NOT EXISTS hooksig_lanes (
    endpoint VARCHAR(40) NOT NULL,
    lane VARCHAR(255) NOT NULL,
    pending INTEGER NOT NULL,
    last_number BIGINT NOT NULL,
    PRIMARY KEY (endpoint, lane)
) {options}""",
        """\
CREATE TABLE IF NOT EXISTS hooksig_deliveries (
    id {number},
    message BIGINT NOT NULL,
    endpoint VARCHAR(40) NOT NULL,
    sent_as VARCHAR(255) NOT NULL,
    state INTEGER NOT NULL,
    due_at BIGINT NOT NULL,
    set_at BIGINT NOT NULL,
    size INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    process VARCHAR(40),
    lane VARCHAR(255),
    number BIGINT NOT NULL,
    hold_until BIGINT,
    is_set_aside INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at BIGINT,
    status INTEGER,
    reason VARCHAR(64) NOT NULL,
    problem {text} NOT NULL
) {options}""",
        """\
CREATE INDEX IF NOT EXISTS hooksig_deliveries_due
ON hooksig_deliveries (endpoint, state, due_at) {where_open}""",
        """\
CREATE INDEX IF NOT EXISTS hooksig_deliveries_lane
ON hooksig_deliveries (endpoint, lane, number) {where_in_lane}""",
        "CREATE INDEX IF NOT EXISTS hooksig_deliveries_message ON hooksig_deliveries (message)",
        """\
CREATE TABLE IF NOT EXISTS hooksig_attempts (
    delivery BIGINT NOT NULL,
    number INTEGER NOT NULL,
    endpoint VARCHAR(40) NOT NULL,
    started_at BIGINT NOT NULL,
    took_ms INTEGER NOT NULL,
    outcome VARCHAR(16) NOT NULL,
    status INTEGER,
    reason VARCHAR(64) NOT NULL,
    problem {text} NOT NULL,
    answer {bytes} NOT NULL,
    address VARCHAR(64),
    PRIMARY KEY (delivery, number)
) {clustered}{options}""",
        "CREATE INDEX IF NOT EXISTS hooksig_attempts_started ON hooksig_attempts (started_at)",
        """\
CREATE TABLE IF NOT EXISTS hooksig_processes (
    id VARCHAR(40) NOT NULL PRIMARY KEY,
    name VARCHAR(128) NOT NULL,
    started_at BIGINT NOT NULL,
    beat_at BIGINT NOT NULL
) {options}""",
    ),
    # Formats; and lists that read only what they show: of one tenant or endpoint, or by an id that
    # was sent as new.
    (
        _Column("hooksig_endpoints", "format", "VARCHAR(64)"),
        _Column("hooksig_deliveries", "tenant", "VARCHAR(64) NOT NULL DEFAULT ''"),
        _Column("hooksig_deliveries", "new_id", "VARCHAR(255)"),
        """\
UPDATE hooksig_deliveries
SET tenant = COALESCE(
        (SELECT m.tenant FROM hooksig_messages m WHERE m.seq = hooksig_deliveries.message), ''
    ),
    new_id = (
        SELECT CASE WHEN m.id = hooksig_deliveries.sent_as THEN NULL
            ELSE hooksig_deliveries.sent_as END
        FROM hooksig_messages m WHERE m.seq = hooksig_deliveries.message
    )""",
        """\
CREATE INDEX IF NOT EXISTS hooksig_endpoints_tenant
ON hooksig_endpoints (tenant, created_at, id)""",
        # The time and the event type are for filters, so that no payload is read for them.
        """\
CREATE INDEX IF NOT EXISTS hooksig_messages_tenant
ON hooksig_messages (tenant, seq, created_at, event_type)""",
        """\
CREATE INDEX IF NOT EXISTS hooksig_deliveries_tenant
ON hooksig_deliveries (tenant, id) {where_owned}""",
        """\
CREATE INDEX IF NOT EXISTS hooksig_deliveries_endpoint ON hooksig_deliveries (endpoint, id)""",
        """\
CREATE INDEX IF NOT EXISTS hooksig_deliveries_new ON hooksig_deliveries (new_id) {where_new}""",
        """\
CREATE INDEX IF NOT EXISTS hooksig_attempts_endpoint
ON hooksig_attempts (endpoint, started_at, outcome, took_ms)""",
        "DROP INDEX IF EXISTS hooksig_attempts_started {on_attempts}",
    ),
)

#: The version of the tables that this release works with.
NEWEST: Final = len(_VERSIONS)

_INSTALLATION = """\
CREATE TABLE IF NOT EXISTS hooksig_installation (
    id INTEGER NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    fingerprint {text} NOT NULL,
    rung_at BIGINT NOT NULL
) {options}"""


_TABLES: Final = (
    *("hooksig_attempts", "hooksig_deliveries", "hooksig_lanes", "hooksig_messages"),
    *("hooksig_endpoints", "hooksig_processes", "hooksig_installation"),
)


def migrate(connection: Connection, fingerprint: str) -> int:
    """Create the tables, or bring them to the newest version. It is safe to repeat.

    Args:
        connection: A connection in a transaction. MariaDB commits with each statement.
        fingerprint: That of this installation, for new tables.

    Returns:
        How many steps were taken.

    Raises:
        ConfigurationError: The tables belong to a newer release.
    """
    connection.rows("{lock_migration}")
    connection.change(_INSTALLATION)
    connection.change(
        "INSERT INTO hooksig_installation (id, version, fingerprint, rung_at) "
        "VALUES (1, 0, :fingerprint, 0) {unless_installed}",
        {"fingerprint": fingerprint},
    )
    version: int = connection.rows("SELECT version FROM hooksig_installation {locked}")[0][0]
    _refuse_newer(version)
    for number, statements in enumerate(_VERSIONS[version:], version + 1):
        for each in statements:
            if isinstance(each, _Column):
                each.add(connection)
            else:
                connection.change(each)
        # After each: MariaDB commits with each CREATE, so a step may be left half done.
        # Another process may be further.
        connection.change(
            "UPDATE hooksig_installation SET version = :version WHERE version < :version",
            {"version": number},
        )
    return NEWEST - version


def drop(connection: Connection) -> None:
    """Drop the tables, with all that they have."""
    for table in _TABLES:
        connection.change(f"DROP TABLE IF EXISTS {table}")


def fingerprint_of(identity: str, *, is_named: bool = False) -> str:
    """Return the fingerprint of an installation.

    Args:
        identity: What tells the database from its copies, or the name of the installation.
        is_named: Whether it is a name.
    """
    return sha256(f"{is_named} {identity}".encode()).hexdigest()


def check_installation(name: object) -> None:
    """Refuse what is no name of an installation. None is no name, but may be given.

    Raises:
        ConfigurationError: It cannot be one.
    """
    if name is not None and not (isinstance(name, str) and name):
        msg = "installation= must be a name, such as production"
        raise ConfigurationError(msg)


def check_tables(connection: Connection) -> None:
    """Refuse a database without the tables, or with those of another version.

    Raises:
        ConfigurationError: There are none, or they have another version.
    """
    if not connection.rows("{has_tables}"):
        msg = (
            "the database has no tables of an outbox: run `frappe-hooksig outbox init`, or "
            "`manage.py migrate` in a Django project"
        )
        raise ConfigurationError(msg)
    found = connection.rows("SELECT version FROM hooksig_installation")
    version = found[0][0] if found else 0  # making them was interrupted
    _refuse_newer(version)
    if version != NEWEST:
        msg = (
            f"the tables of the outbox have version {version}, and this release of frappe-hooksig "
            f"needs {NEWEST}: run `frappe-hooksig outbox migrate`, or `manage.py migrate` in a "
            "Django project"
        )
        raise ConfigurationError(msg)


def _refuse_newer(version: int) -> None:
    if version > NEWEST:
        msg = (
            f"the tables of the outbox have version {version}, and this release of frappe-hooksig "
            f"knows {NEWEST}: install the newer release"
        )
        raise ConfigurationError(msg)


def is_confirmed(connection: Connection, fingerprint: str) -> bool:
    """Whether the tables belong to this installation."""
    return connection.rows("SELECT fingerprint FROM hooksig_installation") == [(fingerprint,)]


def confirm(connection: Connection, fingerprint: str) -> None:
    """Make the tables those of this installation."""
    connection.change(
        "UPDATE hooksig_installation SET fingerprint = :fingerprint", {"fingerprint": fingerprint}
    )
