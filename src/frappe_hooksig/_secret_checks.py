"""What a secret may be: the formats that senders use, what is refused, and what looks wrong.

Nothing here raises, or shows a secret.
"""

from __future__ import annotations

import inspect
import re
import warnings
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterator
from math import inf
from typing import Literal, TypeAlias

from frappe_hooksig.exceptions import SecretWarning

#: How a sender writes its secrets: text whose UTF-8 bytes are the key, hex or base64 of the
#: key, or base64 behind `whsec_` as Standard Webhooks has it.
SecretFormat: TypeAlias = Literal["text", "hex", "base64", "whsec"]

#: The window of a secret that is always valid, in Unix seconds.
ALWAYS = (-inf, inf)

#: What a secret has to be in each format, for error messages.
FORMATS: dict[SecretFormat, str] = {
    "text": "a text with a byte in it other than NUL",
    "hex": "an even number of hex digits, not all 0",
    "base64": "padded base64 of a key that is not all NUL",
    "whsec": "padded base64 of a key that is not all NUL, with or without whsec_ before it",
}

_SHORTEST = 16  # bytes: 128 bits, and no provider generates less
_FEWEST = 4  # different bytes

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
_LONGEST_PLACEHOLDER = 64  # characters; keeps the pattern's backtracking short
# What random bytes nearly never look like: half of 16 are above ASCII.
_ENCODED = r"(whsec_)?([0-9A-Fa-f]{32,}|[A-Za-z0-9+/]{22,}={0,2})"


def as_bytes(value: object) -> bytes:
    """Return the bytes of a secret; none if it has none."""
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:  # the error would carry the secret along
            return b""
    return bytes(value) if isinstance(value, bytes) else b""


def refusal(value: object, raw: bytes) -> str | None:
    """Return why a secret can never be right, for the end of a sentence, or None.

    Args:
        value: The secret as it was passed.
        raw: From `as_bytes()`.
    """
    if not isinstance(value, str | bytes):
        return f"must be str or bytes, not {type(value).__name__}"
    if not raw:
        return "is not valid Unicode" if value else "is empty"
    if not raw.strip(b"\0"):
        return "is nothing but NUL bytes, which to HMAC is an empty key"
    for pattern, problem in _REFUSED:
        if re.fullmatch(pattern, raw.strip(), re.DOTALL):
            return problem
    return None


def decoded(raw: bytes, secret_format: SecretFormat) -> bytes:
    """Return the key that a secret stands for; no bytes if it is not written in its format."""
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


def strength(raw: bytes, secret_format: SecretFormat) -> int:
    """Return the length of the key in bytes, without NULs at its end, which HMAC adds itself."""
    return len(decoded(raw, secret_format).rstrip(b"\0"))


def fits_header(raw: bytes) -> bool:
    """Whether a secret can be sent in a header, and cannot be read as two headers."""
    text = _text(raw)
    return text.isascii() and text.isprintable() and text.strip() == text and "," not in text


def suspicions(raw: bytes) -> Iterator[str]:
    """Yield what looks wrong with a secret and what to do about it."""
    if len(raw.rstrip(b"\0")) < _SHORTEST:
        yield f"is shorter than {_SHORTEST} bytes and could be guessed: use generate_secret()"
    elif len(set(raw)) < _FEWEST:
        yield "repeats itself and could be guessed: use generate_secret()"
    if raw.startswith(b"\xef\xbb\xbf"):
        yield "starts with a byte order mark, which editors put there and which is part of the key"
    text = _text(raw)
    shown = text.strip()
    if text != shown:
        yield "starts or ends with white space, which is part of the key: was it meant?"
    if re.fullmatch(r"b?(\".*\"|'.*'|`.*`)", shown):
        yield "is in quotes, which are part of the key: remove them if the sender has none"
    if len(shown) <= _LONGEST_PLACEHOLDER and re.fullmatch(_PLACEHOLDER, shown):
        yield "looks like a placeholder: use generate_secret()"


def suspicions_in_use(
    raw: bytes, secret_format: SecretFormat, rewritten_characters: str, prefix: str
) -> Iterator[str]:
    """Yield what looks wrong with a secret for a certain sender.

    Args:
        raw: The secret.
        secret_format: How the sender writes its secrets.
        rewritten_characters: Characters that the sender may store in another spelling.
        prefix: What the sender's secrets start with.
    """
    text = _text(raw)
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
    length = strength(raw, secret_format)
    if length < _SHORTEST:
        yield f"stands for {length} bytes only: use generate_secret()"
    elif re.fullmatch(_ENCODED, _text(decoded(raw, secret_format))):
        yield "is encoded twice: what it stands for is hex or base64 again"


def warn(message: str) -> None:
    """Give a `SecretWarning` that points to the first caller outside of this package."""
    depth, frame = 0, inspect.currentframe()
    package = __name__.partition(".")[0]
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, SecretWarning, stacklevel=depth + 1)


def _text(raw: bytes) -> str:
    """Return a secret as text; nothing if it is random bytes, which may look like anything."""
    text = raw.decode(errors="replace")
    return text if text.strip().isprintable() and "\ufffd" not in text else ""
