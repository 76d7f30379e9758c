"""The package as a whole: names, arrows between modules, what importing it loads."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib.metadata import metadata, version
from operator import attrgetter
from pathlib import Path

import pytest

import frappe_hooksig
from frappe_hooksig import exceptions

SOURCE = Path(frappe_hooksig.__file__).parent

# What a module may import of the package: those to the right of it, as docs/design.md draws them.
LAYERS = [
    {"exceptions", "_frappe"},
    {"headers", "secret", "timestamp"},
    {"scheme"},
    {"providers", "delivery"},
    {"sign", "verify", "freshness"},
    {"replay", "answers", "addresses", "one_of", "cli._outcome"},
    {"replay.keeper", "replay.lua", "replay.memory", "replay.sqlite", "cli._output", "cli._input"},
    {"once", "integrations.redis", "cli._options", "cli._secret_sources", "cli._captured_request"},
    {"receiver", "cli._sign", "cli._verify", "cli._secret", "cli._providers"},
    {
        "cli._commands",
        *("integrations.flask", "integrations.starlette", "integrations.django.setting"),
        *("integrations.django.transactions", "integrations.django.models"),
        *("integrations.django.migrations.0001_initial", "integrations.frappe.site_secrets"),
        "integrations.frappe.cache_store",
    },
    {
        "cli",
        *("integrations.django.stores", "integrations.django.checks", "integrations.fastapi"),
        *("integrations.frappe.decorators", "integrations.frappe.sending"),
    },
    {"integrations.django.decorators", "integrations.django.apps", "__main__"},
]
LEVEL = {name: level for level, layer in enumerate(LAYERS) for name in layer}
PATHS = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in SOURCE.rglob("*.py")
    if path.name != "__init__.py" or path.parent.name in {"replay", "cli"}
}
MODULES = sorted(PATHS)


def imports_of(path: Path) -> set[str]:
    """Return the dotted names of all modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            taken = {alias.name for alias in node.names}
            if taken != {"__version__"}:  # the only thing that the package itself has
                names.add(node.module or "")
            names |= {f"{node.module}.{name}" for name in taken}
    return names


def test_exports() -> None:
    """`__all__` is what is there, and each of it can be had."""
    public = {
        name
        for name, value in vars(frappe_hooksig).items()
        if not name.startswith("_")
        and getattr(value, "__module__", "").startswith("frappe_hooksig.")
    }

    assert set(frappe_hooksig.__all__) == public | {"providers"}
    assert all(hasattr(frappe_hooksig, name) for name in frappe_hooksig.__all__)


def test_every_exception_is_exported() -> None:
    """What can be raised can be caught by a name of the package."""
    raised = {name for name, value in vars(exceptions).items() if isinstance(value, type)} - {
        "Enum"
    }

    assert raised <= set(frappe_hooksig.__all__)


def test_version() -> None:
    """The version is the distribution's; no other attribute is made up."""
    assert frappe_hooksig.__version__ == version("frappe-hooksig")
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        attrgetter("nonsense")(frappe_hooksig)


def test_every_module_has_a_level() -> None:
    """A new module is put into its place."""
    assert sorted(LEVEL) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_arrows(module: str) -> None:
    """Imports point one way: to what a module stands on."""
    path = PATHS[module]
    ours = {
        name.removeprefix("frappe_hooksig.")
        for name in imports_of(path)
        if name.startswith("frappe_hooksig.")
    }
    used = {name for name in ours if name in LEVEL}

    assert "frappe_hooksig" not in imports_of(path), "import from the module, not from the package"
    assert {name: LEVEL[name] for name in used if LEVEL[name] >= LEVEL[module]} == {}


def test_core_needs_nothing_but_the_standard_library() -> None:
    """Only integrations import a framework; typing-extensions is for Python 3.10."""
    allowed = {*sys.stdlib_module_names, "frappe_hooksig", "typing_extensions"}
    for path in (*SOURCE.glob("*.py"), *SOURCE.glob("replay/*.py"), *SOURCE.glob("cli/*.py")):
        assert {name.partition(".")[0] for name in imports_of(path)} <= allowed, path


def test_requirements() -> None:
    """One runtime dependency; what an extra needs is named as wide as it can be."""
    required = metadata("frappe-hooksig").get_all("Requires-Dist") or []

    assert [each for each in required if "extra ==" not in each] == ["typing-extensions>=4.6.1"]


def test_import_loads_no_framework() -> None:
    """`import frappe_hooksig` costs no framework, not even those that are installed."""
    code = "import sys, json, frappe_hooksig; print(json.dumps(sorted(sys.modules)))"
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    loaded = {name.partition(".")[0] for name in json.loads(output)}

    frameworks = {
        "django",
        "flask",
        "werkzeug",
        "starlette",
        "fastapi",
        "pydantic",
        "httpx",
        "redis",
        "requests",
    }
    assert not loaded & (frameworks | {"typing_extensions"})
    assert "frappe_hooksig.integrations" not in json.loads(output)


def test_layers_are_documented() -> None:
    """docs/design.md draws the same picture."""
    page = (Path(__file__).parents[1] / "docs" / "design.md").read_text("utf-8")

    assert [name for name in LEVEL if f"`{name.replace('.', '/')}`" not in page] == []


def test_is_typed() -> None:
    """Type checkers use our annotations."""
    assert (SOURCE / "py.typed").exists()
