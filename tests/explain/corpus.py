"""Webhook requests whose signature does not match, made as real mistakes make them.

Nothing here reads or imports `frappe_hooksig.explain`: each mistake is written from what a sender,
a proxy or a receiver does. The requests are random, and the same for the same seed.
"""

from __future__ import annotations

import base64
import html
import json
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Final, TypeAlias
from urllib.parse import quote, quote_plus, urlencode

from frappe_hooksig import Scheme, Secret, providers
from tests.explain.draft import (
    SCHEMES,
    Draft,
    Headers,
    Mismatch,
    a_moment,
    a_secret,
    a_word,
    frappe_datetime,
    spelled,
)
from tests.explain.writers import WRITERS, Writer

__all__ = [
    "BEYOND",
    "HINTS",
    "PAIRS",
    "SINGLES",
    "beyond",
    "genuine",
    "hints",
    "of_cause",
    "pairs",
    "singles",
    "without_cause",
]

#: Changes a draft. It returns further codes that are right for this draft, or None.
Step: TypeAlias = Callable[[Draft], "set[str] | None"]


@dataclass(frozen=True)
class Cause:
    """A mistake.

    Attributes:
        codes: The codes that are right as the first answer.
        schemes: The receivers' schemes at which the mistake can be made.
        step: Makes the mistake.
    """

    codes: frozenset[str]
    schemes: tuple[Scheme, ...]
    step: Step


SINGLES: Final[dict[str, Cause]] = {}
HINTS: Final[dict[str, Cause]] = {}
BEYOND: Final[dict[str, Cause]] = {}


def _of(*names: str) -> tuple[Scheme, ...]:
    return tuple(map(providers.get, names))


def _where(is_wanted: Callable[[Scheme], bool]) -> tuple[Scheme, ...]:
    return tuple(filter(is_wanted, SCHEMES))


_FRAPPE = _of("frappe")
_SIGNING = _where(lambda scheme: scheme.signs_body)
_TEXT = _where(lambda scheme: scheme.signs_body and scheme.secret_formats == ("text",))
_BARE_TEXT = tuple(scheme for scheme in _TEXT if not scheme.secret_prefix)
_WHSEC = _of("standard-webhooks", "svix", "gitlab-signing")
_BINARY = _where(lambda scheme: scheme.signs_body and scheme.algorithm == "hmac")  # any bytes
_RAW = tuple(scheme for scheme in _BINARY if not scheme.signs_decoded_body)
_BODY_ONLY = tuple(scheme for scheme in _BARE_TEXT if scheme.signed == "{body}")
_BY_URL = _where(lambda scheme: scheme.signs_url)
_BY_METHOD = _where(lambda scheme: "{method}" in scheme.signed)
_BY_ID = _where(lambda scheme: scheme.id_header is not None)
_BY_TIME = _where(lambda scheme: scheme.signs_timestamp)


def _times(spelling: str) -> tuple[Scheme, ...]:
    return tuple(scheme for scheme in _BY_TIME if scheme.timestamp_format == spelling)


def _single(codes: str, schemes: Sequence[Scheme] = _SIGNING) -> Callable[[Step], Step]:
    return partial(_registered, SINGLES, codes, schemes)


def _hint(codes: str, schemes: Sequence[Scheme] = _SIGNING) -> Callable[[Step], Step]:
    return partial(_registered, HINTS, codes, schemes)


def _beyond(codes: str, schemes: Sequence[Scheme] = _SIGNING) -> Callable[[Step], Step]:
    return partial(_registered, BEYOND, codes, schemes)


def _registered(
    causes: dict[str, Cause], codes: str, schemes: Sequence[Scheme], step: Step
) -> Step:
    name = step.__name__.replace("_", "-")
    causes[name] = Cause(frozenset(codes.split()), tuple(schemes), step)
    return step


# The secret


@_single("secret-whitespace", _TEXT)
def secret_ends_in_newline(draft: Draft) -> None:
    """The secret was read from a file, or encoded with `echo secret | base64`."""
    draft.secret += "\n"


@_single("secret-whitespace", _TEXT)
def secret_ends_in_crlf(draft: Draft) -> None:
    """The secret was read from a file that Windows wrote."""
    draft.secret += "\r\n"


@_single("secret-whitespace", _TEXT)
def secret_beside_space(draft: Draft) -> None:
    """The secret was copied with a space or a tab."""
    draft.secret = draft.rng.choice((" {}", "{} ", "\t{}", "{}\t", " {} ")).format(draft.secret)


@_single("secret-whitespace", _TEXT)
def sender_has_newline(draft: Draft) -> None:
    """The sender's form kept a line end, which Frappe signs with; the receiver has none."""
    draft.key += draft.rng.choice((b"\n", b" ", b"\r\n"))


@_single("secret-quotes", _TEXT)
def secret_in_double_quotes(draft: Draft) -> None:
    """The quotes of a .env file became part of the value (docker --env-file)."""
    draft.secret = f'"{draft.secret}"'


@_single("secret-quotes", _TEXT)
def secret_in_single_quotes(draft: Draft) -> None:
    """The same with the shell's quotes."""
    draft.secret = f"'{draft.secret}'"


@_single("secret-quotes", _TEXT)
def secret_is_repr_of_bytes(draft: Draft) -> None:
    """str() of Python's bytes became the secret."""
    draft.secret = f"b'{draft.secret}'"


@_single("secret-quotes", _TEXT)
def sender_has_quotes(draft: Draft) -> None:
    """The sender's setting has the quotes; the receiver's has not."""
    draft.key = b'"' + draft.key + b'"'


@_single("secret-quotes", _where(lambda scheme: not scheme.signs_body))
def token_in_quotes(draft: Draft) -> None:
    """The receiver has quotes around a token that is sent as it is."""
    draft.secret = f'"{draft.secret}"'


@_single("secret-html-escaped", _TEXT)
def secret_escaped_by_sender(draft: Draft) -> None:
    """The sender stored < > & as entities, as Frappe does if the secret looks like HTML."""
    word = partial(a_word, draft.rng)
    draft.give(f"{draft.scheme.secret_prefix}{word(8)}<{word(3)}&{word(4)}>{word(9)}")
    draft.key = html.escape(draft.secret, quote=False).encode()


@_single("secret-html-escaped", _FRAPPE)
def secret_sanitised_by_frappe(draft: Draft) -> None:
    """Frappe keeps a harmless tag, and writes only the & as an entity."""
    word = partial(a_word, draft.rng)
    draft.give(f"{word(8)}<b>{word(5)}</b>&{word(9)}")
    draft.key = draft.secret.replace("&", "&amp;").encode()


@_single("secret-html-escaped", _TEXT)
def secret_copied_from_html(draft: Draft) -> None:
    """The receiver has the secret from the source of a page."""
    word = partial(a_word, draft.rng)
    marks = draft.rng.choice(("&'", '<"', "&>", "'\"&"))
    draft.give(f"{draft.scheme.secret_prefix}{word(9)}{marks}{word(12)}")
    draft.secret = html.escape(draft.secret)


@_single("secret-prefix", _where(lambda scheme: bool(scheme.secret_prefix)))
def secret_without_its_prefix(draft: Draft) -> None:
    """The receiver left out the beginning, such as whsec_."""
    draft.secret = draft.secret.removeprefix(draft.scheme.secret_prefix)


@_single("secret-prefix", _where(lambda scheme: bool(scheme.secret_prefix)))
def sender_without_prefix(draft: Draft) -> None:
    """A script that stands in for the sender removes the beginning, which is part of the key."""
    draft.key = draft.secret.removeprefix(draft.scheme.secret_prefix).encode()


@_single("secret-prefix", _BARE_TEXT)
def secret_with_whsec_added(draft: Draft) -> None:
    """The receiver believes that every secret begins with whsec_."""
    draft.secret = f"whsec_{draft.secret}"


@_single("secret-decoded", _BARE_TEXT)
def sender_decodes_hex(draft: Draft) -> None:
    """The sender takes the hex text of the secret for bytes."""
    draft.give(draft.rng.randbytes(draft.rng.choice((20, 24, 32))).hex())
    draft.key = bytes.fromhex(draft.secret)


@_single("secret-decoded", _BARE_TEXT)
def sender_decodes_base64(draft: Draft) -> None:
    """The sender takes the base64 text of the secret for bytes."""
    draft.key = draft.rng.randbytes(draft.rng.choice((20, 24, 32)))
    draft.secret = base64.b64encode(draft.key).decode()


@_single("secret-decoded", _BARE_TEXT)
def sender_decodes_base64url(draft: Draft) -> None:
    """The same in the URL-safe alphabet, as secrets.token_urlsafe() gives it."""
    draft.key = b"\xfb\xef\xbe" + draft.rng.randbytes(draft.rng.choice((17, 21, 29)))
    draft.secret = base64.urlsafe_b64encode(draft.key).decode().rstrip("=")


@_single("secret-decoded", _TEXT)
def receiver_has_base64_of_secret(draft: Draft) -> None:
    """The value of a Kubernetes Secret was not decoded."""
    draft.secret = base64.b64encode(draft.secret.encode()).decode()


@_single("secret-decoded", _where(lambda scheme: scheme.secret_formats == ("hex",)))
def sender_keeps_hex_text(draft: Draft) -> None:
    """The sender signs with the text, where the scheme decodes it."""
    draft.key = draft.secret.encode()


@_single("secret-decoded", [*_WHSEC, *_of("teams")])
def sender_keeps_base64_text(draft: Draft) -> None:
    """The same for base64, with whsec_ if there is one."""
    draft.key = draft.secret.encode()


@_single("secret-decoded secret-prefix", _WHSEC)
def sender_keeps_text_after_whsec(draft: Draft) -> None:
    """The sender removes whsec_, and does not decode the rest."""
    draft.key = draft.secret.removeprefix("whsec_").encode()


@_single("secret-decoded", _of("stripe"))
def sender_decodes_like_svix(draft: Draft) -> None:
    """The sender decodes what follows whsec_, as Standard Webhooks does."""
    draft.key = draft.rng.randbytes(24)
    draft.secret = f"whsec_{base64.b64encode(draft.key).decode()}"


@_single("secret-window", SCHEMES)
def secret_has_expired(draft: Draft) -> None:
    """The sender still uses a secret that the receiver has retired."""
    old = Secret(draft.secret, not_after=draft.now - draft.rng.randint(1, 86_400))
    several: list[str | Secret] = [a_secret(draft.rng, draft.scheme), old]
    draft.secrets = old if draft.rng.random() < 0.5 else several


@_single("secret-window", SCHEMES)
def secret_begins_later(draft: Draft) -> None:
    """The sender uses the new secret before the receiver does."""
    new = Secret(draft.secret, not_before=draft.now + draft.rng.randint(1, 86_400))
    several: list[str | Secret] = [new, a_secret(draft.rng, draft.scheme)]
    draft.secrets = new if draft.rng.random() < 0.5 else several


@_single("secret-other", SCHEMES)
def secret_of_other_endpoint(draft: Draft) -> None:
    """The sender uses the secret of another endpoint, which the receiver has too."""
    others = [a_secret(draft.rng, draft.scheme) for _ in range(draft.rng.randint(0, 3))]
    others.insert(draft.rng.randint(0, len(others)), draft.secret)
    draft.also = tuple(others)
    draft.secret = a_secret(draft.rng, draft.scheme)


# The signature


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _encoded(*encodings: str) -> tuple[Scheme, ...]:
    return tuple(scheme for scheme in _SIGNING if scheme.encoding in encodings)


@_single("signature-encoding", _encoded("base64", "base64url"))
def signature_in_hex(draft: Draft) -> None:
    """hexdigest() where digest() in base64 is due."""
    draft.spell = bytes.hex


@_single("signature-encoding", _encoded("hex"))
def signature_in_base64(draft: Draft) -> None:
    """base64 where hex is due."""
    draft.spell = _base64


@_single("signature-encoding", _encoded("base64", "hex"))
def signature_in_base64url(draft: Draft) -> None:
    """The URL-safe alphabet, without padding."""
    while not {"+", "/"} & {*_base64(draft.mac())}:
        draft.document["event_key"] = a_word(draft.rng, 22)
        draft.sends_body(draft.written().encode())
    draft.spell = _base64url


@_single("signature-encoding signature-truncated", _encoded("base64"))
def signature_without_padding(draft: Draft) -> None:
    """Go's base64.RawStdEncoding."""
    draft.spell = lambda mac: _base64(mac).rstrip("=")


@_single("signature-encoding")
def signature_in_base64_of_hex(draft: Draft) -> None:
    """PHP's base64_encode(hash_hmac(...)) without true as its last argument."""
    draft.spell = lambda mac: _base64(mac.hex().encode())


@_single("signature-prefix", _where(lambda scheme: bool(scheme.prefix)))
def prefix_left_out(draft: Draft) -> None:
    """The bare signature, without sha256= or v1=."""
    draft.prefix = ""


@_single(
    "signature-prefix", _where(lambda scheme: not scheme.prefix and not scheme.timestamp_is_first)
)
def prefix_added(draft: Draft) -> None:
    """A prefix that other senders have."""
    signed = (f"{draft.digest}=", f"{draft.digest}=", "v1=", "HMAC ", f"{draft.digest} ")
    draft.prefix = draft.rng.choice(signed if draft.scheme.signs_body else ("Bearer ",))


@_single("signature-prefix", _where(lambda scheme: bool(scheme.prefix)))
def prefix_of_other_sender(draft: Draft) -> None:
    """Another prefix than the scheme's, or the same with a space."""
    own = draft.prefix
    others = (f"{draft.digest}=", f"{draft.digest}:", "v1=", "v0=", own.upper(), f"{own} ")
    draft.prefix = draft.rng.choice([each for each in others if each != own])


def _hashed_otherwise(draft: Draft, *digests: str) -> None:
    draft.digest = draft.rng.choice([each for each in digests if each != draft.scheme.digest])


@_single("signature-digest", _where(lambda scheme: scheme.signs_body and scheme.digest != "sha1"))
def digest_is_sha1(draft: Draft) -> None:
    """SHA-1, from an old example."""
    draft.digest = "sha1"


@_single("signature-digest", _where(lambda scheme: scheme.signs_body and scheme.digest != "sha512"))
def digest_is_sha512(draft: Draft) -> None:
    """SHA-512."""
    draft.digest = "sha512"


@_single("signature-digest", _where(lambda scheme: scheme.digest in {"sha1", "sha512"}))
def digest_is_sha256(draft: Draft) -> None:
    """SHA-256, where an older or a longer hash is due."""
    draft.digest = "sha256"


@_single("signature-digest")
def digest_is_unusual(draft: Draft) -> None:
    """SHA-384 or MD5."""
    draft.digest = draft.rng.choice(("sha384", "md5"))


@_single(
    "signature-digest signature-prefix",
    _where(lambda scheme: scheme.prefix.strip("= ") in {"sha1", "sha256", "sha512"}),
)
def digest_named_by_prefix(draft: Draft) -> None:
    """Another hash, which the prefix names."""
    _hashed_otherwise(draft, "sha1", "sha256", "sha512")
    draft.prefix = draft.prefix.replace(draft.scheme.digest, draft.digest)


@_single("signature-truncated")
def signature_text_cut(draft: Draft) -> None:
    """A column or a log was too short for the signature."""
    whole, shortest = draft.spell, 32 if draft.scheme.encoding == "hex" else 22
    length = len(whole(draft.mac()).rstrip("="))
    cut = draft.rng.randint(shortest, length - 2)
    draft.spell = lambda mac: whole(mac)[:cut]


@_single("signature-truncated")
def signature_bytes_cut(draft: Draft) -> None:
    """The sender truncates its MAC before it encodes it (RFC 2104 section 5)."""
    whole, cut = draft.spell, draft.rng.choice((16, 16, 18))
    draft.spell = lambda mac: whole(mac[:cut])


# Another sender


def _names(scheme: Scheme) -> set[str]:
    return {name.lower() for name in scheme.header_names}


@_single("scheme-other", _BARE_TEXT)
def headers_of_other_sender(draft: Draft) -> None:
    """The receiver was set up for another sender; secret and body are right."""
    own = _names(draft.scheme)
    known = [each for each in _BARE_TEXT if each.name in providers.names()]
    draft.send_as(draft.rng.choice([each for each in known if not own & _names(each)]))


@_single("scheme-other", _WHSEC)
def headers_of_svix(draft: Draft) -> None:
    """Standard Webhooks with the headers of Svix, or the other way round."""
    own = _names(draft.scheme)
    draft.send_as(draft.rng.choice([each for each in _WHSEC if not own & _names(each)]))


@_single("scheme-other", _of("frappe", "github", "webhook-hex", "slack"))
def headers_of_standard_webhooks(draft: Draft) -> None:
    """The sender follows Standard Webhooks, and the receiver was left at its default."""
    draft.give(f"whsec_{_base64(draft.rng.randbytes(24))}")
    draft.send_as(draft.rng.choice(_WHSEC))


_CONVENTIONS = _of("webhook-hex", "webhook-sha256", "webhook-timestamped", "cashfree")


@_single("scheme-other", _CONVENTIONS)
def other_layout_of_same_header(draft: Draft) -> set[str]:
    """Several senders use one name of a header, and write other things into it."""
    own = draft.scheme
    other = draft.rng.choice([each for each in _CONVENTIONS if each != own])
    draft.send_as(other)
    differing = {
        "signature-prefix": own.prefix != other.prefix,
        "signature-encoding": own.encoding != other.encoding,
        "timestamp-in-signed": own.signed != other.signed,
        "timestamp-unit": own.signs_timestamp and own.timestamp_format != other.timestamp_format,
    }
    names = {name for name, differs in differing.items() if differs}
    return names if len(names) == 1 else set()


# The body: serialised anew


def _reserialised(name: str) -> Step:
    """Return a step: one writer's text is signed, and another's of the same value arrives."""
    sign = WRITERS[name]

    def step(draft: Draft) -> None:
        arrive = _other_writer(draft, sign)
        draft.signed_body = sign(draft.document).encode()
        draft.body = arrive(json.loads(draft.signed_body)).encode()

    step.__name__ = f"signed_as_{name}"
    step.__doc__ = f"The text of {name} is signed, and another serialiser's arrives."
    return step


def _other_writer(draft: Draft, sign: Writer) -> Writer:
    """Return a writer from whose text the signed one can be computed."""
    writers = [each for each in WRITERS.values() if each is not sign]
    draft.rng.shuffle(writers)
    value = json.loads(sign(draft.document))
    texts = ((each, each(value)) for each in writers)
    return next(
        each
        for each, text in texts
        if text != sign(value) and sign(json.loads(text)) == sign(draft.document)
    )


for _name in WRITERS:
    _single("body-reserialised")(_reserialised(_name))


# The body: escapes


def _text_of(draft: Draft) -> str:
    """Return the document with spaces as nobody's serialiser writes them, and plain Unicode."""
    return json.dumps(draft.document, ensure_ascii=False, separators=(" , ", " :"))


def _escaped(text: str, digits: str = "04x") -> str:
    """Write all but ASCII as escapes, where it stands."""

    def escape(match: re.Match[str]) -> str:
        raw = match[0].encode("utf-16-be")
        units = [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]
        return "".join(f"\\u{unit:{digits}}" for unit in units)

    return re.sub(r"[^\x00-\x7f]", escape, text)


@_single("body-escapes")
def escapes_arrive_as_characters(draft: Draft) -> None:
    """The sender escapes all but ASCII, and a proxy writes the characters."""
    draft.body = _text_of(draft).encode()
    draft.signed_body = _escaped(draft.body.decode()).encode()


@_single("body-escapes")
def characters_arrive_as_escapes(draft: Draft) -> None:
    """A proxy makes a body ASCII, and leaves the rest of it alone."""
    draft.signed_body = _text_of(draft).encode()
    draft.body = _escaped(draft.signed_body.decode()).encode()


@_single("body-escapes")
def escapes_arrive_in_capitals(draft: Draft) -> None:
    """The digits of escapes change from lower case to capitals."""
    draft.signed_body = _escaped(_text_of(draft)).encode()
    draft.body = _escaped(_text_of(draft), "04X").encode()


@_single("body-escapes")
def escapes_were_in_capitals(draft: Draft) -> None:
    """The digits of escapes were capitals."""
    draft.signed_body = _escaped(_text_of(draft), "04X").encode()
    draft.body = _escaped(_text_of(draft)).encode()


@_single("body-escapes")
def slashes_were_escaped(draft: Draft) -> None:
    """The sender's escapes of slashes are lost on the way."""
    draft.body = _text_of(draft).encode()
    draft.signed_body = draft.body.replace(b"/", b"\\/")


@_single("body-escapes")
def slashes_arrive_escaped(draft: Draft) -> None:
    """PHP on the way escapes slashes."""
    draft.signed_body = _text_of(draft).encode()
    draft.body = draft.signed_body.replace(b"/", b"\\/")


@_single("body-escapes")
def angles_were_escaped(draft: Draft) -> None:
    """The sender writes < > & as escapes, as Go does."""
    draft.body = _text_of(draft).encode()
    text = draft.body
    for character in b"<>&":
        text = text.replace(bytes([character]), b"\\u%04x" % character)
    draft.signed_body = text


# The body: line ends and byte order marks


def _lines(draft: Draft) -> bytes:
    """Return a body of several lines: JSON, or a table."""
    if draft.rng.random() < 0.6:
        return json.dumps(draft.document, indent=draft.rng.choice((1, 2, 3, 4))).encode()
    rows = [f"{a_word(draft.rng, 6)};{draft.rng.randrange(999)};ü" for _ in range(5)]
    return "\n".join(["code;qty;note", *rows, ""]).encode()


@_single("body-line-end")
def lines_arrive_with_crlf(draft: Draft) -> None:
    """A gateway turns line feeds into those of Windows."""
    draft.signed_body = _lines(draft)
    draft.body = draft.signed_body.replace(b"\n", b"\r\n")


@_single("body-line-end")
def lines_were_crlf(draft: Draft) -> None:
    """A proxy or an editor removes carriage returns."""
    draft.body = _lines(draft)
    draft.signed_body = draft.body.replace(b"\n", b"\r\n")


@_single("body-line-end")
def newline_added(draft: Draft) -> None:
    """Go's Encoder.Encode() sends a newline that json.Marshal() did not sign; so does curl's @-."""
    draft.body += draft.rng.choice((b"\n", b"\n", b"\r\n"))


@_single("body-line-end")
def newline_removed(draft: Draft) -> None:
    """The sender signs a file with its last newline; `curl -d @file` or strip() removes it."""
    draft.signed_body = draft.body + b"\n"


@_single("body-charset")
def bom_added(draft: Draft) -> None:
    """A byte order mark stands before the body that was signed (PHP files, PowerShell)."""
    draft.body = b"\xef\xbb\xbf" + draft.body


@_single("body-charset")
def bom_removed(draft: Draft) -> None:
    """The sender signs its byte order mark, and a parser on the way drops it."""
    draft.signed_body = b"\xef\xbb\xbf" + draft.body


# The body: charsets


def _western(draft: Draft) -> str:
    """Return JSON whose characters are all in Latin-1, with some beyond ASCII."""
    city = draft.rng.choice(("Zürich", "São Paulo", "Málaga", "Orléans"))
    document = {
        "customer": f"{city} {a_word(draft.rng, 6)}",
        "note": draft.rng.choice(("déjà vu", "für Söhne", "50 °C", "niño")),
        "event_key": a_word(draft.rng, 22),
        "total": round(draft.rng.uniform(1, 1000), 2),
    }
    return json.dumps(document, ensure_ascii=False)


@_single("body-charset")
def decoded_as_latin_1(draft: Draft) -> None:
    """UTF-8 is decoded as Latin-1 and encoded again."""
    text = draft.rng.choice((_western(draft), WRITERS["javascript"](draft.document)))
    draft.signed_body = text.encode()
    draft.body = draft.signed_body.decode("latin-1").encode()


@_single("body-charset")
def decoded_as_windows_1252(draft: Draft) -> None:
    """UTF-8 is decoded as Windows-1252 and encoded again."""
    text = _western(draft).replace("event_key", draft.rng.choice(("€ – …", "“key’s", "™")))
    draft.signed_body = text.encode()
    draft.body = draft.signed_body.decode("cp1252").encode()


@_single("body-charset", _BINARY)
def arrives_in_latin_1(draft: Draft) -> None:
    """The sender signs UTF-8, and its HTTP client writes Latin-1."""
    text = _western(draft)
    draft.signed_body, draft.body = text.encode(), text.encode("latin-1")


@_single("body-charset", _BINARY)
def signed_in_latin_1(draft: Draft) -> None:
    """The sender signs the text of an old database, and sends UTF-8."""
    text = _western(draft)
    draft.signed_body, draft.body = text.encode("latin-1"), text.encode()


@_single("body-charset", _BINARY)
def signed_in_utf_16(draft: Draft) -> None:
    """C#'s Encoding.Unicode gives what is signed."""
    draft.signed_body = draft.body.decode().encode("utf-16-le")


@_single("body-charset", _BINARY)
def arrives_in_utf_16(draft: Draft) -> None:
    """A gateway of Windows sends UTF-16 with its mark."""
    draft.body = b"\xff\xfe" + draft.body.decode().encode("utf-16-le")


# The body: HTML


@_single("body-html-escaped")
def html_escaped_on_the_way(draft: Draft) -> None:
    """A filter against scripts escapes the body, quotes too."""
    text = draft.body.decode()
    php = text.replace("&", "&amp;").replace('"', "&quot;").replace("'", "&#039;")
    php = php.replace("<", "&lt;").replace(">", "&gt;")
    draft.body = draft.rng.choice((html.escape(text), php)).encode()


@_single("body-html-escaped")
def angles_became_entities(draft: Draft) -> None:
    """A sanitiser leaves quotes, so that the body is still JSON."""
    draft.sends_body(_text_of(draft).encode())
    draft.body = html.escape(draft.signed_body.decode(), quote=False).encode()


@_single("body-html-escaped")
def entities_were_signed(draft: Draft) -> None:
    """The sender signs text with entities, as Frappe stores it, and a proxy resolves them."""
    draft.body = _text_of(draft).encode()
    draft.signed_body = html.escape(draft.body.decode(), quote=False).encode()


# The body: compression


def _gzip(raw: bytes, level: int) -> bytes:
    """Return gzip without time, as zlib writes it for nginx, Node, PHP and others."""
    stream = zlib.compressobj(level, zlib.DEFLATED, 31)
    return stream.compress(raw) + stream.flush()


@_single("body-compressed", _RAW)
def arrives_as_gzip(draft: Draft) -> None:
    """The sender signs, then compresses; nobody decompresses."""
    draft.body = _gzip(draft.body, draft.rng.randint(1, 9))
    draft.more["Content-Encoding"] = "gzip"


@_single("body-compressed", _RAW)
def arrives_as_gzip_unnamed(draft: Draft) -> None:
    """The same, and a proxy dropped Content-Encoding."""
    draft.body = _gzip(draft.body, draft.rng.randint(1, 9))


@_single("body-compressed", _RAW)
def arrives_as_deflate(draft: Draft) -> None:
    """Deflate in both of its readings, with and without the frame of zlib."""
    framed = zlib.compress(draft.body, draft.rng.randint(1, 9))
    draft.body = draft.rng.choice((framed, framed[2:-4]))
    draft.more["Content-Encoding"] = "deflate"


@_single("body-compressed", _RAW)
def gzip_was_signed(draft: Draft) -> None:
    """The sender signs what it has compressed, and a server decompresses it."""
    draft.signed_body = _gzip(draft.body, draft.rng.choice((6, 6, 9)))


@_single("body-compressed", _of("getstream"))
def gzip_was_signed_unlike_scheme(draft: Draft) -> None:
    """The sender signs what it has compressed, where the scheme signs before that."""
    draft.sends_body(_gzip(draft.body, 6))
    draft.more["Content-Encoding"] = "gzip"


@_single("body-compressed", _of("getstream"))
def decompressed_but_still_named(draft: Draft) -> None:
    """A proxy decompresses the body and leaves the header."""
    draft.more["Content-Encoding"] = "gzip"


# The body: wrapped, empty, cut


@_single("body-base64")
def arrives_in_base64(draft: Draft) -> None:
    """AWS hands the body over in base64 (isBase64Encoded), and nobody decodes it."""
    draft.body = base64.b64encode(draft.body)


@_single("body-base64")
def base64_was_signed(draft: Draft) -> None:
    """The sender signs the base64 of its body."""
    draft.signed_body = base64.b64encode(draft.body)


@_single("body-form")
def arrives_in_form(draft: Draft) -> None:
    """The sender signs JSON and sends it as payload= of a form."""
    draft.body = b"payload=" + quote_plus(draft.body).encode()
    draft.more["Content-Type"] = "application/x-www-form-urlencoded"


@_single("body-form")
def form_was_signed(draft: Draft) -> None:
    """The form is signed, as GitHub does, and a framework hands over its payload field."""
    draft.signed_body = b"payload=" + quote_plus(draft.body).encode()
    draft.more["Content-Type"] = "application/x-www-form-urlencoded"


def _fields(draft: Draft) -> dict[str, str]:
    """Return the fields of a flat form."""
    return {
        "event": "order paid",
        "customer": f"Müller & {a_word(draft.rng, 6)}",
        "amount": str(draft.rng.randrange(10_000)),
        "key": a_word(draft.rng, 22),
        "website": "https://shop.example/a?b=c",
    }


@_single("body-form")
def form_encoded_anew(draft: Draft) -> None:
    """A proxy encodes a form anew: %20 for a plus sign, or the other way round."""
    fields = _fields(draft)
    both = [urlencode(fields).encode(), urlencode(fields, quote_via=quote, safe="").encode()]
    draft.rng.shuffle(both)
    draft.signed_body, draft.body = both
    draft.more["Content-Type"] = "application/x-www-form-urlencoded"


@_single("body-form")
def form_arrives_as_json(draft: Draft) -> None:
    """A framework hands a form over as a dict, which is dumped as JSON."""
    fields = _fields(draft)
    draft.signed_body = urlencode(fields).encode()
    draft.body = draft.rng.choice((json.dumps, WRITERS["javascript"]))(fields).encode()


@_single("body-multipart")
def arrives_in_multipart(draft: Draft) -> None:
    """The sender signs JSON and sends it as a part of multipart/form-data."""
    boundary = a_word(draft.rng, 32)
    name = draft.rng.choice(("payload", "data", "json"))
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
    draft.body = head.encode() + draft.body + f"\r\n--{boundary}--\r\n".encode()
    draft.more["Content-Type"] = f"multipart/form-data; boundary={boundary}"


@_single("body-empty")
def nothing_was_signed(draft: Draft) -> None:
    """The sender signs before it sets its body."""
    draft.signed_body = b""


@_single("body-empty")
def empty_object_was_signed(draft: Draft) -> None:
    """The sender signs {} (Express's req.body without a body), and sends nothing."""
    draft.signed_body = draft.rng.choice((b"{}", b"{}", b"null", b"[]", b'""'))
    draft.body = b""


# Frappe renders a webhook twice


def _rendered(draft: Draft, now: Callable[[datetime], str], back: timedelta) -> None:
    """Sign a rendering, and send the one after it. Only one value differs."""
    moment = a_moment(draft.rng, draft.now)
    name = draft.rng.choice(("printed_on", "sent_at", "now"))
    place = draft.rng.randint(0, len(draft.document))

    def body(at: datetime) -> bytes:
        pairs = [*draft.document.items()]
        pairs.insert(place, (name, now(at)))
        return json.dumps(dict(pairs)).encode()

    draft.signed_body, draft.body = body(moment - back), body(moment)


@_single("rendered-twice", _FRAPPE)
def rendered_seconds_later(draft: Draft) -> None:
    """`{{ now }}` without microseconds, across the end of up to three seconds."""
    moment = partial(datetime.replace, microsecond=0)
    later = timedelta(seconds=draft.rng.randint(1, 3))
    _rendered(draft, lambda at: frappe_datetime(moment(at)), later)


@_single("rendered-twice", _FRAPPE)
def rendered_microseconds_later(draft: Draft) -> None:
    """`{{ frappe.utils.now() }}`, up to three microseconds apart."""
    _rendered(draft, frappe_datetime, timedelta(microseconds=draft.rng.randint(1, 3)))


@_single("rendered-twice", _FRAPPE)
def rendered_a_day_later(draft: Draft) -> None:
    """`{{ frappe.utils.today() }}` before and after midnight."""
    _rendered(draft, lambda at: str(at.date()), timedelta(days=1))


@_single("rendered-twice", _FRAPPE)
def rendered_time_later(draft: Draft) -> None:
    """`{{ frappe.utils.nowtime() }}`, a time of day without its date."""
    later = timedelta(seconds=draft.rng.randint(1, 3))
    _rendered(draft, lambda at: f"{at:%H:%M:%S}", later)


# The URL and the method


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


def _path(url: str) -> str:
    """Return path and query."""
    return "/" + url.partition("://")[2].partition("/")[2]


@_single("url-differs", _BY_URL)
def url_has_other_scheme(draft: Draft) -> None:
    """TLS ends at a proxy, and the app sees http."""
    draft.url = draft.signed_url.replace("https://", "http://")
    if draft.rng.random() < 0.5:
        draft.more["X-Forwarded-Proto"] = "https"


@_single("url-differs", _BY_URL)
def url_has_inner_host(draft: Draft) -> None:
    """The app is told its inner address; the Host that came, or was forwarded, is the outer one."""
    inner = draft.rng.choice(("http://127.0.0.1:8000", "http://app:8080", "https://10.0.0.7"))
    draft.url = inner + _path(draft.signed_url)
    draft.more["X-Forwarded-Proto"] = "https"
    if draft.rng.random() < 0.5:
        draft.more["X-Forwarded-Host"] = _host(draft.signed_url)
    else:
        draft.more["Host"] = _host(draft.signed_url)


@_single("url-differs", _BY_URL)
def url_has_port(draft: Draft) -> None:
    """The app adds the port that it listens on, or the default one."""
    host, port = _host(draft.signed_url), draft.rng.choice((443, 8443, 8000, 8080))
    draft.url = f"https://{host}:{port}{_path(draft.signed_url)}"


@_single("url-differs", _BY_URL)
def url_was_signed_with_port(draft: Draft) -> None:
    """The URL was registered with its default port."""
    host = _host(draft.url)
    draft.signed_url = f"https://{host}:443{_path(draft.url)}"


@_single("url-differs", _BY_URL)
def url_lost_its_beginning(draft: Draft) -> None:
    """A proxy strips the beginning of the path, and names it in a header."""
    prefix = draft.rng.choice(("/api", "/hooks", "/v1"))
    draft.signed_url = f"https://{_host(draft.url)}{prefix}{_path(draft.url)}"
    whole = _path(draft.signed_url)
    name, value = draft.rng.choice(
        (("X-Forwarded-Prefix", prefix), ("X-Original-URI", whole), ("X-Forwarded-Uri", whole))
    )
    draft.more[name] = value


@_single("url-differs", _BY_URL)
def url_has_more_at_its_beginning(draft: Draft) -> None:
    """The app lies under a path that the registered URL does not have."""
    draft.url = f"https://{_host(draft.signed_url)}/app{_path(draft.signed_url)}"


def _with_slash(url: str) -> str:
    path, mark, query = url.partition("?")
    return f"{path}/{mark}{query}"


@_single("url-differs", _BY_URL)
def url_has_slash(draft: Draft) -> None:
    """The app's route ends in a slash; the registered URL does not."""
    draft.url = _with_slash(draft.signed_url)


@_single("url-differs", _BY_URL)
def url_was_signed_with_slash(draft: Draft) -> None:
    """The registered URL ends in a slash; the app's route does not."""
    draft.signed_url = _with_slash(draft.url)


@_single("url-differs", _BY_URL)
def url_has_query(draft: Draft) -> None:
    """The sender signs its URL without the query."""
    draft.signed_url = draft.url.partition("?")[0]
    draft.url = f"{draft.signed_url}?{draft.rng.choice(('token=abc', 'a=1&b=2', 'x'))}"


@_single("url-differs", _BY_URL)
def url_lost_its_query(draft: Draft) -> None:
    """The app passes its URL without the query, which a header still has."""
    draft.url = draft.url.partition("?")[0]
    draft.signed_url = f"{draft.url}?shop={a_word(draft.rng, 6)}"
    draft.more[draft.rng.choice(("X-Original-URI", "X-Forwarded-Uri"))] = _path(draft.signed_url)


@_single("url-differs", _BY_URL)
def url_was_signed_decoded(draft: Draft) -> None:
    """The sender decodes percent signs before it signs."""
    start = draft.url.partition("?")[0]
    draft.url = f"{start}/caf%C3%A9?name=a%20b"
    draft.signed_url = f"{start}/café?name=a b"


@_single("url-differs", _BY_URL)
def url_was_left_out(draft: Draft) -> None:
    """The sender signs all but its URL."""
    draft.template = re.sub(r"\{url\}\n?", "", draft.template)


@_single("method-differs", _BY_METHOD)
def method_is_another(draft: Draft) -> None:
    """The sender signs POST and sends PUT, or a proxy overrides the method."""
    draft.signed_method, draft.method = draft.rng.choice((("POST", "PUT"), ("PUT", "POST")))


@_single("method-differs", _BY_METHOD)
def method_was_signed_in_lower_case(draft: Draft) -> None:
    """The sender signs the method as axios has it, in lower case."""
    draft.signed_method = draft.method.lower()


@_single("method-differs", _BY_METHOD)
def method_is_in_lower_case(draft: Draft) -> None:
    """The receiver passes the method in lower case."""
    draft.method = draft.signed_method.lower()


# The id and the timestamp


@_single("id-differs", _BY_ID)
def id_was_left_out(draft: Draft) -> None:
    """The sender signs all but its id."""
    draft.template = re.sub(r"\{id\}[.\n]?", "", draft.template)


@_single("id-differs", _BY_ID)
def id_was_undefined(draft: Draft) -> None:
    """The variable with the id was not set when the sender signed."""
    draft.signed_id = draft.rng.choice(("undefined", "None", "null", ""))


@_single("id-differs", _BY_ID)
def id_was_signed_without_prefix(draft: Draft) -> None:
    """The header has msg_ before the id that was signed."""
    draft.signed_id = draft.delivery_id.removeprefix("msg_")


@_single("id-differs", _BY_ID)
def id_of_body_was_signed(draft: Draft) -> None:
    """A proxy gave the request a new id; the one that was signed is in the body too."""
    draft.document["id"] = draft.signed_id
    draft.sends_body(draft.written().encode())
    draft.delivery_id = f"req_{a_word(draft.rng, 20)}"


@_single("timestamp-unit", _times("unix"))
def milliseconds_sent(draft: Draft) -> None:
    """JavaScript's Date.now() is sent and signed where seconds are due."""
    draft.time_text = draft.signed_time = spelled(draft.time, "unix-ms")


@_single("timestamp-unit", _times("unix-ms"))
def seconds_sent(draft: Draft) -> None:
    """Seconds are sent and signed where milliseconds are due."""
    draft.time_text = draft.signed_time = spelled(draft.time, "unix")


@_single("timestamp-unit", _times("unix"))
def milliseconds_signed(draft: Draft) -> None:
    """Seconds are sent, but the same moment was signed in milliseconds."""
    draft.signed_time = f"{draft.time_text}000"


@_single("timestamp-unit", _times("unix-ms"))
def seconds_signed(draft: Draft) -> None:
    """Milliseconds are sent, but whole seconds were signed."""
    draft.signed_time = draft.time_text[:-3]


@_single("timestamp-unit", _times("rfc3339"))
def unix_time_sent(draft: Draft) -> None:
    """Unix time is sent and signed where a date is due."""
    draft.time_text = draft.signed_time = spelled(draft.time, draft.rng.choice(("unix", "unix-ms")))


@_single("timestamp-unit", _times("unix"))
def date_sent(draft: Draft) -> None:
    """A date is sent and signed where Unix time is due."""
    draft.time_text = draft.signed_time = spelled(draft.time, "rfc3339")


@_single("timestamp-unit", _times("unix"))
def fraction_sent(draft: Draft) -> None:
    """Python's time.time() is sent and signed with its fraction."""
    draft.time_text = draft.signed_time = f"{draft.time:.6f}"


@_single("timestamp-in-signed", _BY_TIME)
def time_was_left_out(draft: Draft) -> None:
    """The sender sends a timestamp and does not sign it."""
    draft.template = re.sub(
        r"v0:\{timestamp\}:|\{timestamp\}[.:\n]|\{timestamp\}", "", draft.template
    )


_TIME_HEADERS = (
    "X-Webhook-Timestamp",
    "X-Request-Timestamp",
    "X-Timestamp",
    "X-Signature-Timestamp",
)


@_single("timestamp-in-signed", _BODY_ONLY)
def time_was_put_in(draft: Draft) -> None:
    """The sender signs a timestamp, which it sends in a header that the scheme does not know."""
    draft.template = draft.rng.choice(
        ("{timestamp}.{body}", "{timestamp}.{body}", "{timestamp}:{body}", "{timestamp}{body}")
    )
    draft.more[draft.rng.choice(_TIME_HEADERS)] = draft.time_text


@_single(
    "timestamp-in-signed",
    _where(lambda scheme: scheme.signed in {"{timestamp}.{body}", "{timestamp}:{body}"}),
)
def time_joined_otherwise(draft: Draft) -> None:
    """The sender joins timestamp and body in another way."""
    ways = ("{timestamp}.{body}", "{timestamp}:{body}", "{timestamp}{body}", "{body}{timestamp}")
    draft.template = draft.rng.choice([each for each in ways if each != draft.scheme.signed])


# Two mistakes at once: names of SINGLES, in the order in which they are made

PAIRS: Final[tuple[tuple[str, str], ...]] = (
    ("secret-ends-in-newline", "signature-in-hex"),
    ("secret-ends-in-newline", "signature-in-base64"),
    ("secret-in-double-quotes", "signature-in-base64-of-hex"),
    ("secret-ends-in-newline", "prefix-left-out"),
    ("secret-in-double-quotes", "signed-as-javascript"),
    ("secret-ends-in-newline", "signed-as-python"),
    ("sender-decodes-hex", "signed-as-python-compact"),
    ("sender-decodes-base64", "signed-as-javascript"),
    ("receiver-has-base64-of-secret", "signature-in-hex"),
    ("secret-with-whsec-added", "prefix-left-out"),
    ("signed-as-php", "signature-in-hex"),
    ("signed-as-php", "signature-in-base64"),
    ("signed-as-frappe-as-json", "prefix-added"),
    ("signed-as-javascript", "headers-of-other-sender"),
    ("secret-ends-in-newline", "headers-of-other-sender"),
    ("url-has-other-scheme", "method-is-another"),
    ("url-has-other-scheme", "secret-ends-in-newline"),
    ("url-has-slash", "signed-as-javascript"),
    ("milliseconds-sent", "signature-in-base64"),
    ("time-was-left-out", "signed-as-javascript"),
    ("time-was-left-out", "id-was-left-out"),
    ("time-was-left-out", "secret-ends-in-newline"),
    ("arrives-in-base64", "secret-ends-in-newline"),
    ("arrives-as-gzip", "secret-ends-in-newline"),
    ("newline-added", "signature-in-base64"),
    ("lines-arrive-with-crlf", "bom-added"),
    ("arrives-as-gzip", "arrives-in-base64"),
    ("digest-is-sha1", "signature-in-base64"),
    ("digest-is-sha512", "prefix-left-out"),
    ("sender-keeps-base64-text", "signature-in-hex"),
    ("sender-keeps-base64-text", "time-was-left-out"),
    ("secret-of-other-endpoint", "signed-as-javascript"),
)


# What cannot be computed: the request itself shows it


def _without(names: Sequence[str]) -> Callable[[dict[str, str]], dict[str, str]]:
    gone = {name.lower() for name in names}
    return lambda headers: {
        name: value for name, value in headers.items() if name.lower() not in gone
    }


def _unknown_body(draft: Draft) -> bytes:
    """Return what nobody can guess."""
    return draft.rng.randbytes(40).hex().encode()


@_hint("header-missing", SCHEMES)
def signature_is_missing(draft: Draft) -> None:
    """The sender has no secret set, or a proxy drops the header."""
    draft.arrives = _without(draft.scheme.signature_headers)


@_hint("header-missing", _where(lambda scheme: scheme.timestamp_header is not None))
def timestamp_is_missing(draft: Draft) -> None:
    """A proxy lets the signature through, and not the timestamp."""
    draft.arrives = _without([draft.scheme.timestamp_header or ""])


@_hint("header-missing", _BY_ID)
def id_is_missing(draft: Draft) -> None:
    """The same with the id."""
    draft.arrives = _without([draft.scheme.id_header or ""])


def _signature_in(draft: Draft, headers: dict[str, str]) -> tuple[str, str]:
    names = {name.lower() for name in draft.scheme.signature_headers}
    return next(pair for pair in headers.items() if pair[0].lower() in names)


@_hint("header-doubled", SCHEMES)
def signature_comes_twice(draft: Draft) -> None:
    """Two proxies each pass the header on, or a second one is added."""

    def twice(headers: dict[str, str]) -> Headers:
        name, value = _signature_in(draft, headers)
        other = draft.rng.choice((value, value[:-4] + "AAAA"))
        return [*headers.items(), (name, other)]

    draft.arrives = twice


@_hint(
    "header-doubled",
    _where(lambda scheme: scheme.signs_body and not scheme.separator and "," not in scheme.prefix),
)
def signatures_are_joined(draft: Draft) -> None:
    """A server has joined two headers with a comma."""

    def joined(headers: dict[str, str]) -> Headers:
        name, value = _signature_in(draft, headers)
        return {**headers, name: f"{value}{draft.rng.choice((',', ', '))}{value}"}

    draft.arrives = joined


@_hint("redirected body-empty")
def redirect_became_get(draft: Draft) -> None:
    """A redirect (301, 302, 303) turned the request into a GET without its body."""
    draft.signed_body, draft.body = _unknown_body(draft), b""
    draft.method = "GET"
    draft.arrives = _without(["Content-Length", "Content-Type"])


@_hint("body-empty")
def body_was_consumed(draft: Draft) -> None:
    """A framework or a middleware has read the body before."""
    draft.signed_body, draft.body = _unknown_body(draft), b""
    draft.more["Content-Length"] = str(len(draft.signed_body))


@_hint("body-empty")
def chunked_body_was_not_read(draft: Draft) -> None:
    """A server reads no body without Content-Length."""
    draft.signed_body, draft.body = _unknown_body(draft), b""
    draft.more["Transfer-Encoding"] = "chunked"
    draft.arrives = _without(["Content-Length"])


@_hint("body-truncated")
def body_is_shorter_than_announced(draft: Draft) -> None:
    """The connection ended, or a buffer was full."""
    draft.more["Content-Length"] = str(len(draft.body))
    draft.body = draft.body[: draft.rng.randint(10, len(draft.body) - 30)]


@_hint("body-truncated")
def body_ends_within_json(draft: Draft) -> None:
    """A gateway cuts what is too long, and sets Content-Length anew."""
    draft.body = draft.body[: draft.rng.randint(10, len(draft.body) - 30)]


@_hint("body-charset", _BINARY)
def characters_were_replaced(draft: Draft) -> None:
    """Undecodable bytes became U+FFFD, so the signed ones are lost."""
    draft.signed_body = _western(draft).encode("latin-1")
    draft.body = draft.signed_body.decode("utf-8", "replace").encode()


@_hint("body-compressed", _RAW)
def body_has_unknown_coding(draft: Draft) -> None:
    """The body came in brotli or zstd, which Python cannot decompress."""
    draft.body = draft.rng.randbytes(90)
    draft.more["Content-Encoding"] = draft.rng.choice(("br", "zstd"))


@_hint("timestamp-out-of-tolerance", _BY_TIME)
def clock_is_wrong(draft: Draft) -> None:
    """One of both clocks is off, or the request came late."""
    apart = draft.scheme.tolerance + draft.rng.randint(60, 100_000)
    draft.now += draft.rng.choice((apart, -apart))


@_hint("header-overridden", _FRAPPE)
def header_row_has_a_token(draft: Draft) -> None:
    """A row of the Webhook's headers has the name of the signature header."""
    token = draft.rng.choice(("token {}", "Bearer {}", "{}")).format(a_word(draft.rng, 20))
    name = draft.scheme.signature_headers[0]
    draft.arrives = lambda headers: {**_without([name])(headers), name: token}


@_hint("header-overridden", _FRAPPE)
def header_row_has_the_secret(draft: Draft) -> None:
    """The same with the secret itself, as other senders send theirs."""
    name, secret = draft.scheme.signature_headers[0], draft.secret
    draft.arrives = lambda headers: {**_without([name])(headers), name: secret}


@_hint("url-differs", _BY_URL)
def url_is_that_of_the_app(draft: Draft) -> None:
    """The app passes its inner address, and nothing tells the outer one."""
    draft.url = f"http://127.0.0.1:8000{_path(draft.url)}"


@_hint("rendered-twice", _FRAPPE)
def rendered_long_after(draft: Draft) -> None:
    """A clock with microseconds, rendered again after a while that nobody can guess."""
    later = timedelta(microseconds=draft.rng.randint(50_000, 900_000))
    _rendered(draft, frappe_datetime, later)


# Rarer mistakes, which can be computed too


@_beyond("secret-whitespace", _TEXT)
def secret_begins_with_mark(draft: Draft) -> None:
    """The secret's file has a byte order mark."""
    draft.secret = f"\ufeff{draft.secret}"


@_beyond("secret-whitespace", _TEXT)
def secret_ends_in_written_newline(draft: Draft) -> None:
    """A backslash and an n stand at the end, from JSON or a .env file."""
    draft.secret += "\\n"


@_beyond("secret-prefix", _BARE_TEXT)
def secret_has_name_of_variable(draft: Draft) -> None:
    """The whole line of a .env file was copied."""
    draft.secret = f"WEBHOOK_SECRET={draft.secret}"


@_beyond("secret-decoded", _TEXT)
def secret_is_percent_encoded(draft: Draft) -> None:
    """The secret was copied from the address of a page."""
    draft.give(f"{draft.secret}+/= {a_word(draft.rng, 5)}")
    draft.secret = quote(draft.secret, safe="")


@_beyond("signature-digest", _where(lambda scheme: scheme.algorithm == "hash"))
def hmac_for_bare_hash(draft: Draft) -> None:
    """The sender computes an HMAC, where a bare hash is due."""
    draft.algorithm = "hmac"


@_beyond("signature-digest", tuple(each for each in _TEXT if each.algorithm == "hmac"))
def bare_hash_for_hmac(draft: Draft) -> None:
    """The sender hashes secret and content, where an HMAC is due."""
    draft.algorithm = "hash"


@_beyond("body-reserialised body-escapes")
def json_within_json(draft: Draft) -> None:
    """The body was serialised twice, so that a JSON string arrives."""
    text = draft.body.decode()
    draft.body = json.dumps(text, ensure_ascii=draft.rng.random() < 0.5).encode()


@_beyond("body-reserialised body-escapes")
def json_within_json_was_signed(draft: Draft) -> None:
    """The sender serialised its body twice before it signed."""
    draft.signed_body = json.dumps(draft.body.decode(), ensure_ascii=False).encode()


@_beyond("body-escapes")
def quotes_arrive_with_slashes(draft: Draft) -> None:
    """WordPress adds slashes before quotes and backslashes (wp_slash)."""
    draft.body = re.sub(rb"([\\'\"])", rb"\\\1", draft.body)


@_beyond("body-truncated")
def body_was_cut_before_signing(draft: Draft) -> None:
    """The sender signs as many bytes as its text has characters."""
    draft.sends_body(_western(draft).encode())
    draft.signed_body = draft.body[: len(draft.body.decode())]


@_beyond("body-charset")
def body_is_composed(draft: Draft) -> None:
    """A Mac sends accents apart from their letters, and a proxy joins them."""
    text = _western(draft)
    draft.signed_body = unicodedata.normalize("NFD", text).encode()
    draft.body = unicodedata.normalize("NFC", text).encode()


@_beyond("body-reserialised")
def signed_as_dotnet(draft: Draft) -> None:
    """System.Text.Json escapes all but letters and digits that HTML knows, in capitals."""
    text = WRITERS["javascript"](draft.document).replace('\\"', "\\u0022")
    for character in "<>&'+`":
        text = text.replace(character, f"\\u{ord(character):04X}")
    draft.signed_body = _escaped(text, "04X").encode()
    draft.body = json.dumps(json.loads(draft.signed_body)).encode()


# Without a cause


def _another_secret(draft: Draft) -> None:
    draft.key = draft.rng.randbytes(32).hex().encode()


def _another_body(draft: Draft) -> None:
    """Let another body arrive than the one that was signed; half of it cannot be guessed."""
    draft.document["event_key"] = draft.rng.randbytes(20).hex()
    draft.signed_body = draft.written().encode()
    draft.document["event_key"] = draft.rng.randbytes(20).hex()
    draft.body = draft.written().encode()


def _another_letter(draft: Draft) -> None:
    """Let one letter arrive as another."""
    key = str(draft.document["event_key"])
    at = draft.rng.randrange(len(key))
    other = draft.rng.choice([each for each in "abcdefghijk" if each != key[at]])
    draft.body = draft.body.replace(key.encode(), f"{key[:at]}{other}{key[at + 1 :]}".encode())


def _short_signature(draft: Draft) -> None:
    """Cut the right signature so short that it could be guessed digit by digit."""
    spell, length = draft.spell, draft.rng.randint(1, 15)
    characters = {"hex": 2, "base64": 4 / 3, "base64url": 4 / 3}[draft.scheme.encoding]
    if draft.rng.random() < 0.5:
        draft.spell = lambda mac: spell(mac[:length])
    else:
        draft.spell = lambda mac: spell(mac)[: int(length * characters)]


def _another_signature(draft: Draft) -> None:
    spell, noise = draft.spell, draft.rng.randbytes(64)
    if draft.scheme.signs_body:
        draft.spell = lambda mac: spell(noise[: len(mac)])
    else:
        draft.key = noise.hex().encode()


# The corpus


def _drawn(kind: str, seed: int, number: int, schemes: Sequence[Scheme]) -> Iterator[Draft]:
    """Yield drafts over all the schemes in turn, in a random order."""
    order = list(schemes)
    Random(f"{seed}/{kind}").shuffle(order)
    for place in range(number):
        yield Draft(Random(f"{seed}/{kind}/{place}"), order[place % len(order)])


def _made(kind: str, causes: Sequence[Cause], seed: int, number: int) -> Iterator[Mismatch]:
    """Yield requests with the same mistakes."""
    first, *others = causes
    schemes = [each for each in first.schemes if all(each in other.schemes for other in others)]
    for place, draft in enumerate(_drawn(kind, seed, number, schemes)):
        parts = [cause.codes | (cause.step(draft) or set()) for cause in causes]
        if draft.secrets is None and draft.rng.random() < 0.1:  # a rotation
            several = [a_secret(draft.rng, draft.scheme), draft.secret]
            draft.secrets = draft.rng.sample(several, k=2)
        yield draft.finish(f"{kind}/{place}", kind, parts)


def singles(seed: int, per_cause: int) -> Iterator[Mismatch]:
    """Yield requests with one mistake, whose signature can be computed again.

    Args:
        seed: The same seed gives the same requests.
        per_cause: How many requests of each cause.
    """
    for name in SINGLES:
        yield from of_cause(name, seed, per_cause)


def of_cause(name: str, seed: int, number: int) -> Iterator[Mismatch]:
    """Yield requests with the mistake of that name, of `SINGLES`, `HINTS` or `BEYOND`."""
    yield from _made(name, [(SINGLES | HINTS | BEYOND)[name]], seed, number)


def pairs(seed: int, per_pair: int) -> Iterator[Mismatch]:
    """Yield requests with two mistakes. `Mismatch.parts` has the codes of each."""
    for names in PAIRS:
        yield from _made("+".join(names), [SINGLES[name] for name in names], seed, per_pair)


def hints(seed: int, per_cause: int) -> Iterator[Mismatch]:
    """Yield requests whose signature cannot be computed again, but which show what happened."""
    for name in HINTS:
        yield from of_cause(name, seed, per_cause)


def beyond(seed: int, per_cause: int) -> Iterator[Mismatch]:
    """Yield requests with rarer mistakes, for which no code is exact: the nearest ones count."""
    for name in BEYOND:
        yield from of_cause(name, seed, per_cause)


def without_cause(seed: int, number: int) -> Iterator[Mismatch]:
    """Yield requests of which nothing can be proved, over all schemes."""
    for place, draft in enumerate(_drawn("without-cause", seed, number, SCHEMES)):
        steps = (
            *(_another_secret, _another_body, _another_letter),
            *(_another_signature, _short_signature),
        )
        step = steps[place % len(steps)] if draft.scheme.signs_body else _another_signature
        step(draft)
        yield draft.finish(f"without-cause/{place}", step.__name__.strip("_").replace("_", "-"))


def genuine(seed: int, number: int) -> Iterator[Mismatch]:
    """Yield requests that are right, over all schemes."""
    for place, draft in enumerate(_drawn("genuine", seed, number, SCHEMES)):
        yield draft.finish(f"genuine/{place}", "genuine")
