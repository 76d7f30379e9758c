"""Each known mistake is named, and proved."""

from __future__ import annotations

from functools import cache

import pytest

from frappe_hooksig.explain import Explanation, explain
from tests.explain.mistakes import MISTAKES, Mistake


@cache  # other tests look at the same explanations
def explained(mistake: Mistake) -> Explanation:
    """Explain a request."""
    return explain(
        mistake.body,
        mistake.headers,
        mistake.secret,
        scheme=mistake.scheme,
        method=mistake.method,
        url=mistake.url,
        now=mistake.now,
        also=mistake.also,
        budget=60,
    )


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_single_mistake(mistake: Mistake) -> None:
    """One mistake gives one proved finding with its code."""
    explanation = explained(mistake)

    assert explanation.verdict == "explained"
    (finding,) = explanation.findings
    assert finding.is_proved
    assert mistake.code in {finding.code, *finding.also_codes}
    assert finding.code in {mistake.code, *mistake.names}
