"""Running the command, in this process or in one of its own, and what the tests pass to it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO
from unittest.mock import patch

from frappe_hooksig import sign_payload
from frappe_hooksig.cli import main

COMMAND = [sys.executable, "-m", "frappe_hooksig"]
SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
OLD = "8Kx2Wm5Rt9Yb3Nc6Vf1Zq4Hs"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_700_000_000
BODY = b'{"order": "SO-00001"}'
SIGNATURE = "X-Frappe-Webhook-Signature"
RIGHT = sign_payload(BODY, SECRET).signature
HEADER = f"{SIGNATURE}: {RIGHT}"
# Without the outbox of somebody who runs the tests.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("HOOKSIG_")},
    "NEW": SECRET,
    "OLD": OLD,
    "WHSEC": WHSEC,
}

VERIFIED, REFUSED, USAGE, INTERRUPTED = 0, 1, 2, 130


def run(
    *arguments: str | bytes | Path,
    body: bytes | BinaryIO = BODY,
    environment: Mapping[str, str] = ENVIRONMENT,
    cwd: Path | None = None,
    encoding: str = "utf-8",
    closed: Collection[str] = (),
) -> subprocess.CompletedProcess[bytes]:
    """Run the command in this process.

    Args:
        arguments: The arguments after the command's name.
        body: The content of standard input.
        environment: All environment variables.
        cwd: The working directory; by default the current one.
        encoding: The encoding of standard output.
        closed: Which of `stdin`, `stdout` and `stderr` are closed.
    """
    output, errors = BytesIO(), BytesIO()
    files = {
        "stdin": TextIOWrapper(BytesIO(body) if isinstance(body, bytes) else body),
        "stdout": TextIOWrapper(output, encoding),
        "stderr": TextIOWrapper(errors, "utf-8", "backslashreplace"),
    }
    given: dict[str, Any] = {name: None if name in closed else files[name] for name in files}
    with (
        _working_in(cwd),
        patch.dict(os.environ, environment, clear=True),
        patch.multiple(sys, **given),
    ):
        try:
            status: Any = main([os.fsdecode(each) for each in arguments])
        except SystemExit as ended:
            status = ended.code
    files["stdin"].detach()  # the caller closes its own file
    files["stdout"].flush()
    files["stderr"].flush()
    return subprocess.CompletedProcess(
        arguments, status, stdout=output.getvalue(), stderr=errors.getvalue()
    )


def run_process(
    *arguments: str | bytes | Path,
    body: bytes = BODY,
    environment: Mapping[str, str] = ENVIRONMENT,
    **options: Any,
) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process of its own."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run(
        [*COMMAND, *arguments], input=body, env=environment, timeout=60, check=False, **options
    )


def says(
    status: int,
    *arguments: str | bytes | Path,
    by: Callable[..., subprocess.CompletedProcess[bytes]] = run,
    **options: Any,
) -> tuple[str, str]:
    """Run the command, check its exit status, and return its standard output and error."""
    done = by(*arguments, **options)
    assert done.returncode == status, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    return done.stdout.decode(), done.stderr.decode()


@contextmanager
def _working_in(folder: Path | None) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder or before)
    try:
        yield
    finally:
        os.chdir(before)
