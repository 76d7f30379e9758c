"""Turn the `secret=` argument into the keys that sign messages."""

from __future__ import annotations

import hashlib
from binascii import hexlify
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator, Sequence
from secrets import token_bytes
from typing import TYPE_CHECKING, NoReturn, Protocol, get_args

from frappe_hooksig._secret_checks import (
    ALWAYS,
    FORMATS,
    TEXT_AS_KEY,
    Origin,
    SecretFormat,
    as_bytes,
    decoded,
    fits_header,
    refusal,
    strength,
    suspicions,
    suspicions_in_use,
    warn,
)
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.secret import Secret, Secrets, generate_secret

if TYPE_CHECKING:
    from frappe_hooksig.scheme import Digest, Scheme

# RFC 2104 section 2: tables that XOR a key with ipad and opad before it is hashed.
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))

# Turns URL-safe base64 into standard base64.
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")

# How much of a message is decoded at once, in bytes. The text of it takes up to four times as much.
_PIECE = 65_536

_BLOCK_SIZES = {"sha1": 64, "sha256": 64, "sha512": 128}  # bytes

# Keys are compared by salted fingerprints, which are useless outside this process.
_SALT = token_bytes(32)


class Hash(Protocol):
    """A running hash, with the methods of `hashlib` objects."""

    def copy(self) -> Hash: ...
    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...
    def digest(self) -> bytes: ...
    def hexdigest(self) -> str: ...


class Key:
    """A secret that is ready to sign. Both hashes of HMAC have read the key; its text is not kept.

    HMAC nests an inner hash in an outer hash (RFC 2104). Each reads the key before its message.

    Attributes:
        secret_id: The secret's `id`, or None.
        start: Returns a new inner hash. Feed it the message.
        end: Returns a new outer hash. Feed it the digest of the inner hash. None if the inner hash
            is the MAC, because the sender does not use HMAC.
        window: Start and end of the key's validity, in Unix seconds.
        fingerprints: Salted hashes of the key. Two keys from the same secret have one in common.
        name: A name for the secret, for messages. It never shows the secret.
        place: The place of the secret among those of its verifier, from 0. Keys of one secret in
            several formats have the same place.
    """

    __slots__ = ("end", "fingerprints", "name", "place", "secret_id", "start", "window")

    def __init__(
        self,
        secret_id: str | None,
        start: Callable[[], Hash],
        end: Callable[[], Hash] | None,
        window: tuple[float, float] = ALWAYS,
        fingerprints: frozenset[bytes] = frozenset(),
        *,
        name: str = "the secret",
    ) -> None:
        self.secret_id = secret_id
        self.start = start
        self.end = end
        self.window = window
        self.fingerprints = fingerprints
        self.name = name
        self.place = 0

    @classmethod
    def of(
        cls,
        key: bytes,
        digest: Digest,
        secret_id: str | None = None,
        window: tuple[float, float] = ALWAYS,
        *,
        name: str = "the secret",
    ) -> Key:
        """Return the key for raw key bytes."""
        # RFC 2104 section 4: hash the two key blocks once, and keep the results.
        inner, outer = hashlib.new(digest), hashlib.new(digest)
        size = inner.block_size
        block = (hashlib.new(digest, key).digest() if len(key) > size else key).ljust(size, b"\0")
        inner.update(block.translate(_INNER))
        outer.update(block.translate(_OUTER))
        marks = frozenset(_fingerprints(key))
        return cls(secret_id, inner.copy, outer.copy, window, marks, name=name)

    @classmethod
    def of_prefix(
        cls,
        key: bytes,
        digest: Digest,
        secret_id: str | None = None,
        window: tuple[float, float] = ALWAYS,
        *,
        name: str = "the secret",
    ) -> Key:
        """Return the key for a sender that hashes the key and its message, without HMAC."""
        start = TextHash(hashlib.new(digest, key)).copy
        return cls(secret_id, start, None, window, frozenset(_fingerprints(key)), name=name)

    @classmethod
    def of_token(
        cls,
        token: bytes,
        secret_id: str | None,
        window: tuple[float, float] = ALWAYS,
        *,
        name: str = "the secret",
    ) -> Key:
        """Return the key for a sender that signs nothing and sends the secret itself.

        Its MAC is always the token, whatever the message.
        """
        # Another scheme may use the same text as its secret, in any format. A token may also be
        # that secret in URL-safe base64, or without padding.
        text = token.removeprefix(b"whsec_").translate(_TO_STANDARD)
        spellings = {token, text + b"=" * (-len(text) % 4)}
        keys = (
            decoded(spelling, secret_format)
            for spelling in spellings
            for secret_format in get_args(SecretFormat)
        )
        marks = frozenset(mark for key in keys if key for mark in _fingerprints(key))
        # The inner hash has no digest, so that the token is never passed to update().
        return cls(secret_id, _Fixed(b"").copy, _Fixed(token).copy, window, marks, name=name)

    def is_valid_at(self, now: float) -> bool:
        """Whether the key is valid at a time in Unix seconds. No key is valid at NaN."""
        begin, end = self.window
        return begin <= now < end

    def mac(self, before: bytes, body: bytes, after: bytes) -> Hash:
        """Return the MAC over three consecutive parts. Joining them would copy the body."""
        inner = self.start()
        if before:
            inner.update(before)
        inner.update(body)
        if after:
            inner.update(after)
        return self.finished(inner)

    def finished(self, inner: Hash) -> Hash:
        """Return the MAC over the message that an inner hash has read."""
        if self.end is None:
            return inner
        outer = self.end()
        outer.update(inner.digest())
        return outer


class TextHash:
    """A bare hash of a secret and a message. Only UTF-8 without NULs has a digest.

    Whoever sees the hash of `secret + message`, and guesses the length of the secret, can compute
    the hash of `secret + message + padding + suffix` for any suffix. That is length extension. The
    padding of SHA-1 and SHA-2 is byte 0x80, NULs, and the length as 8 or 16 bytes, the first of
    which is NUL too. So each extension has a NUL, however its bytes are divided between URL, body
    and other parts. And it is not UTF-8 if the message was: there, byte 0x80 never follows a
    complete character.
    """

    __slots__ = ("_decoder", "_hash", "_is_valid")

    def __init__(self, started: Hash) -> None:
        self._hash = started
        self._decoder = getincrementaldecoder("utf-8")()
        self._is_valid = True

    @property
    def is_text(self) -> bool:
        """Whether the message is UTF-8 without NULs, and its last character complete."""
        unfinished, _ = self._decoder.getstate()
        return self._is_valid and not unfinished

    def copy(self) -> TextHash:
        other = TextHash(self._hash.copy())
        other._decoder.setstate(self._decoder.getstate())
        other._is_valid = self._is_valid
        return other

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        self._hash.update(data)
        view = memoryview(data).cast("B")
        for at in range(0, len(view), _PIECE):
            if not self._is_valid:
                return
            try:
                self._is_valid = "\0" not in self._decoder.decode(bytes(view[at : at + _PIECE]))
            except UnicodeDecodeError:
                self._is_valid = False

    def digest(self) -> bytes:
        """Return the hash; no bytes for a message that is no text. No signature is empty."""
        return self._hash.digest() if self.is_text else b""

    def hexdigest(self) -> str:
        return hexlify(self.digest()).decode()


class _Fixed:
    """Acts as a hash, but ignores the message and returns a token. Its repr hides the token."""

    __slots__ = ("_token",)

    def __init__(self, token: bytes) -> None:
        self._token = token

    def copy(self) -> _Fixed:
        return self

    def update(self, _data: bytes | bytearray | memoryview, /) -> None:
        pass

    def digest(self) -> bytes:
        return self._token

    def hexdigest(self) -> str:
        return hexlify(self._token).decode()

    def __reduce__(self) -> NoReturn:
        msg = "a verifier or signer cannot be pickled: it contains a secret"
        raise TypeError(msg)


class PlainSecret(Secret):
    """A secret that was passed as plain text.

    It is checked when it becomes a key: then its origin is known, and no frame has its text.

    Attributes:
        problem: Why it must be refused, as the end of a sentence; None if it can be used.
    """

    __slots__ = ("problem",)

    def __init__(self, value: str | bytes, secret_id: str | None = None) -> None:
        self._id = secret_id
        self._source = ""
        self._not_before, self._not_after = ALWAYS
        self._value = as_bytes(value)
        self.problem = refusal(value, self._value)


def redacted(secret: Secrets | None) -> tuple[Secret, ...]:
    """Wrap one or several secrets, so that no frame of a traceback contains a plain one.

    This function never raises, because its own frame does contain the plain secrets.
    """
    if isinstance(secret, Sequence) and not isinstance(secret, str | bytes | bytearray):
        several = tuple(secret)
    else:
        several = () if secret is None else (secret,)
    return tuple(each if isinstance(each, Secret) else PlainSecret(each) for each in several)


def named(several: Sequence[tuple[str, str | None]]) -> tuple[Secret, ...]:
    """Wrap secrets together with their ids, like `redacted()`. Leave out empty ones."""
    return tuple(PlainSecret(value, secret_id) for secret_id, value in several if value)


def new_secret(scheme: Scheme, secret_id: str | None = None) -> Secret:
    """Return a random secret as the sender of a scheme writes it, which causes no warning."""
    prefix = scheme.secret_prefix if scheme.secret_formats[0] == "text" else ""
    return Secret(prefix + generate_secret(scheme.secret_format), id=secret_id)


def make_keys(
    several: Sequence[Secret],
    scheme: Scheme,
    origin: Origin | None = None,
    *,
    fills_up: bool = False,
) -> list[Key]:
    """Return the keys of the secrets, in their order: for each secret, one or several.

    A secret has one key for each of the scheme's formats that it can be read in, in their order.

    Args:
        several: The secrets, from `redacted()`.
        scheme: The sender's scheme, with its `secret_format`.
        origin: Where the secrets come from; None for the caller's arguments.
        fills_up: Whether each secret has as many keys as the scheme has formats. Random ones are
            added, so that the time of a refusal does not show in which formats it is written.

    Raises:
        ConfigurationError: There is no secret, one cannot be used or is not written in any
            `secret_format`, or two have the same id.
    """
    if not several:
        msg = (
            "no secret is set, and unsigned requests are never accepted: "
            'Secret.from_env("NAME") reads an environment variable, and says if it is not set'
        )
        raise ConfigurationError(msg)
    if origin is None:
        origin = Origin(f"the secret for scheme {scheme.name!r}")
    keys: list[Key] = []
    for place, secret in enumerate(several):
        own = Origin(_name_of(several, place, origin.name), origin.place)
        found = [*_keys_of(secret, scheme, own)]
        if fills_up:
            missing = len(scheme.secret_formats) - len(found)
            found += [Key.of(token_bytes(32), scheme.digest) for _ in range(missing)]
        for key in found:
            key.place = place
        keys += found
    ids = [secret.id for secret in several if secret.id is not None]
    if len(set(ids)) < len(ids):
        msg = "two secrets have the same id: give each secret another id="
        raise ConfigurationError(msg)
    return keys


def _name_of(several: Sequence[Secret], index: int, origin: str) -> str:
    """Return a name for one of the secrets, for messages. It never shows the secret."""
    secret = several[index]
    if secret.source:
        return secret.source
    if secret.id is not None:
        return f"the secret {secret.id!r}"
    if several[1:]:
        return f"secret {index + 1} of {len(several)} ({origin})"
    return origin


def _keys_of(secret: Secret, scheme: Scheme, origin: Origin) -> Iterable[Key]:
    """Return the keys of a secret: one for each format that it can be read in."""
    name = origin.name
    problem = secret.problem if isinstance(secret, PlainSecret) else None
    if problem is not None:
        msg = f"{name} {problem}"
        raise ConfigurationError(msg)
    formats: list[SecretFormat] = [
        each for each in scheme.secret_formats if strength(secret.reveal(), each) > 0
    ]
    if not formats:
        wanted = ", or ".join(FORMATS[each] for each in scheme.secret_formats)
        hint = "" if scheme.secret_formats == ("hex",) else TEXT_AS_KEY
        msg = f"{name} must be {wanted}: copy all of it from the sender's page{hint}"
        raise ConfigurationError(msg)
    if not scheme.signs_body and not fits_header(secret.reveal()):
        msg = (
            f"{name} cannot be sent in a header: it must be printable ASCII without a comma, "
            "and without spaces around it"
        )
        raise ConfigurationError(msg)
    found = [*suspicions(secret.reveal())] if isinstance(secret, PlainSecret) else []
    found += suspicions_in_use(
        secret.reveal(), formats[0], scheme.rewritten_characters, scheme.secret_prefix
    )
    for suspicion in found:
        warn(f"{name} {suspicion}", origin.place)
    window = (secret.not_before, secret.not_after)
    if not scheme.signs_body:
        return [Key.of_token(secret.reveal(), secret.id, window, name=name)]
    make = Key.of if scheme.algorithm == "hmac" else Key.of_prefix
    several = [
        make(decoded(secret.reveal(), each), scheme.digest, secret.id, window, name=name)
        for each in formats
    ]
    # A text without whsec_ is the same key in the formats "base64" and "whsec".
    return {key.fingerprints: key for key in several}.values()


def _fingerprints(key: bytes) -> Iterator[bytes]:
    """Yield marks of a key, one of which every equivalent key has too."""
    yield _fingerprint(key)
    # HMAC hashes a key that is longer than a block of its hash (RFC 2104 section 2).
    for digest, block_size in _BLOCK_SIZES.items():
        if len(key) > block_size:
            yield _fingerprint(hashlib.new(digest, key).digest())


def _fingerprint(key: bytes) -> bytes:
    # HMAC pads keys with NULs, so NULs at the end do not make a different key.
    return hashlib.sha256(_SALT + key.rstrip(b"\0")).digest()
