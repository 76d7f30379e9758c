"""Schemathesis finds nothing: all of its checks, in all of its phases."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.delivery_service.running import running
from tests.selection import FULL

EXAMPLES = "1200" if FULL else "2"
PHASES = "examples,coverage,fuzzing,stateful" if FULL else "examples,fuzzing"


@pytest.mark.stress
@pytest.mark.timeout(3600 if FULL else 300)
def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    """What Schemathesis derives from the OpenAPI is answered as the OpenAPI says.

    There are some dozens of cases, and more than 20,000 at full size.
    """
    with running(tmp_path, max_endpoints="10000") as service:
        key = service.caller().key
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run"),
                f"http://127.0.0.1:{service.port}/v1/openapi.json",
                *("--header", f"Authorization: Bearer {key}", "--checks", "all"),
                *("--phases", PHASES, "--max-examples", EXAMPLES, "--continue-on-failure"),
            ],
            cwd=tmp_path,  # it leaves files behind
            capture_output=True,
            text=True,
            timeout=3500 if FULL else 240,
            check=False,
        )

    count = int(re.findall(r"(\d+) generated", done.stdout)[-1])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in "".join(service.log)
    assert count > (20_000 if FULL else 30)
