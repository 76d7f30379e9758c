"""Look up the addresses of a host, within a deadline.

`socket.getaddrinfo()` has no time limit: a name server that keeps silent holds it for half a
minute. So it runs in a thread that is left behind when the deadline has passed.
"""

from __future__ import annotations

import os
import socket
from collections import Counter
from concurrent.futures import Future, wait
from ipaddress import ip_address
from threading import Condition, Thread
from typing import Any, NamedTuple

from frappe_hooksig.sending._deadline import Deadline

# How many look-ups may run at once. A name that hangs occupies one for as long as its name server
# keeps silent. So the names of one owner must leave some to others. Whether two names have one
# owner cannot be seen: a.example.com and b.example.com do, a.co.uk and b.co.uk do not. So those
# that share three labels have few places, and those that share two labels have a part of what is
# free.
_MOST = 512
_MOST_OF_THREE_LABELS = 4
_PART_OF_TWO_LABELS = 16


class Address(NamedTuple):
    """An address to connect to.

    Attributes:
        family: Its family, such as `socket.AF_INET`.
        sockaddr: What `socket.connect()` takes.
    """

    family: int
    sockaddr: tuple[Any, ...]

    @property
    def text(self) -> str:
        """The address without its port."""
        return str(self.sockaddr[0])


def look_up(host: str, port: int, deadline: Deadline) -> list[Address]:
    """Return the addresses of a host, each once.

    Args:
        host: A name, or an address without brackets.
        port: The port to connect to.
        deadline: When to give up.

    Raises:
        OSError: The host has no address; a `TimeoutError` if it was not found in time.
        UnicodeError: No host can have this name.
    """
    try:
        version = ip_address(host).version
    except ValueError:
        # A forked process has no threads of its parent, and a lock of the parent may be taken.
        process = os.getpid()
        running = _running.get(process) or _running.setdefault(process, _LookUps())
        return running.find(host, port, deadline)
    family = socket.AF_INET if version == 4 else socket.AF_INET6  # noqa: PLR2004
    return [Address(family, (host, port))]


class _LookUps:
    """The look-ups that run in one process. Callers that ask for the same name share one."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, int], Future[list[Address]]] = {}
        self._of_two_labels = Counter[str]()
        self._of_three_labels = Counter[str]()
        self._changed = Condition()

    def find(self, host: str, port: int, deadline: Deadline) -> list[Address]:
        """See `look_up()`."""
        key = (host, port)
        with self._changed:
            while (found := self._running.get(key)) is None and not self._has_room(host):
                self._changed.wait(deadline.left())
            if found is None:
                found = self._begun(key)
        wait([found], deadline.left())
        if not found.done():
            raise TimeoutError
        return found.result()

    def _begun(self, key: tuple[str, int]) -> Future[list[Address]]:
        found = Future[list[Address]]()
        name = "frappe_hooksig look-up"
        thread = Thread(target=self._run, args=(key, found), name=name, daemon=True)
        self._running[key] = found
        self._count(key[0], 1)
        try:
            thread.start()
        except BaseException as error:
            self._end(key, found)
            if isinstance(error, RuntimeError):  # this process has as many threads as it may
                raise OSError(None, "no thread can be started") from error
            raise
        return found

    def _end(self, key: tuple[str, int], found: Future[list[Address]]) -> None:
        if self._running.get(key) is found:
            del self._running[key]
            self._count(key[0], -1)
            self._changed.notify_all()

    def _has_room(self, host: str) -> bool:
        free = _MOST - len(self._running)
        part = max(1, free // _PART_OF_TWO_LABELS)
        return (
            free > 0
            and self._of_two_labels[_ending(host, 2)] < part
            and self._of_three_labels[_ending(host, 3)] < _MOST_OF_THREE_LABELS
        )

    def _count(self, host: str, change: int) -> None:
        for counter, labels in ((self._of_two_labels, 2), (self._of_three_labels, 3)):
            ending = _ending(host, labels)
            counter[ending] += change
            if not counter[ending]:
                del counter[ending]

    def _run(self, key: tuple[str, int], found: Future[list[Address]]) -> None:
        result: list[Address] = []
        problem: Exception | None = None
        try:
            several = socket.getaddrinfo(*key, type=socket.SOCK_STREAM)
            addresses = [Address(family, sockaddr) for family, _, _, _, sockaddr in several]
            result = list(dict.fromkeys(addresses))
        except (OSError, UnicodeError) as error:
            problem = error
        except BaseException:  # noqa: BLE001 such as a MemoryError; others wait for an answer
            problem = OSError(None, "the look-up of the name has failed")
        with self._changed:
            self._end(key, found)
        if problem is None:
            found.set_result(result)
        else:
            found.set_exception(problem)


def is_unanswered(error: Exception) -> bool:
    """Whether a look-up failed because the name server gave no answer."""
    codes = {socket.EAI_AGAIN, socket.EAI_FAIL}
    return isinstance(error, socket.gaierror) and error.errno in codes


def _ending(host: str, labels: int) -> str:
    return ".".join(host.split(".")[-labels:])


# By the id of the process.
_running: dict[int, _LookUps] = {}
