"""What the sender may have signed instead of the body that came.

To add a cause, write a function that takes a request and yields bodies, each with its evidence,
and list it below.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from base64 import b64decode, b64encode, encodebytes
from binascii import Error as NotBase64
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from html import escape, unescape
from itertools import permutations, product
from typing import Any, Final, Literal, NamedTuple, TypeAlias
from unicodedata import normalize
from urllib.parse import parse_qsl, quote, unquote_plus, urlencode

from frappe_hooksig._raw_body import MAX_BODY
from frappe_hooksig._timestamp import read_time
from frappe_hooksig.explain._findings import Code
from frappe_hooksig.explain._rendering_causes import rendered_twice
from frappe_hooksig.explain._request import Request
from frappe_hooksig.explain._serialisations import (
    in_ascii,
    json_texts,
    object_in,
    parsed,
    respelled,
    usual_serialisations,
)

# A body, the evidence, and perhaps another code for the same body.
_Variants: TypeAlias = Iterator[tuple[bytes, str] | tuple[bytes, str, Code]]

#: The largest body that is parsed or rewritten as text, in bytes.
REWRITTEN = 2 * 1024 * 1024

_MARK = b"\xef\xbb\xbf"
_LAST_OF_GZIP = 2**32  # its times have four bytes
_MOST_FIELDS = 1000
_MOST_KEYS = 6  # that are tried in each order: 720 bodies
_MOST_PARTS = 32
_SMALL = 1024  # bytes: bodies whose every beginning is tried
_LIMITS = sorted(
    {2**n for n in range(6, 25)} | {10**n for n in range(2, 8)} | {2**n - 1 for n in range(8, 25)}
)
_NAIVE = "latin-1", "cp1252"
_WIDE = "utf-16-le", "utf-16-be", "utf-16", "utf-32-le", "utf-32-be", "utf-32"


_CASES: dict[str, Callable[[str], str]] = {"lower": str.lower, "upper": str.upper}
_MARKED = ("<>&", "<>&'", "<>", "<>&'+`", "<>&='")  # that some libraries write as \\u003c
_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*\\u)([0-9a-fA-F]{4})")
_ESCAPES = re.compile(r"(?<!\\)((?:\\\\)*)((?:\\u[0-9a-fA-F]{4})+)")


class BodyCause(NamedTuple):
    """A cause.

    Attributes:
        code: Its code.
        variants: Takes a request, and yields bodies with the evidence for each, and perhaps another
            code.
        also: Other codes for the same bodies.
        when: Whether it is tried alone, together with another cause, or both.
        unwraps: Whether the results are contents of the body, which may be changed once more.
        largest: The largest body that it is tried for, in bytes.
        is_cheap: Whether it has so few variants that it is tried before all that is not the body.
    """

    code: Code
    variants: Callable[[Request], _Variants]
    also: tuple[Code, ...] = ()
    when: Literal["alone", "in pairs", "always"] = "always"
    unwraps: bool = False
    largest: int = REWRITTEN
    is_cheap: bool = False


def _line_ends(request: Request) -> _Variants:
    body = request.body
    for end, name in ((b"\n", "LF"), (b"\r\n", "CR LF"), (b"\r", "CR"), (b" ", "a space")):
        yield body + end, f"the body with {name} behind it is signed"
        if body.endswith(end):
            yield body.removesuffix(end), f"the body without the {name} at its end is signed"
    yield body.strip(), "the body without the white space around it is signed"
    if b"\n" not in body and b"\r" not in body:
        return
    lines = body.replace(b"\r\n", b"\n")
    yield lines, "the body with LF instead of CR LF is signed"
    yield lines.replace(b"\n", b"\r\n"), "the body with CR LF instead of LF is signed"
    yield lines.replace(b"\r", b"\n"), "the body with LF instead of CR is signed"
    yield lines.replace(b"\n", b"\r"), "the body with CR instead of LF is signed"
    plain = lines.replace(b"\n", b"").replace(b"\r", b"")
    yield plain, "the body without line ends is signed (curl -d drops them)"


def _json(request: Request) -> _Variants:
    with suppress(ValueError, RecursionError):
        for text, how in json_texts(parsed(request.body)):
            body = text.encode("utf-8", "surrogatepass")
            if body.replace(b"\n", b"") == request.body != body:
                yield body, f"{how}; its line ends were dropped, as by curl -d", "body-line-end"
            yield body, how
            yield body + b"\n", f"{how}, and a line end", "body-line-end"
            for name, changed in respelled(text):
                body = changed.encode("utf-8", "surrogatepass")
                yield body, f"{how}, with {name}", "body-escapes"
                yield body + b"\n", f"{how}, with {name} and a line end", "body-escapes"


def _usual_json(request: Request) -> _Variants:
    with suppress(ValueError, RecursionError):
        yield from usual_serialisations(parsed(request.body))


def _language_text(request: Request) -> _Variants:
    yield repr(request.body).encode(), "the body as Python's str() shows bytes is signed"
    with suppress(ValueError, RecursionError):
        value = parsed(request.body)
        yield str(value).encode("utf-8", "replace"), "Python's str() of the JSON is signed"
        if isinstance(value, dict | list):
            yield b"[object Object]", "JavaScript's String() of the JSON is signed"
        text = request.body.decode()
        for is_ascii in (True, False):
            string = json.dumps(text, ensure_ascii=is_ascii).encode()
            yield string, "the body as a JSON string is signed"
            yield string.replace(b"/", b"\\/"), "the body as a JSON string of PHP is signed"


def _json_in_text(request: Request) -> _Variants:
    with suppress(ValueError, RecursionError):
        value = parsed(request.body)
        if isinstance(value, str):
            yield value.encode("utf-8", "surrogatepass"), "the content of the JSON string is signed"
        for key, each in [*object_in(request.body).items()][:_MOST_PARTS]:
            if isinstance(each, str):
                text = each.encode("utf-8", "surrogatepass")
                yield text, f"only the text of one field is signed: {ascii(key)[:60]}"


def _json_in_json(request: Request) -> _Variants:
    with suppress(ValueError, RecursionError):
        for key, each in [*object_in(request.body).items()][:_MOST_PARTS]:
            if isinstance(each, dict | list):
                for text, how in usual_serialisations(each):
                    yield text, f"only one field is signed: {ascii(key)[:60]}, {how}"


def _escapes(request: Request) -> _Variants:
    """Rewrite the escapes in the text of the JSON, and nothing else."""
    text = request.body.decode("latin-1")
    slashes = {"": text}
    if "/" in text:
        plain = text.replace("\\/", "/")
        slashes = {"": text, ", with /": plain, ", with \\/ for /": plain.replace("/", "\\/")}
    for how, each in slashes.items():
        yield each.encode("latin-1"), f"the body as it came{how} is signed"
        for name, change in _CASES.items():
            changed = _ESCAPE.sub(partial(_respelled, change), each)
            yield changed.encode("latin-1"), f"the body with \\u in {name} case{how} is signed"
            for marks in _MARKED:
                changed = re.sub(f"[{marks}]", partial(_marked, change), each)
                evidence = f"the body with \\u in {name} case for {marks}{how} is signed"
                yield changed.encode("latin-1"), evidence
    with suppress(UnicodeError):
        for how, each in slashes.items():
            text = each.encode("latin-1").decode()
            ascii_only = re.sub(r"[^\0-\x7f]", lambda found: in_ascii(found[0]), text)
            for name, change in _CASES.items():
                changed = _ESCAPE.sub(partial(_respelled, change), ascii_only)
                yield changed.encode(), f"the body in ASCII, \\u in {name} case{how}, is signed"
            plain = _ESCAPES.sub(_unescaped, text)
            yield plain.encode("utf-8", "surrogatepass"), f"the body without \\u{how} is signed"


def _unslashed(request: Request) -> _Variants:
    """PHP's addslashes() went over the body: WordPress does so with all that comes."""
    body = request.body
    if b"\\" in body and not re.search(rb"(?<!\\)[\"']", body):
        plain = re.sub(rb"\\(.)", rb"\1", body, flags=re.DOTALL)
        yield plain, "the body without PHP's slashes before quotes is signed"


def _slashed(request: Request) -> _Variants:
    body = request.body
    if b'"' in body or b"'" in body:
        slashed = re.sub(rb"[\\\"']", rb"\\\g<0>", body)
        yield slashed, "the body with PHP's slashes before quotes is signed"


def _respelled(change: Callable[[str], str], found: re.Match[str]) -> str:
    return found[1] + change(found[2])


def _marked(change: Callable[[str], str], found: re.Match[str]) -> str:
    return "\\u" + change(f"{ord(found[0]):04x}")


def _unescaped(found: re.Match[str]) -> str:
    """Return the characters of some escapes, but leave those that JSON must escape."""
    plain = bytes.fromhex(found[2].replace("\\u", "")).decode("utf-16-be", "surrogatepass")
    kept = "".join(f"\\u{ord(each):04x}" if each < " " or each in '"\\' else each for each in plain)
    return found[1] + kept


def _decoded(request: Request) -> _Variants:
    """The body came in another character set, or as one that was decoded as another."""
    body = request.body
    if body.startswith(_MARK):
        plain = body.removeprefix(_MARK)
        yield plain, "the body without its byte order mark is signed"
        lines = plain.replace(b"\r\n", b"\n")
        how = "the body without its byte order mark and with LF instead of CR LF is signed"
        yield lines, how, "body-line-end"
    for charset in _NAIVE:
        with suppress(UnicodeError):
            fixed = body.decode().encode(charset)
            yield fixed, f"the body is UTF-8 that was read as {charset} and encoded again"
            yield fixed.decode().encode(charset), f"the body was read as {charset} twice"
    for charset in _WIDE if b"\0" in body else ():  # ASCII has NULs in each of them
        with suppress(UnicodeError):
            text = body.decode(charset)
            if "\0" not in text and text.isprintable():
                name = charset.upper()
                yield text.encode(), f"the body is {name}, but signed as UTF-8"
                plain = text.removeprefix("\ufeff").encode()
                yield plain, f"the body is {name} with a byte order mark, but signed as UTF-8"


def _encoded(request: Request) -> _Variants:
    body = request.body
    yield _MARK + body, "the body with a byte order mark is signed"
    for charset in _NAIVE:
        with suppress(UnicodeError):
            once = body.decode(charset).encode()
            yield once, f"the body read as {charset} is signed"
            yield once.decode(charset).encode(), f"the body read as {charset} twice is signed"
    for charset in _WIDE:
        with suppress(UnicodeError):
            name, mark = charset.upper(), "\ufeff".encode(charset)
            encoded = body.decode().encode(charset)
            yield encoded, f"the body in {name} is signed"
            yield mark + encoded, f"the body in {name} with a byte order mark is signed"
    text = body.decode(errors="replace")
    for form in ("NFC", "NFD", "NFKC"):
        yield normalize(form, text).encode(), f"the body in Unicode's form {form} is signed"
    yield text.encode(), "the body with U+FFFD for what is not UTF-8 is signed"
    yield body.decode(errors="ignore").encode(), "the body without what is not UTF-8 is signed"
    yield text.encode("ascii", "replace"), "the body with ? for what is not ASCII is signed"
    yield text.encode("ascii", "ignore"), "the body without what is not ASCII is signed"
    yield text.encode("ascii", "xmlcharrefreplace"), "the body with &#...; is signed"
    yield text.encode("ascii", "backslashreplace"), "the body with \\x escapes is signed"
    yield text.encode("latin-1", "replace"), "the body in latin-1 with ? is signed"
    yield text.replace("\ufffd", "?").encode(), "the body with ? instead of U+FFFD is signed"


def _html_unescaped(request: Request) -> _Variants:
    text = request.body.decode("latin-1")
    if "&" not in text:
        return
    few = text.replace("&lt;", "<").replace("&gt;", ">")
    yield few.encode("latin-1"), "the body without &lt; and &gt; is signed"
    few = few.replace("&amp;", "&")
    yield few.encode("latin-1"), "the body without the escapes of <, > and & is signed"
    for escape_, mark in (("&amp;", "&"), ("&quot;", '"'), ("&#34;", '"')):
        plain = text.replace(escape_, mark)
        yield plain.encode("latin-1"), f"the body without {escape_} is signed"
    with suppress(UnicodeError):
        yield unescape(text).encode("latin-1"), "the body without HTML escapes is signed"
    with suppress(UnicodeError):
        plain = unescape(request.body.decode())
        yield plain.encode(), "the body without HTML escapes is signed"


def _html_escaped(request: Request) -> _Variants:
    text = request.body.decode("latin-1")
    for how, changed in (
        ("&amp;", text.replace("&", "&amp;")),
        ("&lt; and &gt;", text.replace("<", "&lt;").replace(">", "&gt;")),
        ("&quot;", text.replace('"', "&quot;")),
        ("&amp;, &lt; and &gt;", escape(text, quote=False)),
        ("&amp;, &lt;, &gt; and &quot;", escape(text).replace("&#x27;", "'")),
    ):
        yield changed.encode("latin-1"), f"the body with {how} is signed"
    whole = escape(text)
    for double, single in product(("&quot;", "&#34;"), ("&#x27;", "&#39;", "&#039;", "&apos;")):
        changed = whole.replace("&quot;", double).replace("&#x27;", single)
        how = f"the body with HTML escapes, {double} and {single}, is signed"
        yield changed.encode("latin-1"), how


def _decompressed(request: Request) -> _Variants:
    body = request.body
    for name, bits in (("gzip", 31), ("zlib", 15), ("raw deflate", -15)):
        stream = zlib.decompressobj(bits)
        with suppress(zlib.error):
            found = stream.decompress(body, MAX_BODY)
            if stream.eof:
                yield found, f"the body is {name}, and its content is signed"


def _compressed(request: Request) -> _Variants:
    body = request.body
    read = [int(read_time(text, "unix") or 0) for text in request.times()]
    times = sorted({0, *(time for time in read if time < _LAST_OF_GZIP)})
    for level in (6, 9, 1, *range(2, 6), 7, 8, 0):
        yield zlib.compress(body, level), f"the body compressed with zlib, level {level}, is signed"
        raw = zlib.compressobj(level, wbits=-15)
        deflated = raw.compress(body) + raw.flush()
        yield deflated, f"the body compressed with raw deflate, level {level}, is signed"
        if level in {6, 9, 1, 0}:
            packed = gzip.compress(body, level, mtime=0)
            for time, system, extra in product(times, (packed[9], 3, 255, 0), (packed[8], 0, 2, 4)):
                head = packed[:4] + time.to_bytes(4, "little") + bytes([extra, system])
                how = f"the body compressed with gzip, level {level}, is signed"
                yield head + packed[10:], how


def _usually_compressed(request: Request) -> _Variants:
    for level in (9, 6):
        packed = gzip.compress(request.body, level, mtime=0)
        yield packed, f"the body compressed with gzip, level {level}, is signed"
    yield zlib.compress(request.body), "the body compressed with zlib is signed"


def _from_base64(request: Request) -> _Variants:
    for kind, table in (("base64", b"+/"), ("URL-safe base64", b"-_")):
        text = b"".join(request.body.split()).strip(b'"').translate(bytes.maketrans(table, b"+/"))
        with suppress(NotBase64):
            found = b64decode(text + b"=" * (-len(text) % 4), validate=True)
            yield found, f"the body is {kind}, and its content is signed"


def _to_base64(request: Request) -> _Variants:
    encoded = b64encode(request.body)
    yield encoded, "the body as base64 is signed"
    yield encoded.translate(bytes.maketrans(b"+/", b"-_")), "the body as URL-safe base64 is signed"
    yield encoded.rstrip(b"="), "the body as base64 without padding is signed"
    yield (
        encoded.translate(bytes.maketrans(b"+/", b"-_")).rstrip(b"="),
        "the body as URL-safe base64 without padding is signed",
    )
    yield encodebytes(request.body), "the body as base64 in lines is signed"
    yield b'"' + encoded + b'"', "the body as base64 in quotes is signed"
    yield request.body.hex().encode(), "the body as hex is signed"


def _fields(request: Request) -> list[tuple[str, str]]:
    """Return the fields of a form; none if the body is no form.

    Raises:
        ValueError: It has too many fields, or is not UTF-8.
    """
    text = request.body.decode()
    if "=" not in text or text.lstrip()[:1] in {"{", "[", '"', "<"}:
        return []
    return parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)


def _in_form(request: Request) -> _Variants:
    with suppress(ValueError):
        for name, value in _fields(request)[:_MOST_PARTS]:
            how = f"only the field {ascii(name)[:60]} of the form is signed"
            yield value.encode("utf-8", "surrogatepass"), how


def _form_as_json(request: Request) -> _Variants:
    with suppress(ValueError, RecursionError):
        fields = _fields(request)
        if fields:
            read = {name: _scalar(value) for name, value in fields}
            for values in ({**dict(fields)}, read):
                for text, how in json_texts(values):
                    body = text.encode("utf-8", "surrogatepass")
                    yield body, f"the form's fields are signed: {how}"


def _form_anew(request: Request) -> _Variants:
    with suppress(ValueError):
        fields = _fields(request)
        if fields:
            yield from _forms(fields)
            text = request.body.decode()
            yield unquote_plus(text).encode(), "the form without percent-encoding is signed"
            lower = re.sub(r"%[0-9A-F]{2}", lambda e: e[0].lower(), text)
            yield lower.encode(), "the form with %xx in lower case is signed"
            upper = re.sub(r"%[0-9a-f]{2}", lambda e: e[0].upper(), text)
            yield upper.encode(), "the form with %XX in upper case is signed"
            yield text.replace("%20", "+").encode(), "the form with + for spaces is signed"
            yield text.replace("+", "%20").encode(), "the form with %20 for spaces is signed"


def _to_form(request: Request) -> _Variants:
    with suppress(ValueError, RecursionError):
        text = request.body.decode()
        encoded = quote(text, safe="")
        spelled = [encoded.replace("%20", "+"), encoded.replace("%2F", "/"), encoded]
        for name, encoded in product(("payload", "data", "body", "json"), spelled):
            yield f"{name}={encoded}".encode(), f"the body as the form {name}=... is signed"
        pairs = [*object_in(request.body).items()][:_MOST_FIELDS]
        if pairs:
            yield from _forms([(key, _form_text(each)) for key, each in pairs])
            yield from _forms([(key, str(each)) for key, each in pairs])


def _forms(fields: list[tuple[str, str]]) -> _Variants:
    for order, several in (("", fields), (" with sorted fields", sorted(fields))):
        encoded = urlencode(several)
        yield encoded.encode(), f"the form{order} is signed"
        yield encoded.replace("+", "%20").encode(), f"the form{order} with %20 is signed"
        text = "&".join(f"{name}={value}" for name, value in several)
        yield text.encode("utf-8", "surrogatepass"), f"the form{order}, not encoded, is signed"


def _scalar(text: str) -> Any:
    """Return the number or constant that a field of a form may have been."""
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    return text


def _form_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _multipart(request: Request) -> _Variants:
    boundary = request.body.partition(b"\r\n")[0]
    if not boundary.startswith(b"--"):
        return
    fields: dict[str, str] = {}
    for part in request.body.split(boundary, _MOST_PARTS)[1:]:
        head, blank, content = part.partition(b"\r\n\r\n")
        if blank:
            content = content.removesuffix(b"\r\n")
            yield content, "only the content of one part is signed"
            named = re.search(rb'name="([^"]{1,256})"', head)
            if named:
                fields[named[1].decode("latin-1")] = content.decode("latin-1")
    for text, how in json_texts(fields):
        yield text.encode(), f"the fields of the parts are signed: {how}"
    yield from _forms([*fields.items()])


def _nothing(_request: Request) -> _Variants:
    yield b"", "an empty body is signed"
    for text in (b"{}", b"null", b"undefined", b"[]", b'""', b"None"):
        yield text, f"{text.decode()} is signed, as if there was no body"


def _cut_off(request: Request) -> _Variants:
    size = len(request.body)
    with suppress(ValueError):
        stated = int(request.text("content-length") or "")
        if 0 < stated < size:
            yield request.body[:stated], f"only Content-Length, {stated} bytes, is signed"
    for limit in _LIMITS:
        if limit < size:
            yield request.body[:limit], f"only the first {limit} bytes are signed"


def _any_beginning(request: Request) -> _Variants:
    if len(request.body) <= _SMALL:
        for length in range(len(request.body) - 1, 0, -1):
            yield request.body[:length], f"only the first {length} bytes are signed"


def _reordered(request: Request) -> _Variants:
    """Frappe's Webhook Request Log, and many databases, sort the keys of an object."""
    with suppress(ValueError, RecursionError):
        pairs = [*object_in(request.body).items()]
        if 1 < len(pairs) <= _MOST_KEYS:
            members = [f"{json.dumps(key)}: {json.dumps(each)}" for key, each in pairs]
            for order in permutations(members):
                how = "the JSON with its keys in another order is signed"
                yield ("{" + ", ".join(order) + "}").encode(), how


def _completed(request: Request) -> _Variants:
    """Close the JSON of a body whose last bytes are missing."""
    text = request.body.decode("latin-1")
    opened: list[str] = []
    for mark in re.finditer(r'"(?:[^"\\]|\\.)*"?|[][{}]', text):
        if mark[0] in "[{":
            opened.append("]" if mark[0] == "[" else "}")
        elif mark[0] in "]}" and opened:
            opened.pop()
    if opened and len(opened) <= _MOST_PARTS:
        for start, end in product(("", '"'), ("", "\n")):
            closed = text + start + "".join(reversed(opened)) + end
            yield closed.encode("latin-1"), "the body with what closes its JSON is signed"


#: The causes, the most likely first.
BODY_CAUSES: Final = (
    BodyCause("body-line-end", _line_ends, largest=MAX_BODY, is_cheap=True),
    BodyCause("body-empty", _nothing, largest=MAX_BODY, is_cheap=True),
    BodyCause("body-compressed", _decompressed, unwraps=True, largest=MAX_BODY),
    BodyCause("body-charset", _decoded, unwraps=True),
    BodyCause("body-charset", _encoded),
    BodyCause("body-base64", _from_base64, unwraps=True),
    BodyCause("body-escapes", _escapes),
    BodyCause("body-escapes", _unslashed, unwraps=True),
    BodyCause("body-escapes", _slashed),
    BodyCause("body-html-escaped", _html_unescaped, unwraps=True),
    BodyCause("body-html-escaped", _html_escaped),
    BodyCause("body-reserialised", _json, when="alone"),
    BodyCause("body-reserialised", _usual_json, when="in pairs"),
    BodyCause("body-form", _in_form, unwraps=True),
    BodyCause("body-multipart", _multipart, unwraps=True),
    BodyCause("body-form", _form_anew),
    BodyCause("body-form", _form_as_json, also=("body-reserialised",)),
    BodyCause("body-form", _to_form),
    BodyCause("body-base64", _to_base64),
    BodyCause("body-truncated", _cut_off, largest=MAX_BODY),
    BodyCause("body-truncated", _completed),
    BodyCause("body-reserialised", _json_in_text, unwraps=True),
    BodyCause("body-reserialised", _json_in_json, when="alone"),
    BodyCause("body-reserialised", _language_text),
    BodyCause("body-compressed", _compressed, when="alone"),
    BodyCause("body-compressed", _usually_compressed, when="in pairs"),
    BodyCause("rendered-twice", rendered_twice),
)

#: Causes with so many variants that they are tried alone only, and last.
LONG_BODY_CAUSES: Final = (
    BodyCause("body-reserialised", _reordered),
    BodyCause("body-truncated", _any_beginning),
)
