"""Secrets: what one may be, how it is kept from sight, and the HMAC key made from it."""

from __future__ import annotations

import hmac
import inspect
import re
import secrets
import warnings
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterator, Sequence
from typing import Literal, NoReturn, TypeAlias

from frappe_hooksig.exceptions import ConfigurationError

#: The hash beneath the HMAC.
Digest: TypeAlias = Literal["sha1", "sha256", "sha512"]

#: How a provider writes its secrets: text whose UTF-8 bytes are the key, hex or base64 of the
#: key, or base64 behind `whsec_` as Standard Webhooks has it.
SecretFormat: TypeAlias = Literal["text", "hex", "base64", "whsec"]

_MASK = "**********"

# 128 bits, and no provider generates less.
_SHORTEST = 16

# What can never be the secret, whatever stands around it.
_REFUSED = (
    (
        rb"\*+",
        "is a row of asterisks, as forms show in its place: in Frappe, use doc.get_password()",
    ),
    (rb"Secret\('\*+'.*", "is the repr() of a Secret: pass the Secret itself"),
    (rb"v1,whsec_.*", "starts with v1,whsec_: leave out the v1,"),
    (
        rb"(whpk_|-----BEGIN ([A-Z]+ )*(PUBLIC KEY|CERTIFICATE)|ssh-|ecdsa-sha2-).*",
        "is a public key: what is needed is the secret that both sides share",
    ),
)
_API_KEY = re.compile(
    rb"(sk|rk|pk)_(live|test)_|gh[opsu]_|github_pat_|glpat-|xox[abp]-|shp(at|ca|pa)_|AKIA|AIza"
)
_PLACEHOLDER = re.compile(
    rb"\W*(change[-_ ]?me.*|(your|insert|replace)[-_ ].*|x+|todo|none|null|undefined|test"
    rb"|password|example|dummy|placeholder|redacted|filtered"
    rb"|((my|shared|frappe|webhook|super)[-_ ]?)*(secret|key))\W*",
    re.IGNORECASE,
)


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

    Raises:
        ConfigurationError: It is missing, empty, masked, a public key, or not str or bytes.
    """

    __slots__ = ("_value", "id")

    def __init__(self, value: str | bytes, *, id: str | None = None) -> None:  # noqa: A002
        self.id = id
        self._value = _as_bytes(value)
        problem = _refusal(value, self._value)
        if problem:
            del value  # error reporters show the local variables of the frame that raised
            raise ConfigurationError(problem)

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

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self


#: A secret, wrapped or not.
SecretLike: TypeAlias = Secret | str | bytes

#: One secret, or several during a rotation, the newest first.
Secrets: TypeAlias = SecretLike | Sequence[SecretLike]


class Key:
    """A secret made ready to sign with: the key schedule is done and the text is gone.

    Attributes:
        id: The secret's own id, else its position among those configured.
    """

    __slots__ = ("_keyed", "id")

    def __init__(self, key: bytes, digest: Digest, id: str | int) -> None:  # noqa: A002
        self._keyed = hmac.new(key, digestmod=digest)
        self.id = id

    def mac(self, before: bytes, body: bytes, after: bytes) -> bytes:
        """Return the HMAC over three parts in a row; not joined, so that no body is copied."""
        keyed = self._keyed.copy()
        if before:
            keyed.update(before)
        keyed.update(body)
        if after:
            keyed.update(after)
        return keyed.digest()


def make_keys(secret: Secrets | None, secret_format: SecretFormat, digest: Digest) -> list[Key]:
    """Return a key for each secret, in their order, and warn of those that look like mistakes.

    Raises:
        ConfigurationError: There is no secret, one cannot be used or is not written in
            `secret_format`, or two have the same id.
    """
    keys: list[Key] = []
    for position, each in enumerate(_wrapped(secret)):
        key_id = position if each.id is None else each.id
        key = _decoded(each.reveal(), secret_format)
        if not key:
            msg = f"secret {key_id} is not {_FORMATS[secret_format]}"
            raise ConfigurationError(msg)
        for suspicion in _suspicions(each.reveal(), key):
            warnings.warn(f"secret {key_id} {suspicion}", SecretWarning, _depth_of_caller())
        keys.append(Key(key, digest, key_id))
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

    >>> len(generate_secret())
    43
    >>> generate_secret("whsec").startswith("whsec_")
    True
    """
    if secret_format == "text":
        return secrets.token_urlsafe(32)
    key = secrets.token_bytes(32)
    if secret_format == "hex":
        return key.hex()
    return ("whsec_" if secret_format == "whsec" else "") + b64encode(key).decode()


_FORMATS: dict[SecretFormat, str] = {
    "text": "a text with a byte in it",
    "hex": "an even number of hex digits",
    "base64": "padded base64",
    "whsec": "padded base64, with or without whsec_ before it",
}


def _wrapped(secret: Secrets | None) -> list[Secret]:
    if isinstance(secret, Sequence) and not isinstance(secret, str | bytes):
        several = list(secret)
    else:
        several = [] if secret is None else [secret]
    if not several:
        msg = "no secret is set, and unsigned requests are never accepted"
        raise ConfigurationError(msg)
    return [each if isinstance(each, Secret) else Secret(each) for each in several]


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
    for pattern, problem in _REFUSED:
        if re.fullmatch(pattern, raw.strip(), re.DOTALL):
            return f"the secret {problem}"
    return None


def _decoded(raw: bytes, secret_format: SecretFormat) -> bytes:
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


def _suspicions(raw: bytes, key: bytes) -> Iterator[str]:
    """Yield what looks wrong with a secret and what to do about it, without showing it."""
    if raw != raw.strip():
        yield "starts or ends with white space, which is part of the key: was it meant?"
    if len(raw) > 1 and raw[:1] == raw[-1:] and raw[:1] in b"\"'`":
        yield "is in quotes, which are part of the key: remove them if the sender has none"
    if re.search(rb"[<>&]", raw):
        yield "contains <, > or &: Frappe may have stored it rewritten; use generate_secret()"
    if _PLACEHOLDER.fullmatch(raw):
        yield "looks like a placeholder: use generate_secret()"
    elif len(key) < _SHORTEST:
        yield f"is shorter than {_SHORTEST} bytes and could be guessed: use generate_secret()"
    if _API_KEY.match(raw):
        yield "looks like an API key: webhooks are signed with a secret of their own"


def _depth_of_caller() -> int:
    """Return the `stacklevel` at which a warning points out of this package."""
    depth, frame = 1, inspect.currentframe()
    package = __name__.partition(".")[0]
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        depth, frame = depth + 1, frame.f_back
    return depth - 1
