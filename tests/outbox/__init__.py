"""What an outbox does, in each database that it can live in."""
