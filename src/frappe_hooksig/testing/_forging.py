"""Make requests of a scheme: right ones, and those that a stranger or a careless sender makes."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from secrets import choice, token_bytes, token_hex
from typing import Any, Literal, NamedTuple, TypeAlias, cast

from frappe_hooksig._keys import redacted
from frappe_hooksig._payload import Payload, new_id, serialised
from frappe_hooksig._raw_body import MAX_BODY
from frappe_hooksig._secret_checks import SecretFormat, decoded, strength
from frappe_hooksig._timestamp import spell_time
from frappe_hooksig._wire import wire_of
from frappe_hooksig.exceptions import Reason, VerificationError
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secrets
from frappe_hooksig.sign import Signer
from frappe_hooksig.testing._requests import SignedRequest, as_sent

#: What to send: a payload, or a function that returns a new one for each request. None is an
#: example.
Payloads: TypeAlias = Payload | Callable[[], Payload]

#: A MAC in each encoding. Only one of them is the sender's.
ENCODINGS: dict[str, Callable[[bytes], str]] = {
    "hex": bytes.hex,
    "base64": lambda mac: b64encode(mac).decode(),
    "base64url": lambda mac: urlsafe_b64encode(mac).decode().rstrip("="),
}

_BINARY = {"Content-Type": "application/octet-stream"}
_WHITE_SPACE = " \t\r\n"  # of JSON: RFC 8259 section 2

_COMPACT = (",", ":")
# How JSON libraries serialise: Python's in three ways, JavaScript's and PHP's.
_SERIALISERS: tuple[Callable[[Any], str], ...] = (
    json.dumps,
    lambda value: json.dumps(value, sort_keys=True),
    lambda value: json.dumps(value, separators=_COMPACT),
    lambda value: json.dumps(value, separators=_COMPACT, ensure_ascii=False),
    lambda value: json.dumps(value, separators=_COMPACT).replace("/", "\\/"),
)


class Parts(NamedTuple):
    """The parts of one delivery that a scheme may sign, and its content type."""

    body: bytes
    headers: dict[str, str]
    timestamp: str | None
    id: str | None
    method: str
    url: str | None


class Forger:
    """Makes requests of a scheme, right and wrong ones.

    Attributes:
        scheme: The scheme.
        tolerance: How far a timestamp may be from now in the receiver, in seconds.
        max_body: The largest body that the receiver accepts, in bytes.
    """

    def __init__(
        self,
        scheme: Scheme,
        secret: Secrets,
        *,
        url: str | None = None,
        payload: Payloads = None,
        method: str = "POST",
        tolerance: float | None = None,
        max_body: int = MAX_BODY,
        headers: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        from frappe_hooksig.verify import Verifier  # here, because tests of stores verify nothing

        several = redacted(secret)
        del secret  # error reporters show the local variables of every frame
        self.scheme = scheme
        self.max_body = max_body
        self._verifier = Verifier(
            several, scheme=scheme, tolerance=tolerance, max_body=max_body, clock=clock
        )
        self.tolerance = self._verifier.tolerance or 0
        Signer(several, scheme=scheme)  # it refuses more secrets than a request can carry
        self._wire = wire_of(scheme)
        self._secret = several[0]
        self._format: SecretFormat = next(
            each for each in scheme.secret_formats if strength(self._secret.reveal(), each)
        )
        self._method = method
        self._url = url
        self._payload = payload
        self._headers = dict(headers or {})
        self._clock = clock

    def parts(self, *, ahead: float = 0, **replaced: Any) -> Parts:
        """Return a new delivery that is signed so many seconds from now."""
        body, headers = serialised(self._example())
        headers = as_sent(self.scheme, headers)
        if self._payload is not None and not callable(self._payload) and parsed(body) is not None:
            # Two deliveries with the same body would be one.
            body += _white_space()
        time_text = self.time_text(ahead) if self.scheme.signs_timestamp else None
        delivery_id = new_id() if self.scheme.id_header else None
        parts = Parts(body, headers, time_text, delivery_id, self._method, self._url)
        return parts._replace(**replaced)

    def time_text(self, ahead: float) -> str:
        """Return a timestamp so many seconds from now, as the sender writes it."""
        return spell_time(self._clock() + ahead, self.scheme.timestamp_format)

    def odd_json(self) -> bytes | None:
        """Return a new body that changes if it is parsed and serialised again.

        Return None if the payload is no JSON object.
        """
        # JavaScript writes 5.0 as 5.
        return _odd_json(self._example(5.0))

    def mac(
        self,
        parts: Parts,
        *,
        key: bytes | None = None,
        digest: str | None = None,
        only: Literal["body", "others"] | None = None,
    ) -> bytes:
        """Return the MAC of a delivery, or the secret if the scheme sends it.

        Args:
            parts: The delivery.
            key: Another key than the sender's.
            digest: Another hash function than the sender's.
            only: Which parts to sign, if not all.
        """
        if not self.scheme.signs_body:
            return self._secret.reveal() if key is None else key
        before, after = self._wire.around(parts.timestamp, parts.id, parts.method, parts.url)
        body = b"" if only == "others" else parts.body
        message = body if only == "body" else before + body + after
        digest = digest or self.scheme.digest
        if self.scheme.algorithm == "hash":
            start = self._key() if key is None else key
            return hashlib.new(digest, start + message).digest()
        return hmac.new(self._key() if key is None else key, message, digest).digest()

    def text(self, mac: bytes) -> str:
        """Return a MAC as the sender writes it, without prefix."""
        encode = ENCODINGS.get(self.scheme.encoding)
        return mac.decode("latin-1") if encode is None else encode(mac)

    def signature(self, parts: Parts) -> str:
        """Return the right signature, without prefix."""
        return self.text(self.mac(parts))

    def forged(self, parts: Parts) -> str:
        """Return a well-formed signature that another secret makes."""
        length = len(self.mac(parts))
        return self.text(self.mac(parts, key=token_hex(length)[:length].encode()))

    def reason_of(self, request: SignedRequest) -> Reason | None:
        """Return the reason for which this package refuses a request; None if it accepts it."""
        try:
            self._verifier.verify(
                request.body, request.headers, method=request.method, url=request.url
            )
        except VerificationError as error:
            return error.reason
        return None

    def request(self, parts: Parts, *signatures: str) -> SignedRequest:
        """Return a delivery with these signatures, or with the right one."""
        headers = self._formatted(parts, *(signatures or [self.signature(parts)]))
        return self.bare(parts, headers.items())

    def bare(self, parts: Parts, headers: Iterable[tuple[str, str]]) -> SignedRequest:
        """Return a delivery with these headers, and those that every request has."""
        pairs = [*parts.headers.items(), *headers, *self._headers.items()]
        return SignedRequest(parts.body, pairs, method=self._method, url=self._url)

    def genuine(self, **replaced: Any) -> SignedRequest:
        """Return a signed delivery, with other parts if they are given."""
        return self.request(self.parts(**replaced))

    def binary(self) -> SignedRequest:
        """Return a signed body that is not UTF-8."""
        return self.genuine(body=_binary(), headers=_BINARY)

    def unsigned_binary(self) -> SignedRequest:
        """Return an unsigned body that is not UTF-8."""
        return self.bare(self.parts(body=_binary(), headers=_BINARY), ())

    def huge(self) -> SignedRequest:
        """Return a signed body that is one byte too large."""
        body = self.parts().body
        return self.genuine(body=body + b" " * (self.max_body + 1 - len(body)))

    def signed_with(self, signature: Callable[[Parts], str]) -> SignedRequest:
        """Return a delivery with the signature that a function makes of its parts."""
        parts = self.parts()
        return self.request(parts, signature(parts))

    def rewritten(self, rewrite: Callable[[str], str]) -> SignedRequest:
        """Return a delivery whose right signature was rewritten."""
        return self.signed_with(lambda parts: rewrite(self.signature(parts)))

    def keyed(self, key: bytes) -> SignedRequest:
        """Return a delivery that another key signs."""
        return self.signed_with(lambda parts: self.text(self.mac(parts, key=key)))

    def changed(self, signed: Mapping[str, Any] | None = None, **sent: Any) -> SignedRequest:
        """Return a delivery of which some parts are signed, and others sent."""
        parts = self.parts()
        signature = self.signature(parts._replace(**(signed or {})))
        return self.request(parts._replace(**sent), signature)

    def at(self, respell: Callable[[str], str]) -> SignedRequest:
        """Return a delivery whose timestamp was changed after it was signed."""
        parts = self.parts()
        timestamp = respell(parts.timestamp or "")
        return self.request(parts._replace(timestamp=timestamp), self.signature(parts))

    def rotated(self, place: int) -> SignedRequest:
        """Return a delivery with two signatures. The one at the place is right."""
        parts = self.parts()
        signatures = [self.forged(parts), self.forged(parts)]
        signatures[place] = self.signature(parts)
        return self.request(parts, *signatures)

    def doubled(self, are_right: Sequence[bool]) -> SignedRequest:
        """Return a delivery with two headers of the same name, each right or wrong."""
        parts = self.parts()
        texts = {True: self.signature(parts), False: self.forged(parts)}
        first, second = (self._formatted(parts, texts[is_right]) for is_right in are_right)
        names = self.scheme.signature_headers
        again = [(name, value) for name, value in second.items() if name in names]
        return self.bare(parts, [*first.items(), *again])

    def after_forgery(self) -> list[SignedRequest]:
        """Return a forgery, and then the genuine delivery with the same content."""
        parts = self.parts()
        return [self.request(parts, self.forged(parts)), self.request(parts)]

    def reserialised(self) -> list[SignedRequest]:
        """Return bodies with the signatures that they have if they are serialised again."""
        found: list[SignedRequest] = []
        for serialise in _SERIALISERS:
            odd = _odd_json(self._example()) or b""
            again = serialise(json.loads(odd)).encode()
            found.append(self.changed({"body": again}, body=odd))
        return found

    def written(self, write: Callable[[bytes], str]) -> SignedRequest:
        """Return a delivery whose MAC is written in another way, which makes a difference."""
        while True:
            parts = self.parts()
            mac = self.mac(parts)
            if write(mac).rstrip("=") != self.text(mac).rstrip("="):
                return self.request(parts, write(mac))

    def prefixed(self, prefix: str) -> SignedRequest:
        """Return a delivery with another prefix before its signature."""
        parts = self.parts()
        value = prefix + self.signature(parts)
        return _replaced(self.request(parts), self.scheme.signature_headers[0], value)

    def with_digest(self, digest: str) -> list[SignedRequest]:
        """Return deliveries whose MACs are made with another hash function."""
        header = self.scheme.signature_headers[0]
        several = [self.parts() for _ in range(3)]
        texts = [self.text(self.mac(parts, digest=digest)) for parts in several]
        plain = self.request(several[0], texts[0])
        named = _replaced(self.genuine(), header, f"{digest}={texts[1]}")
        if header == "X-Hub-Signature":
            return [plain, named]
        # GitHub sends both, and some receivers take the older one if the newer is absent.
        old = ("X-Hub-Signature", f"{digest}={texts[2]}")
        return [plain, named, self.bare(several[2], [old])]

    def of_other_scheme(self, header: str, prefix: str) -> SignedRequest:
        """Return a delivery that another scheme signs with the same secret."""
        parts = self.parts()
        mac = hmac.new(self._secret.reveal(), parts.body, "sha256").hexdigest()
        return self.bare(parts, [(header, prefix + mac)])

    def without(self, names: Sequence[str]) -> SignedRequest:
        """Return a delivery without some of its headers."""
        request = self.genuine()
        request.headers = [pair for pair in request.headers if pair[0] not in names]
        return request

    def with_header(self, name: str, value: str) -> SignedRequest:
        """Return a delivery with another value in one of its headers."""
        return _replaced(self.genuine(), name, value)

    def _key(self) -> bytes:
        return decoded(self._secret.reveal(), self._format)

    def _formatted(self, parts: Parts, *signatures: str) -> dict[str, str]:
        """Return the scheme's headers with these signatures."""
        several = [text.encode() for text in signatures]
        return self._wire.format(several, timestamp=parts.timestamp, id=parts.id)

    def _example(self, amount: float = 5) -> Any:
        """Return a new payload, before it is serialised."""
        payload: Any = self._payload
        if payload is None:
            name = "caf\xe9 / \u2713"
            payload = {"event": "test", "name": name, "amount": amount, "id": new_id()}
        return _with_new_id(payload() if callable(payload) else payload, self.scheme)


def gzipped(request: SignedRequest) -> SignedRequest:
    """Return a request whose body was compressed after it was signed."""
    from gzip import compress

    pairs = [*request.headers, ("Content-Encoding", "gzip")]
    return SignedRequest(compress(request.body), pairs, method=request.method, url=request.url)


def renewed(scheme: Scheme, body: bytes) -> bytes | None:
    """Return a body with the same content that is another delivery; None if it is no JSON."""
    payload = parsed(body)
    if payload is None:
        return None
    if scheme.body_id is not None:
        body = json.dumps(_with_new_id(payload, scheme)).encode()
    return body + _white_space()


def _binary() -> bytes:
    """Return a new body that is neither UTF-8 nor JSON."""
    return b"{\xff\xfe\x00" + token_bytes(12).hex().encode()


def _replaced(request: SignedRequest, header: str, value: str) -> SignedRequest:
    request.headers = [(name, value if name == header else text) for name, text in request.headers]
    return request


def parsed(body: bytes) -> Any:
    """Return JSON, parsed; None for other bodies."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _odd_json(payload: Any) -> bytes | None:
    members: Any = payload
    if not isinstance(payload, dict):
        members = parsed(serialised(payload)[0])
    if not isinstance(members, dict) or not members:
        return None
    pairs = cast("dict[object, object]", members).items()
    texts = [f"{_escaped(str(key))} :{json.dumps(value, default=str)}" for key, value in pairs]
    texts = [*reversed(texts), texts[0]]
    return ("{\r\n\t" + " ,\n".join(texts) + "}").encode() + _white_space()


def _escaped(key: str) -> str:
    """Return a key as JSON, with an escape that is not needed."""
    return f'"\\u{ord(key[0]):04X}{json.dumps(key[1:])[1:]}' if key else '""'


def _white_space() -> bytes:
    """Return new white space, which changes no JSON."""
    return "".join(choice(_WHITE_SPACE) for _ in range(32)).encode()


def _with_new_id(payload: Any, scheme: Scheme) -> Any:
    """Return a payload with a new id where the scheme has one in the body."""
    pointer = scheme.body_id
    return payload if pointer is None else _with_id(payload, pointer.split("/")[1:])


def _with_id(payload: Any, path: Sequence[str]) -> Any:
    """Return a payload with a new id at a place in it."""
    if not isinstance(payload, dict):
        return payload
    members: dict[Any, Any] = {**payload}
    first, *others = path
    members[first] = _with_id(members.get(first, {}), others) if others else new_id()
    return members
