"""The comparison with the vendors' libraries can fail: sabotaged ones are found out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from interop.__main__ import look, settle
from interop.absent import ABSENT
from interop.bodies import KINDS, bodies, kind
from interop.comparison import ENOUGH, compare, ours
from interop.deviations import Window, differences, windows
from interop.library import ACCEPTS, REFUSES, Facts, Library, Verdict
from interop.registry import overlooked
from interop.report import Findings, page
from interop.requests import Message, Request, mac

from frappe_hooksig import Scheme, providers
from interop import npm, pypi

PAGE = Path(__file__).parents[2] / "docs" / "interop.md"
FACTS = Facts(
    registry="PyPI",
    package="honest",
    provider="standard-webhooks",
    call="verify()",
    signs_with="sign()",
)

Verify = Callable[[Sequence[Request]], list[Verdict]]


def library(
    facts: Facts = FACTS,
    verify: Verify | None = None,
    sign: Callable[[Scheme, Message], str | None] | None = None,
) -> Library:
    """Return a library that does what ours does, where it does nothing else."""
    scheme = providers.get(facts.provider)

    def honestly(scheme: Scheme, message: Message) -> str:
        return scheme.prefix + mac(scheme, message).decode()

    signs = sign or honestly
    return Library(
        facts=facts,
        version="1.0",
        verify=verify or (lambda requests: ours(scheme, requests)),
        sign=lambda messages: [signs(scheme, each) for each in messages],
    )


def problems(library: Library) -> str:
    """Return what comes of comparing it."""
    return "\n".join(look([library], seed=1).problems)


def test_bodies() -> None:
    """They are the same for the same seed, enough of them are text, and no kind is missing."""
    drawn = bodies(Random(1))

    assert drawn == bodies(Random(1))
    assert drawn != bodies(Random(2))
    assert [kind(body) for body in drawn].count("text") >= ENOUGH
    assert {kind(body) for body in drawn} == {*KINDS}
    assert max(map(len, drawn)) > 1_000_000
    assert {kind(body) for body in bodies(Random(1), {"a": 1})} == {"text"}


@pytest.mark.parametrize("provider", ["github", "slack", "standard-webhooks"])
def test_honest(provider: str) -> None:
    """A library that does what ours does has no problems, and differs in nothing."""
    honest = library(replace(FACTS, provider=provider))
    results = list(compare(honest, seed=1))

    assert [result.direction for result in results] == ["theirs to ours", "ours to theirs"]
    assert [result.problems for result in results] == [[], []]
    assert all(result.cases >= ENOUGH and result.refused >= 3 * ENOUGH for result in results)
    assert differences(honest) == []


def accepts_all(requests: Sequence[Request]) -> list[Verdict]:
    return [ACCEPTS for _ in requests]


def refuses_all(requests: Sequence[Request]) -> list[Verdict]:
    return [REFUSES for _ in requests]


def ignores_id(requests: Sequence[Request]) -> list[Verdict]:
    """Accept another id too, as if it were not signed."""
    scheme = providers.get(FACTS.provider)
    plain = [
        replace(each, headers={**each.headers, "webhook-id": each.headers["webhook-id"][:28]})
        for each in requests
    ]
    return ours(scheme, plain)


@pytest.mark.parametrize(
    ("verify", "told"),
    [
        (accepts_all, "another body: ours refuses, theirs accepts"),
        (accepts_all, "a stale time: ours refuses, theirs accepts"),
        (refuses_all, "ours accepts, theirs refuses"),
        (refuses_all, "0 cases are too few"),
        (ignores_id, "another id: ours refuses, theirs accepts"),
    ],
)
def test_wrong_verdicts(verify: Verify, told: str) -> None:
    """A library that accepts too much, or too little, is found out."""
    results = compare(library(verify=verify), seed=1)

    assert told in "\n".join(each for result in results for each in result.problems)


def signs_another_body(scheme: Scheme, message: Message) -> str:
    return scheme.prefix + mac(scheme, replace(message, body=message.body.strip())).decode()


def signs_nothing(_scheme: Scheme, _message: Message) -> None:
    return None


@pytest.mark.parametrize(
    ("sign", "told"),
    [
        (signs_another_body, "ours refuses, theirs refuses"),
        (signs_nothing, "is not signed"),
    ],
)
def test_wrong_signatures(sign: Callable[[Scheme, Message], str | None], told: str) -> None:
    """A library that signs something else, or does not sign, is found out."""
    assert told in problems(library(sign=sign))


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (
            replace(FACTS, cannot_verify=frozenset({"empty"})),
            "empty body b'': ours accepts, theirs accepts",
        ),
        (
            replace(FACTS, cannot_sign=frozenset({"not UTF-8"})),
            "not UTF-8 body b'\\xff': ours accepts, theirs accepts",
        ),
        (replace(FACTS, ignores_age=True), "a stale time: ours refuses, theirs refuses"),
        (replace(FACTS, provider="nobody"), "no provider has this name"),
    ],
)
def test_wrong_facts(facts: Facts, told: str) -> None:
    """What is said of a library and is not so is found out, as is a provider that is not there."""
    honest = library(replace(FACTS))

    assert told in problems(replace(honest, facts=facts))


def test_no_signatures() -> None:
    """A library that is said to sign and brings nothing to sign with is no smaller comparison."""
    with pytest.raises(TypeError, match=r"is to sign with sign\(\), but has no sign"):
        list(compare(replace(library(), sign=None), seed=1))


def test_differences() -> None:
    """What a library takes and ours does not is listed, and how far its clock may be off."""
    scheme = providers.get("slack")

    def lax(requests: Sequence[Request]) -> list[Verdict]:
        trimmed = [
            replace(each, headers={name: value.strip() for name, value in each.headers.items()})
            for each in requests
        ]
        return ours(scheme, trimmed)

    found = differences(library(replace(FACTS, provider="slack"), verify=lax))

    assert [(each.what, each.ours, each.theirs) for each in found] == [
        ("a space behind the signature", "refuses", "accepts"),
        ("a time with a space before it, signed without", "refuses", "accepts"),
    ]
    assert windows(library()) == (Window(300, 300), Window(300, 300))
    assert windows(library(verify=accepts_all)) == (Window(300, 300), Window(None, None))
    assert windows(library(replace(FACTS, provider="github"))) is None


def test_differences_of_nothing() -> None:
    """A library that refuses what is not odd either has no differences, but a problem."""
    assert "the odd ones are made of is refused" in problems(library(verify=refuses_all))


def test_nothing_is_overlooked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is installed is run; what is no longer run shows."""
    assert list(overlooked()) == []

    monkeypatch.setattr(npm, "FACTS", npm.FACTS[1:])
    monkeypatch.setattr(pypi, "FACTS", (*pypi.FACTS, FACTS))

    assert list(overlooked()) == [
        "honest (PyPI) is run, but not in the list of what is installed",
        "@adyen/api-library (npm) is installed, but not run",
    ]


def test_page_that_is_not_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A page that says something else than was found is a problem, until it is written."""
    path = tmp_path / "interop.md"
    monkeypatch.setattr("interop.__main__.PAGE", path)
    path.write_text("All agree.", "utf-8")
    findings = Findings(results=list(compare(library(), seed=1)))
    before = page(findings)

    settle(findings, write=False)
    settle(findings, write=True)
    settle(findings, write=False)

    assert findings.problems == [
        f"{path} says something else: make interop WRITE=1, and look at it"
    ]
    assert path.read_text("utf-8") == before


def test_page() -> None:
    """Every library is on the page, with what came of it or why it was not run."""
    text = PAGE.read_text("utf-8")
    absent = {f"{package} ({registry})" for registry, package in ABSENT}

    assert {name for name in absent if name not in text} == set()
    assert {facts.name for facts in (*pypi.FACTS, *npm.FACTS) if facts.name not in text} == set()
    assert "| honest (PyPI) | 1.0" in page(Findings(results=list(compare(library(), seed=1))))
