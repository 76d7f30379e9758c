"""Keys and signed content to try: what each secret, recipe and scheme would have signed with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar, cast

from frappe_hooksig._keys import Key
from frappe_hooksig._secret_checks import decoded
from frappe_hooksig.explain._content_causes import CONTENT_CAUSES, LONG_CONTENT_CAUSES, Variants
from frappe_hooksig.explain._findings import Step
from frappe_hooksig.explain._request import Request, content_of
from frappe_hooksig.explain._secret_causes import SECRET_CAUSES
from frappe_hooksig.scheme import Algorithm, Digest, Scheme
from frappe_hooksig.secret import Secret

#: The length of each hash that senders use, in bytes.
SIZES = {"sha256": 32, "sha1": 20, "sha512": 64, "md5": 16, "sha384": 48, "sha224": 28}


class Recipe(NamedTuple):
    """How a MAC is made.

    Attributes:
        scheme: The scheme that says how the secret is read, and what is signed.
        algorithm: As in `Scheme`.
        digest: The name of a hash function in `SIZES`.
        steps: How it differs from the caller's scheme.
    """

    scheme: Scheme
    algorithm: Algorithm
    digest: str
    steps: tuple[Step, ...] = ()


class Try(NamedTuple):
    """A key, and what it signs besides the body.

    Attributes:
        key: The key.
        recipe: How the key makes a MAC.
        around: The bytes before and after the body.
        steps: How all of that differs from what the caller's scheme demands.
        is_plain: Whether the secret itself is sent.
    """

    key: Key
    recipe: Recipe
    around: tuple[bytes, bytes]
    steps: tuple[Step, ...]
    is_plain: bool

    def after(self, start: bytes) -> Try:
        """Return the same for the rest of a body, with a key that has read the start of it."""
        before, behind = self.around
        inner = self.key.start()
        inner.update(before + start)
        return self._replace(key=Key(None, inner.copy, self.key.end), around=(b"", behind))


T = TypeVar("T")
Keyed = tuple[Key, tuple[Step, ...]]
Surrounded = tuple[tuple[bytes, bytes], tuple[Step, ...]]


class Keyring:
    """The caller's secrets, and what they may have been.

    Args:
        given: The secrets that the caller uses.
        also: Other secrets.
        now: The current time, in Unix seconds.
    """

    __slots__ = ("_also", "_given", "_now")

    def __init__(self, given: Sequence[Secret], also: Sequence[Secret], now: float) -> None:
        self._given = [*zip(_names_of(given, "secret"), given, strict=True)]
        self._also = [*zip(_names_of(also, "other secret"), also, strict=True)]
        self._now = now

    def unchanged(self, recipe: Recipe) -> list[Keyed]:
        """Return the keys of the caller's secrets."""
        return [
            (key, self._window_of(name, secret))
            for name, secret in self._given
            for key in _keys(_read(secret.reveal(), recipe.scheme), recipe)
        ]

    def others(self, recipe: Recipe) -> Iterator[Keyed]:
        """Yield the keys of the other secrets."""
        for name, secret in self._also:
            step = Step("secret-other", f"{name} signed, which is not configured")
            for key in _keys(_read(secret.reveal(), recipe.scheme), recipe):
                yield key, (step,)

    def changed(self, recipe: Recipe) -> Iterator[Keyed]:
        """Yield the keys that differ from those of the caller's secrets by one cause."""
        for cause in SECRET_CAUSES:
            for name, secret in self._given:
                suffix = f" ({name})" if len(self._given) > 1 else ""
                steps = self._window_of(name, secret)
                seen = {*_read(secret.reveal(), recipe.scheme)}
                for variant, how in cause.variants(secret.reveal()):
                    found = [variant] if cause.gives_keys else _read(variant, recipe.scheme)
                    for key in _keys([each for each in found if each not in seen], recipe):
                        yield key, (*steps, Step(cause.code, how + suffix))
                    seen.update(found)

    def changed_twice(self, recipe: Recipe) -> Iterator[Keyed]:
        """Yield the keys that differ from those of the caller's secrets by two causes."""
        for cause in SECRET_CAUSES:
            several = [
                (secret, Step("secret-other", f"{name} signed")) for name, secret in self._also
            ]
            for secret, step in several:
                for variant, how in cause.variants(secret.reveal()):
                    found = [variant] if cause.gives_keys else _read(variant, recipe.scheme)
                    for key in _keys(found, recipe):
                        yield key, (step, Step(cause.code, how))
            for first in () if cause.gives_keys else SECRET_CAUSES:
                for _, secret in self._given if first is not cause and not first.gives_keys else ():
                    seen = {secret.reveal()}
                    for variant, how in _unseen(first.variants(secret.reveal()), seen):
                        for twice, then in _unseen(cause.variants(variant), seen):
                            for key in _keys(_read(twice, recipe.scheme), recipe):
                                yield key, (Step(first.code, how), Step(cause.code, then))

    def tokens(self, recipe: Recipe) -> Iterator[Try]:
        """Yield the secrets themselves, which a sender may have put into the signature header."""
        evidence = "the header has the secret itself, and no signature"
        for _, secret in self._given if recipe.scheme.signs_body else ():
            key = Key.of_token(secret.reveal(), None)
            yield Try(
                key, recipe, (b"", b""), (Step("header-overridden", evidence),), is_plain=True
            )

    def _window_of(self, name: str, secret: Secret) -> tuple[Step, ...]:
        if secret.not_before <= self._now < secret.not_after:
            return ()
        return (Step("secret-window", f"{name} signed, which is not valid now"),)


def tries_of(
    keys: Sequence[Keyed], recipe: Recipe, contents: Sequence[Surrounded]
) -> Iterator[Try]:
    """Yield each key with each content."""
    is_plain = not recipe.scheme.signs_body
    for around, content_steps in contents:
        for key, key_steps in keys:
            yield Try(key, recipe, around, recipe.steps + content_steps + key_steps, is_plain)


def unchanged_content(recipe: Recipe, request: Request) -> list[Surrounded]:
    """Return what a scheme signs besides the body; nothing if a part of it is missing."""
    around = content_of(recipe.scheme, request).around()
    return [] if around is None else [(around, ())]


def changed_contents(
    recipe: Recipe, request: Request, failed: Callable[[], None]
) -> Iterator[Surrounded]:
    """Yield what may be signed besides the body, by one cause.

    Args:
        recipe: How the MAC is made.
        request: The request.
        failed: Is called if a cause fails. See `until_failed()`.
    """
    yield from _contents(recipe, request, CONTENT_CAUSES, failed)


def long_contents(
    recipe: Recipe, request: Request, failed: Callable[[], None]
) -> Iterator[Surrounded]:
    """Yield the same for the causes with very many variants."""
    yield from _contents(recipe, request, LONG_CONTENT_CAUSES, failed)


def until_failed(variants: Iterator[T], failed: Callable[[], None]) -> Iterator[T]:
    """Yield the variants of a cause. If a hostile request makes it fail, call `failed`, and end."""
    try:
        yield from variants
    except (ValueError, OverflowError, RecursionError):
        failed()


def _contents(
    recipe: Recipe, request: Request, causes: Sequence[Variants], failed: Callable[[], None]
) -> Iterator[Surrounded]:
    if not recipe.scheme.signs_body:
        return
    content = content_of(recipe.scheme, request)
    seen = {content.around()}
    for cause in causes:
        for changed, step in until_failed(cause(content, request, recipe.scheme), failed):
            around = changed.around()
            if around is not None and around not in seen:
                seen.add(around)
                yield around, (step,)


def _names_of(secrets: Sequence[Secret], kind: str) -> list[str]:
    return [
        secret.source
        or (
            f"the {kind} {secret.id!a}"
            if secret.id is not None
            else f"{kind} {place} of {len(secrets)}"
            if len(secrets) > 1
            else f"the {kind}"
        )
        for place, secret in enumerate(secrets, 1)
    ]


def _unseen(variants: Iterator[tuple[bytes, str]], seen: set[bytes]) -> Iterator[tuple[bytes, str]]:
    for variant in variants:
        if variant[0] not in seen:
            seen.add(variant[0])
            yield variant


def _read(secret: bytes, scheme: Scheme) -> list[bytes]:
    """Return the keys that a scheme reads in a secret."""
    found = [decoded(secret, each) for each in scheme.secret_formats]
    return [*filter(None, found)]


def _keys(several: Sequence[bytes], recipe: Recipe) -> Iterator[Key]:
    for key in dict.fromkeys(several):
        if not recipe.scheme.signs_body:
            yield Key.of_token(key, None)
        elif recipe.algorithm == "hmac":
            yield Key.of(key, cast("Digest", recipe.digest))
        else:
            yield Key(None, hashlib.new(recipe.digest, key).copy, None)
