"""The names of `frappe_hooksig.testing`, each imported on first use."""

from __future__ import annotations

import subprocess
import sys
from operator import attrgetter

import pytest

from frappe_hooksig import testing


def test_first_use() -> None:
    """A test loads what it uses, and nothing else of the kit."""
    code = (
        "import sys; from frappe_hooksig.testing import signed_request;"
        "print(sorted(name for name in sys.modules if name.startswith('frappe_hooksig.testing.')))"
    )

    printed = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert printed == "['frappe_hooksig.testing._requests']\n"


def test_names() -> None:
    """All names are listed before they are used; no other attribute is made up."""
    assert set(testing.__all__) <= set(dir(testing))
    assert all(hasattr(testing, name) for name in testing.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        attrgetter("nonsense")(testing)
