"""What was measured on: the machine, and the version of everything that took part."""

from __future__ import annotations

import os
import platform
import ssl
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

CONTENDERS = (
    "frappe-hooksig",
    "flask",
    "gidgethub",
    "gunicorn",
    "itsdangerous",
    "slack-sdk",
    "standardwebhooks",
    "starlette",
    "stripe",
    "svix",
    "werkzeug",
)


def description() -> dict[str, str]:
    """Return what a reader has to know to compare numbers with their own."""
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": platform.platform(),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "OpenSSL": ssl.OPENSSL_VERSION,
        "versions": ", ".join(f"{name} {version(name)}" for name in CONTENDERS),
    }


def _processor() -> str:
    """Return the processor's model; Linux alone tells it in a file."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(models), platform.processor() or platform.machine())
