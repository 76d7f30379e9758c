"""`python -m frappe_hooksig`: the same as the command `frappe-hooksig`."""

from __future__ import annotations

import sys

from frappe_hooksig.cli import main

if __name__ == "__main__":
    sys.exit(main())
