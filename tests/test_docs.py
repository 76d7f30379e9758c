"""The documentation does what it says: every code block is run."""

from __future__ import annotations

import gc
import json
import logging
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from doctest import ELLIPSIS
from pathlib import Path
from typing import get_args

import pytest
from docs.write_providers import API, ONCE, PAGE, written
from sybil import Sybil
from sybil.document import PythonDocStringDocument
from sybil.parsers.markdown import PythonCodeBlockParser
from sybil.parsers.rest import DocTestParser

from frappe_hooksig import ConfigurationError, sign_payload
from frappe_hooksig.explain import Code
from frappe_hooksig.observe import Kind, OutboxKind
from frappe_hooksig.outbox import Outbox
from tests.frappe_bench import Bench, bench, valkey_url
from tests.loopback import ROOT, free_port, served
from tests.selection import at_full_size

__all__ = ["bench", "valkey_url"]  # fixtures

PAGES = sorted(path for path in (ROOT / "docs").glob("*.md"))
# Django is set up once for a process, so each of its pages gets one of its own.
SCRIPTS = [ROOT / "docs" / "django.md", ROOT / "docs" / "deliver-django.md"]
# Each block of this one is a file, which its first line names.
FILES = ROOT / "docs" / "testing.md"
# This one has files and what is typed beside them, for one framework at a time.
WALK = ROOT / "docs" / "debug.md"
# This one sets up what there is one of in a process: metrics, and structlog.
RECIPES = ROOT / "docs" / "observe.md"
# This one has a script to move an outbox.
OPERATING = ROOT / "docs" / "operate-outbox.md"
# Other languages than Python. tests/delivery_service/test_demo.py runs those of the last page.
OTHERS = {
    "command-line.md": {"console"},
    "debug.md": {"console"},
    "delivery-service.md": {"sh"},
}
SOURCES = sorted((ROOT / "src").rglob("*.py"))
CUT = "-- the next command --"
TAB = re.compile(r"^:::\{tab-item\} .*\n:sync: ", re.MULTILINE)
# Behind each `$ ` a command, behind `> ` the rest of it, then what it prints.
TYPED = re.compile(r"^\$ (.*\n(?:> ?.*\n)*)((?:(?!\$ ).*\n)*)", re.MULTILINE)
# Each response waits for its observers, however busy the machine is.
PATIENT = """
import sys
from frappe_hooksig.observe import _threads

_threads._PATIENCE = 30
sys.stderr = sys.stdout
"""
# Sends a genuine and an unsigned request to each route, and prints what there is to collect.
COLLECTED = """
from frappe_hooksig import sign_payload
from prometheus_client import generate_latest

signed = sign_payload({"name": "SO-00001"}, app.config["FRAPPE_WEBHOOK_SECRET"])
client = app.test_client()
for route in "/webhook", "/counted", "/measured", "/told", "/named":
    assert client.post(route, data=signed.body, headers=signed.headers).status_code == 200
    assert client.post(route, data=signed.body).status_code == 401
print(generate_latest().decode())
print(reader.get_metrics_data().to_json(indent=None))
"""
# A WSGI app that sends back what it gets, with the middleware of a page.
ECHO = """

def answer(environ, start_response):
    start_response("200 OK", [])
    return [environ["wsgi.input"].read()]


echo = capturing(answer)
"""
FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


# The apps of pages leave their connections open, which newer Pythons tell of.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*sqlite3.Connection:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def left_behind() -> Iterator[None]:
    """Take away what a page's app leaves: connections, and handlers and levels of our logger."""
    ours = logging.getLogger("frappe_hooksig")
    before = [*ours.handlers], ours.level, ours.disabled
    yield
    ours.handlers[:], ours.disabled = before[0], before[2]
    ours.setLevel(before[1])
    gc.collect()


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page not in {*SCRIPTS, FILES, WALK, RECIPES}],
    ids=lambda path: path.name,
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


@pytest.mark.parametrize("page", SCRIPTS, ids=lambda path: path.name)
def test_page_that_is_a_script(page: Path) -> None:
    """The blocks of such a page, one after the other, are a program, and their assertions hold."""
    blocks = [block for _, block in FENCE.findall(page.read_text("utf-8"))]

    assert run("\n".join([*blocks, "print('done')"])) == "done"


@pytest.mark.parametrize(
    "framework", ["flask", *map(at_full_size, ["django", "fastapi", "starlette"])]
)
def test_page_of_files(tmp_path: Path, framework: str) -> None:
    """The blocks of this page are files, of which pytest runs the tests; Flask has those of all."""
    text = FILES.read_text("utf-8")
    outside, *tabs = TAB.split(text)
    files: dict[str, str] = {}
    for tab in tabs:
        inside, _, behind = tab.partition("\n:::\n")
        outside += behind
        if inside.startswith(f"{framework}\n"):
            files |= {name_of(block): block for _, block in FENCE.findall(inside)}
    if framework == "flask":
        files |= {name_of(block): block for _, block in FENCE.findall(outside)}
    for name, block in files.items():
        (tmp_path / name).write_text(block, "utf-8")

    output = pytest_in(tmp_path)

    passed = re.search(r"^(\d+) passed", output, re.MULTILINE)
    assert passed, output
    assert int(passed[1]) >= sum(block.count("def test_") for block in files.values())
    assert len(files) == {"flask": 15, "fastapi": 4}.get(framework, 3)


def name_of(block: str) -> str:
    """Return the name in the first line of a block."""
    first = block.partition("\n")[0]
    return first.removeprefix("# ")


def test_terminal_sessions(tmp_path: Path) -> None:
    """What is typed on the page of the command line gives what stands there."""
    blocks = FENCE.findall((ROOT / "docs" / "command-line.md").read_text("utf-8"))
    session = [pair for _, block in blocks for pair in TYPED.findall(block)]

    found = [steady(printed) for printed in printed_by(session, tmp_path)]
    assert found == [steady(printed) for _, printed in session]
    assert len(session) > 15


@pytest.mark.parametrize(
    "framework", ["flask", *map(at_full_size, ["django", "fastapi", "starlette"])]
)
def test_page_of_steps(tmp_path: Path, framework: str) -> None:
    """A reader who follows this page with one framework sees what stands there."""
    text = WALK.read_text("utf-8").replace("8765", str(free_port()))
    first, *tabs = TAB.split(text)
    followed = [first]
    for tab in tabs:
        inside, _, behind = tab.partition("\n:::\n")
        followed += [inside] * inside.startswith(f"{framework}\n") + [behind]
    session: list[tuple[str, str]] = []
    for language, block in FENCE.findall("\n".join(followed)):
        file = (f"cat > {name_of(block)} << 'END OF FILE'\n{block}END OF FILE\n", "")
        session += [file] if language == "python" else TYPED.findall(block)

    assert printed_by(session, tmp_path) == [printed for _, printed in session]
    assert len(session) > 25


def test_capture_in_frappe(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The method on the page about debugging writes what it refuses outside the sites."""
    code = block_named("debugged.py").replace("/home/frappe", str(tmp_path))
    (tmp_path / "debugged.py").write_text(code, "utf-8")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    site = bench.new_site("127.0.0.1", webhook_secret="Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4")
    signed = sign_payload({"name": "SO-00001"}, "Kz5RtYb3Nc6Vf1Zq4Hs8Lm2W")
    with bench.serve() as server:
        answer = server.send("/api/method/debugged.webhook", signed.body, signed.headers)

    assert answer.outcome == (401, "signature-mismatch")
    assert "webhook refused: signature-mismatch" in site.log()
    (file,) = (tmp_path / "captured").iterdir()
    assert explained(file, "--also", "SENDERS_SECRET").startswith("secret-other (proved): ")


def test_capture_in_gunicorn(tmp_path: Path) -> None:
    """The middleware on the page about debugging writes the request, and passes it on."""
    code = block_named("capturing.py")
    (tmp_path / "capturing.py").write_text(code + ECHO, "utf-8")
    signed = sign_payload({"name": "Zo\xeb"}, "Kz5RtYb3Nc6Vf1Zq4Hs8Lm2W")
    head = (
        "POST /in?a=%20 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"X-Frappe-Webhook-Signature: {signed.signature}\r\n"
    ).encode()
    plain = b"Content-Length: %d\r\n\r\n%b" % (len(signed.body), signed.body)
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(signed.body), signed.body)
    command = [sys.executable, "-m", "gunicorn", "capturing:echo", "--bind", "127.0.0.1:0"]
    with served(command, tmp_path) as server:
        for rest in (plain, b"Transfer-Encoding: chunked\r\n\r\n" + chunked):
            answer = server.send_bytes(head + rest)

            assert answer.body == signed.body
            file = tmp_path / "latest.http"
            assert b"POST /in?a=%20 HTTP/1.1\r\n" in file.read_bytes()
            assert b"\r\nCONTENT-TYPE: application/json\r\n" in file.read_bytes()
            assert explained(file, "--also", "SENDERS_SECRET").startswith("secret-other (proved): ")
            file.unlink()


def test_recipes() -> None:
    """What the page about observers shows is what they learn, with the real libraries."""
    text = RECIPES.read_text("utf-8")
    blocks = [block for _, block in FENCE.findall(text)]
    output = run("\n".join([PATIENT, *blocks, COLLECTED]))
    shown = re.findall(r"^    (\S.*)", FENCE.sub("", text), re.MULTILINE)
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]

    assert [part for line in shown for part in line.split(" ... ") if part not in output] == []
    assert len(shown) == 8
    *logged, collected = lines
    told = [line for line in logged if line.get("event") == "webhook"]
    assert [line["kind"] for line in told] == ["accepted", "handled", "refused"]
    (named,) = [line for line in logged if line.get("webhook_endpoint") == "named"]
    assert len(named["request_id"]) == 32
    assert named["webhook_reason"] == "missing-header"
    assert named["level"] == "warning"
    (scope,) = collected["resource_metrics"][0]["scope_metrics"]
    points = {each["name"]: each["data"]["data_points"] for each in scope["metrics"]}
    kinds = {
        name: sorted(point["attributes"]["webhook.kind"] for point in found)
        for name, found in points.items()
    }
    assert kinds == {
        "webhook.events": ["accepted", "handled", "refused"],
        "webhook.duration": ["handled", "refused"],
    }


def test_kinds_are_documented() -> None:
    """The page about observers has a row for each kind of an event, and for no other."""
    rows = re.findall(r"^\| `([a-z-]+)` \|", RECIPES.read_text("utf-8"), re.MULTILINE)

    assert rows == [*get_args(Kind)]


def test_kinds_of_outboxes_are_documented() -> None:
    """The page about delivering has a row for each kind of an outbox's event, and for no other."""
    page = (ROOT / "docs" / "deliver.md").read_text("utf-8")
    _, _, section = page.partition("## What you hear of it")
    rows = re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)

    assert rows == [*get_args(OutboxKind)]


def block_named(name: str, page: Path = WALK) -> str:
    """Return the only file of this name on a page, by default on that about debugging."""
    blocks: list[str] = [block for _, block in FENCE.findall(page.read_text("utf-8"))]
    (found,) = (block for block in blocks if name_of(block) == name)
    return found


def explained(file: Path, *options: str) -> str:
    """Return the first finding about a captured request, whose sender has another secret."""
    command = [sys.executable, "-m", "frappe_hooksig", "explain", "--request", str(file), *options]
    secrets = {
        "FRAPPE_WEBHOOK_SECRET": "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4",
        "SENDERS_SECRET": "Kz5RtYb3Nc6Vf1Zq4Hs8Lm2W",
    }
    done = subprocess.run(
        command,
        env=os.environ | secrets,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout.removeprefix("explained\n")


def test_codes_are_documented() -> None:
    """The page about debugging has a row for each code of a cause, and for no other."""
    _, _, table = WALK.read_text("utf-8").partition("## Mend it")

    assert re.findall(r"^\| `([a-z0-9-]+)` \|", table, re.MULTILINE) == [*get_args(Code)]


def steady(text: str) -> str:
    """Return what is printed, but for what is new each time: ids of an outbox, and times."""
    text = re.sub(r"\b(msg|ep)_[0-9a-f]+", r"\1_ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[0-9:]+Z", "TIME", text)
    return re.sub(r"after [0-9.]+ s", "after N s", text)


def printed_by(session: list[tuple[str, str]], folder: Path) -> list[str]:
    """Type commands into a shell, one after the other; return what each of them prints."""
    script = "".join(
        # Each command finds the status of the one before, as in a terminal.
        f"(exit $status)\n{re.sub('^> ?', '', command, flags=re.MULTILINE)}status=$?\necho {CUT}\n"
        for command, _ in session
    )
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["/bin/sh"],
        input=f"exec 2>&1\nstatus=0\n{script}",
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    *printed, _ = done.stdout.split(f"{CUT}\n")
    return printed


@pytest.mark.parametrize(
    ("path", "lists"), [(PAGE, 3), (API, 1), (ONCE, 1)], ids=["providers", "api", "once"]
)
def test_providers_are_listed(path: Path, lists: int) -> None:
    """A page lists the providers that there are: else run `python -m docs.write_providers`."""
    page = path.read_text("utf-8")

    assert written(page) == page
    assert page.count("<!-- end -->") == lists


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_page_has_no_block_of_another_language(page: Path) -> None:
    """What nobody runs is not there."""
    languages = {language for language, _ in FENCE.findall(page.read_text("utf-8"))}

    assert languages <= {"python", "{toctree}", "{eval-rst}"} | OTHERS.get(page.name, set())


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
            "sh",
            "python",
            "python",
            "python",
            "sh",
            "python",
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

    def test_deliver(self, tmp_path: Path) -> None:
        """With the two blocks in two more terminals, the receiver gets what was published."""
        (_, receiver), (_, serve) = self.BLOCKS[:2]
        (_, work), (_, publish) = self.BLOCKS[3:5]
        (tmp_path / "receiver.py").write_text(receiver, "utf-8")
        (tmp_path / "publish.py").write_text(publish, "utf-8")
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        command = ["/bin/sh", "-e", "-c", serve.replace("\nflask", "\nexec flask")]
        with served(command, tmp_path, {"PATH": path, "FLASK_RUN_PORT": "0"}) as server:
            typed = work.replace("127.0.0.1:5000", f"127.0.0.1:{server.port}").replace(
                "frappe-hooksig worker", "exec frappe-hooksig worker"
            )
            secret = server.log.splitlines()[0]
            environment = os.environ | {"PATH": path, "FRAPPE_WEBHOOK_SECRET": secret}
            worker = subprocess.Popen(["/bin/sh", "-e", "-c", typed], cwd=tmp_path, env=environment)
            try:
                wait_until(lambda: has_endpoint(tmp_path / "outbox.db"))
                subprocess.run([sys.executable, "publish.py"], cwd=tmp_path, check=True, timeout=60)
                wait_until(lambda: "received SO-00002" in server.log)
            finally:
                worker.terminate()
                worker.wait(30)

        assert server.log.count("received SO-00002") == 1
        assert "`received SO-00002`" in (ROOT / "README.md").read_text("utf-8")

    @pytest.mark.parametrize("index", [5, 6], ids=["rotation", "github"])
    def test_core(self, index: int) -> None:
        """What a block prints is what the text below it says."""
        text = " ".join((ROOT / "README.md").read_text("utf-8").split())

        assert f"It prints `{run(self.BLOCKS[index][1])}`" in text

    def test_command_line(self, tmp_path: Path) -> None:
        """The command is there, and says what the text below it says."""
        (tmp_path / "body.json").write_text("{}")
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["/bin/sh", "-c", self.BLOCKS[7][1]],
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

    def test_own_route(self, tmp_path: Path) -> None:
        """The test of the receiver above passes; it fails if the decorator is left out."""
        receiver, test = self.BLOCKS[0][1], self.BLOCKS[8][1]
        unverified = receiver.replace("@verify_frappe_webhook\n", "").replace(
            "get_delivery().json()", '{"name": ""}'
        )
        found: list[str] = []
        for name, code in (("right", receiver), ("wrong", unverified)):
            (tmp_path / name).mkdir()
            (tmp_path / name / "receiver.py").write_text(code, "utf-8")
            (tmp_path / name / "test_receiver.py").write_text(test, "utf-8")
            found.append(pytest_in(tmp_path / name))

        assert "\n1 passed in" in found[0]
        assert "[no-check: " in found[1]

    def test_commands(self) -> None:
        """The two commands are targets of the Makefile; .ci/run runs both."""
        commands = self.BLOCKS[9][1].split("\n")[:-1]

        assert commands == ["make demo", "make test"]
        ci = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
        assert set(commands) <= set(ci)
        for command in commands:
            subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, check=True)


def has_endpoint(path: Path) -> bool:
    """Whether the outbox in a file is ready."""
    if not path.exists():
        return False
    with closing(Outbox(path)) as outbox:
        try:
            return bool(outbox.endpoints())
        except (ConfigurationError, sqlite3.Error):  # the tables are being made
            return False


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until something is so, but not for ever."""
    ends = time.monotonic() + 60
    while not condition() and time.monotonic() < ends:
        time.sleep(0.05)


def pytest_in(folder: Path) -> str:
    """Run the tests in a folder; return what pytest prints."""
    # Of all plugins that are installed here, ours alone: the others take long to load.
    plugins = ("-p", "frappe_hooksig._pytest_plugin", "-p", "no:cacheprovider")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins],
        cwd=folder,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    ).stdout


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
