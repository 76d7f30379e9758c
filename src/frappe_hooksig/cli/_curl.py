"""Read a curl command, as browsers and API tools copy it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from frappe_hooksig.cli._captured_request import Pairs, read_headers
from frappe_hooksig.cli._outcome import WrongUse

# What a command consists of: parts of words, and what stands between words. A part that may have
# escapes is matched up to its opening quote.
_PART = re.compile(
    r"""\\(?P<joined>\r?\n)"""
    r"""|'(?P<single>[^']*)'"""
    r"""|\$(?P<ansi>')"""
    r"""|(?P<double>")"""
    r"""|\\(?P<escaped>.)"""
    r"""|(?P<plain>(?:[^\s'"\\|&;<>$]+|\$(?!'))+)"""
    r"""|(?P<space>\s+)"""
    r"""|(?P<operator>[|&;<>])""",
    re.DOTALL,
)
_ENDS = {"ansi": re.compile(r"\\.|'", re.DOTALL), "double": re.compile(r'\\.|"', re.DOTALL)}
# An escape in $'...' (Bash), and what the short ones mean.
_ANSI = re.compile(
    r"\\(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{1,4}|U[0-9a-fA-F]{1,8}|[0-7]{1,3}|.)", re.DOTALL
)
_SHORT = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "v": "\v"}
_OCTAL = "01234567"

_DATA = {"-d", "--data", "--data-raw", "--data-ascii", "--data-binary", "--json"}
_METHOD = {"-X", "--request"}
_HEADER = {"-H", "--header"}
# Options with a value that changes neither the method, the headers nor the body.
_OTHERS = {
    *("-A", "-b", "-e", "-m", "-o", "-u", "-w", "-x", "--cacert", "--cert", "--connect-timeout"),
    *("--cookie", "--key", "--max-time", "--output", "--proxy", "--referer", "--resolve"),
    *("--retry", "--user", "--user-agent", "--write-out"),
}
# Short options may be joined, and the last of them with its value: -sXPOST.
_JOINED = re.compile(r"-[sSkLivfgN#]*([XHdAbemouwx])(.*)", re.DOTALL)
_FLAGS = re.compile(r"-[sSkLivfgN#]+|--(compressed|silent|insecure|location|include|verbose|fail)"
                    r"|--(show-error|globoff|no-buffer|http[0-9.]+)")  # fmt: skip


class Curl(NamedTuple):
    """The request that a curl command sends.

    Attributes:
        method: The HTTP method.
        url: The URL, or None.
        headers: The headers.
        body: The body.
    """

    method: str
    url: str | None
    headers: Pairs
    body: bytes


def split_curl(raw: bytes) -> Curl:
    """Split a curl command into its request.

    Raises:
        WrongUse: It is no curl command, or has options that are not supported, or two URLs.
    """
    words = _words(raw.decode("utf-8", "surrogateescape"))
    if next(words, "") != "curl":
        msg = "--curl: the command must begin with curl"
        raise WrongUse(msg)
    method, url, is_json = None, None, False
    headers: Pairs = []
    data: list[str] = []
    for word in words:
        joined = _JOINED.fullmatch(word)
        option, value = (f"-{joined[1]}", joined[2]) if joined else (word, "")
        if option in _DATA | _METHOD | _HEADER | _OTHERS | {"--url"} and not value:
            value = _value(words)
        if option in _DATA:
            data.append(_inline(value, is_raw=option == "--data-raw"))
            is_json = is_json or option == "--json"
        elif option in _METHOD:
            method = value
        elif option in _HEADER:
            headers += read_headers(re.sub(r"\A([^:]*);\Z", r"\1:", _inline(value, is_raw=False)))
        elif option == "--url" or not word.startswith("-"):
            if url is not None:
                msg = "--curl: it has two URLs: keep the one of this request"
                raise WrongUse(msg)
            url = value or word
        elif option not in _OTHERS and not _FLAGS.fullmatch(word):
            msg = "--curl: an option is not supported: keep the URL, -X, -H and -d"
            raise WrongUse(msg)
    body = ("" if is_json else "&").join(data).encode("utf-8", "surrogateescape")
    return Curl(method or ("POST" if data else "GET"), url, headers, body)


def _value(words: Iterator[str]) -> str:
    """Return the value of an option, which is the next word."""
    value = next(words, None)
    if value is None:
        msg = "--curl: the last option has no value"
        raise WrongUse(msg)
    return value


def _inline(value: str, *, is_raw: bool) -> str:
    """Return the value of an option that is not the name of a file."""
    if value.startswith("@") and not is_raw:
        msg = "--curl: it reads a file (@): pass the request with BODY and -H instead"
        raise WrongUse(msg)
    return value


def _words(text: str) -> Iterator[str]:
    """Yield the words of a shell command.

    Raises:
        WrongUse: A quote is not closed, or something follows the command.
    """
    word: list[str] = []
    place = 0
    while place < len(text):
        part = _PART.match(text, place)
        if part is None:
            raise _not_closed()
        kind, place = part.lastgroup or "", part.end()
        if kind == "operator":
            msg = "--curl: |, &, ;, < and > end the command: quote them, or leave out what follows"
            raise WrongUse(msg)
        if kind == "space":
            if word:
                yield "".join(word)
            word = []
        elif kind in _ENDS:
            start, place = place, _end(text, place, _ENDS[kind])
            word.append(_meaning(kind, text[start : place - 1]))
        elif kind != "joined":  # two lines
            word.append(part[kind])
    if word:
        yield "".join(word)


def _end(text: str, start: int, marks: re.Pattern[str]) -> int:
    """Return where a quoted part ends, behind its closing quote."""
    for found in marks.finditer(text, start):
        if not found[0].startswith("\\"):
            return found.end()
    raise _not_closed()


def _not_closed() -> WrongUse:
    return WrongUse("--curl: a quote is not closed")


def _meaning(kind: str, text: str) -> str:
    """Return what the inside of quotes means to Bash."""
    if kind == "double":
        return re.sub(r'\\(?:([\\"$`])|\r?\n)', r"\1", text)
    return _ANSI.sub(_ansi, text)


def _ansi(found: re.Match[str]) -> str:
    """Return a character, or a byte as `surrogateescape` writes it."""
    code = found[1]
    if code[0] in _OCTAL:
        return _byte(int(code, 8) & 0xFF)
    if code[0] == "x" and code[1:]:
        return _byte(int(code[1:], 16))
    if code[0] in "uU" and code[1:]:
        try:
            return chr(int(code[1:], 16)).encode().decode()  # surrogates are no characters
        except (ValueError, OverflowError):
            msg = "--curl: \\u or \\U has the number of no character"
            raise WrongUse(msg) from None
    return _SHORT.get(code, code)


def _byte(number: int) -> str:
    return bytes([number]).decode("ascii", "surrogateescape")
