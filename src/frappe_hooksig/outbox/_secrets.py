"""Secrets and headers of endpoints: names of where they are, or encrypted; never plain."""

from __future__ import annotations

import hmac
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.secret import Secret

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

_ENCRYPTED: Final = "encrypted"
# A stored secret that was replaced: when it ends, in milliseconds, before what is encrypted.
_WITH_END: Final = re.compile(rf"{_ENCRYPTED}:([0-9]{{1,13}}):(.*)", re.DOTALL)
_LONGEST: Final = 4096  # characters of a reference, as of a path


class Unavailable(Exception):
    """A secret or a header of an endpoint cannot be had, so nothing can be sent to it.

    Attributes:
        reason: `secret-missing`, `key-missing`, or `secret-unreadable` if a function of the app has
            failed, which may pass.
    """

    def __init__(self, message: str, reason: str = "secret-missing") -> None:
        super().__init__(message)
        self.reason = reason


class Vault:
    """Reads what a row of an endpoint refers to.

    A reference is `env:NAME`, `file:/path`, one with a prefix of the app's own, or
    `encrypted:...`. The latter has the endpoint's id inside, so that whoever can write rows
    cannot let one endpoint sign with the secret of another. After a rotation, that of the old
    secret is `encrypted:END:...`, with the time at which it ends.

    Args:
        keys: Fernet keys for what is stored encrypted, the newest first.
        references: A function for each further prefix: it gets the rest of the reference, and
            returns the value, or None if there is none.

    Raises:
        ConfigurationError: A key or a prefix cannot be used.
    """

    def __init__(
        self,
        keys: Sequence[str | bytes],
        references: Mapping[str, Callable[[str], str | None]],
    ) -> None:
        several = [keys] if isinstance(keys, str | bytes) else [*keys]
        del keys
        self._fernet = _fernet_of(several) if several else None
        for prefix, function in references.items():
            is_word = isinstance(prefix, str) and prefix.isidentifier()
            if prefix == _ENCRYPTED or not is_word or not callable(function):
                msg = (
                    "references= must be a dict with a function for each prefix, "
                    'such as {"vault": read_vault}'
                )
                raise ConfigurationError(msg)
        self._readers = {**_BUILT_IN, **references}

    def encrypted(self, endpoint: str, secret: Secret) -> str:
        """Return a reference that contains a secret, encrypted.

        Raises:
            ConfigurationError: There is no key to encrypt with.
        """
        return self.sealed(endpoint, secret.reveal().decode("utf-8", "surrogateescape"))

    def sealed(self, endpoint: str, text: str) -> str:
        """Return a reference that contains any text, encrypted.

        Raises:
            ConfigurationError: There is no key to encrypt with.
        """
        if self._fernet is None:
            del text
            msg = (
                "a secret can only be stored encrypted: give the outbox keys= "
                "(cryptography.fernet.Fernet.generate_key()), or name where the secret is with "
                "secret_from=, such as env:NAME"
            )
            raise ConfigurationError(msg)
        token = self._fernet.encrypt(json.dumps([endpoint, text]).encode())
        return f"{_ENCRYPTED}:{token.decode()}"

    def check(self, reference: object) -> str:
        """Return a reference, if it is one.

        Raises:
            ConfigurationError: It has no known prefix, or has characters that no name has.
        """
        prefix, colon, rest = reference.partition(":") if isinstance(reference, str) else ("",) * 3
        del reference  # somebody may have passed the secret itself
        # Not every database stores what cannot be printed, and errors quote the reference.
        if prefix in self._readers and 0 < len(rest) <= _LONGEST and rest.isprintable():
            return f"{prefix}{colon}{rest}"
        del prefix, rest
        msg = (
            "a reference must begin with "
            f"{', '.join(f'{each}:' for each in self._readers)} and name where the value is, "
            "such as env:NAME, in characters that can be printed"
        )
        raise ConfigurationError(msg)

    def read(self, endpoint: str, reference: str) -> str:
        """Return what a reference stands for. Bytes that are no UTF-8 are surrogates in it.

        Raises:
            Unavailable: It is not there, or cannot be decrypted.
        """
        prefix, _, rest = reference.partition(":")
        if prefix == _ENCRYPTED:
            return self._decrypted(endpoint, _token_of(reference))
        reader = self._readers.get(prefix)
        if reader is None:
            msg = f"nothing is known to read {prefix}: references (references= of the outbox)"
            raise Unavailable(msg)
        value: object
        try:
            value = reader(rest)
        except Exception as error:  # noqa: BLE001  # what the app's own function raises
            msg = f"{reference} cannot be read: {type(error).__name__}"
            raise Unavailable(
                msg, "secret-missing" if prefix in _BUILT_IN else "secret-unreadable"
            ) from None
        if not value:
            msg = f"{reference} is not there, or is empty"
            raise Unavailable(msg)
        if not isinstance(value, str):
            del value  # error reporters show the local variables of every frame
            msg = f"{reference} cannot be used: its function returned no str"
            raise Unavailable(msg)
        return value

    def problem(self, endpoint: str, reference: str) -> str:
        """Return why a reference that is encrypted cannot be decrypted; empty if it can be."""
        try:
            self._decrypted(endpoint, _token_of(reference))
        except Unavailable as error:
            return str(error)
        return ""

    def rotated(self, endpoint: str, reference: str) -> str:
        """Return a reference whose value is encrypted with the newest key, if it is encrypted.

        Raises:
            Unavailable: It cannot be decrypted.
        """
        if not is_encrypted(reference):
            return reference
        token = _token_of(reference)
        self._decrypted(endpoint, token)  # refuses one of another endpoint
        anew = f"{_ENCRYPTED}:{self._keys.rotate(token.encode()).decode()}"
        end = end_of(reference)
        return anew if end is None else _ending(anew, end)

    def replaced(
        self, endpoint: str, references: Sequence[str], secret: Secret, *, end: int, most: int
    ) -> list[str]:
        """Return the references of secrets after a rotation, that of the new secret first.

        Args:
            endpoint: The endpoint.
            references: Those of the secrets so far, the newest first, all of them encrypted.
            secret: The new secret.
            end: When those so far end, in milliseconds. One that ends before keeps its end.
            most: How many there may be. The oldest ones go.

        Raises:
            ConfigurationError: The new secret is the newest already, or there is no key.
        """
        kept: list[str] = []
        for number, each in enumerate(references):
            with suppress(Unavailable):  # its key is lost, so nobody can sign with it any more
                if not self._is_of(endpoint, each, secret):
                    kept.append(_ending(each, min(end, end_of(each) or end)))
                elif not number:
                    msg = "secret= is the secret of the endpoint already: a rotation needs another"
                    raise ConfigurationError(msg)
        return [self.encrypted(endpoint, secret), *kept][:most]

    def _is_of(self, endpoint: str, reference: str, secret: Secret) -> bool:
        stored = self.read(endpoint, reference).encode("utf-8", "surrogateescape")
        return hmac.compare_digest(stored, secret.reveal())

    @property
    def _keys(self) -> MultiFernet:
        if self._fernet is None:
            msg = "the value is stored encrypted, and the outbox has no keys (keys=)"
            raise Unavailable(msg, "key-missing")
        return self._fernet

    def _decrypted(self, endpoint: str, token: str) -> str:
        keys = self._keys
        from cryptography.fernet import InvalidToken

        try:
            text = keys.decrypt(token.encode())
        except InvalidToken:
            msg = "the value is stored encrypted, with another key than those in keys="
            raise Unavailable(msg, "key-missing") from None
        owner = value = None
        with suppress(ValueError, TypeError):  # it is nothing that sealed() has made
            owner, value = json.loads(text)
            if owner == endpoint:
                return str(value)
        del text, owner, value  # error reporters show the local variables of every frame
        msg = "the stored value belongs to another endpoint"
        raise Unavailable(msg)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def is_encrypted(reference: str) -> bool:
    """Whether a reference contains its value, encrypted."""
    return reference.startswith(f"{_ENCRYPTED}:")


def end_of(reference: str) -> int | None:
    """Return when a secret ends, in milliseconds since 1970; None if it has no end."""
    found = _WITH_END.fullmatch(reference)
    return None if found is None else int(found[1])


def not_ended(references: Iterable[str], now: float) -> list[str]:
    """Return the references of secrets that have not ended at a time, in milliseconds."""
    return [each for each in references if (end := end_of(each)) is None or now < end]


def in_use(references: Iterable[str], now: float, most: int) -> list[str]:
    """Return the references of secrets that have not ended, and that a scheme has room for.

    Args:
        references: All of them, the newest first.
        now: The time, in milliseconds.
        most: How many signatures a request can carry. Secrets without an end are never dropped.
    """
    return [
        each
        for place, each in enumerate(not_ended(references, now))
        if place < most or end_of(each) is None
    ]


def _ending(reference: str, end: int) -> str:
    return f"{_ENCRYPTED}:{end}:{_token_of(reference)}"


def _token_of(reference: str) -> str:
    found = _WITH_END.fullmatch(reference)
    return reference.partition(":")[2] if found is None else found[2]


def _fernet_of(keys: list[Any]) -> MultiFernet:
    try:
        from cryptography.fernet import Fernet, MultiFernet
    except ModuleNotFoundError as error:
        msg = "keys= needs cryptography: pip install 'frappe-hooksig[encryption]'"
        raise ModuleNotFoundError(msg, name=error.name) from None
    fernet: MultiFernet | None = None
    with suppress(ValueError, TypeError):
        fernet = MultiFernet([Fernet(each) for each in keys])
    keys.clear()  # error reporters show the local variables of every frame
    if fernet is None:
        msg = "keys= must be Fernet keys: cryptography.fernet.Fernet.generate_key() makes one"
        raise ConfigurationError(msg)
    return fernet


def _read_file(path: str) -> str:
    """Return what a file contains, without the line end that editors add."""
    return Path(path).read_text("utf-8").removesuffix("\n").removesuffix("\r")


_BUILT_IN: Final[Mapping[str, Callable[[str], str | None]]] = {
    "env": os.environ.get,
    "file": _read_file,
}
