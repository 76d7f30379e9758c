"""The page about the delivery service is true."""

from __future__ import annotations

import re

from delivery_service.commands import app
from delivery_service.settings import PREFIX, Settings
from typer.main import get_command

from tests.loopback import ROOT

PAGE = (ROOT / "docs" / "delivery-service.md").read_text("utf-8")
DEPLOY = ROOT / "examples" / "delivery_service" / "deploy"


def test_settings() -> None:
    """The table has each setting, and its default."""
    rows = re.findall(rf"^\| `{PREFIX}(\w+)` \| (.*?) \|", PAGE, re.MULTILINE)
    shown = {name.lower(): value.strip("`") for name, value in rows}

    def default(name: str) -> str:
        field = Settings.model_fields[name]
        value = getattr(field.default, "get_secret_value", lambda: field.default)()
        return "must be set" if field.is_required() else str(value or "none")

    assert shown == {name: default(name) for name in Settings.model_fields}


def test_commands() -> None:
    """The table has each command."""
    _, _, section = PAGE.partition("## The commands")
    section, _, _ = section.partition("\n## ")
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)[1:]
    shown = {word.split()[0] for row in rows for word in re.findall(r"`(.*?)`", row)}

    command = get_command(app)
    assert shown == {*getattr(command, "commands")}  # noqa: B009  # of a group


def test_files() -> None:
    """The table has each file for a deployment."""
    _, _, section = PAGE.partition("\n## Deploy")
    rows = re.findall(r"^\| (`.*?) \|", section.partition("\n## ")[0], re.MULTILINE)
    shown = {word for row in rows for word in re.findall(r"`(.*?)`", row)}
    full = {f"delivery-service{each}" if each.startswith("-") else each for each in shown}

    assert full == {each.name for each in DEPLOY.iterdir() if each.is_file()}


def test_pictures() -> None:
    """Each picture is there."""
    pictures = [ROOT / "docs" / each for each in re.findall(r"!\[.*?\]\((.*?)\)", PAGE)]

    assert pictures
    assert [each for each in pictures if not each.is_file()] == []
