"""The short way of usual requests and the long way of all: both must come to the same end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from frappe_hooksig import Delivery, VerificationError, Verifier
from frappe_hooksig._headers import Headers
from frappe_hooksig._wire import wire_of
from frappe_hooksig.exceptions import BodyTooLarge
from fuzz.carriers import CARRIERS
from fuzz.dice import Dice
from fuzz.layouts import SCHEMES
from fuzz.requests import Request, requests
from fuzz.target import ACCEPTED, Escape, Target
from fuzz.targets.verification import Receiver

_SMALL_BODY = 100  # bytes


class Posted(NamedTuple):
    """A request, and the scheme of its receiver."""

    scheme: int
    request: Request


class BothWays(Target):
    """`Verifier.verify()`, as it is, as a route does it, and without what is compiled."""

    name = "both-ways"

    def __init__(self) -> None:
        self._receivers: dict[int, list[Receiver]] = {}

    def cases(self, dice: Dice) -> Iterator[Posted]:
        """Yield requests of every scheme: genuine, half right, and hostile ones."""
        number = dice.below(len(SCHEMES))
        keys = [receiver.keys for receiver in self._of(number)]
        for request in requests(dice, SCHEMES[number], keys):
            yield Posted(number, request)

    def judge(self, case: Posted) -> str:
        """Compare all that comes out."""
        request = case.request
        verifier = self._of(case.scheme)[request.receiver].verifier
        carry = CARRIERS[request.carrier]
        long = _outcome(_Long(verifier).verify, request, carry(request.pairs))
        for short_way in (verifier.verify, _Route(verifier).verify):
            short = _outcome(short_way, request, carry(request.pairs))
            if short != long:
                msg = f"the short way ends with {short!r}, the long one with {long!r}"
                raise Escape(msg)
        return ACCEPTED if long[0] == ACCEPTED else str(long[1])

    def setting(self, case: Posted) -> str:
        """Return the verifier."""
        receiver = self._of(case.scheme)[case.request.receiver]
        return f"scheme={SCHEMES[case.scheme]!r}\n{receiver.source}"

    def _of(self, number: int) -> list[Receiver]:
        if number not in self._receivers:
            scheme = SCHEMES[number]
            start = scheme.secret_prefix if scheme.secret_formats[0] == "text" else ""
            keys = [f"{start}{letter * 3}-key-of-{scheme.name:.>31}~".encode() for letter in "ab"]
            self._receivers[number] = [
                Receiver(scheme, {None: keys[0]}, 2**20),
                Receiver(scheme, {"new": keys[1]}, _SMALL_BODY),
            ]
        return self._receivers[number]


class _Long:
    """Verifies a request like a `Verifier`, the long way."""

    def __init__(self, verifier: Verifier) -> None:
        self._matcher = verifier._matcher  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self._wire = wire_of(verifier.scheme)

    def verify(self, body: bytes, headers: Headers, *, method: str, url: str) -> Delivery:
        parsed = self._wire.parse_any(headers, method, url)
        if len(body) > self._matcher.max_body:
            raise BodyTooLarge(self._matcher.max_body)
        content = self._matcher.decoded(body, parsed)
        macs = self._matcher.macs(content, parsed)
        return self._matcher.judge(macs, content, parsed, size=len(body), headers=headers, url=url)


class _Route(_Long):
    """Verifies a request like a route, which parses the headers before it reads the body."""

    def verify(self, body: bytes, headers: Headers, *, method: str, url: str) -> Delivery:
        parsed = self._wire.parse(headers, method, url)
        return self._matcher.verify(body, parsed, headers, url)


def _outcome(verify: Any, request: Request, headers: Any) -> tuple[object, ...]:
    """Return all that can be seen of a delivery, or of an error."""
    try:
        found = verify(request.body, headers, method=request.method, url=request.url)
    except VerificationError as error:
        return type(error), error.reason, error.status, error.header, error.message, error.args
    when = (found.id, found.timestamp, found.dedup_key)
    return ACCEPTED, found.body, found.secret_id, found.scheme, found.is_signed, *when
