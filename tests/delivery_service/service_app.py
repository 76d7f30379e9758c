"""The command `delivery-service` with another lease, as a module that Python runs.

The variable LEASE says how long a worker that was killed has what it was sending, in seconds.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from delivery_service.__main__ import main

from delivery_service import database

if __name__ == "__main__":
    changed: Any = database
    changed.Outbox = partial(changed.Outbox, lease=float(os.environ["LEASE"]))
    main()
