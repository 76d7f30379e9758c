"""Where a library is laxer or stricter than ours: requests that are nearly as they should be.

Whoever sends them knows the secret, or has seen a genuine request and spells it in another way. To
accept one is no forgery, but more than was agreed.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from random import Random

from frappe_hooksig import Scheme, providers
from frappe_hooksig._timestamp import read_time, spell_time
from frappe_hooksig._wire import wire_of
from interop.bodies import enveloped
from interop.comparison import ours, secret
from interop.library import ACCEPTS, Library, Verdict
from interop.requests import NOW, Message, Request, mac

# How far a time may be from now, in seconds: somebody's tolerance, and what is just beside it.
_TOLERANCES = (5, 10, 30, 60, 90, 180, 300, 600, 3600, 86_400)
_DISTANCES = (0, *(each + beside for each in _TOLERANCES for beside in (-1, 0, 1)))

_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BOM = "\ufeff"
_MARK = "\N{REPLACEMENT CHARACTER}"


class WrongVerdict(Exception):
    """A request that all must accept is refused."""


@dataclass(frozen=True)
class Difference:
    """A request on which a library and ours do not agree.

    Attributes:
        what: What is odd about it.
        ours: What ours says to it.
        theirs: What the library says to it.
    """

    what: str
    ours: Verdict
    theirs: Verdict


@dataclass(frozen=True)
class Window:
    """Which times are accepted, as seconds from now; None if there is no end of it.

    Attributes:
        ago: How long ago at most.
        ahead: How far ahead at most.
    """

    ago: int | None
    ahead: int | None


def differences(library: Library) -> list[Difference]:
    """Return what a library and ours say differently, or the library stumbles over.

    Raises:
        WrongVerdict: One of them refuses a request with nothing odd about it, so that the others
            would show nothing.
    """
    scheme = providers.get(library.facts.provider)
    plain = [_request(scheme, _message(library, scheme))]
    if [*ours(scheme, plain), *library.verify(plain)] != [ACCEPTS, ACCEPTS]:
        msg = "the request that the odd ones are made of is refused"
        raise WrongVerdict(msg)
    odd = list(_odd(library, scheme))
    requests = [each for _, each in odd]
    return [
        Difference(what, our_verdict, their_verdict)
        for (what, _), our_verdict, their_verdict in zip(
            odd, ours(scheme, requests), library.verify(requests), strict=True
        )
        if our_verdict != their_verdict
    ]


def windows(library: Library) -> tuple[Window, Window] | None:
    """Return which times ours and the library accept, or None if the scheme signs none."""
    scheme = providers.get(library.facts.provider)
    if not scheme.signs_timestamp:
        return None
    message = _message(library, scheme)
    ago = [_request(scheme, replace(message, time=NOW - each)) for each in _DISTANCES]
    ahead = [_request(scheme, replace(message, time=NOW + each)) for each in _DISTANCES]
    return (
        Window(_furthest(ours(scheme, ago)), _furthest(ours(scheme, ahead))),
        Window(_furthest(library.verify(ago)), _furthest(library.verify(ahead))),
    )


def _furthest(verdicts: Sequence[Verdict]) -> int | None:
    accepted = [
        distance
        for distance, verdict in zip(_DISTANCES, verdicts, strict=True)
        if verdict == ACCEPTS
    ]
    return None if len(accepted) == len(_DISTANCES) else max(accepted, default=-1)


def _message(library: Library, scheme: Scheme, body: str = "{}") -> Message:
    """Return a message whose MAC shows which of the two base64 alphabets it is written in."""
    dice = Random(scheme.name)
    envelope = library.facts.envelope
    for number in count():
        text = body + str(number)
        raw = text.encode() if envelope is None else enveloped(envelope, text.encode())
        message = Message(
            secret=secret(dice, scheme),
            body=raw,
            time=NOW,
            id=f"msg_{number}",
            url="https://hooks.example.com/orders",
        )
        text = mac(scheme, message).decode()
        if scheme.encoding == "hex" or len({*"+/-_"} & {*text}) == 2:
            return message
    raise AssertionError


def _request(
    scheme: Scheme,
    message: Message,
    entry: str | None = None,
    time: str | None = None,
) -> Request:
    """Return a request.

    Args:
        scheme: How it is laid out.
        message: What is signed.
        entry: The signature with its prefix, if it is not the right one.
        time: How the time is spelled, if otherwise.
    """
    time = time or spell_time(message.time, scheme.timestamp_format)
    signed = scheme.prefix + mac(scheme, message, time).decode() if entry is None else entry
    headers = wire_of(scheme).format([], timestamp=time, id=message.id)
    parts = [f"{scheme.timestamp_prefix}{time}"] if scheme.timestamp_prefix else []
    headers[scheme.signature_headers[0]] = scheme.separator.join([*parts, signed])
    return Request(secret=message.secret, body=message.body, headers=headers, url=message.url)


def _odd(library: Library, scheme: Scheme) -> Iterator[tuple[str, Request]]:
    message = _message(library, scheme)
    right = mac(scheme, message).decode()
    for what, entry in _spellings(scheme, right):
        yield what, _request(scheme, message, entry)
    wrong = mac(scheme, replace(message, body=b"[]")).decode()
    for what, entries in _lists(scheme, right, wrong):
        yield what, _request(scheme, message, scheme.separator.join(entries))
    if scheme.separator:
        spaced = _request(scheme, message)
        header = scheme.signature_headers[0]
        padded = spaced.headers[header].replace(scheme.separator, f"{scheme.separator} ")
        if padded != spaced.headers[header] and scheme.separator != " ":
            changed = {**spaced.headers, header: padded}
            yield "a space behind each separator", replace(spaced, headers=changed)
    if scheme.signs_timestamp:
        yield from _times(scheme, message)
    if scheme.id_header:
        for what, name in (("an id with a full stop", "a.b"), ("an id of 300 letters", "a" * 300)):
            yield what, _request(scheme, replace(message, id=name))
    yield from _second_header(scheme, message)
    yield from _bodies(library, scheme)


def _spellings(scheme: Scheme, right: str) -> Iterator[tuple[str, str]]:
    """Yield other spellings of the right signature, with its prefix."""
    prefix = scheme.prefix
    if scheme.encoding == "hex":
        yield "hex in upper case", prefix + right.upper()
        yield "base64 instead of hex", prefix + b64encode(bytes.fromhex(right)).decode()
        yield "`zz` behind the hex", f"{prefix}{right}zz"
    else:
        bare = right.rstrip("=")
        if scheme.encoding == "base64":
            yield "base64 without its padding", prefix + bare
            yield "URL-safe base64", prefix + right.translate(str.maketrans("+/", "-_"))
        else:
            yield "base64 with padding", f"{prefix}{bare}="
            yield "base64 that is not URL-safe", prefix + bare.translate(str.maketrans("-_", "+/"))
        last = _BASE64[_BASE64.index(bare[-1]) ^ 1]
        yield "base64 whose unused bits are set", f"{prefix}{bare[:-1]}{last}{right[len(bare) :]}"
        yield "`!` behind the base64", f"{prefix}{right}!"
    yield "a space behind the signature", f"{prefix}{right} "
    if prefix:
        yield "a space behind the prefix", f"{prefix} {right}"
        yield "the prefix in upper case", prefix.upper() + right
        yield "no prefix", right
    else:
        yield "a space before the signature", f" {right}"
    if scheme.separator != ",":
        yield "the header twice, joined with a comma", f"{prefix}{right}, {prefix}{right}"
    yield "an empty signature", prefix


def _lists(scheme: Scheme, right: str, wrong: str) -> Iterator[tuple[str, list[str]]]:
    """Yield lists of signatures, the right one among them."""
    if not scheme.separator:
        return
    good = scheme.prefix + right
    bad = scheme.prefix + wrong
    yield "a wrong signature before the right one", [bad, good]
    yield "a wrong signature behind the right one", [good, bad]
    yield "the right signature behind 16 wrong ones", [*[bad] * 16, good]
    other = scheme.prefix.replace("1", "9")
    yield "an entry of an unknown kind", [other + wrong, good]
    yield "an entry without any kind", ["abc", good]
    yield "nothing between two separators", ["", good]
    if scheme.timestamp_prefix:
        now, later = (
            f"{scheme.timestamp_prefix}{spell_time(time, scheme.timestamp_format)}"
            for time in (NOW, NOW + 1)
        )
        yield "the time again", [now, good]
        yield "another time behind the right one", [later, good]


def _times(scheme: Scheme, message: Message) -> Iterator[tuple[str, Request]]:
    """Yield times that are not spelled as they should be."""
    right = spell_time(message.time, scheme.timestamp_format)
    if scheme.timestamp_format == "rfc3339":
        spellings = {
            "in lower case": right.lower(),
            "with a space in place of the T": right.replace("T", " "),
            "without an offset": right.removesuffix("Z"),
            "without seconds": right.replace(":00Z", "Z"),
        }
    else:
        spellings = {
            "with a plus": f"+{right}",
            "with a zero before it": f"0{right}",
            "with a fraction": f"{right}.0",
            "with a space before it": f" {right}",
            "with a letter behind it": f"{right}x",
            "in another unit": right[:10]
            if scheme.timestamp_format == "unix-ms"
            else f"{right}000",
        }
    signed_as_sent = _request(scheme, message)
    for what, text in spellings.items():
        assert read_time(text, scheme.timestamp_format) is None
        yield f"a time {what}, signed so", _request(scheme, message, time=text)
        if scheme.timestamp_header:
            headers = {**signed_as_sent.headers, scheme.timestamp_header: text}
        else:
            header = scheme.signature_headers[0]
            value = signed_as_sent.headers[header].replace(right, text, 1)
            headers = {**signed_as_sent.headers, header: value}
        yield f"a time {what}, signed without", replace(signed_as_sent, headers=headers)


def _second_header(scheme: Scheme, message: Message) -> Iterator[tuple[str, Request]]:
    if len(scheme.signature_headers) > 1:
        first, second = scheme.signature_headers[:2]
        headers = dict(_request(scheme, message).headers)
        headers[second] = headers.pop(first)
        moved = replace(_request(scheme, message), headers=headers)
        yield "the signature in the second header alone", moved


def _bodies(library: Library, scheme: Scheme) -> Iterator[tuple[str, Request]]:
    """Yield bodies that are signed as they are, and others that are read as if they were."""
    message, facts = _message(library, scheme), library.facts
    if facts.envelope is not None:
        spaced = replace(message, body=message.body.replace(b":", b": ", 1))
        yield "JSON with a space in it", _request(scheme, spaced)
        unspaced = replace(_request(scheme, message), body=spaced.body)
        yield "JSON with a space that was not signed", unspaced
        if facts.stale_envelope is not None:
            stale = replace(message, body=enveloped(facts.stale_envelope, b""))
            yield "the time in the body an hour old", _request(scheme, stale)
        return
    for what, body in (
        ("an empty body", b""),
        ("a body that is not UTF-8", b"{\xff}"),
        ("a body with a byte order mark", _BOM.encode() + b"{}"),
    ):
        yield what, _request(scheme, replace(message, body=body))
    marked = _message(library, scheme, _MARK)
    mangled = marked.body.replace(_MARK.encode(), b"\xff")
    yield "a byte FF where U+FFFD was signed", replace(_request(scheme, marked), body=mangled)
    before = replace(_request(scheme, message), body=_BOM.encode() + message.body)
    yield "a byte order mark that was not signed", before
