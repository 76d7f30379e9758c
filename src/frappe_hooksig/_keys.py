"""Turn the `secret=` argument into the keys that sign messages."""

from __future__ import annotations

import hashlib
from binascii import hexlify
from collections.abc import Callable, Iterator, Sequence
from secrets import token_bytes
from typing import TYPE_CHECKING, NoReturn, Protocol, get_args

from frappe_hooksig._secret_checks import (
    ALWAYS,
    FORMATS,
    SecretFormat,
    decoded,
    fits_header,
    strength,
    suspicions_in_use,
    warn,
)
from frappe_hooksig.exceptions import ConfigurationError, SecretWarning
from frappe_hooksig.secret import Secret, Secrets

if TYPE_CHECKING:
    from frappe_hooksig.scheme import Digest, Scheme

# RFC 2104 section 2: tables that XOR a key with ipad and opad before it is hashed.
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))

# Turns URL-safe base64 into standard base64.
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")

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
        end: Returns a new outer hash. Feed it the digest of the inner hash.
        window: Start and end of the key's validity, in Unix seconds.
        fingerprints: Salted hashes of the key. Two keys from the same secret have one in common.
        name: A name for the secret, for messages. It never shows the secret.
    """

    __slots__ = ("end", "fingerprints", "name", "secret_id", "start", "window")

    def __init__(
        self,
        secret_id: str | None,
        start: Callable[[], Hash],
        end: Callable[[], Hash],
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
        """Return the HMAC over three consecutive parts. Joining them would copy the body."""
        inner = self.start()
        if before:
            inner.update(before)
        inner.update(body)
        if after:
            inner.update(after)
        return self.finished(inner)

    def finished(self, inner: Hash) -> Hash:
        """Return the HMAC over the message that an inner hash has read."""
        outer = self.end()
        outer.update(inner.digest())
        return outer


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


class RefusedSecret(Secret):
    """A placeholder for an unusable secret. It keeps the error until raising it is safe.

    Attributes:
        error: The error to raise.
    """

    __slots__ = ("error",)

    def __init__(self, error: ConfigurationError | SecretWarning) -> None:
        self._id = None
        self._source = ""
        self._not_before, self._not_after = ALWAYS
        self._value = b""
        self.error = error


def redacted(secret: Secrets | None) -> tuple[Secret, ...]:
    """Wrap one or several secrets, so that no frame of a traceback contains a plain one.

    This function never raises, because its own frame does contain the plain secrets.
    """
    if isinstance(secret, Sequence) and not isinstance(secret, str | bytes | bytearray):
        several = tuple(secret)
    else:
        several = () if secret is None else (secret,)
    return tuple(each if isinstance(each, Secret) else _wrapped(each) for each in several)


def named(several: Sequence[tuple[str, str | None]]) -> tuple[Secret, ...]:
    """Wrap secrets together with their ids, like `redacted()`. Leave out empty ones."""
    return tuple(_wrapped(value, secret_id) for secret_id, value in several if value)


def make_keys(several: Sequence[Secret], scheme: Scheme) -> list[Key]:
    """Return a key for each secret, in their order.

    Args:
        several: The secrets, from `redacted()`.
        scheme: The sender's scheme, with its `secret_format`.

    Raises:
        ConfigurationError: There is no secret, one cannot be used or is not written in
            `secret_format`, or two have the same id.
    """
    if not several:
        msg = "no secret is set, and unsigned requests are never accepted"
        raise ConfigurationError(msg)
    keys = [
        _key_of(secret, scheme, _name_of(several, index)) for index, secret in enumerate(several)
    ]
    ids = [key.secret_id for key in keys if key.secret_id is not None]
    if len(set(ids)) < len(ids):
        msg = "two secrets have the same id: give each secret another id="
        raise ConfigurationError(msg)
    return keys


def _name_of(several: Sequence[Secret], index: int) -> str:
    """Return a name for one of the secrets, for messages. It never shows the secret."""
    secret = several[index]
    if secret.source:
        return secret.source
    if secret.id is not None:
        return f"the secret {secret.id!r}"
    return f"secret {index + 1} of {len(several)}" if several[1:] else "the secret"


def _key_of(secret: Secret, scheme: Scheme, name: str) -> Key:
    if isinstance(secret, RefusedSecret):
        raise secret.error
    secret_format = scheme.secret_format
    if strength(secret.reveal(), secret_format) == 0:
        msg = f"{name} must be {FORMATS[secret_format]}: use generate_secret({secret_format!r})"
        raise ConfigurationError(msg)
    if not scheme.signs_body and not fits_header(secret.reveal()):
        msg = (
            f"{name} cannot be sent in a header: it must be printable ASCII without a comma, "
            "and without spaces around it"
        )
        raise ConfigurationError(msg)
    for suspicion in suspicions_in_use(
        secret.reveal(), secret_format, scheme.rewritten_characters, scheme.secret_prefix
    ):
        warn(f"{name} {suspicion}")
    window = (secret.not_before, secret.not_after)
    if not scheme.signs_body:
        return Key.of_token(secret.reveal(), secret.id, window, name=name)
    return Key.of(
        decoded(secret.reveal(), secret_format), scheme.digest, secret.id, window, name=name
    )


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


def _wrapped(value: str | bytes, secret_id: str | None = None) -> Secret:
    try:
        return Secret(value, id=secret_id)
    except (ConfigurationError, SecretWarning) as error:  # python -W error raises warnings
        return RefusedSecret(error.with_traceback(None))
