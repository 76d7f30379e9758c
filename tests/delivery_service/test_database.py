"""The engine that requests use."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from delivery_service.migrating import migrate
from delivery_service.people import add_person
from delivery_service.settings import Settings
from delivery_service.state import State
from delivery_service.tables import Tenant
from sqlalchemy.exc import IntegrityError


def test_errors_have_no_values(tmp_path: Path) -> None:
    """What is logged of a statement that fails has none of its values, such as hashes."""
    settings = Settings.read(
        database_url=f"sqlite:///{tmp_path / 'service.db'}", keys=Fernet.generate_key().decode()
    )
    with closing(State.of(settings)) as state:
        migrate(state.engine, state.outbox)
        with state.sessions() as session:
            session.add(Tenant(id="acme", name="Acme", created_at=0))
            session.flush()
            add_person(session, "acme", "anna@acme.example", "correct horse battery")
            session.flush()
            add_person(session, "acme", "anna@acme.example", "correct horse battery")
            with pytest.raises(IntegrityError) as raised:
                session.flush()

    assert "INSERT INTO people" in str(raised.value)
    assert "argon2" not in str(raised.value)
    assert "anna" not in str(raised.value)
