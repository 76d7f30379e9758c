"""`explain()`: the verdict on a request, and the findings."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from frappe_hooksig._clues import index_of
from frappe_hooksig._compression import CONTENT_ENCODING, Decompression, is_gzip
from frappe_hooksig._frappe import FRAPPE
from frappe_hooksig._headers import Headers
from frappe_hooksig._keys import PlainSecret, redacted
from frappe_hooksig._raw_body import MAX_BODY, raw_bytes
from frappe_hooksig._secret_checks import masked_unless
from frappe_hooksig._timestamp import is_tolerance, read_time
from frappe_hooksig._wire import wire_of
from frappe_hooksig.exceptions import (
    ConfigurationError,
    Reason,
    TimestampOutOfTolerance,
    VerificationError,
)
from frappe_hooksig.explain._findings import Code, Explanation, Finding, Step, finding
from frappe_hooksig.explain._hints import hints
from frappe_hooksig.explain._request import Request, content_of
from frappe_hooksig.explain._search import Budget, Match, Search
from frappe_hooksig.explain._tries import Keyring, Recipe
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secret, Secrets

# The code for a signature that is right, but refused for another reason.
_CODES: dict[Reason, Code] = {
    Reason.MISSING_HEADER: "header-missing",
    Reason.DUPLICATE_HEADER: "header-doubled",
    Reason.MALFORMED_HEADER: "signature-prefix",
    Reason.MALFORMED_TIMESTAMP: "timestamp-unit",
    Reason.TIMESTAMP_TOO_OLD: "timestamp-out-of-tolerance",
    Reason.TIMESTAMP_IN_FUTURE: "timestamp-out-of-tolerance",
}
_TIMES: set[Code] = {"timestamp-unit", "timestamp-in-signed", "header-missing"}


def explain(
    body: bytes | bytearray | memoryview,
    headers: Headers,
    secret: Secrets,
    *,
    scheme: Scheme = FRAPPE,
    method: str | None = None,
    url: str | None = None,
    now: float | None = None,
    also: Secrets = (),
    budget: float = 5.0,
) -> Explanation:
    """Explain why a request's signature does not match.

    It computes what each known mistake would have signed: another secret, other bytes, another URL.
    A mistake whose MAC is in the request is proved. Single mistakes are tried before pairs.

    Call it where you debug, not for each request. It takes up to `budget` seconds.

    It gives a forger nothing. A MAC counts as found only if the request has at least 128 bits of
    it, and the result shows no secret and no MAC.

    >>> signed = {"X-Frappe-Webhook-Signature": "/t5aGppyzuycMzj89m9f/WPRsUhoEBXFKiZdw6YMHR0="}
    >>> explanation = explain(b'{"a":1}', signed, "S6D3Kvx1yMJ8Hv5Gm2QzTn4wRb7LpXce")
    >>> explanation.verdict, explanation.findings[0].code
    ('explained', 'body-reserialised')

    Args:
        body: The raw body, exactly as received.
        headers: The request's headers. All of them help, not only the signature.
        secret: The shared secret, or several.
        scheme: How the sender should sign.
        method: The HTTP method; required if the scheme signs it.
        url: The URL as registered with the sender; required if the scheme signs it.
        now: The time to use instead of now, in Unix seconds.
        also: Other secrets that may have signed, such as those of other webhooks.
        budget: The longest time to search, in seconds. The search also skips what needs a smaller
            body: bodies are serialised anew up to 2 MiB.

    Raises:
        ConfigurationError: A secret is missing or empty, the scheme signs the method or the URL but
            it was not passed, or an option is invalid.
        TypeError: The body is not bytes.
    """
    several, others = redacted(secret), redacted(also)
    del secret, also  # error reporters show the local variables of every frame
    scheme = masked_unless(Scheme, scheme)
    body = masked_unless((bytes, bytearray, memoryview), body)
    moment = time.time() if now is None else now
    request = Request(raw_bytes(body), index_of(headers), method, url, moment)
    del body, headers, method, url
    if not is_tolerance(budget):
        msg = "budget= must be a positive number of seconds"
        raise ConfigurationError(msg)
    limit = Budget(budget)
    if not is_tolerance(moment):
        msg = "now= must be a time in Unix seconds, above 0"
        raise ConfigurationError(msg)
    if not several:
        msg = "no secret is set: pass it with secret="
        raise ConfigurationError(msg)
    _check_secrets("secret=", several)
    _check_secrets("also=", others)
    # This raises if the method or the URL is missing.
    wire_of(scheme).around("", "", request.method, request.url)
    keyring = Keyring(several, others, moment)
    try:
        return _explained(request, scheme, keyring, limit)
    except BaseException as error:  # noqa: BLE001  # raised again, also KeyboardInterrupt
        # The frames inside have variants of the secrets, and error reporters show all of them.
        error.__context__ = None
        raise error.with_traceback(None) from None


def _check_secrets(name: str, secrets: Sequence[Secret]) -> None:
    for each in secrets:
        if isinstance(each, PlainSecret) and each.problem:
            msg = f"{name}: a secret {each.problem}"
            raise ConfigurationError(msg)


def _as_signed(request: Request, scheme: Scheme) -> Request:
    """Return the request with its body decompressed, if the sender compresses after signing.

    Raises:
        VerificationError: Content-Encoding says gzip, and the body is not gzip.
    """
    if not scheme.signs_decoded_body or not is_gzip(request.text(CONTENT_ENCODING) or ""):
        return request
    decompression = Decompression(MAX_BODY)
    content = decompression.feed(request.body)
    decompression.finish()
    return replace(request, body=content)


def _explained(request: Request, scheme: Scheme, keyring: Keyring, budget: Budget) -> Explanation:
    refusal: VerificationError | None
    try:
        request = _as_signed(request, scheme)
        refusal = _refusal(request, scheme, keyring)
    except VerificationError as error:
        refusal = error
    if refusal is None:
        return Explanation(verdict="genuine", findings=(), untried=())
    request, left_out = request.bounded(scheme.header_names)
    search = Search(request, scheme, keyring, budget)
    matches = search.matches()
    if matches:
        return Explanation(
            verdict="explained", findings=_proved(matches, refusal, request), untried=()
        )
    found = [finding(each, is_proved=False) for each in hints(request, scheme, search.sizes)]
    untried = [*search.untried, *([f"{left_out} more headers"] if left_out else ())]
    return Explanation(verdict="unexplained", findings=(*_unique(found),), untried=(*untried,))


def _refusal(request: Request, scheme: Scheme, keyring: Keyring) -> VerificationError | None:
    """Return why `Verifier` refuses a request, or None."""
    wire = wire_of(scheme)
    try:
        signatures, (_, moment, _, before, after) = wire.parse_any(
            request.headers, request.method, request.url
        )
        keys = keyring.unchanged(Recipe(scheme, scheme.algorithm, scheme.digest))
        macs = [key.mac(before, request.body, after) for key, steps in keys if not steps]
        if not any(wire.matches(mac, signatures) for mac in macs):
            return VerificationError(Reason.SIGNATURE_MISMATCH)
        if scheme.algorithm == "hash" and not _is_text(before + request.body + after):
            return VerificationError(Reason.SIGNATURE_MISMATCH)
    except VerificationError as error:
        return error
    if moment is not None and not abs(request.now - moment) <= scheme.tolerance:
        return TimestampOutOfTolerance(request.now - moment, scheme.tolerance, wire.timestamp_place)
    return None


def _is_text(content: bytes) -> bool:
    """Whether a bare hash proves a content. See `TextHash`."""
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False


def _proved(
    matches: Sequence[Match], refusal: VerificationError, request: Request
) -> tuple[Finding, ...]:
    """Return the findings of the first match. The codes of the others are its other names."""
    first, *others = matches
    steps = [*first.steps]
    age = _age(first.scheme, request)
    is_late = age is not None and abs(age) > first.scheme.tolerance
    if age is not None and is_late and _TIMES.isdisjoint(step.code for step in steps):
        place = wire_of(first.scheme).timestamp_place
        late = TimestampOutOfTolerance(age, first.scheme.tolerance, place)
        steps.append(Step("timestamp-out-of-tolerance", str(late)))
    if not steps:
        steps = [_step_of(refusal, first.scheme, request)]
    codes = {step.code for step in steps}
    alike = [code for each in others for step in each.steps for code in (step.code, *step.also)]
    also = [code for code in dict.fromkeys((*steps[0].also, *alike)) if code not in codes]
    steps[0] = steps[0]._replace(also=(*also,))
    return tuple(_unique([finding(each, is_proved=True) for each in steps]))


def _age(scheme: Scheme, request: Request) -> float | None:
    """Return how long ago the timestamp of a request is, in seconds."""
    if not scheme.signs_timestamp:
        return None
    text = content_of(scheme, request).timestamp or ""
    moment = read_time(text, scheme.timestamp_format)
    return None if moment is None else request.now - moment


def _step_of(refusal: VerificationError, scheme: Scheme, request: Request) -> Step:
    """Return the step for a request whose signature is right, and which is refused all the same."""
    if refusal.header == CONTENT_ENCODING:
        return Step("body-compressed", str(refusal))
    if refusal.reason in _CODES:
        return Step(_CODES[refusal.reason], str(refusal))
    if scheme.algorithm == "hash" and not _is_text(request.body):
        evidence = "the body is not UTF-8 or has a NUL byte, and a bare hash protects only text"
        return Step("body-charset", evidence)
    return Step("method-differs", "the method is not in capital letters")


def _unique(findings: Sequence[Finding]) -> list[Finding]:
    """Return the first finding of each code."""
    first: dict[Code, Finding] = {}
    for each in findings:
        first.setdefault(each.code, each)
    return [*first.values()]
