"""Comparing a library with ours: what either signs, both accept; what was changed, both refuse."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Literal, TypeAlias

from frappe_hooksig import Scheme, Signer, VerificationError, Verifier, providers
from interop.bodies import Kind, bodies, kind
from interop.library import ACCEPTS, REFUSES, Facts, Library, Verdict
from interop.requests import METHOD, NOW, Message, Request, request
from interop.tampering import STALE, tampered

#: Who signs, and who verifies.
Direction: TypeAlias = Literal["theirs to ours", "ours to theirs"]

#: How many genuine requests there are at least in each direction.
ENOUGH = 200

# How old the genuine ones are at most, in seconds: the strictest default is 5.
_OLDEST = 3
_URLS = ("https://hooks.example.com/orders", "https://example.com/a/b-c_d", "https://example.com/")


@dataclass
class Result:
    """What came of comparing one library in one direction.

    Attributes:
        library: Which one.
        direction: Who signed.
        cases: How many genuine requests were signed by the one and accepted by both.
        left_out: How many had a body of a kind that the library does not take.
        refused: How many changed requests were refused by both.
        problems: Sentences about those that were not.
    """

    library: Library
    direction: Direction
    cases: int = 0
    left_out: int = 0
    refused: int = 0
    problems: list[str] = field(default_factory=list[str])


def ours(scheme: Scheme, requests: Sequence[Request]) -> list[Verdict]:
    """Return what our verifier says to each request."""
    return [_verdict(scheme, each) for each in requests]


def compare(library: Library, seed: int) -> Iterator[Result]:
    """Yield the results in both directions, or in one if the library does not sign.

    Args:
        library: What is compared with ours.
        seed: Draws other bodies, secrets and changes.

    Raises:
        ConfigurationError: There is no such provider.
    """
    facts = library.facts
    scheme = providers.get(facts.provider)
    dice = Random(f"{seed} {facts.name} {facts.provider}")
    drawn = bodies(dice, facts.envelope)
    if scheme.algorithm == "hash":  # ours signs nothing else
        drawn = [body.replace(b"\0", b"0") for body in drawn if kind(body) != "not UTF-8"]
    messages = [_message(dice, scheme, body) for body in drawn]
    if library.sign is not None:
        yield _compare(dice, library, scheme, messages, "theirs to ours")
    elif facts.signs_with:
        msg = f"{facts.name} is to sign with {facts.signs_with}, but has no sign"
        raise TypeError(msg)
    yield _compare(dice, library, scheme, messages, "ours to theirs")


def secret(dice: Random, scheme: Scheme) -> str:
    """Return a secret as the vendor would write it."""
    if scheme.secret_format == "hex":
        return dice.randbytes(32).hex().upper()
    if "whsec" in scheme.secret_formats:
        return f"whsec_{b64encode(dice.randbytes(24)).decode()}"
    if scheme.secret_format == "base64":
        return b64encode(dice.randbytes(32)).decode()
    return scheme.secret_prefix + b64encode(dice.randbytes(24), b"-_").decode()


def _message(dice: Random, scheme: Scheme, body: bytes) -> Message:
    return Message(
        secret=secret(dice, scheme),
        body=body,
        time=NOW - dice.randrange(_OLDEST + 1),
        id=f"msg_{dice.randbytes(12).hex()}",
        url=dice.choice(_URLS),
    )


def _compare(
    dice: Random,
    library: Library,
    scheme: Scheme,
    messages: Sequence[Message],
    direction: Direction,
) -> Result:
    facts, result = library.facts, Result(library, direction)
    sign = _signer(library, scheme, direction)
    signed = sign(messages)
    requests = [each for each in signed if each]
    verdicts = iter(zip(ours(scheme, requests), library.verify(requests), strict=True))
    kept: list[tuple[Message, Request]] = []
    for message, each in zip(messages, signed, strict=True):
        our_verdict, their_verdict = next(verdicts) if each else (REFUSES, REFUSES)
        said = f"ours {our_verdict}, theirs {their_verdict}" if each else "is not signed"
        what = kind(message.body)
        if direction == "theirs to ours" and what in facts.cannot_sign:
            result.left_out += 1
            is_right = our_verdict != ACCEPTS  # a library may well accept its own mistake
        elif what in facts.cannot_verify:
            is_right = our_verdict == ACCEPTS != their_verdict
            result.left_out += direction == "ours to theirs"
            result.cases += direction == "theirs to ours"
        else:
            is_right = our_verdict == ACCEPTS == their_verdict
            result.cases += is_right
        if not is_right:
            result.problems.append(f"{_shown(message, facts)}: {said}")
        elif each and our_verdict == ACCEPTS == their_verdict:
            kept.append((message, each))
    if result.cases < ENOUGH:
        result.problems.append(f"{result.cases} cases are too few")
    _tamper(dice, library, scheme, kept, result)
    if scheme.signs_timestamp:
        _age(library, scheme, [message for message, _ in kept], sign, result)
    return result


def _tamper(
    dice: Random,
    library: Library,
    scheme: Scheme,
    genuine: Sequence[tuple[Message, Request]],
    result: Result,
) -> None:
    """Have both judge what was changed."""
    forged: list[tuple[str, Request]] = []
    for message, each in genuine:
        other = secret(dice, scheme)
        forged += tampered(dice, scheme, library.facts, message, each, other=other)
    requests = [each for _, each in forged]
    verdicts = zip(forged, ours(scheme, requests), library.verify(requests), strict=True)
    for (part, _), our_verdict, their_verdict in verdicts:
        if ACCEPTS in {our_verdict, their_verdict}:
            msg = f"another {part}: ours {our_verdict}, theirs {their_verdict}"
            result.problems.append(msg)
        else:
            result.refused += 1


def _age(
    library: Library,
    scheme: Scheme,
    messages: Sequence[Message],
    sign: Callable[[Sequence[Message]], list[Request | None]],
    result: Result,
) -> None:
    """Have both judge what is rightly signed, but long ago."""
    stale = [replace(each, time=each.time - STALE) for each in messages]
    requests = [each for each in sign(stale) if each]
    expected = ACCEPTS if library.facts.ignores_age else REFUSES
    for our_verdict, their_verdict in zip(
        ours(scheme, requests), library.verify(requests), strict=True
    ):
        if our_verdict == ACCEPTS or their_verdict != expected:
            result.problems.append(f"a stale time: ours {our_verdict}, theirs {their_verdict}")
        elif expected == REFUSES:
            result.refused += 1


def _signer(
    library: Library, scheme: Scheme, direction: Direction
) -> Callable[[Sequence[Message]], list[Request | None]]:
    """Return what makes requests of messages, and None of those it cannot sign."""

    def theirs(messages: Sequence[Message]) -> list[Request | None]:
        assert library.sign is not None
        signatures = library.sign(messages)
        return [
            request(scheme, message, signature) if signature else None
            for message, signature in zip(messages, signatures, strict=True)
        ]

    def ours_signs(messages: Sequence[Message]) -> list[Request | None]:
        return [_signed(scheme, message) for message in messages]

    return theirs if direction == "theirs to ours" else ours_signs


def _signed(scheme: Scheme, message: Message) -> Request:
    payload = Signer(message.secret, scheme=scheme).sign(
        message.body,
        id=message.id if scheme.id_header else None,
        timestamp=message.time if scheme.signs_timestamp else None,
        method=METHOD,
        url=message.url,
    )
    return Request(
        secret=message.secret, body=payload.body, headers=payload.headers, url=message.url
    )


def _verdict(scheme: Scheme, request: Request) -> Verdict:
    verifier = Verifier(request.secret, scheme=scheme, clock=lambda: NOW)
    try:
        verifier.verify(request.body, request.headers, method=METHOD, url=request.url)
    except VerificationError:
        return REFUSES
    return ACCEPTS


def _shown(message: Message, facts: Facts) -> str:
    """Return a body as a problem is told with."""
    what: Kind = kind(message.body)
    return f"{what if facts.envelope is None else 'JSON'} body {message.body[:40]!r}"
