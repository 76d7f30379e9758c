"""The measurement counts what it says, with an `explain()` that answers as it is told."""

from __future__ import annotations

import base64
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

from tests.explain import corpus, measure


@dataclass(frozen=True)
class Answer:
    code: str
    is_proved: bool = True
    also_codes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answers:
    verdict: str
    findings: tuple[Answer, ...] = ()


def always(*findings: Answer) -> Any:
    """Return an `explain()` with the same findings for each request."""
    return lambda *_arguments, **_options: Answers("explained", findings)


@pytest.mark.parametrize(
    ("findings", "figures"),
    [
        ((), (0, 0, 0)),
        ((Answer("secret-quotes"),), (4, 4, 4)),
        ((Answer("secret-other", also_codes=("secret-quotes",)),), (4, 4, 4)),
        ((Answer("secret-other"), Answer("secret-quotes")), (0, 4, 4)),
        ((Answer("secret-quotes", is_proved=False),), (4, 4, 0)),
        ((Answer("secret-other"),), (0, 0, 0)),
    ],
)
def test_counts(findings: tuple[Answer, ...], figures: tuple[int, int, int]) -> None:
    """A right code counts as first, among the findings, and as proved."""
    requests = corpus.of_cause("secret-in-double-quotes", 1, 4)

    row = measure.counted(always(*findings), requests)["secret-in-double-quotes"]

    assert (row.first, row.among, row.proved) == figures
    assert row.total == len(row.seconds) == 4
    assert len(row.misses) == 4 - row.first


@pytest.mark.parametrize(
    ("findings", "complete"),
    [
        ((Answer("secret-whitespace"),), 0),
        ((Answer("secret-whitespace", also_codes=("signature-encoding",)),), 2),
        ((Answer("secret-whitespace"), Answer("signature-encoding")), 2),
    ],
)
def test_pair_is_complete(findings: tuple[Answer, ...], complete: int) -> None:
    """Of two mistakes at once, both have to be named."""
    rows = measure.counted(always(*findings), corpus.pairs(1, 2))

    assert rows["secret-ends-in-newline+signature-in-hex"].complete == complete


@pytest.mark.parametrize(
    ("answers", "number"),
    [
        (Answers("unexplained"), 0),
        (Answers("unexplained", (Answer("body-empty", is_proved=False),)), 0),
        (Answers("explained", (Answer("body-empty"),)), 6),
        (Answers("genuine"), 6),
    ],
)
def test_claims(answers: Answers, number: int) -> None:
    """A proof where there is nothing to prove is counted, and so is a false acceptance."""
    found = measure.claims(lambda *_a, **_o: answers, corpus.without_cause(1, 6))

    assert len(found) == number


def test_shown() -> None:
    """A secret, a key or a MAC in a text of an explanation is found, in any encoding."""
    (request,) = corpus.of_cause("sender-decodes-hex", 1, 1)
    hidden = [request.secret, request.key.hex().upper(), base64.b64encode(request.key).decode()]
    answers = [Answers("explained", (Answer(f"a {text}."),)) for text in hidden]

    assert all(measure.shown(request, each) for each in answers)
    assert measure.shown(request, Answers("explained", (Answer("secret-decoded"),))) == []


@pytest.mark.parametrize(
    ("verdict", "status", "words"),
    [
        ("unexplained", 1, "genuine, called something else: 1 of 1"),
        ("genuine", 1, "without a cause, claimed as proved: 2 of 2"),
    ],
)
def test_table(
    verdict: str,
    status: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The figures are printed, and a false claim decides the exit status."""
    module: Any = ModuleType("frappe_hooksig.explain")
    module.explain = lambda *_a, **_o: Answers(verdict)
    monkeypatch.setitem(sys.modules, "frappe_hooksig.explain", module)

    assert measure.main(["--per-cause=1", "--without=2", "--only=double-quotes"]) == status
    assert words in capsys.readouterr().out
