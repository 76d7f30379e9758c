"""The command line, as its own process: options, exit statuses, pipes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from frappe_hooksig import Signer, __version__, generate_secret, providers, sign_payload
from tests.senders import WHERE, secret_of

COMMAND = [sys.executable, "-m", "frappe_hooksig"]
SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
OLD = "8Kx2Wm5Rt9Yb3Nc6Vf1Zq4Hs"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_700_000_000
BODY = b'{"order": "SO-00001"}'
SIGNATURE = "X-Frappe-Webhook-Signature"
RIGHT = sign_payload(BODY, SECRET).signature
HEADER = f"{SIGNATURE}: {RIGHT}"
ENVIRONMENT = os.environ | {"NEW": SECRET, "OLD": OLD, "WHSEC": WHSEC}

VERIFIED, REFUSED, USAGE = 0, 1, 2


def run(
    *arguments: str | bytes | Path,
    body: bytes = BODY,
    environment: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        input=body,
        capture_output=True,
        env=ENVIRONMENT if environment is None else environment,
        cwd=cwd,
        timeout=60,
        check=False,
    )


def says(
    status: int, *arguments: str | bytes | Path, body: bytes = BODY, **options: Any
) -> tuple[str, str]:
    """Run the command, see that it ends with a status, and return what it said on both outputs."""
    done = run(*arguments, body=body, **options)
    assert done.returncode == status, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    return done.stdout.decode(), done.stderr.decode()


class TestVerify:
    """`frappe-hooksig verify`."""

    def test_genuine(self) -> None:
        """A genuine request has status 0, and it is said by which secret."""
        assert says(VERIFIED, "verify", "-e", "NEW", "-H", HEADER) == (
            "verified\nscheme: frappe\nsecret: NEW\n",
            "",
        )

    def test_json(self) -> None:
        """Programs get the same as JSON."""
        out, _ = says(VERIFIED, "verify", "-e", "OLD", "-e", "NEW", "-H", HEADER, "--json")

        assert json.loads(out) == {
            "verified": True,
            "scheme": "frappe",
            "secret": "NEW",
            "id": None,
            "timestamp": None,
        }

    def test_changed(self) -> None:
        """A changed body has status 1, and the reason is said."""
        out, err = says(REFUSED, "verify", "-e", "NEW", "-H", HEADER, body=BODY + b" ")

        assert out.startswith("refused: signature-mismatch\nX-Frappe-Webhook-Signature does not")
        assert err == ""

    def test_refused_as_json(self) -> None:
        """Programs get reason, header and message."""
        out, _ = says(REFUSED, "verify", "-e", "NEW", "--json")

        answer = json.loads(out)
        assert answer["verified"] is False
        assert answer["reason"] == "missing-header"
        assert answer["header"] == SIGNATURE
        assert "unsigned" in answer["message"]

    @pytest.mark.parametrize("body", [b"", b"\xff\x00\xfe", b"a\r\nb\r\n", bytes(range(256)) * 999])
    def test_any_bytes(self, body: bytes, tmp_path: Path) -> None:
        """Binary, empty and long bodies are verified byte for byte, from a pipe or a file."""
        (tmp_path / "body").write_bytes(body)
        header = f"{SIGNATURE}: {sign_payload(body, SECRET).signature}"

        says(VERIFIED, "verify", "-e", "NEW", "-H", header, body=body)
        says(VERIFIED, "verify", "-e", "NEW", "-H", header, "-", body=body)
        says(VERIFIED, "verify", "-e", "NEW", "-H", header, tmp_path / "body", body=b"other")

    def test_headers_of_a_file(self, tmp_path: Path) -> None:
        """`-H @FILE` takes a file's headers, as curl does; empty lines in it do not matter."""
        (tmp_path / "headers").write_bytes(f"Host: a\r\n{HEADER}\n\n".encode())

        says(VERIFIED, "verify", "-e", "NEW", "-H", "X-A: b", "-H", f"@{tmp_path / 'headers'}")

    @pytest.mark.parametrize(
        ("headers", "reason"),
        [
            ([HEADER, HEADER], "duplicate-header"),
            ([f"{SIGNATURE}:"], "malformed-header"),
            ([f"{SIGNATURE}: é"], "malformed-header"),
            ([f"{SIGNATURE}: \udcff"], "malformed-header"),
            ([f"{SIGNATURE.lower()}:\t {RIGHT[:-1]} "], "wrong-encoding"),
        ],
    )
    def test_reasons(self, headers: list[str], reason: str) -> None:
        """Every header counts, with the white space around its value taken off, as in HTTP."""
        options = [part for header in headers for part in ("-H", header)]

        out, _ = says(REFUSED, "verify", "-e", "NEW", *options)
        assert out.startswith(f"refused: {reason}\n")

    def test_many_secrets(self) -> None:
        """All are tried, those of variables and of files."""
        header = f"{SIGNATURE}: {sign_payload(BODY, OLD).signature}"

        out, _ = says(VERIFIED, "verify", "-e", "NEW", "-e", "OLD", "-H", header)
        assert "secret: OLD\n" in out

    def test_default_secret(self) -> None:
        """Without a word about it, Frappe's secret comes from its variable; no other scheme's."""
        environment = ENVIRONMENT | {"FRAPPE_WEBHOOK_SECRET": SECRET}

        says(VERIFIED, "verify", "-H", HEADER, environment=environment)
        _, err = says(USAGE, "verify", "--scheme", "github", environment=environment)
        assert "no secret: name an environment variable (-e) or a file (-f)" in err

    @pytest.mark.parametrize(
        ("now", "status"),
        [
            (str(NOW), VERIFIED),
            ("1700000300", VERIFIED),
            ("1700000300.5", REFUSED),
            ("1699999699", REFUSED),
            ("2023-11-14T22:13:20Z", VERIFIED),
            ("2023-11-14T23:13:20+01:00", VERIFIED),
        ],
    )
    def test_now(self, now: str, status: int) -> None:
        """A request of the past can be judged as of then."""
        signed = sign_payload(BODY, SECRET, scheme=providers.STRIPE, timestamp=NOW)
        header = f"Stripe-Signature: {signed.headers['Stripe-Signature']}"
        arguments = ["verify", "--scheme", "stripe", "-e", "NEW", "-H", header]

        says(status, *arguments, "--now", now)
        out, _ = says(REFUSED, *arguments)
        assert out.startswith("refused: timestamp-too-old\n")

    def test_tolerance(self) -> None:
        """The tolerance can be set, and is refused where there is no time."""
        signed = sign_payload(BODY, SECRET, scheme=providers.STRIPE, timestamp=time.time() - 1000)
        header = f"Stripe-Signature: {signed.headers['Stripe-Signature']}"
        arguments = ["verify", "--scheme", "stripe", "-e", "NEW", "-H", header]

        says(VERIFIED, *arguments, "--tolerance", "2000")
        says(REFUSED, *arguments, "--tolerance", "900.5")
        _, err = says(USAGE, "verify", "-e", "NEW", "-H", HEADER, "--tolerance", "1")
        assert "tolerance has nothing to check" in err

    def test_id_and_time_are_shown(self) -> None:
        """What else was signed is said."""
        signer = Signer(WHSEC, scheme=providers.STANDARD_WEBHOOKS)
        signed = signer.sign(BODY, id="msg_1", timestamp=NOW)
        options = [part for pair in signed.headers.items() for part in ("-H", ": ".join(pair))]

        out, _ = says(
            VERIFIED,
            *("verify", "--scheme", "standard-webhooks", "-e", "WHSEC", "--now", str(NOW)),
            *options,
        )
        assert out.endswith("id: msg_1\ntimestamp: 1700000000.0\n")

    def test_max_body(self) -> None:
        """A larger body is refused while it is read."""
        arguments = ["verify", "-e", "NEW", "-H", HEADER, "--max-body"]

        says(VERIFIED, *arguments, str(len(BODY)))
        out, _ = says(REFUSED, *arguments, str(len(BODY) - 1))
        assert out.startswith("refused: body-too-large\n")

    def test_an_endless_body(self) -> None:
        """Reading stops at the limit."""
        with Path("/dev/zero").open("rb") as endless:
            done = subprocess.run(
                [*COMMAND, "verify", "-e", "NEW", "-H", HEADER],
                stdin=endless,
                capture_output=True,
                env=ENVIRONMENT,
                timeout=60,
                check=False,
            )
        assert done.returncode == REFUSED
        assert done.stdout.startswith(b"refused: body-too-large\n")

    def test_bad_headers_are_refused_before_the_body(self) -> None:
        """Nobody has to send a body to learn that the headers are wrong."""
        with subprocess.Popen(
            [*COMMAND, "verify", "-e", "NEW"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
        ) as process:
            assert process.wait(60) == REFUSED  # while its standard input is open
            assert process.stdout is not None
            assert process.stdout.read().startswith(b"refused: missing-header\n")


REQUEST = (
    b"POST /webhook?a=b HTTP/1.1\r\nHost: example.com\r\nContent-Length: 21\r\n"
    + HEADER.encode()
    + b"\r\n\r\n"
    + BODY
)


class TestWholeRequest:
    """`frappe-hooksig verify --request`."""

    @pytest.mark.parametrize(
        "request_bytes",
        [
            REQUEST,
            REQUEST.replace(b"\r\n", b"\n"),
            REQUEST + b"\n",
            REQUEST.replace(b"Content-Length: 21\r\n", b""),
            REQUEST.replace(b"HTTP/1.1", b"HTTP/2"),
        ],
        ids=["wire", "editor", "line end", "no length", "HTTP/2"],
    )
    def test_genuine(self, request_bytes: bytes, tmp_path: Path) -> None:
        """A request as it came, or as an editor saved it, is taken apart."""
        (tmp_path / "request.http").write_bytes(request_bytes)

        says(VERIFIED, "verify", "-e", "NEW", "--request", tmp_path / "request.http")
        says(VERIFIED, "verify", "-e", "NEW", "--request", "-", body=request_bytes)

    def test_bytes_behind_the_body(self) -> None:
        """What is behind the body is left out, and that is said."""
        request = REQUEST + b"POST /other HTTP/1.1"

        _, err = says(VERIFIED, "verify", "-e", "NEW", "--request", "-", body=request)
        assert "warning: 20 bytes behind the body are left out" in err

    def test_blank_lines_in_the_body(self) -> None:
        """The headers end with the first one."""
        body = b"\n\n\r\n\r\nx\n\n"
        head = f"POST / HTTP/1.1\n{SIGNATURE}: {sign_payload(body, SECRET).signature}\n\n"

        says(VERIFIED, "verify", "-e", "NEW", "--request", "-", body=head.encode() + body)

    def test_unsigned(self) -> None:
        """One without headers is unsigned."""
        out, _ = says(REFUSED, "verify", "-e", "NEW", "--request", "-", body=b"GET / HTTP/1.1\n\n")

        assert out.startswith("refused: missing-header\n")

    @pytest.mark.parametrize(
        ("request_bytes", "message"),
        [
            (b"", "no blank line"),
            (REQUEST.partition(b"\r\n\r\n")[0], "no blank line"),
            (BODY + b"\n\n", "the first line is not like POST /path HTTP/1.1"),
            (REQUEST.replace(b"Host:", b"Host"), "a header is not like Name: value"),
            (REQUEST.replace(b"Host:", b" Host:"), "a header is not like Name: value"),
            (REQUEST.replace(b": 21", b": 22"), "Content-Length does not fit the 21 bytes"),
            (REQUEST.replace(b": 21", b": -1"), "Content-Length does not fit the 21 bytes"),
            (
                REQUEST.replace(b": 21", b": 21\r\nContent-length: 2"),
                "Content-Length does not fit the 21 bytes",
            ),
            (REQUEST.replace(b"Host: ", b"Host: \rX: "), "a header is not like Name: value"),
            (REQUEST.replace(b"Host: ", b"Host: \0"), "a header is not like Name: value"),
            (REQUEST.replace(b"Host: ", b"Host: a\r\n b"), "a header is not like Name: value"),
            (
                REQUEST.replace(b"Content-Length: 21", b"Transfer-Encoding: chunked"),
                "a body with Transfer-Encoding has to be decoded first",
            ),
        ],
    )
    def test_no_request(self, request_bytes: bytes, message: str) -> None:
        """What is no request is said to be none; it is not refused, which would say more."""
        _, err = says(USAGE, "verify", "-e", "NEW", "--request", "-", body=request_bytes)

        assert message in err

    @pytest.mark.parametrize("more", [["-H", HEADER], ["body.json"]])
    def test_not_both(self, more: list[str]) -> None:
        """A request has its headers and its body."""
        _, err = says(USAGE, "verify", "-e", "NEW", "--request", "-", *more)

        assert "leave out -H and the body's file" in err


class TestSecrets:
    """Where secrets come from."""

    @pytest.mark.parametrize("options", [[], ["--raw"]])
    @pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n", " "])
    def test_line_end_of_a_file(self, end: str, options: list[str], tmp_path: Path) -> None:
        """One line end is not part of the secret, unless it is said to be."""
        (tmp_path / "secret.txt").write_bytes((SECRET + end).encode())
        rest = {"\n": "", "\r\n": "", "\n\n": "\n"}.get(end, end)
        secret = SECRET + (end if options else rest)
        header = f"{SIGNATURE}: {sign_payload(BODY, secret).signature}"

        out, err = says(
            VERIFIED, "verify", "-f", "secret.txt", *options, "-H", header, cwd=tmp_path
        )
        assert "secret: secret.txt\n" in out
        assert ("white space" in err) == (secret != SECRET)

    def test_bytes_of_a_file(self, tmp_path: Path) -> None:
        """A file may hold any bytes."""
        secret = bytes(range(200, 232))
        (tmp_path / "secret").write_bytes(secret)
        header = f"{SIGNATURE}: {sign_payload(BODY, secret).signature}"

        says(VERIFIED, "verify", "-f", tmp_path / "secret", "-H", header)

    @pytest.mark.skipif(os.name != "posix", reason="bytes in the environment")
    def test_bytes_of_a_variable(self) -> None:
        """So may a variable."""
        secret = bytes(range(200, 232))
        header = f"{SIGNATURE}: {sign_payload(BODY, secret).signature}"
        environment = ENVIRONMENT | {"ODD": os.fsdecode(secret)}

        says(VERIFIED, "verify", "-e", "ODD", "-H", header, environment=environment)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["-e", "MISSING"], "the environment variable MISSING is not set"),
            (["-e", "secret-by-mistake"], "the environment variable named by -e is not set"),
            (["-e", "NEW", "-e", "NEW"], "NEW is named twice"),
            (["-f", "-"], "standard input is named twice"),
            (["-f", "missing.txt"], "No such file or directory: 'missing.txt'"),
            (["-f", "."], "Is a directory"),
            (["-f", "/proc/self/mem"], "cannot read [Errno 5] Input/output error"),
            (["-e", "NEW", "-f", "empty.txt"], "the secret is empty"),
            (["-e", "MASKED"], "is a row of asterisks or dots"),
            (["-e", "TEXT", "--scheme", "standard-webhooks"], "secret TEXT is not padded base64"),
        ],
    )
    def test_none(self, arguments: list[str], message: str, tmp_path: Path) -> None:
        """What cannot be a secret is said, with the place that it came from."""
        (tmp_path / "empty.txt").write_text("\n")
        environment = ENVIRONMENT | {"MASKED": "********", "TEXT": f"{SECRET}-"}

        for command in ("sign", "verify"):
            _, err = says(USAGE, command, *arguments, cwd=tmp_path, environment=environment)
            assert message in err

    @pytest.mark.parametrize(
        "arguments",
        [
            ["verify", "--secret", SECRET],
            ["sign", f"--secret={SECRET}"],
            ["secret", "--secret-key", SECRET],
            ["--secret", SECRET, "verify"],
            [f"--secret={SECRET}", "providers"],
        ],
    )
    def test_never_an_argument(self, arguments: list[str]) -> None:
        """A secret among the arguments is refused, and not repeated."""
        out, err = says(USAGE, *arguments)

        assert "can be read by every user of this machine" in err
        assert SECRET not in out + err

    def test_suspicious(self) -> None:
        """A suspicious secret is used, and a word said about it."""
        environment = ENVIRONMENT | {"SHORT": "short", "PYTHONWARNINGS": "error"}

        out, err = says(VERIFIED, "sign", "-e", "SHORT", environment=environment)
        assert out.startswith(SIGNATURE)
        assert err.startswith("frappe-hooksig: warning: the secret is shorter than 16 bytes")


class TestSign:
    """`frappe-hooksig sign`."""

    @pytest.mark.parametrize("name", providers.names())
    def test_round_trip(self, name: str, tmp_path: Path) -> None:
        """What it prints is what `verify` reads."""
        scheme = providers.get(name)
        options = ["--scheme", name, "-e", "ITS_SECRET"]
        options += ["--url", WHERE["url"]] if "{url}" in scheme.signed else []
        environment = ENVIRONMENT | {"ITS_SECRET": secret_of(scheme)}
        out, err = says(VERIFIED, "sign", *options, environment=environment)
        (tmp_path / "headers").write_text(out)

        assert err == ""
        headers = f"@{tmp_path / 'headers'}"
        says(VERIFIED, "verify", *options, "-H", headers, environment=environment)

    @pytest.mark.parametrize("name", ["frappe", "webhook-timestamped"])
    @pytest.mark.parametrize("body", [BODY, b"", b"\xff\n"])
    def test_round_trip_of_bytes(self, name: str, body: bytes, tmp_path: Path) -> None:
        """The bytes are signed as they are."""
        out, _ = says(VERIFIED, "sign", "--scheme", name, "-e", "NEW", body=body)
        (tmp_path / "headers").write_text(out)

        verify = ["verify", "--scheme", name, "-e", "NEW", "-H", f"@{tmp_path / 'headers'}"]
        says(VERIFIED, *verify, body=body)
        says(REFUSED, *verify, body=body + b"x")

    def test_method_and_url(self, tmp_path: Path) -> None:
        """Where they are signed, they have to be the same, and `--request` says the method."""
        options = ["--scheme", "hubspot-v3", "-e", "NEW", "--url"]
        out, _ = says(VERIFIED, "sign", *options, "https://a.example", "--method", "PUT")
        (tmp_path / "headers").write_text(out)
        given = ["-H", f"@{tmp_path / 'headers'}"]
        request = f"PUT / HTTP/1.1\n{out}\n".encode() + BODY

        says(VERIFIED, "verify", *options, "https://a.example", "--method", "PUT", *given)
        says(REFUSED, "verify", *options, "https://a.example", *given)
        says(REFUSED, "verify", *options, "https://b.example", "--method", "PUT", *given)
        says(VERIFIED, "verify", *options, "https://a.example", "--request", "-", body=request)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--scheme", "square"], "signs the URL: say which with --url"),
            (["--scheme", "square", "--url", "/hook"], "url= is the whole URL"),
            (["--scheme", "github", "--url", "https://a.example"], "does not sign the URL"),
        ],
    )
    @pytest.mark.parametrize("command", ["sign", "verify"])
    def test_wrong_url(self, command: str, arguments: list[str], message: str) -> None:
        """One that is not signed, is none, or is missing."""
        _, err = says(USAGE, command, "-e", "NEW", *arguments)
        assert message in err

    def test_id_and_timestamp(self) -> None:
        """A retry can be signed as the first attempt was."""
        arguments = ["sign", "--scheme", "standard-webhooks", "-e", "WHSEC", "--json"]
        arguments += ["--id", "msg_1", "--timestamp"]

        first, _ = says(VERIFIED, *arguments, str(NOW))
        again, _ = says(VERIFIED, *arguments, "2023-11-14T22:13:20Z")

        assert first == again
        signer = Signer(WHSEC, scheme=providers.STANDARD_WEBHOOKS)
        signed = signer.sign(BODY, id="msg_1", timestamp=NOW)
        assert json.loads(first) == {
            "scheme": "standard-webhooks",
            "headers": signed.headers,
            "signature": signed.signature,
        }

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--id", "1"], "id= would be lost"),
            (["--timestamp", "1"], "timestamp= would be lost"),
            (["--scheme", "stripe", "--timestamp", "1"], "10 digits of Unix seconds"),
            (["no-such-file"], "No such file or directory: 'no-such-file'"),
        ],
    )
    def test_contradictions(self, arguments: list[str], message: str) -> None:
        """An option that would have no effect is refused."""
        _, err = says(USAGE, "sign", "-e", "NEW", *arguments)

        assert message in err


class TestSecretCommand:
    """`frappe-hooksig secret`."""

    def test_makes_one(self) -> None:
        """Nothing but the secret and a line end, so that it can go into a file."""
        first, _ = says(VERIFIED, "secret")
        other, _ = says(VERIFIED, "secret", "--json")

        assert len(first.rstrip("\n")) == len(generate_secret()) == len(json.loads(other)["secret"])
        assert first.count("\n") == 1
        assert first.rstrip("\n") != json.loads(other)["secret"]

    def test_format_of_the_scheme(self) -> None:
        """It is written as the scheme has it."""
        out, _ = says(VERIFIED, "secret", "--scheme", "standard-webhooks")

        assert out.startswith("whsec_")


class TestProviders:
    """`frappe-hooksig providers`."""

    def test_table(self) -> None:
        """Each has a line, beneath the names of the columns."""
        out, _ = says(VERIFIED, "providers")

        first, *lines = out.splitlines()
        assert first.split()[:2] == ["NAME", "SIGNED"]
        assert [line.split()[0] for line in lines] == list(providers.names())
        assert all(line == line.rstrip() for line in lines)

    def test_many_headers(self) -> None:
        """Of a hundred headers there are two, and what stands between."""
        out, _ = says(VERIFIED, "providers")

        assert "  X-DocuSign-Signature-1 ... X-DocuSign-Signature-100\n" in out

    def test_json(self) -> None:
        """Programs get each field."""
        out, _ = says(VERIFIED, "providers", "--json")

        described = {each["name"]: each for each in json.loads(out)}
        assert tuple(described) == providers.names()
        assert described["slack"] == {
            "name": "slack",
            "title": "Slack",
            "definition": providers.SLACK.definition,
            "headers": ["X-Slack-Signature", "X-Slack-Request-Timestamp"],
            "signed": "v0:{timestamp}:{body}",
            "prefix": "v0=",
            "encoding": "hex",
            "digest": "sha256",
            "tolerance": 300,
            "secret_format": "text",
        }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["no-such-command"], "invalid choice: 'no-such-command'"),
        (["verify", "--no-such-option"], "unrecognized arguments"),
        (["verify", "--sch", "github"], "unrecognized arguments"),
        (["verify", "--scheme", "git"], "no provider 'git'; there are adyen, bitbucket"),
        (["verify", "-e", "NEW", "-H", "no colon"], "-H: a header is not like Name: value"),
        (["verify", "-e", "NEW", "-H", ": b"], "a header is not like Name: value"),
        (["verify", "-e", "NEW", "-H", "a b: c"], "a header is not like Name: value"),
        (["verify", "-e", "NEW", "-H", "@no-such-file"], "No such file or directory"),
        (["verify", "--now", "yesterday"], "not Unix seconds, nor like 2026-11-22T08:00:00Z"),
        (["verify", "--now", "nan"], "not Unix seconds"),
        (["verify", "--tolerance", "soon"], "invalid float value"),
        (["verify", "-e", "NEW", "--scheme", "stripe", "--tolerance", "nan"], "positive number"),
        (["verify", "-e", "NEW", "--max-body", "-1"], "max_body is a number of bytes"),
        (["verify", "-e", "NEW", "-H", HEADER, "no-such-file"], "No such file or directory"),
        (["verify", "-e", "NEW", "-H", HEADER, "."], "Is a directory"),
        (["secret", "extra"], "unrecognized arguments"),
        (["providers", "--scheme", "github"], "unrecognized arguments"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_wrong_use(arguments: list[str], message: str) -> None:
    """Wrong use has status 2, an explanation on standard error, and no output."""
    out, err = says(USAGE, *arguments)

    assert out == ""
    assert message in err


@pytest.mark.parametrize("command", [[], ["sign"], ["verify"], ["secret"], ["providers"]])
def test_help(command: list[str]) -> None:
    """Every command explains itself, within a terminal's width."""
    out, err = says(VERIFIED, *command, "--help", environment=ENVIRONMENT | {"COLUMNS": "100"})

    assert out.startswith(" ".join(["usage: frappe-hooksig", *command]))
    assert err == ""
    assert max(map(len, out.splitlines())) <= 100


def test_version() -> None:
    """The version is the package's."""
    assert says(VERIFIED, "--version") == (f"frappe-hooksig {__version__}\n", "")


def test_console_script() -> None:
    """The command is installed under its name."""
    command = Path(sys.executable).with_name("frappe-hooksig")

    done = subprocess.run([command, "--version"], capture_output=True, check=True, timeout=60)
    assert done.stdout.decode() == f"frappe-hooksig {__version__}\n"


def closed_pipe() -> int:
    """Return the end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize(
    "arguments",
    [["providers"], ["secret"], ["sign", "-e", "NEW"], ["verify", "-e", "NEW", "-H", HEADER]],
    ids=lambda arguments: arguments[0],
)
def test_closed_pipe(arguments: list[str]) -> None:
    """An answer that nobody reads is not given quietly as if it had been, nor with a traceback."""
    pipe = closed_pipe()
    done = subprocess.run(
        [*COMMAND, *arguments],
        input=BODY,
        stdout=pipe,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        timeout=60,
        check=False,
    )
    os.close(pipe)

    assert (done.returncode, done.stderr) == (USAGE, b"")


def test_help_into_a_closed_pipe() -> None:
    """Who stops reading the help does not see a traceback."""
    pipe = closed_pipe()
    done = subprocess.run(
        [*COMMAND, "--help"], stdout=pipe, stderr=subprocess.PIPE, timeout=60, check=False
    )
    os.close(pipe)

    assert (done.returncode, done.stderr) == (USAGE, b"")


@pytest.mark.parametrize(
    ("shell", "status", "message"),
    [
        ('"$@" >&-', USAGE, b"cannot write the output: standard output is closed"),
        ('"$@" >/dev/full', USAGE, b"cannot write the output: No space left on device"),
        ('"$@" -e MISSING >&-', USAGE, b"variable MISSING is not set"),
        ('"$@" <&-', VERIFIED, b""),
        ('"$@" -e MISSING 2>&-', USAGE, b""),
        ('"$@" -e MISSING 2>/dev/full', USAGE, b""),
    ],
)
def test_closed_files(shell: str, status: int, message: bytes) -> None:
    """Closed or full standard files do no harm."""
    done = subprocess.run(
        ["/bin/sh", "-c", shell, "sh", *COMMAND, "sign", "-e", "NEW"],
        input=b"",
        capture_output=True,
        env=ENVIRONMENT,
        timeout=60,
        check=False,
    )

    assert done.returncode == status
    assert message in done.stderr
    assert b"Traceback" not in done.stderr


def test_mistake_of_ours(tmp_path: Path) -> None:
    """A bug would not look like a refusal."""
    (tmp_path / "sitecustomize.py").write_text(
        "import frappe_hooksig.cli as cli\ncli._read = lambda *_: 1 / 0\n"
    )
    environment = ENVIRONMENT | {"PYTHONPATH": str(tmp_path)}

    done = run("verify", "-e", "NEW", "-H", HEADER, environment=environment)
    assert done.returncode == USAGE
    assert b"ZeroDivisionError" in done.stderr


def test_interrupt() -> None:
    """Ctrl-C ends it without a traceback."""
    with subprocess.Popen(
        [*COMMAND, "sign", "-e", "NEW"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    ) as process:
        time.sleep(1)  # until it reads
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out, err) == (130, b"", b"")


def test_names_that_the_terminal_cannot_show(tmp_path: Path) -> None:
    """A file's name may be any bytes, and standard output may know ASCII only."""
    name = tmp_path / os.fsdecode(b"\xff\xc3\xa9")
    name.write_text(SECRET)
    environment = ENVIRONMENT | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}

    out, _ = says(VERIFIED, "verify", "-f", name, "-H", HEADER, environment=environment)
    assert "secret: " in out
