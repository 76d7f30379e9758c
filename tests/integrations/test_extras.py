"""What an adapter says if its framework is not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("extra", "needed"),
    [
        ("django", "asgiref"),
        ("django", "django"),
        ("fastapi", "fastapi"),
        ("fastapi", "pydantic"),
        ("flask", "flask"),
        ("httpx", "httpx"),
        ("redis", "redis"),
        ("requests", "requests"),
        ("requests", "urllib3"),
        ("sqlalchemy", "sqlalchemy"),
        ("starlette", "starlette"),
    ],
)
def test_not_installed(extra: str, needed: str) -> None:
    """The error is one of imports still, and has the command to install the extra."""
    code = (
        f"import sys; sys.modules[{needed!r}] = None\n"
        f"try:\n    import frappe_hooksig.integrations.{extra}\n"
        "except ModuleNotFoundError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout == f"{needed} is not installed: pip install 'frappe-hooksig[{extra}]'\n"
