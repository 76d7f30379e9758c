"""`MultiVerifier`: accept several schemes at one endpoint, such as during a migration."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from frappe_hooksig._secret_checks import masked_unless
from frappe_hooksig._selection import (
    index_headers,
    require_one_reading,
    require_told_apart,
    select,
    share_a_key,
    strongest_first,
)
from frappe_hooksig._wire import wire_of
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.verify import Verifier

if TYPE_CHECKING:
    from frappe_hooksig._headers import Headers
    from frappe_hooksig.delivery import Delivery
    from frappe_hooksig.streaming import Verification

__all__ = ["MultiVerifier"]


class MultiVerifier:
    """Verifies each request with one of several verifiers, selected by its headers.

    If the selected verifier refuses the request, no other one is tried.

    The strongest scheme whose headers are all present is selected. Schemes that sign a timestamp
    come first, then schemes without one, then secrets that are sent as they are. Within each group,
    schemes without HMAC come last, and before them SHA-1. Equally strong schemes keep their order.
    If two schemes have the same headers, the form of the signature decides.

    An attacker can select the weakest scheme by leaving headers out. Remove that scheme as soon as
    its senders no longer need it.

    Args:
        *verifiers: Two or more, each for another scheme. For several secrets of one scheme, give
            one `Verifier` a list of them.

    Raises:
        ConfigurationError: Two verifiers have the same scheme, or schemes that cannot be told apart
            by their headers. Or two have a secret in common, but do not sign the same content, or
            differ in `tolerance`, `timestamp_from`, `url` or `unsigned_events`.
    """

    __slots__ = ("_verifiers", "_wires")

    def __init__(self, *verifiers: Verifier) -> None:
        verifiers = tuple(masked_unless(Verifier, each) for each in verifiers)  # not a secret
        if not verifiers[1:] or not all(isinstance(each, Verifier) for each in verifiers):
            msg = "MultiVerifier() takes two or more Verifier objects"
            raise ConfigurationError(msg)
        schemes = strongest_first([each.scheme for each in verifiers])
        for one, other in combinations(verifiers, 2):
            if share_a_key(one._keys, other._keys):  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
                require_one_reading(one.scheme, other.scheme)
                _require_equal_checks(one, other)
        require_told_apart(schemes)
        by_scheme = {each.scheme.name: each for each in verifiers}
        self._verifiers = tuple(by_scheme[scheme.name] for scheme in schemes)
        self._wires = tuple(map(wire_of, schemes))

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        """The verifiers, the strongest first."""
        return self._verifiers

    def verify(
        self,
        body: bytes | bytearray | memoryview,
        headers: Headers,
        *,
        method: str | None = None,
        url: str | None = None,
    ) -> Delivery:
        """Verify a request with the selected verifier. See `Verifier.verify()`.

        Args:
            body: The raw body, exactly as received.
            headers: The request's headers.
            method: As for `Verifier.verify()`.
            url: As for `Verifier.verify()`.

        Raises:
            VerificationError: The request must not be trusted; `reason` says why.
            TypeError: The body is not bytes.
            ConfigurationError: As for `Verifier.verify()`.
        """
        known = index_headers(self._wires, headers)
        verifier = self._verifiers[select(self._wires, known)]
        return verifier.verify(body, known, method=method, url=url)

    def begin(
        self, headers: Headers, *, method: str | None = None, url: str | None = None
    ) -> Verification:
        """Begin with the selected verifier. See `Verifier.begin()`.

        Args:
            headers: The request's headers.
            method: As for `Verifier.verify()`.
            url: As for `Verifier.verify()`.

        Raises:
            VerificationError: A header of the selected scheme is missing, duplicate or malformed,
                or the URL is not registered.
            ConfigurationError: As for `Verifier.verify()`.
        """
        known = index_headers(self._wires, headers)
        verifier = self._verifiers[select(self._wires, known)]
        return verifier.begin(known, method=method, url=url)

    def __repr__(self) -> str:
        if not hasattr(self, "_verifiers"):  # error reporters show a half-made object too
            return "<MultiVerifier, refused>"
        return f"MultiVerifier({', '.join(map(repr, self._verifiers))})"


def _require_equal_checks(one: Verifier, other: Verifier) -> None:
    """Refuse two verifiers with one secret of which one checks less than the other.

    A request that the stricter one refuses could be sent with the other one's header.

    Raises:
        ConfigurationError: Their `tolerance`, `timestamp_from`, `url` or `unsigned_events` differ.
    """
    for name in ("tolerance", "timestamp_from", "urls", "unsigned_events"):
        if getattr(one, name) != getattr(other, name):
            msg = (
                f"{one.scheme.name!r} and {other.scheme.name!r} have a secret in common, but not "
                f"the same {'url' if name == 'urls' else name}: use different secrets, or check "
                "both alike"
            )
            raise ConfigurationError(msg)
