"""Check secrets: decode their formats, refuse unusable ones, and warn of suspicious ones.

No function here raises an error or shows a secret.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import warnings
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterator
from functools import lru_cache
from math import inf
from typing import Any, Literal, TypeAlias, TypeVar, cast

from frappe_hooksig.exceptions import SecretWarning

#: How a sender writes its secrets. "text": its UTF-8 bytes are the key. "hex" and "base64": it
#: encodes the key. "whsec": base64 with `whsec_` before it, as in Standard Webhooks.
SecretFormat: TypeAlias = Literal["text", "hex", "base64", "whsec"]

#: The window of a secret that is always valid, in Unix seconds.
ALWAYS = (-inf, inf)

#: Descriptions of the formats, for error messages.
FORMATS: dict[SecretFormat, str] = {
    "text": "text with at least one byte other than NUL",
    "hex": "an even number of hex digits, not all 0",
    "base64": "padded base64 of a key that is not all NUL",
    "whsec": "base64 of a key that is not all NUL, with or without whsec_ before it",
}

#: A place in the source, for warnings: the file and the line.
Place: TypeAlias = tuple[str, int]

# What a receiver can do: most senders make their secrets themselves.
_REMEDY = (
    "copy it again from the sender's page; if you choose it yourself, generate_secret() makes one"
)
#: What to do if a secret cannot be decoded although nothing is missing, for error messages.
TEXT_AS_KEY = (
    ". If it is complete, the sender uses its text as the key: "
    'dataclasses.replace(scheme, secret_format="text")'
)

_SHORTEST = 16  # bytes: 128 bits, and no provider generates less
_FEWEST = 4  # distinct bytes

# A text in capitals that can only be the name of an environment variable, and no secret. Its words
# are joined by underscores, and one of them is SECRET or similar. A word has up to 15 letters and
# up to 4 digits after them.
_NAME = (
    r"_?(?=(.*_)?(SECRET|(API)?KEY|TOKEN|(WEB)?HOOK|HMAC|SIGNING)S?(_|$))"
    r"([A-Z]{1,15}\d{0,4}|\d{1,4})(_([A-Z]{1,15}\d{0,4}|\d{1,4}))*"
)
_LONGEST_NAME = 64  # characters

_Value = TypeVar("_Value")

# Values that can never be a secret, with or without white space around them.
_REFUSED = (
    (
        rb"(\*|\xe2\x80\xa2|\xe2\x97\x8f)+",  # asterisks or bullets
        "is a row of asterisks or dots, copied from a form: in Frappe, use doc.get_password()",
    ),
    (rb"Secret\('\*+'.*", "is the repr() of a Secret: pass the Secret itself"),
    (rb"whsec_", "is empty after whsec_"),
    (rb"v1,whsec_.*", "starts with v1,whsec_: leave out the v1,"),
    (
        rb"(whpk_|-----BEGIN ([A-Z]+ )*(PUBLIC KEY|CERTIFICATE)|ssh-|ecdsa-sha2-).*",
        "is a public key: pass the secret that both sides share",
    ),
)
# Compiled on first use, because compiling them here would slow down the import.
_API_KEY = (
    r"(sk|rk|pk)_(live|test)_|gh[opsu]_|github_pat_|glpat-|xox[abp]-|shp(at|ca|pa)_|AKIA|AIza"
    r"|Bearer |Basic |token "
)
_PLACEHOLDER = (
    r"(?i)\W*(change[-_ ]?me.*|(your|insert|replace)[-_ ].*|todo|none|null|undefined|test"
    r"|password|example|dummy|placeholder|redacted|filtered"
    r"|((my|shared|frappe|webhook|super)[-_ ]?)*(secret|key))\W*"
)
_LONGEST_PLACEHOLDER = 64  # characters; limits the pattern's backtracking
# Random bytes almost never match: of 16 bytes, about half are above ASCII.
_ENCODED = r"(whsec_)?([0-9A-Fa-f]{32,}|[A-Za-z0-9+/]{22,}={0,2})"


def as_bytes(value: object) -> bytes:
    """Return a secret as bytes; empty if it is neither bytes nor valid text."""
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:  # the error would contain the secret
            return b""
    return bytes(value) if isinstance(value, bytes) else b""


def shown_name(name: object) -> str:
    """Return the name of an environment variable, for a message.

    Only the name of a variable that is set, or one that is clearly a name, is shown. Anything else
    may be the secret itself.
    """
    if isinstance(name, str) and name.isprintable():  # a lone surrogate cannot be looked up
        if name in os.environ:
            return name
        is_plain = len(name) <= _LONGEST_NAME and (name.isupper() or name.islower())
        if is_plain and re.fullmatch(_NAME, name.upper()):
            return name
    return "(its name is not shown: is it the secret itself?)"


def masked_unless(kinds: type | tuple[type, ...], value: _Value) -> _Value:
    """Return a value of the right type, or a mask: a value of another type may be a secret.

    The mask has nothing of the value but the name of its type, for the error. Call this in each
    function that takes the value, because error reporters show the local variables of every frame.
    """
    if isinstance(value, kinds):
        return value
    kind = type(value)
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    return cast("_Value", type(kind.__name__, (), names)())


def unknown_options(options: dict[str, object], known: frozenset[str]) -> str | None:
    """Return a message on unknown options, or None. Remove all, as a misspelt one may be a secret.

    Args:
        options: The options, of which none is kept if one is unknown.
        known: The names of all options.
    """
    unknown = sorted(options.keys() - known)
    if not unknown:
        return None
    options.clear()
    from difflib import get_close_matches  # rarely needed

    close = get_close_matches(unknown[0], sorted(known), n=1)
    hint = f"did you mean {close[0]}?" if close else f"the options are {', '.join(sorted(known))}"
    return f"unknown option {', '.join(unknown)}: {hint}"


def refusal(value: object, raw: bytes) -> str | None:
    """Return why a secret must be refused, as the end of a sentence, or None.

    Args:
        value: The secret as it was passed.
        raw: From `as_bytes()`.
    """
    if not isinstance(value, str | bytes):
        return f"must be str or bytes, not {type(value).__name__}"
    if not raw:
        return "is not valid Unicode" if value else "is empty"
    if not raw.strip(b"\0"):
        return "is nothing but NUL bytes, which HMAC treats as an empty key"
    for pattern, problem in _REFUSED:
        if re.fullmatch(pattern, raw.strip(), re.DOTALL):
            return problem
    return None


def decoded(raw: bytes, secret_format: SecretFormat) -> bytes:
    """Decode a secret into its key. Return no bytes if it does not have the format."""
    if secret_format == "text":
        return raw
    try:
        if secret_format == "hex":
            return bytes.fromhex(raw.decode("ascii")) if raw.isalnum() else b""
        text = raw.removeprefix(b"whsec_") if secret_format == "whsec" else raw
        if secret_format == "whsec" and b"=" not in text:
            text += b"=" * (-len(text) % 4)  # some senders leave the padding out
        key = b64decode(text, validate=True)
    except (ValueError, NotBase64):
        return b""
    return key if b64encode(key) == text else b""


def strength(raw: bytes, secret_format: SecretFormat) -> int:
    """Return the key's length in bytes, without trailing NULs, which HMAC adds anyway."""
    return len(decoded(raw, secret_format).rstrip(b"\0"))


def fits_header(raw: bytes) -> bool:
    """Whether a secret can be sent in a header, and not be mistaken for two joined headers."""
    text = raw.decode("latin-1")
    return text.isascii() and text.isprintable() and text.strip() == text and "," not in text


def suspicions(raw: bytes) -> Iterator[str]:
    """Yield a warning for each suspicious feature of a secret, with its remedy."""
    if len(raw.rstrip(b"\0")) < _SHORTEST:
        yield f"is shorter than {_SHORTEST} bytes and could be guessed: {_REMEDY}"
    elif len(set(raw)) < _FEWEST:
        yield f"repeats itself and could be guessed: {_REMEDY}"
    if raw.startswith(b"\xef\xbb\xbf"):
        yield "starts with a byte order mark, which is part of the key: save the file without it"
    text = _text(raw)
    shown = text.strip()
    if text != shown:
        yield "starts or ends with white space, which is part of the key: remove it unless meant"
    if re.fullmatch(r"b?(\".*\"|'.*'|`.*`)", shown):
        yield "is in quotes, which are part of the key: remove them if the sender shows none"
    if len(shown) <= _LONGEST_PLACEHOLDER and re.fullmatch(_PLACEHOLDER, shown):
        yield f"looks like a placeholder: {_REMEDY}"


def suspicions_in_use(
    raw: bytes, secret_format: SecretFormat, rewritten_characters: str, prefix: str
) -> Iterator[str]:
    """Yield a warning for each feature of a secret that is suspicious for its sender.

    Args:
        raw: The secret.
        secret_format: How the sender writes its secrets.
        rewritten_characters: Characters that the sender may store in another spelling.
        prefix: The prefix of the sender's secrets, or an empty text.
    """
    text = _text(raw)
    shown = text.strip().strip("\"'`")
    if prefix and not shown.startswith(prefix):
        yield f"does not start with {prefix}, unlike all secrets of this sender: copy it again"
    elif not prefix and re.match(_API_KEY, shown):
        yield "looks like an API key: use the secret that the sender shows for the webhook"
    if set(rewritten_characters) & set(text):
        yield (
            f"contains one of {rewritten_characters}, which the sender may replace when it stores "
            "the secret: choose another one, such as from generate_secret()"
        )
    if secret_format == "text":
        return
    length = strength(raw, secret_format)
    if length < _SHORTEST:
        yield f"decodes to {length} bytes only and could be guessed: {_REMEDY}"
    elif re.fullmatch(_ENCODED, _text(decoded(raw, secret_format))):
        yield "looks encoded twice, because it decodes to hex or base64: pass the decoded text"


class Origin:
    """Where plain secrets come from.

    Attributes:
        name: The setting, the environment variable or the argument, for messages.
        place: The place in the source to blame for a secret that is read later; None for the
            place that is running.
    """

    __slots__ = ("name", "place")

    def __init__(self, name: str, place: Place | None = None) -> None:
        self.name = name
        self.place = place


def warn(message: str, place: Place | None = None) -> None:
    """Issue a `SecretWarning`, and log it once.

    Args:
        message: The message.
        place: The place to blame; by default that of the first caller outside of this package.
    """
    if "logging" in sys.modules:  # a program that has not loaded it has no log
        _log_once(message)
    file, line = place or running_place()
    warnings.warn_explicit(message, SecretWarning, file, line, registry=_shown)


def running_place() -> Place:
    """Return the place of the first caller outside of this package."""
    frame = inspect.currentframe()
    package = __name__.partition(".")[0]
    while frame and (
        frame.f_globals.get("__name__", "").partition(".")[0] == package
        or frame.f_code.co_filename.startswith("<frozen ")  # that imports this package
    ):
        frame = frame.f_back
    return ("sys", 1) if frame is None else (frame.f_code.co_filename, frame.f_lineno)


_shown: dict[Any, Any] = {}  # the warnings that Python has shown already


@lru_cache(maxsize=256)
def _log_once(message: str) -> None:
    import logging  # only if it is loaded anyway

    logging.getLogger("frappe_hooksig").warning("%s", message)


def _text(raw: bytes) -> str:
    """Return a secret as text; empty if it is binary, because random bytes can match anything."""
    text = raw.decode(errors="replace")
    return text if text.strip().isprintable() and "\ufffd" not in text else ""
