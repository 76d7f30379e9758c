"""What may be signed besides the body. To add a cause, write a function, and list it below."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from itertools import combinations
from typing import Final, TypeAlias

from frappe_hooksig._escaping import escaped
from frappe_hooksig._timestamp import SPELLINGS, TimestampFormat, read_time, spell_time
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.explain._findings import Code, Step
from frappe_hooksig.explain._request import Content, Request
from frappe_hooksig.explain._url_causes import url_variants
from frappe_hooksig.scheme import Scheme

_Variants: TypeAlias = Iterator[tuple[Content, Step]]

# What senders join, beyond what any known scheme does.
_TEMPLATES = (
    "{body}",
    "{timestamp}.{body}",
    "{timestamp}:{body}",
    "{timestamp}{body}",
    "{timestamp}\n{body}",
    "{timestamp}|{body}",
    "{timestamp},{body}",
    "{timestamp}-{body}",
    "{body}.{timestamp}",
    "{body}:{timestamp}",
    "{body}{timestamp}",
    "v0:{timestamp}:{body}",
    "v1:{timestamp}:{body}",
    "t={timestamp}.{body}",
    "{id}.{timestamp}.{body}",
    "{id}:{timestamp}:{body}",
    "{id}{timestamp}{body}",
    "{timestamp}.{id}.{body}",
    "{timestamp}{id}{body}",
    "{id}.{body}",
    "{id}{body}",
    "{url}{body}",
    "{body}{url}",
    "{url}.{body}",
    "{url}",
    "{method}{url}{body}",
    "{method}{url}{body}{timestamp}",
    "{method}{url}{timestamp}{body}",
    "{url}{body}{timestamp}",
    "{url}{timestamp}{body}",
)
_JOINERS = (".", ":", "", "\n", "|", ",", "-", "&")
# Which code a part that is signed on one side only has, in the order of a finding.
_CODES: Final[dict[str, Code]] = {
    "{timestamp}": "timestamp-in-signed",
    "{id}": "id-differs",
    "{url}": "url-differs",
    "{method}": "method-differs",
}
_FORMATS: Final[tuple[TimestampFormat, ...]] = ("unix", "unix-ms", "rfc3339")
_METHODS = ("POST", "GET", "PUT", "PATCH", "DELETE", "HEAD")
_LONGEST_ID = 256  # characters
_AROUND = 600  # seconds
_WITHIN = 1000  # milliseconds in a second


def _units(content: Content, request: Request, _scheme: Scheme) -> _Variants:
    for text in dict.fromkeys([content.timestamp or "", *request.times()]):
        moment = next(filter(None, (read_time(text, each) for each in _FORMATS)), None)
        if moment is None:
            continue
        for each in _FORMATS:
            with suppress(ConfigurationError):
                spelled = spell_time(moment, each)
                if spelled != text:
                    step = Step("timestamp-unit", f"the time as {SPELLINGS[each]} is signed")
                    yield replace(content, timestamp=spelled), step
        step = Step("timestamp-unit", "the time with a fraction of a second is signed")
        yield replace(content, timestamp=f"{moment}"), step
        step = Step("timestamp-unit", "the time without its fraction of a second is signed")
        whole = re.sub(r"\.\d+", "", text)
        if whole != text:
            yield replace(content, timestamp=whole), step
        with suppress(ValueError, OverflowError):  # such as the year 10000
            at = datetime.fromtimestamp(moment, timezone.utc).isoformat()
            step = Step("timestamp-unit", "the time with +00:00 is signed")
            yield replace(content, timestamp=at), step


def _milliseconds(content: Content, request: Request, _scheme: Scheme) -> _Variants:
    moment = read_time(content.timestamp or "", "unix")
    if moment is not None:
        step = Step("timestamp-unit", "the time in milliseconds is signed, but sent in seconds")
        for part in range(_WITHIN):
            yield replace(content, timestamp=f"{moment:.0f}{part:03}"), step
    del request


def _other_times(content: Content, request: Request, _scheme: Scheme) -> _Variants:
    for time in request.times():
        step = Step("timestamp-in-signed", "the time of another header is signed")
        yield replace(content, timestamp=time), step


def _templates(content: Content, request: Request, _scheme: Scheme) -> _Variants:
    times = [content.timestamp] if content.timestamp else request.times()
    for template in dict.fromkeys([*_TEMPLATES, *_templates_like(content.template)]):
        code, *others = _codes_of(template, content.template)
        step = Step(code, f"what is signed is {template!r}, not {content.template!r}", (*others,))
        for time in times or ("",):
            yield replace(content, template=template, timestamp=time or None), step


def _templates_like(template: str) -> Iterator[str]:
    """Yield a template without some of its parts, and with other text between them."""
    parts = [part for part in _CODES if part in template]
    for number in range(1, len(parts) + 1):
        for left_out in combinations(parts, number):
            for joined in ("", r"[^{}]*"):  # with the text behind the part, or without it
                yield re.sub("|".join(re.escape(part) + joined for part in left_out), "", template)
            names = "|".join(map(re.escape, left_out))
            yield re.sub(rf"[^{{}}]*(?:{names})", "", template)
    for joiner in _JOINERS:
        yield re.sub(r"(?<=\})[^{}]*(?=\{)", joiner, template)


def _codes_of(template: str, expected: str) -> list[Code]:
    """Return the codes of the parts that one of two templates has, or of what joins them."""
    if "{body}" not in template:
        return ["body-empty"]
    differing: list[Code] = [
        code for part, code in _CODES.items() if (part in template) != (part in expected)
    ]
    common: list[Code] = [code for part, code in _CODES.items() if part in template]
    if differing or common:
        return differing or common[:1]
    return ["timestamp-in-signed"]


def _ids(content: Content, request: Request, scheme: Scheme) -> _Variants:
    if scheme.id_header is None:
        return
    given = content.id or ""
    for text, how in (
        ("", "no id is signed, but what joins it"),
        (given.lower(), "the id in lower case is signed"),
        (given.upper(), "the id in upper case is signed"),
        (given.rpartition("_")[2], "the id without its prefix is signed"),
        (given.replace("-", ""), "the id without its hyphens is signed"),
        (given.strip("\"'{}<>"), "the id without the marks around it is signed"),
        ("undefined", "'undefined' is signed as the id"),
        ("None", "'None' is signed as the id"),
        ("null", "'null' is signed as the id"),
    ):
        yield replace(content, id=text), Step("id-differs", how)
    for name in request.names():
        value = request.text(name)
        if value and len(value) <= _LONGEST_ID:
            step = Step("id-differs", f"the value of {escaped(name)} is signed as the id")
            yield replace(content, id=value), step
    for found in re.findall(rb'"(?:\w*id|ID)":\s*"([!#-~]{1,256})"', request.body[:65536])[:8]:
        step = Step("id-differs", "an id in the body is signed, not that of the header")
        yield replace(content, id=found.decode()), step


def _urls(content: Content, request: Request, _scheme: Scheme) -> _Variants:
    if content.url and "{url}" in content.template:
        for url, how in url_variants(content.url, request):
            yield replace(content, url=url), Step("url-differs", how)


def _methods(content: Content, _request: Request, _scheme: Scheme) -> _Variants:
    if content.method and "{method}" in content.template:
        for method in (content.method.lower(), content.method.title(), *_METHODS):
            step = Step("method-differs", f"the method {escaped(method)} is signed")
            yield replace(content, method=method), step


def _unknown_time(content: Content, request: Request, scheme: Scheme) -> _Variants:
    """A proxy dropped the timestamp: try each second around now, and around the Date header."""
    if content.timestamp or not scheme.signs_timestamp or scheme.timestamp_format != "unix":
        return
    moments = [int(request.now)]
    with suppress(ValueError, TypeError, OverflowError):
        moments.append(int(parsedate_to_datetime(request.text("date") or "").timestamp()))
    step = Step("header-missing", f"the time is not sent, but signed ({scheme.timestamp_header})")
    for moment in moments:
        for away in range(_AROUND):
            yield replace(content, timestamp=str(moment - away)), step
            yield replace(content, timestamp=str(moment + away)), step


Variants: TypeAlias = Callable[[Content, Request, Scheme], _Variants]

#: The causes, the most likely first. Each takes what the scheme signs, and yields what else may be.
CONTENT_CAUSES: Final[tuple[Variants, ...]] = (
    _units,
    _templates,
    _other_times,
    _ids,
    _urls,
    _methods,
)

#: Causes with so many variants that they are tried alone only, and last.
LONG_CONTENT_CAUSES: Final[tuple[Variants, ...]] = (_unknown_time, _milliseconds)
