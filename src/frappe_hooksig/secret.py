"""Secrets: what one may be, how it is kept from sight, and the HMAC key made from it."""

from __future__ import annotations

import hashlib
import hmac
import inspect
import re
import secrets
import warnings
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from math import inf, isfinite
from typing import Literal, NoReturn, Protocol, TypeAlias

from frappe_hooksig.exceptions import ConfigurationError

#: The hash beneath the HMAC.
Digest: TypeAlias = Literal["sha1", "sha256", "sha512"]

#: How a provider writes its secrets: text whose UTF-8 bytes are the key, hex or base64 of the
#: key, or base64 behind `whsec_` as Standard Webhooks has it.
SecretFormat: TypeAlias = Literal["text", "hex", "base64", "whsec"]

_MASK = "**********"

#: When a secret is valid that has no moments.
ALWAYS = (-inf, inf)

# 128 bits, and no provider generates less.
_SHORTEST = 16

# What can never be the secret, whatever stands around it.
_REFUSED = (
    (
        rb"(\*|\xe2\x80\xa2|\xe2\x97\x8f)+",  # asterisks or bullets
        "is a row of asterisks or dots, as forms show it: in Frappe, use doc.get_password()",
    ),
    (rb"Secret\('\*+'.*", "is the repr() of a Secret: pass the Secret itself"),
    (rb"whsec_", "is empty behind whsec_"),
    (rb"v1,whsec_.*", "starts with v1,whsec_: leave out the v1,"),
    (
        rb"(whpk_|-----BEGIN ([A-Z]+ )*(PUBLIC KEY|CERTIFICATE)|ssh-|ecdsa-sha2-).*",
        "is a public key: what is needed is the secret that both sides share",
    ),
)
# Compiled when the first secret is looked at: the package is imported faster without.
_API_KEY = (
    r"(sk|rk|pk)_(live|test)_|gh[opsu]_|github_pat_|glpat-|xox[abp]-|shp(at|ca|pa)_|AKIA|AIza"
    r"|Bearer |Basic |token "
)
_PLACEHOLDER = (
    r"(?i)\W*(change[-_ ]?me.*|(your|insert|replace)[-_ ].*|todo|none|null|undefined|test"
    r"|password|example|dummy|placeholder|redacted|filtered"
    r"|((my|shared|frappe|webhook|super)[-_ ]?)*(secret|key))\W*"
)
# What random bytes nearly never look like: half of 16 are above ASCII.
_ENCODED = r"(whsec_)?([0-9A-Fa-f]{32,}|[A-Za-z0-9+/]{22,}={0,2})"
_LONGEST_PLACEHOLDER = 64  # characters; keeps the pattern's backtracking short
_FEWEST = 4  # different bytes


class SecretWarning(UserWarning):
    """A secret can be used, but is probably not what was meant."""


class Secret:
    """A shared secret that does not show in repr, str, format, logs or pickles.

    A plain `str` or `bytes` does wherever a `Secret` does; use this to give it an id, or to keep
    it from sight in your own code too.

    It is used byte for byte: Frappe signs with exactly what was typed into the form, a trailing
    newline included, so nothing is stripped.

    Args:
        value: The secret, as the sender shows it; a str stands for its UTF-8 bytes.
        id: What `Delivery.key_id` is if this secret matched; by default its position in the list.
        not_before: From when on it is used, by the clock of whoever uses it: Unix seconds or an
            aware datetime. By default always.
        not_after: Until when, likewise.

    Raises:
        ConfigurationError: It is missing, empty, masked, a public key, or not str or bytes; or it
            is never used.
    """

    __slots__ = ("_id", "_value", "_window")

    def __init__(
        self,
        value: str | bytes,
        *,
        id: str | None = None,  # noqa: A002
        not_before: float | datetime | None = None,
        not_after: float | datetime | None = None,
    ) -> None:
        self._id = id
        self._window = ALWAYS
        self._value = _as_bytes(value)
        problem = _refusal(value, self._value)
        del value  # error reporters show the local variables of every frame
        if not problem:
            self._window = (_moment(not_before, -inf), _moment(not_after, inf))
            if not self._window[0] < self._window[1]:
                problem = "the secret is never valid: its not_before is not before its not_after"
        if problem:
            raise ConfigurationError(problem)
        for suspicion in _suspicions(self._value):
            _warn(f"the secret {suspicion}")

    @property
    def id(self) -> str | None:
        """What `Delivery.key_id` is if this secret matched."""
        return self._id

    @property
    def window(self) -> tuple[float, float]:
        """From when until when it is used, in Unix seconds; infinite where there is no end."""
        return self._window

    def reveal(self) -> bytes:
        """Return the secret itself."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret('{_MASK}')" if self.id is None else f"Secret('{_MASK}', id={self.id!r})"

    def __str__(self) -> str:
        return _MASK

    def __reduce__(self) -> NoReturn:
        msg = "a Secret is not pickled: send a reference, and read the secret where it is used"
        raise TypeError(msg)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        is_same = hmac.compare_digest(self._value, other._value)
        return is_same and (self.id, self.window) == (other.id, other.window)

    def __hash__(self) -> int:
        return hash((self.id, self.window, self._value))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self


#: A secret, wrapped or not.
SecretLike: TypeAlias = Secret | str | bytes

#: One secret, or several during a rotation, the newest first.
Secrets: TypeAlias = SecretLike | Sequence[SecretLike]


class Hash(Protocol):
    """A hash under way, as `hashlib` makes it; its documentation holds."""

    def copy(self) -> Hash: ...  # noqa: D102
    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...  # noqa: D102
    def digest(self) -> bytes: ...  # noqa: D102
    def hexdigest(self) -> str: ...  # noqa: D102


class Key:
    """A secret made ready to sign with: the key schedule is done and the text is gone.

    HMAC is a hash inside of a hash (RFC 2104), and the key goes into both before the message does.

    Attributes:
        id: The secret's own id, else its position among those configured.
        start: Returns a new inner hash, to be fed with the message.
        end: Returns a new outer hash, to be fed with the inner one's digest.
        window: From when until when it is used, in Unix seconds.
        token: The secret itself, if it is what is sent; else nothing.
    """

    __slots__ = ("end", "id", "start", "token", "window")

    def __init__(
        self,
        id: str | int,  # noqa: A002
        start: Callable[[], Hash],
        end: Callable[[], Hash],
        window: tuple[float, float] = ALWAYS,
        token: bytes = b"",
    ) -> None:
        self.id = id
        self.start = start
        self.end = end
        self.window = window
        self.token = token

    @classmethod
    def of(
        cls,
        key: bytes,
        digest: Digest,
        id: str | int,  # noqa: A002
        window: tuple[float, float] = ALWAYS,
        token: bytes = b"",
    ) -> Key:
        """Return the key made of some bytes."""
        # RFC 2104 section 4: the two blocks that the key makes are hashed once and kept.
        inner, outer = hashlib.new(digest), hashlib.new(digest)
        size = inner.block_size
        block = (hashlib.new(digest, key).digest() if len(key) > size else key).ljust(size, b"\0")
        inner.update(bytes(byte ^ 0x36 for byte in block))
        outer.update(bytes(byte ^ 0x5C for byte in block))
        return cls(id, inner.copy, outer.copy, window, token)

    def is_valid_at(self, now: float) -> bool:
        """Whether it is used at a moment, in Unix seconds; never if that is no number."""
        begin, end = self.window
        return begin <= now < end

    def fed(self, start: Callable[[], Hash]) -> Key:
        """Return the same key, with an inner hash that was fed with a part of the message."""
        return Key(self.id, start, self.end, self.window, self.token)

    def mac(self, before: bytes, body: bytes, after: bytes) -> Hash:
        """Return the HMAC over three parts in a row; not joined, so that no body is copied."""
        inner, outer = self.start(), self.end()
        inner.update(before)
        inner.update(body)
        inner.update(after)
        outer.update(inner.digest())
        return outer


class RefusedSecret(Secret):
    """Stands for a secret that is none, until somebody may raise its error.

    Attributes:
        error: What was wrong with it.
    """

    __slots__ = ("error",)

    def __init__(self, error: ConfigurationError | SecretWarning) -> None:
        self._id = None
        self._window = ALWAYS
        self._value = b""
        self.error = error


def redacted(secret: Secrets | None) -> tuple[Secret, ...]:
    """Wrap one or several secrets, so that no frame has a plain one when something is raised.

    Raises nothing itself, for the same reason.
    """
    if isinstance(secret, Sequence) and not isinstance(secret, str | bytes | bytearray):
        several = tuple(secret)
    else:
        several = () if secret is None else (secret,)
    return tuple(each if isinstance(each, Secret) else _wrapped(each) for each in several)


def make_keys(
    several: Sequence[Secret],
    secret_format: SecretFormat = "text",
    digest: Digest = "sha256",
    *,
    rewritten_characters: str = "",
    prefix: str = "",
    is_sent: bool = False,
) -> list[Key]:
    """Return a key for each secret, in their order.

    Args:
        several: The secrets, from `redacted()`.
        secret_format: How the sender writes them.
        digest: The hash beneath the HMAC.
        rewritten_characters: Those that the sender may have stored in another spelling.
        prefix: What the sender's secrets start with.
        is_sent: Whether the secret itself is what is sent, in a header.

    Raises:
        ConfigurationError: There is no secret, one cannot be used or is not written in
            `secret_format`, or two have the same id.
    """
    if not several:
        msg = "no secret is set, and unsigned requests are never accepted"
        raise ConfigurationError(msg)
    keys: list[Key] = []
    for position, secret in enumerate(several):
        if isinstance(secret, RefusedSecret):
            raise secret.error
        key_id = position if secret.id is None else secret.id
        if _strength(secret, secret_format) == 0:
            wanted = _FORMATS[secret_format]
            msg = f"secret {key_id} is not {wanted}: use generate_secret({secret_format!r})"
            raise ConfigurationError(msg)
        if is_sent and not _fits_header(secret.reveal()):
            msg = (
                f"secret {key_id} cannot stand in a header: it has to be printable ASCII without "
                "a comma, and without spaces around it"
            )
            raise ConfigurationError(msg)
        for suspicion in _suspicions_in_use(secret, secret_format, rewritten_characters, prefix):
            _warn(f"secret {key_id} {suspicion}")
        key = decoded(secret.reveal(), secret_format)
        token = secret.reveal() if is_sent else b""
        keys.append(Key.of(key, digest, key_id, secret.window, token))
        del key, token  # error reporters show the local variables of every frame
    if len({key.id for key in keys}) < len(keys):
        msg = "two secrets have the same id"
        raise ConfigurationError(msg)
    return keys


def generate_secret(secret_format: SecretFormat = "text") -> str:
    """Return a new secret of 32 random bytes.

    By default URL-safe text, which survives Frappe's Webhook form: Frappe rewrites `<`, `>` and
    `&` in a secret that looks like HTML before it stores it.

    Args:
        secret_format: How the scheme writes its secrets: `Scheme.secret_format`.

    Raises:
        ConfigurationError: There is no such format.

    >>> len(generate_secret())
    43
    >>> generate_secret("whsec").startswith("whsec_")
    True
    """
    if secret_format not in _FORMATS:
        msg = f"secret_format is one of {', '.join(_FORMATS)}: see Scheme.secret_format"
        raise ConfigurationError(msg)
    if secret_format == "text":
        return secrets.token_urlsafe(32)
    key = secrets.token_bytes(32)
    if secret_format == "hex":
        return key.hex()
    return ("whsec_" if secret_format == "whsec" else "") + b64encode(key).decode()


_FORMATS: dict[SecretFormat, str] = {
    "text": "a text with a byte in it other than NUL",
    "hex": "an even number of hex digits, not all 0",
    "base64": "padded base64 of a key that is not all NUL",
    "whsec": "padded base64 of a key that is not all NUL, with or without whsec_ before it",
}


def _wrapped(value: str | bytes) -> Secret:
    try:
        return Secret(value)
    except (ConfigurationError, SecretWarning) as error:  # the latter under python -W error
        return RefusedSecret(error.with_traceback(None))


def _moment(given: float | datetime | None, default: float) -> float:
    """Return a moment in Unix seconds.

    Raises:
        ConfigurationError: It is none.
    """
    if given is None:
        return default
    if isinstance(given, datetime):
        if given.utcoffset() is not None:
            return given.timestamp()
    elif isinstance(given, int | float) and not isinstance(given, bool):
        with suppress(OverflowError):  # an int that no float can hold
            if isfinite(given):
                return float(given)
    msg = "not_before and not_after are Unix seconds or a datetime with its time zone"
    raise ConfigurationError(msg)


def _as_bytes(value: object) -> bytes:
    """Return the bytes of a secret, or none at all if it has none."""
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:  # would carry the secret along
            return b""
    return bytes(value) if isinstance(value, bytes) else b""


def _refusal(value: object, raw: bytes) -> str | None:
    """Return why a secret can never be right, or None."""
    if not isinstance(value, str | bytes):
        return f"a secret is str or bytes, not {type(value).__name__}"
    if not raw:
        return "the secret is not valid Unicode" if value else "the secret is empty"
    if not raw.strip(b"\0"):
        return "the secret is nothing but NUL bytes, which to HMAC is an empty key"
    for pattern, problem in _REFUSED:
        if re.fullmatch(pattern, raw.strip(), re.DOTALL):
            return f"the secret {problem}"
    return None


def decoded(raw: bytes, secret_format: SecretFormat) -> bytes:
    """Return the key that a secret stands for; none at all if it is not written as it must be."""
    if secret_format == "text":
        return raw
    try:
        if secret_format == "hex":
            return bytes.fromhex(raw.decode("ascii")) if raw.isalnum() else b""
        text = raw.removeprefix(b"whsec_") if secret_format == "whsec" else raw
        key = b64decode(text, validate=True)
    except (ValueError, NotBase64):
        return b""
    return key if b64encode(key) == text else b""


def _strength(secret: Secret, secret_format: SecretFormat) -> int:
    """Return how many bytes of key there are, but for NULs at the end, which HMAC adds itself."""
    return len(decoded(secret.reveal(), secret_format).rstrip(b"\0"))


def _text(raw: bytes) -> str:
    """Return a secret as text; nothing if it is random bytes, which may look like anything."""
    text = raw.decode(errors="replace")
    return text if text.strip().isprintable() and "\ufffd" not in text else ""


def _suspicions(raw: bytes) -> Iterator[str]:
    """Yield what looks wrong with a secret and what to do about it, without showing it."""
    if len(raw.rstrip(b"\0")) < _SHORTEST:
        yield f"is shorter than {_SHORTEST} bytes and could be guessed: use generate_secret()"
    elif len(set(raw)) < _FEWEST:
        yield "repeats itself and could be guessed: use generate_secret()"
    if raw.startswith(b"\xef\xbb\xbf"):
        yield "starts with a byte order mark, which editors put there and is part of the key"
    text = _text(raw)
    shown = text.strip()
    if text != shown:
        yield "starts or ends with white space, which is part of the key: was it meant?"
    if re.fullmatch(r"b?(\".*\"|'.*'|`.*`)", shown):
        yield "is in quotes, which are part of the key: remove them if the sender has none"
    if len(shown) <= _LONGEST_PLACEHOLDER and re.fullmatch(_PLACEHOLDER, shown):
        yield "looks like a placeholder: use generate_secret()"


def _suspicions_in_use(
    secret: Secret, secret_format: SecretFormat, rewritten_characters: str, prefix: str
) -> Iterator[str]:
    """Yield what looks wrong with a secret for a certain sender, without showing it."""
    text = _text(secret.reveal())
    shown = text.strip().strip("\"'`")
    if prefix and not shown.startswith(prefix):
        yield f"does not start with {prefix}, as this sender's do: was another one copied?"
    elif not prefix and re.match(_API_KEY, shown):
        yield "looks like an API key: webhooks are signed with a secret of their own"
    if set(rewritten_characters) & set(text):
        yield (
            f"contains one of {rewritten_characters}, which the sender may have stored in another "
            "spelling: use generate_secret()"
        )
    if secret_format == "text":
        return
    strength = _strength(secret, secret_format)
    if strength < _SHORTEST:
        yield f"stands for {strength} bytes only: use generate_secret()"
    elif re.fullmatch(_ENCODED, _text(decoded(secret.reveal(), secret_format))):
        yield "is encoded twice: what it stands for is hex or base64 again"


def _fits_header(raw: bytes) -> bool:
    """Whether a secret can be sent as it is, and cannot be taken for two headers."""
    text = _text(raw)
    return text.isascii() and text.isprintable() and text.strip() == text and "," not in text


def _warn(message: str) -> None:
    """Warn in the name of the first caller outside of this package."""
    depth, frame = 0, inspect.currentframe()
    package = __name__.partition(".")[0]
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, SecretWarning, stacklevel=depth + 1)
