"""What a secret may have been at the sender. To add a cause, write a function, and list it below.

The arguments and results are secrets. `_tries.py` keeps the frames of this module out of errors.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from binascii import hexlify
from collections.abc import Callable, Iterator
from contextlib import suppress
from html import escape, unescape
from typing import Final, NamedTuple, TypeAlias
from unicodedata import normalize
from urllib.parse import quote_from_bytes, unquote_to_bytes

from frappe_hooksig._secret_checks import decoded
from frappe_hooksig.explain._findings import Code

_Variants: TypeAlias = Iterator[tuple[bytes, str]]

_MARK = b"\xef\xbb\xbf"  # UTF-8 with a byte order mark
_PREFIXES = (
    *(b"whsec_", b"v1,whsec_", b"v1,", b"polar_whs_", b"secret_", b"sha256=", b"Bearer "),
    *(b"sk_", b"sk_live_", b"sk_test_", b"pdl_ntfset_", b"lin_wh_", b"shpss_", b"whsk_", b"wh_"),
)
_LEAST = 16  # bytes that are left of a secret without its prefix
_LONGEST_WORD = 4  # characters of an unknown prefix
_WORDS = re.compile(rb"(?:[A-Za-z][A-Za-z0-9]{0,2}_){2}")  # such as sk_a1_
_VARIABLE = re.compile(
    rb"(?:export )?(?i:\w*(?:SECRET|KEY|TOKEN|WEBHOOK)\w*)\s*=\s*"
    rb"(?P<quote>[\"']?)(.*)(?P=quote)",
    re.DOTALL,
)


class SecretCause(NamedTuple):
    """A cause.

    Attributes:
        code: Its code.
        variants: Takes a secret, and yields others with the evidence for each.
        gives_keys: Whether the results are keys, instead of secrets that the scheme decodes.
    """

    code: Code
    variants: Callable[[bytes], _Variants]
    gives_keys: bool = False


def _white_space(secret: bytes) -> _Variants:
    yield secret.strip(), "the secret without the white space around it signed"
    yield secret.rstrip(b"\r\n"), "the secret without its line end signed"
    for end, name in ((b"\n", "LF"), (b"\r\n", "CR LF"), (b" ", "a space"), (b"\t", "a tab")):
        yield secret + end, f"the secret with {name} behind it signed"
    yield b" " + secret, "the secret with a space before it signed"
    for end in (b"\\n", b"\\r\\n"):
        shown = end.decode()
        yield secret.removesuffix(end), f"the secret without the text {shown} at its end signed"
        yield secret + end, f"the secret with the text {shown} behind it signed"
    yield b"".join(secret.split()), "the secret without any white space signed"
    yield secret.removeprefix(_MARK), "the secret without its byte order mark signed"
    yield _MARK + secret, "the secret with a byte order mark signed"


def _quotes(secret: bytes) -> _Variants:
    for mark in (b'"', b"'", b"`"):
        yield secret.strip(mark), "the secret without its quotes signed"
        yield mark + secret + mark, "the secret in quotes signed"
    found = re.fullmatch(rb"b(['\"])(.*)\1", secret, re.DOTALL)
    if found:
        yield found[2], "the secret without the quotes of Python's bytes signed"
    yield repr(secret).encode(), "the secret as Python writes bytes signed"


def _html(secret: bytes) -> _Variants:
    text = secret.decode("latin-1")
    for changed in (
        text.replace("&", "&amp;"),
        text.replace("<", "&lt;").replace(">", "&gt;"),
        escape(text, quote=False),
        escape(text),
        escape(text).replace("&#x27;", "&#39;"),
        escape(text).replace("&#x27;", "&#039;"),
    ):
        yield changed.encode("latin-1"), "the secret with HTML escapes signed"
    with suppress(UnicodeEncodeError):
        plain = unescape(text).encode("latin-1")
        yield plain, "the secret without its HTML escapes signed"


def _prefix(secret: bytes) -> _Variants:
    yield from _without_prefix(secret)
    for prefix in _PREFIXES:
        yield prefix + secret, f"the secret with {prefix.decode()} before it signed"


def _without_prefix(secret: bytes) -> _Variants:
    """Yield what is left of a secret, if enough is.

    Whoever sees the output can test a guess of what is left. So what is left out is a known prefix,
    the name of a variable, or too short to help.
    """
    cut = [(secret.removeprefix(each), f"without {each.decode()}") for each in _PREFIXES]
    for mark in (b"_", b":", b"=", b",", b"-"):
        before, _, rest = secret.partition(mark)
        if before.isalnum() and len(before) <= _LONGEST_WORD:
            cut.append((rest, f"without what stands before its first {mark.decode()}"))
    found = _WORDS.match(secret)
    named = _VARIABLE.fullmatch(secret)
    if found:
        cut.append((secret[found.end() :], "without the words before its underscores"))
    if named:
        cut.append((named[2], "without the name of a variable before it"))
    for rest, how in cut:
        if _LEAST <= len(rest) < len(secret):
            yield rest, f"the secret {how} signed"


def _reading(secret: bytes) -> _Variants:
    yield secret, "the text of the secret itself is the key"
    bare = secret.removeprefix(b"whsec_")
    yield bare, "the text of the secret without whsec_ is the key"
    for text in dict.fromkeys((secret, bare, *(rest for rest, _ in _without_prefix(secret)))):
        yield decoded(text, "hex"), "the key is the secret decoded as hex"
        with suppress(NotBase64):
            standard = text.translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
            # Strictly: what is skipped need not be guessed.
            key = b64decode(standard + b"=" * (-len(standard) % 4), validate=True)
            yield key, "the key is the secret decoded as base64"
    yield b64encode(secret), "the key is the secret encoded as base64"
    yield hexlify(secret), "the key is the secret encoded as hex"
    yield secret.lower(), "the key is the secret in lower case"
    yield secret.upper(), "the key is the secret in upper case"
    yield unquote_to_bytes(secret), "the key is the secret without percent-encoding"
    yield quote_from_bytes(secret, safe="").encode(), "the key is the secret percent-encoded"
    with suppress(UnicodeError):
        characters = secret.decode()
        for charset in ("utf-16-le", "utf-16-be", "utf-16", "latin-1"):
            with suppress(UnicodeEncodeError):
                yield characters.encode(charset), f"the key is the secret in {charset.upper()}"
        for form in ("NFC", "NFD"):
            yield (
                normalize(form, characters).encode(),
                f"the key is the secret in Unicode's form {form}",
            )
        yield secret.decode("latin-1").encode(), "the key is the secret encoded as UTF-8 twice"


def _nothing(_secret: bytes) -> _Variants:
    for text in (b"", b"None", b"null", b"undefined"):
        yield text, f"'{text.decode()}' is the key: the sender has no secret"


#: The causes, the most likely first.
SECRET_CAUSES: Final = (
    SecretCause("secret-whitespace", _white_space),
    SecretCause("secret-quotes", _quotes),
    SecretCause("secret-html-escaped", _html),
    SecretCause("secret-prefix", _prefix),
    SecretCause("secret-decoded", _reading, gives_keys=True),
    SecretCause("secret-other", _nothing, gives_keys=True),
)
