"""Judge a receiver: send it everything, and name the mistakes that explain its answers."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, cast

from frappe_hooksig._escaping import escaped
from frappe_hooksig._keys import redacted
from frappe_hooksig.exceptions import Reason
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secret, Secrets
from frappe_hooksig.testing._cases import (
    ABOUT_CONTENT,
    Answer,
    HostileCase,
    Outcome,
    Send,
    answer_of,
    is_failed_repeat,
    mistake_of,
    problems_of,
    run,
)
from frappe_hooksig.testing._comparisons import compares_in_constant_time
from frappe_hooksig.testing._forging import parsed
from frappe_hooksig.testing._hostile import HostileOptions, hostile_requests, refuse_unknown
from frappe_hooksig.testing._requests import SignedRequest
from frappe_hooksig.testing._transactions import in_django_transaction

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

_SHOWN = 4  # cases that a mistake shows
_COUNT = "Pass handled=, a function that returns how often the handler has run."
_NO_THREADS = (
    "Whether it handles copies that come at once: the test is inside of a transaction of Django. "
    "Use TransactionTestCase."
)
# Cases without the scheme's own header, beside those that are unsigned.
_HEADERLESS = ("other-scheme", "other-digest")
_NOT_THERE = (404, 405)
_FORBIDDEN = 403
_LIKE_A_MAC = r"[\w+/=-]{24,}"
_PAYLOAD = "Pass payload= with what your handler accepts, and headers= for the sender's event."
_ENOUGH = 24  # characters at the end of a signature, which its prefix does not reach


class Mistake(NamedTuple):
    """A mistake of a receiver.

    Attributes:
        code: A short name, such as "hex-for-base64".
        sentence: What the receiver does wrong, in words.
        evidence: The cases that show it, and how they were answered.
    """

    code: str
    sentence: str
    evidence: tuple[str, ...]

    def __str__(self) -> str:
        more = len(self.evidence) - _SHOWN
        shown = [*self.evidence[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]
        return f"{self.sentence} [{self.code}: {'; '.join(shown)}]"


class Judgement(NamedTuple):
    """What was found out about a receiver.

    Attributes:
        mistakes: The mistakes; empty if none was found.
        not_judged: What could not be judged, and why, in whole sentences.
    """

    mistakes: tuple[Mistake, ...]
    not_judged: tuple[str, ...]

    def __str__(self) -> str:
        numbers = {0: "no mistake", 1: "a mistake"}
        number = len(self.mistakes)
        lines = [f"The receiver makes {numbers.get(number, f'{number} mistakes')}."]
        lines += [f"- {mistake}" for mistake in self.mistakes]
        lines += [f"Not judged: {sentence}" for sentence in self.not_judged]
        return "\n".join(lines)


def check_receiver(
    send: Send,
    scheme: Scheme,
    secret: Secrets,
    *,
    handled: Callable[[], int] | None = None,
    **options: Unpack[HostileOptions],
) -> None:
    """Check a receiver with `hostile_requests()`. The message of a failure names each mistake.

    >>> from frappe_hooksig.providers import FRAPPE
    >>> check_receiver(lambda request: 200, FRAPPE, "S6D3Kvx1yMJ8Hv5Gm2QzTn4wRb7LpXce")
    Traceback (most recent call last):
        ...
    AssertionError: The receiver makes a mistake.
    - It accepts any signature...

    Args:
        send: A function that sends a `SignedRequest` to the receiver, and returns the status or the
            response of a test client. Or the URL of the receiver, in whatever language: requests
            then go there over HTTP, byte for byte.
        scheme: The scheme of the receiver.
        secret: The secret of the receiver.
        handled: A function that returns how often the receiver's handler has run so far. Without
            it, mistakes that show only in what is handled are judged by the answers, or not at all.
        **options: See `HostileOptions`.

    Raises:
        AssertionError: The receiver has mistakes.
        PayloadError: The payload cannot be turned into bytes.
        ConfigurationError: The secret cannot be used, an option is unknown, an argument does not
            fit the scheme, or `send` returns no status.
        Exception: Whatever `send` raises, if it raises for every request.
    """
    __tracebackhide__ = True  # pytest shows the test, and not this function
    several = redacted(secret)
    del secret  # error reporters show the local variables of every frame
    refuse_unknown(options)
    judgement = judge_receiver(send, scheme, several, handled=handled, **options)
    if judgement.mistakes:
        raise AssertionError(str(judgement))


def judge_receiver(
    send: Send,
    scheme: Scheme,
    secret: Secrets,
    *,
    handled: Callable[[], int] | None = None,
    **options: Unpack[HostileOptions],
) -> Judgement:
    """Judge a receiver with `hostile_requests()`, and return what was found.

    Args:
        send: As for `check_receiver()`.
        scheme: As for `check_receiver()`.
        secret: As for `check_receiver()`.
        handled: As for `check_receiver()`.
        **options: See `HostileOptions`.

    Raises:
        PayloadError: The payload cannot be turned into bytes.
        ConfigurationError: The secret cannot be used, an option is unknown, an argument does not
            fit the scheme, or `send` returns no status.
        Exception: Whatever `send` raises, if it raises for every request.
    """
    several = redacted(secret)
    del secret  # error reporters show the local variables of every frame
    refuse_unknown(options)
    with _without_refusals_in_the_log():
        return _judged(send, scheme, several, handled, options)


@contextmanager
def _without_refusals_in_the_log() -> Generator[None]:
    """Log no refused requests, which are dozens here. Errors are still logged."""

    def is_error(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR

    logger = logging.getLogger("frappe_hooksig")
    logger.addFilter(is_error)
    try:
        yield
    finally:
        logger.removeFilter(is_error)


def _judged(
    send: Send,
    scheme: Scheme,
    several: Sequence[Secret],
    handled: Callable[[], int] | None,
    options: HostileOptions,
) -> Judgement:
    cases = {case.name: case for case in hostile_requests(scheme, several, **options)}
    not_judged: list[str] = []
    if isinstance(send, str):
        cases["folded-line"] = _folded_line(cases["genuine"], scheme)
    elif in_django_transaction():
        cases = {name: case for name, case in cases.items() if not case.at_once}
        not_judged.append(_NO_THREADS)
    first = run(cases["genuine"], send, handled)
    if not first.answers[0][0].status:
        sentence = "It does not answer. Is it there?"
        return Judgement((Mistake("no-answer", sentence, (_shown("genuine", first),)),), ())
    others = {name: case for name, case in cases.items() if name != "genuine"}
    outcomes = {"genuine": first} | {
        name: run(case, send, handled) for name, case in others.items()
    }
    if not isinstance(send, str) and all(map(_has_raised, outcomes.values())):
        send(cases["genuine"].requests()[0])  # an error of the test, which is raised as it is
    findings = _Findings(scheme, cases, outcomes, once=options.get("handles_once", False))
    if not first.answers[0][0].is_success:
        findings.add_refusal(
            _said(first.answers[0][0], several),
            needs_type=_needs_content_type(cases["genuine"], send),
        )
    findings.not_judged += not_judged
    findings.add_revealed(_revealed(send, cases["forged-before"], several))
    if scheme.signs_body:
        findings.add_comparison(is_constant_time=_compares(send, cases["wrong-secret"]))
    return Judgement((*findings.mistakes(),), (*findings.not_judged,))


class _Findings:
    """What the outcomes of all cases mean together."""

    def __init__(
        self,
        scheme: Scheme,
        cases: dict[str, HostileCase],
        outcomes: dict[str, Outcome],
        *,
        once: bool,
    ) -> None:
        self.not_judged: list[str] = []
        self._scheme = scheme
        self._cases = cases
        self._outcomes = outcomes
        self._once = once
        self._added: list[Mistake] = []
        self._said = ""
        self._needs_type = False
        self._explained: set[str] = set()
        # What the sender of a delivery that is handled gets, if that is always the same.
        fresh = self._answer("genuine")
        self._fresh = fresh if self._answer("repeated") == fresh else None
        self._hostile = [name for name, case in cases.items() if case.handled == 0]
        self.failed = {name for name in cases if self._fails(name)}

    def add_refusal(self, said: str, *, needs_type: bool) -> None:
        """Add what is known of how a genuine request is refused."""
        self._said = said
        self._needs_type = needs_type

    def add_revealed(self, what: str | None) -> None:
        if what is not None:
            self._added.append(
                Mistake("reveals", f"Its answer to a forgery contains {what}.", ("forged-before",))
            )

    def add_comparison(self, *, is_constant_time: bool | None) -> None:
        if self._took("wrong-secret"):
            return
        if is_constant_time is None:
            self.not_judged.append(
                "Whether it compares signatures in constant time: it computed no MAC in this "
                "process."
            )
        elif not is_constant_time:
            sentence = (
                "It compares signatures with ==, which takes longer if more of a forgery is right: "
                "use hmac.compare_digest()."
            )
            self._added.append(Mistake("timing", sentence, (self._evidence("wrong-secret"),)))

    def mistakes(self) -> Iterator[Mistake]:
        """Yield the mistakes: first those that explain several failures."""
        yield from self._about_acceptance()
        yield from self._about_genuine()
        yield from self._about_success()
        yield from self._about_times()
        yield from self._about_repeats()
        yield from self._about_crashes()
        for name in self._left(self._cases):
            yield Mistake(name, self._cases[name].mistake, (self._evidence(name),))
        yield from self._added

    def _about_acceptance(self) -> Iterator[Mistake]:
        """Yield what lets strangers in."""
        taken = [name for name in self._hostile if self._took(name)]
        if "wrong-secret" in taken:
            code, sentence = "no-check", self._cases["wrong-secret"].mistake
            if not any(answer.is_success for answer in self._answers("wrong-secret")):
                code = "handles-first"
                sentence = (
                    "It does its work before it checks the signature, or goes on after a refusal."
                )
            elif "unsigned" not in taken:
                code = "presence-only"
                sentence = "It only looks whether the header is there: any signature is accepted."
            yield self._explain(code, sentence, [*taken, *self._only_forged()])
            if self._fresh is None and self._outcomes["wrong-secret"].handled is None:
                self.not_judged.append(
                    "Whether it handles what it should refuse, or only answers 200: its answers "
                    f"vary. {_COUNT}"
                )
            return
        if "unsigned" in taken:
            names = ("unsigned", "unsigned-bytes", "unsigned-half", "empty-signature", *_HEADERLESS)
            sentence = self._cases["unsigned"].mistake
            found = [name for name in names if name in taken]
            yield self._explain("no-header-no-check", sentence, found)
        if "folded" in taken:
            lenient = ("folded", "folded-line", "extended", "non-ascii-signature")
            sentence = "It decodes the signature leniently: one signature has many spellings."
            found = [name for name in lenient if name in taken]
            yield self._explain("lenient-decoding", sentence, found)
        if "truncated" in taken:
            found = [name for name in ("truncated", "empty-signature") if name in self._left(taken)]
            yield self._explain("truncated", self._cases["truncated"].mistake, found)

    def _about_genuine(self) -> Iterator[Mistake]:
        """Yield what keeps genuine requests out."""
        lost = [name for name in self._left(self._cases) if name not in self._hostile]
        if "genuine" not in lost:
            yield from self._about_bodies(lost)
            return
        expectations = self._expectations()
        found = next((name for name in expectations if self._took(name)), None)
        if found is not None:
            first = self._reads_first() if found == "respaced-body" else []
            yield self._explain(*expectations[found], [*lost, found, *first])
        else:
            if any(answer.is_crash for answer in self._answers("genuine")):
                lost = self._crashed()
            code, sentence = "refuses-genuine", self._why_refused()
            if self._needs_type:
                title = self._scheme.title or self._scheme.name
                code = "needs-content-type"
                sentence = (
                    f"It needs a Content-Type, which {title} does not send: parse the raw body."
                )
            said = f" It answered: {self._said}" if self._said else ""
            yield self._explain(code, sentence + said, lost)
        self.not_judged.append("What it does with most other requests: it refuses genuine ones.")

    def _why_refused(self) -> str:
        """Return why genuine requests may be refused, and what would help."""
        answer, (request,) = self._answer("genuine"), self._cases["genuine"].requests()
        status = answer.status
        if answer.is_success and self._outcomes["genuine"].handled == 0:
            return (
                "It answers genuine requests with success, but handled= did not count them. "
                "Does handled= count, and does it have the right secret?"
            )
        if status in _NOT_THERE:
            return f"It does not take {request.method} at this URL. Does the URL exist?"
        if status == _FORBIDDEN and b"csrf" in answer.body.lower():
            return "Django's check against CSRF refuses genuine requests: use csrf_exempt."
        if status != self._answer("wrong-secret").status and (
            status in ABOUT_CONTENT or answer.is_crash
        ):
            sent = escaped(request.body.decode("utf-8", "replace"))
            return (
                "It verifies genuine requests, but its handler cannot use them. It was sent "
                f"{sent}. {_PAYLOAD}"
            )
        if answer.is_crash:
            return "It fails on genuine requests."
        return "It refuses genuine requests. Does it have the right secret and the raw body?"

    def _expectations(self) -> dict[str, tuple[str, str]]:
        """Return what a receiver expects that accepts a case, but no genuine request."""
        scheme = self._scheme
        title = scheme.title or scheme.name
        found = {
            f"as-{name}": (
                f"{name}-for-{scheme.encoding}",
                f"It compares the {name} of the MAC, but {title} sends {scheme.encoding}.",
            )
            for name in ("hex", "base64", "base64url")
        }
        found["without-prefix"] = (
            "no-prefix",
            f"It expects the signature alone, but {title} sends {scheme.prefix!r} before it.",
        )
        found["with-prefix"] = (
            "other-prefix",
            f"It expects 'sha256=' before the signature, but {title} sends nothing there.",
        )
        others = ("body-only", "body-left-out", "other-digest", "other-scheme")
        codes = {"respaced-body": "parsed-body"} | {name: name for name in others}
        found |= {
            name: (code, self._cases[name].mistake)
            for name, code in codes.items()
            if name in self._cases
        }
        return {name: texts for name, texts in found.items() if name in self._cases}

    def _about_bodies(self, lost: Sequence[str]) -> Iterator[Mistake]:
        """Yield what keeps genuine requests out whose body is unusual."""
        first = self._reads_first()
        respaced = [name for name in self._left(["respaced-body"]) if self._took(name)]
        if "genuine-json" in lost or respaced:
            names = [name for name in lost if name in {"genuine-json", "genuine-bytes"}]
            found = [*names, *respaced, *first]
            yield self._explain("parsed-body", self._cases["respaced-body"].mistake, found)
        elif "genuine-bytes" in lost:
            sentence = self._cases["genuine-bytes"].mistake
            if self._answer("genuine-bytes").is_crash:
                sentence = (
                    "It fails on a body that is not UTF-8: verify the raw bytes, and decode later."
                )
            yield self._explain("decoded-body", sentence, ["genuine-bytes", *first])

    def _about_success(self) -> Iterator[Mistake]:
        """Yield whether it tells senders of refused requests that all is well."""
        polite = [
            name
            for name in self._left(self._hostile)
            if not self._took(name) and any(answer.is_success for answer in self._answers(name))
        ]
        if polite:
            sentence = "It answers 200 to requests that it refuses: no sender sees the failure."
            names = [*polite, *self._only_forged()]
            yield self._explain("success-on-failure", sentence, names)

    def _about_times(self) -> Iterator[Mistake]:
        taken = [name for name in self._left(("stale", "future")) if self._took(name)]
        if taken == ["stale", "future"]:
            yield self._explain("no-time-check", "It accepts a timestamp of any age.", taken)
        elif taken:
            side = {"stale": "past", "future": "future"}[taken[0]]
            sentence = (
                f"It checks timestamps on one side only, and accepts those far in the {side}."
            )
            yield self._explain("one-sided-tolerance", sentence, taken)

    def _about_repeats(self) -> Iterator[Mistake]:
        codes = {
            "forged-before": "recorded-before-verified",
            "repeated": "handled-twice",
            "repeated-at-once": "get-then-set",
        }
        failures = {"repeated": "fails-repeated", "repeated-at-once": "fails-at-once"}
        left = self._left(codes)
        if "repeated" in left and "repeated-at-once" in left:
            left.remove("repeated-at-once")
            self._explained.add("repeated-at-once")
        for name in left:
            case, outcome = self._cases[name], self._outcomes[name]
            code = failures[name] if is_failed_repeat(case, outcome) else codes[name]
            yield self._explain(code, mistake_of(case, outcome), [name])
        if self._once and self._outcomes["repeated"].handled is None and not self._tells_repeats():
            self.not_judged.append(
                f"How often it handles a repeated delivery: its answers do not show it. {_COUNT}"
            )

    def _about_crashes(self) -> Iterator[Mistake]:
        crashed = self._crashed()
        absent = [name for name in crashed if name.startswith(("unsigned", "no-", "empty-"))]
        first = self._reads_first()
        if first:
            yield self._explain("parses-first", self._cases["unsigned-bytes"].mistake, first)
        elif absent:
            sentence = "It fails if a header is absent or empty, instead of refusing the request."
            names = [name for name in crashed if name in {*absent, *_HEADERLESS}]
            yield self._explain("crash-unsigned", sentence, names)
        odd = [name for name in crashed if name.startswith("non-ascii")]
        if odd:
            yield self._explain("crash-non-ascii", self._cases["non-ascii-signature"].mistake, odd)
        others = [name for name in crashed if name not in self._explained]
        if others:
            sentence = "It fails on malformed requests, instead of refusing them."
            yield self._explain("crash", sentence, others)

    def _crashed(self) -> list[str]:
        left = self._left(self._cases)
        return [name for name in left if any(each.is_crash for each in self._answers(name))]

    def _reads_first(self) -> list[str]:
        """Return the case of an unsigned body, if the body decides how it is answered."""
        names = ("unsigned", "unsigned-bytes")
        if self._explained.intersection(names) or "unsigned" in self.failed:
            return []
        first, second = (self._answer(name).status for name in names)
        return ["unsigned-bytes"] if first != second else []

    def _only_forged(self) -> list[str]:
        """Return the case of a forgery before a genuine request, if only the forgery went wrong."""
        name = "forged-before"
        is_lost = self._outcomes[name].handled == 0 or not self._answers(name)[1].is_success
        return [name] if name in self.failed and not is_lost else []

    def _explain(self, code: str, sentence: str, names: Iterable[str]) -> Mistake:
        found = [*names]
        self._explained.update(found)
        return Mistake(code, sentence, tuple(map(self._evidence, found)))

    def _left(self, names: Iterable[str]) -> list[str]:
        wrong = self.failed - self._explained
        return [name for name in names if name in wrong]

    def _fails(self, name: str) -> bool:
        case, outcome = self._cases[name], self._outcomes[name]
        if problems_of(case, outcome):
            return True
        first, fresh = self._answer(name), self._fresh
        if case.expected[0] in {"accepted", "verified"} and outcome.handled is None:
            # It may refuse the content of bytes, but not as it refuses a forgery.
            is_told = not first.is_success or fresh is not None
            if is_told and first == self._answer("wrong-secret") != fresh:
                return True
        if fresh is None or outcome.handled is not None or not self._tells_repeats():
            return False
        times = [several.count(fresh) for several in outcome.answers]
        if name == "repeated-at-once":
            return max(times) > 1
        return name == "forged-before" and times[1] == 0

    def _tells_repeats(self) -> bool:
        """Whether the answer to a repeat differs from the first one."""
        (first,), (second,) = self._outcomes["repeated"].answers
        return first != second

    def _took(self, name: str) -> bool:
        """Whether a request was accepted, and not only answered with success."""
        handled = self._outcomes[name].handled
        if handled is not None:
            return handled > 0
        answers = [answer for answer in self._answers(name) if answer.is_success]
        if self._fresh is None or not self._fresh.is_success:
            return bool(answers)
        return self._fresh in answers

    def _answer(self, name: str) -> Answer:
        return self._outcomes[name].answers[0][0]

    def _answers(self, name: str) -> list[Answer]:
        return [answer for several in self._outcomes[name].answers for answer in several]

    def _evidence(self, name: str) -> str:
        return _shown(name, self._outcomes[name])


def _has_raised(outcome: Outcome) -> bool:
    """Whether nothing but exceptions came of a case."""
    return all(answer.error for answers in outcome.answers for answer in answers)


def _shown(name: str, outcome: Outcome) -> str:
    """Return how a case was answered, in words."""
    answers = [str(answer) for several in outcome.answers for answer in several]
    times = {1: "once", 2: "twice"}.get(outcome.handled or 0, f"{outcome.handled} times")
    handled = "" if outcome.handled is None else f", handled {times}"
    return f"{name}: {', '.join(dict.fromkeys(answers))}{handled}"


def _said(answer: Answer, secrets: Sequence[Secret]) -> str:
    """Return the beginning of an answer in one line, without what may be a secret or a MAC."""
    if any(secret.reveal() in answer.body for secret in secrets):
        return ""
    text = answer.body.decode("utf-8", "replace")
    content = parsed(answer.body)
    if isinstance(content, dict):
        members = cast("dict[object, object]", content)
        ours = [str(members[name]) for name in ("reason", "message") if name in members]
        text = ": ".join(ours) or text
    return escaped(re.sub(_LIKE_A_MAC, "***", " ".join(text.split())))


def _needs_content_type(case: HostileCase, send: Send) -> bool:
    """Whether a genuine request without a Content-Type is accepted if it has one."""
    (request,) = case.requests()
    if any(name.lower() == "content-type" for name, _ in request.headers):
        return False
    pairs = [*request.headers, ("Content-Type", "application/json")]
    typed = SignedRequest(request.body, pairs, method=request.method, url=request.url)
    return answer_of(send, typed).is_success


def _compares(send: Send, case: HostileCase) -> bool | None:
    """Whether a receiver compares in constant time; None if that cannot be seen."""
    if isinstance(send, str):
        return None
    request = case.requests()[0]
    return compares_in_constant_time(lambda: answer_of(send, request))


def _revealed(send: Send, case: HostileCase, secrets: Sequence[Secret]) -> str | None:
    """Return what the answer to a forgery shows that it should not, or None."""
    forged, genuine = case.requests()
    answer = answer_of(send, forged)
    if any(secret.reveal() in answer.body for secret in secrets):
        return "the secret"
    sent = dict(forged.headers)
    for name, value in genuine.headers:
        if sent.get(name) != value and value[-_ENOUGH:].encode() in answer.body:
            return "the right signature: whoever asks gets one for any body"
    return None


def _folded_line(genuine: HostileCase, scheme: Scheme) -> HostileCase:
    """Return a case whose signature continues on a second line (RFC 9112 section 5.2)."""

    def folded() -> list[SignedRequest]:
        (request,) = genuine.requests()
        names = scheme.signature_headers
        pairs = [
            (name, f"{value[:-8]}\r\n {value[-8:]}" if name in names else value)
            for name, value in request.headers
        ]
        return [SignedRequest(request.body, pairs, method=request.method, url=request.url)]

    return HostileCase(
        "folded-line",
        folded,
        ["refused"],
        "It removes a line break from a signature: one signature has many spellings.",
        handled=0,
        reason=Reason.MALFORMED_HEADER,
    )
