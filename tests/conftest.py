"""What all tests share: how many examples and workers there are, and that CI allows no skip."""

from __future__ import annotations

import os
from collections.abc import Generator
from zlib import crc32

import pytest
from hypothesis import HealthCheck, settings

IN_CI = os.environ.get("CI") == "true"

# The Makefile picks another seed for each run, and prints it. Hypothesis would not, in CI.
settings.register_profile("default", max_examples=100, deadline=None, derandomize=False)
settings.register_profile(
    "ci",
    settings.get_profile("default"),
    max_examples=120,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("quick", settings.get_profile("default"), max_examples=30)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if IN_CI else "default"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Start twice as many workers as there are cores: many tests wait, for a server or a lease."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take a part of the tests if SHARE names one: 0/3, 1/3 and 2/3 are all of them."""
    if share := os.environ.get("SHARE"):
        part, parts = map(int, share.split("/"))
        left = [item for item in items if crc32(item.nodeid.encode()) % parts != part]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail every skip in CI: a test that nobody runs is a defect."""
    report = yield
    if report.skipped and IN_CI and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI=true forbids: {report.longrepr}"
    return report
