"""Secrets: refused with a ConfigurationError that does not show them, or good to sign with."""

from __future__ import annotations

import re
import warnings
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, NamedTuple

from frappe_hooksig import ConfigurationError, Scheme, Secret, SecretWarning, Signer, Verifier
from frappe_hooksig.secret import SecretFormat
from fuzz import hostile
from fuzz.dice import Dice
from fuzz.edits import EDITS
from fuzz.oracle import Message, mac, signed_headers
from fuzz.target import ACCEPTED, Escape, Target

_FORMATS: tuple[tuple[SecretFormat, ...], ...] = (
    *(("text",), ("hex",), ("base64",), ("whsec",)),
    *(("text", "whsec"), ("hex", "base64"), ("base64", "whsec")),
)

_SCHEMES: dict[tuple[SecretFormat, ...], Scheme] = {
    secret_format: Scheme(
        name="-".join(secret_format),
        signature_header="X-Signed",
        encoding="hex",
        secret_format=secret_format,
        rewritten_characters="<>&",
    )
    for secret_format in _FORMATS
}

# What people take for a secret, or paste along with it.
_AROUND = (
    *(" {}", "{}\n", "{}\r\n", "'{}'", '"{}"', "b'{}'", "<{}>", "whsec_{}", "v1,whsec_{}", "{}\0"),
    *("Secret('{}')", "Secret('**********{}", "whpk_{}", "sk_live_{}", "Bearer {}", "{}=", "{}%0A"),
    *(
        "-----BEGIN PUBLIC KEY-----\n{}",
        "ssh-rsa {}",
        "your-{}",
        "changeme{}",
        "\ufeff{}",
        "\ud800{}",
    ),
    *(
        "*{}",
        "********",
        "\u2022\u2022\u2022\u2022",
        "{}é",
        "{}\ud800",
        "\0\0",
        "",
        "whsec_",
        "secret",
    ),
)

_ODD: tuple[Any, ...] = (
    *(None, 0, 1.5, True, b"", [], (), {}, set[str](), [None], [[]], [""], ["a" * 20, None]),
    *(bytearray(b"a" * 20), memoryview(b"a" * 20), object, ["a" * 20, "a" * 20]),
)


class Given(NamedTuple):
    """What is given as a secret.

    Attributes:
        secret_format: The formats in which it may be written.
        secret: What is given.
        beside: Another that is given before it; empty if there is none.
        wrapped: Whether it is made a `Secret` first.
        hidden: A text within it that no error may show; empty if there is none.
        right: Whether it must be taken.
        strict: Whether `SecretWarning` is an error, as under `python -W error`.
    """

    secret_format: tuple[SecretFormat, ...]
    secret: Any
    beside: str
    wrapped: bool
    hidden: str
    right: bool
    strict: bool


class SecretTexts(Target):
    """`Secret`, `Verifier` and `Signer` given a secret."""

    name = "secrets"

    def cases(self, dice: Dice) -> Iterator[Given]:
        """Yield secrets that are right, nearly right, and none."""
        while True:
            secret_format = dice.pick(_FORMATS)
            strict = dice.chance(0.1)
            beside = ""
            if dice.chance(0.1):
                secret = dice.pick(_ODD) if dice.chance(0.5) else hostile.value(dice)
                wrapped = dice.chance(0.3)
                yield Given(secret_format, secret, beside, wrapped, "", right=False, strict=strict)
                continue
            key = dice.randbytes(dice.pick((1, 8, 16, 24, 32, 63, 64, 65, 200)))
            text = _written(dice, dice.pick(secret_format), key)
            right, secret = any(key), text
            if dice.chance(0.6):
                right = False
                text = dice.pick(_AROUND).replace("{}", text)
                secret = dice.pick(EDITS)(dice, text) if dice.chance(0.5) else text
            if isinstance(secret, str) and dice.chance(0.2):
                secret = secret.encode("utf-8", "surrogatepass")
            hidden = text if len(text) >= 16 and re.fullmatch("[A-Za-z0-9+/=_]+", text) else ""
            if dice.chance(0.1):
                beside = hostile.word(dice, 20, 20)
                right = right and "text" in secret_format
            wrapped = dice.chance(0.5)
            yield Given(secret_format, secret, beside, wrapped, hidden, right, strict)

    def judge(self, case: Given) -> str:
        """Try to make a verifier of it, and compare its MACs with the oracle's."""
        scheme = _SCHEMES[case.secret_format]
        secret = case.secret
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("error" if case.strict else "always", SecretWarning)
            try:
                secret = Secret(secret) if case.wrapped else secret
                secret = [case.beside, secret] if case.beside else secret
                verifier = Verifier(secret, scheme=scheme)
                signer = Signer(secret, scheme=scheme)
            except ConfigurationError as error:
                _discreet(error, case.hidden)
                if case.right:
                    msg = f"right, but refused: {error}"
                    raise Escape(msg) from None
                return "configuration-error"
            except SecretWarning as error:
                _discreet(error, case.hidden)
                if not case.strict:
                    raise
                return "warning"
        for each in caught:
            _discreet(each.message, case.hidden)
        if case.hidden and case.hidden in f"{verifier!r} {signer!r}":
            msg = f"shown by {verifier!r} or {signer!r}"
            raise Escape(msg)
        keys = keys_of(case.beside or _first(case.secret), case.secret_format)
        if not keys:
            msg = "taken, but it stands for no key"
            raise Escape(msg)
        _agree(verifier, signer, keys)
        return ACCEPTED


def _agree(verifier: Verifier, signer: Signer, keys: list[bytes]) -> None:
    """See that the MAC of each key is verified, and that of the first one made."""
    message = Message(b"{}")
    several = [
        signed_headers(signer.scheme, [mac(signer.scheme, key, message)], message) for key in keys
    ]
    for headers in several:
        verifier.verify(message.body, headers)
    if signer.sign(message.body).headers != several[0]:
        msg = "it signs with another key"
        raise Escape(msg)


def _first(secret: Any) -> Any:
    return secret if isinstance(secret, str | bytes) else secret[0]


def _written(dice: Dice, secret_format: SecretFormat, key: bytes) -> str:
    if secret_format == "text":
        return hostile.word(dice, len(key), len(key))
    if secret_format == "hex":
        return key.hex().upper() if dice.chance(0.2) else key.hex()
    start = "whsec_" if secret_format == "whsec" and dice.chance(0.7) else ""
    text = start + b64encode(key).decode()
    return text.rstrip("=") if secret_format == "whsec" and dice.chance(0.2) else text


def keys_of(secret: object, formats: Iterable[SecretFormat]) -> list[bytes]:
    """Return the keys that a secret stands for, one for each format that it can be read in."""
    return [key for each in formats if (key := key_of(secret, each)) is not None]


def key_of(secret: object, secret_format: str) -> bytes | None:
    """Return the key that a secret stands for, by the definition of its format."""
    if not isinstance(secret, str | bytes):
        return None
    try:
        raw = secret.encode() if isinstance(secret, str) else secret
    except UnicodeEncodeError:
        return None
    key = b""
    if secret_format == "text":
        key = raw
    elif secret_format == "hex" and re.fullmatch(rb"([0-9A-Fa-f]{2})+", raw):
        key = bytes.fromhex(raw.decode())
    elif secret_format in {"base64", "whsec"}:
        if secret_format == "whsec" and raw.startswith(b"whsec_"):
            raw = raw[6:]
        if secret_format == "whsec" and b"=" not in raw:
            raw += b"=" * (-len(raw) % 4)
        if re.fullmatch(rb"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", raw):
            key = b64decode(raw)
            key = key if b64encode(key) == raw else b""
    return key if key.strip(b"\0") else None


def _discreet(error: BaseException | Warning | str, hidden: str) -> None:
    """See that neither an error nor the package's frames that it came through show a text."""
    if not hidden:
        return
    raw = hidden.encode()
    forms = (hidden, b64encode(raw).decode(), urlsafe_b64encode(raw).decode(), raw.hex())
    while isinstance(error, BaseException):
        shown = f"{error} {error!r} {error.args!r} {_locals(error.__traceback__)}"
        if any(form in shown for form in forms):
            msg = f"shown by {type(error).__name__}: {shown[:500]}"
            raise Escape(msg)
        error = error.__cause__ or error.__context__ or ""


def _locals(where: TracebackType | None) -> str:
    """Return the local variables of the package's frames, as error reporters record them."""
    shown: list[str] = []
    while where:
        if where.tb_frame.f_globals.get("__name__", "").startswith("frappe_hooksig"):
            shown.append(repr(where.tb_frame.f_locals))
        where = where.tb_next
    return " ".join(shown)
