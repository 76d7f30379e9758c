"""Sphinx: what docs/ is built with."""

from __future__ import annotations

from importlib import metadata

project = "frappe_hooksig"
author = "The frappe_hooksig maintainers"
copyright = "2026, the frappe_hooksig maintainers"  # noqa: A001
release = metadata.version("frappe-hooksig")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
autodoc_mock_imports = ["frappe"]  # not to be had from PyPI
html_theme = "furo"
html_title = f"frappe_hooksig {release}"
exclude_patterns = ["_build"]
nitpicky = False
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
myst_heading_anchors = 3
