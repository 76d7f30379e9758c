"""Builds the matcher of a route from a fixed secret, a function, or a setting."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from frappe_hooksig._frappe import FRAPPE
from frappe_hooksig._keys import redacted
from frappe_hooksig._matching import Matcher
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.integrations._options import SecretSource
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secret, Secrets, generate_secret

#: Returns the matcher for a request. Takes the result of `secret` if that is a function, else None.
MatcherSource: TypeAlias = Callable[["Secrets | None"], Matcher]


def matcher_source(
    build: partial[Matcher],
    secret: SecretSource | None,
    default_secret: Callable[[], Secrets | None] | None,
) -> MatcherSource:
    """Return a function that finds the matcher for a request.

    Raises:
        ConfigurationError: The scheme has no secret, or a limit is invalid.
    """
    if callable(secret):
        return _from_function(build)
    if secret is not None:
        return always(build(redacted(secret)))
    scheme: Scheme = build.keywords["scheme"]
    if scheme == FRAPPE and default_secret is not None:
        return _from_setting(default_secret, build)
    msg = f"scheme {scheme.name!r} needs secret=: only Frappe's scheme has a default"
    raise ConfigurationError(msg)


def always(matcher: Matcher) -> MatcherSource:
    return lambda _secret: matcher


def _from_function(build: partial[Matcher]) -> MatcherSource:
    # An unknown sender is matched against a random secret. The work and the response are the same
    # as for a wrong signature, so that a stranger cannot find out which senders exist.
    scheme: Scheme = build.keywords["scheme"]
    # Use the expected prefix, so that this stand-in causes no SecretWarning.
    prefix = scheme.secret_prefix if scheme.secret_format == "text" else ""
    stand_in = Secret(prefix + generate_secret(scheme.secret_format))
    build([stand_in])  # raises for an invalid limit at import, not at the first request

    def find(secret: Secrets | None) -> Matcher:
        # Wrapping a plain secret is part of the work, so the stand-in is plain too.
        # An empty list also means an unknown sender: a database query returns it.
        is_unknown = secret is None or (isinstance(secret, list | tuple) and not secret)
        several = redacted(stand_in.reveal() if is_unknown else secret)
        del secret  # error reporters show the local variables of every frame
        return build(several)

    return find


def _from_setting(setting: Callable[[], Secrets | None], build: partial[Matcher]) -> MatcherSource:
    build(redacted(generate_secret()))  # raises for an invalid limit at import
    kept: _FromSetting | None = None

    def find(_secret: Secrets | None) -> Matcher:
        nonlocal kept
        current = kept
        if current is None or not current.is_made_of(setting()):
            # Keep the setting out of variables: error reporters show them.
            kept = current = _FromSetting(setting(), build)
        return current.matcher

    return find


class _FromSetting:
    """A matcher that is used until its setting changes.

    Attributes:
        matcher: The matcher with the setting's secrets.
    """

    __slots__ = ("_setting", "matcher")

    def __init__(self, setting: Secrets | None, build: partial[Matcher]) -> None:
        self._setting = _frozen(setting)
        several = redacted(setting)
        del setting  # error reporters show the local variables of every frame
        self.matcher = build(several)

    def is_made_of(self, setting: Secrets | None) -> bool:
        """Whether the setting is still the same."""
        return _frozen(setting) == self._setting


def _frozen(setting: Secrets | None) -> object:
    """Return a setting, or a copy of a list, that nobody can change in place."""
    return tuple(setting) if isinstance(setting, list) else setting
