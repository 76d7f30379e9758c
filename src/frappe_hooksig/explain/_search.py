"""Search for the causes whose MAC is in a request: single ones before pairs, within a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from time import monotonic, thread_time
from typing import NamedTuple, TypeAlias

from frappe_hooksig._clues import by_header
from frappe_hooksig.explain._body_causes import (
    BODY_CAUSES,
    LONG_BODY_CAUSES,
    REWRITTEN,
    BodyCause,
)
from frappe_hooksig.explain._findings import Step
from frappe_hooksig.explain._rendering_causes import precisely_rendered_twice
from frappe_hooksig.explain._request import Request
from frappe_hooksig.explain._signatures import LEAST, Presented, steps_to
from frappe_hooksig.explain._tries import (
    SIZES,
    Keyring,
    Recipe,
    Surrounded,
    Try,
    changed_contents,
    long_contents,
    tries_of,
    unchanged_content,
    until_failed,
)
from frappe_hooksig.scheme import Scheme

_PAIRS = "pairs of causes"
_CONTENTS = "other times, ids, URLs and methods"
_FAILED = "some cannot be computed for this request"
_SEARCHED = 0.85  # the part of the budget that the search may use; the rest is for the hints
_PIECE = 65_536  # bytes: so many are hashed between two looks at the clock
_TRY = 4096  # bytes that are hashed in the time that a try takes beside its body
_RESERVE = 1.5  # steps: the next one may take longer than the longest so far
_PRECISE = 16 * 1024  # bytes: bodies in which a time is moved by microseconds
_SLOWEST = 6e-7  # seconds for each byte of a body that is parsed and written anew
_EQUAL = ("prefix", "encoding", "digest", "algorithm", "signed", "secret_formats", "header_names")

Body: TypeAlias = tuple[bytes, tuple[Step, ...]]
Stage: TypeAlias = tuple[str, Iterable[tuple[Try, Body]]]


class Match(NamedTuple):
    """A MAC that the request contains.

    Attributes:
        scheme: The scheme that it was made with.
        steps: All deviations from what the caller's scheme demands.
    """

    scheme: Scheme
    steps: tuple[Step, ...]


class Budget:
    """A limit of time. It ends early enough that the longest step so far still fits.

    Args:
        seconds: The time that may be used.
        clock: Returns seconds since any moment, and is never put back.
    """

    __slots__ = ("_before", "_clock", "_end", "_longest")

    def __init__(self, seconds: float, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds * _SEARCHED
        self._before = thread_time()  # of a busy machine, the time of others does not count
        self._longest = 0.0

    def is_left(self, needed: float = 0.0) -> bool:
        """Whether there is time for another step.

        Args:
            needed: The time that the step may need, in seconds, if steps so far were shorter.
        """
        worked = thread_time()
        self._longest = max(self._longest, worked - self._before)
        self._before = worked
        return self._clock() + max(self._longest * _RESERVE, needed) < self._end


class Search:
    """One search.

    Args:
        request: The request.
        scheme: The caller's scheme.
        keyring: The secrets.
        budget: The time that may be used.

    Attributes:
        sizes: The lengths of all signatures in the request, in bytes.
        untried: What was left out, in the order of the search.
    """

    def __init__(self, request: Request, scheme: Scheme, keyring: Keyring, budget: Budget) -> None:
        self._request = request
        self._keyring = keyring
        self._budget = budget
        self._presented = Presented(request, scheme, frozenset(by_header()))
        self._own = Recipe(scheme, scheme.algorithm, scheme.digest)
        self._others = [
            Recipe(each, each.algorithm, each.digest, (_other_sender(each),))
            for each in _other_schemes(scheme, request)
        ]
        self._hashes = [
            Recipe(scheme, algorithm, digest, (_other_hash(algorithm, digest),))
            for digest, size in SIZES.items()
            for algorithm in ("hmac", "hash")
            if size in self._presented.sizes
            and scheme.signs_body
            and (algorithm, digest) != (scheme.algorithm, scheme.digest)
        ]
        self.sizes = self._presented.sizes
        self.untried: list[str] = []

    def matches(self) -> list[Match]:
        """Return the matches with the fewest deviations, the most likely first."""
        for stages in (self._as_it_came(), self._singles(), self._long(), self._pairs()):
            found = [match for stage in stages for match in self._run(stage)]
            if found:
                fewest = min(len(match.steps) for match in found)
                return [match for match in found if len(match.steps) == fewest]
        return []

    def _run(self, stage: Stage) -> Iterator[Match]:
        """Yield the matches of a stage. Note its name if the time ends."""
        name, tries = stage
        if not self._budget.is_left():
            self._leave_out(name)
            return
        starts = self._presented.starts
        read = 0  # bytes since the last look at the clock
        for each, (body, body_steps) in tries:
            read += len(body) + _TRY
            if read > _PIECE:
                if not self._budget.is_left():
                    self._leave_out(name)
                    return
                read = 0
            before, behind = each.around
            mac = each.key.mac(before, body, behind).digest()
            if mac[:LEAST] not in starts:
                continue
            scheme = each.recipe.scheme
            names = tuple(map(str.lower, scheme.signature_headers))
            found = self._presented.find(mac, names, is_plain=each.is_plain)
            # The MAC of another sender counts in that sender's header.
            if found and (scheme is self._own.scheme or found.header in names):
                steps = each.steps + body_steps
                size = SIZES[each.recipe.digest]
                yield Match(scheme, (*steps, *steps_to(found, scheme, size)))

    def _leave_out(self, name: str) -> None:
        if name not in self.untried:
            self.untried.append(name)

    def _as_it_came(self) -> Iterator[Stage]:
        yield "the request as it came", _with(self._plain_tries(self._own), [self._body])

    def _singles(self) -> Iterator[Stage]:
        own, request = self._own, self._request
        keys, around = self._keyring.unchanged(own), unchanged_content(own, request)
        yield from self._single_bodies(is_cheap=True)
        contents = tries_of(keys, own, [*self._changed_contents(own)])
        yield _CONTENTS, _with(contents, [self._body])
        for recipe in (*self._others, *self._hashes):
            yield recipe.steps[0].code, _with(self._plain_tries(recipe), [self._body])
        yield "header-overridden", _with(self._keyring.tokens(own), [self._body])
        others = tries_of([*self._keyring.others(own)], own, around)
        yield "secret-other", _with(others, [self._body])
        changed = ([key] for key in self._keyring.changed(own))
        several = (each for key in changed for each in tries_of(key, own, around))
        yield "changed secrets", _with(several, [self._body])
        yield from self._single_bodies(is_cheap=False)

    def _single_bodies(self, *, is_cheap: bool) -> Iterator[Stage]:
        tries = [*self._plain_tries(self._own)]
        for cause in BODY_CAUSES:
            if cause.is_cheap == is_cheap and cause.when != "in pairs":
                yield cause.code, _with(tries, self._bodies(cause, self._request))

    def _long(self) -> Iterator[Stage]:
        own = self._own
        tries = [*self._plain_tries(own)]
        for cause in LONG_BODY_CAUSES:
            yield cause.code, _with(tries, self._bodies(cause, self._request))
        if own.scheme.signs_body and len(self._request.body) <= _PRECISE:
            for start, rests in precisely_rendered_twice(self._request.body):
                begun = [each.after(start) for each in tries]
                yield "rendered-twice", _with(begun, map(_moved, rests))
        keys = self._keyring.unchanged(own)
        failed = partial(self._leave_out, f"other times: {_FAILED}")
        contents = ([each] for each in long_contents(own, self._request, failed))
        several = (each for content in contents for each in tries_of(keys, own, content))
        yield "other times", _with(several, [self._body])

    def _pairs(self) -> Iterator[Stage]:
        own, request = self._own, self._request
        singles = [*self._tries_with_one_cause()]
        paired = [each for each in BODY_CAUSES if each.when != "alone"]
        for cause in paired:
            yield _PAIRS, _with(singles, self._bodies(cause, request))
        yield _PAIRS, _with(self._tries_with_two_causes(), [self._body])
        tries = [*self._plain_tries(own)]
        for outer in (each for each in paired if each.unwraps):
            for body, steps in self._bodies(outer, request):
                inner = replace(request, body=body)
                for cause in paired:
                    bodies = (
                        (content, steps + further)
                        for content, further in self._bodies(cause, inner)
                    )
                    yield _PAIRS, _with(tries, bodies)

    def _tries_with_one_cause(self) -> Iterator[Try]:
        own, request = self._own, self._request
        around = unchanged_content(own, request)
        keys = self._keyring.unchanged(own)
        yield from tries_of([*self._keyring.others(own), *self._keyring.changed(own)], own, around)
        yield from tries_of(keys, own, [*self._changed_contents(own)])
        for recipe in (*self._others, *self._hashes):
            yield from self._plain_tries(recipe)

    def _tries_with_two_causes(self) -> Iterator[Try]:
        own, request = self._own, self._request
        around, contents = unchanged_content(own, request), [*self._changed_contents(own)]
        for key in (*self._keyring.others(own), *self._keyring.changed(own)):
            yield from tries_of([key], own, contents)
        for recipe in (*self._others, *self._hashes):
            content = unchanged_content(recipe, request)
            for key in (*self._keyring.others(recipe), *self._keyring.changed(recipe)):
                yield from tries_of([key], recipe, content)
            for each in self._changed_contents(recipe):
                yield from tries_of(self._keyring.unchanged(recipe), recipe, [each])
        for key in self._keyring.changed_twice(own):
            yield from tries_of([key], own, around)

    @property
    def _body(self) -> Body:
        return self._request.body, ()

    def _plain_tries(self, recipe: Recipe) -> Iterator[Try]:
        content = unchanged_content(recipe, self._request)
        return tries_of(self._keyring.unchanged(recipe), recipe, content)

    def _changed_contents(self, recipe: Recipe) -> Iterator[Surrounded]:
        failed = partial(self._leave_out, f"{_CONTENTS}: {_FAILED}")
        return changed_contents(recipe, self._request, failed)

    def _bodies(self, cause: BodyCause, request: Request) -> Iterator[Body]:
        if not self._own.scheme.signs_body:
            return
        if not self._budget.is_left(min(len(request.body), REWRITTEN) * _SLOWEST):
            self._leave_out(cause.code)
            return
        if len(request.body) > cause.largest:
            self._leave_out(f"{cause.code}: the body is larger than {cause.largest} bytes")
            return
        seen = {hash(request.body)}  # 64 keyed bits: much less than the bodies
        failed = partial(self._leave_out, f"{cause.code}: {_FAILED}")
        for variant in until_failed(cause.variants(request), failed):
            body = variant[0]
            if hash(body) not in seen:
                seen.add(hash(body))
                yield body, (Step(cause.code, variant[1], (*cause.also, *variant[2:])),)


def _moved(rest: tuple[bytes, str]) -> Body:
    return rest[0], (Step("rendered-twice", rest[1]),)


def _with(tries: Iterable[Try], bodies: Iterable[Body]) -> Iterator[tuple[Try, Body]]:
    """Yield each try with each body. Several bodies need a list of tries."""
    return ((each, body) for body in bodies for each in tries)


def _other_schemes(own: Scheme, request: Request) -> Sequence[Scheme]:
    """Return the known schemes whose signature header came, without those that equal the own."""
    present = [*map(str.lower, own.signature_headers), *request.names()]
    several = [each for name in dict.fromkeys(present) for each in by_header().get(name, ())]
    return [
        each
        for each in dict.fromkeys(several)
        if any(getattr(each, name) != getattr(own, name) for name in _EQUAL)
    ]


def _other_sender(scheme: Scheme) -> Step:
    return Step("scheme-other", f"the request is signed as scheme {scheme.name!r} signs")


def _other_hash(algorithm: str, digest: str) -> Step:
    name = f"HMAC with {digest}" if algorithm == "hmac" else f"a bare {digest} without HMAC"
    return Step("signature-digest", f"the signature is {name}")
