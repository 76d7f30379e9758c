"""Requests, headers, times, secrets, schemes and command lines made to break the package."""
