"""A module for each table; each has a `measure()` that returns it."""
