"""Builds the matcher of a route from a fixed secret, a function, or a setting."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from frappe_hooksig._frappe import FRAPPE, SECRET_SETTING
from frappe_hooksig._keys import new_secret, redacted
from frappe_hooksig._matching import Matcher
from frappe_hooksig._secret_checks import Origin, Place, running_place, warn
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.integrations._framework import VARIABLE, Framework
from frappe_hooksig.integrations._options import SecretSource
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secrets, generate_secret

#: Returns the matcher for a request. Takes the result of `secret` if that is a function, else None.
MatcherSource: TypeAlias = Callable[["Secrets | None"], Matcher]


def matcher_source(
    build: partial[Matcher], secret: SecretSource | None, framework: Framework
) -> MatcherSource:
    """Return a function that finds the matcher for a request.

    Args:
        build: Makes a matcher from secrets.
        secret: As in `Options`.
        framework: The framework, whose setting may contain the secret.

    Raises:
        ConfigurationError: The scheme has no secret, or a limit is invalid.
    """
    scheme: Scheme = build.keywords["scheme"]
    if callable(secret):
        return _from_function(secret, build)
    if secret is not None:
        origin = Origin(f"secret= for scheme {scheme.name!r}")
        return always(build(redacted(secret), origin=origin))
    if scheme == FRAPPE and framework.setting is not None:
        return _from_setting(framework, framework.setting, build)
    msg = (
        f'scheme {scheme.name!r} needs secret=, such as Secret.from_env("NAME"): '
        "only Frappe's scheme has a default"
    )
    raise ConfigurationError(msg)


def always(matcher: Matcher) -> MatcherSource:
    return lambda _secret: matcher


def _from_function(secret_of: object, build: partial[Matcher]) -> MatcherSource:
    # An unknown sender is matched against a random secret. The work and the response are the same
    # as for a wrong signature, so that a stranger cannot find out which senders exist.
    scheme: Scheme = build.keywords["scheme"]
    stand_in = new_secret(scheme)
    build([stand_in])  # raises for an invalid limit at import, not at the first request
    # A reference of the Frappe adapter says to what it refers.
    name = getattr(secret_of, "origin", f"what secret= returned for scheme {scheme.name!r}")
    origin = Origin(name, running_place())

    def find(secret: Secrets | None) -> Matcher:
        # Wrapping a plain secret is part of the work, so the stand-in is plain too.
        # An empty list also means an unknown sender: a database query returns it.
        is_unknown = secret is None or (isinstance(secret, list | tuple) and not secret)
        several = redacted(stand_in.reveal() if is_unknown else secret)
        del secret  # error reporters show the local variables of every frame
        return build(several, origin=origin, is_stand_in=is_unknown, fills_up=True)

    return find


def _from_setting(
    framework: Framework, setting: Callable[[], Secrets | None], build: partial[Matcher]
) -> MatcherSource:
    build(redacted(generate_secret()))  # raises for an invalid limit at import
    place = running_place()
    if framework.reads_environment and SECRET_SETTING in os.environ:
        _examine_variable(build, place)
    kept: _FromSetting | None = None

    def find(_secret: Secrets | None) -> Matcher:
        nonlocal kept
        current = kept
        if current is None or not current.is_made_of(setting()):
            # Keep the setting out of variables: error reporters show them.
            origin = Origin(framework.setting_name(), place)
            kept = current = _FromSetting(setting(), partial(build, origin=origin))
        return current.matcher

    return find


def _examine_variable(build: partial[Matcher], place: Place) -> None:
    """Warn when the app starts of what is wrong with the secret in the environment.

    It is no error yet: the app may still set another one.
    """
    origin = Origin(VARIABLE, place)
    try:
        build(redacted(os.environ[SECRET_SETTING]), origin=origin)
    except ConfigurationError as error:
        warn(f"{error}. Until it is mended, requests get HTTP 500", place)


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
