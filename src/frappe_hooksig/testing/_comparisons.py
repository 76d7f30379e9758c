"""Watch whether a receiver in this process compares a MAC with `==`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_HASHES = {"_hashlib", "_sha1", "_sha2", "_sha256", "_sha512", "_hmac"}
_MAC_FUNCTIONS = {"hmac_new", "hmac_digest", "digest", "hexdigest"}
_COMPARISONS = {"compare_digest", "_compare_digest"}


def compares_in_constant_time(call: Callable[[], object]) -> bool | None:
    """Call a function, and tell how it compares the MAC that it computes.

    Returns:
        Whether it calls `compare_digest()`. None if it computes no MAC, or does so where this
        process cannot see it.
    """
    watch = Watch()
    # Python 3.12 can also watch the threads that there are already.
    watch_threads = getattr(threading, "setprofile_all_threads", threading.setprofile)
    own, of_threads = sys.getprofile(), threading.getprofile()
    watch_threads(watch)
    sys.setprofile(watch)
    try:
        call()
    finally:
        watch_threads(of_threads)
        sys.setprofile(own)
    return watch.compares if watch.has_mac else None


class Watch:
    """A profile function that looks for two kinds of calls of C functions."""

    def __init__(self) -> None:
        self.has_mac = False
        self.compares = False

    def __call__(self, _frame: FrameType, event: str, called: Any, /) -> None:
        if event != "c_call":
            return
        # Functions have a module. Methods have an object, whose class has one.
        module = called.__module__ or type(called.__self__).__module__
        if called.__name__ in _COMPARISONS:
            self.compares = True
        elif called.__name__ in _MAC_FUNCTIONS and module in _HASHES:
            self.has_mac = True
