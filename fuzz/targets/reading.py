"""Reading headers, before anything is verified: one of them, and all that a scheme needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from frappe_hooksig import Reason, VerificationError
from frappe_hooksig._headers import Header, indexed
from frappe_hooksig._wire import wire_of
from fuzz import hostile
from fuzz.carriers import CARRIERS, drawn
from fuzz.dice import Dice
from fuzz.edits import EDITS
from fuzz.layouts import SCHEMES
from fuzz.oracle import Pairs, deciding, listed, read_seconds, values
from fuzz.requests import NOW, URL, requests, spelled
from fuzz.target import ACCEPTED, Escape, Target

_HEADERS = ("X-Frappe-Webhook-Signature", "webhook-id", "X-HMAC", "Key", "X.Y~1", "ETag")
_OTHERS = ("X-Other", "", " ", "X-HMAC ", "x-y", "HTTP_X_HMAC", "\u212aey", "\xcbey", "\ud800")


# In these, equal headers are joined with a comma.
_JOINED = {"werkzeug environ", "environ", "whole environ"}
# In these, a value may be a list of values.
_DICTS = {"dict", "dict subclass", "mapping proxy"}
_LISTS = _DICTS | {"str pairs", "bytes pairs", "generator"}


class Headers(NamedTuple):
    """Some headers, and the name of one to look for."""

    carrier: str
    pairs: list[tuple[str, object]]
    name: str


class OneHeader(Target):
    """`Header.find()`."""

    name = "one-header"

    def cases(self, dice: Dice) -> Iterator[Headers]:
        """Yield headers that hold a name not at all, once, twice, or in another spelling."""
        while True:
            name = dice.pick(_HEADERS)
            pairs: list[tuple[str, object]] = []
            for _ in range(dice.pick((0, 1, 1, 1, 2, 2, 3, 5))):
                spelling = dice.pick(
                    (name, name, name.lower(), name.upper(), name.title(), name.swapcase())
                )
                if dice.chance(0.3):
                    spelling = dice.pick((*_OTHERS, *_HEADERS))
                value: object = hostile.word(dice, 0, 20)
                if dice.chance(0.4):
                    value = hostile.value(dice)
                pairs.append((spelling, value))
            yield Headers(drawn(dice), pairs, name)

    def judge(self, case: Headers) -> str:
        """Compare with what the carrier holds."""
        wanted = _held(case)
        try:
            found = Header(case.name).find(indexed(CARRIERS[case.carrier](case.pairs)))
        except VerificationError as error:
            if error.reason is not Reason.DUPLICATE_HEADER or len(wanted) < 2:
                msg = f"{error!r}, but it holds {wanted!r}"
                raise Escape(msg) from None
            return str(error.reason)
        if found is None:
            if wanted:
                msg = f"absent, but it holds {wanted!r}"
                raise Escape(msg)
            return "absent"
        if [found] != wanted:
            msg = f"found {found!r}, but it holds {wanted!r}"
            raise Escape(msg)
        return ACCEPTED


def _held(case: Headers) -> list[str]:
    """Return the values of a header that a carrier shows, as text; what is no text as a NUL."""
    name, carrier, pairs = case.name, _shown_as(case), case.pairs
    if carrier in _DICTS:
        pairs = [*dict(pairs).items()]
    if carrier == "bytes pairs":
        pairs = [(each, _over_the_wire(value)) for each, value in pairs]
    if carrier == "dict" and (usual_texts := _known_texts(name, pairs)):
        return usual_texts
    if carrier in _LISTS and any(isinstance(value, list) for _, value in pairs):
        if carrier == "mapping proxy" and dict(pairs).get(name) not in (None, []):
            pairs = [(name, dict(pairs)[name])]  # other spellings are not looked for
        return values([(each, _text(value)) for each, value in listed(pairs)], name)
    texts: Pairs = [(each, _text(value)) for each, value in pairs]
    if carrier == "mapping proxy" and (text := dict(texts).get(name)) is not None:
        return [str(text)]  # other spellings are not looked for
    if carrier == "email message":
        texts = [(each, _if_unicode(value)) for each, value in texts]
    if carrier in _JOINED:
        found = values([each for each in texts if "_" not in each[0]], name)
        return [",".join(found)] if found else []
    if carrier in {"starlette", "scope"}:
        texts = [(each, _over_the_wire(value)) for each, value in texts]
    return values(texts, name)


def _known_texts(name: str, pairs: Pairs) -> list[str]:
    """Return the values in the usual spellings, if a dict has texts, and these are texts."""
    if all(isinstance(value, list) for _, value in pairs):
        return []
    usual = {name, name.lower(), name.upper(), name.title()}
    known = [value for each, value in pairs if each in usual and value not in (None, [])]
    if any(isinstance(value, list) for value in known):
        return []
    return [str(_text(value)) for value in known]  # other spellings are not looked for


def _shown_as(case: Headers) -> str:
    """Return the carrier of a case: Werkzeug's takes no line breaks, and leaves them as pairs."""
    if case.carrier == "werkzeug":
        texts = [_text(value) or "" for _, value in case.pairs]
        if any({"\r", "\n"} & {*text} for text in texts):
            return "str pairs"
    return case.carrier


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return value.decode("latin-1") if isinstance(value, bytes) else "\0"


def _over_the_wire(value: object) -> object:
    """Return a text as a server shows it that reads UTF-8 byte for byte."""
    if not isinstance(value, str):
        return value
    return value.encode("utf-8", "surrogatepass").decode("latin-1")


def _if_unicode(value: object) -> object:
    """Return what email.message makes an object of as no text."""
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return "\0"
    return value


class Claims(NamedTuple):
    """Headers, and the scheme that is to read them."""

    scheme: int
    carrier: str
    pairs: list[tuple[str, object]]
    method: str
    written: tuple[list[bytes], str | None, str | None] | None


class AllHeaders(Target):
    """`Wire.parse()`, and that it reads what `Wire.format()` writes."""

    name = "all-headers"

    def cases(self, dice: Dice) -> Iterator[Claims]:
        """Yield headers of every scheme."""
        number = dice.below(len(SCHEMES))
        scheme = SCHEMES[number]
        for request in requests(dice, scheme, [[(None, b"k" * 32)]]):
            written = None
            pairs = request.pairs
            if dice.chance(0.3):
                count = 1 + dice.below(scheme.capacity)
                length = wire_of(scheme).length
                # None is read unless one of them can be a MAC.
                longest, shortest = (90, 1) if length is None else (length, length)
                signatures = [hostile.word(dice, shortest, longest).encode()]
                signatures += [hostile.word(dice, 1, 90).encode() for _ in range(count - 1)]
                moment = spelled(dice, NOW, scheme) if "{timestamp}" in scheme.signed else None
                delivery_id = hostile.word(dice, 1, 256) if scheme.id_header else None
                written = (signatures, moment, delivery_id)
                texts = wire_of(scheme).format(signatures, timestamp=moment, id=delivery_id)
                pairs = list[tuple[str, object]](texts.items())
            elif dice.chance(0.3):
                pairs = [
                    (name, dice.pick(EDITS)(dice, value) if isinstance(value, str) else value)
                    for name, value in pairs
                ]
            yield Claims(number, request.carrier, pairs, request.method, written)

    def judge(self, case: Claims) -> str:
        """Compare with what stands in the headers."""
        scheme = SCHEMES[case.scheme]
        method = "POST" if case.written else case.method
        try:
            parsed = wire_of(scheme).parse(CARRIERS[case.carrier](case.pairs), method, URL)
        except VerificationError as error:
            if case.written is not None:
                msg = f"written by format(), but refused: {error}"
                raise Escape(msg) from None
            return str(error.reason)
        signatures, (_, seconds, delivery_id, before, after) = parsed
        if case.written is not None:
            moment = case.written[1]
            wanted = None if moment is None else read_seconds(moment, scheme.timestamp_format)
            if ([*signatures], seconds, delivery_id) != (case.written[0], wanted, case.written[2]):
                msg = f"read {parsed!r}"
                raise Escape(msg)
        texts = [text for name in deciding(scheme) for text in _shown(case, name)]
        parts = [scheme.prefix + each.decode() for each in signatures] + [delivery_id or ""]
        if not all(any(part in text for text in texts) for part in parts):
            msg = f"read {parsed!r}, which does not stand there"
            raise Escape(msg)
        if not 0 < len(signatures) <= max(scheme.max_signatures, 1):
            msg = f"{len(signatures)} signatures"
            raise Escape(msg)
        if not isinstance(before, bytes) or not isinstance(after, bytes):
            msg = f"read {parsed!r}"
            raise Escape(msg)
        return ACCEPTED

    def setting(self, case: Claims) -> str:
        """Return the scheme."""
        return repr(SCHEMES[case.scheme])


def _shown(case: Claims, name: str) -> list[str]:
    """Return the values of a header as any carrier may show them."""
    sent = [(each, _text(value)) for each, value in listed(case.pairs)]
    found = values(sent, name)
    return [*found, ",".join(found)]
