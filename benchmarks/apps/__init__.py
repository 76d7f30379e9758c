"""Apps for the servers' table, each with three routes that differ in the verification alone."""
