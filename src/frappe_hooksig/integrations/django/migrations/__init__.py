"""The Django migrations of the models."""
