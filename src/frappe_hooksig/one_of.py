"""Several verifiers behind one endpoint: while a sender moves from one scheme to another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import combinations
from string import ascii_uppercase, digits
from typing import TYPE_CHECKING

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.headers import indexed
from frappe_hooksig.secret import Key, decoded
from frappe_hooksig.verify import Verification, Verifier

if TYPE_CHECKING:
    from frappe_hooksig.delivery import Delivery
    from frappe_hooksig.headers import Headers
    from frappe_hooksig.scheme import Scheme

_DIGITS = frozenset(digits)
# How the parts of what is signed begin, as the characters that may stand at each place, as far as
# that is fixed; and how they end, from the last one on.
_BEGINNINGS: dict[str, list[AbstractSet[str]]] = {
    "unix": [_DIGITS] * 10,
    "unix-ms": [_DIGITS] * 13,
    "rfc3339": [
        _DIGITS if character == "d" else {character} for character in "dddd-dd-ddTdd:dd:dd"
    ],
    "url": [{character} for character in "http"],
    "method": [set(ascii_uppercase)],
}
_ENDS: dict[str, list[AbstractSet[str]]] = {
    "unix": [_DIGITS] * 10,
    "unix-ms": [_DIGITS] * 13,
    "rfc3339": [{*_DIGITS, "Z"}],
    "method": [set(ascii_uppercase)],
}


class OneOf:
    """Verifiers of which the headers of a request select one. Its failure is final.

    Selected is the strongest whose headers are all there: those that sign the time come before
    those that do not, SHA-1 after other hashes, and secrets that are sent as they are at the end;
    else they stay in their order. Where two have the same headers, it is the one whose form the
    signature has. Whoever can leave headers out can choose the weakest: keep it for as long as its
    senders need it.

    Args:
        *verifiers: Two or more, each for another scheme. For several secrets of one scheme, give
            a `Verifier` a list of them.

    Raises:
        ConfigurationError: Two are for one scheme, or for two whose headers look the same; or they
            have the same key although what one of them signs can be read as what the other one
            does.
    """

    __slots__ = ("_schemes", "_verifiers")

    def __init__(self, *verifiers: Verifier) -> None:
        if not verifiers[1:] or not all(isinstance(each, Verifier) for each in verifiers):
            msg = "OneOf() is for two verifiers or more"
            raise ConfigurationError(msg)
        self._schemes = strongest_first([each.scheme for each in verifiers])
        for one, other in combinations(verifiers, 2):
            if _have_a_key_in_common(one, other):
                require_distinct(one.scheme, other.scheme)
        for first, second in combinations(self._schemes, 2):
            if _hides(first, second):
                msg = (
                    f"{first.name!r} and {second.name!r} cannot be told apart by their headers: "
                    "give the secrets of both to one, as a list"
                )
                raise ConfigurationError(msg)
        by_scheme = {each.scheme.name: each for each in verifiers}
        self._verifiers = tuple(by_scheme[scheme.name] for scheme in self._schemes)

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        """The verifiers, the strongest first."""
        return self._verifiers

    def verify(
        self, body: bytes, headers: Headers, *, method: str | None = None, url: str | None = None
    ) -> Delivery:
        """Do what `Verifier.verify()` does, with the one that is selected.

        Args:
            body: The raw body, exactly as it came.
            headers: The request's headers.
            method: As for `Verifier.verify()`.
            url: As for `Verifier.verify()`.

        Raises:
            VerificationError: The request must not be trusted; `reason` says why.
            TypeError: The body is not bytes.
            ConfigurationError: As for `Verifier.verify()`.
        """
        return self.begin(headers, method=method, url=url).verify(body)

    def begin(
        self, headers: Headers, *, method: str | None = None, url: str | None = None
    ) -> Verification:
        """Do what `Verifier.begin()` does, with the one that is selected.

        Args:
            headers: The request's headers.
            method: As for `Verifier.verify()`.
            url: As for `Verifier.verify()`.

        Raises:
            VerificationError: No header is there that one of them needs, or one is malformed.
            ConfigurationError: As for `Verifier.verify()`.
        """
        known = read_once(self._schemes, headers)
        verifier = self._verifiers[selected(self._schemes, known)]
        return verifier.begin(known, method=method, url=url)

    def __repr__(self) -> str:
        return f"OneOf({', '.join(map(repr, self._verifiers))})"


def strongest_first(schemes: Sequence[Scheme]) -> tuple[Scheme, ...]:
    """Return schemes in the order in which they are selected.

    Raises:
        ConfigurationError: One occurs twice.
    """
    if len({scheme.name for scheme in schemes}) < len(schemes):
        msg = "two are for one scheme: give several secrets to one, as a list"
        raise ConfigurationError(msg)
    return tuple(sorted(schemes, key=_weakness))


def read_once(schemes: Sequence[Scheme], headers: Headers) -> Headers:
    """Return headers that can be looked up for several schemes, however many each of them reads."""
    return indexed(headers, whole=any(scheme.has_many_headers for scheme in schemes))


def selected(schemes: Sequence[Scheme], headers: Headers) -> int:
    """Return the position of the scheme that some headers select.

    Args:
        schemes: From `strongest_first()`.
        headers: The request's headers, from `read_once()`.

    Raises:
        VerificationError: A header occurs twice.
    """
    present = [position for position, each in enumerate(schemes) if each.is_in(headers)]
    # If none is complete, the strongest says what it lacks.
    present = present or [
        position for position, each in enumerate(schemes) if each.signatures_in(headers)
    ]
    if not present:
        return 0
    first = _signature_headers(schemes[present[0]])
    for position in present if present[1:] else ():
        scheme = schemes[position]
        if _signature_headers(scheme) == first and scheme.fits(headers):
            return position
    return present[0]


def is_one_secret(one: Scheme, other: Scheme) -> bool:
    """Whether one text as the secret of both schemes gives something away.

    It does if it is the same key to both, or if one of them sends it as it is.
    """
    formats = {one.secret_format, other.secret_format}
    is_one_key = len(formats) == 1 or formats == {"base64", "whsec"}
    return is_one_key or one.signs_body != other.signs_body


def require_distinct(one: Scheme, other: Scheme) -> None:
    """Refuse one key under two schemes if what is signed under one can be read as the other's.

    Or if it is the same to both, but another delivery: with the signature moved to the header of
    the other one, a repeat would be new.

    Raises:
        ConfigurationError: It can.
    """
    names = f"{one.name!r} and {other.name!r}"
    if one.signs_body != other.signs_body:
        msg = f"{names} have a secret in common, which one of them sends with each request"
        raise ConfigurationError(msg)
    if one.digest == other.digest and _are_alike(one, other):
        msg = (
            f"{names} have a secret in common, and what is signed under one ({one.signed}) can be "
            f"read as the other's ({other.signed}): use different secrets"
        )
        raise ConfigurationError(msg)
    is_same = (one.digest, *_reading(one)) == (other.digest, *_reading(other))
    if is_same and one.id_header is None and one.body_id != other.body_id:
        msg = (
            f"{names} have a secret in common, and do not find the id of a delivery at the same "
            "place in its body: use different secrets"
        )
        raise ConfigurationError(msg)


def _reading(scheme: Scheme) -> tuple[str, str]:
    return scheme.signed, scheme.timestamp_format


def _weakness(scheme: Scheme) -> tuple[bool, bool, bool]:
    return not scheme.signs_body, not scheme.signs_timestamp, scheme.digest == "sha1"


def _signature_headers(scheme: Scheme) -> tuple[str, ...]:
    return tuple(map(str.lower, scheme.signature_headers))  # however its documentation spells them


def _hides(first: Scheme, second: Scheme) -> bool:
    """Whether what has the headers of the second scheme always selects the first."""
    forms = [
        (_signature_headers(each), each.encoding, each.digest, each.prefix, each.separator)
        for each in (first, second)
    ]
    needed, there = (set(map(str.lower, each.header_names)) for each in (first, second))
    is_all_there = needed <= there and first.timestamp_prefix in {"", second.timestamp_prefix}
    return forms[0] == forms[1] and is_all_there


def _have_a_key_in_common(one: Verifier, other: Verifier) -> bool:
    # What a key is known by, as its text is gone: what it makes of nothing.
    marks = [
        {key.mac(b"", b"", b"").digest() for key in _keys_as(scheme, each.keys)}
        for each, scheme in ((one, other.scheme), (other, one.scheme))
    ]
    return not marks[0].isdisjoint(marks[1])


def _keys_as(scheme: Scheme, keys: Sequence[Key]) -> Sequence[Key]:
    """Return what keys are to another scheme: secrets that are sent have a text, to be read."""
    if not scheme.signs_body:
        return keys
    return [
        Key.of(decoded(key.token, scheme.secret_format), scheme.digest, key.id)
        if key.token
        else key
        for key in keys
    ]


def _are_alike(one: Scheme, other: Scheme) -> bool:
    """Whether the same bytes may be signed under both, and mean something else."""
    if _reading(one) == _reading(other):
        return False
    for beginnings in (True, False):
        pairs = zip(_fixed(one, beginnings), _fixed(other, beginnings), strict=False)
        if any(allowed.isdisjoint(of_other) for allowed, of_other in pairs):
            return False
    return True


def _fixed(scheme: Scheme, beginning: bool) -> Iterator[AbstractSet[str]]:  # noqa: FBT001
    """Yield which characters may stand at each place of what is signed, as far as that is known."""
    pieces = scheme.pieces if beginning else scheme.pieces[::-1]
    known = _BEGINNINGS if beginning else _ENDS
    for text, part in pieces[: pieces.index(("", "body"))]:
        if part is None:
            yield from ({character} for character in (text if beginning else reversed(text)))
            continue
        name = scheme.timestamp_format if part == "timestamp" else part
        yield from known.get(name, ())
        if name not in {"unix", "unix-ms"}:
            return
