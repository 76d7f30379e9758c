"""Sphinx: what docs/ is built with."""

from __future__ import annotations

from importlib import metadata

from sphinx.domains.python import PyObject
from sphinx.util.inspect import TypeAliasForwardRef

project = "frappe_hooksig"
author = "The frappe_hooksig maintainers"
copyright = "2026, the frappe_hooksig maintainers"  # noqa: A001
release = metadata.version("frappe-hooksig")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_design"]
myst_enable_extensions = ["colon_fence"]  # of tabs
autodoc_mock_imports = ["frappe"]  # not to be had from PyPI
html_theme = "furo"
html_title = f"frappe_hooksig {release}"
exclude_patterns = ["_build"]
default_role = "literal"  # of `names` in docstrings
nitpicky = False
autodoc_member_order = "bysource"
# Signatures as a reader writes them: names for long types and for defaults, one argument a line.
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
autodoc_type_aliases = {
    name: name
    for name in (
        "Algorithm",
        "Digest",
        "Encoding",
        "Headers",
        "Payload",
        "SecretFormat",
        "SecretReference",
        "SecretSource",
        "Secrets",
        "Senders",
        "Separator",
        "TimestampFormat",
        "TimestampFrom",
    )
}
# Sphinx shows an alias in a union as TypeAliasForwardRef('Secrets'): show its name.
TypeAliasForwardRef.__repr__ = lambda alias: alias.name
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
# "Attributes:" in a docstring becomes a list under its class, with that heading.
napoleon_use_ivar = True
next(each for each in PyObject.doc_field_types if each.name == "variable").label = "Attributes"
myst_heading_anchors = 3
