"""Raw requests that were refused, as files that the command reads."""

from __future__ import annotations

import json
import logging
import math
import os
import resource
import signal
import stat
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from frappe_hooksig import BodyTooLarge, ConfigurationError, cli, providers
from frappe_hooksig.observe import Capture, Event, log
from frappe_hooksig.observe._raw import RawRequest
from frappe_hooksig.providers import FRAPPE, SQUARE, STRIPE, WOOCOMMERCE
from frappe_hooksig.replay._callers import BLOCKING
from frappe_hooksig.replay._steps import run
from frappe_hooksig.testing import SignedRequest, signed_request
from tests.receivers import Incoming, Plain, make_receiver
from tests.selection import at_full_size
from tests.testing.routes import route, site

__all__ = ["route", "site"]  # fixtures

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
BODY = b'{"order": "SO-00001"}'
SIGNATURE = "X-Frappe-Webhook-Signature"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "captured"


def refuse(capture: Capture, request: Incoming | None = None, **options: Any) -> Any:
    """Send a request to a route that refuses it."""
    options = {"secret": SECRET, **options}
    receiver = make_receiver(options.pop("scheme", FRAPPE), observe=[log, capture], **options)
    request = request or Incoming([], BODY)
    return run(receiver.handle(BLOCKING, request, "view", lambda: 200))


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def explained(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> Any:
    """Return what `frappe-hooksig explain` says."""
    monkeypatch.setenv("SECRET", SECRET)
    cli.main(["explain", "-e", "SECRET", "--json", *arguments])
    return json.loads(capsys.readouterr().out)


def test_explained(route: Any, folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command explains what was captured in any framework."""
    send = route(FRAPPE, secret=SECRET, observe=Capture(folder))
    original = signed_request(FRAPPE, {"a": 1}, SECRET)
    send(SignedRequest(b'{ "a": 1 }', original.headers))
    send(SignedRequest(original.body, [("X-Hub-Signature-256", "sha256=" + "0" * 64)]))
    send(original)

    rewritten, other = files(folder)
    assert "-signature-mismatch-" in rewritten.name
    assert "-missing-header-" in other.name
    found = explained(capsys, monkeypatch, "--request", str(rewritten))
    assert [each["code"] for each in found["findings"]] == ["body-reserialised"]
    assert other.read_bytes().endswith(b"\r\n\r\n" + original.body)


def test_private(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Only the owner can read the files, and the log says at the start that it is on."""
    capture = Capture(folder)
    refuse(capture)

    (file,) = files(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    record = caplog.records[0]
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "webhook capture is on: refused requests, with all that their senders sent, are written to "
        f"{folder}"
    )
    assert repr(capture) == f"Capture({str(folder)!r})"


def test_folder_that_others_can_read(tmp_path: Path) -> None:
    """It is refused at the start."""
    tmp_path.chmod(0o755)

    with pytest.raises(ConfigurationError, match="other users can read this folder"):
        Capture(tmp_path)


@pytest.mark.parametrize("name", ["max_files", "max_body", "max_age"])
@pytest.mark.parametrize("limit", [0, -1, math.nan])
def test_limits(folder: Path, name: str, limit: Any) -> None:
    """A limit is positive."""
    with pytest.raises(ConfigurationError, match="must be positive"):
        Capture(folder, **{name: limit})


@pytest.mark.parametrize("age", [1e12, math.inf])
def test_kept_for_ever(folder: Path, age: float) -> None:
    """A file may be kept for longer than there is a date for."""
    refuse(Capture(folder, max_age=age))

    assert len(files(folder)) == 1


@pytest.mark.parametrize("count", [300, at_full_size(10_000)])
def test_bounded_number(folder: Path, count: int) -> None:
    """Many refusals leave as many files as there may be: the newest."""
    capture = Capture(folder, max_files=7)
    most = 0
    for number in range(count):
        refuse(capture, Incoming([("X-Number", str(number))], BODY))
        most = max(most, len(files(folder)))

    assert most == 7
    assert b"X-Number: %d\r\n" % (count - 1) in files(folder)[-1].read_bytes()


def test_bounded_age(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too old goes with the next write. Other files in the folder stay."""
    capture = Capture(folder, max_age=3600)
    other = folder / "notes.txt"
    other.touch()
    now = time.time()
    for moment in (now, now + 3599, now + 3601):
        monkeypatch.setattr(time, "time", partial(float, moment))
        refuse(capture)

    assert len(files(folder)) == 3
    assert other.exists()


def test_bounded_size(folder: Path) -> None:
    """Larger bodies are left out, whether the route has read them or not."""
    capture = Capture(folder, max_body=20)
    read: list[int] = []
    for headers in ([], [(SIGNATURE, "A" * 43 + "=")]):
        request = Incoming(headers, BODY)
        assert refuse(capture, request).status == 401
        read += request.limits

    assert files(folder) == []
    assert read == [20, 26_214_400]


def test_body_that_is_gone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the body of an unsigned request cannot be read, its refusal is as it was."""

    def hang_up(*_: object) -> bytes:
        raise ConnectionError

    monkeypatch.setattr(Plain, "read_body", hang_up)

    assert refuse(Capture(folder)).status == 401
    assert files(folder) == []


HOSTILE = [
    ("X-Fine", "1"),
    ("X-Split", "a\r\nSet-Cookie: b\0c"),
    ("Bad Name", "1"),
    ("Bad\r\nName", "1"),
    ("", "1"),
    ("X-É", "1"),
    ("X-Latin", "caf\xe9"),
    ("X-Wide", "\u2028"),
    ("Content-Length", "4000"),
    ("Transfer-Encoding", "chunked"),
    ("Captured-At", "2020-01-01T00:00:00Z"),
]


@pytest.mark.parametrize("target", ["/ok?q=1", "", "/a b\r\nX-Evil: 1", "/é"])
def test_hostile(
    folder: Path,
    target: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file is one request, whatever its client sent, and the strict reader accepts it."""
    request = Incoming(HOSTILE, BODY, method="PO ST\n", target=("http", target))
    refuse(Capture(folder), request)

    (file,) = files(folder)
    head, _, body = file.read_bytes().partition(b"\r\n\r\n")
    assert body == BODY
    *lines, moment, length = head.split(b"\r\n")[1:]
    assert lines == [
        b"X-Fine: 1",
        b"X-Split: a  Set-Cookie: b c",
        b"X-Latin: caf\xe9",
        b"X-Wide: ?",
    ]
    assert moment.startswith(b"Captured-At: 20")
    assert b"2020-01-01" not in moment
    assert length == b"Content-Length: 21"
    explanation = explained(capsys, monkeypatch, "--request", str(file))
    assert explanation["verdict"] == "unexplained"


def test_time(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that was in time when it came is in time when somebody explains it later."""
    capture, now = Capture(folder), time.time() - 4000
    signed = signed_request(STRIPE, {}, SECRET, timestamp=int(now))
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: now)
        refuse(capture, Incoming(signed.headers, signed.body + b" "), scheme=STRIPE)

    (file,) = files(folder)
    arguments = ["--scheme", "stripe", "--request", str(file)]
    found = explained(capsys, monkeypatch, *arguments)
    assert [each["code"] for each in found["findings"]] == ["body-line-end"]
    file.write_bytes(file.read_bytes().replace(b"Captured-At: 2", b"Captured-At: soon 2"))
    assert cli.main(["explain", "-e", "SECRET", *arguments]) == 2
    assert "--request: Captured-At must be Unix seconds" in capsys.readouterr().err


def test_urls(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The URL that the client asked for is in the file, and of a scheme with URLs too."""
    url = "https://example.com/hook"
    signed = signed_request(SQUARE, {}, SECRET, url="https://example.com/hook/")
    refuse(
        Capture(folder),
        Incoming(
            [*signed.headers, ("Host", "example.com")], signed.body, target=("https", "/hook")
        ),
        scheme=SQUARE,
        url=url,
    )

    (file,) = files(folder)
    arguments = ("--scheme", "square", "--url", url, "--request", str(file))
    found = explained(capsys, monkeypatch, *arguments)
    assert found["findings"][0]["code"] == "url-differs"


def test_event_that_is_not_listed(folder: Path) -> None:
    """It is captured too: the event itself does not show the header."""
    signed = signed_request(WOOCOMMERCE, {}, SECRET)
    request = Incoming([*signed.headers, ("X-WC-Webhook-Topic", "order.deleted")], signed.body)
    refuse(
        Capture(folder), request, scheme=providers.WOOCOMMERCE, unsigned_events=["order.created"]
    )

    (file,) = files(folder)
    assert "-ignored-" in file.name
    assert b"X-WC-Webhook-Topic: order.deleted" in file.read_bytes()


@contextmanager
def no_space() -> Generator[None]:
    """Let no file grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_full_disk(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Half a file is removed, the log says so, and the response is as it was."""
    capture = Capture(folder)
    caplog.clear()
    logging.disable(logging.WARNING)  # the lines of the route itself
    with no_space():
        answer = refuse(capture)
    logging.disable(logging.NOTSET)

    assert answer.status == 401
    assert files(folder) == []
    assert "the observer Capture failed: [Errno 27] File too large" in caplog.text


def test_two_processes(folder: Path) -> None:
    """Files that another process removes or adds are no error."""
    capture, other = Capture(folder, max_files=2), Capture(folder, max_files=1)
    for _ in range(3):
        refuse(capture)
        refuse(other)
    assert len(files(folder)) == 1
    refuse(capture)
    assert len(files(folder)) == 2


def test_file_that_another_process_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It need not be removed again."""
    capture = Capture(folder, max_files=1)
    refuse(capture)
    (file,) = files(folder)
    listdir = os.listdir

    def listed(path: Path) -> list[str]:
        names = listdir(path)
        file.unlink(missing_ok=True)
        return names

    monkeypatch.setattr(os, "listdir", listed)
    refuse(capture)
    assert len(files(folder)) == 1
    assert "the observer" not in caplog.text


def test_not_inside_of_a_function(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Something around it would get no raw request for it, so it says so."""
    capture = Capture(folder)

    def observe(event: Event) -> None:
        capture(event)

    receiver = make_receiver(FRAPPE, secret=SECRET, observe=observe)
    run(receiver.handle(BLOCKING, Incoming([], BODY), "view", lambda: 200))
    assert "pass Capture(...) itself in observe=" in caplog.text


def test_raw_request_is_not_shown() -> None:
    """An error reporter shows local variables: a raw request shows nothing."""
    request = RawRequest(
        "POST", "/", [("Authorization", SECRET)], SECRET.encode(), scheme=FRAPPE, url=None
    )
    assert repr(request) == "<a raw request>"
    assert not isinstance(request, Sequence)
    assert not hasattr(request, "__dict__")


@pytest.mark.parametrize(
    ("target", "headers"), [("/" + "a" * 131_072, []), ("/", [("X-Long", "a" * 8190)] * 17)]
)
def test_large_head(folder: Path, target: str, headers: Any) -> None:
    """A request whose headers are larger than those of any sender is left out."""
    refuse(Capture(folder), Incoming(headers, BODY, target=("http", target)))

    assert files(folder) == []


def test_not_read_twice(folder: Path) -> None:
    """Nobody waits for the rest of a body that is too large."""
    request = Incoming([(SIGNATURE, "A" * 43 + "=")], BODY)
    limit = Plain.read_body

    def too_large(plain: Plain, request: Incoming, most: int) -> bytes:
        limit(plain, request, most)
        raise BodyTooLarge(most)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plain, "read_body", too_large)
        assert refuse(Capture(folder), request, max_body=20).status == 413
    assert request.limits == [20]
    assert files(folder) == []


def test_error_shows_no_request(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its errors come without frames, in which an error reporter would find the raw request."""
    capture = Capture(folder)
    folder.rmdir()
    refuse(capture)
    monkeypatch.setattr(os, "listdir", lambda _: 1 // 0)
    refuse(capture)

    lost, other = (each for each in caplog.records if "the observer" in each.getMessage())
    assert lost.getMessage().startswith("the observer Capture failed: [Errno 2] No such file or")
    assert other.getMessage() == "the observer Capture failed: ZeroDivisionError"
    assert lost.exc_info is other.exc_info is None
