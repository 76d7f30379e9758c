"""The table of what each adapter was seen to do."""

from __future__ import annotations

from collections import Counter

import pytest

pytest.register_assert_rewrite("tests.integrations.conformance")

from tests.integrations.conformance import Conformance  # noqa: E402  # rewritten first

_OUTCOMES: dict[str, Counter[tuple[str, str]]] = {}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Say in the report of a conformance test, which may come from another process, what it is."""
    kind = getattr(item, "cls", None)
    if kind and issubclass(kind, Conformance):
        test = item.originalname  # type: ignore[attr-defined]
        item.user_properties.append(("conformance", f"{kind.__doc__.splitlines()[0]}|{test}"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count the outcomes of the conformance tests, by adapter."""
    named = str(dict(report.user_properties).get("conformance", ""))
    if named and (report.when == "call" or report.failed):
        adapter, _, test = named.partition("|")
        _OUTCOMES.setdefault(adapter, Counter())[test, report.outcome] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line for each test, one column for each adapter."""
    if not _OUTCOMES:
        return
    terminalreporter.section("conformance: passed of run, by adapter")
    adapters = sorted(_OUTCOMES)
    tests = sorted({test for counter in _OUTCOMES.values() for test, _ in counter})
    for number, adapter in enumerate(adapters, 1):
        terminalreporter.line(f"  {number}: {adapter}")
    terminalreporter.line(
        f"{'':44}" + "".join(f"{number:>10}" for number in range(1, len(adapters) + 1))
    )
    for test in tests:
        cells = ""
        for adapter in adapters:
            counts = {
                outcome: count
                for (name, outcome), count in _OUTCOMES[adapter].items()
                if name == test
            }
            cells += f"{counts.get('passed', 0)}/{sum(counts.values())}".rjust(10)
        terminalreporter.line(f"{test.removeprefix('test_'):44}{cells}")
