"""`Capture`: raw requests that were refused, as files for `frappe-hooksig explain --request`."""

from __future__ import annotations

import logging
import os
import re
import stat
import time
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from secrets import token_hex

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.observe._event import Event
from frappe_hooksig.observe._raw import RawObserver, RawRequest

_log = logging.getLogger("frappe_hooksig")

# The names of our files. Their order is the order in which they were written.
_FILE = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[a-z-]+-[0-9a-f]{8}\.http")

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2

_UNPRINTED = re.compile("[\r\n\0]")

# The files have the decoded body with a length of their own, and say when the request came.
_OURS = frozenset({"captured-at", "content-length", "transfer-encoding"})


class Capture(RawObserver):
    """Writes each refused request into a file, to find out why its signature does not match.

    A request whose event is ignored is written too, because an event does not name it. Pass this
    in `observe=`, beside `log`. The files are raw HTTP/1.1 requests, which
    `frappe-hooksig explain --request FILE` reads.

    They have everything that the sender sent: signatures, tokens and personal data. So it is off
    unless you make one, says at the start that it is on, and only the owner can read the files.
    Remove it once you know the cause: a route that captures also reads the bodies of requests that
    are not signed at all.

    Args:
        folder: The folder for the files. It is made if it is missing.
        max_files: How many files to keep. The oldest are removed first.
        max_body: The largest body to keep, in bytes. Requests with larger ones, or with more than
            128 KiB of headers, are left out.
        max_age: How long to keep a file, in seconds. Older ones are removed with the next write.

    Raises:
        ConfigurationError: Other users can read the folder, or a limit is not positive.
        OSError: The folder cannot be made.
    """

    backlog = 8
    is_awaited = True

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        max_files: int = 100,
        max_body: int = 1_048_576,
        max_age: float = 86_400,
    ) -> None:
        if not all(limit > 0 for limit in (max_files, max_body, max_age)):  # NaN is not
            msg = "max_files=, max_body= and max_age= of Capture must be positive"
            raise ConfigurationError(msg)
        self._folder = Path(folder)
        self._max_files = max_files
        self.max_body = max_body
        self._max_age = max_age
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_private(self._folder)
        _log.warning(
            "webhook capture is on: refused requests, with all that their senders sent, are "
            "written to %s",
            self._folder,
        )

    def _take(self, event: Event, request: RawRequest) -> None:
        """Write a request, after removing files that are too old or too many."""
        now = time.time()
        self._remove(now, self._max_files - 1)
        moment = datetime.fromtimestamp(now, timezone.utc)
        path = self._folder / (
            f"{moment:%Y%m%dT%H%M%S.%f}Z-{event.reason or event.kind}-{token_hex(4)}.http"
        )
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(path, flags, 0o600), "wb")
        try:
            with file:
                file.write(_serialised(request, moment))
        except OSError:  # such as a full disk
            path.unlink()
            raise
        self._remove(now, self._max_files)  # other processes may have written meanwhile

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._folder)!r})"

    def _remove(self, now: float, most: int) -> None:
        """Remove files that are too old, and the oldest of those that are too many."""
        files = sorted(filter(_FILE.fullmatch, os.listdir(self._folder)))  # noqa: PTH208  # faster
        oldest = datetime.fromtimestamp(max(0, now - self._max_age), timezone.utc)
        limit = f"{oldest:%Y%m%dT%H%M%S.%f}"
        for place, name in enumerate(files):
            if name < limit or place < len(files) - most:
                with suppress(FileNotFoundError):  # another process was faster
                    (self._folder / name).unlink()


def _require_private(folder: Path) -> None:
    """Refuse a folder that others can read.

    Raises:
        ConfigurationError: They can.
    """
    if os.name == "nt":  # pragma: no cover  # there, the folder above decides who can read
        return
    found = folder.stat()
    if stat.S_IMODE(found.st_mode) & 0o077 or found.st_uid != os.geteuid():
        msg = (
            f"Capture({str(folder)!r}): other users can read this folder. Use a new one, or "
            "make it yours alone: chmod 700"
        )
        raise ConfigurationError(msg)


def _serialised(request: RawRequest, moment: datetime) -> bytes:
    """Return a request as HTTP/1.1, with a Content-Length of its own, and when it came."""
    lines = [f"{_visible(request.method)} {_visible(request.target)} HTTP/1.1"]
    lines += [
        f"{name}: {_UNPRINTED.sub(' ', value)}"
        for name, value in request.headers
        if _TOKEN.fullmatch(name) and name.lower() not in _OURS
    ]
    lines += [f"Captured-At: {moment:%Y-%m-%dT%H:%M:%S.%fZ}"]
    lines += [f"Content-Length: {len(request.body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace") + request.body


def _visible(text: str) -> str:
    """Return a part of the request line, with a question mark for what cannot be in it."""
    return re.sub("[^!-~]", "?", text) or "?"
