"""`Secret`: a shared secret that never shows in logs, and `generate_secret()`."""

from __future__ import annotations

import hmac
import os
import secrets
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from math import inf, isfinite
from typing import NoReturn, TypeAlias

from frappe_hooksig._secret_checks import (
    ALWAYS,
    FORMATS,
    SecretFormat,
    as_bytes,
    refusal,
    shown_name,
    suspicions,
    warn,
)
from frappe_hooksig.exceptions import ConfigurationError

__all__ = [
    "Secret",
    "SecretFormat",
    "SecretLike",
    "Secrets",
    "generate_secret",
]

_MASK = "**********"


class Secret:
    """A shared secret that does not show in repr, str, format, logs or pickles.

    A plain `str` or `bytes` works wherever a `Secret` does. Use `Secret` to give it an id or a time
    limit, or to hide it in your own code too.

    The secret is used byte for byte, and nothing is stripped. Frappe signs with exactly the text in
    its form, including a trailing newline.

    Args:
        value: The secret, as the sender shows it. A str is encoded as UTF-8.
        id: The value of `Delivery.secret_id` if this secret matches. By default None.
        not_before: When this side starts to use the secret, by its own clock: Unix seconds or an
            aware datetime. By default there is no limit.
        not_after: When this side stops using the secret: Unix seconds or an aware datetime. By
            default there is no limit.

    Raises:
        ConfigurationError: The secret is missing, empty, masked or a public key. Or it is neither
            str nor bytes. Or `not_before` is not earlier than `not_after`.
    """

    __slots__ = ("_id", "_not_after", "_not_before", "_source", "_value")

    def __init__(
        self,
        value: str | bytes,
        *,
        id: str | None = None,  # noqa: A002
        not_before: float | datetime | None = None,
        not_after: float | datetime | None = None,
    ) -> None:
        self._id = id
        self._value = as_bytes(value)
        problem = refusal(value, self._value)
        del value  # error reporters show the local variables of every frame
        self._describe(problem, "", not_before, not_after)

    @classmethod
    def from_env(
        cls,
        name: str,
        *,
        id: str | None = None,  # noqa: A002
        not_before: float | datetime | None = None,
        not_after: float | datetime | None = None,
    ) -> Secret:
        """Read a secret from an environment variable.

        This call reads the variable, once. Call it when the app starts, so that a missing secret is
        found at once. Errors and warnings name the variable.

        Args:
            name: The variable's name, such as `STRIPE_WEBHOOK_SECRET`.
            id: As for `Secret`.
            not_before: As for `Secret`.
            not_after: As for `Secret`.

        Raises:
            ConfigurationError: The variable is not set, is empty, or contains no usable secret.
        """
        # Someone may pass the secret itself. Then it must not be in the error, nor in a variable.
        source = f"the environment variable {shown_name(name)}"
        is_set = isinstance(name, str) and name.isprintable() and name in os.environ
        secret = cls.__new__(cls)
        secret._id = id  # noqa: SLF001  # ours
        secret._value = os.fsencode(os.environ[name]) if is_set else b""  # noqa: SLF001  # ours
        del name
        if not is_set:
            msg = f"{source} is not set: it must contain a secret"
            raise ConfigurationError(msg)
        problem = refusal(secret.reveal(), secret.reveal())
        secret._describe(problem, source, not_before, not_after)  # noqa: SLF001
        return secret

    def _describe(
        self,
        problem: str | None,
        source: str,
        not_before: float | datetime | None,
        not_after: float | datetime | None,
    ) -> None:
        """Set source and limits. Refuse an unusable secret, and warn of a suspicious one."""
        self._source = source
        self._not_before, self._not_after = ALWAYS
        if not problem:
            self._not_before = _moment(not_before, -inf)
            self._not_after = _moment(not_after, inf)
            if not self._not_before < self._not_after:
                problem = "is never valid: not_before must be earlier than not_after"
        subject = source or ("the secret" if self._id is None else f"the secret {self._id!r}")
        if problem:
            msg = f"{subject} {problem}"
            raise ConfigurationError(msg)
        for suspicion in suspicions(self._value):
            warn(f"{subject} {suspicion}")

    @property
    def id(self) -> str | None:
        """The value of `Delivery.secret_id` if this secret matches."""
        return self._id

    @property
    def not_before(self) -> float:
        """When this side starts to use the secret, in Unix seconds; `-inf` without a limit."""
        return self._not_before

    @property
    def not_after(self) -> float:
        """When this side stops using the secret, in Unix seconds; `inf` without a limit."""
        return self._not_after

    @property
    def source(self) -> str:
        """The secret's origin, for messages; empty if the secret was passed to `Secret()`."""
        return self._source

    def reveal(self) -> bytes:
        """Return the secret itself. Do not keep it in a variable: error reporters show those."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret('{_MASK}')" if self.id is None else f"Secret('{_MASK}', id={self.id!r})"

    def __str__(self) -> str:
        return _MASK

    def __reduce__(self) -> NoReturn:
        msg = "a Secret cannot be pickled: pass its name, and read the secret where it is used"
        raise TypeError(msg)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        is_same = hmac.compare_digest(self._value, other._value)
        return is_same and self._described() == other._described()

    def __hash__(self) -> int:
        return hash((self._described(), self._value))

    def _described(self) -> tuple[str | None, float, float]:
        return self._id, self._not_before, self._not_after

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self


#: A secret, wrapped or not.
SecretLike: TypeAlias = Secret | str | bytes

#: One secret, or several during a rotation, the newest first.
Secrets: TypeAlias = SecretLike | Sequence[SecretLike]


def generate_secret(secret_format: SecretFormat | tuple[SecretFormat, ...] = "text") -> str:
    """Return a new secret of 32 random bytes.

    By default it is URL-safe text, which Frappe's Webhook form stores unchanged. Frappe rewrites
    `<`, `>` and `&` in a secret that looks like HTML.

    A secret begins with a letter or a digit, so that no command takes it for an option or a path.
    It ends with one too, or with the `=` of base64. This costs less than a tenth of a bit.

    Args:
        secret_format: How the scheme writes its secrets: `Scheme.secret_format`. Of several
            formats, the first is used.

    Raises:
        ConfigurationError: `secret_format` is unknown.

    >>> len(generate_secret())
    43
    >>> generate_secret("whsec").startswith("whsec_")
    True
    """
    if isinstance(secret_format, tuple):
        secret_format = secret_format[0]
    if secret_format not in FORMATS:
        del secret_format  # it may be a secret, and error reporters show local variables
        msg = f"secret_format= must be one of {', '.join(FORMATS)}: see Scheme.secret_format"
        raise ConfigurationError(msg)
    # A first byte below 248 makes the first character a letter or a digit, in both kinds of base64.
    # The last one always is: of 32 bytes, it has 4 bits.
    key = bytes([secrets.randbelow(248)]) + secrets.token_bytes(31)
    if secret_format == "text":
        return urlsafe_b64encode(key).rstrip(b"=").decode()
    if secret_format == "hex":
        return key.hex()
    return ("whsec_" if secret_format == "whsec" else "") + b64encode(key).decode()


def _moment(given: float | datetime | None, default: float) -> float:
    """Return `not_before` or `not_after` in Unix seconds.

    Raises:
        ConfigurationError: It is neither a finite number nor an aware datetime.
    """
    if given is None:
        return default
    if isinstance(given, datetime):
        if given.utcoffset() is not None:
            return given.timestamp()
    elif isinstance(given, int | float) and not isinstance(given, bool):
        with suppress(OverflowError):  # an int that is too large for a float
            if isfinite(given):
                return float(given)
    msg = "not_before and not_after must be Unix seconds or a datetime with its time zone"
    raise ConfigurationError(msg)
