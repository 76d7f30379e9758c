"""The public face: what can be imported, what docs/api.md lists, and that both are the same."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

import frappe_hooksig
from frappe_hooksig import Scheme, providers

SOURCE = Path(frappe_hooksig.__file__).parent
PAGE = (Path(__file__).parents[1] / "docs" / "api.md").read_text("utf-8")

PUBLIC = [
    "frappe_hooksig",
    "frappe_hooksig.cli",
    "frappe_hooksig.delivery",
    "frappe_hooksig.exceptions",
    "frappe_hooksig.explain",
    "frappe_hooksig.freshness",
    "frappe_hooksig.integrations",
    "frappe_hooksig.integrations.celery",
    "frappe_hooksig.integrations.django",
    "frappe_hooksig.integrations.fastapi",
    "frappe_hooksig.integrations.flask",
    "frappe_hooksig.integrations.frappe",
    "frappe_hooksig.integrations.httpx",
    "frappe_hooksig.integrations.redis",
    "frappe_hooksig.integrations.requests",
    "frappe_hooksig.integrations.sqlalchemy",
    "frappe_hooksig.integrations.starlette",
    "frappe_hooksig.multi",
    "frappe_hooksig.observe",
    "frappe_hooksig.outbox",
    "frappe_hooksig.providers",
    "frappe_hooksig.replay",
    "frappe_hooksig.scheme",
    "frappe_hooksig.secret",
    "frappe_hooksig.sending",
    "frappe_hooksig.sign",
    "frappe_hooksig.streaming",
    "frappe_hooksig.testing",
    "frappe_hooksig.verify",
]
# Django finds these by their names; nobody else imports them.
OF_DJANGO = {
    "frappe_hooksig.integrations.django.admin",
    "frappe_hooksig.integrations.django.apps",
    "frappe_hooksig.integrations.django.management",
    "frappe_hooksig.integrations.django.management.commands",
    "frappe_hooksig.integrations.django.management.commands.hooksig_worker",
    "frappe_hooksig.integrations.django.migrations",
    "frappe_hooksig.integrations.django.migrations.0001_initial",
    "frappe_hooksig.integrations.django.migrations.0002_outbox",
    "frappe_hooksig.integrations.django.migrations.0003_outbox_version_2",
    "frappe_hooksig.integrations.django.models",
}
# The packages whose names are those of their private modules.
FACADES = {
    "frappe_hooksig",
    "frappe_hooksig.explain",
    "frappe_hooksig.integrations",
    "frappe_hooksig.integrations.django",
    "frappe_hooksig.integrations.frappe",
    "frappe_hooksig.observe",
    "frappe_hooksig.outbox",
    "frappe_hooksig.replay",
    "frappe_hooksig.sending",
    "frappe_hooksig.testing",
}
MODULES = [import_module(name) for name in PUBLIC]
NAMES = [(module, name) for module in MODULES for name in module.__all__]

# What a directive of the page documents, and the members that stand below it.
DIRECTIVE = re.compile(
    r"^\.\. (auto\w+|py:\w+):: (frappe_hooksig[\w.]*)(?:\(\))?\n(?: +:(?!members)\S+:.*\n)*"
    r"(?: +:members: (.*))?",
    re.MULTILINE,
)
DIRECTIVES = DIRECTIVE.findall(PAGE)
DOCUMENTED = [path for kind, path, _ in DIRECTIVES if kind != "automodule"]
CONSTANTS = re.findall(r"`(\w+)`", PAGE.partition("<!-- constants -->")[2].partition("<!-- end")[0])


def found(path: str) -> object:
    """Return what a documented path leads to."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


CLASSES = {path: value for path in DOCUMENTED if isinstance(value := found(path), type)}
MEMBERS = {found(path): members.split(", ") for _, path, members in DIRECTIVES if members}


def is_ours(value: object) -> bool:
    """Whether a class or function is defined in this package."""
    return str(getattr(value, "__module__", "")).startswith("frappe_hooksig")


def bases_of(cls: type) -> list[type]:
    """Return a class and its bases, as far as they are ours."""
    return [base for base in cls.__mro__ if is_ours(base)]


def assigned_attributes(cls: type) -> list[str]:
    """Return the names of what the methods of a class assign to `self`."""
    return re.findall(r"^ +self\.(\w+)(?:: [^=]+)? = ", inspect.getsource(cls), re.MULTILINE)


def public_attributes(cls: type) -> set[str]:
    """Return the names of all public attributes that a class has of this package's classes."""
    names = {
        name
        for base in bases_of(cls)
        for name in (
            *vars(base),
            *inspect.get_annotations(base),
            *getattr(base, "__members__", ()),
            *assigned_attributes(base),
        )
    }
    foreign = {name for base in cls.__mro__ if not is_ours(base) for name in dir(base)}
    return {name for name in names - foreign if not name.startswith("_")}


def described_attributes(cls: type) -> set[str]:
    """Return what the sections `Attributes:` of the docstrings list."""
    texts = [inspect.cleandoc(vars(base).get("__doc__") or "") for base in bases_of(cls)]
    sections = [text.partition("\nAttributes:\n")[2].partition("\n\n")[0] for text in texts]
    return set(re.findall(r"^    (\w+):", "\n".join(sections), re.MULTILINE))


def annotated() -> Iterator[tuple[str, str]]:
    """Yield the name and the annotation of all that public functions and attributes give."""
    for path in DOCUMENTED:
        if isinstance(function := found(path), FunctionType):
            yield path, str(function.__annotations__["return"])
    for path, cls in CLASSES.items():
        for base in bases_of(cls):
            for name, value in vars(base).items():
                function = getattr(value, "fget", getattr(value, "__func__", value))
                if isinstance(function, FunctionType) and not name.startswith("_"):
                    yield f"{path}.{name}", str(function.__annotations__["return"])
            for name, annotation in inspect.get_annotations(base).items():
                yield f"{path}.{name}", str(annotation)


GIVEN = dict(annotated())


def test_public_modules() -> None:
    """A module without `_` in its path is public: list it above, and its names on the page."""
    paths = [path.relative_to(SOURCE.parent).with_suffix("") for path in SOURCE.rglob("*.py")]
    dotted = {".".join(path.parts).removesuffix(".__init__") for path in paths}
    public = {name for name in dotted if "._" not in name}

    assert public - OF_DJANGO == set(PUBLIC)


@pytest.mark.parametrize("module", MODULES, ids=PUBLIC)
def test_all_is_sorted(module: ModuleType) -> None:
    """`__all__` has constants first, then classes, then functions, each in alphabetical order."""
    names: list[str] = module.__all__

    assert names == sorted(set(names), key=lambda name: (not name.isupper(), name[0] > "Z", name))
    assert all(hasattr(module, name) for name in names)


@pytest.mark.parametrize("module", MODULES, ids=PUBLIC)
def test_all_is_complete(module: ModuleType) -> None:
    """What a public module defines, and what a facade brings together, is in `__all__`."""
    homes = "frappe_hooksig" if module.__name__ in FACADES else f"{module.__name__}$"
    public = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and re.match(homes, str(getattr(value, "__module__", "")))
    }

    assert public <= set(module.__all__)


@pytest.mark.parametrize("module", MODULES, ids=PUBLIC)
def test_constants_are_in_all(module: ModuleType) -> None:
    """Constants and aliases, which know no module, are in `__all__` too."""
    body = ast.parse(inspect.getsource(module)).body
    targets = [
        target
        for node in body
        if isinstance(node, (ast.Assign, ast.AnnAssign))
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    bound = {target.id for target in targets if isinstance(target, ast.Name)}

    assert {each for each in bound if not each.startswith("_")} <= set(module.__all__)


def test_page_lists_every_name() -> None:
    """Each name of each `__all__` is on the page, under one of the paths that lead to it."""
    objects = {(path.rpartition(".")[2], id(found(path))) for path in DOCUMENTED}
    modules = {path for kind, path, _ in DIRECTIVES if kind == "automodule"}
    missing = [
        f"{module.__name__}.{name}"
        for module, name in NAMES
        if (name, id(getattr(module, name))) not in objects
        and not isinstance(getattr(module, name), Scheme)
        and f"{module.__name__}.{name}" not in modules
    ]

    assert missing == []


def test_page_lists_nothing_else() -> None:
    """Each path on the page is that of a name in an `__all__`, and occurs once."""
    public = {f"{module.__name__}.{name}" for module, name in NAMES}

    assert [path for path in DOCUMENTED if path not in public] == []
    assert len(DOCUMENTED) == len(set(DOCUMENTED))


def test_page_lists_the_providers() -> None:
    """The constants of the providers are on the page, each named after its scheme."""
    schemes = {
        name: value
        for name in providers.__all__
        if isinstance(value := getattr(providers, name), Scheme)
    }

    assert sorted(CONSTANTS) == sorted(schemes)
    assert all(name == value.name.upper().replace("-", "_") for name, value in schemes.items())


@pytest.mark.parametrize("path", CLASSES)
def test_page_lists_every_member(path: str) -> None:
    """The public attributes of a class are those that the page and the docstrings list."""
    cls = CLASSES[path]
    listed = {name for base in bases_of(cls) for name in MEMBERS.get(base, ())}

    assert public_attributes(cls) == listed | described_attributes(cls)


def test_nothing_gives_a_bare_tuple() -> None:
    """Tuples of unlike parts make readers count."""
    mixed = re.compile(r"tuple\[(?!(?:[^\[\]]|\[[^\[\]]*\])*, \.\.\.\])")

    given = {name for name, annotation in GIVEN.items() if mixed.search(annotation)}

    assert given == set()


def test_nothing_gives_a_plain_secret() -> None:
    """One name reveals a secret, and says so."""
    secret = re.compile(r"\b(Secret|SecretLike|Secrets|Key)\b")

    assert {name for name, annotation in GIVEN.items() if secret.search(annotation)} == {
        "frappe_hooksig.Secret.from_env"
    }
    assert {name for name, annotation in GIVEN.items() if re.search(r"\bbytes\b", annotation)} == {
        "frappe_hooksig.Delivery.body",
        "frappe_hooksig.Secret.reveal",
        "frappe_hooksig.SignedPayload.body",
        "frappe_hooksig.outbox.AttemptRecord.answer",
        "frappe_hooksig.outbox.Outbox.payload",
        "frappe_hooksig.outbox.OutgoingMessage.payload",
        "frappe_hooksig.sending.Attempt.answer",
        "frappe_hooksig.testing.CapturedMessage.payload",
        "frappe_hooksig.testing.RecordedEvent.body",
    }
