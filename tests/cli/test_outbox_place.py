"""Where the outbox is that the commands work on: a file, a server, or that of an app."""

from __future__ import annotations

import sys
from pathlib import Path
from secrets import token_hex

import pytest

from tests.cli.command import USAGE, says
from tests.cli.outboxes import NOTHING, PASSWORD, URL, Commands, refused

APP = """\
from frappe_hooksig.outbox import Outbox, SQLiteDatabase

outbox = Outbox("outbox.db", references={"vault": {"a": "b"}.get})

class Broken(SQLiteDatabase):
    errors = (LookupError,)

    def run(self, work):
        raise LookupError("a value of a row")

class Nested:
    broken = Outbox(Broken("outbox.db"))
"""


@pytest.fixture(autouse=True)
def path_of_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands look for modules in the working directory only while a test runs."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """Return commands on a new outbox."""
    return Commands(tmp_path)


def app(folder: Path, code: str = APP) -> str:
    """Write a module of a name that no other has, and return the name."""
    name = f"app_{token_hex(8)}"
    (folder / f"{name}.py").write_text(code)
    return name


@pytest.mark.parametrize("environment", [{}, {"HOOKSIG_OUTBOX": ""}])
def test_nowhere(environment: dict[str, str]) -> None:
    """There is no default place."""
    err = refused("list", **environment)

    assert "where is the outbox? Name it with --database, HOOKSIG_OUTBOX or --app" in err


def test_database_comes_before_the_variable(commands: Commands, tmp_path: Path) -> None:
    """An option is nearer than the environment."""
    commands.add()
    commands.says("outbox", "init", "--database", "other.db")

    assert commands.says("outbox", "endpoints", "--database", "other.db") == "no endpoints"
    assert (tmp_path / "other.db").exists()


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://user:{PASSWORD}@host/name",
        f"postgresql://user:pa/{PASSWORD}?x@host/name",
        f"mysql+pymysql://host/name?password={PASSWORD}",
        f"postgresql://host/name?application_name=a&sslpassword={PASSWORD}",
    ],
)
def test_password_among_the_arguments(url: str) -> None:
    """Every user of the machine could read it."""
    err = refused("list", "--database", url)

    assert "put the URL into the environment variable HOOKSIG_OUTBOX" in err


@pytest.mark.parametrize(
    ("extra", "needed", "environment"),
    [
        ("sqlalchemy", "sqlalchemy", {"HOOKSIG_OUTBOX": "postgresql+psycopg://127.0.0.1/name"}),
        ("encryption", "cryptography.fernet", {"HOOKSIG_OUTBOX_KEYS": "a", "HOOKSIG_OUTBOX": "a"}),
    ],
)
def test_extra_is_missing(
    extra: str, needed: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error has the command that installs it."""
    monkeypatch.delitem(sys.modules, "frappe_hooksig.integrations.sqlalchemy", raising=False)
    monkeypatch.setitem(sys.modules, needed, None)

    assert f"pip install 'frappe-hooksig[{extra}]'" in refused("init", **environment)


def test_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """The error is that of SQLite."""
    _, err = says(USAGE, "outbox", "init", "--database", "no/such/folder/a.db", cwd=tmp_path)

    assert "OperationalError: unable to open database file\n" in err


class TestApp:
    """`--app`."""

    def test_references(self, commands: Commands) -> None:
        """The outbox knows what the app has given it."""
        module = app(commands.folder)
        where = ["--app", f"{module}:outbox", "--secret-from", "vault:a"]

        endpoint = commands.says("outbox", "endpoints", "add", URL, *where)
        assert "secret from: vault:a" in commands.says("outbox", "show", endpoint)
        assert commands.run(NOTHING, "outbox", "again", "--since", "1h", *where[:2])

    def test_database_that_fails(self, commands: Commands) -> None:
        """An error of another database shows no value of a row."""
        module = app(commands.folder)

        _, err = commands.run(USAGE, "outbox", "list", "--app", f"{module}:Nested.broken")
        assert err == (
            "frappe-hooksig: error: the database of the outbox cannot be used: LookupError\n"
        )

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("{}", "--app must have the form module:name"),
            ("{}.py:outbox", "there is no such module, neither in the working directory nor"),
            ("no_such_module.part:outbox", "there is no such module"),
            ("{}:nonsense", "--app: the module has no Outbox of this name"),
            ("{}:outbox.nonsense", "--app: the module has no Outbox of this name"),
            ("{}:Outbox", "--app: the module has no Outbox of this name"),
        ],
    )
    def test_wrong_name(self, name: str, message: str, commands: Commands) -> None:
        """The error does not repeat it."""
        module = app(commands.folder)

        _, err = commands.run(USAGE, "outbox", "list", "--app", name.format(module))
        assert message in err
        assert module not in err

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            ("\nimport no_such_module\n", "raises ModuleNotFoundError (no_such_module) at {}:2\n"),
            (f"def f():\n    raise ValueError({PASSWORD!r})\nf()", "raises ValueError at {}:2\n"),
            ("\n\nfrom os import nonsense\n", "raises ImportError at {}:3\n"),
            ("a = 1\nb = = 2\n", "raises SyntaxError at {}:2\n"),
        ],
        ids=["module", "error", "name", "syntax"],
    )
    def test_code_that_fails(self, code: str, message: str, commands: Commands) -> None:
        """The error says where, and not what: it may have a setting of the app."""
        module = app(commands.folder, code)

        _, err = commands.run(USAGE, "outbox", "list", "--app", f"{module}:outbox")
        assert message.format(commands.folder / f"{module}.py") in err
        assert PASSWORD not in err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["outbox", "list", "--database", "a"], "has a database of its own: leave out --datab"),
            (["outbox", "list", "--installation", "a"], "decides this: leave out --installation"),
            (["worker", "--allow", "10.0.0.5", "--timeout", "3"], "leave out --allow, --timeout"),
        ],
    )
    def test_options_of_the_app(
        self, arguments: list[str], message: str, commands: Commands
    ) -> None:
        """What the app decides cannot be given besides."""
        module = app(commands.folder)

        _, err = commands.run(USAGE, *arguments, "--app", f"{module}:outbox")
        assert message in err
