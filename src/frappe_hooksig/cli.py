"""The command `frappe-hooksig`: sign, verify, make a secret, list the providers."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TypeAlias

from frappe_hooksig.exceptions import ConfigurationError, HooksigError, VerificationError
from frappe_hooksig.providers import FRAPPE, get, names
from frappe_hooksig.receiver import SECRET_SETTING
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secret, SecretWarning, generate_secret
from frappe_hooksig.sign import Signer
from frappe_hooksig.timestamp import read_time
from frappe_hooksig.verify import MAX_BODY, Verifier

PROGRAM = "frappe-hooksig"

VERIFIED = 0
REFUSED = 1
USAGE = 2
INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it

_CHUNK = 65536  # bytes
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):(.*)", re.DOTALL)
_REQUEST_LINE = re.compile(rb"([!-~]+) [^ ]+ HTTP/\d(\.\d)?")
_SECONDS = re.compile(r"\d{1,12}(\.\d{1,9})?", re.ASCII)

_Pairs: TypeAlias = list[tuple[bytes, bytes]]


class _WrongUseError(Exception):
    """The command cannot do what it was asked to: exit status 2."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Args:
        arguments: What stands behind the command's name; by default the process's own.

    Raises:
        SystemExit: With status 2 for wrong arguments, with 0 after `--help` and `--version`.
    """
    try:
        options = _parser().parse_args(arguments)
    except SystemExit:
        _wrote("")  # of what --help has printed
        raise
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SecretWarning)
        try:
            status, output = options.run(options)
        except (_WrongUseError, HooksigError) as error:
            status, output = USAGE, ""
            _complain(f"error: {error}")
        except KeyboardInterrupt:
            status, output = INTERRUPTED, ""
    for each in caught:
        if issubclass(each.category, SecretWarning):
            _complain(f"warning: {each.message}")
    return status if _wrote(output) else USAGE


def _sign(options: argparse.Namespace) -> tuple[int, str]:
    """Return the headers to send a body with."""
    scheme = options.scheme
    with _opened(options.body) as file:
        body = _read(file)
    signer = Signer(_secrets(options), scheme=scheme)
    signed = signer.sign(
        body, id=options.id, timestamp=options.timestamp, method=options.method, url=options.url
    )
    if options.json:
        answer = {"scheme": scheme.name, "headers": signed.headers, "signature": signed.signature}
        return VERIFIED, json.dumps(answer)
    return VERIFIED, "\n".join(f"{name}: {value}" for name, value in signed.headers.items())


def _verify(options: argparse.Namespace) -> tuple[int, str]:
    """Return whether a request is genuine, and why not."""
    if options.request is not None and (options.body is not None or options.header):
        msg = "--request has headers and body already: leave out -H and the body's file"
        raise _WrongUseError(msg)
    verifier = Verifier(
        _secrets(options),
        scheme=options.scheme,
        tolerance=options.tolerance,
        max_body=options.max_body,
        clock=time.time if options.now is None else lambda: options.now,
    )
    method = options.method
    with _opened(options.body if options.request is None else options.request) as file:
        body: Iterator[bytes]
        if options.request is None:
            headers = [pair for each in options.header for pair in each]
            body = iter(partial(_read, file, _CHUNK), b"")
        else:
            sent_method, headers, content = _split_request(_read(file))
            method = method or sent_method
            body = iter([content])
        try:
            verification = verifier.begin(headers, method=method, url=options.url)
            for chunk in body:
                verification.update(chunk)
            request = verification.finish()
        except VerificationError as error:
            return REFUSED, _refused(error, as_json=options.json)
    answer = {
        "scheme": request.scheme.name,
        "secret": request.key_id,
        "id": request.id,
        "timestamp": request.timestamp,
    }
    if options.json:
        return VERIFIED, json.dumps({"verified": True} | answer)
    known = [f"{name}: {value}" for name, value in answer.items() if value is not None]
    return VERIFIED, "\n".join(["verified", *known])


def _refused(error: VerificationError, *, as_json: bool) -> str:
    if not as_json:
        return f"refused: {error.reason}\n{error}"
    answer = {"verified": False, "reason": error.reason, "header": error.header}
    return json.dumps(answer | {"message": str(error)})


def _secret(options: argparse.Namespace) -> tuple[int, str]:
    """Return a new secret."""
    secret = generate_secret(options.scheme.secret_format)
    return VERIFIED, json.dumps({"secret": secret}) if options.json else secret


def _providers(options: argparse.Namespace) -> tuple[int, str]:
    """Return what is known by name."""
    schemes = [get(name) for name in names()]
    if options.json:
        return VERIFIED, json.dumps([_described(scheme) for scheme in schemes])
    rows = [("NAME", "HEADERS", "SIGNED", "WRITTEN AS", "TOLERANCE", "SECRET")]
    rows += [
        (
            scheme.name,
            " ".join(_headers_of(scheme)),
            scheme.signed,
            f"{scheme.prefix}{scheme.encoding} ({scheme.digest})",
            f"{scheme.tolerance:g} s" if scheme.signs_timestamp else "-",
            scheme.secret_format,
        )
        for scheme in schemes
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return VERIFIED, "\n".join(lines)


def _described(scheme: Scheme) -> dict[str, Any]:
    return {
        "name": scheme.name,
        "headers": _headers_of(scheme),
        "signed": scheme.signed,
        "prefix": scheme.prefix,
        "encoding": scheme.encoding,
        "digest": scheme.digest,
        "tolerance": scheme.tolerance if scheme.signs_timestamp else None,
        "secret_format": scheme.secret_format,
    }


def _headers_of(scheme: Scheme) -> list[str]:
    names = [*scheme.signature_headers, scheme.timestamp_header, scheme.id_header]
    return [name for name in names if name]


def _secrets(options: argparse.Namespace) -> list[Secret]:
    """Return the secrets in the order in which they were named."""
    sources: list[tuple[str, str]] = options.secrets
    if not sources and options.scheme is FRAPPE:
        sources = [("variable", SECRET_SETTING)]
    if not sources:
        msg = "no secret: name an environment variable (-e) or a file (-f) that holds it"
        raise _WrongUseError(msg)
    return [Secret(_secret_from(kind, name, raw=options.raw), id=name) for kind, name in sources]


def _secret_from(kind: str, name: str, *, raw: bool) -> bytes:
    if kind == "variable":
        if name not in os.environ:
            msg = f"the environment variable {name} is not set"
            raise _WrongUseError(msg)
        return os.fsencode(os.environ[name])
    with _opened(name) as file:
        content = _read(file)
    if raw or not content.endswith(b"\n"):
        return content
    return content[:-1].removesuffix(b"\r")


def _split_request(raw: bytes) -> tuple[str, _Pairs, bytes]:
    """Return the method, headers and body of an HTTP/1.1 request, as it goes over the wire."""
    blank = re.search(rb"\r?\n\r?\n", raw)  # with an editor's line ends too
    if blank is None:
        msg = "--request: there is no blank line behind the headers"
        raise _WrongUseError(msg)
    head, body = raw[: blank.start()], raw[blank.end() :]
    first, *lines = re.split(rb"\r?\n", head)
    request_line = _REQUEST_LINE.fullmatch(first)
    if request_line is None:
        msg = "--request: the first line is not like POST /path HTTP/1.1"
        raise _WrongUseError(msg)
    try:
        headers = [_header(line) for line in lines]
    except ValueError as error:
        msg = f"--request: {error}"
        raise _WrongUseError(msg) from error
    return request_line[1].decode(), headers, _framed(headers, body)


def _framed(headers: _Pairs, body: bytes) -> bytes:
    """Return the part of what follows the headers that is the body."""
    values = {name.lower(): value for name, value in headers}
    if b"transfer-encoding" in values:
        msg = "--request: a body with Transfer-Encoding has to be decoded first; verify it by file"
        raise _WrongUseError(msg)
    stated = values.get(b"content-length")
    if stated is None:
        return body
    if not re.fullmatch(rb"\d{1,18}", stated) or int(stated) > len(body):
        msg = f"--request: Content-Length does not fit the {len(body)} bytes behind the headers"
        raise _WrongUseError(msg)
    return body[: int(stated)]  # an editor may have added a line end


def _header(line: bytes) -> tuple[bytes, bytes]:
    """Return the name and the value of a header line.

    Raises:
        ValueError: It is none.
    """
    found = _HEADER.fullmatch(line)
    if found is None:
        msg = "a header is not like Name: value"  # nor is it shown: it may be a password
        raise ValueError(msg)
    return found[1], found[2].strip(b" \t")  # RFC 9112 section 5


def _headers(text: str) -> _Pairs:
    """Return what `-H` says: a header, or all that a file has."""
    try:
        if not text.startswith("@"):
            return [_header(os.fsencode(text))]
        with _opened(text[1:]) as file:
            lines = re.split(rb"\r?\n", _read(file))
        return [_header(line) for line in lines if line]
    except (ValueError, _WrongUseError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _opened(name: str | None) -> AbstractContextManager[BinaryIO]:
    """Open a file, or standard input for None and `-`."""
    if name is None or name == "-":
        return nullcontext(sys.stdin.buffer if sys.stdin else BytesIO())
    try:
        return Path(name).open("rb")
    except (OSError, ValueError) as error:  # a NUL in the name is a ValueError
        raise _cannot_read(error) from error


def _read(file: BinaryIO, size: int = -1) -> bytes:
    try:
        return file.read(size)
    except OSError as error:
        raise _cannot_read(error) from error


def _cannot_read(error: OSError | ValueError) -> _WrongUseError:
    return _WrongUseError(f"cannot read {error}")


def _complain(text: str) -> None:
    """Say what is not the output. A standard error that nobody reads is no reason to fail."""
    if sys.stderr is None:
        return
    with suppress(OSError):
        print(f"{PROGRAM}: {text}", file=sys.stderr, flush=True)  # noqa: T201


def _wrote(output: str) -> bool:
    """Write the output, and tell whether it got through."""
    if sys.stdout is None:
        _complain("error: cannot write the output: standard output is closed")
        return False
    try:
        if output:
            encoding = sys.stdout.encoding or "utf-8"  # a file's name may hold anything
            print(output.encode(encoding, "backslashreplace").decode(encoding))  # noqa: T201
        sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            _complain(f"error: cannot write the output: {error.strerror}")
        # Python flushes once more when it ends, and would complain itself.
        sys.stdout = None
        return False
    return True


class _RefuseSecret(argparse.Action):
    """Refuses a secret in the arguments, without repeating it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> NoReturn:
        parser.error(
            "a secret among the arguments can be read by every user of this machine: put it into "
            "an environment variable (-e) or a file (-f)"
        )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        description="Sign and verify webhooks: Frappe's and ERPNext's, GitHub's, Stripe's, Slack's "
        "and others'.",
        epilog="Exit status: 0 done or verified, 1 refused, 2 wrong use.",
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {version(PROGRAM)}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    verify = commands.add_parser(
        "verify",
        help="tell whether a request is genuine, and why not",
        description="Tell whether a request is genuine, and why not.",
        epilog=_VERIFY_EXAMPLES,
    )
    verify.set_defaults(run=_verify)
    verify.add_argument("body", metavar="BODY", nargs="?", help=_BODY_HELP)
    verify.add_argument(
        "-H",
        "--header",
        metavar="'NAME: VALUE'",
        action="append",
        default=[],
        type=_headers,
        help="one of the request's headers; @FILE for all that a file has, one on each line",
    )
    verify.add_argument(
        "--request",
        metavar="FILE",
        help="a whole HTTP/1.1 request as it came: request line, headers, blank line, body; "
        "- for standard input",
    )
    _add_scheme(verify)
    _add_secrets(verify)
    verify.add_argument(
        "--now",
        metavar="TIME",
        type=_moment,
        help="judge the request's time as if it were now: Unix seconds, or like "
        "2026-11-22T08:00:00Z",
    )
    verify.add_argument(
        "--tolerance",
        metavar="SECONDS",
        type=float,
        help="how far the request's time may be from now, either way (default: the scheme's)",
    )
    verify.add_argument(
        "--max-body",
        metavar="BYTES",
        type=int,
        default=MAX_BODY,
        help="the largest accepted body (default: %(default)s)",
    )
    _add_request_parts(verify)
    _add_json(verify)

    sign = commands.add_parser(
        "sign",
        help="print the headers to send a body with",
        description="Print the headers to send a body with. The bytes are signed as they are, and\n"
        "have to be sent as they are.",
        epilog=_SIGN_EXAMPLES,
    )
    sign.set_defaults(run=_sign)
    sign.add_argument("body", metavar="BODY", nargs="?", help=_BODY_HELP)
    _add_scheme(sign)
    _add_secrets(sign)
    sign.add_argument(
        "--id", help="the delivery's id, if the scheme signs one (default: a new one)"
    )
    sign.add_argument(
        "--timestamp",
        metavar="TIME",
        type=_moment,
        help="when it is signed, if the scheme signs that: Unix seconds, or like "
        "2026-11-22T08:00:00Z (default: now)",
    )
    _add_request_parts(sign)
    _add_json(sign)

    secret = commands.add_parser(
        "secret",
        help="make a new secret",
        description="Make a new secret of 32 random bytes, written as the scheme has it.",
    )
    secret.set_defaults(run=_secret)
    _add_scheme(secret)
    _add_json(secret)

    table = commands.add_parser(
        "providers",
        help="list the schemes that are known by name",
        description="List the schemes that are known by name.",
    )
    table.set_defaults(run=_providers)
    _add_json(table)
    return parser


_BODY_HELP = "file with the raw body; - or nothing for standard input"

_SIGN_EXAMPLES = """\
examples:
  frappe-hooksig sign -f secret.txt body.json > headers.txt
  curl -H @headers.txt --data-binary @body.json https://example.com/webhook
"""

_VERIFY_EXAMPLES = """\
exit status: 0 verified, 1 refused, 2 wrong use

examples:
  frappe-hooksig verify -e SECRET -H "X-Frappe-Webhook-Signature: kI9..." body.json
  frappe-hooksig verify -e NEW_SECRET -e OLD_SECRET --request request.http
  frappe-hooksig verify -f secret.txt --scheme stripe -H @headers.txt --now 1700000000 < body.json
"""


class _Parser(argparse.ArgumentParser):
    """Takes options by their full names only, and leaves the examples' lines as they are."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options
        )


def _add_scheme(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scheme",
        metavar="NAME",
        type=_scheme,
        default=FRAPPE,
        help=f"how the sender signs: see {PROGRAM} providers (default: frappe)",
    )


def _add_secrets(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "secrets",
        "Several may be named, the newest first. Without any, Frappe's is the environment\n"
        f"variable {SECRET_SETTING}.",
    )
    group.add_argument("--secret", nargs="?", action=_RefuseSecret, help=argparse.SUPPRESS)
    group.add_argument(
        "-e",
        "--secret-env",
        metavar="VARIABLE",
        dest="secrets",
        action="append",
        default=[],
        type=lambda name: ("variable", name),
        help="environment variable that holds the secret",
    )
    group.add_argument(
        "-f",
        "--secret-file",
        metavar="FILE",
        dest="secrets",
        action="append",
        type=lambda name: ("file", name),
        help="file with nothing but the secret; one line end behind it is not part of it",
    )
    group.add_argument(
        "--raw", action="store_true", help="a line end in a secret's file is part of the secret"
    )


def _add_request_parts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--method", help="the HTTP method, if the scheme signs it")
    parser.add_argument(
        "--url", help="the URL as registered with the sender, if the scheme signs it"
    )


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def _scheme(name: str) -> Scheme:
    try:
        return get(name)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _moment(text: str) -> float:
    """Return a time in Unix seconds."""
    moment = float(text) if _SECONDS.fullmatch(text) else read_time(text, "rfc3339")
    if moment is None:
        msg = "not Unix seconds, nor like 2026-11-22T08:00:00Z"
        raise argparse.ArgumentTypeError(msg)
    return moment
