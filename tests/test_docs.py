"""The documentation does what it says: every code block is run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from doctest import ELLIPSIS
from pathlib import Path

import pytest
from docs.write_providers import API, PAGE, written
from sybil import Sybil
from sybil.document import PythonDocStringDocument
from sybil.parsers.markdown import PythonCodeBlockParser
from sybil.parsers.rest import DocTestParser

from tests.loopback import ROOT, served

PAGES = sorted(path for path in (ROOT / "docs").glob("*.md"))
# Django is set up once for a process, so its page gets one of its own.
SCRIPT = ROOT / "docs" / "django.md"
SOURCES = sorted((ROOT / "src").rglob("*.py"))
CUT = "-- the next command --"
FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page != SCRIPT], ids=lambda path: path.name
)
def test_page(page: Path) -> None:
    """The Python blocks of a page run, one after the other, and their assertions hold."""
    document = Sybil([PythonCodeBlockParser()]).parse(page)
    document.namespace["__name__"] = "__main__"  # what Flask(__name__) finds in a script
    examples = list(document.examples())
    for example in examples:
        example.evaluate()

    python = [
        block for language, block in FENCE.findall(page.read_text("utf-8")) if "py" in language
    ]
    assert len(examples) == len(python)


def test_page_that_is_a_script() -> None:
    """The blocks of this page, one after the other, are a program, and their assertions hold."""
    blocks = [block for _, block in FENCE.findall(SCRIPT.read_text("utf-8"))]

    assert run("\n".join([*blocks, "print('done')"])) == "done"


def test_terminal_sessions(tmp_path: Path) -> None:
    """What is typed on the page of the command line gives what stands there."""
    blocks = FENCE.findall((ROOT / "docs" / "command-line.md").read_text("utf-8"))
    # Behind each `$ ` a command, behind `> ` the rest of it, then what it prints.
    typed = re.compile(r"^\$ (.*\n(?:> ?.*\n)*)((?:(?!\$ ).*\n)*)", re.MULTILINE)
    session = [pair for _, block in blocks for pair in typed.findall(block)]
    script = "".join(
        # Each command finds the status of the one before, as in a terminal.
        f"(exit $status)\n{re.sub('^> ?', '', command, flags=re.MULTILINE)}status=$?\necho {CUT}\n"
        for command, _ in session
    )
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["/bin/sh"],
        input=f"exec 2>&1\nstatus=0\n{script}",
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    assert done.stdout.split(f"{CUT}\n") == [*(printed for _, printed in session), ""]
    assert len(session) > 15


@pytest.mark.parametrize(("path", "lists"), [(PAGE, 2), (API, 1)], ids=["providers", "api"])
def test_providers_are_listed(path: Path, lists: int) -> None:
    """A page lists the providers that there are: else run `python -m docs.write_providers`."""
    page = path.read_text("utf-8")

    assert written(page) == page
    assert page.count("<!-- end -->") == lists


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_page_has_no_block_of_another_language(page: Path) -> None:
    """What nobody runs is not there."""
    languages = {language for language, _ in FENCE.findall(page.read_text("utf-8"))}

    sessions = {"console"} if page.name == "command-line.md" else set[str]()
    assert languages <= {"python", "{toctree}", "{eval-rst}"} | sessions


def test_docstrings() -> None:
    """The examples in docstrings give what they say."""
    sybil = Sybil(
        [DocTestParser(optionflags=ELLIPSIS)],
        document_types={".py": PythonDocStringDocument},
    )
    examples = [example for path in SOURCES for example in sybil.parse(path).examples()]
    for example in examples:
        example.evaluate()

    prompts = sum(path.read_text("utf-8").count(">>> ") for path in SOURCES)
    assert len(examples) == prompts > 0


class TestReadme:
    """The README, as a newcomer would follow it."""

    BLOCKS = FENCE.findall((ROOT / "README.md").read_text("utf-8"))

    def test_blocks(self) -> None:
        """These are all blocks there are; each is run below."""
        assert [language for language, _ in self.BLOCKS] == [
            "python",
            "sh",
            "python",
            "python",
            "python",
            "sh",
            "sh",
        ]

    def test_receive_and_send(self, tmp_path: Path) -> None:
        """Pasted into two files, the receiver and the sender talk to each other."""
        (_, receiver), (_, serve), (_, sender) = self.BLOCKS[:3]
        (tmp_path / "receiver.py").write_text(receiver, "utf-8")
        # The newcomer's environment is active; the port is any that is free.
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        command = ["/bin/sh", "-e", "-c", serve.replace("\nflask", "\nexec flask")]
        with served(command, tmp_path, {"PATH": path, "FLASK_RUN_PORT": "0"}) as server:
            code = sender.replace("127.0.0.1:5000", f"127.0.0.1:{server.port}")
            secret = server.log.splitlines()[0]  # as the newcomer copies it
            output = run(code, FRAPPE_WEBHOOK_SECRET=secret)
            forged = run(code, FRAPPE_WEBHOOK_SECRET="not the secret of the other side")

        assert output == "200 {'status': 'received'}"
        assert "`200 {'status': 'received'}`" in (ROOT / "README.md").read_text("utf-8")
        assert forged.startswith("401 {")
        assert "'reason': 'signature-mismatch'" in forged
        assert server.log.count("received SO-00001") == 1

    @pytest.mark.parametrize("index", [3, 4], ids=["rotation", "github"])
    def test_core(self, index: int) -> None:
        """What a block prints is what the text below it says."""
        text = " ".join((ROOT / "README.md").read_text("utf-8").split())

        assert f"It prints `{run(self.BLOCKS[index][1])}`" in text

    def test_command_line(self, tmp_path: Path) -> None:
        """The command is there, and says what the text below it says."""
        (tmp_path / "body.json").write_text("{}")
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["/bin/sh", "-c", self.BLOCKS[5][1]],
            cwd=tmp_path,
            env=os.environ | {"PATH": path, "FRAPPE_WEBHOOK_SECRET": "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert (done.returncode, done.stderr) == (1, "")
        first = done.stdout.splitlines()[0]
        assert f"It prints `{first}`" in (ROOT / "README.md").read_text("utf-8")

    def test_commands(self) -> None:
        """The two commands are targets of the Makefile; .ci/run runs both."""
        commands = self.BLOCKS[6][1].split("\n")[:-1]

        assert commands == ["make demo", "make test"]
        ci = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
        assert set(commands) <= set(ci)
        for command in commands:
            subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, check=True)


def run(code: str, **environment: str) -> str:
    """Run some code in a Python of its own; return what it prints."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.strip()
