"""Explain why a signature does not match: try what each known mistake would have signed.

For people who debug a refused request. Nothing here decides whether a request is genuine.
"""

from __future__ import annotations

from frappe_hooksig.explain._explain import explain
from frappe_hooksig.explain._findings import Code, Explanation, Finding, Verdict

__all__ = ["Code", "Explanation", "Finding", "Verdict", "explain"]
