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

# What a module may import of the package: those above it, as docs/design.md lists them.
LAYERS = [
    {
        "exceptions",
        "_escaping",
        "_self_closing",
        "integrations._extras",
        "_template",
        "replay._protocol",
        "replay._steps",
        "cli._outcome",
    }
    | {"replay._workers"}
    | {"integrations.django._transactions", "testing._transactions"}
    | {"integrations.django.models", "integrations.django.migrations.0001_initial"},
    {"_headers", "_payload", "_raw_body", "_secret_checks", "_timestamp"}
    | {"replay._lua", "replay._memory", "replay._sqlite", "testing._stores", "testing._comparisons"}
    | {"replay._renewal", "integrations._responses", "integrations.django._store"}
    | {"cli._excerpt", "cli._input", "cli._output", "cli._progress"},
    {"scheme", "secret", "replay._callers", "replay._deduplicator"}
    | {"integrations._urls", "integrations.redis", "integrations.frappe._cache_store"}
    | {"cli._captured_request", "cli._commands"},
    {"replay._claims", "cli._curl", "cli._log_row"},
    {"replay"},
    {"_frappe", "_keys", "_registered_urls", "_envelope", "_overriding"} | {"cli"},
    {"_compression", "delivery", "providers", "observe._event", "observe._attempt_event"}
    | {"observe._outbox_event"}
    | {"sending._deadline", "sending._networks"},
    {"observe._log", "observe._raw"} | {"sending._attempt", "sending._lookup", "sending._target"},
    {"_clues", "_compiled", "_events"} | {"observe._threads", "sending._guard", "sending._proxy"},
    {"sending._connection"},
    {"sending._exchange", "sending._pool", "sending._schedule"},
    {"_wire", "integrations.django._setting", "integrations.frappe._site_secrets"}
    | {"cli._secret_sources", "__main__"},
    {"_selection", "sign"},
    {"sending._request"},
    {"sending._sender"},
    {"sending"},
    {"cli._options"},
    {"outbox._bounds", "outbox._dialect", "outbox._states", "outbox._secrets", "outbox._health"}
    | {"outbox._formats", "outbox._frames"},
    {"outbox._database", "outbox._records"},
    {
        "outbox._bell",
        "outbox._lanes",
        "outbox._masking",
        "outbox._publishing",
        "outbox._retention",
        "outbox._servers",
        "outbox._sqlite",
        "outbox._tables",
    },
    {"outbox._claims", "outbox._endpoints", "outbox._history"},
    {"outbox._routing", "outbox._settling"},
    {"outbox._crew", "outbox._processes", "outbox._senders"},
    {"outbox._dispatcher", "outbox._copying"},
    {"outbox._worker"},
    {"outbox._outbox"},
    {"outbox"},
    {"integrations.celery", "integrations.sqlalchemy", "integrations.django._database"}
    | {"integrations.django._sending_again"},
    {"integrations.django._outbox_setting", "integrations.django._outbox_tables"},
    {"integrations.django.admin", "integrations.django.migrations.0002_outbox"}
    | {"integrations.django.migrations.0003_outbox_version_2"}
    | {"integrations.django.management.commands.hooksig_worker"},
    {"_tolerance", "replay._deduplication", "integrations.frappe._sending"}
    | {"integrations._request_signer"}
    | {"cli._providers", "cli._secret", "cli._send", "cli._sign"}
    | {"cli._outbox_chosen", "cli._outbox_place", "cli._outbox_shown"},
    {"cli._outbox_again", "cli._outbox_endpoints", "cli._outbox_history", "cli._outbox_publish"}
    | {"cli._outbox_copy", "cli._outbox_tables", "cli._worker"},
    {"cli._outbox"},
    {"integrations.httpx", "integrations.requests"}
    | {"_matching", "freshness", "testing._override", "testing._requests"}
    | {"testing._fake_receiver"},
    {
        "streaming",
        "testing._captured_outbox",
        "testing._http",
        "testing._recorded",
        "testing._redelivery",
    }
    | {"cli._exchange"},
    {"verify", "testing._cases"},
    {"explain._findings"},
    {"explain._request", "explain._secret_causes", "explain._serialisations"},
    {"explain._rendering_causes", "explain._signatures", "explain._url_causes"},
    {"explain._body_causes", "explain._content_causes"},
    {"explain._tries"},
    {"explain._hints", "explain._search"},
    {"explain._explain"},
    {"explain"},
    {"cli._explain", "observe._capture", "observe._explaining"},
    {"observe"},
    {"multi", "integrations.django._checks", "cli._scenarios", "cli._verify"}
    | {"testing._deliveries", "testing._forging"},
    {"testing._hostile"},
    {"testing._judging"},
    {"integrations._options", "integrations.django.apps"} | {"cli._trigger"},
    {"integrations", "integrations._observation"},
    {"integrations._framework"},
    {"integrations._secret_sources"},
    {"integrations._receiver"},
    {"integrations._asgi", "integrations._werkzeug", "integrations.django._decorators"},
    {"integrations.starlette", "integrations.fastapi", "integrations.flask"}
    | {"integrations.django", "integrations.frappe._decorators"},
    {"integrations.frappe", "testing"},
    {"_pytest_plugin"},
]
LEVEL = {name: level for level, layer in enumerate(LAYERS) for name in layer}
PATHS = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in SOURCE.rglob("*.py")
    if path.name != "__init__.py"
    or path.parent.name not in {"frappe_hooksig", "migrations", "management", "commands"}
}
MODULES = sorted(PATHS)


# What an outbox stores encrypted needs an extra, which is imported when there is a key.
ENCRYPTING = SOURCE / "outbox" / "_secrets.py"


def imports_of(path: Path) -> set[str]:
    """Return the dotted names of all modules that a file imports, but for those of type hints."""
    names: set[str] = set()
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
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
    """Each name of `__all__` can be had, and is listed before it was."""
    code = "import frappe_hooksig; print(set(frappe_hooksig.__all__) <= set(dir(frappe_hooksig)))"

    assert all(hasattr(frappe_hooksig, name) for name in frappe_hooksig.__all__)
    assert printed_by(code) == "True\n"


def test_every_exception_is_exported() -> None:
    """What can be raised can be caught by a name of the package."""
    raised = {name for name, value in vars(exceptions).items() if isinstance(value, type)} - {
        "Enum"
    }

    assert raised <= set(frappe_hooksig.__all__)


@pytest.mark.parametrize("name", ["exceptions", "freshness", "replay", "verify"])
def test_submodules(name: str) -> None:
    """A plain `import frappe_hooksig` is enough for `frappe_hooksig.exceptions`."""
    code = f"import frappe_hooksig; print(frappe_hooksig.{name}.__name__)"

    assert printed_by(code) == f"frappe_hooksig.{name}\n"


def test_version() -> None:
    """The version is the distribution's; no other attribute is made up."""
    assert frappe_hooksig.__version__ == version("frappe-hooksig")
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        attrgetter("nonsense")(frappe_hooksig)


def test_every_module_has_a_level() -> None:
    """A new module is put into its place, and into one only."""
    assert sorted(name for layer in LAYERS for name in layer) == MODULES


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
    plugin = SOURCE / "_pytest_plugin.py"  # which pytest itself loads
    for folder in (".", "replay", "explain", "cli", "observe", "outbox", "sending", "testing"):
        for path in {*SOURCE.joinpath(folder).glob("*.py")} - {plugin}:
            own = {"cryptography"} if path == ENCRYPTING else set()
            assert {name.partition(".")[0] for name in imports_of(path)} <= allowed | own, path
    assert {name.partition(".")[0] for name in imports_of(plugin)} <= allowed | {"pytest"}


def test_requirements() -> None:
    """One runtime dependency; what an extra needs is named as wide as it can be."""
    required = metadata("frappe-hooksig").get_all("Requires-Dist") or []

    assert [each for each in required if "extra ==" not in each] == ["typing-extensions>=4.6.1"]


def printed_by(code: str) -> str:
    """Return what some code prints in a Python of its own."""
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


def loaded_by(code: str) -> set[str]:
    """Return the modules that are loaded after some code has run in a Python of its own."""
    show = "import sys, json; print(json.dumps([*sys.modules]))"
    return set(json.loads(printed_by(f"{code}; {show}")))


@pytest.mark.parametrize(
    ("code", "unneeded"),
    [
        ("import frappe_hooksig", {"scheme", "secret", "verify", "sign", "providers"}),
        ("from frappe_hooksig import Verifier", {"sign", "multi", "providers", "replay"}),
        ("from frappe_hooksig import Signer", {"verify", "delivery", "streaming", "providers"}),
        ("from frappe_hooksig.replay import MemoryStore", {"verify", "scheme", "replay._sqlite"}),
    ],
    ids=["package", "receiver", "sender", "store"],
)
def test_names_are_imported_on_first_use(code: str, unneeded: set[str]) -> None:
    """What a program does not use is not loaded."""
    loaded = {name.removeprefix("frappe_hooksig.") for name in loaded_by(code)}

    assert loaded & unneeded == set()


def test_import_loads_no_framework() -> None:
    """`import frappe_hooksig` costs no framework, not even those that are installed."""
    modules = loaded_by("import frappe_hooksig")
    loaded = {name.partition(".")[0] for name in modules}

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
        "sqlalchemy",
        "cryptography",
        "celery",
    }
    assert not loaded & (frameworks | {"typing_extensions"})
    assert "frappe_hooksig.integrations" not in modules


def test_layers_are_documented() -> None:
    """docs/design.md draws the same picture."""
    page = (Path(__file__).parents[1] / "docs" / "design.md").read_text("utf-8")

    assert [name for name in LEVEL if f"`{name.replace('.', '/')}`" not in page] == []


def test_is_typed() -> None:
    """Type checkers use our annotations."""
    assert (SOURCE / "py.typed").exists()
