"""What servers need; see tests/integrations/test_sqlalchemy.py for the rest."""

from __future__ import annotations

import pytest

from frappe_hooksig import ConfigurationError
from frappe_hooksig.outbox._dialect import MARIADB, POSTGRESQL
from frappe_hooksig.outbox._servers import check_server


@pytest.mark.parametrize("version", ["10.11.14-MariaDB-0+deb12u2", "5.5.5-10.6.21-MariaDB"])
def test_mariadb(version: str) -> None:
    """The version of MariaDB names it, also where it claims to be an old MySQL."""
    check_server(MARIADB, version)


@pytest.mark.parametrize("version", ["8.4.3", "9.1.0-commercial", ""])
def test_mysql(version: str) -> None:
    """MySQL is refused by name, and not by a syntax error."""
    with pytest.raises(ConfigurationError, match="PostgreSQL or MariaDB, not in MySQL"):
        check_server(MARIADB, version)


def test_postgresql() -> None:
    """Any version of PostgreSQL will do."""
    check_server(POSTGRESQL, "PostgreSQL 15.4 on x86_64")
