"""A webhook request on its way: what its sender signs, what arrives, what the receiver has."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from random import Random
from string import ascii_letters, digits
from typing import Any, Final, TypeAlias

from frappe_hooksig import Scheme, Secret, providers
from tests.explain.writers import WRITERS

#: Secrets as `Verifier` takes them.
Secrets: TypeAlias = "str | Secret | list[str | Secret]"

#: The headers of a request; pairs if a header occurs twice.
Headers: TypeAlias = "dict[str, str] | list[tuple[str, str]]"

#: Layouts that no provider has.
_OTHERS: Final = (
    Scheme(
        name="corpus-sha512",
        signature_header="X-Corpus-Signature",
        prefix="sha512=",
        encoding="base64",
        digest="sha512",
    ),
    Scheme(name="corpus-base64url", signature_header="X-Corpus-Digest", encoding="base64url"),
    Scheme(
        name="corpus-all",
        signature_header="X-Corpus-MAC",
        timestamp_header="X-Corpus-Time",
        id_header="X-Corpus-Id",
        signed="{method}\n{url}\n{id}\n{timestamp}\n{body}",
        encoding="hex",
        digest="sha512",
        secret_format="hex",
    ),
)

#: All schemes of the corpus.
SCHEMES: Final = (*map(providers.get, providers.names()), *_OTHERS)

_ENCODERS: Final[dict[str, Callable[[bytes], str]]] = {
    "hex": bytes.hex,
    "base64": lambda raw: base64.b64encode(raw).decode(),
    "base64url": lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("="),
    "plain": bytes.decode,
}

_CITIES = ("Zürich", "São Paulo", "München", "Kraków", "Łódź", "東京", "Санкт-Петербург")
_ITEMS = ("Tisch & Stuhl", "Café crème", "Schraube <M8>", "Lampe “Luna”", "Pump 3/4", "Hut 🎩")
_NOTES = ("Ring twice.\nThen wait.", 'He said "now"', "C:\\orders\\new", "100 % <b>sure</b>", "…")
_ALPHABET = ascii_letters + digits


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """A request, what its receiver has, and what is wrong.

    Attributes:
        id: The name of this request, which no other has.
        cause: The name of the mistake.
        codes: The codes that are right as the first answer; empty if nothing can be proved.
        parts: The right codes of each mistake, if several were made at once.
        body: The body as it arrived.
        headers: The headers as they arrived.
        secret: The receiver's secret, or secrets.
        scheme: The receiver's scheme.
        method: The method that the receiver sees.
        url: The URL that the receiver takes for its own.
        now: The receiver's time, in Unix seconds.
        also: Other secrets that it may have been.
        signed: The content that the sender signed, for checks of the corpus itself.
        key: The key that the sender used, likewise.
        digest: The hash function that it used, likewise.
        hidden: What no output may show: the secrets, the keys, what was signed with them, and what
            the receiver expected.
    """

    id: str
    cause: str
    codes: frozenset[str]
    parts: tuple[frozenset[str], ...]
    body: bytes
    headers: Headers
    secret: Secrets
    scheme: Scheme
    method: str | None
    url: str | None
    now: float
    also: tuple[str, ...]
    signed: bytes
    key: bytes
    digest: str
    hidden: tuple[bytes, ...]


class Draft:
    """One genuine request, before a mistake changes a part of it.

    Attributes:
        rng: Where all that is random comes from.
        scheme: The receiver's scheme.
        sends: The scheme whose headers the sender writes.
        secret: The receiver's secret.
        shared: The secret that both sides should have.
        secrets: What the receiver has instead of the secret alone, or None.
        also: Other secrets that it may have been.
        key: The key that the sender uses.
        document: The JSON value that is sent.
        signed_body: The body that the sender signs.
        body: The body that arrives.
        method: The method that the receiver sees.
        url: The URL that the receiver takes for its own.
        signed_method: The method that the sender signs.
        signed_url: The URL that the sender signs.
        time_text: The timestamp that the headers carry.
        signed_time: The timestamp that the sender signs.
        delivery_id: The id that the headers carry.
        signed_id: The id that the sender signs.
        template: The template of what the sender signs.
        digest: The hash function that the sender uses.
        algorithm: How the sender computes its MAC.
        spell: Writes the MAC as text.
        prefix: What the sender puts before the signature.
        more: Other headers that arrive.
        arrives: Changes all headers, as a proxy or a server does.
        now: The receiver's time, in Unix seconds.
    """

    def __init__(self, rng: Random, scheme: Scheme) -> None:
        self.rng = rng
        self.scheme = self.sends = scheme
        self.give(a_secret(rng, scheme))
        self.secrets: Secrets | None = None
        self.also: tuple[str, ...] = ()
        self.now = rng.randint(1_764_000_000, 1_860_000_000) + rng.randrange(1000) / 1000
        self.document: dict[str, Any] = a_document(rng, self.now)
        self.signed_body = self.body = self.written().encode()
        self.method = self.signed_method = rng.choice(("POST", "POST", "POST", "PUT"))
        self.url = self.signed_url = a_url(rng)
        self.time = self.now - rng.uniform(0, 20)
        self.time_text = self.signed_time = spelled(self.time, scheme.timestamp_format)
        self.delivery_id = self.signed_id = f"msg_{a_word(rng, 24)}"
        self.template = scheme.signed
        self.digest: str = scheme.digest
        self.algorithm: str = scheme.algorithm
        self.spell = _ENCODERS[scheme.encoding]
        self.prefix = scheme.prefix
        self.more: dict[str, str] = {}
        self.arrives: Callable[[dict[str, str]], Headers] = dict

    def give(self, secret: str) -> None:
        """Give both sides a secret."""
        self.secret = self.shared = secret
        self.key = key_of(secret, self.scheme.secret_formats[0])

    def written(self) -> str:
        """Return the document as the scheme's sender may write it."""
        if self.scheme.name == "frappe":
            return json.dumps(self.document)
        names = ("python", "python-compact", "python-unicode", "javascript", "php", "go-struct")
        return WRITERS[self.rng.choice(names)](self.document)

    def sends_body(self, body: bytes) -> None:
        """Let the sender sign and send this body."""
        self.signed_body = self.body = body

    def send_as(self, scheme: Scheme) -> None:
        """Let the sender sign by another scheme than the receiver's."""
        self.sends = scheme
        self.key = key_of(self.shared, scheme.secret_formats[0])
        self.template, self.digest = scheme.signed, scheme.digest
        self.algorithm, self.prefix = scheme.algorithm, scheme.prefix
        self.spell = _ENCODERS[scheme.encoding]
        self.time_text = self.signed_time = spelled(self.time, scheme.timestamp_format)

    def content(self) -> bytes:
        """Return what the sender signs."""
        before, _, after = self.template.partition("{body}")
        parts = {
            "timestamp": self.signed_time,
            "id": self.signed_id,
            "method": self.signed_method,
            "url": self.signed_url,
        }
        start, end = before.format(**parts), after.format(**parts)
        return start.encode() + self.signed_body + end.encode()

    def mac(self) -> bytes:
        """Return the MAC that the sender computes; the key itself if it signs nothing."""
        if self.sends.encoding == "plain":
            return self.key
        return mac_of(self.algorithm, self.digest, self.key, self.content())

    def signature_headers(self) -> dict[str, str]:
        """Return the headers that the sender adds for its signature."""
        signature = self.prefix + self.spell(self.mac())
        headers = laid_out(self.sends, [signature], self.time_text, self.delivery_id)
        spare = self.rng.random()
        first, *others = self.sends.signature_headers
        if others and spare < 0.6:  # the second or third key has signed
            headers[self.rng.choice(others[:2])] = headers.pop(first)
            if spare < 0.3:
                headers[first] = self.prefix + self.spell(self.rng.randbytes(len(self.mac())))
            return headers
        if self.sends.separator and self.prefix == self.sends.prefix and spare < 0.2:
            old = self.prefix + self.spell(self.rng.randbytes(len(self.mac())))
            several = [signature, old] if spare < 0.1 else [old, signature]
            return laid_out(self.sends, several, self.time_text, self.delivery_id)
        return headers

    def finish(self, name: str, cause: str, parts: Sequence[frozenset[str]] = ()) -> Mismatch:
        """Return the request.

        Args:
            name: The id of the request.
            cause: The name of the mistake.
            parts: The right codes of each mistake.
        """
        several = tuple(part | self._other_names(part) for part in parts)
        return Mismatch(
            id=name,
            cause=cause,
            codes=frozenset().union(*several),
            parts=several,
            body=self.body,
            headers=self.arrives(self._arriving()),
            secret=self.secret if self.secrets is None else self.secrets,
            scheme=self.scheme,
            method=self.method,
            url=self.url,
            now=self.now,
            also=self.also,
            signed=self.content(),
            key=self.key,
            digest=self.digest,
            hidden=tuple(self._hidden()),
        )

    def _hidden(self) -> Iterator[bytes]:
        """Yield the secrets, the keys and the MACs of both sides."""
        several = self.secrets if isinstance(self.secrets, list) else []
        for secret in (self.shared, self.secret, *self.also, *several):
            if isinstance(secret, str):  # a Secret hides the shared one
                yield secret.strip().encode()
        yield self.key
        yield self.mac()
        if self.scheme.signs_body:
            with suppress(ValueError):
                key = key_of(self.secret, self.scheme.secret_formats[0])
                yield self._expected(self.scheme, key, self.body)

    def _arriving(self) -> dict[str, str]:
        """Return all headers, in the spelling of the sender, or of a server."""
        headers = {
            "Host": self.url.partition("://")[2].partition("/")[0],
            "User-Agent": self.rng.choice(
                ("python-requests/2.32.5", "Go-http-client/2.0", "axios")
            ),
            "Content-Type": "application/json",
            **self.signature_headers(),
            "Content-Length": str(len(self.body)),
            **self.more,
        }
        if self.rng.random() < 0.3:
            return {name.lower(): value for name, value in headers.items()}
        return headers

    def _other_names(self, part: frozenset[str]) -> frozenset[str]:
        """Return codes that name the same MAC with as much right as those of one mistake."""
        found: set[str] = set()
        if any(code.startswith("body-") for code in part) and self.body != self.signed_body:
            with suppress(ValueError):
                arrived = json.loads(self.body)
                signed = self.signed_body.decode()
                if any(writer(arrived) == signed for writer in WRITERS.values()):
                    found.add("body-reserialised")
                if unescaped(self.body.decode()) == unescaped(signed):
                    found.add("body-escapes")
        if self.sends == self.scheme and self._is_another_sender(part):
            found.add("scheme-other")
        return frozenset(found)

    def _is_another_sender(self, part: frozenset[str]) -> bool:
        """Whether the headers are those of another scheme, if one mistake is left out."""
        signature = self.prefix + self.spell(self.mac())
        headers = laid_out(self.sends, [signature], self.time_text, self.delivery_id) | self.more
        arrived = {name.lower(): value for name, value in headers.items()}
        is_layout = any(code.startswith(("signature-", "timestamp-", "id-")) for code in part)
        irrelevant = {"secret_formats", "timestamp_format"} if is_layout else set()
        irrelevant |= set() if "body-compressed" in part else {"signs_decoded_body"}
        return any(
            arrived.get(each.signature_headers[0].lower())
            and _differing(each, self.scheme) - irrelevant
            and all(
                arrived.get(name.lower()) == value
                for name, value in self._headers_of(each, is_layout=is_layout).items()
            )
            for each in SCHEMES
            if each.signs_body
        )

    def _headers_of(self, other: Scheme, *, is_layout: bool) -> dict[str, str]:
        """Return what another scheme's sender would send.

        Args:
            other: The scheme.
            is_layout: Whether it has the same key, and signs the same body.
        """
        key, body = self.key, self.signed_body
        if not is_layout:
            key, body = b"", self.body
            with suppress(ValueError):
                key = key_of(self.secret, other.secret_formats[0])
        mac = self._expected(other, key, body)
        signature = other.prefix + _ENCODERS[other.encoding](mac)
        return laid_out(other, [signature], self.time_text, self.delivery_id)

    def _expected(self, scheme: Scheme, key: bytes, body: bytes) -> bytes:
        """Return the MAC that a scheme demands of what the receiver sees beside the body."""
        before, _, after = scheme.signed.partition("{body}")
        parts = {
            "timestamp": self.time_text,
            "id": self.delivery_id,
            "method": self.method,
            "url": self.url,
        }
        content = before.format(**parts).encode() + body + after.format(**parts).encode()
        return mac_of(scheme.algorithm, scheme.digest, key, content)


def _differing(one: Scheme, other: Scheme) -> set[str]:
    """Return the names of the fields in which two senders' requests differ."""
    names = (
        *("header_names", "signed", "encoding", "algorithm", "digest", "prefix", "separator"),
        *("timestamp_prefix", "timestamp_is_first", "timestamp_format", "secret_formats"),
        "signs_decoded_body",
    )
    return {name for name in names if getattr(one, name) != getattr(other, name)}


def mac_of(algorithm: str, digest: str, key: bytes, content: bytes) -> bytes:
    """Return a MAC, or the bare hash of key and content."""
    if algorithm == "hash":
        return hashlib.new(digest, key + content).digest()
    return hmac.new(key, content, digest).digest()


def laid_out(
    scheme: Scheme, signatures: Sequence[str], time_text: str, delivery_id: str
) -> dict[str, str]:
    """Return a scheme's headers with these signatures, each with its prefix."""
    entries = list(signatures)
    if scheme.timestamp_prefix or scheme.timestamp_is_first:
        entries.insert(0, scheme.timestamp_prefix + time_text)
    headers = {scheme.signature_headers[0]: scheme.separator.join(entries)}
    if scheme.timestamp_header:
        headers[scheme.timestamp_header] = time_text
    if scheme.id_header:
        headers[scheme.id_header] = delivery_id
    return headers


def key_of(secret: str, secret_format: str) -> bytes:
    """Return the key of a secret, as a sender reads it."""
    if secret_format == "text":
        return secret.encode()
    if secret_format == "hex":
        return bytes.fromhex(secret)
    return base64.b64decode(secret.removeprefix("whsec_"), validate=True)


def spelled(seconds: float, timestamp_format: str) -> str:
    """Return a time as a scheme writes it."""
    if timestamp_format == "unix":
        return str(int(seconds))
    if timestamp_format == "unix-ms":
        return str(int(seconds * 1000))
    moment = datetime.fromtimestamp(int(seconds), timezone.utc)
    return moment.isoformat().replace("+00:00", "Z")


def unescaped(text: str) -> str:
    """Return a JSON text in which only what must be escaped is, always in one way."""
    text = text.replace("\\\\", "\0")
    text = text.replace("\\/", "/")
    head, *pieces = text.split("\\u")
    units = [chr(int(piece[:4], 16)) + piece[4:] for piece in pieces]
    joined = "".join([head, *units]).replace("\0", "\\\\")
    return joined.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def spellings(raw: bytes) -> tuple[str, ...]:
    """Return how the first 126 bits of a MAC or a key look as text, in each encoding."""
    standard = base64.b64encode(raw).decode()[:21]
    safe = standard.replace("+", "-").replace("/", "_")
    of_hex = base64.b64encode(raw.hex().encode()).decode()[:42]
    return raw.hex()[:32], standard, safe, of_hex


def a_word(rng: Random, length: int) -> str:
    """Return random letters and digits."""
    return "".join(rng.choices(_ALPHABET, k=length))


def a_secret(rng: Random, scheme: Scheme) -> str:
    """Return a secret as the scheme's sender makes it."""
    raw = rng.randbytes(rng.choice((24, 32)))
    secret_format = scheme.secret_formats[0]
    if secret_format == "hex":
        return raw.hex()
    if secret_format in {"base64", "whsec"}:
        start = "whsec_" if secret_format == "whsec" else ""
        return start + base64.b64encode(raw).decode()
    several = (
        a_word(rng, rng.randint(20, 48)),
        raw.hex(),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        "-".join(a_word(rng, 6) for _ in range(4)),
        f"{a_word(rng, 12)}!$*.{a_word(rng, 9)}",
    )
    return scheme.secret_prefix + rng.choice(several)


def a_url(rng: Random) -> str:
    """Return the URL of a receiver, with a path of several parts and a query."""
    host = f"{a_word(rng, 6).lower()}.example.com"
    path = "/".join(a_word(rng, rng.randint(3, 8)).lower() for _ in range(rng.randint(2, 3)))
    query = rng.choice(("", "", f"?shop={a_word(rng, 4)}", "?a=1&b=two"))
    return f"https://{host}/{path}{query}"


def frappe_datetime(moment: datetime) -> str:
    """Return a moment as Frappe writes it: without fraction if it has no microseconds."""
    return str(moment)


def a_moment(rng: Random, now: float) -> datetime:
    """Return a moment of the last weeks, with microseconds."""
    start = datetime.fromtimestamp(now, timezone.utc).replace(tzinfo=None)
    return start - timedelta(microseconds=rng.randrange(30 * 86_400_000_000))


def a_document(rng: Random, now: float) -> dict[str, Any]:
    """Return the data of an event: nested, with Unicode, floats, escapes, dates, empty parts."""
    moment = a_moment(rng, now)
    fields: dict[str, Any] = {
        "name": f"SO-{rng.randrange(100_000):05}",
        "customer": f"{rng.choice(_CITIES)} {a_word(rng, 5)} & Co <{a_word(rng, 3)}>",
        "modified": frappe_datetime(moment),
        "delivery_date": str((moment + timedelta(days=rng.randint(1, 90))).date()),
        "delivery_time": str(moment.time().replace(microsecond=0)),
        "grand_total": round(rng.uniform(1, 1e6), 2),
        "conversion_rate": rng.choice((0.30000000000000004, 1.1, rng.random(), 0.00001234)),
        "docstatus": rng.randint(0, 2),
        "is_paid": rng.choice((True, False)),
        "po_no": None,
        "website": f"https://{a_word(rng, 8).lower()}.example/{a_word(rng, 4)}?a=1&b=2",
        "note": rng.choice(_NOTES),
        "tags": [],
        "meta": {},
        "items": [
            {
                "idx": place,
                "item_code": f"ITEM/{a_word(rng, 4)}",
                "item_name": rng.choice(_ITEMS),
                "rate": round(rng.uniform(0.01, 500), 2),
                "serials": [rng.randrange(10**12) for _ in range(rng.randint(0, 2))],
                "parent": {"doctype": "Sales Order", "links": [[], {}]},
            }
            for place in range(1, rng.randint(1, 3) + 1)
        ],
    }
    names = ["name", "customer", "website", *rng.sample(sorted(fields), rng.randint(3, 12))]
    rng.shuffle(names)
    document = {"doctype": "Sales Order"} if rng.random() < 0.5 else {}
    return document | {name: fields[name] for name in names} | {"event_key": a_word(rng, 22)}
