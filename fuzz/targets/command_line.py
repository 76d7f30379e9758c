"""The command line, in this process: its exit statuses, its output, and no traceback."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from argparse import ArgumentParser
from base64 import b64encode
from collections.abc import Iterator, Sequence
from functools import cache
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from frappe_hooksig import Scheme, cli, providers
from frappe_hooksig.cli._commands import COMMANDS, make_parser
from fuzz import hostile
from fuzz.dice import Dice
from fuzz.edits import EDITS
from fuzz.oracle import Reading, read_seconds, readings
from fuzz.requests import NOW, URL, Request, requests
from fuzz.target import ACCEPTED, Escape, Target

_FOLDER = "FOLDER/"  # stands for a folder that has the case's files

_MADE_UP = Dice("command line")
_KEYS = tuple(hostile.word(_MADE_UP, 32, 32).encode() for _ in range(2))
_BASE64 = tuple(b64encode(key).decode() for key in _KEYS)
_WHSEC = tuple(f"whsec_{text}" for text in _BASE64)
_HEX = tuple(key.hex() for key in _KEYS)
_ENVIRONMENT = {
    "FUZZ_NEW": _KEYS[0].decode(),
    "FUZZ_OLD": _KEYS[1].decode(),
    "FUZZ_WHSEC_NEW": _WHSEC[0],
    "FUZZ_WHSEC_OLD": _WHSEC[1],
    "FUZZ_HEX_NEW": _HEX[0],
    "FUZZ_HEX_OLD": _HEX[1],
    "FUZZ_BASE64_NEW": _BASE64[0],
    "FUZZ_BASE64_OLD": _BASE64[1],
    "FUZZ_EMPTY": "",
    "FRAPPE_WEBHOOK_SECRET": _KEYS[0].decode(),
}
_HIDDEN = (*map(bytes.decode, _KEYS), *_WHSEC, *_HEX, *_BASE64)
_RECEIVERS = ((("FUZZ_NEW", _KEYS[0]),), (("FUZZ_NEW", _KEYS[0]), ("FUZZ_OLD", _KEYS[1])))
_SCHEMES = tuple(map(providers.get, providers.names()))

_SIZE = re.compile(r"[0-9]{1,18}")
_BLANK = (b"\n\n", b"\n\r\n")

_COMMANDS = ("verify", "sign", "secret", "providers", "", "verify ", "VERIFY", "-h", "--version")
_WORDS = (
    *(
        "-H",
        "--header",
        "--request",
        "--scheme",
        "-e",
        "--secret-env",
        "-f",
        "--secret-file",
        "--raw",
    ),
    *("--now", "--tolerance", "--max-body", "--method", "--url", "--json", "--id", "--timestamp"),
    *("--secret", "--help", "-h", "--version", "--", "-", "--json=1", "-eFUZZ_NEW", "--sch", "-x"),
    *(
        "frappe",
        "stripe",
        "no-such",
        "FUZZ_NEW",
        "FUZZ_EMPTY",
        "NOT_SET",
        "A: b",
        "@FOLDER/headers",
    ),
    *("@", "@FOLDER/none", "FOLDER/body", "FOLDER/none", "FOLDER", "0", "-1", "1e9", "nan", "inf"),
    *(
        "1700000000",
        "2023-11-14T22:13:20Z",
        "9" * 400,
        "",
        " ",
        "é",
        "\udcff",
        "{0}",
        "%s",
        "%(prog)s",
    ),
)


class Call(NamedTuple):
    """One call of the command.

    Attributes:
        arguments: What stands behind its name.
        stdin: What it can read; None if standard input is closed.
        files: What stands in its folder.
        encoding: How its output is encoded; none if standard output is closed.
        scheme: The scheme of the request, by its place among the providers.
        sent: The request.
        untouched: Whether the arguments are as they should be.
        genuine: Whether the request must be accepted.
    """

    arguments: tuple[str, ...]
    stdin: bytes | None
    files: dict[str, bytes]
    encoding: str
    scheme: int
    sent: Request
    untouched: bool
    genuine: bool


class CommandLine(Target):
    """`frappe_hooksig.cli.main()`."""

    name = "command-line"

    def cases(self, dice: Dice) -> Iterator[Call]:
        """Yield calls that verify a request, calls that nearly do, and others."""
        while True:
            number = dice.below(len(_SCHEMES))
            scheme = _SCHEMES[number]
            made = requests(dice, scheme, _RECEIVERS)
            for _ in range(8):
                request = next(made)
                names = [name for name, _ in _RECEIVERS[request.receiver]]
                yield _call(dice, number, request, names)

    def judge(self, case: Call) -> str:
        """Call it, and see what it says of which request."""
        status, output, errors = _called(case)
        if isinstance(status, SystemExit):  # wrong arguments, or help
            status, verifies = status.code, False
        else:
            verifies = case.arguments[:1] == ("verify",)
        if status not in {0, 1, 2}:
            msg = f"exit status {status!r}: {errors!r}"
            raise Escape(msg)
        # Where the secret itself is sent, that is what `sign` is for.
        is_signing = case.arguments[:1] == ("sign",)
        shown = errors if is_signing else output + errors
        if any(secret in shown for secret in _HIDDEN):
            msg = f"it shows a secret: {output!r} {errors!r}"
            raise Escape(msg)
        if "Traceback" in errors:
            msg = f"it shows a traceback: {errors!r}"
            raise Escape(msg)
        if case.untouched and verifies and case.encoding:
            _says_what_it_means(case, status, output)
        if status == 0 and verifies:
            _signed(case)
            return ACCEPTED
        if status == 0 and case.untouched and case.arguments[0] == "sign":
            _signs(case, output)
            return "signed"
        return f"status {status}"


class _Making:
    """A call that is being made."""

    def __init__(self, scheme: Scheme, sent: Request) -> None:
        self.arguments: list[str] = []
        self.files: dict[str, bytes] = {}
        self.stdin: bytes | None = sent.body
        self.scheme = scheme
        self.sent = sent
        self.untouched = True
        self.genuine = False


def _call(dice: Dice, number: int, sent: Request, names: list[str]) -> Call:
    """Return the call that verifies a request, or signs its body, or something else."""
    making = _Making(_SCHEMES[number], sent)
    kind = dice.random()
    if kind < 0.9:
        _verify(dice, making, names)
    elif kind < 0.95:
        _sign(dice, making)
    else:
        making.arguments = [dice.pick(_COMMANDS)]
        making.arguments += [dice.pick(_WORDS) for _ in range(dice.below(6))]
        making.untouched = False
    if dice.chance(0.4):
        making.arguments.append("--json")
    if dice.chance(0.2):
        making.untouched = False
        _disturb(dice, making.arguments)
    if dice.chance(0.02):
        making.stdin, making.untouched = None, False
    encoding = dice.pick(("utf-8", "utf-8", "utf-8", "ascii", "latin-1", "utf-16", "cp1252", ""))
    return Call(
        tuple(making.arguments),
        making.stdin,
        making.files,
        encoding,
        number,
        sent,
        making.untouched,
        making.genuine and making.untouched and bool(encoding),
    )


def _verify(dice: Dice, making: _Making, names: list[str]) -> None:
    sent = making.sent
    making.arguments += ["verify", "--scheme", making.scheme.name]
    for name in names:
        _name_secret(dice, making, name)
    if "{url}" in making.scheme.signed:
        making.arguments.append(f"--url={_passed(sent.url)}")
    if "{method}" in making.scheme.signed:
        making.arguments.append(f"--method={_passed(sent.method)}")
    making.arguments += ["--now", dice.pick((str(NOW), f"{NOW}.0", "2023-11-14T22:13:20Z"))]
    pairs = [
        (_raw(name), _raw(value)) for name, value in sent.pairs if isinstance(value, str | bytes)
    ]
    # Others may not get through as they are: headers end at a line end, and lose outer spaces.
    making.genuine = sent.genuine and all(
        isinstance(value, str)
        and (f"A{name}{value}Z".isascii() and f"{name}{value}".isprintable())
        and name.replace("-", "").isalnum()
        for name, value in sent.pairs
    )
    if dice.chance(0.7):
        making.stdin, right = _raw_request(dice, sent, pairs)
        making.genuine = making.genuine and right
        _lay(dice, making, "--request")
        return
    texts = [f"{os.fsdecode(name)}: {os.fsdecode(value)}" for name, value in pairs]
    texts = [text for text in texts if "\0" not in text]
    making.genuine = making.genuine and not any(text.startswith(("-", "@")) for text in texts)
    if dice.chance(0.3):
        making.files["headers"] = b"\r\n".join(map(os.fsencode, texts))
        making.arguments += ["-H", "@FOLDER/headers"]
    else:
        for text in texts:
            making.arguments += ["-H", text] if dice.chance(0.5) else [f"--header={text}"]
    _lay(dice, making)


def _lay(dice: Dice, making: _Making, *option: str) -> None:
    """Put what stands at standard input into a file, or leave it there."""
    if dice.chance(0.3):
        making.files["body"], making.stdin = making.stdin or b"", b""
        making.arguments += [*option, "FOLDER/body"]
    else:
        making.arguments += [*option, "-"]


def _sign(dice: Dice, making: _Making) -> None:
    making.arguments += ["sign", "--scheme", making.scheme.name]
    _name_secret(dice, making, "FUZZ_NEW")
    if making.scheme.signs_timestamp:
        making.arguments += ["--timestamp", str(NOW)]
    if "{url}" in making.scheme.signed:
        making.arguments += ["--url", URL]


def _passed(text: str) -> str:
    """Return a text as a system can hand it over in an argument."""
    return os.fsdecode(text.replace("\0", "").encode("utf-8", "surrogatepass"))


def _name_secret(dice: Dice, making: _Making, name: str) -> None:
    first, *_ = making.scheme.secret_formats
    if first != "text":
        name = name.replace("FUZZ", f"FUZZ_{first.upper()}")
    if dice.chance(0.7):
        making.arguments += ["-e", name]
    else:
        making.files[name] = _ENVIRONMENT[name].encode() + dice.pick((b"", b"\n", b"\r\n"))
        making.arguments += ["-f", f"FOLDER/{name}"]


def _raw(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")


def _raw_request(dice: Dice, sent: Request, pairs: list[tuple[bytes, bytes]]) -> tuple[bytes, bool]:
    """Return a request as it goes over the wire, and whether it is as it should be."""
    method = _raw(sent.method)
    right = method.isalpha() and method.isascii()
    end = dice.pick((b"\r\n", b"\r\n", b"\n"))
    lines = [method + b" /hook HTTP/1.1", *(name + b": " + value for name, value in pairs)]
    if dice.chance(0.5):
        lines.append(b"Content-Length: %d" % len(sent.body))
    body = sent.body
    if dice.chance(0.15):
        right = False
        change = dice.below(7)
        if change == 0:
            lines.insert(1, b"Content-Length: " + _raw(hostile.text(dice)))
        elif change == 1:
            lines.insert(1, b"Transfer-Encoding: chunked")
        elif change == 2:
            lines[0] = _raw(hostile.text(dice))
        elif change == 3:
            lines.insert(1 + dice.below(len(lines)), _raw(hostile.text(dice)))
        elif change == 4:
            lines.insert(1, b"Content-Length: %d" % dice.below(2 * len(body) + 1))
        elif change == 5:
            lines[-1] += end + b" folded"
        else:
            raw = bytearray(end.join([*lines, b"", body]))
            for _ in range(1 + dice.below(3)):
                raw[dice.below(len(raw))] = dice.below(256)
            return bytes(raw[: dice.below(len(raw) + 40)]), False
    return end.join([*lines, b"", body]), right


def _disturb(dice: Dice, arguments: list[str]) -> None:
    for _ in range(1 + dice.below(3)):
        at = dice.below(len(arguments) + 1)
        kind = dice.below(5)
        if kind == 0:
            arguments.insert(at, dice.pick(_WORDS))
        elif kind == 1:
            del arguments[at : at + 1]
        elif kind == 2:
            arguments += arguments[at : at + 2]
        elif kind == 3 and at < len(arguments) and _FOLDER not in arguments[at]:
            changed = dice.pick(EDITS)(dice, arguments[at])
            arguments[at] = str(changed) if changed else ""
        elif at < len(arguments):
            other = dice.below(len(arguments))
            arguments[at], arguments[other] = arguments[other], arguments[at]
    # What a system can hand over: no NUL, and of surrogates those that stand for a byte.
    arguments[:] = [
        os.fsdecode(each.replace("\0", "").encode("utf-8", "surrogatepass")) for each in arguments
    ]


class _Output(TextIOWrapper):
    """Standard output or standard error, kept."""

    def __init__(self, encoding: str, errors: str) -> None:
        self.kept = BytesIO()
        super().__init__(self.kept, encoding, errors)

    def text(self) -> str:
        """Return what was written."""
        self.flush()
        return self.kept.getvalue().decode(self.encoding, "replace")


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fuzz")


@cache
def _parser() -> ArgumentParser:
    """Return the parser of all commands, made once: it takes ten times as long as a call."""
    return make_parser(tuple(COMMANDS))


def _made_before(_: Sequence[str]) -> ArgumentParser:
    return _parser()


def _called(case: Call) -> tuple[object, str, str]:
    """Call the command; return its exit status, or the SystemExit, and what it wrote."""
    folder = Path(_folder().name)
    for name, content in case.files.items():
        (folder / name).write_bytes(content)
    arguments = [each.replace("FOLDER", str(folder)) for each in case.arguments]
    output = _Output(case.encoding or "utf-8", "strict")
    errors = _Output("utf-8", "backslashreplace")
    system: Any = sys
    before = sys.stdin, sys.stdout, sys.stderr, {**os.environ}
    os.environ.update(_ENVIRONMENT)
    try:
        system.stdin = None if case.stdin is None else TextIOWrapper(BytesIO(case.stdin))
        system.stdout = output if case.encoding else None
        system.stderr = errors
        try:
            with patch("frappe_hooksig.cli._commands.make_parser", _made_before):
                status: object = cli.main(arguments)
        except SystemExit as ended:
            status = ended
    finally:
        sys.stdin, sys.stdout, sys.stderr = before[:3]
        for name in _ENVIRONMENT.keys() - before[3].keys():
            del os.environ[name]
        for name in case.files:
            (folder / name).unlink()
    return status, output.text(), errors.text()


def _says_what_it_means(case: Call, status: object, output: str) -> None:
    """See that the status is right for a genuine request, and the output fits the status."""
    if case.genuine and status != 0:
        msg = f"genuine, but exit status {status}: {output!r}"
        raise Escape(msg)
    if status == 2:
        return
    if "--json" in case.arguments:
        verified = json.loads(output)["verified"]
    else:
        verified = output.startswith("verified\n")
        if not verified and not output.startswith("refused: "):
            msg = f"it neither verifies nor refuses: {output!r}"
            raise Escape(msg)
    if verified is not (status == 0):
        msg = f"exit status {status}, but it says {output!r}"
        raise Escape(msg)


def _signed(case: Call) -> None:
    """See that what was verified was signed, and in time."""
    # Where arguments were exchanged, another scheme may be meant, or another time.
    schemes = [_SCHEMES[case.scheme]] if case.untouched else _SCHEMES
    keys = [(str(number), key) for number, key in enumerate(_KEYS)]
    for pairs, body in _presented(case):
        for scheme in schemes:
            for way in _ways(scheme, keys, pairs, body, case):
                late = way.seconds is not None and abs(NOW - way.seconds) > scheme.tolerance
                if way.message in case.sent.signed and not (late and case.untouched):
                    return
    msg = "verified, but no secret gives such a signature"
    raise Escape(msg)


def _ways(
    scheme: Scheme,
    keys: Sequence[tuple[str | None, bytes]],
    pairs: list[tuple[str, object]],
    body: bytes,
    case: Call,
) -> Iterator[Reading]:
    """Yield every way to read a request, with the method and URL that may have been passed."""
    places = {(case.sent.method, case.sent.url)}
    if not case.untouched:
        places |= {(each.method or "", each.url or "") for each in case.sent.signed}
    for method, url in places:
        yield from readings(scheme, keys, pairs, body, method, url)


def _presented(case: Call) -> Iterator[tuple[list[tuple[str, object]], bytes]]:
    """Yield headers and body of what is verified."""
    for raw in (case.stdin or b"", *case.files.values()):
        head, found, _ = raw.replace(b"\r\n", b"\n").partition(b"\n\n")
        if found:
            ends = [raw.find(blank) + len(blank) for blank in _BLANK if blank in raw]
            body = raw[min(ends) :]  # in which line ends are as they came
            pairs = [_pair(line) for line in head.split(b"\n")[1:]]
            sizes = [str(value) for name, value in pairs if name.lower() == "content-length"]
            if not sizes:
                yield pairs, body
            elif len(sizes) == 1 and _SIZE.fullmatch(sizes[0]):  # RFC 9112 section 6.3
                yield pairs, body[: int(sizes[0])]
    texts = [os.fsencode(each.removeprefix("--header=")) for each in case.arguments]
    texts += [line for raw in case.files.values() for line in raw.split(b"\n")]
    for body in (case.stdin or b"", *case.files.values()):
        yield [_pair(text) for text in texts], body


def _pair(line: bytes) -> tuple[str, object]:
    name, _, value = line.decode("latin-1").partition(":")
    return name, value.strip(" \t\r")


def _signs(case: Call, output: str) -> None:
    """See that what `sign` prints is what a key gives."""
    if not case.encoding:
        return
    scheme = _SCHEMES[case.scheme]
    if "--json" in case.arguments:
        pairs: list[tuple[str, object]] = [*json.loads(output)["headers"].items()]
    else:
        pairs = [_pair(line.encode("latin-1")) for line in output.splitlines()]
    body = case.stdin or b""
    for way in readings(scheme, [(None, _KEYS[0])], pairs, body, "POST", URL):
        if way.seconds in {None, NOW, read_seconds(str(NOW), "unix")}:
            return
    msg = f"it signs with another key: {output!r}"
    raise Escape(msg)
