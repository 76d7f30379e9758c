"""A WSGI app that uses a `MemoryStore`, and answers with the warnings that this has caused."""

from __future__ import annotations

import warnings
from itertools import count
from typing import Any

from frappe_hooksig.replay import MemoryStore

STORE = MemoryStore()
NUMBERS = count()


def app(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        STORE.claim(str(next(NUMBERS)), "1", 60)
    start_response("200 OK", [])
    return [str(each.message).encode() for each in caught]
