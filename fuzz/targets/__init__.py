"""The parts of the package that are fuzzed, a module for each kind."""
