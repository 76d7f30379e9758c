"""`frappe-hooksig explain`."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from frappe_hooksig import providers, sign_payload
from frappe_hooksig.cli._curl import split_curl
from tests.cli.command import (
    BODY,
    ENVIRONMENT,
    HEADER,
    NOW,
    OLD,
    RIGHT,
    SECRET,
    SIGNATURE,
    USAGE,
    says,
)

GENUINE, EXPLAINED, UNEXPLAINED = 0, 1, 3
URL = "https://hooks.example.com/in"


def test_genuine() -> None:
    """A genuine request has status 0."""
    assert says(GENUINE, "explain", "-e", "NEW", "-H", HEADER) == ("genuine\n", "")


def test_explained() -> None:
    """A proved cause has status 1, with what to do."""
    out, err = says(EXPLAINED, "explain", "-e", "NEW", "-H", HEADER, body=BODY + b"\n")

    title, *rest = out.splitlines()[1:]
    assert out.startswith("explained\n")
    assert title == (
        "body-line-end (proved): Line ends of the body were added, removed or changed."
    )
    assert rest[0] == "  also: body-reserialised"
    assert rest[1] == "  evidence: the body without the LF at its end is signed"
    assert rest[2].startswith("  remedy: ")
    assert err == ""


def test_unexplained() -> None:
    """A request without a known cause has status 3, and hints."""
    out, _ = says(UNEXPLAINED, "explain", "-e", "OLD", "-H", HEADER)

    assert out.startswith("unexplained\nsecret-other (hint): ")


def test_untried(tmp_path: Path) -> None:
    """What is not tried for a large body is named."""
    body = tmp_path / "body"
    body.write_bytes(b"[" + b"1," * 1_100_000 + b"1]")

    out, _ = says(UNEXPLAINED, "explain", "-e", "OLD", "-H", HEADER, body)
    assert "\nnot tried: " in out
    assert "body-reserialised: the body is larger than 2097152 bytes" in out


def test_json() -> None:
    """Programs get the same as JSON."""
    out, _ = says(EXPLAINED, "explain", "-e", "NEW", "-H", HEADER, "--json", body=BODY + b"\n")

    answer = json.loads(out)
    assert answer["verdict"] == "explained"
    assert answer["untried"] == []
    (finding,) = answer["findings"]
    assert finding["code"] == "body-line-end"
    assert finding["is_proved"] is True
    assert {*finding} == {"code", "also_codes", "is_proved", "title", "evidence", "remedy"}


def test_also(tmp_path: Path) -> None:
    """Another secret may come from a variable or a file."""
    file = tmp_path / "old.txt"
    file.write_text(f"{SECRET}\n")

    out, _ = says(EXPLAINED, "explain", "-e", "OLD", "--also", "NEW", "-H", HEADER)
    assert "'NEW'" in out or "the environment variable NEW" in out
    out, _ = says(EXPLAINED, "explain", "-e", "OLD", "--also", f"@{file}", "-H", HEADER)
    assert "secret-other (proved)" in out


def test_now() -> None:
    """The request is judged as of the given time."""
    signed = sign_payload(BODY, SECRET, scheme=providers.SLACK, timestamp=NOW)
    headers = [
        each for name, value in signed.headers.items() for each in ("-H", f"{name}: {value}")
    ]
    options = ["explain", "--scheme", "slack", "-e", "NEW", *headers]

    says(GENUINE, *options, "--now", str(NOW))
    out, _ = says(EXPLAINED, *options, "--now", str(NOW + 301))
    assert "timestamp-out-of-tolerance (proved)" in out


def test_whole_request() -> None:
    """Method and headers come from the request."""
    signed = sign_payload(BODY, SECRET, scheme=providers.HUBSPOT_V3, method="PUT", url=URL)
    lines = "".join(f"{name}: {value}\n" for name, value in signed.headers.items())
    request = f"PUT /in HTTP/1.1\n{lines}\n".encode() + BODY
    options = ["explain", "--scheme", "hubspot-v3", "-e", "NEW", "--request", "-"]

    says(GENUINE, *options, "--url", URL, body=request)
    out, _ = says(EXPLAINED, *options, "--url", f"{URL}/", body=request)
    assert "url-differs (proved)" in out
    assert f"the URL without the slash at its end is signed: {URL}\n" in out


SPELLED = r"""$'{\"order"\x3a \u0022SO\U0000002d0000\61"}'"""


@pytest.mark.parametrize(
    "command",
    [
        f"curl -X POST '{URL}' -H '{HEADER}' --data-raw '{BODY.decode()}'",
        f'curl --compressed -sS {URL} \\\n  -H "{HEADER}" \\\n  -d {BODY.decode()!r}',
        f"curl --url {URL} -XPOST -H '{HEADER}' -m 3 --json {SPELLED}",
        f'curl {URL} -H\'{HEADER}\' -d "{{\\"order\\": \\"SO-00001\\"}}"',
        f"curl {URL} --user a:b -H '{HEADER}' --data-binary {BODY.decode()!r}  ",
        f'curl {URL} -H \'{HEADER}\' -d \\{{\\"order\\":\\ \\"SO-00001\\"\\}}',
        f"curl -sXPOST {URL} -H 'X-Empty;' -H '{HEADER}' -d '{BODY.decode()}'",
        f"curl {URL}?$a -H '{HEADER}' -d {{$'\"'order\\\n$'\": \"'\"SO\\\n-00001\"$'\"}}' \\\n",
    ],
    ids=["browser", "lines", "ansi", "double quotes", "binary", "backslashes", "joined", "parts"],
)
def test_curl(command: str) -> None:
    """A curl command is read as a shell and curl read it."""
    says(GENUINE, "explain", "-e", "NEW", "--curl", "-", body=command.encode())


def test_bytes_of_curl() -> None:
    """In $'...', Bash takes numbers for bytes, but those behind backslash and u for characters."""
    command = rb"curl x -d $'\xe9\303\251\u00e9\U0001f680\x41\1011\x' -H $'A: \xff'"

    request = split_curl(command)
    assert request.body == b"\xe9\xc3\xa9" + "é🚀".encode() + b"AA1x"
    assert request.headers == [(b"A", b"\xff")]


def test_large_curl() -> None:
    """The memory for a command is a small multiple of its size."""
    command = b"curl x -d $'" + b"a\\n" * 350_000 + b"'"

    tracemalloc.start()
    request = split_curl(command)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert request.body == b"a\n" * 350_000
    assert peak < 24 * len(command)


def test_url_of_curl() -> None:
    """The URL of the command is the registered one, unless --url says another."""
    signed = sign_payload(BODY, SECRET, scheme=providers.SQUARE, url=URL)
    (header,) = (f"{name}: {value}" for name, value in signed.headers.items())
    command = f"curl {URL} -H '{header}' -d '{BODY.decode()}'".encode()
    options = ["explain", "--scheme", "square", "-e", "NEW", "--curl", "-"]

    says(GENUINE, *options, body=command)
    says(EXPLAINED, *options, "--url", f"{URL}/", body=command)


def test_get_of_curl() -> None:
    """A command without data sends GET, and nothing."""
    command = f"curl {URL} -H '{HEADER}'".encode()

    out, _ = says(UNEXPLAINED, "explain", "-e", "NEW", "--curl", "-", body=command)
    assert "redirected (hint)" in out
    assert "with the method GET" in out


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("wget x", "must begin with curl"),
        ("", "must begin with curl"),
        ("curl 'x", "a quote is not closed"),
        ("curl x -F a=b", "an option is not supported"),
        ("curl x -d @file", "it reads a file"),
        ("curl x -H @file", "it reads a file"),
        ("curl x -H 'no colon'", "Name: value"),
        ("curl $'x", "a quote is not closed"),
        ('curl "x\\"', "a quote is not closed"),
        ("curl x -d a | jq .", "end the command"),
        ("curl x -d a;", "end the command"),
        ("curl x -d a >out", "end the command"),
        ("curl x?a=1&b=2", "end the command"),
        ("curl x -d", "has no value"),
        ("curl x -sX", "has no value"),
        ("curl x --url y", "two URLs"),
        ("curl x -d a y", "two URLs"),
        (r"curl x -d $'\ud800'", "the number of no character"),
        (r"curl x -d $'\U00110000'", "the number of no character"),
        (r"curl x -d $'\Uffffffff'", "the number of no character"),
    ],
)
def test_wrong_curl(command: str, words: str) -> None:
    """What is no request on its own is refused, without being repeated."""
    out, err = says(USAGE, "explain", "-e", "NEW", "--curl", "-", body=command.encode())

    assert out == ""
    assert words in err


def row(data: Any, **changes: Any) -> dict[str, Any]:
    """Return a row as Frappe's REST API gives it: the signature is a list of bytes."""
    headers = {SIGNATURE: list(RIGHT.encode()), "X-Own": "a"}
    text = json.dumps(headers, indent=1, sort_keys=True, separators=(",", ": "))
    return {"name": "1a2b", "url": URL, "headers": text, "data": data} | changes


AS_JSON = '{\n "order": "SO-00001"\n}'


@pytest.mark.parametrize(
    "answer",
    [
        row(AS_JSON),
        {"data": row(AS_JSON)},
        {"message": [row(AS_JSON)]},
        [row(BODY.decode())],
        row(json.dumps(BODY.decode())),
        row({"order": "SO-00001"}),
        row(AS_JSON, headers={SIGNATURE: RIGHT}),
    ],
    ids=["row", "REST", "method", "as sent", "text", "parsed", "parsed headers"],
)
def test_log_row(answer: Any) -> None:
    """A row of the Webhook Request Log is read in each shape that Frappe gives it."""
    says(GENUINE, "explain", "-e", "NEW", "--log", "-", body=json.dumps(answer).encode())


def test_order_in_the_log() -> None:
    """The log sorts the keys. Their own order is found, and a note says that it is unknown."""
    body = b'{"order": "SO-00001", "by": "me", "at": 1}'
    headers = {SIGNATURE: list(sign_payload(body, SECRET).signature.encode())}
    data = json.dumps(json.loads(body), indent=1, sort_keys=True)
    answer = json.dumps(row(data, headers=headers)).encode()

    out, err = says(EXPLAINED, "explain", "-e", "NEW", "--log", "-", body=answer)
    assert "the JSON with its keys in another order is signed" in out
    assert err.startswith("frappe-hooksig: note: --log: the log sorts the keys")


def test_empty_row() -> None:
    """A row without a payload is a request without a body."""
    answer = json.dumps(row(None, url=None)).encode()

    out, _ = says(UNEXPLAINED, "explain", "-e", "NEW", "--log", "-", body=answer)
    assert "redirected (hint)" in out


@pytest.mark.parametrize(
    "answer",
    [
        *(b"", b"[]", b"{}", b"1", b"[{}, {}]", b'{"headers": "[]", "data": "{"}', b"[" * 99999),
        b'{"headers": {"a": 999}, "data": ""}',
    ],
)
def test_wrong_row(answer: bytes) -> None:
    """Other JSON is refused, and the error says where to get a row."""
    out, err = says(USAGE, "explain", "-e", "NEW", "--log", "-", body=answer)

    assert out == ""
    assert "this is no row of the Webhook Request Log" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--request", "-", "-H", HEADER], "already contains"),
        (["--curl", "-", "body.json"], "already contains"),
        (["--curl", "-", "--log", "-"], "wrong arguments"),
        (["--also", "UNSET_SECRET"], "UNSET_SECRET is not set"),
        (["--also", "@-", "--request", "-"], "only once"),
        (["--scheme", "square"], "--url"),
    ],
)
def test_wrong_use(arguments: list[str], words: str) -> None:
    """Arguments that contradict each other have status 2."""
    out, err = says(USAGE, "explain", "-e", "NEW", *arguments)

    assert out == ""
    assert words in err


def test_nothing_secret_is_printed() -> None:
    """Neither the secrets nor the signature are in the output."""
    for body in (BODY, BODY + b"\n", b"other"):
        out = says(
            {BODY: GENUINE, BODY + b"\n": EXPLAINED}.get(body, UNEXPLAINED),
            "explain", "-e", "NEW", "--also", "OLD", "-H", HEADER, body=body,
        )  # fmt: skip
        assert not any(text in "".join(out) for text in (SECRET, OLD, RIGHT, RIGHT[:20]))


def test_hostile_header() -> None:
    """Control characters of a request do not reach the terminal."""
    environment = ENVIRONMENT | {"OWN": SECRET}
    header = f"X-My-Signature: \x1b]0;title\x07{RIGHT}"

    out, _ = says(EXPLAINED, "explain", "-e", "OWN", "-H", header, environment=environment)
    assert out.isascii()
    assert out.replace("\n", "").isprintable()
