"""The steps of Alembic that make the tables."""
