"""Select one of several schemes by a request's headers, and refuse unsafe combinations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from frappe_hooksig._headers import Headers, indexed
from frappe_hooksig._keys import Key
from frappe_hooksig._wire import Wire
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.scheme import Scheme


def strongest_first(schemes: Sequence[Scheme]) -> tuple[Scheme, ...]:
    """Return schemes in the order of selection, the strongest first.

    Raises:
        ConfigurationError: A scheme occurs twice.
    """
    if len({scheme.name for scheme in schemes}) < len(schemes):
        msg = "a scheme occurs twice: pass it once, with its secrets as a list"
        raise ConfigurationError(msg)
    return tuple(sorted(schemes, key=_weakness))


def index_headers(wires: Sequence[Wire], headers: Headers) -> Headers:
    """Return headers that can be looked up repeatedly, for several schemes."""
    return indexed(headers, whole=any(wire.has_many_headers for wire in wires))


def select(wires: Sequence[Wire], headers: Headers) -> int:
    """Return the position of the scheme that the headers select.

    Args:
        wires: The wire formats of the schemes, in the order of `strongest_first()`.
        headers: The request's headers, from `index_headers()`.

    Raises:
        VerificationError: A header occurs twice.
    """
    present = [position for position, wire in enumerate(wires) if wire.is_in(headers)]
    # If no scheme has all its headers, select the strongest one with a signature. Its error then
    # names the missing header.
    present = present or [
        position for position, wire in enumerate(wires) if wire.signatures_in(headers)
    ]
    if not present:
        return 0
    first = _signature_headers(wires[present[0]].scheme)
    for position in present if present[1:] else ():
        wire = wires[position]
        if _signature_headers(wire.scheme) == first and wire.fits(headers):
            return position
    return present[0]


def is_one_secret(one: Scheme, other: Scheme) -> bool:
    """Whether a text is the same key in both schemes, or one of the schemes sends the text."""
    formats = [
        {"base64" if each == "whsec" else each for each in scheme.secret_formats}
        for scheme in (one, other)
    ]
    is_one_key = not formats[0].isdisjoint(formats[1])
    return is_one_key or one.signs_body != other.signs_body


def require_one_reading(one: Scheme, other: Scheme) -> None:
    """Refuse one secret under two schemes, unless both sign the same content.

    Otherwise, an attacker could move a signature to the other scheme's header. The receiver would
    then read other values from the signed bytes.

    Raises:
        ConfigurationError: They do not sign the same content, or one of them sends the secret.
    """
    names = f"{one.name!r} and {other.name!r}"
    if one.signs_body != other.signs_body:
        msg = (
            f"{names} have a secret in common, and one of them sends it with each request: "
            "use different secrets"
        )
        raise ConfigurationError(msg)
    if _content(one) != _content(other):
        msg = (
            f"{names} have a secret in common, but do not sign the same content ({one.signed} and "
            f"{other.signed}): use different secrets"
        )
        raise ConfigurationError(msg)
    if one.id_header is None and one.body_id != other.body_id:
        # An attacker could move the signature to the other scheme's header. The request would then
        # count as a new delivery.
        msg = (
            f"{names} have a secret in common, but read a delivery's id from different places in "
            "its body (body_id): use different secrets"
        )
        raise ConfigurationError(msg)


def share_a_key(one: Sequence[Key], other: Sequence[Key]) -> bool:
    """Whether a key of one verifier is made of the same secret as a key of another one."""
    marks = [{mark for key in keys for mark in key.fingerprints} for keys in (one, other)]
    return not marks[0].isdisjoint(marks[1])


def require_told_apart(schemes: Sequence[Scheme]) -> None:
    """Refuse a pair of schemes if the second one could never be selected.

    Args:
        schemes: From `strongest_first()`.

    Raises:
        ConfigurationError: There is such a pair.
    """
    for first, second in combinations(schemes, 2):
        if _hides(first, second):
            msg = (
                f"{first.name!r} and {second.name!r} cannot be told apart by their headers: "
                "use one of them, with the secrets of both as a list"
            )
            raise ConfigurationError(msg)


def _content(scheme: Scheme) -> tuple[str, str]:
    return scheme.signed, scheme.timestamp_format if scheme.signs_timestamp else ""


def _weakness(scheme: Scheme) -> tuple[bool, bool, bool, bool]:
    is_bare, is_sha1 = scheme.algorithm == "hash", scheme.digest == "sha1"
    return not scheme.signs_body, not scheme.signs_timestamp, is_bare, is_sha1


def _signature_headers(scheme: Scheme) -> tuple[str, ...]:
    return tuple(map(str.lower, scheme.signature_headers))  # spellings differ in case


def _hides(first: Scheme, second: Scheme) -> bool:
    """Whether a request with the second scheme's headers always selects the first scheme."""
    forms = [
        (_signature_headers(each), each.encoding, each.digest, each.prefix, each.separator)
        for each in (first, second)
    ]
    needed, there = (set(map(str.lower, each.header_names)) for each in (first, second))
    is_all_there = needed <= there and first.timestamp_prefix in {"", second.timestamp_prefix}
    return forms[0] == forms[1] and is_all_there
