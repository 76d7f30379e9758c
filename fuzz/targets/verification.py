"""Verifying requests of one scheme: whole, and in chunks."""

from __future__ import annotations

import pickle
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any

from frappe_hooksig import (
    Scheme,
    Secret,
    VerificationError,
    VerifiedRequest,
    Verifier,
)
from fuzz import hostile, oracle
from fuzz.carriers import CARRIERS
from fuzz.dice import Dice
from fuzz.oracle import Message, Pairs, mac, readings, values, written
from fuzz.requests import NOW, Request, requests
from fuzz.target import ACCEPTED, Escape, Target
from fuzz.targets.secret_texts import keys_of

_SMALL_BODY = 100  # bytes
_LONGEST_LINE = 1000  # characters
_CHUNK_TYPES = (bytes, bytearray, memoryview)

# These keep what they are given by its very spelling: two spellings of a name are two headers, and
# the package asks for one. All others must show a doubled header.
_KEEPS_SPELLINGS = frozenset({"dict", "mapping proxy"})


def secret_of(key: bytes, secret_format: str) -> str:
    """Return the text of a secret that stands for a key of printable ASCII."""
    if secret_format == "text":
        return key.decode()
    if secret_format == "hex":
        return key.hex()
    return ("whsec_" if secret_format == "whsec" else "") + b64encode(key).decode()


class Receiver:
    """A verifier and the keys that it was made with: for each secret, one or several."""

    def __init__(self, scheme: Scheme, keys: Mapping[str | None, bytes], max_body: int) -> None:
        first, *_ = formats = scheme.secret_formats
        texts = {secret_id: secret_of(key, first) for secret_id, key in keys.items()}
        self.keys = [(each, key) for each in texts for key in keys_of(texts[each], formats)]
        self.max_body = max_body
        self.secrets = [
            Secret(text, id=secret_id) if isinstance(secret_id, str) else text
            for secret_id, text in texts.items()
        ]
        self.verifier = Verifier(self.secrets, scheme=scheme, max_body=max_body, clock=lambda: NOW)
        self.hidden = [*texts.values(), *(key.hex() for _, key in self.keys)]
        plain = ", ".join(f"Secret({text!r}, id={each!r})" for each, text in texts.items())
        self.source = f"Verifier([{plain}], max_body={max_body}, clock=lambda: {NOW})"


class Verification(Target):
    """Requests of one scheme."""

    def __init__(self, scheme: Scheme) -> None:
        self.name = scheme.name
        self.scheme = scheme
        made_up = Dice(scheme.name)
        start = scheme.secret_prefix
        # With a tilde, which base64 does not have.
        keys = [f"{start}{hostile.word(made_up, 31, 31)}~".encode() for _ in range(3)]
        large = 2**20
        self.receivers = [
            Receiver(scheme, {None: keys[0]}, large),
            Receiver(scheme, {"new": keys[0], "old": keys[1]}, large),
            Receiver(scheme, {None: keys[2]}, _SMALL_BODY),
        ]
        self._seen: set[object] = set()

    def cases(self, dice: Dice) -> Iterator[Request]:
        """Yield requests."""
        return requests(dice, self.scheme, [receiver.keys for receiver in self.receivers])

    def judge(self, case: Request) -> str:
        """Verify both ways, and ask the oracle about what was accepted."""
        receiver = self.receivers[case.receiver]
        verifier = receiver.verifier
        carry = CARRIERS[case.carrier]
        delivery = whole = pieces = None
        try:
            body = _CHUNK_TYPES[len(case.body) % 3](case.body)
            delivery = verifier.verify(body, carry(case.pairs), method=case.method, url=case.url)
        except VerificationError as error:
            whole = error
        try:
            request = _in_chunks(verifier, case, carry(case.pairs))
        except VerificationError as error:
            pieces = error
            request = None
        if delivery is not None and request is not None:
            if (request.secret_id, request.id, request.timestamp) != (
                delivery.secret_id,
                delivery.id,
                delivery.timestamp,
            ):
                msg = f"whole it is {delivery!r}, in chunks {request!r}"
                raise Escape(msg)
            if type(delivery.body) is not bytes or delivery.body not in oracle.decoded(
                self.scheme, case.pairs, case.body
            ):
                msg = f"another body came out: {delivery.body!r}"
                raise Escape(msg)
            if {delivery.is_signed, request.is_signed} != {"{body}" in self.scheme.signed}:
                msg = f"whether its body is signed: {delivery.is_signed}"
                raise Escape(msg)
            self._genuine(receiver, case, delivery)
            return ACCEPTED
        if self.scheme.signs_decoded_body and len(case.body) > receiver.max_body:
            pieces = whole  # what is wrong with the first chunks shows before their number does
        if (
            whole is None
            or pieces is None
            or (type(whole), whole.args)
            != (
                type(pieces),
                pieces.args,
            )
        ):
            msg = f"whole it is {whole or delivery!r}, in chunks {pieces or request!r}"
            raise Escape(msg)
        bodies = (case.body, *oracle.decoded(self.scheme, case.pairs, case.body))
        if case.genuine and max(map(len, bodies)) <= receiver.max_body:
            msg = f"genuine, but refused: {whole}"
            raise Escape(msg)
        self._discreet(receiver, case, whole)
        return str(whole.reason)

    def _genuine(self, receiver: Receiver, case: Request, accepted: VerifiedRequest) -> None:
        """See that what was accepted was signed, as it came out, and in time."""
        scheme = self.scheme
        ways = list(readings(scheme, receiver.keys, case.pairs, case.body, case.method, case.url))
        came_out = (accepted.secret_id, accepted.id, accepted.timestamp)
        fitting = [way for way in ways if (way.secret_id, way.message.id, way.seconds) == came_out]
        if not fitting:
            msg = f"accepted as {came_out}, but no configured secret gives such a signature"
            raise Escape(msg)
        if not any(way.message in case.signed for way in fitting):
            msg = f"accepted as {came_out}, but nobody signed that"
            raise Escape(msg)
        if "{timestamp}" in scheme.signed and not (
            accepted.timestamp is not None and abs(NOW - accepted.timestamp) <= scheme.tolerance
        ):
            msg = f"accepted as {came_out}, out of tolerance"
            raise Escape(msg)
        if max(len(case.body), *(len(way.message.body) for way in fitting)) > receiver.max_body:
            msg = "accepted, but too large"
            raise Escape(msg)
        if is_doubled(scheme, case.carrier, case.pairs):
            msg = "accepted, but a header that decides came twice"
            raise Escape(msg)

    def _discreet(self, receiver: Receiver, case: Request, error: VerificationError) -> None:
        """See that an error shows neither a secret nor the right MAC."""
        key = (case.receiver, type(error), error.args)
        if key in self._seen and error.__context__ is None:
            return
        again = pickle.loads(pickle.dumps(error))
        if (type(again), again.args, str(again)) != (type(error), error.args, str(error)):
            msg = f"pickled, it becomes {again!r}"
            raise Escape(msg)
        line = error.log_message
        if not (line.isascii() and line.isprintable() and len(line) <= _LONGEST_LINE):
            msg = f"not fit for a log: {line!r}"
            raise Escape(msg)
        shown = [line, str(error), repr(error), repr(error.args), repr(vars(error))]
        shown += [repr(each) for each in (error.__cause__, error.__context__)]
        text = " ".join([*shown, pickle.dumps(error).decode("latin-1")])
        for secret in [*receiver.hidden, *self._right(receiver, case)]:
            if secret in text:
                msg = f"the error shows {secret!r}: {error!r}"
                raise Escape(msg)
        self._seen.add(key)  # others with these arguments are equal to it

    def _right(self, receiver: Receiver, case: Request) -> Iterator[str]:
        """Yield the MACs that would have been right."""
        scheme = self.scheme
        message = Message(
            case.body,
            next(iter(values(case.pairs, scheme.timestamp_header)), None),
            next(iter(values(case.pairs, scheme.id_header)), None),
            case.method,
            case.url,
        )
        for _, key in receiver.keys:
            for signed in (message, *case.signed):
                code = mac(scheme, key, signed)
                yield from (code.hex(), b64encode(code).decode(), repr(code), written(scheme, code))

    def setting(self, case: Request) -> str:
        """Return the verifier."""
        return f"scheme={self.scheme!r}\n{self.receivers[case.receiver].source}"


def is_doubled(scheme: Scheme, carrier: str, pairs: Pairs) -> bool:
    """Whether a header that decides came twice, and the carrier of the headers shows it."""
    if carrier in _KEEPS_SPELLINGS or (carrier.endswith("environ") and "," in scheme.separator):
        return False  # the latter has joined them into what several entries look like
    sent = [*dict(pairs).items()] if carrier == "dict subclass" else pairs
    return any(len(values(sent, name)) > 1 for name in oracle.deciding(scheme))


def _in_chunks(verifier: Verifier, case: Request, headers: Any) -> VerifiedRequest:
    verification = verifier.begin(headers, method=case.method, url=case.url)
    start = 0
    for number, end in enumerate((*case.cuts, len(case.body))):
        verification.update(_CHUNK_TYPES[number % 3](case.body[start:end]))
        start = end
    return verification.finish()
