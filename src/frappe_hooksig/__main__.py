"""Run the command `frappe-hooksig` as `python -m frappe_hooksig`."""

from __future__ import annotations

import sys

from frappe_hooksig.cli import main

if __name__ == "__main__":
    sys.exit(main())
