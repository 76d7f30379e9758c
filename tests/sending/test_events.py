"""What observers learn of an attempt, and that they cannot change it."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from frappe_hooksig import ConfigurationError
from frappe_hooksig.observe import AttemptEvent, Capture, log
from frappe_hooksig.testing import FakeReceiver
from tests.sending.servers import sender

FIELDS = {
    *("kind", "reason", "method", "scheme", "body_length", "status", "message", "endpoint"),
    *("seconds", "id"),
}


def test_event() -> None:
    """An event has the facts of the attempt, and nothing of path and query."""
    seen: list[AttemptEvent] = []
    with FakeReceiver([200, 500]) as receiver, sender(observe=seen.append) as each:
        for number in (1, 2):
            each.send(f"{receiver.url}t0ken?secret=t0ken", {"a": 1}, id=f"msg_{number}")
        where = receiver.url.rstrip("/")
    each.send("http://[::1]:1/t0ken", {})
    each.send("nonsense/t0ken", {})

    assert [event.kind for event in seen] == ["delivered", "refused", "unreachable", "blocked"]
    assert [event.endpoint for event in seen] == [where, where, "http://[::1]:1", ""]
    assert [event.status for event in seen] == [200, 500, None, None]
    first = seen[0]
    assert (first.scheme, first.method, first.id) == ("frappe", "POST", "msg_1")
    assert (first.reason, first.message, first.body_length) == ("", "", 8)
    assert 0 < first.seconds < 10
    assert "t0ken" not in repr(seen)


def test_log(caplog: pytest.LogCaptureFixture) -> None:
    """The log has a line for each attempt that failed, and its facts as fields."""
    caplog.set_level(logging.DEBUG, "frappe_hooksig")
    with FakeReceiver([200, 500]) as receiver, sender() as each:
        for number in (1, 2):
            each.send(f"{receiver.url}t0ken", {"a": 1}, id=f"msg_{number}")
        where = receiver.url.rstrip("/")
        each.send("nonsense", {}, id="msg_3")

    refused, blocked = caplog.records
    assert refused.getMessage() == (
        f"webhook refused, HTTP 500: POST to {where} (id msg_2, scheme frappe, body 8 bytes): "
    )
    assert blocked.getMessage().startswith(
        "webhook blocked, bad-url: POST to no URL (id msg_3, scheme frappe, body 2 bytes): "
    )
    assert refused.levelname == "WARNING"
    found = {name.removeprefix("webhook_") for name in vars(refused) if name.startswith("webhook_")}
    assert found == FIELDS
    assert vars(refused)["webhook_id"] == "msg_2"


@pytest.mark.parametrize(("observe", "lines"), [([], 0), ((log,), 1), ([log, print], 1)])
def test_log_is_the_default(caplog: pytest.LogCaptureFixture, observe: Any, lines: int) -> None:
    """It is replaced unless it is listed."""
    sender(observe=observe).send("nonsense", {})

    assert len(caplog.messages) == lines


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
def test_raises(error: type[BaseException], caplog: pytest.LogCaptureFixture) -> None:
    """An observer that raises changes nothing, and the log says so."""
    threads: list[str] = []

    def fail(_event: AttemptEvent) -> None:
        threads.append(threading.current_thread().name)
        raise error

    assert sender(observe=fail).send("nonsense", {}).reason == "bad-url"
    assert threads == [f"frappe_hooksig {fail.__qualname__}"]
    assert "failed: " in caplog.text


def test_blocks() -> None:
    """One that blocks delays one attempt for a moment, and no other."""
    go_on = threading.Event()
    each = sender(observe=lambda _: go_on.wait(60))
    try:
        assert each.send("nonsense", {}).seconds < 5
        assert each.send("nonsense", {}).seconds < 5
    finally:
        go_on.set()


def test_log_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """A filter of the app that raises changes nothing either."""

    def raises(_record: logging.LogRecord) -> bool:
        raise ZeroDivisionError

    logger = logging.getLogger("frappe_hooksig")
    logger.addFilter(raises)
    try:
        assert sender().send("nonsense", {}).reason == "bad-url"
    finally:
        logger.removeFilter(raises)
    assert not caplog.messages


def test_no_observer(tmp_path: Path) -> None:
    """What cannot be called, or keeps requests that are received, is refused at the start."""
    (tmp_path / "captured").mkdir(mode=0o700)
    with pytest.raises(ConfigurationError, match=r"^observe= must be a function that takes an ev"):
        sender(observe=3)
    with pytest.raises(ConfigurationError, match=r"^observe= of a Sender takes no Capture"):
        sender(observe=Capture(tmp_path / "captured"))
