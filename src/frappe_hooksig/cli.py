"""The command `frappe-hooksig`: sign, verify, make a secret, list the providers."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TypeAlias

from frappe_hooksig._frappe import FRAPPE, SECRET_SETTING
from frappe_hooksig._raw_body import MAX_BODY
from frappe_hooksig._registered_urls import registered
from frappe_hooksig._timestamp import read_time
from frappe_hooksig.exceptions import ConfigurationError, HooksigError, VerificationError
from frappe_hooksig.providers import get, names
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secret, SecretWarning, generate_secret
from frappe_hooksig.sign import Signer
from frappe_hooksig.verify import Verifier

__all__ = ["main"]

PROGRAM = "frappe-hooksig"

DONE = 0  # verified, if that was asked
REFUSED = 1
USAGE = 2
INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it

_CHUNK = 65536  # bytes
_SHOWN = 4  # headers of one scheme
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r\n\0]*)")
_REQUEST_LINE = re.compile(rb"[!-~]+ [!-~]+ HTTP/\d(\.\d)?")
_SECONDS = re.compile(r"\d{1,12}(\.\d{1,9})?", re.ASCII)

_Pairs: TypeAlias = list[tuple[bytes, bytes]]


class _WrongUse(Exception):
    """The command cannot do what it was asked to: exit status 2."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Args:
        arguments: What stands behind the command's name; by default the process's own.

    Raises:
        SystemExit: With status 2 for wrong arguments, with 0 after `--help` and `--version`.
    """
    status, output = USAGE, ""
    # That an old secret was used is a part of the answer.
    logging.getLogger(__package__).addHandler(logging.NullHandler())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SecretWarning)
        try:
            options = _parser().parse_args(arguments)
            status, output = options.run(options)
        except (_WrongUse, HooksigError) as error:
            _complain(f"error: {error}")
        except KeyboardInterrupt:
            status = INTERRUPTED
        except Exception:  # noqa: BLE001  # a mistake of ours must not look like a refusal
            with suppress(OSError):
                traceback.print_exc()
    for message in [each.message for each in caught if isinstance(each.message, SecretWarning)]:
        _complain(f"warning: {message}")
    return status if _wrote(output) else USAGE


def _sign(options: argparse.Namespace) -> tuple[int, str]:
    """Return the headers to send a body with."""
    scheme = options.scheme
    _check_url(options)
    _check_standard_input(options, options.body)
    with _opened(options.body) as file:
        body = _read(file)
    signer = Signer(_secrets(options), scheme=scheme)
    signed = signer.sign(
        body,
        id=options.id,
        timestamp=options.timestamp,
        method=options.method or "POST",
        url=options.url,
    )
    if options.json:
        answer = {"scheme": scheme.name, "headers": signed.headers, "signature": signed.signature}
        return DONE, json.dumps(answer)
    return DONE, "\n".join(f"{name}: {value}" for name, value in signed.headers.items())


def _check_url(options: argparse.Namespace) -> None:
    """Refuse a URL that is not signed, or is none, and a missing one.

    Raises:
        ConfigurationError: There is such a one.
    """
    registered(options.scheme, options.url)
    if options.url is None and "{url}" in options.scheme.signed:
        msg = f"scheme {options.scheme.name!r} signs the URL: say which with --url"
        raise _WrongUse(msg)


def _verify(options: argparse.Namespace) -> tuple[int, str]:
    """Return whether a request is genuine, and why not."""
    if options.request is not None and (options.body is not None or options.header):
        msg = "--request has headers and body already: leave out -H and the body's file"
        raise _WrongUse(msg)
    _check_url(options)
    verifier = Verifier(
        _secrets(options),
        scheme=options.scheme,
        tolerance=options.tolerance,
        max_body=options.max_body,
        clock=time.time if options.now is None else lambda: options.now,
    )
    source = options.body if options.request is None else options.request
    _check_standard_input(options, source, *(text.removeprefix("@") for text in options.header))
    body: Iterator[bytes]
    method = options.method or "POST"
    with _opened(source) as file:
        if options.request is None:
            headers = [pair for text in options.header for pair in _headers(text)]
            body = iter(partial(_read, file, _CHUNK), b"")
        else:
            sent_with, headers, content = _split_request(_read(file))
            method = options.method or sent_with
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
        "secret": request.secret_id,
        "id": request.id,
        "timestamp": request.timestamp,
    }
    if options.json:
        return DONE, json.dumps({"verified": True} | answer)
    known = [f"{name}: {value}" for name, value in answer.items() if value is not None]
    return DONE, "\n".join(["verified", *known])


def _refused(error: VerificationError, *, as_json: bool) -> str:
    if not as_json:
        return f"refused: {error.reason}\n{error}"
    answer = {"verified": False, "reason": error.reason, "header": error.header}
    return json.dumps(answer | {"message": str(error)})


def _secret(options: argparse.Namespace) -> tuple[int, str]:
    """Return a new secret."""
    secret = generate_secret(options.scheme.secret_format)
    return DONE, json.dumps({"secret": secret}) if options.json else secret


def _providers(options: argparse.Namespace) -> tuple[int, str]:
    """Return what is known by name."""
    schemes = [get(name) for name in names()]
    if options.json:
        return DONE, json.dumps([_described(scheme) for scheme in schemes])
    rows = [("NAME", "SIGNED", "WRITTEN AS", "TOLERANCE", "SECRET", "HEADERS")]
    rows += [
        (
            scheme.name,
            scheme.signed or "-",
            scheme.encoding
            if scheme.encoding == "plain"
            else f"{scheme.prefix}{scheme.encoding} ({scheme.digest})",
            f"{scheme.tolerance:g} s" if scheme.signs_timestamp else "-",
            scheme.secret_format,
            " ".join(_shortened(scheme.header_names)),
        )
        for scheme in schemes
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return DONE, "\n".join(lines)


def _shortened(names: list[str]) -> list[str]:
    """Return the names of headers, but of more than four the first and the last."""
    return names if len(names) <= _SHOWN else [names[0], "...", names[-1]]


def _described(scheme: Scheme) -> dict[str, Any]:
    return {
        "name": scheme.name,
        "title": scheme.title,
        "definition": scheme.definition,
        "headers": scheme.header_names,
        "signed": scheme.signed,
        "prefix": scheme.prefix,
        "encoding": scheme.encoding,
        "digest": scheme.digest,
        "tolerance": scheme.tolerance if scheme.signs_timestamp else None,
        "secret_format": scheme.secret_format,
    }


def _secrets(options: argparse.Namespace) -> list[Secret]:
    """Return the secrets in the order in which they were named."""
    sources: list[tuple[str, str]] = options.secrets
    if not sources and options.scheme is FRAPPE:
        sources = [("variable", SECRET_SETTING)]
    if not sources:
        msg = "no secret: name an environment variable (-e) or a file (-f) that holds it"
        raise _WrongUse(msg)
    names = [name for _, name in sources]
    for name in names:
        if names.count(name) > 1:
            msg = f"{name} is named twice"
            raise _WrongUse(msg)
    return [Secret(_secret_from(kind, name, raw=options.raw), id=name) for kind, name in sources]


def _secret_from(kind: str, name: str, *, raw: bool) -> bytes:
    if kind == "variable":
        if name not in os.environ:
            # What is not like a variable's name may be the secret itself.
            shown = name if re.fullmatch("[A-Z_][A-Z0-9_]*", name) else "named by -e"
            msg = f"the environment variable {shown} is not set"
            raise _WrongUse(msg)
        return os.fsencode(os.environ[name])
    with _opened(name) as file:
        content = _read(file)
    if raw or not content.endswith(b"\n"):
        return content
    return content[:-1].removesuffix(b"\r")


def _split_request(raw: bytes) -> tuple[str, _Pairs, bytes]:
    """Return the method, headers and body of an HTTP/1.1 request, as it goes over the wire.

    Strictly: what two servers might read in two ways is no request here (RFC 9112).
    """
    blank = re.search(rb"\r?\n\r?\n", raw)  # with an editor's line ends too
    if blank is None:
        msg = "--request: there is no blank line behind the headers"
        raise _WrongUse(msg)
    first, *lines = re.split(rb"\r?\n", raw[: blank.start()])
    if not _REQUEST_LINE.fullmatch(first):
        msg = "--request: the first line is not like POST /path HTTP/1.1"
        raise _WrongUse(msg)
    headers = [_header(line, "--request") for line in lines]
    method, _, _ = first.partition(b" ")
    return method.decode(), headers, _framed(headers, raw[blank.end() :])


def _framed(headers: _Pairs, rest: bytes) -> bytes:
    """Return the part of what follows the headers that is the body."""
    names = [name.lower() for name, _ in headers]
    if b"transfer-encoding" in names:
        msg = "--request: a body with Transfer-Encoding has to be decoded first; verify it by file"
        raise _WrongUse(msg)
    lengths = [value for name, value in headers if name.lower() == b"content-length"]
    if not lengths:
        return rest
    stated = lengths[0]
    if len(lengths) > 1 or not re.fullmatch(rb"\d{1,18}", stated) or int(stated) > len(rest):
        msg = f"--request: Content-Length does not fit the {len(rest)} bytes behind the headers"
        raise _WrongUse(msg)
    body, beyond = rest[: int(stated)], rest[int(stated) :]
    if beyond.removeprefix(b"\r").removeprefix(b"\n"):  # an editor may have added a line end
        _complain(f"warning: {len(beyond)} bytes behind the body are left out")
    return body


def _header(line: bytes, option: str) -> tuple[bytes, bytes]:
    """Return the name and the value of a header line."""
    found = _HEADER.fullmatch(line)
    if found is None:
        msg = f"{option}: a header is not like Name: value"  # nor shown: it may be a password
        raise _WrongUse(msg)
    return found[1], found[2].strip(b" \t")  # RFC 9112 section 5


def _headers(text: str) -> _Pairs:
    """Return what `-H` says: a header, or all that a file has."""
    if not text.startswith("@"):
        return [_header(os.fsencode(text), "-H")]
    with _opened(text[1:]) as file:
        lines = re.split(rb"\r?\n", _read(file))
    return [_header(line, "-H") for line in lines if line]


def _check_standard_input(options: argparse.Namespace, *names: str | None) -> None:
    """Refuse to read two things from one standard input."""
    files = [*names, *(name for kind, name in options.secrets if kind == "file")]
    if sum(name in {None, "-"} for name in files) > 1:
        msg = "standard input is named twice: put one of both into a file"
        raise _WrongUse(msg)


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


def _cannot_read(error: OSError | ValueError) -> _WrongUse:
    return _WrongUse(f"cannot read {error}")


def _complain(text: str) -> None:
    """Say what is not the output. A standard error that nobody reads is no reason to fail."""
    if sys.stderr is None:
        return
    with suppress(OSError):
        print(f"{PROGRAM}: {text}", file=sys.stderr, flush=True)  # noqa: T201


def _wrote(output: str) -> bool:
    """Write the output, and tell whether it got through."""
    if sys.stdout is None:
        if output:
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


class _ShowVersion(argparse.Action):
    """Looks the version up when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> NoReturn:
        parser.exit(DONE if _wrote(f"{PROGRAM} {version(PROGRAM)}") else USAGE)


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
    parser.add_argument(
        "--version", action=_ShowVersion, nargs=0, help="show program's version number and exit"
    )
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
        help="one of the request's headers; @FILE for all that a file has, one on each line",
    )
    verify.add_argument(
        "--request",
        metavar="FILE",
        help="a whole HTTP/1.1 request as it came: request line, headers, blank line, body; "
        "- for standard input",
    )
    _add_scheme(verify)
    _add_where(verify)
    _add_secrets(verify)
    verify.add_argument(
        "--now",
        metavar="TIME",
        type=_moment,
        help="when to judge the request's time at, instead of now: Unix seconds, or like "
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
    _add_where(sign)
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
        self.add_argument(
            *("--secret", "--secret-key"),
            nargs="?",
            action=_RefuseSecret,
            help=argparse.SUPPRESS,
        )

    def print_help(self, file: object = None) -> None:
        """Write the help as any other output.

        argparse's own passes over what could not be written, or raises, as Python's version is.
        """
        del file
        if not _wrote(self.format_help().rstrip()):
            self.exit(USAGE)


def _add_scheme(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scheme",
        metavar="NAME",
        type=_scheme,
        default=FRAPPE,
        help=f"how the sender signs: see {PROGRAM} providers (default: frappe)",
    )


def _add_where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--method",
        help="the HTTP method, if the scheme signs it (default: what --request says, else POST)",
    )
    parser.add_argument(
        "--url", help="the URL as it is registered with the sender, if the scheme signs it"
    )


def _add_secrets(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "secrets",
        "Several may be named, the newest first. Without any, Frappe's is the environment\n"
        f"variable {SECRET_SETTING}.",
    )
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
        "--raw",
        action="store_true",
        help="keep the line end behind a secret in its file: it is part of the secret",
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
